// node_impl.hpp: the state of one node and the list of its transitions.
//
// Plain copyable values, so that an explorer can clone a node. The role is a variant: what
// only a leader has exists only while it leads. Each topic has its own file:
//   node.cpp         the public methods, dispatch of messages, time, effects
//   election.cpp     terms, votes, pre-vote, stepping down (thesis 3.4, 4.2.3, 9.6)
//   replication.cpp  leader side of the log: appends, flow control, commitment (3.5, 3.6, 10.2)
//   follower.cpp     follower side of the log: matching, truncation, answers (3.5)
//   membership_change.cpp  configurations in the log (4)
//   snapshot.cpp     compaction and the transfer of snapshots (5)
//   read_index.cpp   linearizable reads and quorum contact (6.4, 6.2)
//   transfer.cpp     handing leadership over (3.10)
//
// What must hold is in invariants.hpp. Threads: none.
#pragma once

#include <deque>
#include <optional>
#include <variant>
#include <vector>

#include "base/prng.hpp"
#include "raft/log_view.hpp"
#include "raft/node.hpp"
#include "raft/progress.hpp"
#include "raft/quorum.hpp"

namespace raftcs::raft {

struct Follower {};

// Grants are counted once per sender and only in their own phase (EL-05, EL-06): a new role
// object starts without any.
struct PreCandidate {
  Term asked;  // the term it would campaign in; its own term is still one lower
  std::vector<NodeId> grants;
};

struct Candidate {
  std::vector<NodeId> grants;
  uint64_t own_vote_seq = 0;  // own vote counts when this write is durable (EL-02)
  bool transfer = false;
};

struct PendingRead {
  uint64_t token = 0;
  Index index;
  uint64_t round = 0;
};

struct Transfer {
  NodeId target;
  Mono give_up;
  bool sent = false;
};

struct Leader {
  std::vector<Progress> peers;  // by id, without this node
  Index first_own;              // the no-op that began this term
  bool ready = false;           // first_own is committed
  Mono heartbeat_at;
  Mono notice_at = Mono::never();  // when followers are told of commit_ by an empty append
  Mono quorum_contact;          // a quorum has answered since then
  // LogTime: `clock` was the cluster time at `clock_at`.
  LogTime clock;
  Mono clock_at;
  uint64_t uncommitted_bytes = 0;  // payload bytes in (commit, last] (LR-13)
  // Reads: asked before an own-term commit; asked since the last flush; in a round.
  std::vector<uint64_t> reads_early;
  std::vector<PendingRead> reads_new;
  std::deque<PendingRead> reads_waiting;
  uint64_t round = 0;            // the last one started; never reused (RD-03)
  std::optional<Transfer> transfer;
  bool leaving = false;          // a committed configuration has no vote for this node (MB-11)

  Progress* find(NodeId id);
  const Progress* find(NodeId id) const;
};

// A write handed to the driver and not yet durable.
struct PendingWrite {
  uint64_t seq = 0;
  Index first;  // the lowest index it touches
  Index last;   // its entries up to here are still the log's; lowered by truncation (LR-11)
};

// What a message waits for: a write, or of it and those before only the hard state.
struct Await {
  uint64_t seq = 0;
  bool hard_state_only = false;
};

struct ConfigAt {
  Index index;
  Membership membership;
};

struct SnapshotReceive {
  SnapshotMeta meta;
  uint64_t next_offset = 0;
  bool writing = false;
};

struct Node::Impl {
  Impl(const Options& options, BootImage image, Mono now);

  // --- state ---------------------------------------------------------------------
  Options options_;
  Prng prng_;
  Mono now_;

  HardState hard_;
  bool hard_dirty_ = false;   // differs from what was handed to the driver
  uint64_t hard_seq_ = 0;     // the write that carried it last

  LogView log_;
  SnapshotMeta snapshot_;     // the last one known durable here; index 0: none
  Index compaction_goal_;     // the log is cut to here; beyond its base: when it can be
  std::vector<ConfigAt> configs_;  // every configuration entry in the log, in order
  VoterSets voters_;          // of membership()
  bool passive_ = false;      // seeks no election
  bool last_choice_ = false;  // seeks one only after all others had time to
  int election_rank_ = 0;     // waits this many more election timeouts than the best voter
  Index commit_;
  Index handed_out_;          // given to the state machine
  Index applied_;

  // Writing. Entries at and above first_unwritten_ were not yet given to the driver.
  Index first_unwritten_;
  std::optional<Index> truncate_;
  std::optional<SnapshotMeta> reset_log_;
  uint64_t last_seq_ = 0;
  uint64_t persisted_seq_ = 0;
  uint64_t hard_persisted_seq_ = 0;  // of the hard state alone; may be ahead (full disk)
  std::deque<PendingWrite> writes_;
  Index durable_;             // the log is durable up to here

  std::variant<Follower, PreCandidate, Candidate, Leader> role_;
  NodeId leader_;             // 0: none known
  Mono leader_contact_;       // last heard of leader_
  Mono election_at_;
  std::optional<SnapshotReceive> receiving_;

  Effects out_;               // what was decided since the last take_effects
  std::optional<SnapshotMeta> restore_;
  bool full_checks_ = false;
  uint32_t scan_every_ = 1;
  mutable uint32_t unscanned_ = 0;  // inputs since the last scan; decides nothing else

