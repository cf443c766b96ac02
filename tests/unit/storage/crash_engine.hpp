// crash_engine.hpp: every crash of a workload, against the rules W1 to W9.
//
// A workload runs on a simulated disk whose machine goes off after the n-th call that changes
// something, for every n. What was pending then (sectors, sizes, directory operations) is kept,
// lost, half written or garbage: in all combinations when there are few, else in many samples, the
// same every time. Each of these disks must open, and must hold
//   W1 every entry that was reported durable and not removed since, and the reported snapshot;
//   W2 behind it a prefix of what was being written, and nothing else;
//   W3 nothing that a reported truncation or reset removed;
//   W4 a hard state that was asked for and is not older than the last reported one;
//   W5 the same after a crash of the recovery itself;
//   W6 no complaint of damage;
//   W8 no gap between snapshot and first entry;
//   W9 a log that can be written, rolled and recovered once more.
// W7, a flipped byte, is in fault_test.cpp and crash_generated_test.cpp. Each rule counts what it
// really looked at, so that a workload which never got there does not pass for one that did.
#pragma once

#include <array>
#include <map>
#include <string>
#include <vector>

#include "storage_fixture.hpp"
#include "tests/support/sim_disk.hpp"

namespace raftcs::storage {

// What a directory may hold: hard state, entries behind some base.
struct CrashModel {
  raft::HardState hard_state;
  Index base;
  std::vector<raft::Entry> entries;

  Index last() const { return base + entries.size(); }
};

struct CrashStep {
  enum Kind { write, compact, publish, receive, prepare, reopen } kind = write;
  WriteBatch batch;
  uint64_t index = 0, term = 0;  // of a snapshot, or where to compact
};

// What was reported so far, and what was under way when the machine went off.
struct CrashProgress {
  std::vector<CrashModel> allowed{CrashModel()};  // [0] was reported; the others are under way
  std::vector<uint64_t> snapshots{0};             // that may be the latest
  std::map<uint64_t, std::vector<uint64_t>> removed;  // index: terms that were removed, reported
  bool created = false;
};

// Four fates for each pending thing while that gives few combinations, then kept or lost, then
// samples.
struct CrashEffort {
  size_t four_fates_pending_max = 4;
  size_t two_fates_pending_max = 6;
  uint64_t samples = 40;
  uint64_t nested_every = 16;  // recoveries that are crashed in turn (W5)
  // More of everything: all subsets of twelve pending things, 2000 samples.
  static CrashEffort usual();  // RAFTCS_LONG=1 in the environment: the long form
  static bool is_long();
};

struct CrashCounts {
  uint64_t points = 0, exhaustive = 0, pending_most = 0, crashes = 0, torn = 0;
  std::array<uint64_t, 10> rule{};  // [1] to [9]: what was looked at for W1 to W9

  void add(const CrashCounts& other);
  // One line; each of the rules but W7 must have been exercised `least` times at least.
  void report(const std::string& name, uint64_t least) const;
};

Options crash_options();
constexpr char kCrashPath[] = "/disk/node";

// Runs the workload until the disk goes off or all is done.
void run_workload(sim::SimDisk& disk, const std::vector<CrashStep>& steps, CrashProgress* progress);
// Crashes it everywhere. A broken rule fails the test that calls, with the place.
CrashCounts crash_everywhere(const std::string& name, const std::vector<CrashStep>& steps,
                             const CrashEffort& effort = CrashEffort::usual());

// The rule that an image breaks, as "W1: ..."; "" for none.
std::string broken_rule(const raft::BootImage& image, const CrashProgress& progress,
                        CrashCounts* counts);

// --- steps ---
CrashStep write_step(WriteBatch batch);
CrashStep append(uint64_t first, uint64_t count, uint64_t term, size_t bytes,
                 uint64_t truncate_from = 0);
CrashStep vote(uint64_t term, uint64_t whom);

}  // namespace raftcs::storage
