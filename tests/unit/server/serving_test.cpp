// serving_test.cpp: who serves clients, and what the others answer.
#include <gtest/gtest.h>

#include "support/node_harness.hpp"

namespace raftcs::test {
namespace {

TEST(Serving, OneNodeOpensASessionAndAnswersACommand) {
  NodeHarness cluster;
  ASSERT_EQ(cluster.wait_for_leader(), 1u);
  TestClient client(cluster, 1);
  ASSERT_TRUE(client.create(1, 77));
  client.command(1, 1);
  cluster.run(10 * kMs);
  auto responses = client.all<wire::Response>();
  ASSERT_EQ(responses.size(), 1u);
  EXPECT_EQ(responses[0].id, RequestId(1));
  EXPECT_EQ(cluster.ledger(1).ops.size(), 1u);
}

TEST(Serving, FollowersSayWhereTheLeaderIs) {
  NodeHarness cluster(3);
  const uint64_t leader = cluster.wait_for_leader();
  ASSERT_NE(leader, 0u);
  for (uint64_t id = 1; id <= 3; ++id) {
    if (id == leader) continue;
    TestClient client(cluster, id);
    client.ask_create(1, 5);
    cluster.settle();
    auto rejected = client.last<wire::SessionRejected>();
    ASSERT_TRUE(rejected);
    EXPECT_EQ(rejected->reason, wire::RejectReason::not_leader);
    EXPECT_EQ(rejected->leader.id, NodeId(leader));
    EXPECT_FALSE(rejected->leader.client_address.empty());
  }
}

}  // namespace
}  // namespace raftcs::test
