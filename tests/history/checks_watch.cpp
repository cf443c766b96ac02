// checks_watch.cpp: what watchers were told against what writers did.
//
// The version of a change is its index in the log, so all watchers together with the writers tell
// one sequence: version -> change. A watcher must tell all of it from its first version to its
// last, in order. A change of unknown outcome belongs to the sequence if anybody was told of it.
#include <algorithm>
#include <set>

#include "history/checks.hpp"

namespace raftcs::history {

namespace {

struct Change {
  std::string key;
  std::string value;
  bool deleted = false;
  bool operator==(const Change&) const = default;
};

struct Watcher {
  uint64_t from = 0;  // told of all changes after this version
  std::set<std::string> first;  // keys whose value of the beginning was told
  uint64_t last = 0;
  std::map<uint64_t, Change> told;
};

class WatchCheck {
 public:
  Sentences run(const Operations& operations, const std::vector<Notice>& notices) {
    for (const Operation& op : operations) writer(op);
    check_real_time(operations);
    for (const Notice& notice : notices) watcher(notice);
    for (const Notice& notice : notices)
      if (notice.kind == Notice::Kind::kDrained) drained(notice, operations);
    return std::move(out_);
  }

 private:
  void say(std::string sentence) {
    if (out_.size() < kSentencesMax) out_.push_back(std::move(sentence));
  }

  void writer(const Operation& op) {
    Change change{op.arguments[0], op.kind == "put" ? op.arguments[1] : "", op.kind == "del"};
    if (op.outcome != Outcome::kFailed) {
      auto [asked, first] = asked_.try_emplace(text_of(change), op.called_ns);
      asked->second = std::min(asked->second, op.called_ns);
    }
    if (op.outcome != Outcome::kOk) return;
    int64_t version = 0;
    read_number(op.result[0], &version);
    if (version == 0 && change.deleted) return;
    if (version <= 0) return say("no version: " + summary_of(op));
    if (!changes_.emplace(version, std::move(change)).second)
      say("two changes have the version " + std::to_string(version) + ": " + summary_of(op));
  }

  static std::string text_of(const Change& c) {
    return c.key + (c.deleted ? " del" : " put " + c.value);
  }

  void watcher(const Notice& n) {
    Watcher& w = watchers_[n.process];
    if (n.kind == Notice::Kind::kWatching) {
      w.from = n.version;
      return;
    }
    if (n.kind != Notice::Kind::kTold) return;
    const Change change{n.key, n.value, n.deleted};
    const std::string what = n.process + " is told: " + text_of(change) + " at version " +
                             std::to_string(n.version);
    // The values of the beginning come in the order of keys, with versions of before.
    const bool initial = n.version <= w.from;
    if (initial && !w.first.insert(n.key).second) say("old news: " + what);
    if (!initial && n.version <= w.last) say("not in the order of versions: " + what);
    if (!initial) w.last = n.version;
    const auto asked = asked_.find(text_of(change));
    if (asked == asked_.end()) {
      say("nobody asked for this: " + what);
    } else if (asked->second > n.at_ns) {
      say("told before anybody asked: " + what);
    }
    const auto [known, first] = changes_.emplace(n.version, change);
    if (!first && known->second != change) say("but it was " + text_of(known->second) + ": " + what);
    w.told[n.version] = change;
  }

  // Everything from `from` to the last version that a watcher was told, and everything that was
  // done before it was drained.
  void drained(const Notice& n, const Operations& operations) {
    const Watcher& w = watchers_[n.process];
    uint64_t end = w.last;
    for (const Operation& op : operations) {
      int64_t version = 0;
      if (op.outcome == Outcome::kOk && op.returned_ns < n.at_ns &&
          read_number(op.result[0], &version))
        end = std::max(end, static_cast<uint64_t>(version));
    }
    for (auto change = changes_.upper_bound(w.from); change != changes_.end(); ++change) {
      if (change->first > end) break;
      if (!w.told.contains(change->first))
        say(n.process + " was never told: " + text_of(change->second) + " at version " +
            std::to_string(change->first));
    }
  }

  void check_real_time(const Operations& operations) {
    std::vector<const Operation*> by_call;
    for (const Operation& op : operations)
      if (op.outcome == Outcome::kOk && op.result[0] != "0") by_call.push_back(&op);
    std::vector<const Operation*> by_return = by_call;
    std::sort(by_call.begin(), by_call.end(),
              [](auto* a, auto* b) { return a->called_ns < b->called_ns; });
    std::sort(by_return.begin(), by_return.end(),
              [](auto* a, auto* b) { return a->returned_ns < b->returned_ns; });
    int64_t highest = 0;
    size_t ended = 0;
    for (const Operation* op : by_call) {
      int64_t version = 0;
      for (; ended < by_return.size() && by_return[ended]->returned_ns < op->called_ns; ++ended) {
        read_number(by_return[ended]->result[0], &version);
        highest = std::max(highest, version);
      }
      read_number(op->result[0], &version);
      if (version <= highest)
        say("a later change has an earlier version: " + summary_of(*op));
    }
  }

  std::map<std::string, int64_t> asked_;  // change -> when it was first asked for
  std::map<uint64_t, Change> changes_;
  std::map<std::string, Watcher> watchers_;
  Sentences out_;
};

}  // namespace

Sentences check_watch(const Operations& operations, const std::vector<Notice>& notices) {
  return WatchCheck().run(operations, notices);
}

}  // namespace raftcs::history
