// crash_test.cpp: every crash of short workloads, against the rules W1..W9.
//
// A workload runs on a simulated disk whose machine goes off after the n-th call that
// changes something, for every n. What was pending then is kept, lost, half written or
// garbage: in all combinations when there are few, else in many samples. Each of these
// disks must open, and must hold
//   W1 what was reported durable, W2 followed by a prefix of what was being written,
//   W3 nothing that a reported truncation removed, W4 a hard state that was asked for and
//   not older than the last reported one, W5 the same after a crash of the recovery,
//   W6 no complaint of damage, W8 no gap, W9 a log that can be written, rolled, recovered.
// The test counts what it tried and fails when that is too little.
#include <algorithm>
#include <cstdlib>
#include <cstdio>
#include <functional>

#include "storage_fixture.hpp"
#include "tests/support/sim_disk.hpp"

namespace raftcs::storage {
namespace {

using sim::Fate;
using sim::SimDisk;

constexpr char kPath[] = "/disk/node";

// What a directory may hold: hard state, snapshot index, entries behind some base.
struct Model {
  raft::HardState hard_state;
  Index base;
  std::vector<raft::Entry> entries;

  Index last() const { return base + entries.size(); }
  // One record of a write; the write is these in order.
  void set(const raft::HardState& hs) { hard_state = hs; }
  void reset(Index index) { entries.clear(), base = index; }
  void truncate(Index from) {
    while (!entries.empty() && entries.back().index >= from) entries.pop_back();
  }
};

// The states a crash may leave: after the last reported write, or within the one under way.
std::vector<Model> steps_of(const Model& before, const WriteBatch& batch) {
  std::vector<Model> out{before};
  Model m = before;
  const auto step = [&](const std::function<void()>& f) {
    f();
    out.push_back(m);
  };
  if (batch.hard_state) step([&] { m.set(*batch.hard_state); });
  if (batch.reset_log) step([&] { m.reset(batch.reset_log->index); });
  if (batch.truncate_from) step([&] { m.truncate(*batch.truncate_from); });
  for (const raft::Entry& e : batch.append) step([&] { m.entries.push_back(e); });
  return out;
}

struct Step {
  enum Kind { write, compact, publish, prepare, reopen } kind;
  WriteBatch batch;
  uint64_t index = 0, term = 0;
};

struct Progress {
  std::vector<Model> allowed{Model()};
  std::vector<uint64_t> snapshots{0};  // indexes that may be the latest
  bool created = false;
};

struct Counts {
  uint64_t crashes = 0, exhaustive_points = 0, points = 0, torn = 0, nested = 0;
};

class CrashTest : public ::testing::Test {
 protected:
  static Options options() {
    Options o;
    o.segment_bytes = 8 * 512;
    return o;
  }

  static bool run_step(DataDir& dir, const Step& step, Progress* p) {
    switch (step.kind) {
      case Step::write: {
        const std::vector<Model> steps = steps_of(p->allowed.back(), step.batch);
        p->allowed = steps;
        if (!dir.write(step.batch).is_ok()) return false;
        p->allowed = {steps.back()};
        return true;
      }
      case Step::compact:
        return dir.compact(Index(step.index)).is_ok();
      case Step::publish: {
        p->snapshots.push_back(step.index);
        auto writer = dir.begin_snapshot(make_meta(step.index, step.term));
        const std::string body(700, static_cast<char>('A' + step.index % 26));
        if (!writer || !(*writer)->write(body.data(), body.size()).is_ok() || !(*writer)->publish()) return false;
        p->snapshots = {step.index};
        return true;
      }
      case Step::prepare:
        dir.prepare_ahead();
        return true;
      case Step::reopen:
        return false;
    }
    return false;
  }

  static void run(SimDisk& disk, const std::vector<Step>& steps, Progress* p) {
    if (!DataDir::create(disk, kPath, make_identity()).is_ok()) return;
    p->created = true;
    auto dir = DataDir::open(disk, kPath, options(), nullptr);
    for (const Step& step : steps) {
      if (!dir) return;
      if (step.kind == Step::reopen) {
        dir->reset();
        dir = DataDir::open(disk, kPath, options(), nullptr);
      } else if (!run_step(**dir, step, p)) {
        return;
      }
    }
  }

