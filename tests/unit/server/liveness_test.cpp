// liveness_test.cpp: who is heard of lives, and who is not is gone in time (decision D5).
#include <gtest/gtest.h>

#include "support/node_harness.hpp"

namespace raftcs::test {
namespace {

using wire::CloseReason;

// A cluster that served for a while without any session: its look at sessions was far away.
struct Quiet {
  explicit Quiet(uint64_t nodes) : cluster(nodes), leader(cluster.wait_for_leader()) {
    cluster.run(300 * kMs);
  }
  NodeHarness cluster;
  uint64_t leader;
};

}  // namespace

TEST(Liveness, TheFirstSessionWithAShortTimeoutEndsInTime) {
  Quiet w(1);
  TestClient client(w.cluster, 1);
  ASSERT_TRUE(client.create(1, 5, 1'000));
  const Mono silent = w.cluster.now();
  ASSERT_TRUE(w.cluster.run_until([&] { return client.last<wire::SessionClosed>().has_value(); },
                                  10 * kNsPerSecond));
  EXPECT_EQ(client.last<wire::SessionClosed>()->reason, CloseReason::expired);
  EXPECT_GE(w.cluster.now() - silent, kNsPerSecond);
  EXPECT_LE(w.cluster.now() - silent, 1'500 * kMs);
}

TEST(Liveness, TheNextLeaderKnowsThatItWasAliveFromTheBeginning) {
  Quiet w(3);
  TestClient client(w.cluster, w.leader);
  ASSERT_TRUE(client.create(1, 5, 1'000));
  for (int i = 0; i < 10; ++i) {  // three timeouts of an idle, living client
    client.send(wire::KeepAlive{1, 1});
    w.cluster.run(300 * kMs);
  }
  w.cluster.kill(w.leader);
  const uint64_t next = w.cluster.wait_for_leader();
  ASSERT_NE(next, 0u);
  w.cluster.run(400 * kMs);  // longer than the new leader waits for it without having heard of it
  TestClient again(w.cluster, next);
  EXPECT_TRUE(again.resume(1, client.session(1), 5));
}

}  // namespace raftcs::test
