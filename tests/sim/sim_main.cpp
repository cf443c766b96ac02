// sim_main.cpp: runs seeds, sums up what they exercised, and replays one.
//
//   raftcs-sim --seeds N [--from S]     runs seeds S .. S+N-1, every 50th twice
//   raftcs-sim --list FILE              runs the seeds of a file
//   raftcs-sim --seed S [--verbose]     replays one
//
// Exits 1 on the first failure, with the command that replays it, and also when a campaign
// exercised too little: a test that cannot fail proves nothing.
#include <chrono>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>

#include "sim/sim_cluster.hpp"

using namespace raftcs::sim;

namespace {

// What a campaign of 500 seeds or more must have met.
constexpr const char* kSometimes[] = {
    "a change of members was done",
    "a client died silently",
    "a client process died and resumed",
    "a disk was slow",
    "a disk was wiped",
    "a foreign frame came",
    "a frame was corrupted",
    "a held frame was released",
    "a joint configuration was in force",
    "a log was truncated",
    "a node that joined led",
    "a session was closed",
    "a stale queue was flushed",
    "a write failed",
    "all nodes lost power",
    "an entry was replaced",
    "an operation was cancelled",
    "durability was checked",
    "no space for a write",
    "partition: a bridge",
    "partition: a ring",
    "partition: cut off",
    "partition: one way",
    "partition: two halves",
    "storage stopped in a snapshot",
};

struct Sum {
  Report total;
  uint64_t seeds = 0;
  void add(const Report& r) {
    ++seeds;
    total.events += r.events;
    total.ops_applied += r.ops_applied;
    total.ops_unknown += r.ops_unknown;
    total.ops_not_applied += r.ops_not_applied;
    total.queries += r.queries;
    total.pushes += r.pushes;
    total.leaders += r.leaders;
    total.crashes += r.crashes;
    total.torn += r.torn;
    total.partitions += r.partitions;
    total.pauses += r.pauses;
    total.transfers += r.transfers;
    total.snapshots_installed += r.snapshots_installed;
    total.resent += r.resent;
    for (const auto& [event, times] : r.hits) total.hits[event] += times;
    total.reconnects += r.reconnects;
  }
  void print() const {
    std::printf("%" PRIu64 " seeds: %" PRIu64 " events, %" PRIu64 " commands applied, %" PRIu64
                " unknown, %" PRIu64 " refused, %" PRIu64 " queries, %" PRIu64 " pushes\n",
                seeds, total.events, total.ops_applied, total.ops_unknown, total.ops_not_applied,
                total.queries, total.pushes);
    std::printf("  %" PRIu64 " leaders, %" PRIu64 " crashes (%" PRIu64 " in a write), %" PRIu64
                " partitions, %" PRIu64 " pauses, %" PRIu64 " transfers, %" PRIu64
                " snapshots restored, %" PRIu64 " resent, %" PRIu64 " connections\n",
                total.leaders, total.crashes, total.torn, total.partitions, total.pauses,
                total.transfers, total.snapshots_installed, total.resent, total.reconnects);
  }
  bool enough() const {
    if (seeds < 50) return true;  // a replay or a look, no campaign
    for (const auto& [event, times] : total.hits)
      std::printf("  %" PRIu64 " x %s\n", times, event.c_str());
    bool all = true;
    for (const char* event : kSometimes)
      if (seeds >= 500 && !total.hits.contains(event)) {
        std::printf("never happened: %s\n", event);
        all = false;
      }
    if (!all) return false;
    return total.ops_applied > seeds * 50 && total.leaders > seeds && total.crashes > seeds / 4 &&
           total.torn > seeds / 20 && total.partitions > seeds / 4 &&
           total.snapshots_installed > seeds / 10 && total.resent > 0 &&
           total.queries > seeds * 10 && total.pushes > seeds;
  }
};

uint64_t number(const char* text) { return std::strtoull(text, nullptr, 10); }

// Lines of a seed and the reason why it is there; # begins a comment.
std::vector<uint64_t> seeds_of(const char* path) {
  std::vector<uint64_t> seeds;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);)
    if (!line.empty() && line[0] != '#') seeds.push_back(number(line.c_str()));
  return seeds;
}

}  // namespace

int main(int argc, char** argv) {
  uint64_t from = 1, count = 1;
  double seconds = 0;
  const char* list = nullptr;
  bool verbose = false;
  for (int i = 1; i < argc; ++i) {
    bool more = i + 1 < argc;
    if (std::strcmp(argv[i], "--seed") == 0 && more)
      from = number(argv[++i]), count = 1;
    else if (std::strcmp(argv[i], "--from") == 0 && more)
      from = number(argv[++i]);
    else if (std::strcmp(argv[i], "--seeds") == 0 && more)
      count = number(argv[++i]);
    else if (std::strcmp(argv[i], "--seconds") == 0 && more)
      seconds = std::strtod(argv[++i], nullptr);
    else if (std::strcmp(argv[i], "--list") == 0 && more)
      list = argv[++i];
    else if (std::strcmp(argv[i], "--verbose") == 0)
      verbose = true;
    else {
      std::fprintf(stderr,
                   "usage: raftcs-sim [--seed S | --from S --seeds N | --list FILE] [--seconds "
                   "MAX] [--verbose]\n");
      return 2;
    }
  }
  Sum sum;
  auto begin = std::chrono::steady_clock::now();
  std::vector<uint64_t> seeds = list != nullptr ? seeds_of(list) : std::vector<uint64_t>();
  if (list != nullptr && seeds.empty()) {
    std::fprintf(stderr, "no seeds in %s\n", list);
    return 2;
  }
  for (uint64_t seed = from; list == nullptr && seed < from + count; ++seed) seeds.push_back(seed);
  for (uint64_t seed : seeds) {
    Profile profile = profile_of(seed);
    if (verbose) std::fprintf(stderr, "%s\n", profile.describe().c_str());
    Report report = run_seed(profile, verbose);
    if (report.ok && seed % 50 == 0) {
      Report again = run_seed(profile, false);
      if (again.trace_hash != report.trace_hash) {
        report.ok = false;
        report.failure = "two runs of the same seed differ";
      }
    }
    sum.add(report);
    if (!report.ok) {
      std::printf("FAILED %s\n  %s\n  replay: raftcs-sim --seed %" PRIu64 " --verbose\n",
                  profile.describe().c_str(), report.failure.c_str(), seed);
      return 1;
    }
    std::chrono::duration<double> spent = std::chrono::steady_clock::now() - begin;
    if (seconds > 0 && spent.count() > seconds) break;
  }
  sum.print();
  if (!sum.enough()) {
    std::printf("FAILED: the campaign exercised too little\n");
    return 1;
  }
  return 0;
}
