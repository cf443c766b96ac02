// leadership_test.cpp: elections, lost quorum, draining and stopping, as clients see them (LDR-01,
// LDR-05, LDR-06, LDR-08, LDR-11, LDR-12, SRV-09).
#include <gtest/gtest.h>

#include "support/node_harness.hpp"

namespace raftcs::test {
namespace {

constexpr DurationNs kElectionNs = 500 * kMs;  // the default; waits are drawn up to its double

uint64_t other_than(const NodeHarness& cluster, uint64_t id) {
  return id == cluster.size() ? 1 : id + 1;
}

TEST(Leadership, ALeaderWithoutQuorumTellsItsClientsInTime) {
  NodeHarness cluster(3);
  const uint64_t leader = cluster.wait_for_leader();
  ASSERT_NE(leader, 0u);
  TestClient client(cluster, leader), pending(cluster, leader);
  client.send(wire::Hello{});
  ASSERT_TRUE(client.create(1, 1));
  cluster.isolate(leader);
  client.command(1, 1);
  pending.ask_create(1, 2);
  client.send(wire::Query{1, 5, "ledger", Bytes(), wire::Consistency::linearizable});
  ASSERT_TRUE(cluster.run_until([&] { return !client.all<wire::SessionClosed>().empty(); },
                                2 * kElectionNs));
  EXPECT_EQ(client.last<wire::SessionClosed>()->reason, wire::CloseReason::not_leader);
  ASSERT_TRUE(pending.last<wire::SessionRejected>()) << "who waits for a session is told too";
  EXPECT_EQ(pending.last<wire::SessionRejected>()->reason, wire::RejectReason::not_leader);
  ASSERT_TRUE(client.last<wire::QueryResponse>());
  EXPECT_EQ(client.last<wire::QueryResponse>()->status, RAFTCS_ERR_NO_LEADER);
  ASSERT_TRUE(client.last<wire::Topology>());
  EXPECT_FALSE(client.last<wire::Topology>()->leader.id);
  EXPECT_NE(cluster.admin(leader, "status").json.find("\"quorum\":false"), std::string::npos);
}

TEST(Leadership, WithoutALeaderEveryAnswerSaysSoAtOnce) {
  NodeHarness cluster(3);
  const uint64_t leader = cluster.wait_for_leader();
  ASSERT_NE(leader, 0u);
  const uint64_t alone = other_than(cluster, leader);
  cluster.isolate(alone);
  cluster.run(2 * kElectionNs + 10 * kMs);
  TestClient client(cluster, alone);
  client.ask_create(1, 1);
  client.send(wire::Query{0, 5, "ledger", Bytes(), wire::Consistency::linearizable});
  client.send(wire::Admin{6, "transfer", "{\"to\":1}"});
  cluster.settle();
  ASSERT_TRUE(client.last<wire::SessionRejected>());
  EXPECT_FALSE(client.last<wire::SessionRejected>()->leader.id);
  EXPECT_GT(client.last<wire::SessionRejected>()->retry_after_ms, 0u);
  ASSERT_TRUE(client.last<wire::QueryResponse>());
  EXPECT_EQ(client.last<wire::QueryResponse>()->status, RAFTCS_ERR_NO_LEADER);
  EXPECT_GT(client.last<wire::QueryResponse>()->retry_after_ms, 0u);
  ASSERT_TRUE(client.last<wire::AdminReply>());
  EXPECT_EQ(client.last<wire::AdminReply>()->status, RAFTCS_ERR_NO_LEADER);
  EXPECT_NE(cluster.admin(alone, "status").json.find("\"quorum\":false"), std::string::npos);
}

TEST(Leadership, PendingWorkOfADeposedLeaderIsDoneOnceByTheNext) {
  NodeHarness cluster(3);
  const uint64_t old_leader = cluster.wait_for_leader();
  ASSERT_NE(old_leader, 0u);
  TestClient client(cluster, old_leader);
  ASSERT_TRUE(client.create(1, 1));
  const Uuid session = client.session(1);
  client.command(1, 1);
  cluster.run(20 * kMs);
  ASSERT_EQ(client.all<wire::Response>().size(), 1u);
  cluster.isolate(old_leader);
  client.command(1, 2);
  ASSERT_TRUE(cluster.run_until([&] { return !client.all<wire::SessionClosed>().empty(); },
                                2 * kElectionNs));
  EXPECT_EQ(client.all<wire::Response>().size(), 1u);
  ASSERT_TRUE(cluster.run_until(
      [&] {
        for (uint64_t id = 1; id <= 3; ++id)
          if (id != old_leader && cluster.node(id).serving()) return true;
        return false;
      },
      4 * kElectionNs));
  const uint64_t next = cluster.wait_for_leader();
  ASSERT_NE(next, old_leader);
  TestClient moved(cluster, next);
  ASSERT_TRUE(moved.resume(1, session, 1));
  auto request = [&](uint64_t id) {  // as the first client would send it again
    sim::LedgerOp op{1, client.conn() << 8 | 1, id};
    moved.send(wire::Request{1, RequestId(id), RequestId(1), "ledger",
                             Bytes::copy(reinterpret_cast<const uint8_t*>(&op), sizeof op)});
  };
  request(1);
  request(2);
  cluster.run(50 * kMs);
  EXPECT_EQ(moved.all<wire::Response>().size(), 2u);
  cluster.isolate(old_leader, false);
  cluster.run(2 * kNsPerSecond);
  for (uint64_t id = 1; id <= 3; ++id) {
    EXPECT_EQ(cluster.ledger(id).ops.size(), 2u) << "node " << id;
    EXPECT_EQ(cluster.ledger(id).doubled, 0u) << "node " << id;
  }
}

TEST(Leadership, AStoppingLeaderHandsOverFirstAndSaysToWhom) {
  NodeHarness cluster(3);
  const uint64_t leader = cluster.wait_for_leader();
  ASSERT_NE(leader, 0u);
  TestClient client(cluster, leader);
  ASSERT_TRUE(client.create(1, 1));
  client.command(1, 1);
  cluster.node(leader).begin_stop(cluster.now());
  client.command(1, 2);
  TestClient late(cluster, leader);
  late.ask_create(1, 9);
  late.send(wire::Hello{});
  cluster.settle();
  ASSERT_TRUE(late.last<wire::SessionRejected>());
  EXPECT_EQ(late.last<wire::SessionRejected>()->reason, wire::RejectReason::draining);
  EXPECT_FALSE(late.last<wire::Welcome>()->leader.id) << "nobody is sent to a node that leaves";
  ASSERT_TRUE(cluster.run_until([&] { return cluster.stopped(leader); }, kElectionNs / 2));
  auto closed = client.all<wire::SessionClosed>();
  ASSERT_FALSE(closed.empty());
  const uint64_t next = cluster.wait_for_leader();
  ASSERT_NE(next, 0u);
  EXPECT_NE(next, leader);
  EXPECT_EQ(cluster.node(next).raft().leader(), NodeId(next));
}

TEST(Leadership, AStoppingLeaderWaitsForItsVoteToBeCounted) {
  NodeHarness cluster(3);
  const uint64_t leader = cluster.wait_for_leader();
  ASSERT_NE(leader, 0u);
  const uint64_t target = other_than(cluster, leader);
  const uint64_t dead = other_than(cluster, target);
  cluster.kill(dead);
  cluster.run(kElectionNs + 100 * kMs);  // the leader knows
  cluster.node(leader).begin_stop(cluster.now());
  ASSERT_TRUE(cluster.run_until([&] { return cluster.stopped(leader); }, 2 * kElectionNs));
  cluster.run(10 * kMs);
  EXPECT_EQ(cluster.node(target).raft().role(), raft::Role::leader)
      << "the vote of the node that stops was needed, and was given";
}

TEST(Leadership, ALoneNodeStopsAtOnce) {
  NodeHarness cluster;
  ASSERT_EQ(cluster.wait_for_leader(), 1u);
  cluster.node(1).begin_stop(cluster.now());
  cluster.settle();
  EXPECT_TRUE(cluster.stopped(1));
}

TEST(Draining, HandsOverKeepsAwayAndEnds) {
  NodeHarness cluster(3);
  const uint64_t leader = cluster.wait_for_leader();
  ASSERT_NE(leader, 0u);
  TestClient client(cluster, leader);
  ASSERT_TRUE(client.create(1, 1));
  const server::AdminResult drained = cluster.admin(leader, "drain");
  ASSERT_TRUE(drained.status.is_ok()) << drained.status.text();
  EXPECT_FALSE(cluster.node(leader).serving());
  EXPECT_FALSE(client.all<wire::SessionClosed>().empty());
  EXPECT_NE(cluster.admin(leader, "status").json.find("\"draining\":true"), std::string::npos);
  const uint64_t second = cluster.wait_for_leader();
  ASSERT_NE(second, leader);
  // Two that drain would hand it to and fro.
  const server::AdminResult back = cluster.admin(
      second, "transfer", "{\"timeout_ms\":1000,\"to\":" + std::to_string(leader) + "}");
  EXPECT_FALSE(back.status.is_ok());
  EXPECT_NE(back.status.text().find("drains"), std::string::npos) << back.status.text();
  cluster.run(3 * kNsPerSecond);
  EXPECT_FALSE(cluster.node(leader).serving());
  ASSERT_NE(cluster.wait_for_leader(), leader);
  ASSERT_TRUE(cluster.admin(leader, "drain", "{\"on\":false}").status.is_ok());
  ASSERT_TRUE(
      cluster
          .admin(cluster.wait_for_leader(), "transfer", "{\"to\":" + std::to_string(leader) + "}")
          .status.is_ok());
  cluster.run(3 * kNsPerSecond);
  EXPECT_TRUE(cluster.node(leader).serving()) << "it may lead again";
}

// Three nodes of which 2 should lead, but its disk is full.
class DrainingPastAFullDisk : public testing::Test {
 protected:
  DrainingPastAFullDisk()
      : cluster_(3, [](server::Options& o) {
          o.segment_bytes = 256 << 10;
          o.election_timeout_ns = kNsPerSecond;
        }) {}
  void prefer_2() {
    const char* change = R"({"changes":[{"do":"priority","id":2,"priority":200}],"wait":true})";
    ASSERT_TRUE(cluster_.admin(cluster_.wait_for_leader(), "member_change", change).status.is_ok());
    ASSERT_TRUE(cluster_.run_until([&] { return cluster_.node(2).serving(); }, 30 * kNsPerSecond));
  }
  void fill_disk() {
    cluster_.disk(2).set_capacity(cluster_.disk(2).used_bytes());
    for (int round = 1; round <= 2; ++round) {  // 2 steps down, and cannot follow then
      lead_ = cluster_.wait_for_leader();
      ASSERT_NE(lead_, 0u);
      TestClient client(cluster_, lead_);
      ASSERT_TRUE(client.create(1, round));
      for (uint64_t id = 1; id <= 8; ++id) {
        client.command(1, id, 200'000);
        cluster_.run(20 * kMs);
      }
    }
    ASSERT_NE(lead_, 2u);
    const raft::NodeStatus full = cluster_.node(2).raft_status();
    ASSERT_LT(full.durable, full.last) << "entries wait for space";
  }
  NodeHarness cluster_;
  uint64_t lead_ = 0;
};

TEST_F(DrainingPastAFullDisk, GivesLeadershipToWhoCanFollow) {
  prefer_2();
  fill_disk();
  const server::AdminResult drained = cluster_.admin(lead_, "drain");
  EXPECT_TRUE(drained.status.is_ok()) << drained.status.text();
  EXPECT_EQ(cluster_.wait_for_leader(), 4 - lead_);
}

// The third one's state is wrong: nobody can take over.
TEST_F(DrainingPastAFullDisk, WritesGoOnBetweenTheAttempts) {
  prefer_2();
  TestClient first(cluster_, 2);
  cluster_.lie(3, 1);
  ASSERT_TRUE(first.create(1, 7));
  first.command(1, 1);
  cluster_.run(3 * kNsPerSecond);
  ASSERT_NE(cluster_.admin(3, "status").json.find("\"quarantined\":true"), std::string::npos);
  fill_disk();
  ASSERT_EQ(lead_, 1u);
  TestClient client(cluster_, 1);
  ASSERT_TRUE(client.create(1, 3));
  EXPECT_FALSE(cluster_.admin(1, "drain").status.is_ok());
  for (uint64_t id = 1; id <= 100; ++id) {
    client.command(1, id);
    cluster_.run(100 * kMs);
  }
  EXPECT_GE(client.all<wire::Response>().size(), 80u);
  EXPECT_TRUE(client.all<wire::SessionClosed>().empty());
  // An operation with an outcome ends as well.
  EXPECT_EQ(cluster_.admin(1, "transfer", "{\"to\":2,\"timeout_ms\":1500}").status.code(),
            RAFTCS_ERR_BAD_STATE);
}

TEST(Draining, IsRefusedWhenNobodyElseCanLead) {
  NodeHarness cluster;
  ASSERT_EQ(cluster.wait_for_leader(), 1u);
  EXPECT_EQ(cluster.admin(1, "drain").status.code(), RAFTCS_ERR_BAD_STATE);
  TestClient client(cluster, 1);
  EXPECT_TRUE(client.create(1, 1)) << "and nothing has changed";
}

}  // namespace
}  // namespace raftcs::test
