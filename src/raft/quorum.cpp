// quorum.cpp: voter sets and the algebra of configuration changes.
//
// What must hold: any two configurations that may follow one another have intersecting
// quorums (S16), of disks and not only of ids (MB-08); is_valid_change is the only gate, used for
// every kind of change (MB-04).
#include "raft/quorum.hpp"

namespace raftcs::raft {
namespace {

bool has(const std::vector<NodeId>& ids, NodeId id) {
  return std::find(ids.begin(), ids.end(), id) != ids.end();
}

size_t missing_from(const std::vector<NodeId>& a, const std::vector<NodeId>& b) {
  return static_cast<size_t>(
      std::count_if(a.begin(), a.end(), [&](NodeId id) { return !has(b, id); }));
}

bool votes(const Member& m) { return m.role == MemberRole::voter || m.outgoing_voter; }

bool is_well_formed(const Membership& m) {
  if (m.members.empty() || m.members.size() > kMembersMax) return false;
  for (size_t i = 0; i < m.members.size(); ++i) {
    const Member& member = m.members[i];
    if (!member.id) return false;
    if (i > 0 && !(m.members[i - 1].id < member.id)) return false;
    if (member.outgoing_voter && !m.joint) return false;
    if (member.role == MemberRole::leaving && !member.outgoing_voter) return false;
  }
  const VoterSets sets = voter_sets(m);
  return !sets.incoming.empty() && (!m.joint || !sets.outgoing.empty());
}

// Who goes on voting does it with the disk that the votes and entries are on: a wiped one would
// count for what it has lost (MB-08). A disk that is not known yet is bound outside joint ones.
bool keeps_disks(const Membership& current, const Membership& next) {
  return std::all_of(next.members.begin(), next.members.end(), [&](const Member& m) {
    const Member* was = find_member(current, m.id);
    if (was == nullptr || !votes(*was) || !votes(m)) return true;
    return m.incarnation == was->incarnation || (!next.joint && was->incarnation.is_zero());
  });
}

}  // namespace

bool VoterSets::contains(NodeId id) const { return has(incoming, id) || has(outgoing, id); }

bool VoterSets::is_sole(NodeId id) const {
  if (incoming.size() != 1 || incoming[0] != id) return false;
  return !joint || (outgoing.size() == 1 && outgoing[0] == id);
}

VoterSets voter_sets(const Membership& membership) {
  VoterSets sets;
  sets.joint = membership.joint;
  for (const Member& m : membership.members) {
    if (m.role == MemberRole::voter) sets.incoming.push_back(m.id);
    if (membership.joint && m.outgoing_voter) sets.outgoing.push_back(m.id);
  }
  return sets;
}

bool is_valid_change(const Membership& current, const Membership& next) {
  if (!is_well_formed(next) || !keeps_disks(current, next)) return false;
  const VoterSets now = voter_sets(current), then = voter_sets(next);
  if (current.joint) return !next.joint && then.incoming == now.incoming;
  if (next.joint) return then.outgoing == now.incoming;
  return missing_from(then.incoming, now.incoming) + missing_from(now.incoming, then.incoming) <= 1;
}

Membership leave_joint(const Membership& joint) {
  Membership m = joint;
  m.joint = false;
  std::erase_if(m.members, [](const Member& member) { return member.role == MemberRole::leaving; });
  for (Member& member : m.members) member.outgoing_voter = false;
  return m;
}

}  // namespace raftcs::raft
