// random_test.cpp: seeded random schedules over 1 to 7 nodes with every fault the in-memory
// cluster knows, then healing and progress. The invariants are checked by cluster.cpp at
// every step. One seed is one run: RAFTCS_SEED=n replays it, RAFTCS_SEEDS=n sets how many.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <iostream>

#include "raft/membership.hpp"
#include "tests/scenario/cluster.hpp"

namespace raftcs::raft::test {
namespace {

struct Profile {
  double loss = 0, duplicate = 0, slow_disk = 0, crash = 0, cut = 0, snapshot = 0, config = 0;
};

class RandomRun {
 public:
  explicit RandomRun(uint64_t seed)
      : prng_(seed * 7919 + 17), voters_(1 + seed % 7), learners_(seed % 3 == 0 ? 1 : 0),
        cluster_(voters_, learners_, options(), seed * 1000) {
    // Swarm: each run has its own mixture, many of them without some fault at all.
    const auto ratio = [&](double most) { return prng_.chance(0.4) ? 0.0 : most * unit(); };
    profile_ = {ratio(0.3), ratio(0.2), ratio(0.9), ratio(0.01), ratio(0.02), ratio(0.02),
                ratio(0.02)};
    cluster_.full_checks = seed % 4 == 0;  // they scan the log: slow
  }

  void run(int steps) {
    for (int i = 0; i < steps && cluster_.errors().empty(); ++i) step();
    if (cluster_.errors().empty()) heal_and_progress();
  }

  Cluster& cluster() { return cluster_; }

 private:
  double unit() { return static_cast<double>(prng_.below(1000)) / 1000.0; }
  Options options() {
    Options o = test_options();
    o.trailing_entries = prng_.below(6);
    o.inflight_appends_max = static_cast<uint32_t>(1 + prng_.below(6));
    o.append_bytes_max = 1 + prng_.below(200);
    o.uncommitted_bytes_max = 400;
    return o;
  }
  NodeId any() { return NodeId(1 + prng_.below(voters_ + learners_)); }
  bool up(NodeId id) { return cluster_.member(id).node.has_value(); }

  void step() {
    const NodeId id = any();
    move_messages();
    if (!prng_.chance(profile_.slow_disk)) cluster_.persist_one(id);
    cluster_.run_io(any());
    switch (prng_.below(8)) {
      case 0:
      case 1:
        cluster_.advance(static_cast<DurationNs>(prng_.below(60)) * kNsPerMs);
        break;
      case 2:
      case 3:
        propose();
        break;
      case 4:
        if (up(id) && prng_.chance(0.3)) cluster_.read(prng_.chance(0.7) ? leader_or(id) : id);
        break;
      default:
        break;
    }
    faults(id);
  }

  NodeId leader_or(NodeId id) {
    const NodeId l = cluster_.leader();
    return l ? l : id;
  }

  void propose() {
    const NodeId l = cluster_.leader();
    if (!l) return;
    cluster_.propose(l, std::string(prng_.below(40), 'x') + std::to_string(++proposals_));
  }

  void move_messages() {
    auto& net = cluster_.network();
    for (uint64_t n = prng_.below(6); n > 0 && !net.empty(); --n) {
      // Mostly in order, sometimes any; what is held long enough is reordered strongly.
      const size_t at = prng_.chance(0.8) ? 0 : static_cast<size_t>(prng_.below(net.size()));
      if (prng_.chance(profile_.loss)) {
        cluster_.drop_at(at);
      } else if (prng_.chance(profile_.duplicate)) {
        cluster_.deliver_copy(at);
      } else if (prng_.chance(0.03)) {  // hold: to the very end of the queue
        std::rotate(net.begin() + static_cast<std::ptrdiff_t>(at),
                    net.begin() + static_cast<std::ptrdiff_t>(at) + 1, net.end());
      } else {
        cluster_.deliver_at(at);
      }
    }
    while (net.size() > 300) cluster_.drop_at(static_cast<size_t>(prng_.below(net.size())));
  }

  void faults(NodeId id) {
    if (prng_.chance(profile_.crash)) cluster_.crash(id, prng_.below(3));
    if (!up(id) && prng_.chance(0.05)) cluster_.restart(id);
    if (prng_.chance(profile_.cut)) {
      const NodeId a = any(), b = any();
      cluster_.cut(a, b);
      if (prng_.chance(0.7)) cluster_.cut(b, a);
      if (prng_.chance(0.3)) {
        for (uint64_t i = 1; i <= voters_ + learners_; ++i) {
          cluster_.cut(a, NodeId(i));
          cluster_.cut(NodeId(i), a);
        }
      }
    }
    if (prng_.chance(0.01)) cluster_.heal();
    if (prng_.chance(profile_.snapshot)) cluster_.take_snapshot(id);
    const NodeId l = cluster_.leader();
    if (!l) return;
    if (prng_.chance(0.003)) cluster_.transfer(l, any());
    if (prng_.chance(0.001)) cluster_.step_down(l);
    if (prng_.chance(profile_.config)) change_membership(l);
  }

