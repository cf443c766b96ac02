// sim_cluster.cpp: the event loop, the network, the faults and the oracles.
//
// Oracles, checked while it runs: at most one leader per term; terms and commits of a process
// never fall; replicas agree on the state hash at every index; every operation ends exactly
// once; a query sees every command that ended before it began; pushes come 1, 2, 3. At the end,
// after healing: all clients finish within a bound, all replicas reach the same state, applied
// commands are in the ledger exactly once at the position they were told, refused ones never,
// and the order of the ledger is an order that the clients could have seen.
#include "sim/sim_cluster.hpp"

#include <algorithm>
#include <cstdio>
#include <sstream>

#include "base/check.hpp"
#include "base/crc32c.hpp"
#include "raftcs.h"
#include "sim/sim_node.hpp"

namespace raftcs::sim {
namespace {

constexpr DurationNs kHealBoundNs = 60 * kNsPerSecond;
constexpr uint32_t kOpsAfterHealing = 40;
const char* g_check = nullptr;
int g_check_line = 0;

void remember_check(const char* expression, const char*, int line) {
  if (g_check == nullptr) g_check = expression;
  g_check_line = line;
}

struct OpRecord {
  LedgerOp op;
  bool is_query = false;
  Mono begun, ended = Mono::never();
  int32_t outcome = 0;
  uint64_t position = 0;   // command: told position; query: told count
};

struct WorkSession {
  client::SessionHandle handle = 0;
  uint32_t who = 0;
  uint32_t next = 0;
  uint32_t last = 0;                // operations it will have begun at the end
  std::map<uint64_t, size_t> open;  // op id -> record
  uint64_t pushes = 0;
  uint64_t last_push_position = 0;
  bool lost = false;
};

struct SimClient {
  std::unique_ptr<client::Engine> engine;
  std::vector<WorkSession> sessions;
  Mono timer_at = Mono::never();
};

struct Link {  // a client connection
  uint32_t client = 0;
  NodeId node;
  uint64_t life = 0;
  net::ConnId conn = 0;
  bool alive = true;
  Mono last_to_server, last_to_client;  // FIFO: nothing arrives before what was sent earlier
};

class Cluster {
 public:
  Cluster(const Profile& profile, bool verbose)
      : p_(profile), verbose_(verbose), rng_(profile.seed), faults_(profile.seed ^ 0xfau), net_(profile.seed ^ 0x4e7u) {}
  Report run();

 private:
  struct Item {
    Mono at;
    uint64_t seq;
    std::function<void()> what;
    bool operator<(const Item& o) const { return at != o.at ? at > o.at : seq > o.seq; }
  };

  void at(Mono when, std::function<void()> what) { queue_.push({std::max(when, now_), ++seq_, std::move(what)}); }
  void after(DurationNs d, std::function<void()> what) { at(now_ + d, std::move(what)); }
  DurationNs delay(DurationNs mean) {
    return static_cast<DurationNs>(net_.below(static_cast<uint64_t>(mean) * 2)) + 10'000;
  }
  void trace(uint64_t a, uint64_t b = 0) {
    uint64_t words[3] = {static_cast<uint64_t>(now_.ns), a, b};
    hash_ = crc32c(static_cast<uint32_t>(hash_), words, sizeof words) | (hash_ << 32);
  }
  void note(const std::string& line) {
    if (verbose_) std::fprintf(stderr, "%10.3f ms  %s\n", static_cast<double>(now_.ns) / 1e6, line.c_str());
  }
  void fail(const std::string& why) {
    if (!report_.ok) return;
    report_.ok = false;
    report_.failure = why;
    note("FAILED: " + why);
  }

  // nodes
  void make_nodes();
  void start(SimNode& n);
  void crash(SimNode& n, bool torn);
  void with_node(SimNode& n, uint64_t life, std::function<void()> what);
  void drive(SimNode& n);
  void run_lanes(SimNode& n);
  void check_node(SimNode& n);
  void send_peer(SimNode& from, NodeId to, const Bytes& frame);
  void send_client(SimNode& from, net::ConnId conn, const Bytes& frame);
  bool cut(NodeId a, NodeId b) const { return cuts_.contains({a.value, b.value}); }
  SimNode& node(NodeId id) { return *nodes_[id.value - 1]; }

