// sim_world.hpp: the simulated world: nodes, clients, links, and the queue of what will happen.
//
// One class, cut into topic files: sim_cluster.cpp (processes, the loop), sim_lanes.cpp,
// sim_net.cpp, sim_clients.cpp, sim_loads.cpp, sim_islands.cpp, sim_hostile.cpp, sim_faults.cpp,
// sim_partitions.cpp, sim_disk_faults.cpp, sim_healing.cpp, oracles*.cpp. Only for these,
// sim_plugin.cpp (the plugin of a user), and for scenarios that script the world themselves.
#pragma once

#include <array>
#include <cstdio>
#include <optional>

#include "base/crc32c.hpp"
#include "raftcs.h"
#include "sim/plugin_reference.hpp"
#include "sim/session_model.hpp"
#include "sim/sim_node.hpp"
#include "wire/client_messages.hpp"

namespace raftcs::sim {

constexpr uint32_t kHostileWho = 900'000;
constexpr uint64_t kForeignTerm = 1'000'000;
constexpr uint64_t kMuteTimeoutMs = 2'001;
constexpr uint64_t kConnectionsPerSecond = 100;
constexpr DurationNs kOperationBoundNs = 8 * kNsPerSecond;

// More than half of each voter set, counted without the core's own arithmetic.
bool majority_of(const raft::Membership& members, const std::function<bool(NodeId)>& holds);
// The member has this disk as far as the configuration says.
bool names_disk(const raft::Membership& members, NodeId id, const Uuid& disk);
std::string address_of(uint64_t id);
std::string peer_address_of(uint64_t id);

struct OpRecord {
  LedgerOp op;
  LedgerLoad load;
  bool is_query = false;
  bool stale = false;  // a query of what the member that is asked has applied
  Mono begun, ended = Mono::never();
  int32_t outcome = RAFTCS_OUTCOME_UNKNOWN;
  uint64_t position = 0;  // command: told position; query: told count
  uint64_t known = 0;     // the highest position that anybody was told before it began
  bool plugin = false;    // for the plugin under test, with these bytes
  Bytes payload;
};

struct WorkSession {
  client::SessionHandle handle = 0;
  uint32_t who = 0;
  uint32_t next = 0;
  uint32_t last = 0;                // operations it will have begun at the end
  std::map<uint64_t, size_t> open;  // op id -> record
  uint64_t pushes = 0;
  uint64_t last_push_position = 0;
  Uuid id;  // of the cluster's session it has, or had last
  bool lost = false;
  bool closing = false;
  // of a client that retires: its token, and how far it was when it was written
  Bytes token;
  Uuid token_session;
  uint64_t token_pushes = 0, token_push_position = 0;
};

struct SimClient {
  std::unique_ptr<client::Engine> engine;
  std::vector<WorkSession> sessions;
  uint64_t life = 0;     // fences what was meant for an earlier process
  bool mute = false;     // dies without a word, and its sessions must expire
  bool zombie = false;   // lives on after another process has resumed its sessions
  bool retires = false;  // has written its tokens and asks nothing more; will die
  bool frail = false;    // has a short session timeout, and may lose its session and renew it
  int64_t second = 0;    // of virtual time, and the connections opened in it
  uint64_t opened = 0;
  SimClock clock;
  Mono paused_until;  // global; handles nothing before
  Mono timer_at = Mono::never();
  std::set<NodeId> beyond;  // nodes out of reach, until then (sim_islands.cpp)
  Mono stranded_until;
};

// A program without an engine that says what no client should (sim_hostile.cpp).
struct Hostile {
  net::ConnId conn = 0;  // 0: none
  NodeId node;
  uint64_t life = 0;  // of the node
  Uuid proof, id;
  wire::Channel channel = 0;
  uint64_t nonce = 0, era = 0, sent = 0;
  bool bound = false;
  std::map<uint64_t, std::string> replies;  // of this session, by request id
};

// An administrative operation that was asked for and must end where it was asked (L4, L6).
struct Asked {
  NodeId node;
  uint64_t life = 0;  // of the node: with its process the answer goes
  std::string verb;
  Mono at;
};

struct Link {  // a client connection
  uint32_t client = 0;
  NodeId node;
  uint64_t life = 0;
  net::ConnId conn = 0;
  bool alive = true;
  Mono last_to_server, last_to_client;  // FIFO: nothing arrives before what was sent earlier
};

struct Left;  // of a disk, oracles_durable.cpp

extern const char* g_check;
extern int g_check_line;
void remember_check(const char* expression, const char* file, int line);

class Cluster {
 public:
  virtual ~Cluster() = default;
  Cluster(const Profile& profile, bool verbose, PluginUnderTest* plugin = nullptr)
      : p_(profile),
        verbose_(verbose),
        plugin_(plugin),
        reference_(plugin == nullptr ? nullptr : std::make_unique<PluginReference>(*plugin)),
        rng_(profile.seed),
        faults_(profile.seed ^ 0xfau),
        net_(profile.seed ^ 0x4e7u),
        oracle_(profile.seed ^ 0x0aacu),
        loads_(profile.seed ^ 0x10adu),
        islands_(profile.seed ^ 0x151au) {}
  Report run();

