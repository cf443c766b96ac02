// oracles_members.cpp: what must hold of configurations: which is in force, who may lead by it, and
// what may follow it.
//
// Followed entry by entry as the logs change, at every step of every node, and counted without the
// core's own arithmetic.
#include <algorithm>
#include <set>

#include "raft/membership.hpp"
#include "sim/sim_world.hpp"

namespace raftcs::sim {
namespace {

bool votes_in(const raft::Membership& members, NodeId id) {
  const raft::Member* m = raft::find_member(members, id);
  return m != nullptr && (m->role == raft::MemberRole::voter || m->outgoing_voter);
}

using Voters = std::set<std::pair<NodeId, Uuid>>;  // another disk is another voter

std::vector<Voters> voter_sets_of(const raft::Membership& members) {
  std::vector<Voters> sets(members.joint ? 2 : 1);
  for (const raft::Member& m : members.members) {
    if (m.role == raft::MemberRole::voter) sets[0].emplace(m.id, m.incarnation);
    if (members.joint && m.outgoing_voter) sets[1].emplace(m.id, m.incarnation);
  }
  return sets;
}

// Whether each majority of one shares a voter with each of the other. A disk that has only become
// known is the one that was meant.
bool majorities_meet(const Voters& a, const Voters& b) {
  size_t shared = 0;
  for (const auto& [id, disk] : a)
    shared += std::any_of(b.begin(), b.end(), [&](const auto& other) {
      return other.first == id &&
             (other.second == disk || disk.is_zero() || other.second.is_zero());
    });
  return a.size() / 2 + b.size() / 2 + 2 > a.size() + b.size() - shared;
}

}  // namespace

bool names_disk(const raft::Membership& members, NodeId id, const Uuid& disk) {
  const raft::Member* m = raft::find_member(members, id);
  return m != nullptr && (m->incarnation.is_zero() || m->incarnation == disk);
}

// S16: in force is the last configuration in the log, committed or not, else the snapshot's; a
// leader that knows what is committed has at most one that is not.
void Cluster::check_membership(SimNode& n, const raft::NodeStatus& s) {
  const bool in_log = !n.configs.empty() && *n.configs.rbegin() >= s.first;
  const Index last = in_log ? *n.configs.rbegin() : s.snapshot;
  if (s.membership_index != last)
    return fail("node " + to_string(n.id) + " goes by the configuration at index " +
                to_string(s.membership_index) + ", but its last one is at index " +
                to_string(last));
  if (s.leader_ready && std::distance(n.configs.upper_bound(s.commit), n.configs.end()) > 1)
    fail("leader " + to_string(n.id) + " has two configurations that are not committed");
  if (std::exchange(n.seen_config, last) == last) return;
  const auto committed = configs_.upper_bound(last);
  if (!in_log && committed == configs_.begin()) return;
  const raft::Membership expected =
      in_log ? *raft::decode_membership(n.node->raft().entry(last)->payload)
             : std::prev(committed)->second;
  hit("a configuration in force was checked");
  if (n.node->raft().membership() != expected)
    fail("node " + to_string(n.id) + " goes by another configuration than that at index " +
         to_string(last));
}

// S17: a leader has a vote, with this disk, in a configuration that is not surely past: the last
// one that it knows to be committed, or one behind it in its log. A learner, or who was removed,
// never leads.
void Cluster::check_may_lead(const SimNode& n, const raft::NodeStatus& s) {
  const auto mine = [&](const raft::Membership& members) {
    return votes_in(members, n.id) && names_disk(members, n.id, n.incarnation);
  };
  // Whom a change takes the vote from may have been elected by the others, and leads on until it is
  // done (thesis 4.2.2; seed 1230084).
  if (n.led_term == s.term && s.membership_index > s.commit) return;
  const auto past = configs_.upper_bound(s.commit);
  if (past != configs_.begin() && mine(std::prev(past)->second)) return;
  const bool later =
      std::any_of(n.configs.upper_bound(s.commit), n.configs.end(), [&](Index index) {
        const raft::Entry* e = n.node->raft().entry(index);
        return e != nullptr && mine(*raft::decode_membership(e->payload));
      });
  if (!later) fail("node " + to_string(n.id) + " leads, and no configuration gives it a vote");
}

// S16: no majority of a configuration is without one of the next (thesis 4.1, 4.3). Requires: it
// was committed as `entry`, and the one before it is the last in configs_.
void Cluster::config_committed(const raft::Entry& entry, const raft::Membership& now) {
  if (configs_.empty()) return;
  const raft::Membership& before = configs_.rbegin()->second;
  bool meet = false;
  for (const Voters& a : voter_sets_of(before))
    for (const Voters& b : voter_sets_of(now)) meet = meet || majorities_meet(a, b);
  if (!meet)
    fail("the configuration at index " + to_string(entry.index) +
         " has a majority that shares nobody with one of the configuration before");
  for (const raft::Member& m : now.members) {
    SimNode& member = node(m.id);
    if (m.role == raft::MemberRole::voter && !votes_in(before, m.id) &&
        std::exchange(member.from_snapshot, false))
      hit("a member got its vote after a snapshot");
  }
  const NodeId leader(leader_of_term_[entry.term.value]);
  if (votes_in(before, leader) && !votes_in(now, leader)) hit("a leader took its own vote away");
}

}  // namespace raftcs::sim
