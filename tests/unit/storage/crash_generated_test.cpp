// crash_generated_test.cpp: crashes of generated workloads of up to forty operations, and every
// byte of what they leave flipped (W7).
//
// What a workload does follows from its number: appends of several sizes, votes, truncations with
// and without replacement, snapshots taken, received and in conflict, compaction, preparing ahead,
// reopening, in an order that a Raft node could ask for. Many more of them, all subsets of twelve
// pending things and every byte: RAFTCS_LONG=1.
#include <algorithm>
#include <cstdio>

#include "base/prng.hpp"
#include "crash_engine.hpp"
#include "storage/inspect.hpp"

namespace raftcs::storage {
namespace {

constexpr size_t kOperationsMax = 40;

class Generator {
 public:
  explicit Generator(uint64_t number) : prng_(number) {}

  std::vector<CrashStep> steps() {
    const uint64_t count = prng_.between(10, kOperationsMax);
    while (steps_.size() < count) {
      switch (prng_.below(12)) {
        case 0:
        case 1:
        case 2:
        case 3: add(append_some(0)); break;
        case 4: add(vote(++term_, prng_.below(4))); break;
        case 5: truncate(); break;
        case 6: take_snapshot(); break;
        case 7: receive_snapshot(); break;
        case 8: add({CrashStep::compact, {}, covered_, 0}); break;
        case 9: add({CrashStep::prepare, {}, 0, 0}); break;
        case 10: add({CrashStep::reopen, {}, 0, 0}); break;
        default: add(append_some(0)); add({CrashStep::prepare, {}, 0, 0});
      }
    }
    return std::move(steps_);
  }

 private:
  void add(CrashStep step) { steps_.push_back(std::move(step)); }

  CrashStep append_some(uint64_t truncate_from) {
    static constexpr size_t kSizes[] = {0, 30, 400, 700, 1500, 3000};
    if (truncate_from != 0) last_ = truncate_from - 1;
    const uint64_t count = prng_.between(1, 3), first = last_ + 1;
    last_ += count;
    terms_.resize(last_ + 1);
    for (uint64_t i = first; i <= last_; ++i) terms_[i] = term_;
    return append(first, count, term_, kSizes[prng_.below(6)], truncate_from);
  }

  void truncate() {
    if (last_ <= covered_) return;
    const uint64_t from = prng_.between(covered_ + 1, last_);
    ++term_;
    if (prng_.chance(0.7)) return add(append_some(from));
    WriteBatch batch;
    batch.hard_state = raft::HardState{Term(term_), NodeId(1)};
    batch.truncate_from = Index(from);
    last_ = from - 1;
    add(write_step(std::move(batch)));
  }

  void take_snapshot() {
    if (last_ <= covered_) return;
    covered_ = prng_.between(covered_ + 1, last_);
    add({CrashStep::publish, {}, covered_, terms_[covered_]});
    if (prng_.chance(0.6)) add({CrashStep::compact, {}, covered_, 0});
  }

  // Beyond the log, or in conflict with it; the log begins anew behind it.
  void receive_snapshot() {
    covered_ = last_ > covered_ && prng_.chance(0.3) ? last_ : last_ + prng_.between(1, 4);
    ++term_;
    add({CrashStep::receive, {}, covered_, term_});
    last_ = covered_;
    terms_.resize(last_ + 1, term_);
    terms_[last_] = term_;
    CrashStep step = append_some(0);
    step.batch.reset_log = make_meta(covered_, term_);
    add(std::move(step));
  }

  Prng prng_;
  std::vector<CrashStep> steps_;
  std::vector<uint64_t> terms_{0};
  uint64_t last_ = 0, covered_ = 0, term_ = 1;
};

TEST(CrashGenerated, EveryCrashOfEachWorkload) {
  const uint64_t workloads = CrashEffort::is_long() ? 200 : 20;
  CrashEffort effort = CrashEffort::usual();
  if (!CrashEffort::is_long()) effort = {3, 6, 14, 16};
  CrashCounts counts;
  size_t longest = 0;
  for (uint64_t n = 1; n <= workloads && !HasFailure(); ++n) {
    const std::vector<CrashStep> steps = Generator(n).steps();
    longest = std::max(longest, steps.size());
    counts.add(crash_everywhere("workload " + std::to_string(n), steps, effort));
  }
  std::printf("%llu workloads of up to %zu operations\n",
              static_cast<unsigned long long>(workloads), longest);
  counts.report("generated", 500);
  EXPECT_GE(counts.points, 1000u);
  EXPECT_GE(longest, 35u);
}

// One flipped byte in what a workload left.
struct Flips {
  uint64_t flipped = 0, reported = 0, slack = 0;
};

void flip_everywhere(const sim::SimDisk& clean, const raft::BootImage& want, uint64_t stride,
                     Flips* flips) {
  for (const std::string& path : clean.files()) {
    const size_t size = clean.contents(path)->size();
    for (size_t at = flips->flipped % stride; at < size; at += stride) {
      auto disk = clean.clone();
      ASSERT_TRUE(disk->flip(path, at, static_cast<uint8_t>(1 << (at % 8))));
      ++flips->flipped;
      const std::string where = "W7: " + path + " at " + std::to_string(at) + ": ";
      auto dir = DataDir::open(*disk, kCrashPath, crash_options(), nullptr);
      if (!dir) {
        ++flips->reported;
        const std::string text = dir.status().text();
        ASSERT_NE(text.find(path), std::string::npos) << where << text;
        ASSERT_NE(text.find("offset"), std::string::npos) << where << text;
        continue;
      }
      const raft::BootImage image = (*dir)->take_boot_image();
      const bool snapshot_damaged =
          image.snapshot && !(*dir)->open_snapshot(image.snapshot->index).is_ok();
      ++(snapshot_damaged ? flips->reported : flips->slack);
      ASSERT_EQ(image.entries, want.entries) << where << "altered or shortened in silence";
      ASSERT_EQ(image.hard_state, want.hard_state) << where;
      ASSERT_EQ(image.snapshot, want.snapshot) << where;
    }
  }
}

TEST(CrashGenerated, OneFlippedByteIsNeverSilent) {
  const uint64_t workloads = CrashEffort::is_long() ? 100 : 8;
  const uint64_t stride = CrashEffort::is_long() ? 1 : 29;
  Flips flips;
  for (uint64_t n = 1; n <= workloads && !HasFatalFailure(); ++n) {
    sim::SimDisk disk;
    CrashProgress p;
    run_workload(disk, Generator(n).steps(), &p);
    { auto dir = DataDir::open(disk, kCrashPath, crash_options(), nullptr); }
    disk.crash(std::vector<sim::Fate>(disk.pending_count(), sim::Fate::kept));
    auto look = disk.clone();
    auto dir = DataDir::open(*look, kCrashPath, crash_options(), nullptr);
    ASSERT_OK(dir);
    flip_everywhere(disk, (*dir)->take_boot_image(), stride, &flips);
  }
  std::printf("W7 %llu bytes flipped: %llu reported, %llu in slack\n",
              static_cast<unsigned long long>(flips.flipped),
              static_cast<unsigned long long>(flips.reported),
              static_cast<unsigned long long>(flips.slack));
  EXPECT_GE(flips.reported, 500u);
}

}  // namespace
}  // namespace raftcs::storage
