// crash_engine.cpp: see crash_engine.hpp.
#include "crash_engine.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <functional>

#include "base/crc32c.hpp"

namespace raftcs::storage {
namespace {

using sim::Fate;
using sim::SimDisk;

constexpr uint64_t kPointsMax = 5000;

std::string body_of(uint64_t index) {
  return std::string(700, static_cast<char>('A' + index % 26));
}

// The states a crash may leave: after the last reported write, or within the one under way. A
// write is its records, in this order.
std::vector<CrashModel> states_of(const CrashModel& before, const WriteBatch& batch) {
  std::vector<CrashModel> out{before};
  CrashModel m = before;
  const auto step = [&](const std::function<void()>& f) {
    f();
    out.push_back(m);
  };
  if (batch.hard_state) step([&] { m.hard_state = *batch.hard_state; });
  if (batch.reset_log) step([&] { m.entries.clear(), m.base = batch.reset_log->index; });
  if (batch.truncate_from)
    step([&] {
      while (!m.entries.empty() && m.entries.back().index >= *batch.truncate_from)
        m.entries.pop_back();
    });
  for (const raft::Entry& e : batch.append) step([&] { m.entries.push_back(e); });
  return out;
}

// What is in `before` and no longer in `after` is gone for good.
void note_removed(const CrashModel& before, const CrashModel& after, CrashProgress* p) {
  for (const raft::Entry& e : before.entries) {
    const bool stays = std::any_of(after.entries.begin(), after.entries.end(),
                                   [&](const raft::Entry& a) { return a == e; });
    if (!stays && e.index > after.base) p->removed[e.index.value].push_back(e.term.value);
  }
}

bool publish(DataDir& dir, const CrashStep& step, CrashProgress* p) {
  const std::string body = body_of(step.index);
  const uint64_t before = p->snapshots.back();
  p->snapshots = {before, step.index};
  if (step.kind == CrashStep::receive) {
    raft::SnapshotMeta meta = make_meta(step.index, step.term);
    meta.size = body.size();
    meta.checksum = crc32c(0, body.data(), body.size());
    for (size_t at = 0; at < body.size(); at += 350) {
      const bool last = at + 350 >= body.size();
      auto written =
          dir.write_snapshot_chunk(meta, at, Bytes::copy(body.substr(at, 350)), last);
      if (!written || written->complete != last) return false;
    }
  } else {
    auto writer = dir.begin_snapshot(make_meta(step.index, step.term));
    if (!writer || !(*writer)->write(body.data(), body.size()).is_ok() || !(*writer)->publish())
      return false;
  }
  p->snapshots = {step.index};
  return true;
}

bool run_step(DataDir& dir, const CrashStep& step, CrashProgress* p) {
  switch (step.kind) {
    case CrashStep::write: {
      p->allowed = states_of(p->allowed.front(), step.batch);
      if (!dir.write(step.batch).is_ok()) return false;
      note_removed(p->allowed.front(), p->allowed.back(), p);
      for (const raft::Entry& e : step.batch.append) {
        auto gone = p->removed.find(e.index.value);
        if (gone == p->removed.end()) continue;
        std::erase(gone->second, e.term.value);
        if (gone->second.empty()) p->removed.erase(gone);
      }
      p->allowed = {p->allowed.back()};
      return true;
    }
    case CrashStep::compact:
      return dir.compact(Index(step.index)).is_ok();
    case CrashStep::publish:
    case CrashStep::receive:
      return publish(dir, step, p);
    case CrashStep::prepare:
      dir.prepare_ahead();
      return true;
    case CrashStep::reopen:
      return false;
  }
  return false;
}

// The entries that must be there when `covered` is the snapshot's index.
std::vector<raft::Entry> wanted(const CrashModel& m, const raft::BootImage& image) {
  const uint64_t covered = image.snapshot ? image.snapshot->index.value : 0;
  std::vector<raft::Entry> want;
  for (const raft::Entry& e : m.entries) {
    // A published snapshot in conflict with the log voids it before the reset is written (SN-02).
    if (e.index.value == covered && e.term != image.snapshot->term) return {};
    if (e.index.value > covered) want.push_back(e);
  }
  return want;
}

raft::HardState wanted_hard_state(const CrashModel& m, const raft::BootImage& image) {
  // The snapshot may have become durable before the term it came with (RC-01).
  if (image.snapshot && image.snapshot->term > m.hard_state.term)
    return {image.snapshot->term, NodeId()};
  return m.hard_state;
}

class Engine {
 public:
  Engine(std::string name, const std::vector<CrashStep>& steps, const CrashEffort& effort)
      : name_(std::move(name)), steps_(steps), effort_(effort) {}

  CrashCounts run() {
    for (uint64_t n = 0; n < kPointsMax && !failed(); ++n)
      if (!crash_after(n)) return counts_;
    if (!failed()) ADD_FAILURE() << name_ << ": the workload has no end";
    return counts_;
  }

