// sim_main.cpp: runs seeds, sums up what they exercised, and replays one.
//
//   raftcs-sim --seeds N [--from S]     runs seeds S .. S+N-1, every 50th twice
//   raftcs-sim --list FILE              runs the seeds of a file
//   raftcs-sim --seed S [--verbose]     replays one
//   ... --set FIELD=VALUE               with another profile than the seed's
//   raftcs-sim --seed S --shrink        looks for less that fails with the same sentence
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
#include "sim/sim_shrink.hpp"

using namespace raftcs::sim;

namespace {

// What a campaign of 500 seeds or more must have met. Not asked for: "a session was asked for
// twice". A leader answers a repeated create from its table, so two of a proof are in the log only
// when leadership changed between them; Sessions.SE08_SameProofGivesTheSameSession has that.
constexpr const char* kSometimes[] = {
    "a calm was watched",
    "a client died silently",
    "a client process died and resumed",
    "a client paused",
    "a command was evicted",
    "a disk was slow",
    "a disk was wiped",
    "a rotten disk was healed",
    "a foreign frame came",
    "a frame was corrupted",
    "a duplicate got its reply",
    "a held frame was released",
    "a leader's view was checked",
    "a new holder took a session",
    "a log was truncated",
    "a session expired",
    "a session expired and was renewed",
    "a session was closed",
    "a session was resumed twice",
    "a session was taken over",
    "a stale queue was flushed",
    "a write failed",
    "a wrong proof was tried",
    "all nodes lost power",
    "an entry was replaced",
    "an id came with another payload",
    "an operation was cancelled",
    "durability was checked",
    "evicted was answered",
    "misuse was answered",
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

struct Arguments {
  uint64_t from = 1, count = 1;
  double seconds = 0;
  const char* list = nullptr;
  bool verbose = false, shrink = false, self_test = false;
  std::vector<std::pair<std::string, std::string>> sets;

  bool read(int argc, char** argv);
};

bool Arguments::read(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    auto is = [&](const char* name) { return std::strcmp(argv[i], name) == 0; };
    bool more = i + 1 < argc;
    if (is("--seed") && more)
      from = number(argv[++i]), count = 1;
    else if (is("--from") && more)
      from = number(argv[++i]);
    else if (is("--seeds") && more)
      count = number(argv[++i]);
    else if (is("--seconds") && more)
      seconds = std::strtod(argv[++i], nullptr);
    else if (is("--list") && more)
      list = argv[++i];
    else if (is("--verbose"))
      verbose = true;
    else if (is("--shrink"))
      shrink = true;
    else if (is("--shrink-self-test"))
      self_test = true;
    else if (is("--set") && more && std::strchr(argv[i + 1], '=') != nullptr) {
      std::string set = argv[++i];
      sets.emplace_back(set.substr(0, set.find('=')), set.substr(set.find('=') + 1));
    } else {
      return false;
    }
  }
  Profile any;
  for (const auto& [name, value] : sets)
    if (!set_field(&any, name, value)) {
      std::fprintf(stderr, "no field %s, or not a number: %s; fields:\n", name.c_str(),
                   value.c_str());
      for (const auto& [field, v] : fields_of(any)) std::fprintf(stderr, "  %s\n", field.c_str());
      return false;
    }
  return true;
}

// A run that fails whenever crashes and two nodes are there: all else must go.
int shrink_self_test() {
  Profile p = profile_of(7);
  p.crashes = p.partitions = p.pauses = true;
  p.nodes = 5;
  auto run = [](const Profile& q) {
    Report r;
    r.ok = !(q.crashes && q.nodes >= 2);
    if (!r.ok) r.failure = "node " + std::to_string(q.nodes) + " fell";
    return r;
  };
  Shrunk s = shrink(p, run);
  bool good = s.profile.crashes && !s.profile.partitions && !s.profile.pauses &&
              s.profile.nodes == 2 && s.profile.ops == 1;
  std::printf("%s after %" PRIu64 " runs\n  %s\n", good ? "shrunk" : "FAILED", s.runs,
              command_of(s.profile).c_str());
  return good ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  Arguments a;
  if (!a.read(argc, argv)) {
    std::fprintf(stderr,
                 "usage: raftcs-sim [--seed S | --from S --seeds N | --list FILE] [--seconds "
                 "MAX] [--set FIELD=VALUE]... [--shrink] [--verbose]\n");
    return 2;
  }
  if (a.self_test) return shrink_self_test();
  Sum sum;
  auto begin = std::chrono::steady_clock::now();
  std::vector<uint64_t> seeds = a.list != nullptr ? seeds_of(a.list) : std::vector<uint64_t>();
  if (a.list != nullptr && seeds.empty()) {
    std::fprintf(stderr, "no seeds in %s\n", a.list);
    return 2;
  }
  for (uint64_t seed = a.from; a.list == nullptr && seed < a.from + a.count; ++seed)
    seeds.push_back(seed);
  for (uint64_t seed : seeds) {
    Profile profile = profile_of(seed);
    for (const auto& [name, value] : a.sets) set_field(&profile, name, value);
    if (a.verbose) std::fprintf(stderr, "%s\n", profile.describe().c_str());
    Report report = run_seed(profile, a.verbose);
    if (report.ok && seed % 50 == 0) {
      Report again = run_seed(profile, false);
      if (again.trace_hash != report.trace_hash) {
        report.ok = false;
        report.failure = "two runs of the same seed differ";
      }
    }
    sum.add(report);
    if (!report.ok) {
      std::printf("FAILED %s\n  %s\n  replay: %s --verbose\n", profile.describe().c_str(),
                  report.failure.c_str(), command_of(profile).c_str());
      if (a.shrink) {
        Shrunk s = shrink(profile, [](const Profile& p) { return run_seed(p, false); });
        std::printf("  after %" PRIu64 " runs: %s\n  %s --verbose\n", s.runs, s.failure.c_str(),
                    command_of(s.profile).c_str());
      }
      return 1;
    }
    std::chrono::duration<double> spent = std::chrono::steady_clock::now() - begin;
    if (a.seconds > 0 && spent.count() > a.seconds) break;
  }
  sum.print();
  if (!sum.enough()) {
    std::printf("FAILED: the campaign exercised too little\n");
    return 1;
  }
  return 0;
}
