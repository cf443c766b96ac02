// models.hpp: what a register, a counter, a list, a set and a bank would answer if operations came
// one by one. A state is a string, so that the search can keep and compare states of any model.
//
// What must hold: step() is a function of its arguments. With an unknown outcome an operation does
// what it would do at the state.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "history/history.hpp"

namespace raftcs::history {

class Model {
 public:
  virtual ~Model() = default;
  virtual std::string initial() const = 0;

  // The state behind the operation, or nothing if it cannot have had its result at this state.
  virtual std::optional<std::string> step(const std::string& state, const Operation& op) const = 0;

  // Can a good order have this state, while there are reads to come or not? Lists and sets only
  // grow, so as long as somebody reads they are a part of the longest read. Without this the search
  // would try all orders of what no read tells apart. learn() sees the whole history first.
  virtual void learn(const std::vector<Operation>&) {}
  virtual bool possible(const std::string&, bool /*reads_to_come*/) const { return true; }

  // With the result that it had, the operation changes no state whatever.
  static bool changes_nothing(const Operation& op) {
    return op.kind == "read" || (op.result.size() == 1 && op.result[0] == "false");
  }
};

// The model that an object's name asks for; null for watch, which has a check of its own.
std::unique_ptr<Model> make_model(const std::string& object);

// Are kind, arguments and result those that history.hpp lists?
Status check_form(const Operation& op);

// Balances as a map, and back in the order of the names; false if the text is no such list.
bool read_balances(const std::string& text, std::map<std::string, int64_t>* out);

}  // namespace raftcs::history
