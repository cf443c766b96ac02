// models.cpp: the five models, and the table of what each takes.
#include "history/models.hpp"

#include <algorithm>

namespace raftcs::history {

namespace {

using Balances = std::map<std::string, int64_t>;
using Next = std::optional<std::string>;

bool known(const Operation& op) { return op.outcome == Outcome::kOk; }

class Register : public Model {
 public:
  std::string initial() const override { return "-"; }
  Next step(const std::string& state, const Operation& op) const override {
    if (op.kind == "write") return op.arguments[0];
    if (op.kind == "read") return !known(op) || op.result[0] == state ? Next(state) : Next();
    const bool swaps = state == op.arguments[0];
    if (known(op) && swaps != (op.result[0] == "true")) return {};
    return swaps ? op.arguments[1] : state;
  }
};

class Counter : public Model {
 public:
  std::string initial() const override { return "0"; }
  Next step(const std::string& state, const Operation& op) const override {
    int64_t sum = 0;
    int64_t more = 0;
    read_number(state, &sum);
    if (op.kind == "add") read_number(op.arguments[0], &more);
    std::string next = std::to_string(sum + more);
    return !known(op) || op.result[0] == next ? Next(std::move(next)) : Next();
  }
};

// What lists and sets share: the longest read that was given; empty before learn().
class Growing : public Model {
 public:
  std::string initial() const override { return "-"; }
  void learn(const std::vector<Operation>& operations) override {
    longest_ = "-";
    for (const Operation& op : operations)
      if (op.kind == "read" && known(op) && longer(op.result[0], longest_)) longest_ = op.result[0];
  }

 protected:
  const std::string& longest() const { return longest_; }

 private:
  static bool longer(const std::string& a, const std::string& b) {
    return a != "-" &&
           (b == "-" || std::count(a.begin(), a.end(), ',') > std::count(b.begin(), b.end(), ','));
  }

  std::string longest_;
};

class Append : public Growing {
 public:
  Next step(const std::string& state, const Operation& op) const override {
    if (op.kind == "read") return !known(op) || op.result[0] == state ? Next(state) : Next();
    return state == "-" ? op.arguments[0] : state + ',' + op.arguments[0];
  }
  bool possible(const std::string& state, bool reads_to_come) const override {
    return !reads_to_come || longest().empty() || begins(longest(), state);
  }

 private:
  static bool begins(const std::string& list, const std::string& part) {
    if (part == "-") return true;
    return list.compare(0, part.size(), part) == 0 &&
           (list.size() == part.size() || list[part.size()] == ',');
  }
};

// Elements in order, so that equal sets are equal states.
std::string sorted(const std::string& list) {
  Words words = split(list, ',');
  std::sort(words.begin(), words.end());
  words.erase(std::unique(words.begin(), words.end()), words.end());
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : ",") + word;
  return out;
}

class Set : public Growing {
 public:
  Next step(const std::string& state, const Operation& op) const override {
    if (op.kind == "add")
      return state == "-" ? op.arguments[0] : sorted(state + ',' + op.arguments[0]);
    return !known(op) || sorted(op.result[0]) == state ? Next(state) : Next();
  }
  bool possible(const std::string& state, bool reads_to_come) const override {
    return !reads_to_come || longest().empty() || within(state, sorted(longest()));
  }

