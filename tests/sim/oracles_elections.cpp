// oracles_elections.cpp: what must hold of votes, of who leads by them, and of what leaders count.
//
// Read from the nodes themselves at every step, not from frames, and counted here on purpose
// without the core's own arithmetic: a rule that asks the code it judges proves nothing. Without
// these an election that went wrong is seen only when a second one of the same term, or a lost
// entry, shows it, which takes two or three more rare things in a row.
#include <algorithm>

#include "raft/membership.hpp"
#include "sim/sim_world.hpp"

namespace raftcs::sim {

bool majority_of(const raft::Membership& members, const std::function<bool(NodeId)>& holds) {
  size_t voters = 0, those = 0, outgoing = 0, outgoing_those = 0;
  for (const raft::Member& m : members.members) {
    const size_t one = holds(m.id) ? 1 : 0;
    if (m.role == raft::MemberRole::voter) ++voters, those += one;
    if (m.outgoing_voter) ++outgoing, outgoing_those += one;
  }
  return 2 * those > voters && (!members.joint || 2 * outgoing_those > outgoing);
}

// Where a log ends, also when all of it is compacted. No term: nobody saw that entry committed.
std::optional<Cluster::LogEnd> Cluster::log_end(const SimNode& n, const raft::NodeStatus& s) const {
  if (const raft::Entry* e = n.node->raft().entry(s.last)) return LogEnd{e->term.value, s.last};
  if (s.last.value == 0) return LogEnd{};
  const auto it = committed_.find(s.last.value);
  if (it == committed_.end()) return std::nullopt;
  return LogEnd{it->second, s.last};
}

// A vote goes only to who asked with a log that is no older than the voter's own (thesis 3.6.1;
// EL-10, EL-11, EL-14). Judged when the vote is first seen: later both logs may have changed.
void Cluster::check_vote(SimNode& n, const raft::NodeStatus& s) {
  if (!s.vote || (n.voted_term == s.term && n.voted_for == s.vote && n.voted_disk == n.incarnation))
    return;
  n.voted_term = s.term;
  n.voted_for = s.vote;
  n.voted_disk = n.incarnation;
  const bool fresh = chosen_.insert({s.term.value, n.id.value, s.vote.value, n.incarnation}).second;
  if (!fresh || s.vote == n.id) return;
  const auto asked = asked_with_.find({s.vote.value, s.term.value});
  const auto own = log_end(n, s);
  if (asked == asked_with_.end() || !own) return;
  hit("a vote was held against two logs");
  if (asked->second < *own)
    fail("node " + to_string(n.id) + " votes in term " + to_string(s.term) + " for node " +
         to_string(s.vote) + ", whose log ends before its own");
}

bool Cluster::has_chosen(const raft::Membership& members, Term term, NodeId voter,
                         NodeId whom) const {
  auto it = chosen_.lower_bound({term.value, voter.value, whom.value, Uuid()});
  for (; it != chosen_.end(); ++it) {
    if (it->term != term.value || it->voter != voter.value || it->whom != whom.value) return false;
    if (names_disk(members, voter, it->disk)) return true;
  }
  return false;
}

// S17, S22: who begins to lead a term was chosen in it by a majority of each voter set (EL-05,
// EL-06, CM-07), each with the disk that the configuration names: the vote of another one counts
// for nothing.
void Cluster::check_elected(const SimNode& n, const raft::NodeStatus& s) {
  const raft::Membership& members = n.node->raft().membership();
  const bool chosen =
      majority_of(members, [&](NodeId id) { return has_chosen(members, s.term, id, n.id); });
  if (!chosen)
    fail("node " + to_string(n.id) + " leads term " + to_string(s.term) +
         " without a majority that chose it");
}

// A leader commits what a majority of each voter set stores as far as it knows, itself only what is
// durable (CM-05, CM-07), and of its own term (CM-01). What another disk than the member's says it
// stores does not count (S22), but for what the member said before it lost its own. Not asked when
// a snapshot told it, or when the configuration that it counted by has changed in the same step.
void Cluster::check_counted(const SimNode& n, const raft::NodeStatus& s, Index before) {
  if (s.commit <= before || n.led_term != s.term || s.snapshot >= s.commit) return;
  const raft::Entry* e = n.node->raft().entry(s.commit);
  if (e != nullptr && e->term != s.term)
    fail("leader " + to_string(n.id) + " commits index " + to_string(s.commit) +
         " of an older term by counting");
  if (n.led_config != s.membership_index) return;
  hit("a majority was counted again");
  const raft::Membership& members = n.node->raft().membership();
  const bool counted = majority_of(members, [&](NodeId id) {
    const SimNode& member = node(id);
    if (!names_disk(members, id, member.incarnation) && s.commit > member.lost_to) return false;
    if (id == n.id) return s.durable >= s.commit;
    return std::any_of(s.peers.begin(), s.peers.end(), [&](const raft::PeerProgress& p) {
      return p.id == id && p.match >= s.commit;
    });
  });
  if (!counted)
    fail("leader " + to_string(n.id) + " commits index " + to_string(s.commit) +
         " without a majority that stores it");
}

// LR-04: what a leader knows to be stored by a peer stays so while it leads, unless the members
// change, and with them perhaps the peer's disk.
void Cluster::check_match(SimNode& n, const raft::NodeStatus& s) {
  if (n.led_term != s.term || n.led_config != s.membership_index) n.led_match.clear();
  n.led_config = s.membership_index;
  for (const raft::PeerProgress& p : s.peers) {
    Index& before = n.led_match[p.id];
    if (p.match < before)
      fail("leader " + to_string(n.id) + " forgets that node " + to_string(p.id) + " stores " +
           to_string(before));
    before = p.match;
  }
}

}  // namespace raftcs::sim
