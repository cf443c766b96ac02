// checks_watch.cpp: what watchers were told against what writers did.
//
// The version of a change is its index in the log, which several changes share if they were in one
// batch. So all watchers tell one sequence of changes, each its part of it: complete from the
// version at which it began, but for the end of the last version, which may be under way. A change
// of unknown outcome belongs to the sequence if anybody was told of it.
#include <algorithm>
#include <set>

#include "history/checks.hpp"

namespace raftcs::history {

namespace {

using Changes = std::vector<std::string>;  // "KEY put VALUE" or "KEY del", in order

struct Watcher {
  uint64_t from = 0;  // told of all changes after this version
  uint64_t last = 0;
  bool drained = false;
  int64_t drained_ns = 0;
  std::set<std::string> first;  // keys whose value of the beginning was told
  std::set<std::string> puts;   // all that were told
  std::map<uint64_t, Changes> told;
};

class WatchCheck {
 public:
  Sentences run(const Operations& operations, const std::vector<Notice>& notices) {
    for (const Operation& op : operations) writer(op);
    check_real_time(operations);
    for (const Notice& notice : notices) watcher(notice);
    for (const auto& [name, w] : watchers_) {
      check_done(name, w);
      for (const auto& [other_name, other] : watchers_)
        if (name < other_name) check_alike(name, w, other_name, other);
    }
    return std::move(out_);
  }

 private:
  struct Done {
    int64_t returned_ns;
    std::string change;
  };

  void say(std::string sentence) {
    if (out_.size() < kSentencesMax) out_.push_back(std::move(sentence));
  }

  static std::string at(uint64_t version) { return " at version " + std::to_string(version); }

  void writer(const Operation& op) {
    if (op.outcome == Outcome::kFailed) return;
    const bool put = op.kind == "put";
    const std::string change = op.arguments[0] + (put ? " put " + op.arguments[1] : " del");
    const auto [asked, first] = asked_.try_emplace(change, op.called_ns);
    asked->second = std::min(asked->second, op.called_ns);
    if (put && !first) say("the history itself puts a value twice: " + change);
    if (op.outcome != Outcome::kOk) return;
    int64_t version = 0;
    read_number(op.result[0], &version);
    if (version == 0 && !put) return;
    if (version <= 0) return say("no version: " + summary_of(op));
    done_.emplace(version, Done{op.returned_ns, change});
    if (put) version_of_.emplace(change, version);
  }

  void watcher(const Notice& n) {
    Watcher& w = watchers_[n.process];
    if (n.kind == Notice::Kind::kWatching) {
      w.from = n.version;
    } else if (n.kind == Notice::Kind::kDrained) {
      w.drained = true;
      w.drained_ns = n.at_ns;
    } else {
      told(n, &w);
    }
  }

  void told(const Notice& n, Watcher* w) {
    const std::string change = n.key + (n.deleted ? " del" : " put " + n.value);
    const std::string what = n.process + " is told: " + change + at(n.version);
    // The values of the beginning come in the order of keys, with versions of before; the version
    // of the watch itself may have changes on both sides of it.
    if (n.version < w->from && !w->first.insert(n.key).second) say("old news: " + what);
    if (n.version > w->from && n.version < w->last) say("not in the order of versions: " + what);
    if (n.version > w->from) {
      w->last = std::max(w->last, n.version);
      w->told[n.version].push_back(change);
    }
    if (!n.deleted && !w->puts.insert(change).second) say("told twice: " + what);
    const auto asked = asked_.find(change);
    if (asked == asked_.end()) {
      say("nobody asked for this: " + what);
    } else if (asked->second > n.at_ns) {
      say("told before anybody asked: " + what);
    }
    const auto version = version_of_.find(change);
    if (version != version_of_.end() && version->second != n.version)
      say("but it has version " + std::to_string(version->second) + ": " + what);
  }

  // What writers know was done, from the beginning of the watch to its end.
  void check_done(const std::string& name, const Watcher& w) {
    for (auto it = done_.upper_bound(w.from); it != done_.end();) {
      const uint64_t version = it->first;
      Changes told;
      if (const auto found = w.told.find(version); found != w.told.end()) told = found->second;
      for (; it != done_.end() && it->first == version; ++it) {
        const auto found = std::find(told.begin(), told.end(), it->second.change);
        const bool due = version < w.last ||
                         (version > w.last && w.drained && it->second.returned_ns < w.drained_ns);
        if (found != told.end()) {
          told.erase(found);
        } else if (due) {
          say(name + " was never told: " + it->second.change + at(version));
        }
      }
    }
  }

  // Both tell the same where both watch.
  void check_alike(const std::string& a_name, const Watcher& a, const std::string& b_name,
                   const Watcher& b) {
    const uint64_t from = std::max(a.from, b.from);
    const uint64_t last = std::min(a.last, b.last);
    std::set<uint64_t> versions;
    for (const Watcher* w : {&a, &b})
      for (auto it = w->told.upper_bound(from); it != w->told.end() && it->first <= last; ++it)
        versions.insert(it->first);
    for (const uint64_t version : versions) {
      const Changes mine = a.told.contains(version) ? a.told.at(version) : Changes{};
      const Changes theirs = b.told.contains(version) ? b.told.at(version) : Changes{};
      const size_t both = std::min(mine.size(), theirs.size());
      const bool equal = std::equal(mine.begin(), mine.begin() + static_cast<std::ptrdiff_t>(both),
                                    theirs.begin());
      // The last version of a watcher may be told in part.
      const bool a_is_short = mine.size() < theirs.size() && version < a.last;
      const bool b_is_short = theirs.size() < mine.size() && version < b.last;
      if (!equal || a_is_short || b_is_short)
        say(a_name + " and " + b_name + " are told different changes" + at(version));
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
      if (version <= highest) say("a later change has no later version: " + summary_of(*op));
    }
  }

  std::map<std::string, int64_t> asked_;        // change -> when it was first asked for
  std::map<std::string, uint64_t> version_of_;  // of puts, which are unique
  std::multimap<uint64_t, Done> done_;          // by version
  std::map<std::string, Watcher> watchers_;
  Sentences out_;
};

}  // namespace

Sentences check_watch(const Operations& operations, const std::vector<Notice>& notices) {
  return WatchCheck().run(operations, notices);
}

}  // namespace raftcs::history