  // Does the image fit one of the allowed states, given the snapshot found?
  static bool fits(const raft::BootImage& image, const Progress& p) {
    const uint64_t covered = image.snapshot ? image.snapshot->index.value : 0;
    if (std::find(p.snapshots.begin(), p.snapshots.end(), covered) == p.snapshots.end()) return false;
    for (const Model& m : p.allowed) {
      std::vector<raft::Entry> want;
      for (const raft::Entry& e : m.entries)
        if (e.index.value > covered) want.push_back(e);
      if (covered < m.base.value) continue;
      bool same_hard_state = image.hard_state == m.hard_state;
      if (image.snapshot && image.snapshot->term > m.hard_state.term)
        same_hard_state = image.hard_state == raft::HardState{image.snapshot->term, NodeId()};
      // A published snapshot in conflict with the log voids it before the reset is written.
      bool conflict = false;
      for (const raft::Entry& e : m.entries)
        if (image.snapshot && e.index.value == covered && e.term != image.snapshot->term) conflict = true;
      if (conflict) want.clear();
      if (same_hard_state && image.entries == want) return true;
    }
    return false;
  }

  void check(SimDisk& disk, const Progress& p, const std::string& where) {
    ++counts_.crashes;
    auto initialised = DataDir::is_initialised(disk, kPath);
    ASSERT_OK(initialised);
    if (!*initialised) {
      ASSERT_FALSE(p.created) << where;
      ASSERT_OK(DataDir::create(disk, kPath, make_identity()));
    }
    std::vector<std::string> notes;
    auto dir = DataDir::open(disk, kPath, options(), &notes);
    ASSERT_TRUE(dir.is_ok()) << where << ": " << status_of(dir);  // W6
    for (const std::string& note : notes) counts_.torn += note.find("was cut") != std::string::npos;
    const raft::BootImage image = (*dir)->take_boot_image();
    ASSERT_TRUE(fits(image, p)) << where << ": term " << image.hard_state.term.value << ", snapshot "
                                << (image.snapshot ? image.snapshot->index.value : 0) << ", entries "
                                << image.entries.size();
    if (image.snapshot) ASSERT_OK((*dir)->open_snapshot(image.snapshot->index));
    // W9: go on, over a segment's end, and recover again.
    const uint64_t covered = image.snapshot ? image.snapshot->index.value : 0;
    uint64_t next = covered + image.entries.size() + 1;
    std::vector<raft::Entry> want = image.entries;
    for (int i = 0; i < 3; ++i, ++next) {
      WriteBatch more = append_batch(next, 1, 99, 1500);
      want.push_back(more.append[0]);
      ASSERT_OK((*dir)->write(more));
    }
    if (counts_.crashes % 2 == 0) disk.crash({});  // everything unsynced is gone
    dir->reset();
    auto again = DataDir::open(disk, kPath, options(), nullptr);
    ASSERT_TRUE(again.is_ok()) << where << ", again: " << status_of(again);
    ASSERT_EQ((*again)->take_boot_image().entries, want) << where;
  }

  // W5: the recovery itself is cut off after each of its changes.
  void check_nested(const SimDisk& crashed, const Progress& p, Prng& prng, const std::string& where) {
    for (uint64_t n = 0;; ++n) {
      auto disk = crashed.clone();
      disk->power_off_after(n);
      { auto dir = DataDir::open(*disk, kPath, options(), nullptr); }
      const bool cut = disk->powered_off();
      disk->crash(prng);
      ++counts_.nested;
      check(*disk, p, where + ", recovery cut after " + std::to_string(n));
      if (HasFatalFailure() || !cut) return;
    }
  }

  void crash_everywhere(const std::string& name, const std::vector<Step>& steps, uint64_t samples) {
    Prng prng(20240611);
    for (uint64_t n = 0; n < 2000; ++n) {
      SimDisk disk;
      Progress p;
      disk.power_off_after(n);
      run(disk, steps, &p);
      const bool cut = disk.powered_off();
      const size_t pending = disk.pending_count();
      ++counts_.points;
      const std::string where = name + ", off after change " + std::to_string(n);
      // Four fates for few pending things, two for some more, else samples.
      const uint64_t fates = pending <= 4 ? 4 : pending <= 7 ? 2 : 0;
      uint64_t combinations = 1;
      for (size_t i = 0; fates != 0 && i < pending; ++i) combinations *= fates;
      if (fates != 0) ++counts_.exhaustive_points;
      for (uint64_t c = 0; c < (fates != 0 ? combinations : samples); ++c) {
        auto crashed = disk.clone();
        if (fates != 0) {
          std::vector<Fate> chosen;
          for (uint64_t rest = c, i = 0; i < pending; ++i, rest /= fates)
            chosen.push_back(static_cast<Fate>(rest % fates));
          crashed->crash(chosen, c + 1);
        } else {
          crashed->crash(prng, {c % 4 == 3 ? 0.3 : 0.8, c % 5 == 4});
        }
        const std::string at = where + ", combination " + std::to_string(c);
        if (c % 16 == 0) check_nested(*crashed, p, prng, at);
        if (HasFatalFailure()) return;
        check(*crashed, p, at);
        if (HasFatalFailure()) return;
      }
      if (!cut) break;
    }
  }

