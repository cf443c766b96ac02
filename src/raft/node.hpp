// node.hpp: one member of a Raft cluster, as a value.
//
// The node decides; it does nothing. Inputs (messages, proposals, the passing of
// time, the completion of writes) are method calls; what must be done comes back from
// take_effects(). There is no clock, thread, socket, file or random source in here
// (decision D1): time is an argument and election timeouts come from the seed, so
// equal inputs give equal effects (S25) and a simulator runs exactly this code.
//
// Batching is natural: call any number of inputs, then take_effects() once. Proposals
// made in between leave in one append and one message per peer.
//
// Durability (D7). Everything to be written is numbered: Effects::write_seq. A message
// names in `after_write` the write that must be durable before it may be sent; the
// driver keeps it until then. When a write is durable the driver calls persisted(seq);
// only then does this node's own vote or own copy count. Writes complete in order, but for one
// case: entries that do not fit on a full disk. The hard state of the writes behind them may
// be made durable first (hard_state_persisted): a node that cannot store commands still votes.
//
// After a storage error the driver stops calling: the node is done until its process
// restarts and re-reads its disk (PS-02).
//
// Threads: none; the caller serialises.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "raft/types.hpp"

namespace raftcs::raft {

struct Options {
  NodeId id;
  Uuid incarnation;     // of this node's disk; zero: disks are not told apart
  bool joined = false;  // configurations that do not know the disk yet do not mean this one
  DurationNs heartbeat_ns = 50 * kNsPerMs;
  DurationNs election_timeout_ns = 500 * kNsPerMs;  // drawn from [t, 2t) for each wait
  uint64_t append_bytes_max = 1 << 20;     // entries of one AppendRequest (always at least one)
  uint32_t inflight_appends_max = 64;      // per peer, unanswered
  uint64_t inflight_bytes_max = 16 << 20;  // per peer, unanswered
  uint64_t uncommitted_bytes_max = 64 << 20;  // proposals beyond it are refused
  uint64_t snapshot_chunk_bytes = 256 << 10;
  uint64_t trailing_entries = 1024;        // kept behind a snapshot for followers a little late
  uint64_t trailing_bytes = 16 << 20;
  // How long a leader with nothing to append waits before it tells followers of a higher commit
  // index by an empty append: a next entry soon carries it for nothing.
  DurationNs commit_notice_delay_ns = 0;
  uint64_t seed = 1;                       // election timeouts
};

// What storage found at start. Entries follow the snapshot (or start at 1) without a gap.
struct BootImage {
  HardState hard_state;
  std::optional<SnapshotMeta> snapshot;
  std::vector<Entry> entries;
};

struct Outgoing {
  Message message;
  uint64_t after_write = 0;  // send once this write is durable; 0: at once
  bool hard_state_only = false;  // of that write and those before, only the hard state matters
};

struct ReadReady {
  uint64_t token;
  Index index;  // serve after applying up to here
};

enum class Refusal : uint8_t {
  none,
  not_leader,
  transferring,
  too_much_uncommitted,
  membership_pending,
  invalid,
};

// What the driver must do. Order matters where a comment says so.
struct Effects {
  // 1. One write, done in this order: hard_state, then truncate_from, then append. When
  //    durable: persisted(write_seq). 0: there is nothing to write.
  uint64_t write_seq = 0;
  std::optional<HardState> hard_state;
  std::optional<Index> truncate_from;   // remove entries at and above this index first
  std::vector<Entry> append;
  //    A snapshot received and published (snapshot_received) replaces the whole log: the
  //    log restarts empty after it. Part of the same write, before append.
  std::optional<SnapshotMeta> reset_log;

  // 2. Messages; each waits for its own after_write.
  std::vector<Outgoing> messages;

  // 3. To the state machine, in this order: restore (if any), then apply.
  std::optional<SnapshotMeta> restore;
  std::vector<Entry> apply;             // newly committed, contiguous

  // 4. Reads asked with read_index(): each token ends exactly once here (RD-04).
  std::vector<ReadReady> reads_ready;
  std::vector<uint64_t> reads_failed;   // not (or no longer) leader

  // 5. Snapshot transfer. Sender: read a chunk of the published snapshot at `index` and
  //    call snapshot_chunk_read. Receiver: write a chunk and call snapshot_chunk_written.
  struct ReadChunk {
    NodeId peer;
    Index index;
    uint64_t offset;
    uint64_t size_max;
  };
  struct WriteChunk {
    NodeId from;
    SnapshotChunk chunk;
  };
  std::vector<ReadChunk> read_chunks;
  std::vector<WriteChunk> write_chunks;

  // 6. Log records at or below this index may be deleted (a durable snapshot covers them).
  std::optional<Index> compact_to;

  // 7. Something in role/term/leader/membership changed: look at status().
  bool status_changed = false;

