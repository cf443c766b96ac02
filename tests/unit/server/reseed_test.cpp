// A member that gives up its data because an operator says so: only when the others can bear it.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "server/reseed_plan.hpp"
#include "support/node_harness.hpp"

namespace raftcs::test {
namespace {

using nlohmann::json;
using server::plan_reseed;
using sim::Call;

raft::Membership members(uint64_t voters, uint64_t learners = 0) {
  raft::Membership m;
  for (uint64_t id = 1; id <= voters + learners; ++id) {
    raft::Member member;
    member.id = NodeId(id);
    member.role = id <= voters ? raft::MemberRole::voter : raft::MemberRole::learner;
    m.members.push_back(member);
  }
  return m;
}

std::set<NodeId> up(std::initializer_list<uint64_t> ids) {
  std::set<NodeId> out;
  for (uint64_t id : ids) out.insert(NodeId(id));
  return out;
}

TEST(ReseedPlan, TheOthersNeedAMajorityOfAllVoters) {
  auto plan = plan_reseed(members(3), NodeId(2), up({1, 2, 3}));
  ASSERT_TRUE(plan.is_ok());
  EXPECT_TRUE(plan->refusal.is_ok());
  EXPECT_EQ(plan->before.tolerates(), 1u);
  EXPECT_EQ(plan->meanwhile.up, 2u);
  EXPECT_EQ(plan->meanwhile.needed, 2u);
  EXPECT_EQ(plan->meanwhile.tolerates(), 0u);
  ASSERT_EQ(plan->notes.size(), 1u);

  plan = plan_reseed(members(3), NodeId(2), up({1, 2}));
  ASSERT_TRUE(plan.is_ok());
  EXPECT_EQ(plan->refusal.code(), RAFTCS_ERR_BAD_STATE);
  EXPECT_NE(plan->refusal.text().find("1 of 3 voters"), std::string::npos);
  EXPECT_FALSE(plan_reseed(members(2), NodeId(2), up({1, 2}))->refusal.is_ok());
  EXPECT_TRUE(plan_reseed(members(5), NodeId(2), up({1, 2, 3, 4}))->refusal.is_ok());
}

TEST(ReseedPlan, OneThatIsDownDoesNotCountTwice) {
  EXPECT_TRUE(plan_reseed(members(3), NodeId(2), up({1, 3}))->refusal.is_ok());
}

TEST(ReseedPlan, ASoleVoterAStrangerAndAJointConfigurationAreErrors) {
  EXPECT_EQ(plan_reseed(members(1), NodeId(1), up({1})).status().code(), RAFTCS_ERR_BAD_STATE);
  EXPECT_EQ(plan_reseed(members(1, 2), NodeId(1), up({1, 2, 3})).status().code(),
            RAFTCS_ERR_BAD_STATE);
  EXPECT_EQ(plan_reseed(members(3), NodeId(7), up({1, 2, 3})).status().code(),
            RAFTCS_ERR_NOT_MEMBER);
  raft::Membership joint = members(3);
  joint.joint = true;
  EXPECT_EQ(plan_reseed(joint, NodeId(1), up({1, 2, 3})).status().code(),
            RAFTCS_ERR_CONFIG_IN_PROGRESS);
}

TEST(ReseedPlan, ALearnerCostsNothing) {
  const auto plan = plan_reseed(members(1, 1), NodeId(2), up({1, 2}));
  ASSERT_TRUE(plan.is_ok());
  EXPECT_TRUE(plan->refusal.is_ok());
  EXPECT_EQ(plan->meanwhile.up, plan->before.up);
}

// --- the verbs ------------------------------------------------------------------------------

class ReseedTest : public testing::Test {
 protected:
  NodeHarness& c() { return *cluster_; }
  void found(uint64_t count) {
    cluster_.emplace(count);
    lead_ = c().wait_for_leader();
    TestClient client(c(), lead_);
    ASSERT_TRUE(client.create(1, 1));
    for (uint64_t i = 1; i <= 20; ++i) client.command(1, i);
    c().run(kNsPerSecond);
  }
  uint64_t follower() { return lead_ == 1 ? 2 : 1; }
  json status(uint64_t id) { return json::parse(c().admin(id, "status").json); }
  server::AdminResult plan(uint64_t id, bool dry_run) {
    return c().admin(lead_, "reseed_plan", json{{"id", id}, {"dry_run", dry_run}}.dump());
  }
  json permit(uint64_t id) { return json::parse(plan(id, false).json)["permit"]; }
  server::AdminResult reseed(uint64_t id, const json& permit) {
    return c().admin(id, "reseed", json{{"id", id}, {"permit", permit}}.dump());
  }
  void restart(uint64_t id) {
    c().kill(id);
    c().start(id);
  }
  bool marked(uint64_t id) { return c().disk(id).contents("/data/reseed").has_value(); }

