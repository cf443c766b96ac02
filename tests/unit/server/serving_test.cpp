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

TEST(Serving, AnAnswerNoClientCouldReadIsToldAsTooLarge) {
  NodeHarness cluster;
  ASSERT_EQ(cluster.wait_for_leader(), 1u);
  TestClient client(cluster, 1);
  ASSERT_TRUE(client.create(1, 7));
  const auto query = [&](uint64_t size) {
    client.clear();
    client.send(wire::Query{1, size, "ledger", Bytes::copy(&size, sizeof size)});
    cluster.run(20 * kMs);
    return client.last<wire::QueryResponse>();
  };
  const uint64_t most = wire::Limits().payload_bytes_max;
  auto m = query(most);
  ASSERT_TRUE(m);
  EXPECT_EQ(m->status, RAFTCS_OK);
  EXPECT_EQ(m->result.size(), most);
  m = query(most + 1);
  ASSERT_TRUE(m);
  EXPECT_EQ(m->status, RAFTCS_ERR_TOO_LARGE);
  EXPECT_NE(m->result.view().find("larger than"), std::string_view::npos);
  client.command(1, 1);
  cluster.run(20 * kMs);
  EXPECT_TRUE(client.last<wire::Response>());
}

TEST(Serving, AListNoClientCouldReadIsToldAsTooLarge) {
  NodeHarness cluster;
  ASSERT_EQ(cluster.wait_for_leader(), 1u);
  TestClient client(cluster, 1);
  wire::CreateSession create;
  for (int i = 0; i < 64; ++i)
    create.capabilities.emplace_back(std::string(250, 'n') + std::to_string(i),
                                     std::string(250, 'v'));
  create.timeout_ms = 10'000;
  for (uint64_t i = 1; i <= 520; ++i) {
    create.channel = static_cast<wire::Channel>(i);
    create.nonce = i;
    create.proof = TestClient::proof_of(i);
    client.send(create);
    cluster.settle();
  }
  EXPECT_EQ(client.all<wire::SessionCreated>().size(), 520u);
  client.send(wire::Admin{5, "sessions", ""});
  cluster.run(20 * kMs);
  const auto m = client.last<wire::AdminReply>();
  ASSERT_TRUE(m);
  EXPECT_EQ(m->status, RAFTCS_ERR_TOO_LARGE);
  EXPECT_TRUE(m->json.empty());
  EXPECT_TRUE(cluster.admin(1, "sessions").status.is_ok());  // there is no frame in between
}

TEST(Serving, AQueryNamesTheIndexThatItSaw) {
  NodeHarness cluster;
  ASSERT_EQ(cluster.wait_for_leader(), 1u);
  TestClient client(cluster, 1);
  ASSERT_TRUE(client.create(1, 7));
  const wire::Query query{1, 5, "ledger", Bytes(), wire::Consistency::stale};
  client.send(query);
  cluster.settle();
  ASSERT_EQ(client.all<wire::QueryResponse>().size(), 1u);
  const Index before = client.last<wire::QueryResponse>()->index;
  cluster.hold_apply(1);
  client.send(query);
  cluster.settle();
  client.command(1, 1);
  cluster.settle();
  cluster.hold_apply(1, false);
  cluster.run(20 * kMs);
  ASSERT_TRUE(client.last<wire::Response>());
  const auto m = client.last<wire::QueryResponse>();
  EXPECT_EQ(client.all<wire::QueryResponse>().size(), 2u);
  EXPECT_EQ(m->index, before);
  EXPECT_LT(m->index, client.last<wire::Response>()->index);
}

// A connection on which nothing was said for long is forgotten. Its client does not know, goes on,
// and waits for news: without them it could not find members that came later.
TEST(Serving, AForgottenConnectionIsGreetedWhenASessionIsBoundOnIt) {
  NodeHarness cluster;
  ASSERT_EQ(cluster.wait_for_leader(), 1u);
  TestClient other(cluster, 1), client(cluster, 1);
  ASSERT_TRUE(other.create(1, 5));
  client.send(wire::Hello{});
  cluster.run(60 * kNsPerSecond);
  client.clear();
  ASSERT_TRUE(client.create(1, 6));
  EXPECT_EQ(client.all<wire::Topology>().size(), 1u);
  client.clear();
  ASSERT_TRUE(client.create(2, 7));
  EXPECT_TRUE(client.all<wire::Topology>().empty()) << "once is enough";
}

// A server that has lost a binding says so also to a client that does nothing but ask: its session
// would expire meanwhile, and no request of the server's would reach it.
TEST(Serving, AQueryOnAChannelThatIsNotBoundIsAnsweredSo) {
  NodeHarness cluster;
  ASSERT_EQ(cluster.wait_for_leader(), 1u);
  TestClient client(cluster, 1);
  wire::Query query;
  query.correlation = 1;
  query.service = "ledger";
  for (const wire::Channel channel : {3u, 0u}) {
    client.clear();
    query.channel = channel;
    client.send(query);
    cluster.run(20 * kMs);
    EXPECT_EQ(client.all<wire::SessionClosed>().size(), channel == 0 ? 0u : 1u);
    EXPECT_EQ(client.all<wire::QueryResponse>().size(), channel == 0 ? 1u : 0u);
  }
}

}  // namespace
}  // namespace raftcs::test