  void change_membership(NodeId l) {
    const Membership now = cluster_.node(l).membership();
    Membership next = now;
    if (now.joint || next.members.empty()) return;
    const uint64_t kind = prng_.below(4);
    const size_t at = static_cast<size_t>(prng_.below(next.members.size()));
    if (kind == 0) {  // a simple promotion or demotion
      Member& m = next.members[at];
      m.role = m.role == MemberRole::voter ? MemberRole::learner : MemberRole::voter;
    } else if (kind == 1) {  // out
      next.members.erase(next.members.begin() + static_cast<std::ptrdiff_t>(at));
    } else if (kind == 2) {  // everybody in
      next = make_membership(ids());
      if (next.members.size() < now.members.size()) return;
      next.joint = true;
      for (Member& m : next.members) {
        const Member* was = find_member(now, m.id);
        m.outgoing_voter = was && was->role == MemberRole::voter;
      }
    } else {  // joint: several roles at once
      next.joint = true;
      for (Member& m : next.members) {
        m.outgoing_voter = m.role == MemberRole::voter;
        if (prng_.chance(0.4))
          m.role = m.role == MemberRole::voter ? MemberRole::learner : MemberRole::voter;
        if (m.outgoing_voter && prng_.chance(0.2)) m.role = MemberRole::leaving;
        if (prng_.chance(0.1)) m.priority = static_cast<uint8_t>(prng_.below(4) * 50);
      }
    }
    cluster_.propose_membership(l, next);
  }

  std::vector<uint64_t> ids() {
    std::vector<uint64_t> v;
    for (uint64_t i = 1; i <= voters_ + learners_; ++i) v.push_back(i);
    return v;
  }

  // Everything works again: one leader, and everybody in its configuration catches up.
  void heal_and_progress() {
    cluster_.heal();
    for (uint64_t i = 1; i <= voters_ + learners_; ++i) cluster_.restart(NodeId(i));
    Index goal;
    for (int round = 0; round < 2000 && cluster_.errors().empty(); ++round) {
      cluster_.stabilize();
      const NodeId l = cluster_.leader();
      if (l && cluster_.node(l).leader_ready()) {
        if (!goal && cluster_.propose(l, "after") == Refusal::none)
          goal = cluster_.node(l).last_index();
        if (goal && caught_up(l, goal)) break;
      }
      cluster_.advance(10 * kNsPerMs);
    }
    const NodeId l = cluster_.leader();
    EXPECT_TRUE(l && goal && caught_up(l, goal)) << "no progress after healing\n" << describe();
    EXPECT_TRUE(cluster_.open_reads().empty()) << "RD-04: reads without an answer";
  }

  std::string describe() {
    std::string s;
    for (Member_& m : cluster_.members()) {
      const NodeStatus n = m.node->status();
      s += to_string(n.id) + " role " + std::to_string(static_cast<int>(n.role)) + " term " +
           to_string(n.term) + " leader " + to_string(n.leader) + " commit " +
           to_string(n.commit) + " log " + to_string(n.first) + ".." + to_string(n.last) +
           " durable " + to_string(n.durable) + " applied " + to_string(m.machine.applied) +
           " snapshot " + to_string(n.snapshot) + " members";
      for (const Member& member : m.node->membership().members) {
        s += " " + to_string(member.id) + (member.role == MemberRole::voter ? "v" : "l");
        if (member.outgoing_voter) s += "o";
      }
      for (const PeerProgress& p : n.peers)
        s += " [" + to_string(p.id) + " match " + to_string(p.match) + " next " +
             to_string(p.next) + (p.snapshotting ? " snapshot]" : "]");
      s += "\n";
    }
    return s;
  }

  bool caught_up(NodeId l, Index goal) {
    for (const Member& m : cluster_.node(l).membership().members) {
      if (cluster_.member(m.id).machine.applied < goal) return false;
    }
    return !cluster_.node(l).membership().joint;
  }

  Prng prng_;
  uint64_t voters_, learners_;
  Cluster cluster_;
  Profile profile_;
  uint64_t proposals_ = 0;
};

uint64_t from_env(const char* name, uint64_t otherwise) {
  const char* s = std::getenv(name);
  return s ? std::strtoull(s, nullptr, 10) : otherwise;
}

TEST(Random, SafeUnderFaultsAndLiveAfterHealing) {
  const uint64_t one = from_env("RAFTCS_SEED", 0);
  const uint64_t first = one ? one : 1;
  const uint64_t count = one ? 1 : from_env("RAFTCS_SEEDS", 200);
  Counters total;
  for (uint64_t seed = first; seed < first + count; ++seed) {
    RandomRun run(seed);
    run.run(800);
    total.add(run.cluster().counters());
    for (const std::string& e : run.cluster().errors()) ADD_FAILURE() << e;
    if (HasFailure()) {
      ADD_FAILURE() << "replay: RAFTCS_SEED=" << seed;
      return;
    }
  }
  std::cout << count << " seeds: " << total.commits << " commits, " << total.elections
            << " elections, " << total.truncations << " truncations, " << total.snapshots_taken
            << " snapshots taken, " << total.snapshots_installed << " installed, "
            << total.reads_ok << " reads (" << total.reads_failed << " failed), " << total.crashes
            << " crashes (" << total.lost_writes << " writes lost), " << total.transfers
            << " transfers, " << total.configs << " configurations applied (" << total.joint
            << " joint), " << total.early_commits << " commits ahead of the own disk, "
            << total.messages << " messages\n";
  if (count < 100) return;
  EXPECT_GT(total.elections, 2 * count);
  EXPECT_GT(total.truncations, count / 20);
  EXPECT_GT(total.snapshots_installed, count / 20);
  EXPECT_GT(total.reads_ok, 5 * count);
  EXPECT_GT(total.commits, 30 * count);
  EXPECT_GT(total.joint, count / 10);
  EXPECT_GT(total.early_commits, count / 10);
  EXPECT_GT(total.transfers, count / 10);
}

}  // namespace
}  // namespace raftcs::raft::test
