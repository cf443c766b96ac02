// Session time (decision D5): a live client's session never ends because of elections, lost
// quorum, pauses of servers or clocks; a dead one's is gone within two timeouts of cluster time.
//
// Scripted worlds of real nodes and engines in virtual time. Each test says how much happened
// (elections, hours, jumps) and fails when that was too little.
#include <gtest/gtest.h>

#include "sim/scenario.hpp"

namespace raftcs::sim {
namespace {

constexpr DurationNs kSecond = kNsPerSecond;
constexpr DurationNs kHour = 3600 * kNsPerSecond;
constexpr DurationNs kDay = 24 * kHour;

DurationNs ms(uint64_t n) { return static_cast<DurationNs>(n) * kNsPerMs; }

void expect_all_well(Scenario& s) {
  EXPECT_TRUE(s.run_until([&] { return s.connected(); }, 10 * kSecond));
  EXPECT_TRUE(s.work(10 * kSecond));
  const Report report = s.end();
  EXPECT_TRUE(report.ok) << report.failure;
}

// --- elections --------------------------------------------------------------------------

// Leaders that last `reign`; client 1 dies after a while, 0 idles, 2 works.
void elections(uint64_t timeout_ms, DurationNs reign, int count) {
  Scenario s({.seed = timeout_ms, .clients = 3, .timeout_ms = timeout_ms});
  ASSERT_EQ(s.sessions(), 3u);
  LogTime died, gone;
  for (int i = 0; i < count && s.ok(); ++i) {
    if (i == count / 4) {
      s.kill_client(1);
      died = s.cluster_time();
    }
    if (i % 5 == 0) s.begin_work(2, 1);
    s.run(reign);
    s.new_leader();
    if (gone.ns == 0 && s.sessions() == 2) gone = s.cluster_time();
    EXPECT_TRUE(s.live(0)) << "the idle client's session ended at election " << i;
    EXPECT_TRUE(s.live(2)) << "the working client's session ended at election " << i;
    if (::testing::Test::HasFailure()) return;
  }
  EXPECT_GE(s.elections(), static_cast<uint64_t>(count));
  EXPECT_EQ(s.expired(), 1u);
  EXPECT_EQ(s.lost(0) + s.lost(2), 0u);
  EXPECT_GT(gone.ns, 0) << "the dead client's session is still there";
  EXPECT_LE(gone - died, 2 * ms(timeout_ms) + reign) << "two timeouts, looked at once a reign";
  expect_all_well(s);
}

TEST(SessionTime, ElectionsEveryHalfTimeout) { elections(4'000, 2 * kSecond, 60); }
TEST(SessionTime, ElectionsEveryTenthOfATimeout) { elections(10'000, kSecond, 100); }
TEST(SessionTime, ElectionsEveryHalfOfAShortTimeout) { elections(2'000, kSecond, 80); }

// A dead session's clock goes on across leaders: failover does not start it anew (W-S7).
TEST(SessionTime, ADeadSessionEndsThoughLeadersChange) {
  Scenario s({.seed = 3, .clients = 2, .timeout_ms = 10'000});
  s.kill_client(1);
  for (int i = 0; i < 5; ++i) {
    s.run(4 * kSecond);
    s.new_leader();
  }
  EXPECT_EQ(s.sessions(), 1u);
  EXPECT_TRUE(s.live(0));
  expect_all_well(s);
}

// --- no quorum -----------------------------------------------------------------------------

TEST(SessionTime, HoursWithoutQuorum) {
  Scenario s({.seed = 5, .clients = 3, .timeout_ms = 2'000});
  const LogTime before = s.cluster_time();
  SimNode* leader = s.leader();
  ASSERT_NE(leader, nullptr);
  for (uint64_t id = 1; id <= 3; ++id)  // the leader is left alone
    if (leader->id.value != id) s.stop(s.at(id));
  s.run(3 * kHour);
  EXPECT_EQ(s.leader(), nullptr);
  for (uint64_t id = 1; id <= 3; ++id) s.restart(s.at(id));
  s.run(10 * kSecond);
  EXPECT_LT(s.cluster_time() - before, 30 * kSecond) << "hours without a quorum were counted";
  EXPECT_EQ(s.expired(), 0u);
  EXPECT_EQ(s.sessions(), 3u);
  expect_all_well(s);
}

TEST(SessionTime, AllServersRestartAfterTenMinutes) {
  Scenario s({.seed = 6, .clients = 2, .timeout_ms = 2'000});
  for (uint64_t id = 1; id <= 3; ++id) s.stop(s.at(id));
  s.run(600 * kSecond);
  for (uint64_t id = 1; id <= 3; ++id) s.restart(s.at(id));
  s.run(10 * kSecond);
  EXPECT_EQ(s.expired(), 0u) << "downtime counted";
  expect_all_well(s);
}

TEST(SessionTime, AServerAloneThatWasAsleepForAnHour) {
  Scenario s({.seed = 7, .nodes = 1, .clients = 2, .timeout_ms = 2'000});
  s.pause(s.at(1), kHour);
  s.run(kHour + 10 * kSecond);
  EXPECT_EQ(s.expired(), 0u) << "the hour was counted";
  expect_all_well(s);
}

TEST(SessionTime, AllServersAsleepForAnHour) {
  Scenario s({.seed = 8, .clients = 2, .timeout_ms = 2'000});
  for (uint64_t id = 1; id <= 3; ++id) s.pause(s.at(id), kHour);
  s.run(kHour + 20 * kSecond);
  EXPECT_EQ(s.expired(), 0u) << "the hour was counted";
  expect_all_well(s);
}

// --- clocks ----------------------------------------------------------------------------------

TEST(SessionTime, TheLeadersClockJumpsByADay) {
  Scenario s({.seed = 10, .clients = 2, .timeout_ms = 2'000});
  for (int i = 0; i < 5; ++i) {
    ASSERT_NE(s.leader(), nullptr);
    s.jump(*s.leader(), kDay);
    s.run(10 * kSecond);
  }
  EXPECT_LT(s.cluster_time().ns, kHour);
  EXPECT_EQ(s.expired(), 0u);
  expect_all_well(s);
}

TEST(SessionTime, AllClocksJumpByADay) {
  Scenario s({.seed = 11, .clients = 2, .timeout_ms = 2'000});
  for (int i = 0; i < 3; ++i) {
    for (uint64_t id = 1; id <= 3; ++id) s.jump(s.at(id), kDay);
    for (uint32_t c = 0; c < 2; ++c) s.jump_client(c, kDay);
    s.run(10 * kSecond);
  }
  EXPECT_LT(s.cluster_time().ns, kHour);
  EXPECT_EQ(s.expired(), 0u);
  expect_all_well(s);
}

TEST(SessionTime, TheClockOfAServerAloneJumpsByADay) {
  Scenario s({.seed = 12, .nodes = 1, .clients = 2, .timeout_ms = 2'000});
  s.jump(s.at(1), kDay);
  s.run(10 * kSecond);
  EXPECT_LT(s.cluster_time().ns, kHour);
  EXPECT_EQ(s.expired(), 0u);
  expect_all_well(s);
}

TEST(SessionTime, ClocksThirtyPerCentFastAndSlow) {
  for (uint64_t timeout_ms : {1'000, 2'000, 10'000}) {
    SCOPED_TRACE(timeout_ms);
    Scenario s({.seed = 13, .clients = 3, .timeout_ms = timeout_ms});
    const double rates[] = {1.3, 0.7, 1.3};
    for (uint64_t id = 1; id <= 3; ++id) s.set_rate(s.at(id), rates[id - 1]);
    for (uint32_t c = 0; c < 3; ++c) s.set_client_rate(c, c == 2 ? 1.3 : 0.7);
    for (int i = 0; i < 12; ++i) {
      s.run(5 * kSecond);
      s.new_leader();
    }
    EXPECT_EQ(s.expired(), 0u);
    EXPECT_GE(s.elections(), 12u);
    expect_all_well(s);
  }
}

// --- pauses ---------------------------------------------------------------------------------

TEST(SessionTime, LeaderPausesShorterThanAShortTimeout) {
  for (uint64_t timeout_ms : {500, 1'000, 2'000}) {
    for (uint32_t nodes : {1u, 3u}) {
      SCOPED_TRACE(std::to_string(timeout_ms) + " ms, nodes " + std::to_string(nodes));
      Scenario s({.seed = 20 + timeout_ms, .nodes = nodes, .clients = 3,
                  .timeout_ms = timeout_ms});
      int pauses = 0;
      for (uint64_t i = 0; i < 40 && s.ok(); ++i) {
        const uint64_t percent = 30 + (i * 13) % 70;
        if (SimNode* leader = s.leader()) {
          s.pause(*leader, ms(timeout_ms * percent / 100));
          ++pauses;
        }
        if (i % 3 == 0) s.begin_work(0, 1);
        s.run(ms(timeout_ms) * 3 / 2 + ms(37 * (i % 7)));
        ASSERT_EQ(s.expired(), 0u) << "after a pause of " << percent << " %";
      }
      EXPECT_GE(pauses, 25);
      expect_all_well(s);
    }
  }
}

// No connection breaks: the clients find out by themselves, in time.
TEST(SessionTime, TheLeaderFallsSilent) {
  for (uint64_t timeout_ms : {1'000, 2'000, 5'000, 10'000}) {
    SCOPED_TRACE(timeout_ms);
    Scenario s({.seed = 30 + timeout_ms, .clients = 4, .timeout_ms = timeout_ms});
    const int count = timeout_ms < 5'000 ? 10 : 3;
    for (int i = 0; i < count && s.ok(); ++i) {
      ASSERT_NE(s.leader(), nullptr);
      s.begin_work(0, 1);
      s.pause(*s.leader(), 4 * ms(timeout_ms));
      s.run(5 * ms(timeout_ms));
      ASSERT_EQ(s.expired(), 0u) << "silence " << i;
    }
    EXPECT_GE(s.elections(), static_cast<uint64_t>(count));
    expect_all_well(s);
  }
}

// It wakes with the answers of its peers from before, and must not take them for news: a session
// that was opened under another leader meanwhile is there.
TEST(SessionTime, ALeaderThatWasAsleepDeniesNoSession) {
  int asked = 0;
  for (uint64_t seed = 40; seed < 60; ++seed) {
    Scenario s({.seed = seed, .clients = 2, .delay_mean_ns = 20 * kNsPerMs});
    SimNode* old = s.leader();
    ASSERT_NE(old, nullptr);
    s.pause(*old, 10 * kSecond);
    s.run_until([&] { return s.leader() != nullptr; }, 5 * kSecond);
    s.run(4 * kSecond);
    s.open_another(1);
    if (!s.run_until([&] { return s.live(s.newest(1)); }, 3 * kSecond)) continue;
    s.ask_for(*old, 1);
    ++asked;
    s.run(8 * kSecond);
    ASSERT_TRUE(s.ok()) << "seed " << seed << ": " << s.failure();
  }
  EXPECT_GE(asked, 10);
}

// --- clients -----------------------------------------------------------------------------------

TEST(SessionTime, AClientPausedBeyondItsTimeoutHearsItOnce) {
  Scenario s({.seed = 60, .clients = 2, .timeout_ms = 2'000});
  s.begin_work(0, 5);
  s.pause_client(0, 20 * kSecond);
  s.run(15 * kSecond);
  EXPECT_FALSE(s.live(0));
  EXPECT_TRUE(s.live(1));
  EXPECT_EQ(s.lost(0), 0u) << "it sleeps";
  s.run(20 * kSecond);
  EXPECT_EQ(s.lost(0), 1u);
  EXPECT_EQ(s.outstanding(0), 0u) << "all that was pending has ended";
  EXPECT_EQ(s.expired(), 1u);
  s.run(20 * kSecond);
  EXPECT_EQ(s.lost(0), 1u) << "once";
  EXPECT_EQ(s.sessions(), 1u) << "and no new session was opened";
  EXPECT_TRUE(s.end().ok) << s.failure();
}

TEST(SessionTime, AClientPausedBeyondItsTimeoutRenews) {
  Scenario s({.seed = 61, .clients = 2, .timeout_ms = 2'000, .renew = true});
  s.begin_work(0, 5);
  s.pause_client(0, 20 * kSecond);
  s.run(40 * kSecond);
  EXPECT_EQ(s.lost(0), 1u);
  EXPECT_EQ(s.outstanding(0), 0u);
  EXPECT_TRUE(s.live(0)) << "the new session";
  EXPECT_EQ(s.sessions(), 2u);
  expect_all_well(s);
}

TEST(SessionTime, AClientPausedForLessKeepsItsSession) {
  for (uint64_t timeout_ms : {500, 2'000, 10'000}) {
    SCOPED_TRACE(timeout_ms);
    Scenario s({.seed = 62, .clients = 2, .timeout_ms = timeout_ms});
    for (int i = 0; i < 10; ++i) {
      s.pause_client(0, ms(timeout_ms) / 2);
      s.run(2 * ms(timeout_ms));
    }
    EXPECT_EQ(s.expired(), 0u);
    expect_all_well(s);
  }
}

}  // namespace
}  // namespace raftcs::sim
