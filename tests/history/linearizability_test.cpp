// linearizability_test.cpp: the search against trying all orders, on small random histories, and
// on long ones that are good or were made bad in one place.
#include "history/linearizability.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/prng.hpp"

namespace raftcs::history {
namespace {

const std::vector<std::string> kModels = {"register", "counter", "append", "set", "bank"};

class Maker {
 public:
  Maker(const std::string& model, uint64_t seed)
      : object_(model + ":x"), model_(make_model(object_)), random_(seed) {}

  // Operations that really happen one by one, in an order that respects the times; `clients` at
  // once, of each hundred about `unknown` of unknown outcome (half of which never happen).
  std::vector<Operation> good(size_t count, size_t clients, uint64_t unknown) {
    std::vector<Operation> out;
    std::vector<int64_t> free_ns(clients, 0);
    int64_t now_ns = 0;
    std::string state = model_->initial();
    for (size_t i = 0; i < count; ++i) {
      const size_t client = below(clients);
      Operation op = random_operation(i);
      op.process = "p" + std::to_string(client);
      now_ns = std::max(now_ns, free_ns[client]) + 1 + static_cast<int64_t>(below(3));
      op.called_ns = std::max(free_ns[client] + 1, now_ns - static_cast<int64_t>(below(20)));
      op.returned_ns = now_ns + static_cast<int64_t>(below(20));
      free_ns[client] = op.returned_ns;
      if (below(100) < unknown) {
        op.outcome = Outcome::kUnknown;
        op.returned_ns = kNever;
        if (below(2) == 0) state = *model_->step(state, op);
      } else {
        happen(&op, &state);
      }
      out.push_back(std::move(op));
    }
    return out;
  }

  // Times and results at random: mostly bad.
  std::vector<Operation> wild(size_t count) {
    std::vector<Operation> out;
    std::vector<std::string> states = {model_->initial()};
    for (size_t i = 0; i < count; ++i) {
      Operation op = random_operation(below(3));
      op.process = "p" + std::to_string(i);
      op.called_ns = static_cast<int64_t>(below(12));
      op.returned_ns = op.called_ns + static_cast<int64_t>(below(8));
      const uint64_t kind = below(8);
      std::string state = states[below(states.size())];
      happen(&op, &state);
      states.push_back(state);
      if (kind < 2) {
        op.outcome = kind == 0 ? Outcome::kUnknown : Outcome::kFailed;
        op.result.clear();
        if (kind == 0) op.returned_ns = kNever;
      }
      out.push_back(std::move(op));
    }
    return out;
  }

  // Another result, or another time, for one operation.
  void spoil(std::vector<Operation>* operations) {
    Operation& op = (*operations)[below(operations->size())];
    if (op.outcome != Outcome::kOk) {
      op.called_ns += static_cast<int64_t>(below(50));
      return;
    }
    if (op.result.empty() || below(3) == 0) {
      const int64_t by_ns = static_cast<int64_t>(below(60));
      op.called_ns += by_ns;
      op.returned_ns += by_ns;
      return;
    }
    Operation other = op;
    std::string state = model_->initial();
    for (uint64_t i = below(6); i > 0; --i) {
      other = random_operation(below(operations->size()));
      happen(&other, &state);
    }
    happen(&op, &state);
  }

  uint64_t below(uint64_t end) { return random_.next() % end; }
  const Model& model() const { return *model_; }

 private:
  Operation random_operation(size_t i) {
    Operation op;
    op.object = object_;
    const std::string name = model_of(object_);
    const uint64_t kind = below(4);
    const auto any = [&] { return std::to_string(below(i + 1)); };
    if (kind == 0) {
      op.kind = "read";
    } else if (name == "register") {
      op.kind = kind == 1 ? "cas" : "write";
      if (kind == 1) op.arguments.push_back(any());
      op.arguments.push_back(kind == 1 ? any() : std::to_string(i));
    } else if (name == "counter") {
      op.kind = "add";
      op.arguments = {std::to_string(1 + below(2))};
    } else if (name == "bank") {
      const bool open = kind == 1;
      op.kind = open ? "open" : "move";
      op.arguments = open ? Words{"a=3,b=3"} : Words{"a", "b", std::to_string(below(3))};
      if (!open && below(2) == 0) std::swap(op.arguments[0], op.arguments[1]);
    } else {
      op.kind = name == "append" ? "append" : "add";
      op.arguments = {std::to_string(i)};
    }
    return op;
  }

  // Gives it the result that it has at this state.
  void happen(Operation* op, std::string* state) {
    op->outcome = Outcome::kOk;
    op->result.clear();
    const std::string name = model_of(object_);
    if (op->kind == "read") {
      op->result = {*state};
    } else if (name == "counter") {
      int64_t sum = 0;
      int64_t more = 0;
      read_number(*state, &sum);
      read_number(op->arguments[0], &more);
      op->result = {std::to_string(sum + more)};
    } else if (op->kind == "cas" || op->kind == "move") {
      op->result = {"true"};
      if (!model_->step(*state, *op)) op->result = {"false"};
    }
    const std::optional<std::string> next = model_->step(*state, *op);
    ASSERT_TRUE(next) << summary_of(*op) << " at " << *state;
    *state = *next;
  }