 private:
  static bool failed() { return ::testing::Test::HasFailure(); }

  // False: the workload ended before its n-th change.
  bool crash_after(uint64_t n) {
    SimDisk disk;
    CrashProgress p;
    disk.power_off_after(n);
    run_workload(disk, steps_, &p);
    const bool cut = disk.powered_off();
    const size_t pending = disk.pending_count();
    ++counts_.points;
    counts_.pending_most = std::max<uint64_t>(counts_.pending_most, pending);
    const std::string where = name_ + ", off after change " + std::to_string(n);
    const uint64_t fates = pending <= effort_.four_fates_pending_max  ? 4
                           : pending <= effort_.two_fates_pending_max ? 2
                                                                      : 0;
    uint64_t combinations = fates == 0 ? effort_.samples : 1;
    for (size_t i = 0; fates != 0 && i < pending; ++i) combinations *= fates;
    if (fates != 0) ++counts_.exhaustive;
    for (uint64_t c = 0; c < combinations && !failed(); ++c) {
      auto crashed = disk.clone();
      if (fates != 0) {
        std::vector<Fate> chosen;
        for (uint64_t rest = c, i = 0; i < pending; ++i, rest /= fates)
          chosen.push_back(static_cast<Fate>(rest % fates));
        crashed->crash(chosen, c + 1);
      } else {
        crashed->crash(prng_, {c % 4 == 3 ? 0.3 : 0.8, c % 5 == 4});
      }
      const std::string at = where + ", combination " + std::to_string(c);
      if (c % effort_.nested_every == 0) check_nested(*crashed, p, at);
      if (!failed()) check(*crashed, p, at);
    }
    return cut;
  }

  // W5: the recovery itself is cut off after each of its changes.
  void check_nested(const SimDisk& crashed, const CrashProgress& p, const std::string& where) {
    for (uint64_t n = 0; !failed(); ++n) {
      auto disk = crashed.clone();
      disk->power_off_after(n);
      { auto dir = DataDir::open(*disk, kCrashPath, crash_options(), nullptr); }
      const bool cut = disk->powered_off();
      disk->crash(prng_);
      ++counts_.rule[5];
      check(*disk, p, where + ", recovery cut after " + std::to_string(n));
      if (!cut) return;
    }
  }

  void check(SimDisk& disk, const CrashProgress& p, const std::string& where) {
    ++counts_.crashes;
    auto initialised = DataDir::is_initialised(disk, kCrashPath);
    ASSERT_OK(initialised);
    if (!*initialised) {
      ASSERT_FALSE(p.created) << where;
      ASSERT_OK(DataDir::create(disk, kCrashPath, make_identity()));
    }
    std::vector<std::string> notes;
    auto dir = DataDir::open(disk, kCrashPath, crash_options(), &notes);
    ++counts_.rule[6];
    ASSERT_TRUE(dir.is_ok()) << "W6: " << where << ": " << status_of(dir);
    for (const std::string& note : notes) counts_.torn += note.find("was cut") != std::string::npos;
    const raft::BootImage image = (*dir)->take_boot_image();
    const std::string broken = broken_rule(image, p, &counts_);
    ASSERT_EQ(broken, "") << where << ": term " << image.hard_state.term.value << ", snapshot "
                          << (image.snapshot ? image.snapshot->index.value : 0) << ", entries "
                          << image.entries.size();
    if (image.snapshot) ASSERT_OK((*dir)->open_snapshot(image.snapshot->index));
    go_on(disk, *dir, image, where);
  }

  // W9: over a segment's end, and recovered again.
  void go_on(SimDisk& disk, std::unique_ptr<DataDir>& dir, const raft::BootImage& image,
             const std::string& where) {
    const uint64_t covered = image.snapshot ? image.snapshot->index.value : 0;
    uint64_t next = covered + image.entries.size() + 1;
    const uint64_t term = std::max<uint64_t>(99, image.hard_state.term.value);
    std::vector<raft::Entry> want = image.entries;
    for (int i = 0; i < 3; ++i, ++next) {
      WriteBatch more = append_batch(next, 1, term, 1500);
      want.push_back(more.append[0]);
      ASSERT_OK(dir->write(more));
    }
    if (counts_.crashes % 2 == 0) disk.crash({});  // everything unsynced is gone
    dir.reset();
    auto again = DataDir::open(disk, kCrashPath, crash_options(), nullptr);
    ASSERT_TRUE(again.is_ok()) << "W9: " << where << ", again: " << status_of(again);
    ASSERT_EQ((*again)->take_boot_image().entries, want) << "W9: " << where;
    ++counts_.rule[9];
  }

