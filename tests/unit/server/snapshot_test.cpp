// snapshot_test.cpp: what a failing disk in the snapshot lane means, snapshots that overtake one
// another, and those that cannot be begun.
#include <gtest/gtest.h>

#include "support/node_harness.hpp"

namespace raftcs::test {
namespace {

// Storage that stopped in the snapshot lane is stopped for the log too: the node says so at
// once and takes no part any more (S21), instead of failing at its next vote or not at all.
TEST(SnapshotLane, AnIoErrorThereEndsTheNodesParticipation) {
  NodeHarness cluster(1);
  ASSERT_EQ(cluster.wait_for_leader(), 1u);
  TestClient client(cluster, 1);
  ASSERT_TRUE(client.create(1, 7));
  client.command(1, 1);
  cluster.run(100 * kMs);
  ASSERT_EQ(client.all<wire::Response>().size(), 1u);
  cluster.disk(1).fail_nth(sim::Call::rename, 1);  // publishing
  const server::AdminResult asked = cluster.admin(1, "snapshot");
  EXPECT_EQ(asked.status.code(), RAFTCS_ERR_IO) << asked.status.text();
  EXPECT_EQ(cluster.node(1).info().health.code(), RAFTCS_ERR_IO);
  EXPECT_FALSE(cluster.node(1).serving());
  client.clear();
  client.command(1, 2);
  cluster.run(500 * kMs);
  EXPECT_TRUE(client.all<wire::Response>().empty());
  cluster.kill(1);
  cluster.start(1);  // reads its disk again
  ASSERT_EQ(cluster.wait_for_leader(), 1u);
  EXPECT_TRUE(cluster.node(1).info().health.is_ok());
}

// Nor does it answer what the apply lane had when the disk failed, or what is asked for later.
TEST(SnapshotLane, WhoseDiskFailedAnswersNoQuery) {
  NodeHarness cluster(1);
  ASSERT_EQ(cluster.wait_for_leader(), 1u);
  TestClient client(cluster, 1);
  ASSERT_TRUE(client.create(1, 7));
  wire::Query query;
  query.channel = 1;
  query.service = "ledger";
  const auto ask = [&](wire::Consistency consistency) {
    ++query.correlation;
    query.consistency = consistency;
    client.send(query);
  };
  cluster.hold_apply(1);
  ask(wire::Consistency::linearizable);
  ask(wire::Consistency::stale);
  cluster.disk(1).fail_nth(sim::Call::sync, 1);
  client.command(1, 1);
  cluster.run(100 * kMs);
  ASSERT_EQ(cluster.node(1).info().health.code(), RAFTCS_ERR_IO);
  cluster.hold_apply(1, false);
  ask(wire::Consistency::stale);
  cluster.run(100 * kMs);
  const auto answers = client.all<wire::QueryResponse>();
  EXPECT_EQ(answers.size(), 3u);
  for (const wire::QueryResponse& answer : answers)
    EXPECT_EQ(answer.status, RAFTCS_ERR_NO_LEADER) << answer.correlation;
}

// A full disk is no such thing: a later snapshot is taken when there is room.
TEST(SnapshotLane, AFullDiskIsSaidAndAnotherSnapshotIsTakenLater) {
  NodeHarness cluster(1);
  ASSERT_EQ(cluster.wait_for_leader(), 1u);
  TestClient client(cluster, 1);
  ASSERT_TRUE(client.create(1, 7));
  client.command(1, 1);
  cluster.run(100 * kMs);
  cluster.disk(1).set_capacity(cluster.disk(1).used_bytes());
  EXPECT_EQ(cluster.admin(1, "snapshot").status.code(), RAFTCS_ERR_NO_SPACE);
  cluster.disk(1).set_capacity(std::nullopt);
  EXPECT_TRUE(cluster.admin(1, "snapshot").status.is_ok());
  EXPECT_TRUE(cluster.node(1).serving());
}

// A snapshot that a later one from the leader overtook is no failure: the next one is taken when it
// is due, not ten seconds later, and the log is cut (simulator, seed 936).
TEST(SnapshotLane, AnOvertakenSnapshotDelaysNoOther) {
  NodeHarness cluster(1, [](server::Options& o) { o.snapshot_entries = 20; });
  ASSERT_EQ(cluster.wait_for_leader(), 1u);
  TestClient client(cluster, 1);
  ASSERT_TRUE(client.create(1, 7));
  ASSERT_TRUE(cluster.admin(1, "snapshot").status.is_ok());
  const Index before = cluster.node(1).raft_status().snapshot;
  server::SnapshotWritten late;
  late.status = {RAFTCS_ERR_BAD_STATE, "there is a later one"};
  late.meta.index = before.prev();
  cluster.node(1).snapshot_done(late, cluster.now());
  for (uint64_t id = 1; id <= 40; ++id) {
    client.command(1, id);
    cluster.run(10 * kMs);
  }
  EXPECT_GE(cluster.node(1).raft_status().snapshot, before + 20);
}

// One that the apply lane cannot begin is told, and tried again after a while: not at once, for
// each attempt may hold up the commands behind it.
TEST(SnapshotLane, OneThatCannotBeBegunIsToldAndNotTriedAgainAtOnce) {
  NodeHarness cluster(1, [](server::Options& o) { o.snapshot_entries = 5; });
  ASSERT_EQ(cluster.wait_for_leader(), 1u);
  TestClient client(cluster, 1);
  ASSERT_TRUE(client.create(1, 7));
  ASSERT_TRUE(cluster.admin(1, "snapshot").status.is_ok());
  cluster.hold_apply(1);
  server::Node& node = cluster.node(1);
  for (uint64_t id = 1; id <= 10; ++id) {
    client.command(1, id);
    cluster.run(10 * kMs);
  }
  server::ApplyDone failed;
  failed.applied = node.info().commit;
  ASSERT_GE(failed.applied, node.info().applied + 10);
  failed.snapshot_failed = {RAFTCS_ERR_PLUGIN_FAILED, "no memory for a copy"};
  node.apply_done(std::move(failed), cluster.now());
  const auto begun = [](const server::NodeEffects& e) {
    return std::any_of(e.apply.begin(), e.apply.end(), [](const server::ApplyJob& job) {
      return std::holds_alternative<server::ApplyBeginSnapshot>(job);
    });
  };
  server::NodeEffects e = node.take_effects(cluster.now());
  EXPECT_FALSE(begun(e));
  ASSERT_FALSE(e.lines.empty());
  EXPECT_NE(e.lines.back().text.find("no memory for a copy"), std::string::npos);
  server::ApplyDone later;
  later.applied = node.info().applied;
  node.apply_done(std::move(later), cluster.now() + 11 * kNsPerSecond);
  EXPECT_TRUE(begun(node.take_effects(cluster.now() + 11 * kNsPerSecond)));
}

}  // namespace
}  // namespace raftcs::test
