// judge.hpp: a whole history, object by object: the search, then the rules of its kind.
#pragma once

#include <string>
#include <vector>

#include "history/history.hpp"
#include "history/linearizability.hpp"

namespace raftcs::history {

struct Part {
  std::string object;
  std::vector<Operation> operations;
  std::vector<Notice> notices;
  Verdict verdict = Verdict::kLinearizable;  // kViolation also for a broken rule
  uint64_t steps = 0;
  std::string report;  // for people, of what is wrong or undecided
};

std::vector<Part> parts_of(const History& history);
void judge(Part* part, const Budget& budget);
std::string text_of(const Part& part);  // its own history, to be judged again

}  // namespace raftcs::history