  // --- small questions -------------------------------------------------------------
  const Membership& membership() const {
    return configs_.empty() ? snapshot_.membership : configs_.back().membership;
  }
  Index membership_index() const {
    return configs_.empty() ? snapshot_.index : configs_.back().index;
  }
  Leader* leading() { return std::get_if<Leader>(&role_); }
  const Leader* leading() const { return std::get_if<Leader>(&role_); }
  Role role() const { return static_cast<Role>(role_.index()); }
  bool is_voter() const { return voters_.contains(options_.id); }
  // The configuration in force, and those before it that are not surely past.
  template <class Condition>
  bool any_membership(const Condition& holds) const {
    for (auto it = configs_.rbegin(); it != configs_.rend(); ++it) {
      if (holds(it->membership)) return true;
      if (it->index <= commit_) return false;
    }
    return holds(snapshot_.membership);
  }
  void see(Mono now) { now_ = std::max(now_, now); }

  // --- node.cpp ----------------------------------------------------------------------
  void tick();
  void receive(Message message);
  void dispatch_current(Message& message);
  void answer_stale(const Message& message);
  void persisted(uint64_t seq);
  Effects take_effects();
  void take_write(Effects* out);
  Mono next_deadline() const;
  NodeStatus status() const;
  void send(NodeId to, MessageBody body, Await await = {});
  void send_in_term(NodeId to, Term term, MessageBody body, Await await = {});
  // The write that makes the hard state, respectively the log up to `index` too, durable.
  Await hard_write() const;
  Await log_write(Index index) const;

  // --- election.cpp --------------------------------------------------------------------
  void arm_election();
  void election_timeout();
  void campaign(bool transfer);
  void pre_campaign();
  void broadcast_vote_request(Term term, bool pre_vote, bool transfer);
  void become_follower(Term term, NodeId leader);
  void become_leader();
  void set_term(Term term);
  void leave_role();
  void set_leader(NodeId leader);
  void follow(NodeId leader);
  bool sticks_to_leader(NodeId asking) const;
  bool may_campaign() const;
  bool is_up_to_date(const VoteRequest& request) const;
  bool ignores_vote_request(const Message& message, const VoteRequest& request) const;
  void on_pre_vote(const Message& message, const VoteRequest& request);
  void on_vote(const Message& message, const VoteRequest& request);
  void on_vote_response(const Message& message, const VoteResponse& response);
  void count_own_vote();
  bool won(const std::vector<NodeId>& grants) const;

  // --- replication.cpp -------------------------------------------------------------------
  Refusal propose(EntryType type, Bytes payload, Index* index, Term* term);
  void append_as_leader(Leader& lead, EntryType type, Bytes payload);
  void replicate();
  void replicate_to(Leader& lead, Progress& peer);
  bool send_append(Leader& lead, Progress& peer, bool with_entries);
  void send_bare_heartbeat(Leader& lead, Progress& peer);
  void on_append_response(const Message& message, const AppendResponse& response);
  void leader_commit();
  void commit_to(Index index);
  void leader_tick(Leader& lead);

  // --- follower.cpp ------------------------------------------------------------------------
  void on_append(const Message& message, AppendRequest& request);
  bool is_well_formed(const Message& message, const AppendRequest& request) const;
  void refuse_append(const Message& message, const AppendRequest& request);
  bool store(AppendRequest& request);
  void truncate_log(Index from);
  bool append_entry(Entry entry);

  // --- membership_change.cpp ---------------------------------------------------------------
  Refusal propose_membership(const Membership& membership, Index* index, Term* term);
  void membership_changed();
  void sync_peers(Leader& lead);
  void drop_departed(Leader& lead);
  void on_config_committed(Leader& lead);
  void leave_if_removed();

  // --- snapshot.cpp ----------------------------------------------------------------------
  void snapshot_taken(const SnapshotMeta& meta);
  void snapshot_rewritten(const SnapshotMeta& meta);
  void compact();
  void cut_log(bool later);
  void start_snapshot(Progress& peer);
  void ask_for_chunk(Progress& peer);
  void retry_snapshot(Progress& peer);
  void chunk_read(NodeId peer, Index index, uint64_t offset, Bytes data, bool last);
  void chunk_failed(NodeId peer, Index index);
  void on_chunk(const Message& message, SnapshotChunk& chunk);
  void chunk_written(NodeId from, const SnapshotMeta& meta, uint64_t next_offset, bool complete);
  void chunk_lost(const SnapshotMeta& meta);
  void on_chunk_response(const Message& message, const SnapshotChunkResponse& response);
  void install(const SnapshotMeta& meta);

  // --- read_index.cpp ---------------------------------------------------------------------
  void read_index(uint64_t token);
  void start_round(Leader& lead);
  void confirm_reads(Leader& lead);
  void release_early_reads(Leader& lead);
  void note_contact(Leader& lead, Progress& peer);
  void note_own_contact(Leader& lead);
  Mono quorum_contact(const Leader& lead, Mono now) const;
  bool has_quorum_contact(Mono now) const;
  LogTime cluster_time(Mono now) const;

  // --- transfer.cpp -------------------------------------------------------------------------
  Refusal transfer_leadership(NodeId target);
  void drive_transfer(Leader& lead);
  void on_timeout_now(const Message& message);
};

}  // namespace raftcs::raft