 protected:
  struct Item {
    Mono at;
    uint64_t seq;
    std::function<void()> what;
    bool operator<(const Item& o) const { return at != o.at ? at > o.at : seq > o.seq; }
  };

  void at(Mono when, std::function<void()> what) {
    queue_.push({std::max(when, now_), ++seq_, std::move(what)});
  }
  void after(DurationNs d, std::function<void()> what) { at(now_ + d, std::move(what)); }
  DurationNs delay(DurationNs mean) {
    return static_cast<DurationNs>(net_.below(static_cast<uint64_t>(mean) * 2)) + 10'000;
  }
  void trace(uint64_t a, uint64_t b = 0) {
    uint64_t words[3] = {static_cast<uint64_t>(now_.ns), a, b};
    hash_ = crc32c(static_cast<uint32_t>(hash_), words, sizeof words) | (hash_ << 32);
  }
  void hit(const char* event) { ++report_.hits[event]; }
  void note(const std::string& line) {
    if (verbose_)
      std::fprintf(stderr, "%10.3f ms  %s\n", static_cast<double>(now_.ns) / 1e6, line.c_str());
  }
  void fail(const std::string& why) {
    if (!report_.ok) return;
    report_.ok = false;
    report_.failure = why;
    note("FAILED: " + why);
  }

  // the loop
  void begin();
  bool step();  // one thing that happens; false: there is nothing left
  void finish();

