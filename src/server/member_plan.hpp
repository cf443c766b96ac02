// member_plan.hpp: what a wished change of the members would come to, before it is proposed.
//
// A step is a set of changes that take effect together: one entry of the log when at most one
// voter comes or goes, else a joint configuration, which consensus leaves by itself (thesis
// 4.3). Planning is a function of the present configuration and of who is up. The same plan is
// printed by a dry run and carried out by the operation (admin_members.cpp), so that what an
// operator was told is what is done.
//
// What must hold
//  - A new member is a learner: it never counts before it has the log (thesis 4.2.1, MB-09).
//  - There is always a voter; ids and addresses are unique; there are at most kMembersMax.
//  - Nothing is proposed that leaves fewer voters up than a majority, unless forced.
//
// Threads: none.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "raft/membership.hpp"

namespace raftcs::server {

enum class MemberVerb : uint8_t {
  add,      // as a learner
  promote,  // learner to voter, when it is caught up
  demote,   // voter to learner; a learner that returns is not to get its vote back
  remove,
  replace,  // `id` goes, the learner `other` votes in its place, at once
  readmit,  // the same id with another disk: a learner; one that had a vote returns (healing.cpp)
  priority,
};

struct MemberChange {
  MemberVerb verb = MemberVerb::add;
  NodeId id;
  NodeId other;
  std::string peer_address;
  std::string client_address;
  Uuid incarnation;  // zero: bound when the node is heard
  uint8_t priority = raft::kPriorityDefault;
};
using MemberStep = std::vector<MemberChange>;

// The voters of one configuration.
struct Electorate {
  size_t voters = 0;
  size_t needed = 0;  // a majority
  size_t up = 0;
  size_t tolerates() const { return up > needed ? up - needed : 0; }  // further failures
};

struct MemberPlan {
  raft::Membership next;         // to be proposed
  raft::Membership result;       // when it is done
  std::vector<NodeId> catch_up;  // must hold the log before `next` is proposed
  Electorate before, after;
  std::vector<NodeId> down;        // voters of `result` that are not up
  std::vector<std::string> notes;  // risks, for people
  Status refusal;                  // not OK: only when forced
};

// `up`: members known to work now. An error is what no force helps with.
Result<MemberPlan> plan_members(const raft::Membership& current, const MemberStep& step,
                                const std::set<NodeId>& up, NodeId leader);

Electorate electorate(const raft::Membership& membership, const std::set<NodeId>& up);

}  // namespace raftcs::server
