// search.hpp: breadth-first search over a model, and what it found.
//
// Visited states are 64-bit hashes in a flat table. The search ends at a depth or at a number of
// states, never by time, so that it is the same everywhere. Breadth first: a trace to a broken
// invariant is a shortest one.
#pragma once

#include <string>
#include <vector>

#include "tests/explore/model.hpp"

namespace raftcs::explore {

struct Limits {
  unsigned depth = 100;
  uint64_t states = 1'000'000;
};

struct Report {
  uint64_t states = 0, transitions = 0;
  unsigned depth = 0;     // all states up to here were expanded
  bool complete = false;  // nothing was left to explore within the bounds
  std::string error;      // the broken invariant; "" for none
  std::string trace;      // a scenario that replays it
};

Report search(Model* model, const Limits& limits);

}  // namespace raftcs::explore
