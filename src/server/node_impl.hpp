// node_impl.hpp: the parts of a node, shared by its topic files (private to src/server).
//
//   node.cpp      what comes in: frames, finished jobs, time
//   effects.cpp   what follows from it: consensus, jobs of the lanes, frames
//   roles.cpp     this node begins to lead, and leads no more
//   gateway.cpp   what clients send, and what they are answered
//   pushes.cpp    delivery of server-started requests, acknowledgements
//   opening.cpp   how sessions begin, go on and change hands
//   stopping.cpp  handing leadership over, draining, stopping, failing
//   standstill.cpp  the state machine does not get on
//   liveness.cpp  touches and expiry of sessions
//   timers.cpp    timers of state machines, presence of sessions
//   contacts.cpp  whose frames are taken; nodes that do not know one another yet
//   divergence.cpp  are the replicas' states equal
//   healing.cpp   a node whose data was damaged comes back
//   voting.cpp    when a node may vote, and when a founder may found
//   scrubbing.cpp files are read again while the node runs, and mended
//   admin.cpp     administration verbs; admin_members.cpp, admin_transfer.cpp: those with an
//                 outcome that takes time; admin_reseed.cpp, admin_services.cpp
#pragma once

#include <deque>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "rsm/ops.hpp"
#include "rsm/ring.hpp"
#include "server/admission.hpp"
#include "server/member_ops.hpp"
#include "server/node.hpp"
#include "server/replica_check.hpp"
#include "server/scrub_plan.hpp"

namespace raftcs::server {

// A session as this node mirrors it from applied entries, plus (on a leader) its routing.
struct Session {
  SessionNum num;
  Uuid id;
  Uuid proof;
  HolderId holder;  // the process it belongs to, by the log
  uint64_t timeout_ms = 0;
  RequestId highest_request;

  bool bound = false;
  net::ConnId conn = 0;
  wire::Channel channel = 0;
  uint64_t nonce = 0;     // the highest of `holder` that was bound: an earlier attempt is stale
  uint64_t epoch = 0;     // rises with every binding; fences fetched pushes
  uint32_t inflight = 0;  // requests accepted and not answered on this binding
  PushId sent_push;       // delivered to this binding up to here
  PushId push_base;       // what the client had when it bound: the window counts from here
  PushId acked_push;      // acknowledged on this binding, or logged before
  rsm::Ring<uint32_t> unacked_sizes;  // of what was delivered to this binding, oldest first
  uint64_t unacked_bytes = 0;
  PushId ack_to;          // to be written up to here, if ack_due
  bool ack_due = false;
  uint64_t fetch_epoch = 0;  // pushes are being read, for this binding or one before; 0: not
  bool behind = false;    // there are pushes beyond sent_push that wait for room
  bool closing = false;   // its end was proposed on this binding

  Mono last_heard;     // by this leader, in this leadership
  Mono last_logged;    // when this leader last proposed anything for it
  bool heard = false;  // since the last touch

  bool connected = true;        // as the log says
  bool here = false;            // as this leader sees it ...
  Mono here_since;              // ... and since when
  bool presence_asked = false;  // a proposal is under way
};

struct Connection {
  net::ConnId id = 0;
  std::unordered_map<wire::Channel, Session*> channels;
  wire::FrameBuilder out;
  bool dirty = false;    // has frames to send
  bool greeted = false;  // said hello: is told of topology changes
  bool foreign = false;  // said hello to another cluster
  Mono last_frame;
  Mono probed;
};

struct PendingCreate {
  net::ConnId conn = 0;
  wire::Channel channel = 0;
  uint64_t nonce = 0;
};

// A newer holder waits for its TakeOver to be applied.
struct PendingTakeover {
  net::ConnId conn = 0;
  wire::Channel channel = 0;
  uint64_t nonce = 0;
  HolderId holder;
  PushId received_push;
};

// A node of this cluster that the configuration does not name: it may lead already, or has not
// heard that it was removed.
struct Guest {
  std::string address;
  Uuid incarnation;
  Mono heard;
};
struct SwappedDisk {  // a member came with another disk than the configuration's
  Uuid incarnation;
  Mono told;
};
struct RefusedPeer {
  std::string address;
  size_t slot = 0;  // of the connection to it
  Mono sent, asked;
};

struct Proposal {  // an entry of ours that has not been applied yet
  Index index;
  Admission::Bill bill;  // of the requests in it
};
struct SealedBatch {  // complete, not accepted by consensus yet
  Bytes payload;
  Admission::Bill bill;
};

struct PendingContinue {  // of a session that this node does not know, yet
  net::ConnId conn = 0;
  wire::ContinueSession message;
};

struct Counters {
  uint64_t requests = 0, queries = 0, replies = 0, pushes = 0;
  uint64_t malformed_client = 0, malformed_peer = 0, foreign_peer = 0;
  uint64_t too_large = 0, sessions_limit = 0, admin_busy = 0, connections_refused = 0;
  uint64_t sessions_expired = 0, entries_applied = 0, dropped_frames = 0;
  uint64_t pushes_dropped = 0, push_resets = 0, ticks = 0;
};

struct Node::Impl {
  Impl(const Options& options, const storage::Identity& identity, raft::BootImage image,
       const NodeEnvironment& environment, Mono now);

