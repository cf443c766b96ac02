// snapshot_test.cpp: what a failing disk in the snapshot lane means, and snapshots that overtake one
// another (the simulator's seeds 258 and 1205).
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

// A follower whose apply lane stands receives two snapshots. When it goes on, the first one's file
// is gone: it restores the second and never stands still for the first.
TEST(SnapshotLane, ASnapshotReplacedBeforeItIsRestoredIsPassedOver) {
  NodeHarness cluster(3, [](server::Options& o) { o.trailing_entries = 1; });
  const uint64_t leader = cluster.wait_for_leader();
  ASSERT_NE(leader, 0u);
  const uint64_t behind = leader % 3 + 1;
  TestClient client(cluster, leader);
  ASSERT_TRUE(client.create(1, 7));
  uint64_t id = 0;
  auto snapshot_received_behind = [&] {
    cluster.isolate(behind);
    for (int i = 0; i < 20; ++i) {
      client.command(1, ++id);
      cluster.run(5 * kMs);
    }
    EXPECT_TRUE(cluster.admin(leader, "snapshot").status.is_ok());
    client.command(1, ++id);
    cluster.run(20 * kMs);
    const Index covered = cluster.node(leader).raft_status().first;
    cluster.isolate(behind, false);
    return cluster.run_until(
        [&] { return cluster.node(behind).raft_status().first >= covered; }, 5 * kNsPerSecond);
  };
  cluster.hold_apply(behind);
  ASSERT_TRUE(snapshot_received_behind());
  ASSERT_TRUE(snapshot_received_behind());
  cluster.hold_apply(behind, false);  // give_up() in the harness when it halts
  ASSERT_TRUE(cluster.run_until(
      [&] { return cluster.node(behind).info().applied == cluster.node(leader).info().applied; },
      5 * kNsPerSecond));
  EXPECT_EQ(cluster.ledger(behind).ops.size(), cluster.ledger(leader).ops.size());
}

}  // namespace
}  // namespace raftcs::test