  // nodes
  void make_nodes();
  void start(SimNode& n);
  void crash(SimNode& n, bool torn);
  void lose_power(SimNode& n);
  void come_back(SimNode& n);
  void not_started(SimNode& n, const Status& status);
  void with_node(SimNode& n, uint64_t life, std::function<void()> what);
  void drive(SimNode& n);
  void storage_stopped(SimNode& n);
  void stop_process(SimNode& n);
  void run_lanes(SimNode& n);
  void run_log_lane(SimNode& n);
  void run_apply_lane(SimNode& n);
  void run_snapshot_lane(SimNode& n);
  struct Stall {
    double chance = 0;
    uint64_t least_ms = 0, most_ms = 0;
  };
  DurationNs lane_time(SimNode& n, DurationNs mean, const Stall& stall);
  void report(SimNode& n, Mono* told, std::function<void()> what);
  void log_lane_done(SimNode& n, const std::vector<server::LogDone>& done);
  void check_node(SimNode& n);
  void check_log(SimNode& n, const raft::NodeStatus& s);
  void check_commit(SimNode& n, const raft::NodeStatus& s);
  void check_snapshot(SimNode& n, const raft::NodeStatus& s);
  void check_membership(SimNode& n, const raft::NodeStatus& s);
  void check_may_lead(const SimNode& n, const raft::NodeStatus& s);
  void config_committed(const raft::Entry& entry, const raft::Membership& now);
  void check_durable();
  void check_committed_there(Index index, const std::map<NodeId, Left>& left);
  void check_believed(const SimNode& n, const std::map<NodeId, Left>& left);
  void check_vote_durable(const SimNode& n, Term term, NodeId to);
  void check_ack_durable(const SimNode& n, Index match);
  void check_leader(SimNode& n, const raft::NodeStatus& s);
  void check_first_of_term(SimNode& n);
  struct LogEnd {
    uint64_t term = 0;
    Index index;
    auto operator<=>(const LogEnd&) const = default;  // the later term, then the longer log
  };
  std::optional<LogEnd> log_end(const SimNode& n, const raft::NodeStatus& s) const;
  void check_vote(SimNode& n, const raft::NodeStatus& s);
  bool has_chosen(const raft::Membership& members, Term term, NodeId voter, NodeId whom) const;
  void check_elected(const SimNode& n, const raft::NodeStatus& s);
  void check_counted(const SimNode& n, const raft::NodeStatus& s, Index before);
  void check_match(SimNode& n, const raft::NodeStatus& s);
  void check_pace(Index index, Term term);
  void check_applied(SimNode& n, const server::ApplyDone& done);
  void check_frame(SimNode& n, const Bytes& frame);
  void check_ack(SimNode& n, Term term, const raft::AppendResponse& ack);
  void note_round_sent(const SimNode& n, Term term, uint64_t round);
  struct Answer {
    bool stale = false;  // of an older term; else a refusal
    NodeId peer;
    Index rejected;
    Index match;  // as known before it came
  };
  std::optional<Answer> note_answers(const SimNode& n, const Bytes& frame);
  void check_effect(const SimNode& n, const Answer& answer);
  Mono heard_from(const raft::Membership& members, NodeId leader, NodeId peer) const;
  void note_queries(const SimNode& n, net::ConnId conn, const Bytes& frame);
  void check_answers(const SimNode& n, net::ConnId conn, const Bytes& frame);
  void check_silent(const SimNode& n, const Bytes& frame);
  void note_written(SimNode& n, const raft::NodeStatus& s);
  void note_cut(SimNode& n, Index from);
  void note_chunk(SimNode& n, const server::SnapshotDone& done);
  Bytes corrupt(const Bytes& frame);
  Bytes foreign(const Bytes& frame);
  bool held_back(NodeId from, NodeId to, const Bytes& frame);
  enum class Release : uint8_t { next_leader, receiver_leads, receiver_campaigns, later };
  void release_held(Release event, NodeId receiver);
  void release_late(size_t at);
  bool late_vote(NodeId from, NodeId to, const Bytes& frame);
  void hop(SimNode& n);
  void leave_alone_with_a_change(SimNode& n);
  // The number of the cut; 0: there is nobody to be cut off from.
  uint64_t isolate(NodeId id, bool one_way);
  void swizzle();
  void cut_off(NodeId id, uint64_t owner, bool one_way);
  DurationNs partition_length();
  void mend(uint64_t owner);
  void mend_all();
  void put_peer(NodeId from, NodeId to, const Bytes& frame, Mono when, bool late = false);
  void send_peer(SimNode& from, NodeId to, const Bytes& frame);
  void send_client(SimNode& from, net::ConnId conn, const Bytes& frame);
  bool cut(NodeId a, NodeId b) const;
  SimNode& node(NodeId id) const { return *nodes_[id.value - 1]; }

  // clients
  void make_clients();
  Mono time_of(uint32_t c) const { return clients_[c].clock.local(now_); }
  void with_client(uint32_t c, uint64_t life, std::function<void()> what);
  void drive_client(uint32_t c);
  virtual client::SessionOptions options_of(const SimClient& client) const;
  void client_pauses(uint32_t c, DurationNs pause);
  void client_taken_over(uint32_t c);
  bool write_token(uint32_t c, WorkSession& s);
  bool write_tokens(uint32_t c);
  void resume_all(uint32_t c, const client::Engine& before);
  virtual void session_lost(uint32_t c, WorkSession& s, const client::Event& e);
  void open_session(uint32_t c, WorkSession& s);
  void client_dies(uint32_t c);
  void client_retires(uint32_t c, DurationNs wait);
  void replace_process(uint32_t c);
  bool is_as_exported(uint32_t c) const;
  void client_mute(uint32_t c);
  void close_session(uint32_t c, WorkSession& s);
  void end_op(uint32_t c, WorkSession& s, const client::Event& e);
  void ledger_replied(OpRecord* r, const client::Event& e);
  void check_query(const OpRecord& r, Index index);
  void draw_load(OpRecord* r);
  uint32_t some_size(uint64_t large);
  void schedule_islands();
  void strand(uint32_t c);
  const SimNode* oldest_leader() const;
  Mono sets_out(uint32_t c, NodeId node) const;
  uint64_t key_of(uint32_t c, client::LinkId link) const {
    return static_cast<uint64_t>(c) << 48 | (clients_[c].life & 0xffff) << 32 | link;
  }
  bool lives(uint64_t key) const {
    const SimClient& c = clients_[key >> 48];
    return c.engine != nullptr && (c.life & 0xffff) == (key >> 32 & 0xffff);
  }
  void submit_more(uint32_t c, WorkSession& s);
  void on_event(uint32_t c, const client::Event& e);
  void open_link(uint32_t c, client::LinkId link, const std::string& endpoint);
  void send_server(client::LinkId link, uint32_t c, const Bytes& frame);
  void kill_link(uint64_t key, DurationNs notice_after);
  void tell(const std::string& who, const wire::ServerMessage& m);
  void tell(const std::string& who, const wire::ClientMessage& m);

