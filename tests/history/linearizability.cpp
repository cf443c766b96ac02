// linearizability.cpp: the search. Depth first with an explicit stack; the stack is the order of
// the operations so far, and an operation is put back when nothing fits behind it.
#include "history/linearizability.hpp"

#include <algorithm>
#include <chrono>
#include <unordered_set>

namespace raftcs::history {

namespace {

constexpr size_t kNode = 80;  // bytes of an entry of the table beside its text, about

// A set of numbers that mostly are all those below some number.
class NumberSet {
 public:
  explicit NumberSet(size_t size) : words_(size / 64 + 1) {}
  bool has(size_t i) const { return words_[i / 64] >> (i % 64) & 1; }
  void add(size_t i) {
    words_[i / 64] |= uint64_t{1} << (i % 64);
    above_ = std::max(above_, i / 64 + 1);
    while (words_[below_] == ~uint64_t{0}) ++below_;
  }
  void remove(size_t i) {
    words_[i / 64] &= ~(uint64_t{1} << (i % 64));
    below_ = std::min(below_, i / 64);
    while (above_ > 0 && words_[above_ - 1] == 0) --above_;
  }
  // Equal texts are equal sets.
  void write(std::string* out) const {
    const size_t end = std::max(above_, below_);
    const uint64_t head[2] = {below_, end - below_};
    out->append(reinterpret_cast<const char*>(head), sizeof head);
    out->append(reinterpret_cast<const char*>(words_.data() + below_), (end - below_) * 8);
  }

 private:
  std::vector<uint64_t> words_;
  size_t below_ = 0;  // all words before this one are full
  size_t above_ = 0;  // all words from this one on are empty
};

// A doubly linked list over numbers, from which elements are lifted and put back in reverse.
class Chain {
 public:
  explicit Chain(size_t size) : next_(size + 1), before_(size + 1) {
    for (size_t i = 0; i <= size; ++i) {
      next_[i] = i + 1;
      before_[i] = i == 0 ? size : i - 1;
    }
    next_[size] = 0;
  }
  size_t first() const { return next_.back(); }
  size_t next(size_t i) const { return next_[i]; }
  bool at_end(size_t i) const { return i + 1 == next_.size(); }
  void lift(size_t i) {
    next_[before_[i]] = next_[i];
    before_[next_[i]] = before_[i];
  }
  void put_back(size_t i) {
    next_[before_[i]] = i;
    before_[next_[i]] = i;
  }

 private:
  std::vector<size_t> next_;
  std::vector<size_t> before_;
};

struct Entry {
  int64_t at_ns;
  bool is_return;
  size_t operation;
};

struct Frame {
  size_t operation;
  bool unknown;
  bool only;  // nothing else need be tried in its place
  std::string before;
};

class Searcher {
 public:
  Searcher(const std::vector<Operation>& all, const Model& model, const Budget& budget)
      : all_(all),
        model_(model),
        budget_(budget),
        sorted_(sort(all)),
        chain_(sorted_.entries.size()),
        unknown_chain_(sorted_.unknown.size()),
        done_(sorted_.definite),
        maybe_done_(sorted_.unknown.size()),
        state_(model.initial()),
        reads_left_(sorted_.reads),
        at_(chain_.first()) {}

  Search run() {
    const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(budget_.time_ms);
    size_t left = sorted_.definite;
    while (left > 0) {
      if (++out_.steps % 256 == 0 &&
          (bytes_ > budget_.bytes || std::chrono::steady_clock::now() > end)) {
        keep_longest();
        return std::move(out_);
      }
      const Step step = advance();
      if (step == Step::kLifted && !stack_.back().unknown) --left;
      if (step != Step::kStuck) continue;
      keep_longest();
      for (bool only = true; only;) {
        if (stack_.empty()) {
          out_.verdict = Verdict::kViolation;
          return std::move(out_);
        }
        only = stack_.back().only;
        if (!stack_.back().unknown) ++left;
        put_back();
      }
    }
    keep_longest();
    out_.verdict = Verdict::kLinearizable;
    return std::move(out_);
  }

 private:
  struct Sorted {
    std::vector<Entry> entries;   // of definite operations; calls first at equal times
    std::vector<size_t> unknown;  // operations, in the order of their calls
    std::vector<size_t> call;     // operation -> its entry or its place in unknown
    std::vector<size_t> back;     // operation -> the entry of its return
    std::vector<size_t> number;   // operation -> its number among the definite ones
    size_t definite = 0;
    size_t reads = 0;  // of the definite ones
  };

  static Sorted sort(const std::vector<Operation>& all) {
    Sorted out;
    out.call.resize(all.size());
    out.back.resize(all.size());
    out.number.resize(all.size());
    for (size_t i = 0; i < all.size(); ++i) {
      const Operation& op = all[i];
      if (op.outcome == Outcome::kFailed) continue;
      if (op.outcome == Outcome::kOk) {
        out.entries.push_back({op.called_ns, false, i});
        out.entries.push_back({op.returned_ns, true, i});
        out.reads += op.kind == "read";
      } else if (!Model::changes_nothing(op)) {
        out.unknown.push_back(i);
      }
    }
    std::stable_sort(out.entries.begin(), out.entries.end(), [](const Entry& a, const Entry& b) {
      return a.at_ns != b.at_ns ? a.at_ns < b.at_ns : a.is_return < b.is_return;
    });
    std::stable_sort(out.unknown.begin(), out.unknown.end(),
                     [&](size_t a, size_t b) { return all[a].called_ns < all[b].called_ns; });
    for (size_t i = 0; i < out.entries.size(); ++i) {
      const size_t op = out.entries[i].operation;
      if (!out.entries[i].is_return) out.number[op] = out.definite++;
      (out.entries[i].is_return ? out.back : out.call)[op] = i;
    }
    for (size_t i = 0; i < out.unknown.size(); ++i) out.call[out.unknown[i]] = i;
    return out;
  }

