// checks.cpp: lists, counters, banks and sets. Watches are in checks_watch.cpp.
#include "history/checks.hpp"

#include <algorithm>
#include <set>

#include "history/models.hpp"

namespace raftcs::history {

namespace {

void say(Sentences* out, std::string sentence) {
  if (out->size() < kSentencesMax) out->push_back(std::move(sentence));
}

bool ok(const Operation& op) { return op.outcome == Outcome::kOk; }
bool ok_read(const Operation& op) { return ok(op) && op.kind == "read"; }

Words elements(const Operation& read) {
  return read.result[0] == "-" ? Words{} : split(read.result[0], ',');
}

// Values that were asked for: name -> the operation that did.
using Asked = std::map<std::string, const Operation*>;

Asked asked_for(const Operations& operations, const std::string& kind, Sentences* out) {
  Asked asked;
  for (const Operation& op : operations)
    if (op.kind == kind && !asked.emplace(op.arguments[0], &op).second && kind == "append")
      say(out, "the history itself appends " + op.arguments[0] + " twice");
  return asked;
}

void check_values(const Operation& read, const Words& words, const Asked& asked, Sentences* out) {
  std::set<std::string> seen;
  for (const std::string& word : words) {
    const auto found = asked.find(word);
    if (!seen.insert(word).second) say(out, word + " is there twice: " + summary_of(read));
    if (found == asked.end()) {
      say(out, word + " was never asked for: " + summary_of(read));
    } else if (found->second->outcome == Outcome::kFailed) {
      say(out, word + " is there, and its client was told that it is not: " + summary_of(read));
    } else if (found->second->called_ns > read.returned_ns) {
      say(out, word + " was read before it was asked for: " + summary_of(read));
    }
  }
}

void check_no_shorter(const std::vector<const Operation*>& reads, Sentences* out) {
  std::vector<const Operation*> by_call = reads;
  std::vector<const Operation*> by_return = reads;
  std::sort(by_call.begin(), by_call.end(),
            [](auto* a, auto* b) { return a->called_ns < b->called_ns; });
  std::sort(by_return.begin(), by_return.end(),
            [](auto* a, auto* b) { return a->returned_ns < b->returned_ns; });
  size_t longest = 0;
  size_t ended = 0;
  for (const Operation* read : by_call) {
    for (; ended < by_return.size() && by_return[ended]->returned_ns < read->called_ns; ++ended)
      longest = std::max(longest, elements(*by_return[ended]).size());
    if (elements(*read).size() < longest)
      say(out, "shorter than a read that ended before it began: " + summary_of(*read));
  }
}

}  // namespace

Sentences check_append(const Operations& operations) {
  Sentences out;
  const Asked asked = asked_for(operations, "append", &out);
  std::vector<const Operation*> reads;
  Words longest;
  for (const Operation& op : operations) {
    if (!ok_read(op)) continue;
    reads.push_back(&op);
    if (Words words = elements(op); words.size() > longest.size()) longest = std::move(words);
  }
  std::map<std::string, size_t> place;
  for (size_t i = 0; i < longest.size(); ++i) place.emplace(longest[i], i);
  for (const Operation* read : reads) {
    const Words words = elements(*read);
    check_values(*read, words, asked, &out);
    if (!std::equal(words.begin(), words.end(), longest.begin()))
      say(&out, "not the beginning of the longest read: " + summary_of(*read));
    for (const auto& [value, append] : asked) {
      if (!ok(*append) || append->returned_ns >= read->called_ns) continue;
      const auto found = place.find(value);
      if (found == place.end() || found->second >= words.size())
        say(&out, value + " was appended before this read began: " + summary_of(*read));
    }
  }
  check_no_shorter(reads, &out);
  return out;
}

Sentences check_counter(const Operations& operations) {
  Sentences out;
  for (const Operation& read : operations) {
    if (!ok(read)) continue;
    int64_t least = 0;
    int64_t most = 0;
    for (const Operation& op : operations) {
      int64_t more = 0;
      if (op.kind != "add" || !read_number(op.arguments[0], &more)) continue;
      if (more < 0) return out;
      if (op.outcome != Outcome::kFailed && op.called_ns <= read.returned_ns) most += more;
      if (ok(op) && (op.returned_ns < read.called_ns || &op == &read)) least += more;
    }
    int64_t got = 0;
    read_number(read.result[0], &got);
    if (got < least || got > most)
      say(&out, "between " + std::to_string(least) + " and " + std::to_string(most) +
                    " is possible: " + summary_of(read));
  }
  return out;
}

Sentences check_bank(const Operations& operations) {
  Sentences out;
  std::map<std::string, int64_t> opened;
  for (const Operation& op : operations)
    if (op.kind == "open" && opened.empty()) read_balances(op.arguments[0], &opened);
  int64_t sum = 0;
  for (const auto& [name, balance] : opened) sum += balance;
  for (const Operation& op : operations) {
    if (!ok_read(op) || op.result[0] == "-") continue;
    std::map<std::string, int64_t> balances;
    read_balances(op.result[0], &balances);
    int64_t got = 0;
    for (const auto& [name, balance] : balances) {
      got += balance;
      if (balance < 0) say(&out, name + " is overdrawn: " + summary_of(op));
    }
    if (got != sum)
      say(&out, "the sum is " + std::to_string(got) + ", not " + std::to_string(sum) + ": " +
                    summary_of(op));
  }
  return out;
}

Sentences check_set(const Operations& operations) {
  Sentences out;
  const Asked asked = asked_for(operations, "add", &out);
  for (const Operation& read : operations) {
    if (!ok_read(read)) continue;
    const Words words = elements(read);
    check_values(read, words, asked, &out);
    const std::set<std::string> there(words.begin(), words.end());
    for (const Operation& op : operations)
      if (op.kind == "add" && ok(op) && op.returned_ns < read.called_ns &&
          !there.contains(op.arguments[0]))
        say(&out, op.arguments[0] + " was added before this read began: " + summary_of(read));
  }
  return out;
}

Sentences check_object(const std::string& object, const Operations& operations,
                       const std::vector<Notice>& notices) {
  const std::string model = model_of(object);
  if (model == "append") return check_append(operations);
  if (model == "counter") return check_counter(operations);
  if (model == "bank") return check_bank(operations);
  if (model == "set") return check_set(operations);
  if (model == "watch") return check_watch(operations, notices);
  return {};
}

}  // namespace raftcs::history
