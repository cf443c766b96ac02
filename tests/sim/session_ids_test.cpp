// Ids: of sessions under concurrent creation, of requests across reconnections and resumed tokens.
#include <gtest/gtest.h>

#include <cstdlib>

#include "sim/scenario.hpp"

namespace raftcs::sim {
namespace {

// Forty clients ask at once, of three nodes, while leadership moves: each gets a session of its
// own, one, and no session is left that nobody holds (SES-01, SES-16).
TEST(SessionIds, UniqueUnderConcurrentCreation) {
  uint64_t elections = 0;
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    SCOPED_TRACE(seed);
    Scenario s({.seed = seed, .clients = 40, .delay_mean_ns = 20 * kNsPerMs, .wait = false});
    for (int i = 0; i < 15; ++i) {
      s.run(static_cast<DurationNs>(30 + 10 * (i % 5)) * kNsPerMs);
      s.new_leader();
    }
    ASSERT_TRUE(s.run_until([&] { return s.connected(); }, 20 * kNsPerSecond)) << s.failure();
    EXPECT_EQ(s.ids().size(), 40u);
    EXPECT_EQ(s.sessions(), 40u);
    elections += s.elections();
    const Report report = s.end();
    EXPECT_TRUE(report.ok) << report.failure;
  }
  EXPECT_GE(elections, 10u);
}

// A process that dies with commands on the way and comes back with its token: no id is ever used
// for another payload, nothing runs twice, and the order stays (X1, X2, X11).
TEST(SessionIds, RequestIdsAcrossReconnectAndResume) {
  uint64_t duplicates = 0;
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    SCOPED_TRACE(seed);
    Scenario s({.seed = seed, .clients = 2, .delay_mean_ns = 10 * kNsPerMs,
                .verbose = std::getenv("RAFTCS_SIM_VERBOSE") != nullptr});
    s.run(kNsPerSecond);  // the service is there
    for (int i = 0; i < 20 && s.ok(); ++i) {
      s.begin_work(0, 6);
      s.begin_work(1, 2);
      s.run(static_cast<DurationNs>(5 + (static_cast<int>(seed) * 7 + i * 13) % 60) * kNsPerMs);
      if (i % 2 == 0) s.resume_client(0);
      if (i % 5 == 0) s.new_leader();
    }
    EXPECT_EQ(s.kind("an id came with another payload"), 0u);
    duplicates += s.kind("a duplicate got its reply");
    const Report report = s.end();
    EXPECT_TRUE(report.ok) << report.failure;
    EXPECT_EQ(s.sessions(), 2u);
    EXPECT_GE(report.ops_applied, 150u);
  }
  EXPECT_GT(duplicates, 10u) << "nothing was sent twice";
}

// The older holder is told once and stays away (no ping-pong).
TEST(SessionIds, TakingOverTellsTheOlderHolder) {
  Scenario s({.seed = 4, .clients = 1});
  s.begin_work(0, 3);
  s.run(2 * kNsPerSecond);
  s.take_over(0);
  s.run(60 * kNsPerSecond);
  EXPECT_EQ(s.hits("a session was taken over"), 1u);
  EXPECT_EQ(s.lost(1), 0u);
  EXPECT_EQ(s.sessions(), 1u);
  const Report report = s.end();
  EXPECT_TRUE(report.ok) << report.failure;
}

}  // namespace
}  // namespace raftcs::sim