  // the plugin under test
  std::unique_ptr<LedgerTypes> make_types();
  std::vector<server::PluginFile> plugin_files() const;
  client::Engine::Call call_of(const WorkSession& s, const OpRecord& r);
  void for_plugin(OpRecord* r);
  void plugin_replied(const OpRecord& r, const client::Event& e);
  void check_plugin(SimNode& n, const server::ApplyDone& done);
  void check_plugin_end();
  bool applied_enough(const server::Info& info);

  // hostile
  void make_hostile();
  void hostile_turn();
  void hostile_goes(NodeId to);
  void hostile_says(const std::vector<wire::ClientMessage>& messages);
  void hostile_receives(net::ConnId conn, const Bytes& frame);
  void hostile_hears(const wire::ServerMessage& message);
  wire::ClientMessage hostile_request();

  // members
  void make_spares();
  void schedule_change();
  SimNode* leading_node();
  std::string a_change(const raft::Membership& members);
  void change_members();
  void change_ended(const server::AdminResult& result);
  void ask(SimNode& n, const char* verb, const std::string& args);
  void operation_ended(uint64_t token, const server::AdminResult& result);
  void check_operations();
  bool operations_done();
  void note_membership(SimNode& n);
  bool counts(SimNode& n);

  // faults and the end
  struct FaultKind {
    const char* name;
    bool Profile::*on;
    void (*action)(Cluster& world, SimNode& n);  // draws what else there is to draw
  };
  static const std::vector<FaultKind>& fault_kinds();
  void schedule_faults();
  void fault(uint64_t number);
  void planted_failure();
  SimNode& any_node();
  uint32_t any_client() { return static_cast<uint32_t>(faults_.below(p_.clients)); }
  void pause(SimNode& n);
  void told_to_stop(SimNode& n);
  void stopped(SimNode& n);
  void check_stopped(SimNode& n, uint64_t life, Mono by);
  void drain(SimNode& n);
  void jump_clock(SimNode& n, DurationNs by);
  void partition(SimNode& n);
  void disk_error(SimNode& n);
  void disk_full(SimNode& n);
  void disk_slow(SimNode& n);
  void spoil_start(SimNode& n);
  void plugin_fails(SimNode& n);
  bool plugin_failed(SimNode& n, const Status& status);
  void no_snapshot(SimNode& n, const Status& status);
  void wipe(SimNode& n);
  void rot();
  bool flip_something(SimNode& n);
  void rot_under(SimNode& n);
  bool flip_durable(SimNode& n);
  void opened_rotten(SimNode& n, const Uuid& before);
  void rot_line(SimNode& n, const std::string& line);
  bool anybody_rots() const;
  void check_disks_whole();
  void look_for_healed(SimNode& n);
  void check_line(SimNode& n, const std::string& line);
  bool incarnations_bound() const;
  bool all_whole();
  void heal();
  bool can_freeze() const;
  void freeze_some();
  void freeze(SimNode& n, Frozen how);
  bool anybody_frozen() const;
  void thaw();
  void ask_more(uint32_t least, uint32_t most);

  // what must come of it (oracles_liveness.cpp)
  void expect_an_end();
  DurationNs election_max() const;
  DurationNs leader_bound() const;
  DurationNs catching_up() const;
  DurationNs end_bound() const;
  void look_for_leader();
  std::string whom_they_follow();
  std::string who_waits();
  static bool may_lead(const SimNode& n);
  void told_too_late();
  void phase_ended();
  bool clients_done() const;
  bool replicas_equal();
  SimNode* serving_leader();
  SimNode* known_leader();
  void stay_calm();
  static double touches_per_second(const SimNode& leader);
  void check_bounds();
  void check_replay();
  void check_program_order();
  void final_checks();
  bool agree(const std::vector<LedgerOp>& a, const std::vector<LedgerOp>& b) const;
  void check_order(const Ledger& ledger);

