// What is read again when, and what follows from a finding.
#include "server/scrub_plan.hpp"

#include <gtest/gtest.h>

namespace raftcs::server {
namespace {

constexpr DurationNs kMs = kNsPerMs;
constexpr DurationNs kPeriod = 60 * kNsPerSecond;

storage::ScrubTarget segment(uint64_t number) { return {number, 1000, 7, false}; }

storage::ScrubSlice slice(uint64_t bytes, bool done) {
  storage::ScrubSlice s;
  s.bytes = bytes;
  s.done = done;
  return s;
}

storage::ScrubFinding in_segment(uint64_t number) {
  storage::ScrubFinding f;
  f.segment = number;
  f.text = "bad";
  return f;
}

storage::ScrubFinding in_snapshot(uint64_t index) {
  storage::ScrubFinding f;
  f.snapshot = Index(index);
  return f;
}

MendPlan::View view(uint64_t applied, uint64_t last, uint64_t snapshot) {
  return {Index(applied), Index(last), Index(snapshot)};
}

// --- pace ---------------------------------------------------------------------------------

TEST(ScrubPlan, NoughtIsNever) {
  ScrubPlan plan(0, kPeriod, Mono{5});
  EXPECT_EQ(plan.next(), Mono::never());
}

TEST(ScrubPlan, TheFirstPassIsAPeriodAfterTheStart) {
  ScrubPlan plan(1 << 20, kPeriod, Mono{5});
  EXPECT_EQ(plan.next(), Mono{5} + kPeriod);
}

TEST(ScrubPlan, SegmentsInOrderThenTheSnapshotThenAPause) {
  Mono now{0};
  ScrubPlan plan(1 << 20, kPeriod, now);
  now = plan.next();
  const Mono begun = now;
  EXPECT_FALSE(plan.turn(now).read) << "first it asks what there is";
  EXPECT_EQ(plan.next(), Mono::never()) << "one thing at a time";
  plan.listed({segment(4), segment(5)}, now);
  std::vector<uint64_t> seen;
  while (plan.passes() == 0) {
    ASSERT_NE(plan.next(), Mono::never());
    now = std::max(now, plan.next());
    const ScrubPlan::Ask ask = plan.turn(now);
    ASSERT_TRUE(ask.read);
    seen.push_back(ask.read->segment);
    plan.slice_read(slice(100, true), now);
  }
  EXPECT_EQ(seen, (std::vector<uint64_t>{4, 5, 0}));
  EXPECT_EQ(plan.next(), begun + kPeriod);
  EXPECT_EQ(plan.bytes(), 300u);
}

TEST(ScrubPlan, ItIsNoFasterThanItMay) {
  constexpr uint64_t kRate = 1 << 20;
  Mono now{0};
  ScrubPlan plan(kRate, kPeriod, now);
  now = plan.next();
  plan.turn(now);
  plan.listed({segment(1)}, now);
  const Mono begun = now;
  for (int i = 0; i < 40; ++i) {
    now = plan.next();
    const ScrubPlan::Ask ask = plan.turn(now);
    EXPECT_LE(ask.bytes, 256u << 10) << "others wait behind a slice";
    plan.slice_read(slice(ask.bytes, false), now);
  }
  const double seconds = static_cast<double>(plan.next() - begun) / kNsPerSecond;
  EXPECT_NEAR(static_cast<double>(plan.bytes()) / seconds, kRate, kRate / 100.0);
}

TEST(ScrubPlan, APassThatTakesLongerThanThePeriodIsFollowedByTheNext) {
  Mono now{0};
  ScrubPlan plan(1000, 10 * kMs, now);
  now = plan.next();
  plan.turn(now);
  plan.listed({}, now);
  plan.turn(now);
  plan.slice_read(slice(5000, true), now);
  EXPECT_EQ(plan.next(), now + 5 * kNsPerSecond);
}

TEST(ScrubPlan, WhatIsCutMeanwhileIsNotRead) {
  Mono now{0};
  ScrubPlan plan(1 << 20, kPeriod, now);
  plan.turn(now);
  plan.listed({segment(4), segment(5), segment(6)}, now);
  EXPECT_EQ(plan.turn(now).read->segment, 4u);
  plan.log_begins_at(6);
  plan.slice_read(slice(10, true), now);
  EXPECT_EQ(plan.turn(now).read->segment, 6u);
}

// --- findings -----------------------------------------------------------------------------

TEST(MendPlan, ASegmentIsLeftCoveredAndCut) {
  MendPlan plan;
  EXPECT_TRUE(plan.found(in_segment(3)));
  EXPECT_FALSE(plan.found(in_segment(3))) << "it was told";
  EXPECT_EQ(plan.first_known(), nullptr) << "a suspicion is not told";
  EXPECT_EQ(plan.steps(view(90, 100, 50), Mono{0}).ask, std::vector<uint64_t>{3});
  EXPECT_TRUE(plan.steps(view(90, 100, 50), Mono{0}).ask.empty()) << "asked";
  ASSERT_NE(plan.answered(3, 2, 4), nullptr);
  EXPECT_EQ(plan.answered(3, 2, 4), nullptr) << "no news";
  EXPECT_FALSE(plan.steps(view(99, 120, 50), Mono{0}).snapshot) << "100 may be in it";
  EXPECT_TRUE(plan.steps(view(100, 120, 50), Mono{0}).snapshot);
  EXPECT_FALSE(plan.steps(view(100, 120, 99), Mono{0}).cut);
  const MendPlan::Steps last = plan.steps(view(110, 120, 100), Mono{0});
  EXPECT_TRUE(last.cut);
  EXPECT_FALSE(last.snapshot);
  EXPECT_FALSE(plan.steps(view(110, 120, 100), Mono{0}).cut) << "told";
  EXPECT_TRUE(plan.log_begins_at(3).empty());
  EXPECT_EQ(plan.log_begins_at(4).size(), 1u);
  EXPECT_TRUE(plan.empty());
}

TEST(MendPlan, WhereASnapshotCoversItNoneIsMade) {
  MendPlan plan;
  plan.found(in_segment(3));
  plan.steps(view(100, 100, 100), Mono{0});
  plan.answered(3, 3, 4);
  const MendPlan::Steps steps = plan.steps(view(100, 100, 100), Mono{0});
  EXPECT_TRUE(steps.cut);
  EXPECT_FALSE(steps.snapshot);
}

TEST(MendPlan, ASegmentThatWasRecycledMeanwhileIsNoFinding) {
  MendPlan plan;
  plan.found(in_segment(3));
  EXPECT_EQ(plan.answered(3, 4, 6), nullptr);
  EXPECT_TRUE(plan.log_begins_at(4).empty()) << "nothing to tell";
  EXPECT_TRUE(plan.empty());
}

// What a new leader cut off is never applied.
TEST(MendPlan, EntriesThatAreGoneAreNotWaitedFor) {
  MendPlan plan;
  plan.found(in_segment(3));
  plan.steps(view(90, 100, 50), Mono{0});
  plan.answered(3, 3, 4);
  EXPECT_TRUE(plan.steps(view(92, 92, 50), Mono{0}).snapshot);
  EXPECT_TRUE(plan.steps(view(92, 92, 92), Mono{0}).cut);
}

// A full disk: the segment could not be left, and grows.
TEST(MendPlan, WhatFailedIsTriedAgain) {
  MendPlan plan;
  plan.found(in_segment(3));
  plan.steps(view(100, 100, 100), Mono{0});
  ASSERT_NE(plan.answered(3, 2, 3), nullptr);
  EXPECT_FALSE(plan.steps(view(100, 100, 100), Mono{1}).cut) << "it is written to";
  const Mono later = plan.next();
  ASSERT_NE(later, Mono::never());
  EXPECT_EQ(plan.steps(view(120, 130, 100), later).ask, std::vector<uint64_t>{3});
  plan.answered(3, 2, 4);
  EXPECT_FALSE(plan.steps(view(120, 140, 120), later).cut) << "130 may be in it";
  EXPECT_TRUE(plan.steps(view(140, 140, 130), later).cut);
}

// Snapshots that take longer than the patience must not chase the end of the log.
TEST(MendPlan, TryingAgainAsksForNoMoreThanBefore) {
  MendPlan plan;
  plan.found(in_segment(3));
  plan.steps(view(100, 100, 50), Mono{0});
  plan.answered(3, 2, 4);
  plan.steps(view(900, 900, 50), plan.next());
  EXPECT_TRUE(plan.steps(view(950, 950, 100), Mono{1}).cut);
}

TEST(MendPlan, ASnapshotIsWrittenAnewAlsoOfTheSameIndex) {
  MendPlan plan;
  plan.found(in_snapshot(50));
  ASSERT_NE(plan.first_known(), nullptr);
  EXPECT_TRUE(plan.steps(view(50, 50, 50), Mono{0}).snapshot);
  EXPECT_TRUE(plan.snapshot_published(Index(50), false).empty()) << "that is the damaged one";
  EXPECT_EQ(plan.snapshot_published(Index(50), true).size(), 1u);
  EXPECT_TRUE(plan.empty());
}

TEST(MendPlan, FindingsAreBounded) {
  MendPlan plan;
  for (uint64_t i = 1; i <= 1000; ++i) plan.found(in_segment(i));
  EXPECT_LE(plan.damages().size(), 16u);
}

}  // namespace
}  // namespace raftcs::server