 private:
  static bool within(const std::string& part, const std::string& set) {
    if (part == "-" || set == "-") return part == "-";
    const Words a = split(part, ',');
    const Words b = split(set, ',');
    return std::includes(b.begin(), b.end(), a.begin(), a.end());
  }
};

std::string text_of_balances(const Balances& balances) {
  std::string out;
  for (const auto& [name, sum] : balances)
    out += (out.empty() ? "" : ",") + name + '=' + std::to_string(sum);
  return out;
}

class Bank : public Model {
 public:
  std::string initial() const override { return "-"; }
  Next step(const std::string& state, const Operation& op) const override {
    Balances balances;
    if (op.kind == "open") {
      read_balances(op.arguments[0], &balances);
      return state == "-" || state == text_of_balances(balances) ? text_of_balances(balances)
                                                                 : state;
    }
    if (op.kind == "read") {
      if (!known(op)) return state;
      read_balances(op.result[0], &balances);
      return (balances.empty() ? "-" : text_of_balances(balances)) == state ? Next(state) : Next();
    }
    read_balances(state, &balances);
    const auto from = balances.find(op.arguments[0]);
    const auto to = balances.find(op.arguments[1]);
    int64_t sum = 0;
    read_number(op.arguments[2], &sum);
    const bool moves = from != balances.end() && to != balances.end() && from->second >= sum;
    if (known(op) && moves != (op.result[0] == "true")) return {};
    if (!moves) return state;
    from->second -= sum;
    to->second += sum;
    return text_of_balances(balances);
  }
};

enum class Form { kNothing, kAny, kNumber, kBool, kBalances };

struct Row {
  const char* model;
  const char* kind;
  std::vector<Form> arguments;
  Form result;
};

const std::vector<Row>& table() {
  static const std::vector<Row> rows = {
      {"register", "write", {Form::kAny}, Form::kNothing},
      {"register", "read", {}, Form::kAny},
      {"register", "cas", {Form::kAny, Form::kAny}, Form::kBool},
      {"counter", "add", {Form::kNumber}, Form::kNumber},
      {"counter", "read", {}, Form::kNumber},
      {"append", "append", {Form::kAny}, Form::kNothing},
      {"append", "read", {}, Form::kAny},
      {"set", "add", {Form::kAny}, Form::kNothing},
      {"set", "read", {}, Form::kAny},
      {"bank", "open", {Form::kBalances}, Form::kNothing},
      {"bank", "move", {Form::kAny, Form::kAny, Form::kNumber}, Form::kBool},
      {"bank", "read", {}, Form::kBalances},
      {"watch", "put", {Form::kAny, Form::kAny}, Form::kNumber},
      {"watch", "del", {Form::kAny}, Form::kNumber},
  };
  return rows;
}

bool fits(Form form, const std::string& word) {
  int64_t number = 0;
  Balances balances;
  switch (form) {
    case Form::kNothing:
      return false;
    case Form::kAny:
      return true;
    case Form::kNumber:
      return read_number(word, &number);
    case Form::kBool:
      return word == "true" || word == "false";
    case Form::kBalances:
      return word == "-" || read_balances(word, &balances);
  }
  return false;
}

bool fits(const Row& row, const Operation& op) {
  if (op.arguments.size() != row.arguments.size()) return false;
  for (size_t i = 0; i < op.arguments.size(); ++i)
    if (!fits(row.arguments[i], op.arguments[i])) return false;
  if (!known(op) || row.result == Form::kNothing) return op.result.empty();
  return op.result.size() == 1 && fits(row.result, op.result[0]);
}

}  // namespace

bool read_balances(const std::string& text, Balances* out) {
  if (text == "-") return true;
  for (const std::string& word : split(text, ',')) {
    const size_t equals = word.find('=');
    int64_t sum = 0;
    if (equals == std::string::npos || equals == 0 || !read_number(word.substr(equals + 1), &sum) ||
        !out->try_emplace(word.substr(0, equals), sum).second)
      return false;
  }
  return true;
}

std::unique_ptr<Model> make_model(const std::string& object) {
  const std::string name = model_of(object);
  if (name == "register") return std::make_unique<Register>();
  if (name == "counter") return std::make_unique<Counter>();
  if (name == "append") return std::make_unique<Append>();
  if (name == "set") return std::make_unique<Set>();
  if (name == "bank") return std::make_unique<Bank>();
  return nullptr;
}

Status check_form(const Operation& op) {
  for (const Row& row : table())
    if (model_of(op.object) == row.model && op.kind == row.kind) {
      if (fits(row, op)) return Status::ok();
      return {RAFTCS_ERR_INVALID_ARGUMENT,
              "arguments or result of " + op.kind + " at " + op.object};
    }
  return {RAFTCS_ERR_INVALID_ARGUMENT, "no operation " + op.kind + " at " + op.object};
}

}  // namespace raftcs::history