  // node.cpp
  void client_frame(net::ConnId conn, const Bytes& frame, Mono now);
  void client_gone(net::ConnId conn);
  void peer_frame(const Bytes& frame, Mono now);
  void log_done(const LogDone& done, Mono now);
  void apply_done(ApplyDone&& done, Mono now);
  void snapshot_done(SnapshotDone&& done, Mono now);
  void begin_stop(Mono now);
  void tick(Mono now);
  NodeEffects take_effects(Mono now);
  Mono next_deadline() const;
  void run_raft(Mono now);
  void carry_out(raft::Effects&& effects);
  void emit_message(raft::Outgoing&& outgoing);
  bool is_durable(const raft::Outgoing& outgoing) const;
  void release_held();
  void seal_batch();
  void flush_batch(Mono now);
  void flush_reads(Mono now);
  void drop_batch();
  void roles_changed(Mono now);
  void lost_leadership(Mono now);
  void began_serving(Mono now);
  void bind_incarnations(Mono now);
  uint64_t log_bytes_since_snapshot() const;
  void maybe_snapshot(Mono now);
  void gather_peer_frames(Mono now);
  void serve_bulk(Mono now);
  void serve_frame(net::ConnId conn, const Bytes& frame, Mono now);
  void update_health();
  void publish_state();
  void log_line(int level, std::string text);
  bool can_take_part() const { return failed_.is_ok() && !finished_; }
  bool serving() const;

  // stopping.cpp
  void check_stopping(Mono now);
  void fail(const Status& status, Mono now);
  void fail_everything(const Status& status, Mono now);
  bool hand_over(Mono now);
  bool should_not_lead() const;
  void keep_handing_over(Mono now);
  void admin_drain(const AdminOrigin& origin, bool on, Mono now);
  void answer_drains(const Status& status);

  // gateway.cpp
  void on_message(Connection& c, wire::Hello&& m, Mono now);
  void on_message(Connection& c, wire::KeepAlive&& m, Mono now);
  void on_message(Connection& c, wire::Request&& m, Mono now);
  void on_message(Connection& c, wire::Query&& m, Mono now);
  void on_message(Connection& c, wire::PushAck&& m, Mono now);
  void on_message(Connection& c, wire::CloseSession&& m, Mono now);
  void on_message(Connection& c, wire::Admin&& m, Mono now);
  void on_message(Connection& c, wire::TopologyRequest&& m, Mono now);
  Connection& connection(net::ConnId id);
  void send(Connection& c, const wire::ServerMessage& message);
  void mark_dirty(Connection& c);
  void reject(Connection& c, wire::Channel channel, uint64_t nonce, wire::RejectReason reason,
              const std::string& text, uint64_t retry_after_ms = 0);
  // The session bound to the channel; none: the client is told why and null comes back.
  Session* session_of(Connection& c, wire::Channel channel);
  void bind(Connection& c, wire::Channel channel, Session& s, PushId received, Mono now);
  void drop_binding(Session& s, wire::CloseReason reason);
  void unbind(Session& s);
  void heard_of(Session& s, Mono now);
  void answer_replies(std::vector<rsm::Reply>& replies);
  void answer_queries(std::vector<QueryDone>& queries);
  Status too_large(const char* what, size_t bytes) const;
  void query_failed(const QueryItem& item, raftcs_status_t status, uint64_t retry_after_ms = 0);
  raftcs_status_t who_may_answer_instead() const;
  void settle(const QueryItem& item);
  void fail_accepted(const QueryItem& item, raftcs_status_t status);  // counted as open before
  void count_op();  // something was added to the batch
  void session_ended(const rsm::SessionEnded& ended);
  void forget_session(Session& s);
  Session& mirror(SessionNum num, const Uuid& id, const Uuid& proof, uint64_t timeout_ms);
  void restore_mirror(const Restored& restored);
  wire::LeaderHint leader_hint() const;
  std::vector<wire::MemberInfo> member_infos() const;
  void announce_topology();
  void close_all(wire::CloseReason reason);