  // clients
  void make_clients();
  void drive_client(uint32_t c);
  void submit_more(uint32_t c, WorkSession& s);
  void on_event(uint32_t c, const client::Event& e);
  void open_link(uint32_t c, client::LinkId link, const std::string& endpoint);
  void send_server(client::LinkId link, uint32_t c, const Bytes& frame);
  void kill_link(uint64_t key, DurationNs notice_after);

  // faults and the end
  void schedule_faults();
  void fault();
  void heal();
  bool clients_done() const;
  bool replicas_equal();
  void final_checks();
  void check_order(const Ledger& ledger);

  Profile p_;
  bool verbose_;
  Prng rng_, faults_, net_;
  Mono now_{1'000'000'000};
  uint64_t seq_ = 0, hash_ = 0;
  std::priority_queue<Item> queue_;
  Report report_;
  bool faulty_ = true;

  std::vector<std::unique_ptr<SimNode>> nodes_;
  std::set<std::pair<uint64_t, uint64_t>> cuts_;
  std::map<std::pair<uint64_t, uint64_t>, Mono> peer_fifo_;
  std::map<uint64_t, uint64_t> leader_of_term_;
  std::map<uint64_t, uint64_t> hash_at_;  // index -> state hash

  std::vector<SimClient> clients_;
  std::map<uint64_t, Link> links_;  // client << 32 | link
  std::map<net::ConnId, uint64_t> link_of_conn_;
  net::ConnId next_conn_ = 0;
  std::vector<OpRecord> records_;
  uint64_t next_op_ = 0;
};

std::string address_of(uint64_t id) { return "tcp://10.0.0." + std::to_string(id) + ":7001"; }

// --- nodes -------------------------------------------------------------------------------

void Cluster::make_nodes() {
  std::vector<server::ClusterMember> members;
  for (uint64_t i = 1; i <= p_.nodes; ++i)
    members.push_back({NodeId(i), "tcp://10.0.0." + std::to_string(i) + ":7101", address_of(i)});
  for (uint64_t i = 1; i <= p_.nodes; ++i) {
    auto n = std::make_unique<SimNode>();
    n->id = NodeId(i);
    n->options.id = n->id;
    n->options.data_dir = "/data";
    n->options.cluster = members;
    n->options.client_advertise = address_of(i);
    n->options.peer_advertise = members[i - 1].peer_address;
    n->options.segment_bytes = p_.segment_bytes;
    n->options.disk_reserve_bytes = 0;
    n->options.snapshot_entries = p_.snapshot_entries;
    n->options.trailing_entries = 8;
    n->options.auto_services = true;
    n->options.session_timeout_ms_min = 100;
    n->random = std::make_unique<SeededRandom>(p_.seed * 1000 + i);
    if (p_.skewed_clocks) n->clock.rate = 0.9 + 0.2 * static_cast<double>(rng_.below(1000)) / 1000.0;
    n->clock.offset_ns = static_cast<int64_t>(rng_.below(1'000'000'000'000));
    nodes_.push_back(std::move(n));
  }
  for (auto& n : nodes_) start(*n);
}

void Cluster::start(SimNode& n) {
  std::vector<std::string> notes;
  auto dir = server::open_data_dir(n.disk, n.options, *n.random, &notes);
  if (!dir) return fail("node " + to_string(n.id) + " does not open its directory: " + dir.status().text());
  n.dir = std::move(*dir);
  auto image = server::boot_image(*n.dir, n.options);
  if (!image) return fail("node " + to_string(n.id) + " has no boot image: " + image.status().text());
  for (const auto& line : notes) note("node " + to_string(n.id) + ": " + line);
  n.types = std::make_unique<LedgerTypes>();
  n.log_lane = std::make_unique<server::LogLane>(*n.dir);
  n.apply_lane = std::make_unique<server::ApplyLane>(*n.dir, *n.types, rsm::Limits{});
  n.snapshot_lane = std::make_unique<server::SnapshotLane>(*n.dir);
  server::NodeEnvironment environment;
  environment.random = n.random.get();
  environment.list_plugins = [] {
    return std::vector<server::PluginFile>{{"", "ledger", "1", {kLedgerType}, ""}};
  };
  n.node = std::make_unique<server::Node>(n.options, n.dir->identity(), std::move(*image), environment, n.clock.local(now_));
  n.node->set_invariant_checks(true);
  n.up = true;
  ++n.life;
  n.log_busy = n.apply_busy = n.snapshot_busy = n.halting_disk = false;
  n.timer_at = Mono::never();
  n.seen_commit = Index();
  note("node " + to_string(n.id) + " started");
  drive(n);
}

void Cluster::crash(SimNode& n, bool torn) {
  if (!n.up) return;
  ++report_.crashes;
  if (torn) ++report_.torn;
  note("node " + to_string(n.id) + " crashes" + (torn ? " in a write" : ""));
  trace(0xc0, n.id.value);
  n.node.reset();
  n.snapshot_lane.reset();
  n.apply_lane.reset();
  n.log_lane.reset();
  n.types.reset();
  n.dir.reset();
  n.log_jobs.clear();
  n.apply_jobs.clear();
  n.snapshot_jobs.clear();
  n.up = false;
  ++n.life;
  n.disk.crash(faults_);
  for (auto& [key, link] : links_)
    if (link.alive && link.node == n.id) kill_link(key, delay(p_.delay_mean_ns * 4));
  uint64_t life = n.life;
  DurationNs down = static_cast<DurationNs>(faults_.below(3000)) * kNsPerMs;
  after(down, [this, &n, life] {
    if (!n.up && n.life == life) start(n);
  });
}

void Cluster::with_node(SimNode& n, uint64_t life, std::function<void()> what) {
  if (!n.up || n.life != life || !report_.ok) return;
  if (n.paused_until > now_) {
    at(n.paused_until, [this, &n, life, what = std::move(what)] { with_node(n, life, what); });
    return;
  }
  what();
  drive(n);
}

void Cluster::drive(SimNode& n) {
  if (!n.up) return;
  Mono local = n.clock.local(now_);
  server::NodeEffects e = n.node->take_effects(local);
  for (auto& job : e.log) n.log_jobs.push_back(std::move(job));
  for (auto& job : e.apply) n.apply_jobs.push_back(std::move(job));
  for (auto& job : e.snapshot) n.snapshot_jobs.push_back(std::move(job));
  for (const auto& f : e.peer_frames) send_peer(n, f.peer, f.frame);
  for (const auto& f : e.client_frames) send_client(n, f.conn, f.frame);
  for (const auto& line : e.lines) note("node " + to_string(n.id) + ": " + line.text);
  check_node(n);
  run_lanes(n);
  Mono deadline = n.clock.global(n.node->next_deadline());
  if (deadline < n.timer_at || n.timer_at <= now_) {
    n.timer_at = deadline;
    uint64_t life = n.life;
    if (deadline != Mono::never())
      at(deadline, [this, &n, life] {
        if (n.life == life) n.timer_at = Mono::never();
        with_node(n, life, [this, &n] {
          Mono t = n.clock.local(now_);
          if (t >= n.node->next_deadline()) n.node->tick(t);
        });
      });
  }
}

void Cluster::run_lanes(SimNode& n) {
  uint64_t life = n.life;
  if (!n.log_busy && !n.log_jobs.empty()) {
    n.log_busy = true;
    DurationNs stall = faults_.chance(0.002) && faulty_ ? 300 * kNsPerMs : 0;
    after(delay(p_.disk_mean_ns) + stall, [this, &n, life] {
      if (!n.up || n.life != life) return;
      std::vector<server::LogDone> done = n.log_lane->run(&n.log_jobs);
      if (n.disk.powered_off()) return crash(n, true);
      with_node(n, life, [this, &n, done = std::move(done)] {
        n.log_busy = false;
        for (const auto& d : done) {
          if (!d.status.is_ok()) fail("node " + to_string(n.id) + ": " + d.status.text());
          n.node->log_done(d, n.clock.local(now_));
        }
      });
    });
  }
  if (!n.apply_busy && !n.apply_jobs.empty()) {
    n.apply_busy = true;
    after(delay(p_.disk_mean_ns / 4 + 1000), [this, &n, life] {
      if (!n.up || n.life != life) return;
      auto done = std::make_shared<server::ApplyDone>();
      n.apply_lane->run(&n.apply_jobs, done.get());
      if (!done->halted.is_ok()) return fail("node " + to_string(n.id) + " halted: " + done->halted.text());
      auto [it, fresh] = hash_at_.emplace(done->applied.value, done->state_hash);
      if (!fresh && it->second != done->state_hash)
        fail("replicas differ at index " + to_string(done->applied) + " (node " + to_string(n.id) + ")");
      if (done->restored) ++report_.snapshots_installed;
      with_node(n, life, [this, &n, done] {
        n.apply_busy = false;
        n.node->apply_done(std::move(*done), n.clock.local(now_));
      });
    });
  }
  if (!n.snapshot_busy && !n.snapshot_jobs.empty()) {
    n.snapshot_busy = true;
    after(delay(p_.disk_mean_ns * 2), [this, &n, life] {
      if (!n.up || n.life != life) return;
      server::SnapshotJob job = std::move(n.snapshot_jobs.front());
      n.snapshot_jobs.pop_front();
      auto done = std::make_shared<server::SnapshotDone>(n.snapshot_lane->run(job, [] { return false; }));
      if (n.disk.powered_off()) return crash(n, true);
      with_node(n, life, [this, &n, done] {
        n.snapshot_busy = false;
        n.node->snapshot_done(std::move(*done), n.clock.local(now_));
      });
    });
  }
}

void Cluster::check_node(SimNode& n) {
  if (g_check != nullptr)
    return fail(std::string("check failed in node ") + to_string(n.id) + ": " + g_check + " line " + std::to_string(g_check_line));
  raft::NodeStatus s = n.node->raft_status();
  if (s.term < n.seen_term) fail("term of node " + to_string(n.id) + " fell");  // also over restarts
  if (s.commit < n.seen_commit) fail("commit of node " + to_string(n.id) + " fell");
  n.seen_commit = s.commit;
  if (s.role != raft::Role::leader) return;
  n.seen_term = s.term;
  auto [it, fresh] = leader_of_term_.emplace(s.term.value, n.id.value);
  if (fresh) {
    ++report_.leaders;
    note("node " + to_string(n.id) + " leads term " + to_string(s.term));
    trace(0x1e, s.term.value);
  } else if (it->second != n.id.value) {
    fail("two leaders in term " + to_string(s.term));
  }
}

void Cluster::send_peer(SimNode& from, NodeId to, const Bytes& frame) {
  trace(frame.size(), from.id.value << 8 | to.value);
  if (cut(from.id, to)) return;
  if (faulty_ && faults_.chance(p_.loss)) return;
  int copies = faulty_ && faults_.chance(p_.duplicate) ? 2 : 1;
  for (int i = 0; i < copies; ++i) {
    Mono when = now_ + delay(p_.delay_mean_ns);
    if (p_.reorder && faulty_ && faults_.chance(0.02)) when = when + static_cast<DurationNs>(faults_.below(400)) * kNsPerMs;
    if (!p_.reorder) {
      Mono& last = peer_fifo_[{from.id.value, to.value}];
      when = last = std::max(when, last);
    }
    SimNode& target = node(to);
    uint64_t life = target.life;
    at(when, [this, &target, frame, life] {
      // A frame sent to an earlier process of that node went into a connection that is gone.
      with_node(target, life, [this, &target, frame] { target.node->peer_frame(frame, target.clock.local(now_)); });
    });
  }
}

void Cluster::send_client(SimNode& from, net::ConnId conn, const Bytes& frame) {
  auto it = link_of_conn_.find(conn);
  if (it == link_of_conn_.end()) return;
  uint64_t key = it->second;
  Link& link = links_[key];
  trace(frame.size(), 0xc1000 | from.id.value);
  if (!link.alive) {
    from.node->client_gone(conn);
    return;
  }
  link.last_to_client = std::max(link.last_to_client, now_ + delay(p_.delay_mean_ns));
  at(link.last_to_client, [this, key, frame] {
    Link& l = links_[key];
    if (!l.alive) return;
    clients_[l.client].engine->receive(static_cast<client::LinkId>(key), frame, now_);
    drive_client(l.client);
  });
}

// --- clients -------------------------------------------------------------------------------

void Cluster::make_clients() {
  clients_.resize(p_.clients);
  uint32_t who = 0;
  for (uint32_t c = 0; c < p_.clients; ++c) {
    clients_[c].engine = std::make_unique<client::Engine>(
        std::array<uint64_t, 4>{rng_.next(), rng_.next(), rng_.next(), rng_.next()});
    for (uint32_t i = 0; i < p_.sessions; ++i) {
      client::SessionOptions o;
      for (uint64_t n = 1; n <= p_.nodes; ++n) o.endpoints.push_back(address_of(n));
      std::rotate(o.endpoints.begin(), o.endpoints.begin() + static_cast<ptrdiff_t>(rng_.below(p_.nodes)), o.endpoints.end());
      o.capabilities = {{"sim", "1"}};
      o.session_timeout_ms = 30'000;
      WorkSession s;
      s.handle = clients_[c].engine->add(o);
      s.who = ++who;
      s.last = p_.ops;
      clients_[c].sessions.push_back(s);
      clients_[c].engine->open(s.handle, now_);
    }
    for (WorkSession& s : clients_[c].sessions) submit_more(c, s);
    drive_client(c);
  }
}

void Cluster::submit_more(uint32_t c, WorkSession& s) {
  while (!s.lost && s.next < s.last && s.open.size() < p_.window) {
    client::Engine::Call call;
    call.session = s.handle;
    call.op_id = ++next_op_;
    call.tag = call.op_id;
    call.service = "ledger";
    OpRecord r;
    r.is_query = rng_.chance(0.25);
    r.begun = now_;
    r.op = {rng_.chance(0.2) ? 2u : 1u, s.who, s.next};
    if (rng_.chance(0.05)) call.deadline = now_ + static_cast<DurationNs>(rng_.between(5, 2000)) * kNsPerMs;
    if (!r.is_query) call.payload = Bytes::copy(&r.op, sizeof r.op);
    s.open[call.op_id] = records_.size();
    ++s.next;
    bool is_query = r.is_query;
    records_.push_back(r);
    if (is_query)
      clients_[c].engine->query(std::move(call), now_);
    else
      clients_[c].engine->submit(std::move(call), now_);
  }
}

void Cluster::on_event(uint32_t c, const client::Event& e) {
  WorkSession* s = nullptr;
  for (WorkSession& candidate : clients_[c].sessions)
    if (candidate.handle == e.session) s = &candidate;
  if (s == nullptr) return fail("an event of a session that is not there");
  trace(static_cast<uint64_t>(e.kind), e.op_id);
  switch (e.kind) {
    case client::EventKind::reply:
    case client::EventKind::query_reply: {
      auto it = s->open.find(e.op_id);
      if (it == s->open.end()) return fail("operation " + std::to_string(e.op_id) + " ended twice");
      OpRecord& r = records_[it->second];
      s->open.erase(it);
      r.ended = now_;
      r.outcome = e.outcome;
      if (e.status == RAFTCS_OK) {
        if (e.data.size() != 8 || e.app_code != 0) return fail("a reply that the ledger did not give");
        std::memcpy(&r.position, e.data.data(), 8);
      }
      if (r.is_query && e.status == RAFTCS_OK) ++report_.queries;
      if (!r.is_query && e.outcome == RAFTCS_OUTCOME_APPLIED) ++report_.ops_applied;
      if (!r.is_query && e.outcome == RAFTCS_OUTCOME_UNKNOWN) ++report_.ops_unknown;
      if (!r.is_query && e.outcome == RAFTCS_OUTCOME_NOT_APPLIED) ++report_.ops_not_applied;
      submit_more(c, *s);
      break;
    }
    case client::EventKind::push: {
      uint64_t position = 0;
      if (e.data.size() == 8) std::memcpy(&position, e.data.data(), 8);
      if (e.op_id != s->pushes + 1) fail("pushes of session " + std::to_string(s->who) + " have a gap or a repeat");
      if (position <= s->last_push_position) fail("pushes out of order");
      s->pushes = e.op_id;
      s->last_push_position = position;
      ++report_.pushes;
      break;
    }
    case client::EventKind::session_lost:
      s->lost = true;
      fail("session " + std::to_string(s->who) + " was lost: " + e.text);
      break;
    default:
      break;
  }
}

void Cluster::drive_client(uint32_t c) {
  SimClient& client = clients_[c];
  client::Effects e = client.engine->take_effects(now_);
  while (!e.empty()) {
    for (const auto& open : e.open) open_link(c, open.link, open.endpoint);
    for (const auto& send : e.send) send_server(send.link, c, send.frame);
    for (client::LinkId link : e.close) kill_link(static_cast<uint64_t>(c) << 32 | link, -1);
    for (const auto& event : e.events) on_event(c, event);
    e = client.engine->take_effects(now_);
  }
  Mono deadline = client.engine->next_deadline();
  if (deadline >= client.timer_at && client.timer_at > now_) return;
  client.timer_at = deadline;
  if (deadline == Mono::never()) return;
  at(deadline, [this, c, deadline] {
    if (clients_[c].timer_at == deadline) clients_[c].timer_at = Mono::never();
    clients_[c].engine->tick(now_);
    drive_client(c);
  });
}

void Cluster::open_link(uint32_t c, client::LinkId id, const std::string& endpoint) {
  uint64_t key = static_cast<uint64_t>(c) << 32 | id;
  Link link;
  link.client = c;
  for (auto& n : nodes_)
    if (address_of(n->id.value) == endpoint) link.node = n->id;
  if (!link.node) return fail("a client goes to an unknown endpoint " + endpoint);
  SimNode& n = node(link.node);
  link.life = n.life;
  link.conn = ++next_conn_;
  link.last_to_client = link.last_to_server = now_;
  links_[key] = link;
  link_of_conn_[link.conn] = key;
  ++report_.reconnects;
  if (!n.up) kill_link(key, delay(p_.delay_mean_ns));
}

void Cluster::send_server(client::LinkId id, uint32_t c, const Bytes& frame) {
  uint64_t key = static_cast<uint64_t>(c) << 32 | id;
  Link& link = links_[key];
  if (!link.alive) return;
  link.last_to_server = std::max(link.last_to_server, now_ + delay(p_.delay_mean_ns));
  at(link.last_to_server, [this, key, frame] {
    Link& l = links_[key];
    SimNode& n = node(l.node);
    if (!l.alive || n.life != l.life) return;
    net::ConnId conn = l.conn;
    with_node(n, l.life, [this, &n, conn, frame] { n.node->client_frame(conn, frame, n.clock.local(now_)); });
  });
}

// notice_after < 0: the client closed it itself and needs no notice.
void Cluster::kill_link(uint64_t key, DurationNs notice_after) {
  Link& link = links_[key];
  if (!link.alive) return;
  link.alive = false;
  if (notice_after < 0) return;
  uint32_t c = link.client;
  after(notice_after, [this, key, c] {
    clients_[c].engine->link_down(static_cast<client::LinkId>(key), now_);
    drive_client(c);
  });
}

// --- faults ------------------------------------------------------------------------------------

void Cluster::schedule_faults() {
  if (!faulty_ || !report_.ok) return;
  after(static_cast<DurationNs>(faults_.between(20, 900)) * kNsPerMs, [this] {
    if (!faulty_) return;
    fault();
    schedule_faults();
  });
}

void Cluster::fault() {
  SimNode& n = *nodes_[faults_.below(nodes_.size())];
  switch (faults_.below(6)) {
    case 0:
      if (p_.crashes) crash(n, false);
      break;
    case 1:
      if (p_.torn_writes && n.up) n.disk.power_off_after(faults_.between(1, 6));
      break;
    case 2: {
      if (!p_.partitions) break;
      ++report_.partitions;
      cuts_.clear();
      bool one_way = faults_.chance(0.3);
      for (auto& other : nodes_) {
        if (other->id == n.id || faults_.chance(0.2)) continue;
        cuts_.insert({n.id.value, other->id.value});
        if (!one_way) cuts_.insert({other->id.value, n.id.value});
      }
      note("node " + to_string(n.id) + (one_way ? " cannot send" : " is cut off"));
      after(static_cast<DurationNs>(faults_.between(200, 4000)) * kNsPerMs, [this] { cuts_.clear(); });
      break;
    }
    case 3:
      if (!p_.pauses || !n.up) break;
      ++report_.pauses;
      n.paused_until = now_ + static_cast<DurationNs>(faults_.between(50, 3000)) * kNsPerMs;
      note("node " + to_string(n.id) + " pauses");
      break;
    case 4:
      if (!p_.client_cuts) break;
      for (auto& [key, link] : links_)
        if (link.alive && faults_.chance(0.5)) kill_link(key, delay(p_.delay_mean_ns));
      break;
    case 5: {
      if (!p_.transfers || !n.up) break;
      uint64_t to = faults_.between(1, p_.nodes);
      ++report_.transfers;
      n.node->admin(1, "transfer", "{\"to\":" + std::to_string(to) + "}", n.clock.local(now_));
      drive(n);
      break;
    }
  }
}

void Cluster::heal() {
  faulty_ = false;
  cuts_.clear();
  note("healed");
  for (auto& n : nodes_) {
    n->paused_until = std::min(n->paused_until, now_);
    if (n->up && n->disk.powered_off()) crash(*n, true);
    n->disk.power_off_after(UINT64_MAX / 2);
    if (!n->up) start(*n);
  }
  // What is left to do must fit the bound even on the slowest network that a seed can have.
  for (SimClient& c : clients_)
    for (WorkSession& s : c.sessions) s.last = std::min(s.last, s.next + kOpsAfterHealing);
}

bool Cluster::clients_done() const {
  for (const SimClient& c : clients_)
    for (const WorkSession& s : c.sessions)
      if (s.next < s.last || !s.open.empty()) return false;
  return true;
}

bool Cluster::replicas_equal() {
  Index index;
  for (auto& n : nodes_) {
    if (!n->up) return false;
    server::Info info = n->node->info();
    if (!index) index = info.applied;
    if (info.applied != index || info.commit != index) return false;
    if (n->types->ledger() == nullptr) return false;
  }
  return true;
}

// --- the end -----------------------------------------------------------------------------------

void Cluster::final_checks() {
  const Ledger* ledger = nodes_[0]->types->ledger();
  for (auto& n : nodes_) {
    const Ledger* other = n->types->ledger();
    if (other->doubled != 0) fail("node " + to_string(n->id) + " applied a command twice");
    if (other->ops != ledger->ops) fail("ledgers differ on node " + to_string(n->id));
  }
  for (const OpRecord& r : records_) {
    if (r.is_query) continue;
    bool there = ledger->seen.contains({r.op.who, r.op.what});
    if (r.outcome == RAFTCS_OUTCOME_NOT_APPLIED && there) fail("a command reported as not applied was applied");
    if (r.outcome != RAFTCS_OUTCOME_APPLIED) continue;
    if (!there) fail("an acknowledged command is missing");
    if (r.position == 0 || r.position > ledger->ops.size() || ledger->ops[r.position - 1] != r.op)
      fail("an acknowledged command is not where its reply said");
  }
  check_order(*ledger);
}

// Real time: what ended before something began comes before it (commands by position, queries
// by the count they saw).
void Cluster::check_order(const Ledger&) {
  std::vector<const OpRecord*> done;
  for (const OpRecord& r : records_)
    if (r.outcome == RAFTCS_OUTCOME_APPLIED || (r.is_query && r.position > 0)) done.push_back(&r);
  std::vector<const OpRecord*> by_end = done;
  std::sort(by_end.begin(), by_end.end(), [](auto* a, auto* b) { return a->ended < b->ended; });
  std::sort(done.begin(), done.end(), [](auto* a, auto* b) { return a->begun < b->begun; });
  uint64_t highest = 0;
  size_t at_end = 0;
  for (const OpRecord* r : done) {
    while (at_end < by_end.size() && by_end[at_end]->ended < r->begun) highest = std::max(highest, by_end[at_end++]->position);
    bool good = r->is_query ? r->position >= highest : r->position > highest;
    if (!good) fail(std::string(r->is_query ? "a query" : "a command") + " did not see what had ended before it began");
  }
}

Report Cluster::run() {
  CheckHandler before = set_check_handler(remember_check);
  g_check = nullptr;
  make_nodes();
  if (report_.ok) make_clients();
  schedule_faults();
  Mono heal_at = now_ + p_.fault_phase_ns;
  Mono give_up = heal_at + kHealBoundNs;
  bool healed = false;
  bool done = false;
  while (report_.ok && !queue_.empty()) {
    Item item = queue_.top();
    queue_.pop();
    now_ = item.at;
    ++report_.events;
    if (!healed && (now_ >= heal_at || clients_done())) {
      healed = true;
      give_up = now_ + kHealBoundNs;
      heal();
    }
    item.what();
    if (healed && (report_.events & 63) == 0 && clients_done() && replicas_equal()) {
      done = true;
      break;
    }
    if (now_ > give_up) {
      std::ostringstream why;
      why << "no end " << kHealBoundNs / kNsPerSecond << " s after healing: clients " << (clients_done() ? "done" : "not done") << ";";
      for (auto& n : nodes_)
        if (n->up) {
          server::Info i = n->node->info();
          why << " node " << n->id.value << " term " << i.term.value << " commit " << i.commit.value << " applied " << i.applied.value
              << (i.leads ? " leads" : "") << ";";
        }
      fail(why.str());
    }
  }
  if (report_.ok && !done) fail("the simulation ran dry");
  if (report_.ok) final_checks();
  for (const SimClient& c : clients_)
    for (const WorkSession& s : c.sessions)
      if (c.engine) report_.resent += c.engine->info(s.handle).resent;
  report_.trace_hash = hash_;
  set_check_handler(before);
  return report_;
}

}  // namespace

std::string Profile::describe() const {
  std::ostringstream s;
  s << "seed " << seed << ": " << nodes << " nodes, " << clients << "x" << sessions << " sessions, window " << window << ", ops " << ops
    << (crashes ? ", crashes" : "") << (torn_writes ? ", torn writes" : "") << (partitions ? ", partitions" : "")
    << (pauses ? ", pauses" : "") << (skewed_clocks ? ", skewed clocks" : "") << (client_cuts ? ", client cuts" : "")
    << (transfers ? ", transfers" : "") << (loss > 0 ? ", loss" : "") << (duplicate > 0 ? ", duplicates" : "")
    << (reorder ? ", reorder" : "") << ", snapshot every " << snapshot_entries;
  return s.str();
}

// Swarm: each fault class is on or off by the seed, so that rare combinations get their turn.
Profile profile_of(uint64_t seed) {
  Prng r(seed * 7919 + 17);
  Profile p;
  p.seed = seed;
  constexpr uint32_t kSizes[] = {1, 2, 3, 3, 3, 3, 4, 5, 5, 7};
  p.nodes = kSizes[r.below(10)];
  p.clients = static_cast<uint32_t>(r.between(1, 3));
  p.sessions = static_cast<uint32_t>(r.between(1, 3));
  p.ops = static_cast<uint32_t>(r.between(60, 500));
  p.window = static_cast<uint32_t>(r.between(1, 8));
  bool calm = r.chance(0.2);
  auto on = [&](double chance) { return !calm && r.chance(chance); };
  p.crashes = on(0.5);
  p.torn_writes = on(0.5);
  p.partitions = on(0.5);
  p.pauses = on(0.4);
  p.skewed_clocks = on(0.5);
  p.client_cuts = on(0.5);
  p.transfers = on(0.4);
  p.loss = on(0.4) ? 0.01 * static_cast<double>(r.between(1, 20)) : 0;
  p.duplicate = on(0.4) ? 0.01 * static_cast<double>(r.between(1, 20)) : 0;
  p.reorder = on(0.4);
  p.snapshot_entries = r.chance(0.6) ? r.between(5, 60) : 100'000;
  p.segment_bytes = r.between(4, 64) << 10;
  p.delay_mean_ns = static_cast<DurationNs>(r.between(1, 30)) * kNsPerMs;
  p.disk_mean_ns = static_cast<DurationNs>(r.between(1, 20)) * kNsPerMs;
  p.fault_phase_ns = static_cast<DurationNs>(r.between(5, 30)) * kNsPerSecond;
  return p;
}

Report run_seed(const Profile& profile, bool verbose) { return Cluster(profile, verbose).run(); }

}  // namespace raftcs::sim
