// silent_session_test.cpp: sessions that nobody is heard of any more, and connections that are
// gone (D5, W-S7, W-S11, SRV-08, KAL-04).
#include <gtest/gtest.h>

#include "support/node_harness.hpp"

namespace raftcs::test {
namespace {

size_t sessions(NodeHarness& cluster, uint64_t id) {
  const std::string list = cluster.admin(id, "sessions").json;
  size_t count = 0;
  for (size_t at = list.find("\"timeout_ms\""); at != std::string::npos;
       at = list.find("\"timeout_ms\"", at + 1))
    ++count;
  return count;
}

// Nobody else writes anything: the log itself must carry its age from leader to leader.
TEST(SilentSession, EndsThoughLeadersLastForLessThanItsTimeout) {
  NodeHarness cluster(3);
  uint64_t leader = cluster.wait_for_leader();
  ASSERT_NE(leader, 0u);
  {
    TestClient client(cluster, leader);
    ASSERT_TRUE(client.create(1, 5, 2'000));
  }
  ASSERT_EQ(sessions(cluster, leader), 1u);
  int reigns = 0;
  while (sessions(cluster, leader) == 1 && reigns < 20) {
    cluster.run(900 * kMs);  // less than half of its timeout
    const uint64_t next = leader % 3 + 1;
    cluster.admin(leader, "transfer", "{\"to\":" + std::to_string(next) + "}");
    cluster.run_until([&] { return cluster.node(next).info().leads; }, 5 * kNsPerSecond);
    leader = cluster.wait_for_leader();
    ASSERT_NE(leader, 0u);
    ++reigns;
  }
  EXPECT_GE(reigns, 2) << "it ended before its timeout";
  EXPECT_LE(reigns, 6) << "it ages only while a leader stays";
}

TEST(SilentSession, TheFirstOneWithAShortTimeoutEndsInTime) {
  NodeHarness cluster(1);
  ASSERT_NE(cluster.wait_for_leader(), 0u);
  cluster.run(300 * kMs);  // without sessions the next look at them is seconds away
  TestClient client(cluster, 1);
  ASSERT_TRUE(client.create(1, 5, 1'000));
  EXPECT_TRUE(
      cluster.run_until([&] { return !client.all<wire::SessionClosed>().empty(); }, 1'500 * kMs));
}

TEST(SilentSession, AConnectionThatTakesNoMoreIsCountedAndLetsItsSessionsGo) {
  NodeHarness cluster(1);
  ASSERT_NE(cluster.wait_for_leader(), 0u);
  TestClient client(cluster, 1), other(cluster, 1);
  ASSERT_TRUE(client.create(1, 5));
  EXPECT_NE(cluster.admin(1, "sessions").json.find("\"connected_here\":true"), std::string::npos);
  cluster.node(1).client_gone(client.conn());
  EXPECT_NE(cluster.admin(1, "sessions").json.find("\"connected_here\":false"), std::string::npos);
  EXPECT_NE(cluster.admin(1, "status").json.find("\"dropped_frames\":1"), std::string::npos);
  EXPECT_TRUE(other.resume(1, client.session(1), 5));
}

}  // namespace
}  // namespace raftcs::test