  // pushes.cpp
  void begin_pushes(Session& s, PushId received);
  void deliver(rsm::Push& push);
  void deliver_fetched(PushesFetched& fetched);
  void fetch_pushes(Session& s);
  bool push_room(const Session& s) const;
  void skip_acknowledged(Session& s, PushId acked);
  void acknowledged(Session& s, PushId up_to);  // on this binding, or known to be logged
  void write_acks(Mono now);
  void flush_acks(Mono now);
  void drop_acks();

  // timers.cpp
  void arm_timer(Mono now);
  void timer_tick(Mono now);
  void presence_begins(Mono now);
  void presence_tick(Mono now);
  void presence_changed(const rsm::PresenceChanged& change);
  void probe(net::ConnId id, Mono now);

  // opening.cpp
  void on_message(Connection& c, wire::CreateSession&& m, Mono now);
  void on_message(Connection& c, wire::ContinueSession&& m, Mono now);
  void continue_session(Connection& c, const wire::ContinueSession& m, bool sure, Mono now);
  void create_known(Connection& c, const wire::CreateSession& m, Session& s, Mono now);
  void take_over(Connection& c, const wire::ContinueSession& m, Session& s);
  void session_started(const rsm::SessionStarted& started, Mono now);
  void session_taken(const rsm::TakenOver& taken, Mono now);
  void reject_taken(Connection& c, wire::Channel channel, uint64_t nonce, HolderId holder);
  void refuse_takeover(Session& s, wire::RejectReason reason, const char* text);
  void refuse_takeovers();  // all of them: this node does not lead
  // contacts.cpp
  bool admits(const wire::PeerEnvelope& envelope, Mono now);
  bool has_known_disk(const wire::PeerEnvelope& envelope, Mono now);
  void refuse_disk(const wire::PeerEnvelope& envelope, Mono now);
  void disk_asked(const wire::PeerEnvelope& e, const wire::PeerContact& c, Mono now);
  void disk_is_known(const wire::PeerEnvelope& e, const wire::PeerContact& c);
  void greet(NodeId peer, Mono now);
  void send_contact(NodeId link, NodeId to, const wire::PeerContact& contact);
  void peer_contact(const wire::PeerEnvelope& envelope, const wire::PeerContact& contact, Mono now);
  void refuse_peer(const wire::PeerEnvelope& envelope, const std::string& address,
                   wire::ContactReason reason, const std::string& text, Mono now);
  void was_refused(const wire::PeerEnvelope& envelope, const wire::PeerContact& contact);
  void sweep_contacts(Mono now);
  void update_peer_addresses();
  void membership_changed(Mono now);
  const char* standing() const;
  void update_standing();
  bool refusal_is_over() const;

  // voting.cpp
  bool may_vote() const;
  void update_passive();
  void drop_what_is_not_for_now(std::vector<raft::Message>* messages) const;
  void begin_as_founder(Mono now);
  void founder_tick(Mono now);
  void founder_heard(NodeId peer, Mono now);

  // healing.cpp
  bool is_healing() const { return environment_.healing && !raft_.disk_is_named(); }
  bool takes_frames() const { return !is_healing() || heal_admitted_; }
  void ask_to_heal(NodeId peer);
  void heal_asked(const wire::PeerEnvelope& envelope, const wire::PeerContact& contact, Mono now);
  void heal_admitted(const wire::PeerEnvelope& envelope);
  void return_votes(Mono now);
  void begin_heal_op(const MemberChange& change, Mono now);
  void heal_tick(Mono now);
  std::string healing_text() const;

