// linearizability.hpp: is there an order of the operations of one object, each between its call
// and its return, in which the model gives the results that were given?
//
// The search is Wing and Gong's with the improvements of Lowe and of Horn and Kroening: calls and
// returns are a doubly linked list; an operation that the model accepts is lifted out; pairs
// (operations lifted, state) that were tried are kept and compared exactly; objects are searched
// one by one. What differs here:
//
//   - operations of unknown outcome may happen at any time after their call, or never. They are
//     tried only where nothing else fits, as most of them explain nothing;
//   - an operation that changes no state whatever is put in its place as soon as it fits: no order
//     in which it comes later is better;
//   - a set of operations is kept as "all before n" and a few words, so that long histories are
//     cheap.
//
// What must hold: a search that ran out of its budget says so, and has proved nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "history/history.hpp"
#include "history/models.hpp"

namespace raftcs::history {

struct Budget {
  int64_t time_ms = 10'000;
  size_t bytes = size_t{1} << 30;
};

enum class Verdict { kLinearizable, kViolation, kUndecided };

struct Search {
  Verdict verdict = Verdict::kUndecided;
  std::vector<size_t> longest;  // operations in the longest order that was found
  size_t stuck = 0;             // the operation that fits nowhere behind it; with kViolation
  uint64_t steps = 0;
  size_t states = 0;  // kept
};

// `operations` are those of one object, in any order; the model has learned them (or nothing).
Search search(const std::vector<Operation>& operations, const Model& model, const Budget& budget);

// All orders of at most nine operations: what the search is compared with.
bool linearizable_by_force(const std::vector<Operation>& operations, const Model& model);

}  // namespace raftcs::history
