// overload_test.cpp: what a node does with more than it can take (SRV-06, SRV-07, SRV-10,
// W-S12, W-S13).
#include <gtest/gtest.h>

#include "support/node_harness.hpp"

namespace raftcs::test {
namespace {

uint64_t busy_count(TestClient& client) {
  uint64_t n = 0;
  for (const auto& error : client.all<wire::RequestError>()) n += error.status == RAFTCS_ERR_BUSY;
  return n;
}

TEST(Overload, WhatIsAcceptedIsAnsweredAndTheRestIsToldToComeBack) {
  NodeHarness cluster(1, [](server::Options& o) { o.inflight_bytes_max = 100'000; });
  ASSERT_EQ(cluster.wait_for_leader(), 1u);
  TestClient client(cluster, 1);
  ASSERT_TRUE(client.create(1, 1));
  cluster.hold_apply(1);
  for (uint64_t id = 1; id <= 1000; ++id) client.command(1, id);
  cluster.run(10 * kMs);
  const uint64_t busy = busy_count(client);
  EXPECT_GT(busy, 500u);
  EXPECT_TRUE(client.all<wire::Response>().empty());
  for (const auto& error : client.all<wire::RequestError>()) {
    EXPECT_EQ(error.status, RAFTCS_ERR_BUSY);
    EXPECT_GE(error.retry_after_ms, 20u);
    EXPECT_FALSE(error.text.empty());
  }
  cluster.hold_apply(1, false);
  cluster.run(10 * kMs);
  EXPECT_EQ(client.all<wire::Response>().size() + busy, 1000u);
  EXPECT_EQ(cluster.ledger(1).ops.size() + busy, 1000u);
  const std::string status = cluster.admin(1, "status").json;
  EXPECT_NE(status.find("\"full\":" + std::to_string(busy)), std::string::npos) << status;
  EXPECT_NE(status.find("\"commands_inflight\":0"), std::string::npos) << status;
}

TEST(Overload, KeepAlivesAndStatusAreServedBeforeAFloodOfTheSameTurn) {
  NodeHarness cluster;
  ASSERT_EQ(cluster.wait_for_leader(), 1u);
  TestClient flood(cluster, 1), other(cluster, 1);
  ASSERT_TRUE(flood.create(1, 1));
  ASSERT_TRUE(other.create(1, 2));
  flood.clear();
  std::vector<wire::ClientMessage> many;
  for (uint64_t id = 1; id <= 500; ++id)
    many.push_back(wire::Request{1, RequestId(id), RequestId(1), "nowhere", Bytes()});
  many.push_back(wire::KeepAlive{1, 99});
  many.push_back(wire::Admin{7, "status", {}});
  flood.send(many);
  cluster.settle();
  // Refusals are answered at once; what is urgent is answered before them all the same.
  std::vector<wire::ServerMessage> order = cluster.take(flood.conn());
  ASSERT_EQ(order.size(), 502u);
  EXPECT_TRUE(std::holds_alternative<wire::KeepAliveReply>(order[0]));
  EXPECT_TRUE(std::holds_alternative<wire::AdminReply>(order[1]));
}

TEST(Overload, NoSessionIsLostWhileTheClusterIsFlooded) {
  NodeHarness cluster(1, [](server::Options& o) { o.inflight_bytes_max = 100'000; });
  ASSERT_EQ(cluster.wait_for_leader(), 1u);
  TestClient greedy(cluster, 1), quiet(cluster, 1);
  ASSERT_TRUE(greedy.create(1, 1, 2'000));
  ASSERT_TRUE(quiet.create(1, 2, 2'000));
  uint64_t id = 0;
  for (int round = 0; round < 200; ++round) {  // ten seconds, five times the sessions' timeout
    cluster.hold_apply(1, round % 4 != 3);     // the lane is slow
    for (int i = 0; i < 800; ++i) greedy.command(1, ++id);
    if (round % 10 == 0) quiet.send(wire::KeepAlive{1, static_cast<uint64_t>(round) + 1});
    cluster.run(50 * kMs);
  }
  EXPECT_EQ(quiet.all<wire::KeepAliveReply>().size(), 20u);
  EXPECT_TRUE(quiet.all<wire::SessionClosed>().empty());
  EXPECT_TRUE(greedy.all<wire::SessionClosed>().empty());
  EXPECT_GT(busy_count(greedy), 10'000u);
}

TEST(Overload, AWellBehavedSessionGetsThroughBesideGreedyOnes) {
  NodeHarness cluster(1, [](server::Options& o) { o.inflight_bytes_max = 200'000; });
  ASSERT_EQ(cluster.wait_for_leader(), 1u);
  TestClient greedy(cluster, 1), modest(cluster, 1);
  for (wire::Channel c = 1; c <= 4; ++c) ASSERT_TRUE(greedy.create(c, c));
  ASSERT_TRUE(modest.create(1, 100));
  uint64_t id = 0, mine = 0;
  for (int round = 0; round < 100; ++round) {
    cluster.hold_apply(1, round % 4 != 3);
    ++id;
    for (wire::Channel c = 1; c <= 4; ++c)
      for (uint64_t i = 0; i < 400; ++i) greedy.command(c, id * 1000 + i);
    if (modest.all<wire::Response>().size() == mine) modest.command(1, ++mine);
    cluster.run(20 * kMs);
  }
  cluster.hold_apply(1, false);
  cluster.run(50 * kMs);
  EXPECT_GT(busy_count(greedy), 10'000u);
  EXPECT_EQ(busy_count(modest), 0u);
  EXPECT_EQ(modest.all<wire::Response>().size(), mine);
  EXPECT_GE(mine, 20u);
}

TEST(Overload, LimitsHaveTheirOwnAnswers) {
  NodeHarness cluster(1, [](server::Options& o) {
    o.sessions_max = 3;
    o.payload_bytes_max = 1'000;
    o.commands_per_second_max = 5;
    o.requests_per_session_max = 8;
  });
  ASSERT_EQ(cluster.wait_for_leader(), 1u);
  TestClient client(cluster, 1);
  for (wire::Channel c = 1; c <= 3; ++c) ASSERT_TRUE(client.create(c, c));
  EXPECT_FALSE(client.create(4, 4));
  auto rejected = client.last<wire::SessionRejected>();
  ASSERT_TRUE(rejected);
  EXPECT_EQ(rejected->reason, wire::RejectReason::limit);
  EXPECT_GT(rejected->retry_after_ms, 0u);
  client.command(1, 1, 2'000);
  cluster.run(kMs);
  EXPECT_EQ(client.last<wire::RequestError>()->status, RAFTCS_ERR_TOO_LARGE);
  for (uint64_t id = 2; id <= 12; ++id) client.command(1, id);
  cluster.run(kMs);
  EXPECT_EQ(client.all<wire::Response>().size(), 5u);
  EXPECT_EQ(client.last<wire::RequestError>()->status, RAFTCS_ERR_BUSY);
  EXPECT_NE(client.last<wire::RequestError>()->text.find("commands_per_second"), std::string::npos);
}

TEST(Overload, AdministrationIsBoundedPerTurn) {
  NodeHarness cluster;
  ASSERT_EQ(cluster.wait_for_leader(), 1u);
  TestClient client(cluster, 1);
  std::vector<wire::ClientMessage> many;
  for (uint64_t i = 1; i <= 1000; ++i) many.push_back(wire::Admin{i, "status", {}});
  client.send(many);
  cluster.settle();
  uint64_t good = 0, busy = 0;
  for (const auto& reply : client.all<wire::AdminReply>()) {
    good += reply.status == RAFTCS_OK;
    busy += reply.status == RAFTCS_ERR_BUSY;
  }
  EXPECT_GT(good, 0u);
  EXPECT_EQ(good + busy, 1000u);
  EXPECT_GT(busy, 900u);
  client.send(wire::Admin{2000, "status", {}});
  cluster.settle();
  EXPECT_EQ(client.last<wire::AdminReply>()->status, RAFTCS_OK);
}

TEST(Overload, WaitingAdminCallsAreBounded) {
  NodeHarness cluster;
  ASSERT_EQ(cluster.wait_for_leader(), 1u);
  TestClient client(cluster, 1);
  ASSERT_TRUE(client.create(1, 1));
  cluster.hold_apply(1);
  for (const char* verb : {"sessions", "snapshot"}) {
    client.clear();
    for (uint64_t i = 1; i <= 400; ++i) {
      client.send(wire::Admin{i, verb, {}});
      cluster.settle();
    }
    uint64_t busy = 0;
    for (const auto& reply : client.all<wire::AdminReply>()) busy += reply.status != RAFTCS_OK;
    EXPECT_EQ(busy, 400u - 256u) << verb;
  }
}

TEST(Overload, ClosingASessionManyTimesIsProposedOnce) {
  NodeHarness cluster;
  ASSERT_EQ(cluster.wait_for_leader(), 1u);
  TestClient client(cluster, 1);
  ASSERT_TRUE(client.create(1, 1));
  cluster.hold_log(1);
  const uint64_t before = cluster.node(1).raft().log_bytes();
  for (int i = 0; i < 10'000; ++i) client.send(wire::CloseSession{1});
  cluster.run(10 * kMs);
  EXPECT_LT(cluster.node(1).raft().log_bytes() - before, 1'000u);
  cluster.hold_log(1, false);
  cluster.run(10 * kMs);
  ASSERT_TRUE(client.last<wire::SessionClosed>());
  EXPECT_EQ(client.last<wire::SessionClosed>()->reason, wire::CloseReason::closed);
}

}  // namespace
}  // namespace raftcs::test