  Profile p_;
  bool verbose_;
  PluginUnderTest* plugin_;
  std::unique_ptr<PluginReference> reference_;
  Index enough_;  // with a plugin: replicas need not stand still, but have applied this much
  Prng rng_, faults_, net_, oracle_, loads_, islands_;
  Mono now_{1'000'000'000};
  uint64_t seq_ = 0, hash_ = 0;
  std::priority_queue<Item> queue_;
  Report report_;
  bool faulty_ = true;
  bool jumps_ = false;  // clocks have jumped: their rate says nothing
  bool healed_ = false;
  Mono heal_at_;   // when healing began, or a minority has thawed
  Mono awake_at_;  // since then nobody who counts pauses or stalls
  Mono leader_at_ = Mono::never();  // since then all have known one
  DurationNs catching_up_ns_ = 0;   // of those who were behind when it was healed
  Term settled_term_;               // and this was its term
  std::map<uint64_t, Asked> asked_;  // token -> what has no answer yet
  uint64_t next_token_ = 1000;

  std::vector<std::unique_ptr<SimNode>> nodes_;
  std::set<std::array<uint64_t, 3>> cuts_;  // from, to, whose it is: a link may be cut twice
  uint64_t next_cut_ = 0, isolation_ = 0;
  Mono lull_until_;
  bool wiping_ = false;
  std::map<std::pair<uint64_t, uint64_t>, Mono> peer_fifo_;
  struct Late {
    NodeId from, to;
    Bytes frame;
    Release release = Release::next_leader;
    Mono due = Mono::never();
  };
  std::vector<Late> held_, stale_;
  size_t held_kind_ = 2;
  std::map<std::pair<Uuid, uint64_t>, uint64_t> votes_;  // (disk of the voter, term) -> for whom
  struct Chosen {
    uint64_t term, voter, whom;
    Uuid disk;  // of the voter
    auto operator<=>(const Chosen&) const = default;
  };
  std::set<Chosen> chosen_;
  std::map<std::pair<uint64_t, uint64_t>, LogEnd> asked_with_;  // (candidate, term): what it said
  struct Seen {
    uint64_t hash = 0;
    LogTime time;
    Mono born;  // when its leader appended it
  };
  std::map<std::pair<uint64_t, uint64_t>, Seen> entries_;      // (index, term)
  std::map<uint64_t, uint64_t> committed_;                     // index -> term
  std::map<uint64_t, Term> committed_in_;  // index -> term of who saw that first
  std::map<Index, raft::Membership> configs_;  // committed
  std::map<Index, raft::Membership> counted_by_;   // committed up to here by one that was not
  std::map<Index, raft::SnapshotMeta> snapshots_;  // the first that was seen of each index
  std::map<uint64_t, uint64_t> leader_of_term_;
  std::map<uint64_t, uint64_t> hash_at_;  // index -> state hash
  SessionModel model_{limits_of(p_)};     // of what is committed
  std::vector<raft::Entry> log_;          // the same entries, for a replay at the end
  uint64_t peer_frames_ = 0;              // sent
  int live_rots_ = 0;                     // bytes that went bad under running nodes
  std::map<std::array<uint64_t, 3>, Mono> rounds_;  // leader, term, round -> first sent
  // Leader, peer and its disk: when the last round was sent that it has answered.
  std::map<std::tuple<NodeId, NodeId, Uuid>, Mono> heard_;
  struct AskedRead {
    Mono at;
    Index config;
  };
  std::map<std::array<uint64_t, 3>, AskedRead> queries_;  // connection, channel, correlation

  std::vector<SimClient> clients_;
  std::map<uint64_t, Link> links_;  // client << 32 | link
  std::map<net::ConnId, uint64_t> link_of_conn_;
  net::ConnId next_conn_ = 0;
  Hostile hostile_;
  std::vector<OpRecord> records_;
  uint64_t told_ = 0;  // the highest position that a client was told
  uint64_t next_op_ = 0;
};

}  // namespace raftcs::sim
