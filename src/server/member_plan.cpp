// member_plan.cpp: the rules of one step, change by change, then the whole.
#include "server/member_plan.hpp"

#include <algorithm>

#include "config/settings.hpp"
#include "raft/quorum.hpp"

namespace raftcs::server {
namespace {

using raft::Member;
using raft::MemberRole;
using raft::Membership;

Status bad_plan(std::string text) { return {RAFTCS_ERR_INVALID_ARGUMENT, std::move(text)}; }

std::string name_of(NodeId id) { return "member " + to_string(id); }

Member* find(Membership& m, NodeId id) {
  auto it = std::find_if(m.members.begin(), m.members.end(),
                         [&](const Member& member) { return member.id == id; });
  return it == m.members.end() ? nullptr : &*it;
}

Result<Member*> existing(Membership& m, NodeId id) {
  if (Member* member = find(m, id)) return member;
  return {RAFTCS_ERR_NOT_MEMBER, "there is no " + name_of(id) + "; see: raftcs member list"};
}

Status check_addresses(const Membership& m, const Member& fresh) {
  RCS_TRY(config::check_endpoint(fresh.peer_address, false).with_context("the peer address"));
  RCS_TRY(config::check_endpoint(fresh.client_address, false).with_context("the client address"));
  for (const Member& other : m.members) {
    if (other.id == fresh.id) continue;
    for (const std::string& address : {fresh.peer_address, fresh.client_address})
      if (address == other.peer_address || address == other.client_address)
        return {RAFTCS_ERR_ALREADY_EXISTS, name_of(other.id) + " has the address " + address};
  }
  if (fresh.peer_address == fresh.client_address)
    return bad_plan("the peer address and the client address are the same");
  return Status::ok();
}

Status add(Membership& m, const MemberChange& c) {
  if (!c.id) return bad_plan("a member's id is a number from 1");
  if (find(m, c.id) != nullptr)
    return {RAFTCS_ERR_ALREADY_EXISTS,
            name_of(c.id) + " is there already; if its disk was lost: raftcs member replace " +
                to_string(c.id) + " " + to_string(c.id)};
  if (m.members.size() >= raft::kMembersMax)
    return {RAFTCS_ERR_RESOURCE_LIMIT,
            "a cluster has at most " + std::to_string(raft::kMembersMax) + " members"};
  Member fresh;
  fresh.id = c.id;
  fresh.peer_address = c.peer_address;
  fresh.client_address = c.client_address;
  fresh.incarnation = c.incarnation;
  fresh.priority = c.priority;
  fresh.role = MemberRole::learner;
  RCS_TRY(check_addresses(m, fresh));
  auto at = std::find_if(m.members.begin(), m.members.end(),
                         [&](const Member& other) { return other.id > c.id; });
  m.members.insert(at, std::move(fresh));
  return Status::ok();
}

Status promote(Membership& m, NodeId id, MemberPlan* plan) {
  RCS_ASSIGN(member, existing(m, id));
  if (member->role == MemberRole::voter)
    return {RAFTCS_ERR_ALREADY_EXISTS, name_of(id) + " is a voter already"};
  member->role = MemberRole::voter;
  member->returning = false;
  plan->catch_up.push_back(id);
  return Status::ok();
}

Status demote(Membership& m, NodeId id) {
  RCS_ASSIGN(member, existing(m, id));
  if (member->role == MemberRole::learner && !member->returning)
    return {RAFTCS_ERR_ALREADY_EXISTS, name_of(id) + " is a learner already"};
  member->role = MemberRole::learner;
  member->returning = false;
  return Status::ok();
}

Status remove(Membership& m, NodeId id) {
  RCS_ASSIGN(member, existing(m, id));
  m.members.erase(m.members.begin() + (member - m.members.data()));
  return Status::ok();
}

Status replace(Membership& m, const MemberChange& c, MemberPlan* plan) {
  RCS_ASSIGN(old, existing(m, c.id));
  if (old->role != MemberRole::voter)
    return bad_plan(name_of(c.id) + " does not vote: remove it, and promote the other");
  RCS_TRY(promote(m, c.other, plan));
  return remove(m, c.id);
}

Status readmit(Membership& m, const MemberChange& c) {
  RCS_ASSIGN(member, existing(m, c.id));
  if (!c.peer_address.empty()) member->peer_address = c.peer_address;
  if (!c.client_address.empty()) member->client_address = c.client_address;
  if (!c.incarnation.is_zero() && c.incarnation == member->incarnation)
    return {RAFTCS_ERR_BAD_STATE, name_of(c.id) +
                                      " runs with the disk that the cluster knows; "
                                      "there is nothing to replace"};
  member->incarnation = c.incarnation;
  member->returning = member->returning || member->role == MemberRole::voter;
  member->role = MemberRole::learner;
  return check_addresses(m, *member);
}

Status set_priority(Membership& m, const MemberChange& c) {
  RCS_ASSIGN(member, existing(m, c.id));
  member->priority = c.priority;
  return Status::ok();
}

Status carry_out(Membership& m, const MemberChange& c, MemberPlan* plan) {
  switch (c.verb) {
    case MemberVerb::add:
      return add(m, c);
    case MemberVerb::promote:
      return promote(m, c.id, plan);
    case MemberVerb::demote:
      return demote(m, c.id);
    case MemberVerb::remove:
      return remove(m, c.id);
    case MemberVerb::replace:
      return replace(m, c, plan);
    case MemberVerb::readmit:
      return readmit(m, c);
    case MemberVerb::priority:
      return set_priority(m, c);
  }
  return bad_plan("this change of members is not known");
}

Status check_named_once(const MemberStep& step) {
  std::set<NodeId> named;
  for (const MemberChange& c : step) {
    if (!named.insert(c.id).second || (c.other && !named.insert(c.other).second))
      return bad_plan("a member is named twice in one change");
  }
  return Status::ok();
}

bool has_readmit(const MemberStep& step) {
  return std::any_of(step.begin(), step.end(),
                     [](const MemberChange& c) { return c.verb == MemberVerb::readmit; });
}

// Both halves in one: who only votes in the present half is leaving, or becomes a learner.
Membership joint_of(const Membership& current, const Membership& result) {
  Membership joint = result;
  joint.joint = true;
  for (const Member& old : current.members) {
    if (old.role != MemberRole::voter) continue;
    if (Member* stays = find(joint, old.id)) {
      stays->outgoing_voter = true;
      continue;
    }
    Member gone = old;
    gone.role = MemberRole::leaving;
    gone.outgoing_voter = true;
    auto at = std::find_if(joint.members.begin(), joint.members.end(),
                           [&](const Member& other) { return other.id > old.id; });
    joint.members.insert(at, std::move(gone));
  }
  return joint;
}

void judge(const Membership& current, NodeId leader, MemberPlan* plan) {
  const Electorate& after = plan->after;
  const Member* lead = raft::find_member(plan->result, leader);
  if (lead == nullptr || lead->role != MemberRole::voter)
    plan->notes.push_back(
        "the leader is among those that stop voting: it hands leadership over "
        "when the change is committed");
  if (after.voters == 1 && current.members.size() > 1)
    plan->notes.push_back("a single voter is left: if its disk is lost, so is everything");
  if (after.voters > 2 && after.voters % 2 == 0)
    plan->notes.push_back(std::to_string(after.voters) + " voters tolerate no more failures than " +
                          std::to_string(after.voters - 1));
  for (NodeId id : plan->down)
    plan->notes.push_back("voter " + to_string(id) + " is not heard of at the moment");
  if (after.up < after.needed) {
    plan->refusal = {RAFTCS_ERR_BAD_STATE,
                     "this would leave " + std::to_string(after.up) + " of " +
                         std::to_string(after.voters) + " voters up, and " +
                         std::to_string(after.needed) +
                         " are needed: nothing could be committed any more. Start the others "
                         "first, or give --force"};
    plan->notes.push_back("the change would lose the quorum");
  } else if (after.up == after.needed && after.voters > 1) {
    plan->notes.push_back("no voter may fail then: all that are up are needed");
  }
}

}  // namespace

Electorate electorate(const Membership& membership, const std::set<NodeId>& up) {
  Electorate e;
  for (const Member& m : membership.members) {
    if (m.role != MemberRole::voter) continue;
    ++e.voters;
    if (up.contains(m.id)) ++e.up;
  }
  e.needed = e.voters / 2 + 1;
  return e;
}

Result<MemberPlan> plan_members(const Membership& current, const MemberStep& step,
                                const std::set<NodeId>& up, NodeId leader) {
  if (current.joint)
    return {RAFTCS_ERR_CONFIG_IN_PROGRESS, "the change before is not finished yet"};
  if (step.empty()) return bad_plan("no change is given");
  RCS_TRY(check_named_once(step));
  MemberPlan plan;
  plan.result = current;
  for (const MemberChange& c : step) RCS_TRY(carry_out(plan.result, c, &plan));
  plan.before = electorate(current, up);
  plan.after = electorate(plan.result, up);
  if (plan.after.voters == 0) return bad_plan("no voter would be left");
  plan.next = plan.result;
  if (!raft::is_valid_change(current, plan.next)) plan.next = joint_of(current, plan.result);
  if (plan.next.joint && has_readmit(step))
    return bad_plan("a member whose disk was lost is taken in by a change of its own");
  if (!raft::is_valid_change(current, plan.next))
    return {RAFTCS_ERR_INTERNAL, "this change of members cannot be expressed"};
  for (const Member& m : plan.result.members)
    if (m.role == MemberRole::voter && !up.contains(m.id)) plan.down.push_back(m.id);
  judge(current, leader, &plan);
  return plan;
}

}  // namespace raftcs::server
