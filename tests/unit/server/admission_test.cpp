// admission_test.cpp: budgets that follow the speed, shares, rates, times to come back.
#include "server/admission.hpp"

#include <gtest/gtest.h>

#include <deque>

namespace raftcs::server {
namespace {

constexpr DurationNs kMs = kNsPerMs;

// A cluster that ends `per_ms` commands each millisecond, in their order.
class Model {
 public:
  explicit Model(const Admission::Limits& limits) : admission(limits) {}

  Verdict offer(uint64_t session, uint64_t bytes = 256) {
    Decision d = admission.command(session, 0, bytes, now);
    if (d.accepted()) queue.push_back(admission.take_bill());
    retry_after_ms = d.retry_after_ms;
    return d.verdict;
  }
  void work(int per_ms) {
    now = now + kMs;
    for (int i = 0; i < per_ms && !queue.empty(); ++i) {
      const Admission::Bill bill = std::move(queue.front());
      queue.pop_front();
      longest = std::max(longest, now - bill.since);
      ++done[bill.items.at(0).first];
      admission.applied(bill, now);
    }
  }

  Admission admission;
  Mono now{kNsPerSecond};
  std::deque<Admission::Bill> queue;
  std::map<uint64_t, uint64_t> done;
  DurationNs longest = 0;
  uint64_t retry_after_ms = 0;
};

TEST(Admission, TheQueueStaysShortHoweverSlowTheClusterAndHoweverMuchIsOffered) {
  for (int per_ms : {4, 20, 100}) {
    Model m({});
    for (int ms = 0; ms < 20'000; ++ms) {
      for (int i = 0; i < per_ms * 10; ++i) m.offer(static_cast<uint64_t>(1 + i % 16));
      m.work(per_ms);
      if (ms == 10'000) m.longest = 0;  // it has learnt by now
    }
    EXPECT_LT(m.longest, 1000 * kMs) << per_ms << " commands in a millisecond";
    EXPECT_GT(m.longest, 20 * kMs) << "the queue never runs dry";
    uint64_t total = 0;
    for (const auto& [session, n] : m.done) total += n;
    EXPECT_GT(total, static_cast<uint64_t>(per_ms) * 20'000 * 98 / 100) << "nothing lies idle";
  }
}

TEST(Admission, TheBudgetFollowsAClusterThatBecomesSlowerAndFaster) {
  Model m({});
  auto run = [&](int per_ms, int for_ms) {
    m.longest = 0;
    for (int ms = 0; ms < for_ms; ++ms) {
      for (int i = 0; i < 600; ++i) m.offer(static_cast<uint64_t>(1 + i % 4));
      m.work(per_ms);
    }
  };
  run(60, 5'000);
  const uint64_t fast = m.admission.commands().budget();
  run(10, 10'000);
  const uint64_t slow = m.admission.commands().budget();
  run(10, 3'000);
  EXPECT_LT(m.longest, 1000 * kMs);
  run(60, 5'000);
  EXPECT_LT(slow, fast / 2);
  EXPECT_GT(m.admission.commands().budget(), slow * 2);
}

TEST(Admission, AGreedySessionDoesNotStarveOthers) {
  Model m({});
  uint64_t refused = 0;
  for (int ms = 0; ms < 5'000; ++ms) {
    for (int i = 0; i < 500; ++i) m.offer(1);
    if (ms % 10 == 0 && m.offer(2) != Verdict::accepted) ++refused;
    m.work(20);
  }
  EXPECT_EQ(refused, 0u) << "a session with nothing in flight is let in";
  EXPECT_GE(m.done[2], 450u);
  const Admission::Counts& counts = m.admission.command_counts();
  EXPECT_GT(counts[static_cast<size_t>(Verdict::full)] +
                counts[static_cast<size_t>(Verdict::share)],
            1'000'000u)
      << "the greedy one was refused";
}

TEST(Admission, UnderPressureEachSessionHasItsShare) {
  Model m({});
  for (int ms = 0; ms < 10'000; ++ms) {
    for (int i = 0; i < 300; ++i) m.offer(1);  // asks for ten times as much as the other
    for (int i = 0; i < 30; ++i) m.offer(2);
    m.work(20);
  }
  EXPECT_GT(m.admission.command_counts()[static_cast<size_t>(Verdict::share)], 0u);
  EXPECT_GT(m.done[2] * 2, m.done[1]) << "at least half as much as the greedy one";
}

TEST(Admission, RatesAreKeptAndSayWhenToComeBack) {
  Admission::Limits limits;
  limits.commands_per_second = 100;
  Model m(limits);
  int accepted = 0;
  for (int i = 0; i < 1000; ++i) accepted += m.offer(1) == Verdict::accepted;
  EXPECT_EQ(accepted, 100) << "a second's worth at once";
  EXPECT_EQ(m.offer(1), Verdict::rate);
  EXPECT_EQ(m.retry_after_ms, 10u);
  EXPECT_EQ(m.offer(2), Verdict::accepted) << "each session has its own";
  for (int ms = 0; ms < 10'000; ++ms) {
    m.work(10);
    accepted += m.offer(1) == Verdict::accepted;
  }
  EXPECT_NEAR(accepted, 1100, 2);
}

TEST(Admission, QueriesAndSessionsHaveTheirOwnLimits) {
  Admission::Limits limits;
  limits.queries_per_second = 5;
  limits.sessions_per_second = 3;
  limits.inflight_bytes_max = 100'000;
  limits.delay_target = 0;
  Admission a(limits);
  Mono now{kNsPerSecond};
  int queries = 0, sessions = 0;
  for (int i = 0; i < 10; ++i) {
    queries += a.query(1, 10, now).accepted();
    sessions += a.session(0, now).accepted();
  }
  EXPECT_EQ(queries, 5);
  EXPECT_EQ(sessions, 3);
  EXPECT_EQ(a.session(limits.pending_sessions_max, now).verdict, Verdict::window);
  while (a.command(2, 0, 4'000, now).accepted()) {
  }
  while (a.command(3, 0, 4'000, now).accepted()) {
  }
  for (uint64_t newcomer = 4; a.command(newcomer, 0, 4'000, now).accepted(); ++newcomer) {
  }
  now = now + kNsPerSecond;
  EXPECT_EQ(a.session(0, now).verdict, Verdict::full) << "new sessions come last";
  EXPECT_TRUE(a.query(1, 10, now).accepted()) << "commands do not starve queries";
}

TEST(Admission, WhoHasNothingInFlightMaySendSomethingLargerThanEverything) {
  Admission::Limits limits;
  limits.inflight_bytes_max = 65'536;
  Admission a(limits);
  EXPECT_TRUE(a.command(1, 0, 10 << 20, Mono{1}).accepted());
  EXPECT_EQ(a.command(1, 1, 1, Mono{1}).verdict, Verdict::full);
}

TEST(Admission, ALargeCommandIsNotHeldUpForEverByOthers) {
  for (const uint64_t others : {0, 500}) {  // that are sent each millisecond
    Model m({});
    int tries = 0;
    for (int ms = 0; ms < 5'000 && m.done[3] == 0; ++ms) {
      m.offer(1 + static_cast<uint64_t>(ms) % 2, 1'024);  // comes before the last one ends
      for (uint64_t i = 0; i < others; ++i) m.offer(4 + i % 4);
      const Meter& meter = m.admission.commands();
      if (ms == 1'000 && others > 0) {
        EXPECT_GT(meter.used(), meter.budget() * 3 / 4);
      }
      if (ms >= 1'000 && ++tries < 100) m.offer(3, 10 << 20);
      m.work(others > 0 ? 20 : 1);
    }
    EXPECT_EQ(m.done[3], 1u) << "others: " << others;
  }
}

TEST(Admission, RequestsOfASessionAreCounted) {
  Admission::Limits limits;
  limits.requests_per_session_max = 4;
  Admission a(limits);
  EXPECT_TRUE(a.command(1, 3, 1, Mono{1}).accepted());
  EXPECT_EQ(a.command(1, 4, 1, Mono{1}).verdict, Verdict::window);
}

TEST(Admission, TheTimeToComeBackGrowsWithThePressure) {
  auto longest_retry = [](int offered) {
    Model m({});
    uint64_t longest = 0;
    for (int ms = 0; ms < 3'000; ++ms) {
      for (int i = 0; i < offered; ++i)
        if (m.offer(static_cast<uint64_t>(1 + i % 8)) != Verdict::accepted && ms > 2'000)
          longest = std::max(longest, m.retry_after_ms);
      m.work(20);
    }
    return longest;
  };
  const uint64_t twice = longest_retry(40), tenfold = longest_retry(200);
  EXPECT_GE(twice, 20u);
  EXPECT_GT(tenfold, twice);
  EXPECT_LE(longest_retry(5'000), 2'000u);
}

TEST(Admission, WhatEndsIsForgotten) {
  Admission a({});
  Mono now{kNsPerSecond};
  for (uint64_t session = 1; session <= 100'000; ++session) {
    if (!a.command(session, 0, 16, now).accepted()) continue;
    a.applied(a.take_bill(), now);
    now = now + kMs;
  }
  EXPECT_LT(a.askers(), 10'000u);
  EXPECT_EQ(a.active(), 0u);
  EXPECT_EQ(a.commands().used(), 0u);
  EXPECT_TRUE(a.command(1, 0, 16, now).accepted());
  a.lost();
  EXPECT_EQ(a.commands().used(), 0u);
  EXPECT_EQ(a.active(), 0u);
  a.forget(1);
  EXPECT_TRUE(a.take_bill().items.empty());
}

}  // namespace
}  // namespace raftcs::server