  std::optional<NodeHarness> cluster_;
  uint64_t lead_ = 0;
};

TEST_F(ReseedTest, AFollowerBeginsAnewAtItsNextStartAndOnce) {
  found(3);
  const uint64_t id = follower();
  const std::string old = status(id)["incarnation"];
  ASSERT_TRUE(reseed(id, permit(id)).status.is_ok());
  EXPECT_TRUE(marked(id));
  EXPECT_TRUE(status(id)["reseed"].get<bool>());
  c().run(5 * kNsPerSecond);
  EXPECT_EQ(status(id)["incarnation"], old) << "not before";
  restart(id);
  EXPECT_EQ(status(id)["standing"], "healing");
  EXPECT_FALSE(marked(id));
  EXPECT_FALSE(status(id)["reseed"].get<bool>());
  ASSERT_TRUE(c().run_until([&] { return status(id)["standing"] == "voter"; },
                            20 * kNsPerSecond));
  const std::string fresh = status(id)["incarnation"];
  EXPECT_NE(fresh, old);
  EXPECT_TRUE(c().disk(id).contents("/data/damaged/log-0000000000000001"));
  restart(id);
  EXPECT_EQ(status(id)["incarnation"], fresh);
}

TEST_F(ReseedTest, ALeaderTooAndItIsNotLeadingThen) {
  found(3);
  const uint64_t id = lead_;
  const std::string old = status(id)["incarnation"];
  ASSERT_TRUE(reseed(id, permit(id)).status.is_ok());
  restart(id);
  ASSERT_TRUE(c().run_until([&] { return status(id)["standing"] == "voter"; },
                            30 * kNsPerSecond));
  EXPECT_NE(status(id)["incarnation"], old);
}

TEST_F(ReseedTest, ADryRunTellsTheQuorumAndChangesNothing) {
  found(3);
  const uint64_t id = follower();
  const json answer = json::parse(plan(id, true).json);
  EXPECT_EQ(answer["before"], (json{{"voters", 3}, {"needed", 2}, {"up", 3}, {"tolerates", 1}}));
  EXPECT_EQ(answer["meanwhile"], (json{{"voters", 3}, {"needed", 2}, {"up", 2}, {"tolerates", 0}}));
  EXPECT_FALSE(answer["loses_quorum"].get<bool>());
  EXPECT_FALSE(answer.contains("permit"));
  EXPECT_FALSE(marked(id));
}

TEST_F(ReseedTest, RefusedWhileTheOthersHaveNoMajority) {
  found(3);
  const uint64_t id = follower(), third = 6 - lead_ - id;
  c().kill(third);
  c().run(3 * kNsPerSecond);
  EXPECT_EQ(plan(id, false).status.code(), RAFTCS_ERR_BAD_STATE);
  EXPECT_TRUE(json::parse(plan(id, true).json)["loses_quorum"].get<bool>());
  EXPECT_EQ(reseed(id, json::object()).status.code(), RAFTCS_ERR_BAD_STATE) << "no permit";
  EXPECT_FALSE(marked(id));
}

TEST_F(ReseedTest, ASoleVoterIsRefused) {
  found(1);
  EXPECT_EQ(plan(1, false).status.code(), RAFTCS_ERR_BAD_STATE);
  EXPECT_EQ(plan(1, true).status.code(), RAFTCS_ERR_BAD_STATE);
  EXPECT_FALSE(marked(1));
}

TEST_F(ReseedTest, APermitOfAnotherTermIsVoid) {
  found(3);
  const uint64_t id = follower();
  json old = permit(id);
  old["term"] = old["term"].get<uint64_t>() - 1;
  EXPECT_EQ(reseed(id, old).status.code(), RAFTCS_ERR_BAD_STATE);
  EXPECT_FALSE(marked(id));
}

// A mark waits for a restart, and a power cycle restarts all: marked ones count as failed.
TEST_F(ReseedTest, APermitIsCountedAgainstTheNext) {
  found(3);
  const uint64_t id = follower(), third = 6 - lead_ - id;
  ASSERT_TRUE(reseed(id, permit(id)).status.is_ok());
  EXPECT_TRUE(plan(id, false).status.is_ok()) << "again for the same one";
  const server::AdminResult second = plan(third, false);
  EXPECT_EQ(second.status.code(), RAFTCS_ERR_BAD_STATE);
  EXPECT_NE(second.status.text().find("1 of 3 voters"), std::string::npos) << second.status.text();
  const json dry = json::parse(plan(third, true).json);
  EXPECT_TRUE(dry["loses_quorum"].get<bool>());
  EXPECT_NE(dry["notes"].dump().find("member reseed " + std::to_string(id) + " --off"),
            std::string::npos)
      << dry["notes"];
  // It has begun anew, and has its vote back.
  restart(id);
  EXPECT_EQ(plan(third, false).status.code(), RAFTCS_ERR_BAD_STATE);
  ASSERT_TRUE(c().run_until([&] { return status(id)["standing"] == "voter"; },
                            20 * kNsPerSecond));
  ASSERT_TRUE(c().run_until([&] { return plan(third, false).status.is_ok(); }, 5 * kNsPerSecond));
}

TEST_F(ReseedTest, FiveBearTwoPermits) {
  found(5);
  const uint64_t a = lead_ % 5 + 1, b = a % 5 + 1, d = b % 5 + 1;
  EXPECT_TRUE(plan(a, false).status.is_ok());
  EXPECT_TRUE(plan(b, false).status.is_ok());
  EXPECT_EQ(plan(d, false).status.code(), RAFTCS_ERR_BAD_STATE);
}

TEST_F(ReseedTest, APermitTakenBackAtTheLeaderCountsNoMore) {
  found(3);
  const uint64_t id = follower(), third = 6 - lead_ - id;
  EXPECT_TRUE(plan(id, true).status.is_ok());
  EXPECT_TRUE(plan(third, false).status.is_ok()) << "a dry run gives none";
  EXPECT_FALSE(plan(id, false).status.is_ok());
  const json off{{"id", third}, {"off", true}};
  EXPECT_TRUE(c().admin(lead_, "reseed_plan", off.dump()).status.is_ok());
  EXPECT_TRUE(plan(id, false).status.is_ok());
}

TEST_F(ReseedTest, AnotherNodesIdIsRefused) {
  found(3);
  const json args{{"id", lead_}, {"permit", permit(follower())}};
  EXPECT_EQ(c().admin(follower(), "reseed", args.dump()).status.code(),
            RAFTCS_ERR_INVALID_ARGUMENT);
}

TEST_F(ReseedTest, ItCanBeTakenBack) {
  found(3);
  const uint64_t id = follower();
  const std::string old = status(id)["incarnation"];
  ASSERT_TRUE(reseed(id, permit(id)).status.is_ok());
  ASSERT_TRUE(c().admin(id, "reseed", json{{"id", id}, {"off", true}}.dump()).status.is_ok());
  EXPECT_FALSE(marked(id));
  restart(id);
  EXPECT_EQ(status(id)["incarnation"], old);
}

TEST_F(ReseedTest, RefusedWhileAnEarlierCopyIsThere) {
  found(3);
  const uint64_t id = follower();
  ASSERT_TRUE(reseed(id, permit(id)).status.is_ok());
  restart(id);
  ASSERT_TRUE(c().run_until([&] { return status(id)["standing"] == "voter"; },
                            20 * kNsPerSecond));
  c().run(2 * kNsPerSecond);
  const server::AdminResult again = reseed(id, permit(id));
  EXPECT_EQ(again.status.code(), RAFTCS_ERR_BAD_STATE);
  EXPECT_NE(again.status.text().find("/data/damaged"), std::string::npos);
  EXPECT_FALSE(marked(id));
}

TEST_F(ReseedTest, ADiskThatFailsIsTold) {
  found(3);
  const uint64_t id = follower();
  const json allowed = permit(id);
  c().disk(id).fail_nth(Call::open, 1);
  EXPECT_EQ(reseed(id, allowed).status.code(), RAFTCS_ERR_IO);
  EXPECT_FALSE(status(id)["reseed"].get<bool>());
}

}  // namespace
}  // namespace raftcs::test