  // scrubbing.cpp
  void scrub_tick(Mono now);
  Mono scrub_deadline() const;
  void scrubbed(const Scrubbed& done, Mono now);
  void scrub_log_done(const LogDone& done, Mono now);
  void scrub_snapshot_published(Index index, bool written, Mono now);
  void damage_is_known(const storage::ScrubFinding& found);
  void update_damage_health();
  void mended(const std::vector<MendPlan::Damage>& gone);
  MendPlan::View mend_view() const;
  bool wants_mending_snapshot() const;
  void mend(Mono now);
  nlohmann::json scrub_json() const;

  // divergence.cpp
  void send_check(NodeId to, const wire::PeerCheck& check);
  void check_begins(Mono now);
  void check_tick(Mono now);
  void peer_check(const wire::PeerEnvelope& envelope, const wire::PeerCheck& check, Mono now);
  void ask_lane_for_hash();
  void hash_found(const HashFound& found, Mono now);
  void check_answered(NodeId from, const wire::ReplicaHash& hash, Mono now);
  void conclude(CheckVerdict verdict, Mono now);
  void take_verdict(const CheckVerdict& verdict, Mono now);
  bool is_out_of_service(NodeId id) const;
  nlohmann::json divergence_json() const;

  // continues.cpp
  void ask_first(Connection& c, const wire::ContinueSession& m);
  void decide_continues(Mono now);
  void refuse_continues(std::vector<PendingContinue>&& continues);

  // liveness.cpp
  void notice_turn(Mono now);
  void begin_liveness(Mono now);
  void liveness_tick(Mono now);
  void watch(const Session& s, Mono now);
  void flush_touches(Mono now);
  void expire_silent(const std::vector<rsm::SilentSession>& silent, Mono now);
  bool may_expire(const Session& s, DurationNs silent_ns, Mono now) const;
  DurationNs liveness_interval() const;

  // admin.cpp
  void admin(const AdminOrigin& origin, const std::string& verb, const std::string& args_json,
             Mono now);
  void admin_reply(const AdminOrigin& origin, Status status, std::string json);
  void admin_listed(const Listed& listed);
  // admin_services.cpp
  void try_auto_services();
  void admin_service_create(const AdminOrigin& origin, const std::string& name,
                            const std::string& type);
  void services_tried(ServicesTried&& done);
  void service_created(const rsm::ServiceCreated& created);
  void fail_admin_waiters(const Status& status);
  // admin_members.cpp
  void admin_member_change(const AdminOrigin& origin, const nlohmann::json& args, Mono now);
  void admin_member_dry_run(const AdminOrigin& origin, const MemberOp& op);
  std::set<NodeId> members_up() const;
  void drive_member_op(Mono now);
  bool propose_member_step(MemberOp& op, const MemberPlan& plan, Mono now);
  bool caught_up(MemberOp& op, const std::vector<NodeId>& who, Mono now);
  void watch_member_op(MemberOp& op, Mono now);
  void next_member_step(MemberOp& op, Mono now);
  void end_member_op(Status status);
  Mono member_op_deadline(Mono now) const;
  nlohmann::json member_op_json() const;
  // admin_reseed.cpp
  void admin_reseed_plan(const AdminOrigin& origin, const nlohmann::json& args);
  void admin_reseed(const AdminOrigin& origin, const nlohmann::json& args);
  void reseed_marked(const ReseedMarked& done);
  std::set<NodeId> reseeds_permitted();
  // admin_transfer.cpp
  void admin_transfer(const AdminOrigin& origin, const nlohmann::json& args, Mono now);
  void drive_transfer_op(Mono now);
  void end_transfer_op(const Status& status);
  NodeId best_successor(const raft::Member** member) const;

  // standstill.cpp
  void handed_to_lane(Index last, Mono now);
  DurationNs stall_bound() const;
  void lane_progressed(const Status& halted, Mono now);
  void standstill_changed(Mono now);
  void stall_tick(Mono now);
  void end_what_waits_for_lane(const Status& status);
  const Status& standstill() const;
  void check_backlog(Mono now);
  void prefer_leader(Mono now);
  std::string status_json() const;
  std::string state_json() const;
  std::string members_json() const;
  std::string plugins_json() const;