  bool empty() const;
};

struct PeerProgress {
  NodeId id;
  Index match;
  Index next;
  bool recently_active = false;
  bool snapshotting = false;
  uint32_t inflight = 0;
};

struct NodeStatus {
  NodeId id;
  Role role = Role::follower;
  Term term;
  NodeId vote;
  NodeId leader;  // 0: none known
  Index commit;
  Index first;      // first entry in the log; last + 1 when empty
  Index last;
  Index durable;    // own log durable up to here
  Index snapshot;   // 0: none
  bool leader_ready = false;  // leads and has committed an entry of its own term
  NodeId transfer_target;
  Index membership_index;           // where the configuration in force stands
  bool membership_settled = false;  // it is committed and not joint
  std::vector<PeerProgress> peers;  // leader only
};

class Node {
 public:
  // The image is consumed. Starts as a follower whatever it was before (EL-18).
  Node(const Options& options, BootImage image, Mono now);
  ~Node();
  Node(Node&&) noexcept;
  Node& operator=(Node&&) noexcept;

  // --- inputs -----------------------------------------------------------------
  void tick(Mono now);                 // call at or after next_deadline()
  void receive(Message message, Mono now);
  // Appends one ops entry. Refused unless this node leads and has room; on success the
  // entry's position is in *index and *term. The caller registers its waiters first by
  // knowing that nothing happens before take_effects().
  Refusal propose(Bytes payload, Mono now, Index* index, Term* term);
  // Proposes a configuration (thesis 4.2/4.3: one at a time, after an own-term commit).
  Refusal propose_membership(const Membership& membership, Mono now, Index* index, Term* term);
  // Asks for a linearizable read index (thesis 6.4). Answered in reads_ready or
  // reads_failed, in every case.
  void read_index(uint64_t token, Mono now);
  Refusal transfer_leadership(NodeId target, Mono now);
  // The driver wants to lead no more (stalled disk, shutdown): step down if leading.
  void step_down(Mono now);
  // While set this node seeks no election, also when it is asked to (its disk is in
  // doubt). It follows, stores and votes as ever.
  void set_passive(bool passive);
  // While set this node seeks election only after all others had time to, and not when it is asked
  // to (its state is in doubt, it applies nothing or drains): its log may be the only full one
  // among those that are up.
  void set_last_choice(bool last_choice);

  // --- completions ------------------------------------------------------------
  void persisted(uint64_t write_seq, Mono now);  // this write and all before it are durable
  // The newest hard state of these writes is durable; their entries are not.
  void hard_state_persisted(uint64_t write_seq);
  void applied(Index index);                     // the state machine has applied up to here
  void snapshot_taken(const SnapshotMeta& meta, Mono now);   // published and durable
  void snapshot_chunk_read(NodeId peer, Index index, uint64_t offset, Bytes data, bool last,
                           Mono now);
  void snapshot_chunk_failed(NodeId peer, Index index, Mono now);  // could not be read
  // The chunk is in the partial file; complete: the file is verified, durable, published.
  void snapshot_chunk_written(NodeId from, const SnapshotMeta& meta, uint64_t next_offset,
                              bool complete, Mono now);
  // The chunk could not be stored (disk full): the transfer starts again when the sender
  // repeats itself.
  void snapshot_chunk_lost(const SnapshotMeta& meta, Mono now);

  // --- outputs ----------------------------------------------------------------
  Effects take_effects(Mono now);  // sends what replication now allows; clears
  Mono next_deadline() const;
  NodeStatus status() const;
  Role role() const;
  Term term() const;
  NodeId leader() const;
  bool leader_ready() const;       // may serve clients: leads, own-term entry committed
  // Leads and has heard from a quorum within an election timeout (for session expiry).
  bool has_quorum_contact(Mono now) const;
  Index commit_index() const;
  Index last_index() const;
  uint64_t log_bytes() const;      // payload bytes held in memory since the first entry
  const Membership& membership() const;  // in force: the last in the log, else the snapshot's
  // Whether the last configuration that has this node knows it by its disk. A configuration without
  // it counts only when it is known to be committed: it can still be cut.
  bool disk_is_named() const;
  LogTime cluster_time(Mono now) const;  // what a proposal made now would be stamped with

  // --- for tests, simulators and explorers -------------------------------------
  Node clone() const;  // equal inputs to both give equal effects (S25)
  // Of everything that decides future effects, except `now` and statistics.
  uint64_t hash64() const;
  // Run the full invariant checks (invariants.hpp) after every input. Debug builds run the
  // cheap ones always. A broken one goes to the check handler (base/check.hpp).
  // scan_every: the log is scanned after one input of so many only (what such a scan finds stays
  // broken, so it is found later), and whenever another configuration is in force.
  void set_invariant_checks(bool full, uint32_t scan_every = 1);
  // The entry at `index`, or nullptr if it is compacted or not there.
  const Entry* entry(Index index) const;

  struct Impl;  // defined inside src/raft only

 private:
  explicit Node(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace raftcs::raft
