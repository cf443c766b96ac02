// crash_test.cpp: crashes of workloads that someone thought of; see crash_engine.hpp for what is
// tried and checked. crash_generated_test.cpp has the ones nobody thought of.
#include "crash_engine.hpp"

namespace raftcs::storage {
namespace {

CrashStep snapshot_step(CrashStep::Kind kind, uint64_t index, uint64_t term = 0) {
  return {kind, {}, index, term};
}

void report(const CrashCounts& counts, const std::string& name, uint64_t crashes_min,
            uint64_t points_min) {
  counts.report(name, 0);
  EXPECT_GE(counts.crashes, crashes_min);
  EXPECT_GE(counts.points, points_min);
  for (const size_t rule : {1, 2, 4, 5, 6, 9}) EXPECT_GE(counts.rule[rule], 50u) << "W" << rule;
}

TEST(CrashTest, AppendAndVote) {
  const CrashCounts counts = crash_everywhere(
      "append and vote", {vote(1, 2), append(1, 1, 1, 100), append(2, 3, 1, 300), vote(2, 3),
                          append(5, 2, 2, 900), append(7, 1, 2, 0), {CrashStep::reopen, {}, 0, 0},
                          append(8, 4, 3, 200), vote(4, 0)});
  report(counts, "append and vote", 1000, 45);
}

TEST(CrashTest, TruncateAndRoll) {
  const CrashCounts counts = crash_everywhere(
      "truncate and roll",
      {append(1, 2, 1, 900), append(3, 2, 1, 900), append(5, 2, 1, 900), append(7, 1, 1, 900),
       append(2, 1, 2, 50, 2), append(3, 3, 2, 700), append(6, 1, 2, 1200), append(1, 2, 3, 20, 1),
       {CrashStep::reopen, {}, 0, 0}, append(3, 4, 3, 600)});
  report(counts, "truncate and roll", 1500, 60);
  EXPECT_GE(counts.rule[3], 1000u);
}

TEST(CrashTest, SnapshotCompactRecycle) {
  std::vector<CrashStep> steps;
  uint64_t next = 1;
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 3; ++i, next += 2) steps.push_back(append(next, 2, 1, 700));
    steps.push_back(snapshot_step(CrashStep::publish, next - 2, 1));
    steps.push_back(snapshot_step(CrashStep::compact, next - 2));
    steps.push_back(snapshot_step(CrashStep::prepare, 0));
  }
  steps.push_back(snapshot_step(CrashStep::reopen, 0));
  steps.push_back(append(next, 2, 1, 700));
  const CrashCounts counts = crash_everywhere("snapshot, compact, recycle", steps);
  report(counts, "snapshot, compact, recycle", 3000, 60);
  EXPECT_GE(counts.rule[8], 1000u);
}

TEST(CrashTest, ReceivedSnapshotReplacesTheLog) {
  WriteBatch after = append_batch(21, 2, 5, 100);
  after.reset_log = make_meta(20, 5);
  WriteBatch conflict = append_batch(24, 1, 6, 100);
  conflict.reset_log = make_meta(23, 6);
  const CrashCounts counts = crash_everywhere(
      "received snapshot",
      {append(1, 4, 1, 400), vote(5, 0), snapshot_step(CrashStep::receive, 20, 5),
       write_step(after), append(23, 2, 5, 300), snapshot_step(CrashStep::compact, 20), vote(6, 1),
       snapshot_step(CrashStep::publish, 23, 6), write_step(conflict),
       snapshot_step(CrashStep::compact, 23)});
  report(counts, "received snapshot", 3000, 40);
}

// The rules themselves can fail: images that each break one.
TEST(CrashTest, EachRuleFindsWhatBreaksIt) {
  CrashProgress p;
  CrashModel reported;
  reported.hard_state = {Term(2), NodeId(1)};
  reported.entries = {make_entry(1, 1, 5), make_entry(2, 2, 5)};
  CrashModel under_way = reported;
  under_way.entries.push_back(make_entry(3, 2, 5));
  under_way.entries.push_back(make_entry(4, 2, 5));
  CrashModel half = under_way;
  half.entries.pop_back();
  p.allowed = {reported, half, under_way};
  p.removed[2] = {1};
  CrashCounts counts;
  const auto broken = [&](const raft::HardState& hs, std::vector<raft::Entry> entries) {
    return broken_rule({hs, std::nullopt, std::move(entries)}, p, &counts).substr(0, 2);
  };
  const auto& all = under_way.entries;
  const raft::HardState good = reported.hard_state;
  EXPECT_EQ(broken(good, {all[0], all[1]}), "");
  EXPECT_EQ(broken(good, {all[0], all[1], all[2]}), "");
  EXPECT_EQ(broken(good, all), "");
  EXPECT_EQ(broken(good, {all[0]}), "W1");
  EXPECT_EQ(broken(good, {all[0], make_entry(2, 2, 4)}), "W1");
  EXPECT_EQ(broken(good, {all[0], all[1], make_entry(3, 2, 6)}), "W2");
  EXPECT_EQ(broken(good, {all[0], make_entry(2, 1, 5)}), "W3");
  EXPECT_EQ(broken({Term(1), NodeId(1)}, {all[0], all[1]}), "W4");
  EXPECT_EQ(broken({Term(2), NodeId(2)}, {all[0], all[1]}), "W4");
  EXPECT_EQ(broken(good, {all[0], all[2]}), "W8");
  EXPECT_EQ(broken(good, {all[1]}), "W8");
}

}  // namespace
}  // namespace raftcs::storage