  enum class Step { kLifted, kMoved, kStuck };

  // Looks at one entry.
  Step advance() {
    if (in_unknown_) {
      if (unknown_over()) return Step::kStuck;
      const size_t place = at_;
      if (lift(sorted_.unknown[place], true)) return Step::kLifted;
      at_ = unknown_chain_.next(place);
      return Step::kMoved;
    }
    const Entry& entry = sorted_.entries[at_];
    if (entry.is_return) {  // what was called later cannot come before this one
      blocking_ = entry.operation;
      limit_ns_ = entry.at_ns;
      in_unknown_ = true;
      at_ = unknown_chain_.first();
      return Step::kMoved;
    }
    if (lift(entry.operation, false)) return Step::kLifted;
    at_ = chain_.next(at_);
    return Step::kMoved;
  }

  bool unknown_over() const {
    return unknown_chain_.at_end(at_) || all_[sorted_.unknown[at_]].called_ns > limit_ns_;
  }

  bool lift(size_t operation, bool unknown) {
    const Operation& op = all_[operation];
    std::optional<std::string> next = model_.step(state_, op);
    if (!next || (unknown && *next == state_)) return false;
    const bool read = !unknown && op.kind == "read";
    if (!model_.possible(*next, reads_left_ > (read ? 1u : 0u))) return false;
    NumberSet& set = unknown ? maybe_done_ : done_;
    const size_t number = unknown ? sorted_.call[operation] : sorted_.number[operation];
    set.add(number);
    std::string key;
    done_.write(&key);
    maybe_done_.write(&key);
    key += *next;
    const size_t size = key.size() + kNode;
    if (!tried_.insert(std::move(key)).second) {
      set.remove(number);
      return false;
    }
    bytes_ += size;
    out_.states = tried_.size();
    stack_.push_back(
        {operation, unknown, !unknown && Model::changes_nothing(op), std::move(state_)});
    state_ = std::move(*next);
    reads_left_ -= read;
    if (unknown) {
      unknown_chain_.lift(number);
    } else {
      chain_.lift(sorted_.call[operation]);
      chain_.lift(sorted_.back[operation]);
    }
    in_unknown_ = false;
    at_ = chain_.first();
    return true;
  }

  // Undoes the last operation and goes on behind it.
  void put_back() {
    Frame frame = std::move(stack_.back());
    stack_.pop_back();
    state_ = std::move(frame.before);
    const size_t call = sorted_.call[frame.operation];
    in_unknown_ = frame.unknown;
    if (frame.unknown) {
      maybe_done_.remove(call);
      unknown_chain_.put_back(call);
      at_ = unknown_chain_.next(call);
      size_t entry = chain_.first();
      while (!sorted_.entries[entry].is_return) entry = chain_.next(entry);
      limit_ns_ = sorted_.entries[entry].at_ns;
    } else {
      reads_left_ += all_[frame.operation].kind == "read";
      done_.remove(sorted_.number[frame.operation]);
      chain_.put_back(sorted_.back[frame.operation]);
      chain_.put_back(call);
      at_ = chain_.next(call);
    }
  }

  void keep_longest() {
    if (stack_.size() <= out_.longest.size() && !stack_.empty()) return;
    if (stack_.empty() && !out_.longest.empty()) return;
    out_.longest.clear();
    for (const Frame& frame : stack_) out_.longest.push_back(frame.operation);
    out_.stuck = blocking_;
  }

  const std::vector<Operation>& all_;
  const Model& model_;
  const Budget budget_;
  const Sorted sorted_;
  Chain chain_;
  Chain unknown_chain_;
  NumberSet done_;
  NumberSet maybe_done_;
  std::string state_;
  std::vector<Frame> stack_;
  std::unordered_set<std::string> tried_;
  size_t bytes_ = 0;
  size_t reads_left_;
  size_t at_;  // the place in chain_, or in unknown_chain_ if in_unknown_
  bool in_unknown_ = false;
  int64_t limit_ns_ = 0;  // the first return that is still in chain_
  size_t blocking_ = 0;   // its operation
  Search out_;
};

bool place_all(const std::vector<Operation>& all, const Model& model, std::vector<bool>* placed,
               const std::string& state) {
  bool complete = true;
  int64_t limit_ns = kNever;
  for (size_t i = 0; i < all.size(); ++i) {
    if ((*placed)[i] || all[i].outcome != Outcome::kOk) continue;
    complete = false;
    limit_ns = std::min(limit_ns, all[i].returned_ns);
  }
  if (complete) return true;
  for (size_t i = 0; i < all.size(); ++i) {
    if ((*placed)[i] || all[i].outcome == Outcome::kFailed || all[i].called_ns > limit_ns) continue;
    const std::optional<std::string> next = model.step(state, all[i]);
    if (!next) continue;
    (*placed)[i] = true;
    const bool found = place_all(all, model, placed, *next);
    (*placed)[i] = false;
    if (found) return true;
  }
  return false;
}

}  // namespace

Search search(const std::vector<Operation>& operations, const Model& model, const Budget& budget) {
  return Searcher(operations, model, budget).run();
}

bool linearizable_by_force(const std::vector<Operation>& operations, const Model& model) {
  std::vector<bool> placed(operations.size());
  return place_all(operations, model, &placed, model.initial());
}

}  // namespace raftcs::history
