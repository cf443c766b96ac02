// Plans of membership changes: what is refused, what becomes joint, what a quorum comes to.
#include "server/member_plan.hpp"

#include <gtest/gtest.h>

#include "raft/quorum.hpp"

namespace raftcs::server {
namespace {

using raft::Member;
using raft::MemberRole;
using raft::Membership;

Membership cluster(uint64_t voters, uint64_t learners = 0) {
  Membership m;
  for (uint64_t id = 1; id <= voters + learners; ++id) {
    Member member;
    member.id = NodeId(id);
    member.peer_address = "tcp://10.0.0." + std::to_string(id) + ":7101";
    member.client_address = "tcp://10.0.0." + std::to_string(id) + ":7001";
    member.role = id <= voters ? MemberRole::voter : MemberRole::learner;
    member.incarnation.bytes[0] = static_cast<uint8_t>(id);
    m.members.push_back(member);
  }
  return m;
}

std::set<NodeId> ids(uint64_t last) {
  std::set<NodeId> set;
  for (uint64_t id = 1; id <= last; ++id) set.insert(NodeId(id));
  return set;
}

MemberChange change(MemberVerb verb, uint64_t id, uint64_t other = 0) {
  MemberChange c;
  c.verb = verb;
  c.id = NodeId(id);
  c.other = NodeId(other);
  return c;
}

MemberChange add(uint64_t id, const std::string& peer, const std::string& client) {
  MemberChange c = change(MemberVerb::add, id);
  c.peer_address = peer;
  c.client_address = client;
  return c;
}

raftcs_status_t refusal(const Membership& m, const MemberStep& step) {
  auto plan = plan_members(m, step, ids(9), NodeId(1));
  return plan ? RAFTCS_OK : plan.status().code();
}

TEST(MemberPlan, MB_09_ANewMemberIsALearner) {
  auto plan = plan_members(cluster(3), {add(4, "tcp://h:1", "tcp://h:2")}, ids(3), NodeId(1));
  ASSERT_TRUE(plan.is_ok()) << plan.status().text();
  EXPECT_FALSE(plan->next.joint);
  EXPECT_EQ(plan->next.members.back().role, MemberRole::learner);
  EXPECT_EQ(plan->after.voters, 3u);
  EXPECT_TRUE(plan->catch_up.empty());
  EXPECT_TRUE(plan->refusal.is_ok()) << "a learner that is not up costs nothing";
}

TEST(MemberPlan, OneVoterIsASimpleChangeMoreAreJoint) {
  auto one = plan_members(cluster(3, 1), {change(MemberVerb::promote, 4)}, ids(4), NodeId(1));
  ASSERT_TRUE(one.is_ok());
  EXPECT_FALSE(one->next.joint);
  EXPECT_EQ(one->catch_up, std::vector<NodeId>{NodeId(4)});
  auto two = plan_members(cluster(3, 1), {change(MemberVerb::replace, 2, 4)}, ids(4), NodeId(1));
  ASSERT_TRUE(two.is_ok());
  EXPECT_TRUE(two->next.joint);
  EXPECT_EQ(raft::leave_joint(two->next), two->result);
  EXPECT_EQ(raft::find_member(two->result, NodeId(2)), nullptr);
  EXPECT_EQ(raft::find_member(two->next, NodeId(2))->role, MemberRole::leaving);
}

// Every plan is something consensus takes, and ends where it says.
TEST(MemberPlan, S16_AllPairsOfChangesAreValidForEverySize) {
  size_t plans = 0, joint = 0;
  constexpr MemberVerb kVerbs[] = {MemberVerb::promote, MemberVerb::demote, MemberVerb::remove,
                                   MemberVerb::readmit, MemberVerb::priority};
  for (uint64_t voters = 1; voters <= 7; ++voters) {
    const Membership m = cluster(voters, 2);
    for (MemberVerb a : kVerbs)
      for (MemberVerb b : kVerbs)
        for (uint64_t x = 1; x <= voters + 2; ++x)
          for (uint64_t y = 1; y <= voters + 2; ++y) {
            auto plan = plan_members(m, {change(a, x), change(b, y)}, ids(9), NodeId(1));
            if (!plan) continue;
            ++plans;
            ASSERT_TRUE(raft::is_valid_change(m, plan->next));
            ASSERT_EQ(plan->next.joint ? raft::leave_joint(plan->next) : plan->next, plan->result);
            ASSERT_FALSE(raft::voter_sets(plan->result).incoming.empty());
            joint += plan->next.joint ? 1 : 0;
          }
  }
  EXPECT_GT(plans, 2'000u);
  EXPECT_GT(joint, 200u);
}

TEST(MemberPlan, WhatIsRefusedAlways) {
  const Membership m = cluster(3, 1);
  EXPECT_EQ(refusal(m, {}), RAFTCS_ERR_INVALID_ARGUMENT);
  EXPECT_EQ(refusal(m, {add(0, "tcp://h:1", "tcp://h:2")}), RAFTCS_ERR_INVALID_ARGUMENT);
  EXPECT_EQ(refusal(m, {add(2, "tcp://h:1", "tcp://h:2")}), RAFTCS_ERR_ALREADY_EXISTS);
  EXPECT_EQ(refusal(m, {add(5, "tcp://10.0.0.1:7001", "tcp://h:2")}), RAFTCS_ERR_ALREADY_EXISTS);
  EXPECT_EQ(refusal(m, {add(5, "tcp://h:1", "tcp://h:1")}), RAFTCS_ERR_INVALID_ARGUMENT);
  EXPECT_EQ(refusal(m, {add(5, "h:1", "tcp://h:2")}), RAFTCS_ERR_INVALID_ARGUMENT);
  EXPECT_EQ(refusal(m, {change(MemberVerb::remove, 9)}), RAFTCS_ERR_NOT_MEMBER);
  EXPECT_EQ(refusal(m, {change(MemberVerb::promote, 1)}), RAFTCS_ERR_ALREADY_EXISTS);
  EXPECT_EQ(refusal(m, {change(MemberVerb::demote, 4)}), RAFTCS_ERR_ALREADY_EXISTS);
  EXPECT_EQ(refusal(m, {change(MemberVerb::replace, 4, 1)}), RAFTCS_ERR_INVALID_ARGUMENT);
  EXPECT_EQ(refusal(m, {change(MemberVerb::remove, 1), change(MemberVerb::remove, 1)}),
            RAFTCS_ERR_INVALID_ARGUMENT);
  EXPECT_EQ(refusal(m, {change(MemberVerb::remove, 1), change(MemberVerb::demote, 2),
                        change(MemberVerb::remove, 3)}),
            RAFTCS_ERR_INVALID_ARGUMENT)
      << "no voter would be left";
  Membership joint = m;
  joint.joint = true;
  EXPECT_EQ(refusal(joint, {change(MemberVerb::remove, 1)}), RAFTCS_ERR_CONFIG_IN_PROGRESS);
  Membership full = cluster(1, raft::kMembersMax - 1);
  EXPECT_EQ(refusal(full, {add(500, "tcp://h:1", "tcp://h:2")}), RAFTCS_ERR_RESOURCE_LIMIT);
}

TEST(MemberPlan, AChangeThatLosesTheQuorumNeedsForce) {
  // 3 voters, 3 is down: removing 2 leaves {1, 3} with one of two up.
  auto lost = plan_members(cluster(3), {change(MemberVerb::remove, 2)}, ids(2), NodeId(1));
  ASSERT_TRUE(lost.is_ok());
  EXPECT_EQ(lost->refusal.code(), RAFTCS_ERR_BAD_STATE);
  EXPECT_EQ(lost->down, std::vector<NodeId>{NodeId(3)});
  // Removing the one that is down is what helps.
  auto good = plan_members(cluster(3), {change(MemberVerb::remove, 3)}, ids(2), NodeId(1));
  ASSERT_TRUE(good.is_ok());
  EXPECT_TRUE(good->refusal.is_ok());
}

TEST(MemberPlan, ElectoratesOfEvenAndLargeSizes) {
  struct Row {
    uint64_t voters, up, needed, tolerates;
  };
  for (const Row& r : {Row{1, 1, 1, 0}, Row{2, 2, 2, 0}, Row{3, 3, 2, 1}, Row{4, 4, 3, 1},
                       Row{5, 4, 3, 1}, Row{6, 6, 4, 2}, Row{7, 7, 4, 3}, Row{7, 3, 4, 0}}) {
    const Electorate e = electorate(cluster(r.voters), ids(r.up));
    EXPECT_EQ(e.needed, r.needed) << r.voters;
    EXPECT_EQ(e.tolerates(), r.tolerates) << r.voters;
  }
}

TEST(MemberPlan, MB_08_ReadmittingForgetsTheDiskAndTheVote) {
  auto plan = plan_members(cluster(3), {change(MemberVerb::readmit, 2)}, ids(3), NodeId(1));
  ASSERT_TRUE(plan.is_ok());
  const Member* m = raft::find_member(plan->result, NodeId(2));
  EXPECT_EQ(m->role, MemberRole::learner);
  EXPECT_TRUE(m->incarnation.is_zero());
  EXPECT_TRUE(m->returning) << "it gets its vote back";
  const auto returning_after = [&](MemberVerb verb) {
    auto next = plan_members(plan->result, {change(verb, 2)}, ids(3), NodeId(1));
    EXPECT_TRUE(next.is_ok());
    return next.is_ok() && raft::find_member(next->result, NodeId(2))->returning;
  };
  EXPECT_TRUE(returning_after(MemberVerb::readmit)) << "damaged twice";
  EXPECT_FALSE(returning_after(MemberVerb::promote));
  EXPECT_FALSE(returning_after(MemberVerb::demote));
  MemberChange same = change(MemberVerb::readmit, 2);
  same.incarnation = cluster(3).members[1].incarnation;
  EXPECT_EQ(refusal(cluster(3), {same}), RAFTCS_ERR_BAD_STATE);
  EXPECT_EQ(refusal(cluster(5), {change(MemberVerb::readmit, 2), change(MemberVerb::readmit, 3)}),
            RAFTCS_ERR_INVALID_ARGUMENT)
      << "wiped disks would count for what they were";
  raft::Membership with_learner = cluster(3);
  with_learner.members[1].role = MemberRole::learner;
  auto learner = plan_members(with_learner, {change(MemberVerb::readmit, 2)}, ids(3), NodeId(1));
  ASSERT_TRUE(learner.is_ok());
  EXPECT_FALSE(raft::find_member(learner->result, NodeId(2))->returning) << "it had no vote";
}

}  // namespace
}  // namespace raftcs::server