  std::string object_;
  std::unique_ptr<Model> model_;
  Prng random_;
};

// As the judge does it.
Search find(const std::vector<Operation>& history) {
  if (history.empty()) return search(history, *make_model("register:x"), Budget{});
  const std::unique_ptr<Model> model = make_model(history[0].object);
  model->learn(history);
  return search(history, *model, Budget{});
}

std::string show(const std::vector<Operation>& operations) {
  std::string out;
  for (const Operation& op : operations) out += text_of(op);
  return out;
}

TEST(Linearizability, AgreesWithTryingAllOrders) {
  int good = 0;
  int bad = 0;
  for (const std::string& name : kModels)
    for (uint64_t seed = 0; seed < 4000; ++seed) {
      Maker maker(name, seed);
      const size_t count = 1 + maker.below(7);
      std::vector<Operation> history;
      if (seed % 2 == 0) {
        history = maker.good(count, 4, 25);
        for (uint64_t i = maker.below(3); i > 0; --i) maker.spoil(&history);
      } else {
        history = maker.wild(count);
      }
      const bool fits = linearizable_by_force(history, maker.model());
      const Search found = find(history);
      ++(fits ? good : bad);
      ASSERT_EQ(found.verdict, fits ? Verdict::kLinearizable : Verdict::kViolation)
          << name << " seed " << seed << '\n'
          << show(history);
    }
  EXPECT_GT(good, 4000);
  EXPECT_GT(bad, 4000);
}

TEST(Linearizability, AcceptsLongGoodHistories) {
  for (const std::string& name : kModels)
    for (uint64_t seed = 0; seed < 10; ++seed) {
      Maker maker(name, seed);
      const std::vector<Operation> history = maker.good(400, 6, 3);
      const Search found = find(history);
      EXPECT_EQ(found.verdict, Verdict::kLinearizable) << name << " seed " << seed;
    }
}

TEST(Linearizability, TheOrderOfAGoodHistoryIsOne) {
  Maker maker("register", 7);
  const std::vector<Operation> history = maker.good(200, 5, 5);
  const Search found = find(history);
  ASSERT_EQ(found.verdict, Verdict::kLinearizable);
  std::string state = maker.model().initial();
  int64_t latest_call_ns = 0;
  for (const size_t i : found.longest) {
    const std::optional<std::string> next = maker.model().step(state, history[i]);
    ASSERT_TRUE(next);
    state = *next;
    latest_call_ns = std::max(latest_call_ns, history[i].called_ns);
    EXPECT_LE(latest_call_ns, history[i].returned_ns);
  }
  size_t done = 0;
  for (const Operation& op : history) done += op.outcome == Outcome::kOk;
  EXPECT_GE(found.longest.size(), done);
}

// One wrong read in a long history of unique values is always found.
TEST(Linearizability, FindsOneBadReadInALongHistory) {
  int spoiled = 0;
  for (uint64_t seed = 0; seed < 40; ++seed) {
    Maker maker("append", seed);
    std::vector<Operation> history = maker.good(300, 5, 0);
    Operation& op = history[150 + maker.below(150)];
    if (op.kind != "read" || op.result[0].find(',') == std::string::npos) continue;
    op.result[0].resize(op.result[0].rfind(','));  // the last element is missing
    // It may be right at another time of its interval: then all orders of the rest decide.
    bool beside = false;
    for (const Operation& other : history)
      beside |= other.kind == "append" && other.called_ns <= op.returned_ns &&
                other.returned_ns >= op.called_ns;
    if (beside) continue;
    ++spoiled;
    EXPECT_EQ(find(history).verdict, Verdict::kViolation) << seed;
  }
  EXPECT_GE(spoiled, 1);
}

// Sums of unknown additions: every subset gives the same few sums, so the table of what was tried
// must cut the search; without it this would take 2^30 steps.
TEST(Linearizability, ManyUnknownOperationsAreCheapWhereStatesMeet) {
  std::vector<Operation> history;
  for (int i = 0; i < 30; ++i) {
    Operation op;
    op.object = "set:x";
    op.kind = "add";
    op.process = "p" + std::to_string(i);
    op.arguments = {std::to_string(i % 3)};
    op.called_ns = i;
    history.push_back(op);
  }
  Operation read = history[0];
  read.kind = "read";
  read.arguments.clear();
  read.result = {"0,1,7"};
  read.outcome = Outcome::kOk;
  read.called_ns = 100;
  read.returned_ns = 101;
  history.push_back(read);
  const Search found = search(history, *make_model("set:x"), Budget{});
  EXPECT_EQ(found.verdict, Verdict::kViolation);
  EXPECT_LT(found.steps, 200'000u);
}

TEST(Linearizability, RunsOutOfItsBudgetAndSaysSo) {
  std::vector<Operation> history;
  for (int i = 0; i < 40; ++i) {
    Operation op;
    op.object = "append:x";
    op.kind = "append";
    op.process = "p" + std::to_string(i);
    op.arguments = {std::to_string(i)};
    op.called_ns = 0;
    history.push_back(op);
  }
  Operation read = history[0];
  read.kind = "read";
  read.arguments.clear();
  read.result = {"nobody-appended-this"};
  read.outcome = Outcome::kOk;
  read.called_ns = 100;
  read.returned_ns = 101;
  history.push_back(read);
  const std::unique_ptr<Model> model = make_model("append:x");
  EXPECT_EQ(search(history, *model, Budget{.time_ms = 50}).verdict, Verdict::kUndecided);
  EXPECT_EQ(search(history, *model, Budget{.bytes = 1 << 16}).verdict, Verdict::kUndecided);
}

TEST(Linearizability, NothingIsFine) { EXPECT_EQ(find({}).verdict, Verdict::kLinearizable); }

}  // namespace
}  // namespace raftcs::history
