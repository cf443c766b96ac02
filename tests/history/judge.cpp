// judge.cpp: judging and telling. The report of a violation has the end of the longest order that
// was found, the operation that fits nowhere behind it, and what was under way beside it.
#include "history/judge.hpp"

#include <algorithm>

#include "history/checks.hpp"

namespace raftcs::history {

namespace {

constexpr size_t kShown = 12;
constexpr size_t kStateShown = 120;

std::string cut(const std::string& text) {
  return text.size() <= kStateShown ? text : "..." + text.substr(text.size() - kStateShown);
}

std::string times(const Operation& op) {
  return "[" + std::to_string(op.called_ns) + ", " +
         (op.returned_ns == kNever ? "?" : std::to_string(op.returned_ns)) + "] ";
}

std::string explain(const Part& part, const Search& found, const Model& model) {
  std::string out = "the longest order has " + std::to_string(found.longest.size()) + " of " +
                    std::to_string(part.operations.size()) + " operations; its end:\n";
  std::string state = model.initial();
  for (size_t i = 0; i < found.longest.size(); ++i) {
    const Operation& op = part.operations[found.longest[i]];
    state = model.step(state, op).value_or("?");
    if (i + kShown >= found.longest.size())
      out += "  " + times(op) + cut(summary_of(op)) + "   then: " + cut(state) + '\n';
  }
  const Operation& stuck = part.operations[found.stuck];
  out += "nothing that may come next leads past:\n  " + times(stuck) + cut(summary_of(stuck)) +
         "\nunder way beside it:\n";
  size_t shown = 0;
  for (size_t i = 0; i < part.operations.size() && shown < kShown; ++i) {
    const Operation& op = part.operations[i];
    if (i == found.stuck || op.outcome == Outcome::kFailed || op.called_ns > stuck.returned_ns ||
        std::count(found.longest.begin(), found.longest.end(), i) != 0)
      continue;
    out += "  " + times(op) + cut(summary_of(op)) + '\n';
    ++shown;
  }
  return out;
}

}  // namespace

std::vector<Part> parts_of(const History& history) {
  std::map<std::string, Part> parts;
  for (const Operation& op : history.operations) parts[op.object].operations.push_back(op);
  for (const Notice& notice : history.notices) parts[notice.object].notices.push_back(notice);
  std::vector<Part> out;
  for (auto& [object, part] : parts) {
    part.object = object;
    out.push_back(std::move(part));
  }
  return out;
}

void judge(Part* part, const Budget& budget) {
  if (const std::unique_ptr<Model> model = make_model(part->object)) {
    model->learn(part->operations);
    const Search found = search(part->operations, *model, budget);
    part->verdict = found.verdict;
    part->steps = found.steps;
    if (found.verdict == Verdict::kViolation)
      part->report = "not linearizable\n" + explain(*part, found, *model);
    if (found.verdict == Verdict::kUndecided)
      part->report = "undecided after " + std::to_string(found.steps) + " steps and " +
                     std::to_string(found.states) + " states\n";
  }
  for (const std::string& sentence : check_object(part->object, part->operations, part->notices)) {
    part->verdict = Verdict::kViolation;
    part->report += cut(sentence) + '\n';
  }
}

std::string text_of(const Part& part) {
  // One line may only follow what its process did before, so lines are sorted by time; equal times
  // keep their order.
  std::vector<std::pair<int64_t, std::string>> lines;
  for (const Operation& op : part.operations)
    for (const std::string& line : split(text_of(op), '\n'))
      if (!line.empty()) lines.emplace_back(std::stoll(line), line);
  for (const Notice& notice : part.notices) lines.emplace_back(notice.at_ns, text_of(notice));
  std::stable_sort(lines.begin(), lines.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  std::string out = "# " + part.object + '\n';
  for (const auto& [at_ns, line] : lines) out += line + (line.back() == '\n' ? "" : "\n");
  return out;
}

}  // namespace raftcs::history
