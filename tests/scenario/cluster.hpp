// cluster.hpp: a cluster of raft::Node values in memory: disks, a network, a clock, and the
// safety invariants of the test plan (S1..S8, S10, S11, S13, S19), checked as it runs.
//
// Nothing happens by itself: a test delivers, drops, persists, crashes, advances time. Each
// input to a node is followed by take_effects(), as a driver would do it. What a crash loses
// is what was not persisted; what a restart sees is the disk.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/prng.hpp"
#include "raft/node.hpp"

namespace raftcs::raft::test {

struct Disk {
  HardState hard;
  std::optional<SnapshotMeta> snapshot;
  Bytes snapshot_file;
  Index base;  // the log's entries follow this one
  uint64_t base_chain = 0;
  std::vector<Entry> log;
  std::vector<uint64_t> chains;  // hash over entries 1..k, per entry of `log`

  Index last() const { return base + log.size(); }
  const Entry* entry(Index i) const {
    return i > base && i <= last() ? &log[static_cast<size_t>(i - base - 1)] : nullptr;
  }
};

struct Write {
  uint64_t seq = 0;
  std::optional<HardState> hard;
  std::optional<Index> truncate_from;
  std::optional<SnapshotMeta> reset_log;
  std::vector<Entry> append;
};

struct Machine {  // the replicated state machine: a hash over everything applied
  Index applied;
  uint64_t chain = 0;
  LogTime time;
  Membership membership;
};

struct Member_ {  // one process and its disk
  NodeId id;
  Options options;
  Disk disk;
  std::optional<Node> node;
  std::deque<Write> writes;
  std::vector<Outgoing> held;
  std::vector<Effects::ReadChunk> reads;
  std::vector<Effects::WriteChunk> chunk_writes;
  std::optional<SnapshotMeta> partial_of;
  std::string partial;
  Machine machine;
  Term term_seen;
  Role role_seen = Role::follower;
};

struct Counters {
  uint64_t elections = 0, truncations = 0, snapshots_taken = 0, snapshots_installed = 0,
           reads_ok = 0, reads_failed = 0, crashes = 0, commits = 0, configs = 0, transfers = 0,
           messages = 0, joint = 0, lost_writes = 0, early_commits = 0;
  void add(const Counters& o);
};

class Cluster {
 public:
  Cluster(uint64_t voters, uint64_t learners, const Options& base, uint64_t seed);

  // --- what a test does --------------------------------------------------------------
  void advance(DurationNs by);              // time passes; due ticks are given
  void advance_one(NodeId id, DurationNs by);  // only this node's clock is looked at
  void campaign(NodeId id);                 // passes this node's election timeout only
  Refusal propose(NodeId id, const std::string& text);
  Refusal propose_membership(NodeId id, const Membership& m);
  uint64_t read(NodeId id);                 // token
  Refusal transfer(NodeId id, NodeId to);
  void step_down(NodeId id);
  bool persist_one(NodeId id);
  void persist(NodeId id);
  void crash(NodeId id, uint64_t writes_kept = 0);
  void restart(NodeId id);
  void take_snapshot(NodeId id);
  bool run_io(NodeId id);                   // one chunk read or write; false: none
  void deliver_at(size_t at);               // network_[at]
  void deliver_copy(size_t at);             // the same, but it stays in the network too
  size_t deliver(NodeId from, NodeId to);   // everything on one link now; number delivered
  void drop_at(size_t at);
  void inject(Message message);             // as if it had been sent
  void cut(NodeId from, NodeId to) { cuts_.insert({from, to}); }
  void heal() { cuts_.clear(); }
  bool is_cut(NodeId from, NodeId to) const { return cuts_.count({from, to}) > 0; }
  // Persists, runs I/O and delivers until nothing moves.
  void stabilize(size_t steps_max = 100000);

  // --- what it sees --------------------------------------------------------------------
  Node& node(NodeId id) { return *member(id).node; }
  Node& node(uint64_t id) { return node(NodeId(id)); }
  Member_& member(NodeId id) { return members_[static_cast<size_t>(id.value - 1)]; }
  std::vector<Member_>& members() { return members_; }
  std::vector<Message>& network() { return network_; }
  NodeId leader() const;  // of the highest term; 0: none
  Mono now() const { return now_; }
  Index ledger_last() const { return Index(ledger_.size()); }
  const std::vector<std::string>& errors() const { return errors_; }
  const Counters& counters() const { return counters_; }
  Counters& counters() { return counters_; }
  const std::set<uint64_t>& open_reads() const { return open_reads_; }
  const std::vector<ReadReady>& reads_done() const { return reads_done_; }
  // Every message that reaches the network, newest last, if wanted.
  std::vector<Message>* trace = nullptr;
  bool check_durability = true;
  bool full_checks = true;  // of nodes started from now on

  void pump(NodeId id);  // take_effects and carry them out

 private:
  struct Committed {
    Term term;
    uint64_t chain;
    Term committed_in;
  };

  void fail(const std::string& text);
  void carry_out(Member_& m, Effects effects);
  void emit(Member_& m, Message message);
  void do_write(Member_& m, const Write& w);
  void do_apply(Member_& m, const std::vector<Entry>& entries);
  void check_role(Member_& m);
  void check_sent(Member_& m, const Message& message);
  void check_committed_is_durable(Member_& m, Index index, uint64_t chain);
  Bytes snapshot_file(const Machine& machine) const;
  void load_machine(Member_& m);

  std::vector<Member_> members_;
  std::vector<Message> network_;
  std::set<std::pair<NodeId, NodeId>> cuts_;
  Mono now_{1'000'000'000};
  uint64_t seed_;

  std::vector<Committed> ledger_;  // [k - 1]: the first commit of index k
  std::map<std::pair<Index, Term>, uint64_t> chain_of_;  // S5
  std::map<Term, NodeId> leader_of_;                     // S1
  std::map<std::pair<NodeId, Term>, NodeId> vote_of_;    // S2
  std::map<uint64_t, std::pair<NodeId, Index>> read_floor_;  // S19
  std::set<uint64_t> open_reads_;
  std::vector<ReadReady> reads_done_;
  uint64_t next_token_ = 0;
  std::vector<std::string> errors_;
  Counters counters_;
};

Options test_options();
Membership make_membership(const std::vector<uint64_t>& voters,
                           const std::vector<uint64_t>& learners = {});

}  // namespace raftcs::raft::test