  const Options options_;
  const storage::Identity identity_;
  NodeEnvironment environment_;
  wire::Limits wire_limits_;
  raft::Node raft_;
  NodeEffects out_;

  // consensus and lanes
  uint64_t durable_seq_ = 0;
  uint64_t hard_durable_seq_ = 0;  // of the hard state alone: ahead while the disk is full
  std::deque<raft::Outgoing> held_;  // messages that wait for a write
  std::map<NodeId, std::vector<raft::Message>> peer_out_;
  std::map<NodeId, std::string> peer_addresses_;
  std::map<NodeId, Uuid> incarnations_;  // the first heard of members whose disk is not bound
  std::map<NodeId, SwappedDisk> swapped_;       // refused: of members that came with another disk
  std::map<NodeId, Uuid> vouched_;  // and not refused: a later configuration names the other disk
  std::map<NodeId, Guest> guests_;
  std::map<NodeId, Mono> peer_heard_;  // last frame taken of each
  std::map<NodeId, Mono> greeted_;     // last contact sent to each
  std::vector<RefusedPeer> refusals_;
  std::string refused_text_;  // another node's, about this one; empty: nobody refuses it
  wire::ContactReason refused_as_ = wire::ContactReason::hello;
  Index refused_by_;  // the configuration it spoke of
  std::string standing_;
  Status standing_health_;
  bool was_member_ = false;
  bool heal_admitted_ = false;  // the leader has said so; until then nothing of consensus is said
  Mono heal_at_ = Mono::never();        // ask again
  std::optional<ReplicaCheck> check_;        // leader: under way
  bool check_complete_ = false;              // leader: all members answered at checked_ ...
  Index checked_;                            // ... the last index asked for
  Mono check_at_ = Mono::never();
  std::pair<NodeId, Index> hash_asked_;      // not yet handed to the apply lane
  Index answered_;                           // the last index this node answered for
  CheckVerdict verdict_;                     // the leader's last
  Status quarantined_;                       // not OK: this node's state is wrong
  bool told_other_disk_ = false;          // another member knows this id with another disk
  std::set<NodeId> founder_waits_for_;    // a founder that asks: these were not heard yet
  Mono founder_asks_at_ = Mono::never();  // again; never: this node does not ask (any more)
  Mono founder_until_;                    // waits no longer
  Mono return_votes_at_ = Mono::never();  // leader: look at members that return
  Mono heal_op_again_ = Mono();         // leader: no other attempt to take a node in before
  ScrubPlan scrub_;
  MendPlan mend_;
  uint64_t damages_found_ = 0, damages_mended_ = 0;  // by scrubbing
  Status damaged_;  // not OK: the disk is, and what is being done
  raft::Membership applied_membership_;  // in force at the last entry handed to the apply lane
  Index applied_;
  uint64_t state_hash_ = 0;
  Index snapshot_index_;
  bool snapshotting_ = false;
  Mono snapshot_retry_at_;               // not before
  Mono snapshot_again_ = Mono::never();  // one failed
  uint64_t log_bytes_at_snapshot_ = 0;
  uint64_t log_file_bytes_ = 0;
  Status failed_;    // final: storage
  Status health_;    // what info() and status say
  Status halted_;    // the apply lane stands at an entry
  Status cause_of_halt_;  // as the lane tells it
  Status stalled_;        // it has been in one call for long
  Status no_snapshot_;    // none can be taken, and the log is much longer than it should be
  Index handed_;          // the last entry that the lane was given
  Index restoring_to_;    // and the last snapshot
  Mono progressed_at_;    // the lane was last heard of, or had nothing to do
  Mono stall_at_ = Mono::never();
  Status no_space_;  // the log lane waits for disk space
  Mono hand_over_at_ = Mono::never();  // leads and should not (should_not_lead)
  std::set<NodeId> handed_to_;         // in vain, in this leadership
  Mono transfer_again_;                // proposals wait for an attempt: no other one before
  unsigned long checks_failed_ = 0;  // of the process when this node began

