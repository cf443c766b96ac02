// explore_main.cpp: raftcs-explore, exhaustive exploration of the real consensus core.
//
//   raftcs-explore [--plan LETTERS] [--deep] [--states N] [--depth N]
//   raftcs-explore --replay FILE
//
// Prints what was explored; exit code 1 for a broken invariant (with a trace that --replay
// takes) or when too little was explored, 2 for a wrong use.
#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fstream>
#include <string>
#include <vector>

#include "tests/explore/search.hpp"

namespace {

using namespace raftcs::explore;  // NOLINT

struct Arguments {
  std::string plans = plan_names();
  std::string replay;
  bool deep = false;
  Limits limits{1000, 0};
};

// States of the run that ctest makes, and of the deep one.
uint64_t states_of(bool deep) { return deep ? 30'000'000 : 3'000'000; }

// What a plan must have seen, or it did not explore what it is for.
std::string too_little(const Model& model, const Report& report) {
  const Marks& m = model.marks();
  const Plan& plan = model.plan();
  if (!report.complete && report.states < 100'000) return "fewer than 100,000 states";
  for (unsigned k = 0; k < kKinds; ++k) {
    if (plan.bounds.times[k] > 0 && m.kinds[k] == 0)
      return "an input that the plan allows never happened: " + std::to_string(k);
  }
  if (m.leaders == 0) return "nobody became leader";
  if (plan.name != 'A' && m.commits == 0) return "nothing was committed";
  if (plan.name == 'B' && m.truncations == 0) return "no log was cut";
  if (plan.name == 'C' && m.installs == 0) return "no snapshot was installed";
  if (plan.name == 'D' && m.configurations == 0) return "no configuration was committed";
  if (plan.name == 'D' && m.learners == 0) return "no configuration with a learner was committed";
  if (plan.name == 'E' && m.reads == 0) return "no read was answered";
  if (plan.name == 'H' && m.handed == 0) return "no leadership was handed over";
  if (model.twins_compared() < 100) return "hardly any processes of equal hash were compared";
  return "";
}

bool explore(char name, const Arguments& arguments) {
  Model model(plan_of(name));
  Limits limits = arguments.limits;
  if (limits.states == 0) limits.states = states_of(arguments.deep);
  const std::clock_t begin = std::clock();
  const Report r = search(&model, limits);
  const double seconds = static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
  const Marks& m = model.marks();
  std::printf("plan %c: %s\n", name, model.plan().what);
  std::printf("  %" PRIu64 " states, %" PRIu64 " transitions, depth %u%s, %.1f s of CPU, %.0f/s\n",
              r.states, r.transitions, r.depth, r.complete ? " (all there is)" : "", seconds,
              static_cast<double>(r.states) / seconds);
  std::printf("  %zu values of a process, %zu messages, %zu steps of the core, %" PRIu64
              " checks, %" PRIu64 " equal hashes compared\n",
              model.processes(), model.messages(), model.steps(), model.checks(),
              model.twins_compared());
  std::printf("  leaders %" PRIu64 ", commits %" PRIu64 ", cut logs %" PRIu64 ", installs %" PRIu64
              ", reads %" PRIu64 ", configurations %" PRIu64 " (%" PRIu64
              " with a learner), handed over %" PRIu64 ", too many messages %" PRIu64 "\n",
              m.leaders, m.commits, m.truncations, m.installs, m.reads, m.configurations,
              m.learners, m.handed, m.cut);
  if (!r.error.empty()) {
    std::printf("VIOLATED %s\nafter:\n%s", r.error.c_str(), r.trace.c_str());
    return false;
  }
  const std::string missing = arguments.limits.states == 0 ? too_little(model, r) : "";
  if (!missing.empty()) std::printf("TOO LITTLE: %s\n", missing.c_str());
  std::fflush(stdout);
  return missing.empty();
}

bool replay(const std::string& path) {
  std::ifstream in(path);
  std::string line;
  if (!in || !std::getline(in, line) || line.rfind("plan ", 0) != 0 || line.size() < 6) {
    std::fprintf(stderr, "raftcs-explore: %s does not begin with \"plan LETTER\"\n", path.c_str());
    return false;
  }
  Model model(plan_of(line[5]));
  State state = model.first();
  while (std::getline(in, line) && model.error().empty()) {
    std::printf("%s\n", line.c_str());
    if (!model.act(line, &state) && model.error().empty()) {
      std::printf("not possible here\n%s", model.describe_state(state).c_str());
      return false;
    }
    std::printf("%s", model.describe_state(state).c_str());
  }
  if (!model.error().empty()) std::printf("VIOLATED %s\n", model.error().c_str());
  return model.error().empty();
}

bool parse(int argc, char** argv, Arguments* out) {
  for (int i = 1; i < argc; ++i) {
    const bool more = i + 1 < argc;
    if (std::strcmp(argv[i], "--deep") == 0) {
      out->deep = true;
    } else if (std::strcmp(argv[i], "--plan") == 0 && more) {
      out->plans = argv[++i];
      if (out->plans.find_first_not_of(plan_names()) != std::string::npos) return false;
    } else if (std::strcmp(argv[i], "--states") == 0 && more) {
      out->limits.states = std::strtoull(argv[++i], nullptr, 10);
    } else if (std::strcmp(argv[i], "--depth") == 0 && more) {
      out->limits.depth = static_cast<unsigned>(std::strtoul(argv[++i], nullptr, 10));
    } else if (std::strcmp(argv[i], "--replay") == 0 && more) {
      out->replay = argv[++i];
    } else {
      return false;
    }
  }
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  Arguments arguments;
  if (!parse(argc, argv, &arguments)) {
    std::fprintf(stderr,
                 "usage: raftcs-explore [--plan ABCDEFGH] [--deep] [--states N] [--depth N]\n"
                 "       raftcs-explore --replay FILE\n");
    return 2;
  }
  if (!arguments.replay.empty()) return replay(arguments.replay) ? 0 : 1;
  bool good = true;
  for (char plan : arguments.plans) good = explore(plan, arguments) && good;
  return good ? 0 : 1;
}
