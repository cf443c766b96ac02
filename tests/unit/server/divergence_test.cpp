// A replica whose state machine answers otherwise than the others': found, named, out of service,
// and right again when it is re-seeded.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "support/node_harness.hpp"

namespace raftcs::test {
namespace {

using nlohmann::json;

class DivergenceTest : public testing::Test {
 protected:
  NodeHarness& c() { return *cluster_; }
  void found(uint64_t count) { cluster_.emplace(count); }
  uint64_t leader() { return c().wait_for_leader(); }
  uint64_t follower() { return leader() == 1 ? 2 : 1; }
  json status(uint64_t id) { return json::parse(c().admin(id, "status").json); }
  void work() {
    const uint64_t lead = leader();
    ASSERT_NE(lead, 0u);
    TestClient client(c(), lead);
    ASSERT_TRUE(client.create(1, ++secret_));
    for (uint64_t i = 1; i <= 5; ++i) client.command(1, i);
    c().run(2 * kNsPerSecond);
  }
  json wrong(uint64_t at) { return status(at)["divergence"]["wrong"]; }
  bool told(uint64_t id, const std::string& part) {
    for (const std::string& line : c().lines(id))
      if (line.find(part) != std::string::npos) return true;
    return false;
  }

  std::optional<NodeHarness> cluster_;
  uint64_t secret_ = 0;
};

TEST_F(DivergenceTest, EqualReplicasAreNamedEqualAndCostNothingWhenIdle) {
  found(3);
  work();
  const uint64_t lead = leader();
  EXPECT_TRUE(c().run_until(
      [&] { return status(lead)["divergence"]["index"] == status(lead)["applied"]; },
      5 * kNsPerSecond));
  for (uint64_t id = 1; id <= 3; ++id) {
    EXPECT_EQ(wrong(id), json::array());
    EXPECT_EQ(status(id)["health"], "ok");
  }
}

TEST_F(DivergenceTest, RC_08_AFollowerThatDiffersIsNamedEverywhereAndNeverLeads) {
  found(3);
  work();
  const uint64_t odd = follower();
  c().lie(odd, 1);
  work();
  for (uint64_t id = 1; id <= 3; ++id) {
    EXPECT_EQ(wrong(id), json::array({odd})) << id;
    EXPECT_TRUE(told(id, "the state of node " + std::to_string(odd) + " differs")) << id;
  }
  EXPECT_TRUE(status(odd)["divergence"]["quarantined"]);
  EXPECT_NE(status(odd)["health"].get<std::string>().find("storage.reseed"), std::string::npos);
  // It stores and votes, so the cluster bears the loss of another one; but it does not lead.
  const uint64_t lead = leader();
  c().kill(lead);
  c().run(10 * kNsPerSecond);
  const uint64_t next = leader();
  EXPECT_NE(next, odd);
  EXPECT_NE(next, 0u);
  work();
  EXPECT_EQ(wrong(next), json::array({odd})) << "although only two answer";
}

TEST_F(DivergenceTest, ALeaderThatDiffersStepsDown) {
  found(3);
  work();
  const uint64_t odd = leader();
  c().lie(odd, 1);
  TestClient client(c(), odd);
  ASSERT_TRUE(client.create(1, ++secret_));
  for (uint64_t i = 1; i <= 5; ++i) client.command(1, i);
  ASSERT_TRUE(c().run_until([&] { return !c().node(odd).serving(); }, 3 * kNsPerSecond));
  c().run(5 * kNsPerSecond);
  const uint64_t next = leader();
  EXPECT_NE(next, odd);
  EXPECT_EQ(wrong(next), json::array({odd}));
  work();
}

// Of two voters that are up the one with the wrong state has the only full log: nobody else can be
// elected. It leads until the other has the log, and serves nobody.
TEST_F(DivergenceTest, WithTheOnlyFullLogItLeadsUntilAnotherHasIt) {
  found(3);
  work();
  const uint64_t odd = follower(), lead = leader(), away = 6 - odd - lead;
  c().lie(odd, 1);
  work();
  ASSERT_TRUE(status(odd)["divergence"]["quarantined"]);
  ASSERT_EQ(leader(), lead);
  c().isolate(away);
  TestClient client(c(), lead);
  ASSERT_TRUE(client.create(1, ++secret_));
  client.command(1, 1);
  c().run(100 * kMs);
  ASSERT_EQ(client.all<wire::Response>().size(), 1u);
  const size_t ops = c().ledger(lead).ops.size();
  c().kill(lead);
  c().isolate(away, false);
  ASSERT_TRUE(c().run_until(
      [&] {
        EXPECT_FALSE(c().node(odd).serving());
        return c().node(away).serving();
      },
      10 * kNsPerSecond));
  EXPECT_EQ(c().ledger(away).ops.size(), ops);
  work();
}

TEST_F(DivergenceTest, OfTwoNobodyIsRight) {
  found(2);
  work();
  c().lie(follower(), 1);
  work();
  for (uint64_t id = 1; id <= 2; ++id) {
    EXPECT_EQ(wrong(id), json::array({1, 2}));
    EXPECT_FALSE(status(id)["divergence"]["majority"]);
    EXPECT_FALSE(status(id)["divergence"]["quarantined"]);
  }
  work();  // all serve on
}

TEST_F(DivergenceTest, ItIsRightAgainWhenReseeded) {
  found(3);
  work();
  const uint64_t odd = follower();
  c().lie(odd, 1);
  work();
  ASSERT_TRUE(status(odd)["divergence"]["quarantined"]);
  const std::string old = status(odd)["incarnation"];
  c().kill(odd);
  c().options(odd).reseed = true;
  c().start(odd);
  EXPECT_TRUE(told(odd, "storage.reseed"));
  c().options(odd).reseed = false;
  ASSERT_TRUE(c().run_until([&] { return status(odd)["standing"] == "voter"; }, 20 * kNsPerSecond));
  work();
  EXPECT_NE(status(odd)["incarnation"], old);
  for (uint64_t id = 1; id <= 3; ++id) {
    EXPECT_EQ(wrong(id), json::array()) << id;
    EXPECT_EQ(status(id)["health"], "ok");
  }
}

}  // namespace
}  // namespace raftcs::test
