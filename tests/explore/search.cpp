// search.cpp: see search.hpp.
#include "tests/explore/search.hpp"

#include <algorithm>

#include "tests/explore/flat_table.hpp"

namespace raftcs::explore {
namespace {

struct Origin {
  uint32_t parent = 0;
  Action action;
};

struct Open {
  State state;
  uint32_t id = 0;
};

std::string trace_of(Model* model, const State& first, const std::vector<Origin>& origins,
                     uint32_t last_parent, const Action& last) {
  std::vector<Action> actions = {last};
  for (uint32_t at = last_parent; at != 0; at = origins[at].parent)
    actions.push_back(origins[at].action);
  std::reverse(actions.begin(), actions.end());
  State s = first;
  std::string out = std::string("plan ") + model->plan().name + "\n";
  for (const Action& action : actions) {
    const std::string line = model->describe_action(s, action);
    model->act(line, &s);
    out += line + "\n";
  }
  return out;
}

}  // namespace

Report search(Model* model, const Limits& limits) {
  Report report;
  const State first = model->first();
  FlatSet visited(limits.states + 1);
  visited.insert(first.hash());
  std::vector<Origin> origins(1);
  std::vector<Open> open = {{first, 0}}, next_open;
  std::vector<Next> found;
  report.states = 1;
  bool full = false;
  while (!open.empty() && !full && report.depth < limits.depth && model->error().empty()) {
    next_open.clear();
    for (const Open& from : open) {
      found.clear();
      model->expand(from.state, &found);
      report.transitions += found.size();
      if (!model->error().empty()) {
        report.error = model->error();
        const Action last = found.empty() ? Action{} : found.back().action;
        report.trace = trace_of(model, first, origins, from.id, last);
        return report;
      }
      for (const Next& n : found) {
        if (!visited.insert(n.state.hash())) continue;
        origins.push_back({from.id, n.action});
        next_open.push_back({n.state, static_cast<uint32_t>(origins.size() - 1)});
        ++report.states;
      }
      full = report.states >= limits.states;
      if (full) break;
    }
    if (!full) ++report.depth;
    std::swap(open, next_open);
  }
  report.error = model->error();
  report.complete = open.empty();
  return report;
}

}  // namespace raftcs::explore