  // role
  raft::Role role_ = raft::Role::follower;
  Term term_;
  NodeId leader_;
  raft::Membership membership_;
  bool leader_ready_ = false;
  Index serve_after_;    // serve once applied up to here
  bool served_ = false;  // began_serving was done for this leadership
  Mono serving_since_;
  Mono attentive_since_;  // serving, and never asleep, since then
  Mono last_turn_;        // when the driver came last
  Mono bind_incarnations_at_ = Mono::never();

  // stopping
  bool draining_ = false;
  std::vector<AdminOrigin> drains_;  // answered when somebody else leads
  Mono drains_until_ = Mono::never();
  bool stopping_ = false;
  bool finished_ = false;
  bool handing_over_ = false;
  Mono stop_deadline_ = Mono::never();

  // clients
  std::unordered_map<net::ConnId, Connection> connections_;
  std::vector<net::ConnId> dirty_;
  std::unordered_map<SessionNum, Session> sessions_;
  std::unordered_map<Uuid, SessionNum> by_id_;
  std::unordered_map<Uuid, SessionNum> by_proof_;
  std::unordered_map<Uuid, PendingCreate> creates_;  // by proof
  std::unordered_map<SessionNum, PendingTakeover> takeovers_;
  std::map<std::string, rsm::ServiceInfo, std::less<>> services_;
  rsm::OpsWriter batch_;
  uint64_t batch_commands_ = 0;
  std::deque<SealedBatch> sealed_;  // proposed before batch_; more than one when a turn was rich
  std::deque<Proposal> proposals_;
  size_t proposals_committed_ = 0;  // prefix of proposals_ that is committed
  std::vector<PendingContinue> continues_;  // to be decided after a read, for the next round
  std::map<uint64_t, std::vector<PendingContinue>> continues_waiting_;  // by token
  std::vector<std::pair<Index, std::vector<PendingContinue>>> continues_ready_;  // once applied
  std::vector<QueryItem> reads_;    // linearizable, for the next round
  std::map<uint64_t, std::vector<QueryItem>> reads_waiting_;  // by token
  uint64_t read_token_ = 0;
  Admission admission_;
  uint64_t epochs_ = 0;
  std::vector<std::pair<net::ConnId, Bytes>> bulk_;  // frames of this turn that can wait
  std::vector<wire::ClientMessage> decoded_;
  size_t admin_calls_ = 0;  // in this turn
  Mono now_;                // of the last input
  std::vector<Session*> heard_;  // since the last touch
  std::vector<Session*> acks_due_;
  Mono ack_at_;
  bool finding_silent_ = false;  // the apply lane was asked
  Mono touch_at_;     // the next touch
  Mono liveness_at_;  // the next look for silent sessions
  LogTime next_timer_ = LogTime::never();  // of the state machines
  Mono timer_at_ = Mono::never();          // when to look at it
  Mono tick_proposed_at_;
  bool tick_asked_ = false;
  bool wants_presence_ = false;
  Mono presence_at_;
  Mono last_proposed_;  // operations went into the log
  Mono idle_sweep_at_;

  // administration
  std::map<uint64_t, AdminOrigin> admin_lists_;             // of sessions or services, by token
  std::map<uint64_t, AdminOrigin> admin_plugins_;           // lists of these, likewise
  std::map<uint64_t, AdminOrigin> admin_tries_;             // of services, by token
  struct ServiceWanted {
    AdminOrigin origin;
    std::string type;
  };
  std::map<std::string, ServiceWanted> admin_services_;  // proposed, by name
  std::vector<AdminOrigin> admin_snapshots_;
  std::map<uint64_t, AdminOrigin> reseeds_;  // by token; wait for their marks
  bool reseed_marked_ = false;
  std::map<NodeId, Uuid> permits_;  // to begin anew: which incarnation of each may
  Term permits_term_;
  uint64_t admin_token_ = 0;
  std::optional<MemberOp> member_op_;  // running, or the last one
  uint64_t member_ops_ = 0;
  std::optional<TransferOp> transfer_op_;
  Mono prefer_leader_at_ = Mono::never();
  Mono preferred_until_;  // no other attempt before
  DurationNs prefer_pause_ns_ = 0;
  Mono ops_at_ = Mono::never();  // look at the two above
  Counters counters_;
};

}  // namespace raftcs::server