  void report(const std::string& name, uint64_t crashes_min, uint64_t points_min) {
    std::printf("%s: %llu crash points (%llu exhaustive), %llu crashes, %llu of them in a recovery, %llu torn tails cut\n",
                name.c_str(), static_cast<unsigned long long>(counts_.points),
                static_cast<unsigned long long>(counts_.exhaustive_points),
                static_cast<unsigned long long>(counts_.crashes),
                static_cast<unsigned long long>(counts_.nested), static_cast<unsigned long long>(counts_.torn));
    EXPECT_GE(counts_.crashes, crashes_min);
    EXPECT_GE(counts_.points, points_min);
  }

  // More than usual, for a long run: RAFTCS_CRASH_SAMPLES.
  static uint64_t samples(uint64_t usual) {
    const char* wanted = std::getenv("RAFTCS_CRASH_SAMPLES");
    return wanted != nullptr ? std::strtoull(wanted, nullptr, 10) : usual;
  }

  Counts counts_;
};

Step write_step(WriteBatch batch) { return {Step::write, std::move(batch), 0, 0}; }
Step append(uint64_t first, uint64_t count, uint64_t term, size_t bytes, uint64_t truncate_from = 0) {
  WriteBatch batch = append_batch(first, count, term, bytes);
  if (truncate_from != 0) batch.truncate_from = Index(truncate_from);
  return write_step(std::move(batch));
}
Step vote(uint64_t term, uint64_t whom) {
  WriteBatch batch;
  batch.hard_state = raft::HardState{Term(term), NodeId(whom)};
  return write_step(std::move(batch));
}

TEST_F(CrashTest, AppendAndVote) {
  crash_everywhere("append and vote",
                   {vote(1, 2), append(1, 1, 1, 100), append(2, 3, 1, 300), vote(2, 3), append(5, 2, 2, 900),
                    append(7, 1, 2, 0), {Step::reopen, {}, 0, 0}, append(8, 4, 3, 200), vote(4, 0)},
                   samples(60));
  report("append and vote", 1000, 45);
}

TEST_F(CrashTest, TruncateAndRoll) {
  crash_everywhere("truncate and roll",
                   {append(1, 2, 1, 900), append(3, 2, 1, 900), append(5, 2, 1, 900), append(7, 1, 1, 900),
                    append(2, 1, 2, 50, 2), append(3, 3, 2, 700), append(6, 1, 2, 1200),
                    append(1, 2, 3, 20, 1), {Step::reopen, {}, 0, 0}, append(3, 4, 3, 600)},
                   samples(40));
  report("truncate and roll", 1500, 60);
}

TEST_F(CrashTest, SnapshotCompactRecycle) {
  std::vector<Step> steps;
  uint64_t next = 1;
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 3; ++i, next += 2) steps.push_back(append(next, 2, 1, 700));
    steps.push_back({Step::publish, {}, next - 2, 1});
    steps.push_back({Step::compact, {}, next - 2, 0});
    steps.push_back({Step::prepare, {}, 0, 0});
  }
  steps.push_back({Step::reopen, {}, 0, 0});
  steps.push_back(append(next, 2, 1, 700));
  crash_everywhere("snapshot, compact, recycle", steps, samples(25));
  report("snapshot, compact, recycle", 3000, 60);
}

TEST_F(CrashTest, ReceivedSnapshotReplacesTheLog) {
  WriteBatch after = append_batch(21, 2, 5, 100);
  after.reset_log = make_meta(20, 5);
  WriteBatch conflict = append_batch(24, 1, 6, 100);
  conflict.reset_log = make_meta(23, 6);
  crash_everywhere("received snapshot",
                   {append(1, 4, 1, 400), vote(5, 0), {Step::publish, {}, 20, 5}, write_step(after),
                    append(23, 2, 5, 300), {Step::compact, {}, 20, 0}, vote(6, 1),
                    {Step::publish, {}, 23, 6}, write_step(conflict), {Step::compact, {}, 23, 0}},
                   samples(40));
  report("received snapshot", 3000, 40);
}

}  // namespace
}  // namespace raftcs::storage
