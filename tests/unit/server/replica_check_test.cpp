// What follows from the hashes that replicas give: who is wrong, and when nobody can say.
#include "server/replica_check.hpp"

#include <gtest/gtest.h>

namespace raftcs::server {
namespace {

raft::Membership members(uint64_t voters, uint64_t learners = 0) {
  raft::Membership m;
  for (uint64_t id = 1; id <= voters + learners; ++id) {
    raft::Member one;
    one.id = NodeId(id);
    one.role = id <= voters ? raft::MemberRole::voter : raft::MemberRole::learner;
    m.members.push_back(one);
  }
  return m;
}

wire::ReplicaHash at(uint64_t hash, uint64_t digest_index = 0, uint64_t digest = 0) {
  return {Index(9), hash, Index(digest_index), digest};
}

std::vector<uint64_t> wrong(const std::optional<CheckVerdict>& v) {
  std::vector<uint64_t> ids;
  if (v)
    for (NodeId id : v->wrong) ids.push_back(id.value);
  return ids;
}

using Ids = std::vector<uint64_t>;

TEST(ReplicaCheck, EqualOnesAreSaidToBeWhenAllHaveAnswered) {
  ReplicaCheck check(Index(9), members(3));
  EXPECT_FALSE(check.judge(true)) << "nobody has answered";
  EXPECT_TRUE(check.add(NodeId(1), at(5)));
  EXPECT_TRUE(check.add(NodeId(2), at(5)));
  EXPECT_FALSE(check.judge(false));
  EXPECT_TRUE(check.add(NodeId(3), at(5)));
  EXPECT_TRUE(check.complete());
  const auto v = check.judge(false);
  ASSERT_TRUE(v);
  EXPECT_TRUE(v->decided);
  EXPECT_EQ(wrong(v), Ids());
}

TEST(ReplicaCheck, AnAnswerOfAnotherIndexOrAStrangerIsNone) {
  ReplicaCheck check(Index(9), members(3));
  EXPECT_FALSE(check.add(NodeId(4), at(5)));
  EXPECT_FALSE(check.add(NodeId(1), {Index(8), 5, Index(), 0}));
}

TEST(ReplicaCheck, RC_08_TheMajorityIsRight) {
  ReplicaCheck check(Index(9), members(3));
  check.add(NodeId(1), at(6));
  check.add(NodeId(2), at(5));
  EXPECT_FALSE(check.judge(false)) << "the third decides";
  check.add(NodeId(3), at(5));
  const auto v = check.judge(false);
  ASSERT_TRUE(v);
  EXPECT_TRUE(v->decided);
  EXPECT_EQ(wrong(v), Ids{1});
}

TEST(ReplicaCheck, OneIsNamedBeforeAllHaveAnswered) {
  ReplicaCheck check(Index(9), members(5));
  for (uint64_t id : {1, 2, 3}) check.add(NodeId(id), at(5));
  check.add(NodeId(4), at(7));
  EXPECT_EQ(wrong(check.judge(false)), Ids{4});
}

TEST(ReplicaCheck, WithoutAMajorityAllAreNamedAndNobodyIsWrong) {
  for (uint64_t voters : {2u, 3u, 4u}) {
    ReplicaCheck check(Index(9), members(voters));
    for (uint64_t id = 1; id <= voters; ++id) check.add(NodeId(id), at(id % 2 ? id : 2));
    const auto v = check.judge(false);
    ASSERT_TRUE(v);
    EXPECT_FALSE(v->decided) << voters;
    EXPECT_EQ(v->wrong.size(), voters);
  }
}

// Two of five agree against one: three would have to.
TEST(ReplicaCheck, AMajorityIsOfAllVotersNotOfThoseThatAnswer) {
  ReplicaCheck check(Index(9), members(5));
  check.add(NodeId(1), at(5));
  check.add(NodeId(2), at(5));
  check.add(NodeId(3), at(6));
  EXPECT_FALSE(check.judge(false));
  EXPECT_FALSE(check.judge(true)->decided);
}

// The third, which made the majority, is away now.
TEST(ReplicaCheck, WhoWasWrongIsNoArgument) {
  ReplicaCheck check(Index(9), members(3));
  check.add(NodeId(1), at(5));
  check.add(NodeId(2), at(6));
  const auto v = check.judge(true, {Index(4), true, {NodeId(2)}});
  ASSERT_TRUE(v);
  EXPECT_TRUE(v->decided);
  EXPECT_EQ(wrong(v), Ids{2});
  EXPECT_FALSE(check.judge(true, {Index(4), false, {NodeId(1), NodeId(2)}})->decided);
  EXPECT_FALSE(check.judge(true, {Index(4), true, {NodeId(1), NodeId(2)}})->decided);
}

TEST(ReplicaCheck, LearnersAreJudgedAndDoNotDecide) {
  ReplicaCheck check(Index(9), members(1, 3));
  check.add(NodeId(1), at(5));
  for (uint64_t id : {2, 3, 4}) check.add(NodeId(id), at(6));
  EXPECT_EQ(wrong(check.judge(false)), (Ids{2, 3, 4}));
}

TEST(ReplicaCheck, DigestsAreComparedWhereHashesAgree) {
  ReplicaCheck check(Index(9), members(3));
  check.add(NodeId(1), at(5, 8, 1));
  check.add(NodeId(2), at(5, 8, 1));
  check.add(NodeId(3), at(5, 8, 2));
  EXPECT_EQ(wrong(check.judge(false)), Ids{3});
  ReplicaCheck missing(Index(9), members(3));  // restored since, so without one
  missing.add(NodeId(1), at(5, 8, 1));
  missing.add(NodeId(2), at(5, 8, 1));
  missing.add(NodeId(3), at(5));
  EXPECT_EQ(wrong(missing.judge(false)), Ids());
}

}  // namespace
}  // namespace raftcs::server