  const std::string name_;
  const std::vector<CrashStep>& steps_;
  const CrashEffort effort_;
  CrashCounts counts_;
  Prng prng_{20240611};
};

unsigned long long number(uint64_t n) { return n; }

}  // namespace

bool CrashEffort::is_long() {
  const char* wanted = std::getenv("RAFTCS_LONG");
  return wanted != nullptr && *wanted != '\0' && *wanted != '0';
}

CrashEffort CrashEffort::usual() {
  if (is_long()) return {6, 12, 2000, 64};
  return {};
}

Options crash_options() {
  Options o;
  o.segment_bytes = 8 * 512;
  return o;
}

void run_workload(SimDisk& disk, const std::vector<CrashStep>& steps, CrashProgress* progress) {
  if (!DataDir::create(disk, kCrashPath, make_identity()).is_ok()) return;
  progress->created = true;
  auto dir = DataDir::open(disk, kCrashPath, crash_options(), nullptr);
  for (const CrashStep& step : steps) {
    if (!dir) return;
    if (step.kind == CrashStep::reopen) {
      dir->reset();
      dir = DataDir::open(disk, kCrashPath, crash_options(), nullptr);
    } else if (!run_step(**dir, step, progress)) {
      return;
    }
  }
}

CrashCounts crash_everywhere(const std::string& name, const std::vector<CrashStep>& steps,
                             const CrashEffort& effort) {
  return Engine(name, steps, effort).run();
}

std::string broken_rule(const raft::BootImage& image, const CrashProgress& p,
                        CrashCounts* counts) {
  const uint64_t covered = image.snapshot ? image.snapshot->index.value : 0;
  if (std::find(p.snapshots.begin(), p.snapshots.end(), covered) == p.snapshots.end())
    return "W1: another snapshot than the one reported, at " + std::to_string(covered);
  for (size_t i = 0; i < image.entries.size(); ++i)
    if (image.entries[i].index.value != covered + 1 + i)
      return "W8: entry " + to_string(image.entries[i].index) + " does not follow";
  counts->rule[8] += image.snapshot && !image.entries.empty() ? 1 : 0;
  for (const raft::Entry& e : image.entries) {
    const auto gone = p.removed.find(e.index.value);
    if (gone == p.removed.end()) continue;
    ++counts->rule[3];
    if (std::count(gone->second.begin(), gone->second.end(), e.term.value) != 0)
      return "W3: entry " + to_string(e.index) + " of term " + to_string(e.term) + " is back";
  }
  // An index that was removed and is not there again counts too.
  for (const auto& [index, terms] : p.removed)
    counts->rule[3] += index > covered + image.entries.size() ? 1 : 0;

  bool hard_state_fits = false;
  for (size_t k = 0; k < p.allowed.size(); ++k) {
    if (image.hard_state != wanted_hard_state(p.allowed[k], image)) continue;
    hard_state_fits = true;
    if (covered < p.allowed[k].base.value || image.entries != wanted(p.allowed[k], image)) continue;
    ++counts->rule[4];
    counts->rule[1] += image.entries.size();
    counts->rule[2] += k != 0 ? 1 : 0;  // something of the write under way was kept
    return "";
  }
  if (!hard_state_fits)
    return "W4: term " + to_string(image.hard_state.term) + ", vote " +
           to_string(image.hard_state.vote) + " was not asked for, or is older than the reported";
  const std::vector<raft::Entry> reported = wanted(p.allowed.front(), image);
  const bool all_there =
      image.entries.size() >= reported.size() &&
      std::equal(reported.begin(), reported.end(), image.entries.begin());
  return all_there ? "W2: more than a prefix of what was being written"
                   : "W1: something that was reported durable is gone";
}

void CrashCounts::add(const CrashCounts& other) {
  points += other.points;
  exhaustive += other.exhaustive;
  pending_most = std::max(pending_most, other.pending_most);
  crashes += other.crashes;
  torn += other.torn;
  for (size_t i = 0; i < rule.size(); ++i) rule[i] += other.rule[i];
}

void CrashCounts::report(const std::string& name, uint64_t least) const {
  std::printf("%s: %llu crash points, %llu of them in all combinations, at most %llu pending; %llu "
              "crashes, %llu torn tails cut\n ",
              name.c_str(), number(points), number(exhaustive), number(pending_most),
              number(crashes), number(torn));
  for (size_t i = 1; i < rule.size(); ++i) {
    if (i == 7) continue;
    std::printf(" W%zu %llu", i, number(rule[i]));
    EXPECT_GE(rule[i], least) << name << " has not exercised W" << i;
  }
  std::printf("\n");
  EXPECT_GE(torn, least) << name;
}

CrashStep write_step(WriteBatch batch) { return {CrashStep::write, std::move(batch), 0, 0}; }

CrashStep append(uint64_t first, uint64_t count, uint64_t term, size_t bytes,
                 uint64_t truncate_from) {
  WriteBatch batch = append_batch(first, count, term, bytes);
  if (truncate_from != 0) batch.truncate_from = Index(truncate_from);
  return write_step(std::move(batch));
}

CrashStep vote(uint64_t term, uint64_t whom) {
  WriteBatch batch;
  batch.hard_state = raft::HardState{Term(term), NodeId(whom)};
  return write_step(std::move(batch));
}

}  // namespace raftcs::storage
