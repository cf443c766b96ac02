// recovery_arithmetic_test.cpp: the arithmetic of recovery, enumerated: all short sequences of what
// can be asked of a log, in small segments, against a vector of entries.
//
// No crash in here (crash_test.cpp): what is recovered after an orderly end must be exactly what
// was written, whatever order of appends, rolls, truncations, resets and compactions came before.
// Sequences of six instead of five with RAFTCS_LONG=1.
#include <algorithm>
#include <cstdio>

#include "crash_engine.hpp"

namespace raftcs::storage {
namespace {

constexpr unsigned kOperations = 8;

// Operations that are possible in the state that those before have left; empty: not possible.
class Sequence {
 public:
  bool add(unsigned operation) {
    switch (operation) {
      case 0: return grow(1, 40);
      case 1: return grow(2, 1500);  // rolls
      case 2: return cut(last_);
      case 3: return cut(covered_ + 1);
      case 4: return publish(last_);
      case 5: return publish(covered_ + 1);
      case 6: return receive();
      default: return add_step({CrashStep::reopen, {}, 0, 0});
    }
  }
  const std::vector<CrashStep>& steps() const { return steps_; }

 private:
  bool add_step(CrashStep step) {
    steps_.push_back(std::move(step));
    return true;
  }
  bool grow(uint64_t count, size_t bytes) {
    const uint64_t first = last_ + 1;
    last_ += count;
    terms_.resize(last_ + 1, term_);
    return add_step(append(first, count, term_, bytes));
  }
  bool cut(uint64_t from) {
    if (from > last_ || from <= covered_) return false;
    ++term_;
    last_ = from - 1;
    terms_.resize(last_ + 1);
    WriteBatch batch;
    batch.hard_state = raft::HardState{Term(term_), NodeId(2)};
    batch.truncate_from = Index(from);
    return add_step(write_step(std::move(batch)));
  }
  bool publish(uint64_t index) {
    if (index > last_ || index <= covered_) return false;
    covered_ = index;
    add_step({CrashStep::publish, {}, index, terms_[index]});
    return add_step({CrashStep::compact, {}, index, 0});
  }
  bool receive() {
    covered_ = last_ += 2;
    ++term_;
    terms_.resize(last_ + 1, term_);
    add_step({CrashStep::receive, {}, covered_, term_});
    WriteBatch batch;
    batch.hard_state = raft::HardState{Term(term_), NodeId()};
    batch.reset_log = make_meta(covered_, term_);
    add_step(write_step(std::move(batch)));
    return add_step({CrashStep::compact, {}, covered_, 0});
  }

  std::vector<CrashStep> steps_;
  std::vector<uint64_t> terms_{0};
  uint64_t last_ = 0, covered_ = 0, term_ = 1;
};

TEST(RecoveryArithmetic, AllShortSequencesAreRecoveredExactly) {
  const unsigned length = CrashEffort::is_long() ? 6 : 5;
  uint64_t codes = 1, tried = 0, impossible = 0;
  for (unsigned i = 0; i < length; ++i) codes *= kOperations;
  CrashCounts counts;
  for (uint64_t code = 0; code < codes && !HasFatalFailure(); ++code) {
    Sequence sequence;
    bool possible = true;
    for (uint64_t rest = code, i = 0; i < length && possible; ++i, rest /= kOperations)
      possible = sequence.add(static_cast<unsigned>(rest % kOperations));
    if (!possible) {
      ++impossible;
      continue;
    }
    sim::SimDisk disk;
    CrashProgress p;
    run_workload(disk, sequence.steps(), &p);
    auto dir = DataDir::open(disk, kCrashPath, crash_options(), nullptr);
    ASSERT_TRUE(dir.is_ok()) << "sequence " << code << ": " << status_of(dir);
    const raft::BootImage image = (*dir)->take_boot_image();
    ASSERT_EQ(broken_rule(image, p, &counts), "") << "sequence " << code;
    ASSERT_EQ(p.allowed.size(), 1u) << "something was refused in sequence " << code;
    // And goes on from there.
    const uint64_t next = p.allowed[0].last().value + 1;
    ASSERT_OK((*dir)->write(append_batch(next, 1, image.hard_state.term.value, 10)));
    ++tried;
  }
  std::printf("%llu sequences of %u operations, %llu not possible; %llu entries, %llu removals and "
              "%llu snapshots looked at\n",
              static_cast<unsigned long long>(tried), length,
              static_cast<unsigned long long>(impossible),
              static_cast<unsigned long long>(counts.rule[1]),
              static_cast<unsigned long long>(counts.rule[3]),
              static_cast<unsigned long long>(counts.rule[8]));
  EXPECT_GE(tried, codes / 8);
}

}  // namespace
}  // namespace raftcs::storage
