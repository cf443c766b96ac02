// kv.cpp: a key-value store with versions, compare-and-set, counters, ranges and watches.
//
// The codec is in README.md. Keys and values are byte strings. Each key has a version: the
// log index of its last change. Values never go by themselves.
//
// Values are shared and immutable: a snapshot copies the map of pointers (about 100 ns a
// key on the apply lane) and is written beside apply. Watches belong to sessions and end
// with them. A watcher whose window is full loses that watch, and is told so as soon as
// there is room (see lose()): it never misses a change without knowing.
#include <algorithm>
#include <cstring>
#include <map>
#include <set>

#include "../common/msgpack_lite.hpp"
#include "raftcs_plugin.hpp"

namespace {

using msgpack_lite::Reader;
using msgpack_lite::Writer;
using raftcs_sm::Answer;

enum AppCode : int32_t {
  kOk = 0,
  kNotFound = 1,
  kCompareFailed = 2,
  kNotANumber = 3,
  kMalformed = 4,
  kTooLarge = 5,
};

constexpr size_t kKeyBytesMax = 4096;
constexpr size_t kValueBytesMax = 8u << 20;
constexpr uint32_t kRangeMax = 10'000;       // keys of one answer
constexpr size_t kRangeBytesMax = 4u << 20;  // of one answer, about
constexpr size_t kWatchesMax = 100'000;      // of a session, with those lost and not yet told

// What a watch may begin with: half of the window that raftcs has for a session's pushes, so that
// an attentive client gets it, and the changes that come meanwhile.
constexpr size_t kPresentKeysMax = 5'000;
constexpr size_t kPresentBytesMax = 32u << 20;  // of keys and values

struct Value {
  uint64_t version;
  std::string bytes;
};
using ValuePtr = std::shared_ptr<const Value>;
using Values = std::map<std::string, ValuePtr, std::less<>>;

// A watch is a key or, with `prefix`, all keys that begin with it.
struct Watch {
  bool prefix;
  std::string key;
  auto operator<=>(const Watch&) const = default;
};
using Watches = std::map<Watch, std::set<uint64_t>>;    // who watches it
using BySession = std::map<uint64_t, std::set<Watch>>;  // what a session watches, or lost

void write_watches(const BySession& by_session, raftcs_sm::Writer& out) {
  out.u64(by_session.size());
  for (const auto& [session, watches] : by_session) {
    out.u64(session);
    out.u64(watches.size());
    for (const Watch& w : watches) {
      out.u64(w.prefix ? 1 : 0);
      out.bytes(w.key);
    }
  }
}

class KvSnapshot : public raftcs_sm::Snapshot {
 public:
  KvSnapshot(Values values, BySession watched, BySession lost, uint64_t last_told)
      : values_(std::move(values)),
        watched_(std::move(watched)),
        lost_(std::move(lost)),
        last_told_(last_told) {}
  void write(raftcs_sm::Writer& out) override {
    out.u64(values_.size());
    for (const auto& [key, value] : values_) {
      out.bytes(key);
      out.u64(value->version);
      out.bytes(value->bytes);
    }
    write_watches(watched_, out);
    write_watches(lost_, out);
    out.u64(last_told_);
  }

 private:
  Values values_;
  BySession watched_;
  BySession lost_;
  uint64_t last_told_;
};

bool parse_number(std::string_view s, int64_t* out) {
  if (s.empty() || s.size() > 20) return false;
  const bool negative = s[0] == '-';
  if (negative) s.remove_prefix(1);
  if (s.empty()) return false;
  int64_t v = 0;
  for (char c : s) {
    if (c < '0' || c > '9') return false;
    const int64_t digit = c - '0';
    if (__builtin_mul_overflow(v, 10, &v) ||
        (negative ? __builtin_sub_overflow(v, digit, &v) : __builtin_add_overflow(v, digit, &v)))
      return false;
  }
  *out = v;
  return true;
}

class Kv : public raftcs_sm::StateMachine {
 public:
  static constexpr raftcs_sm::Type kType{
      .id = "org.raftcs.kv", .flags = RAFTCS_SM_CONCURRENT_SNAPSHOT | RAFTCS_SM_HAS_DIGEST};

  void apply(const raftcs_sm::Command& command, Answer& answer) override {
    tell_next_lost(answer);
    Reader in(command.data);
    const uint32_t size = in.array();
    const std::string_view op = in.bytes();
    const std::string_view key = in.bytes();
    if (in.failed()) return answer.reply(kMalformed);
    if (key.size() > kKeyBytesMax) return answer.reply(kTooLarge);
    if (op == "put" && size == 3) return put(command, key, in, answer);
    if (op == "del" && size == 2) return del(command, key, in, answer);
    if (op == "cas" && size == 4) return cas(command, key, in, answer);
    if (op == "incr" && size == 3) return incr(command, key, in, answer);
    if (op == "append" && size == 3) return append(command, key, in, answer);
    const bool watching = op == "watch";
    if ((watching || op == "unwatch") && (size == 2 || size == 3)) {
      const bool prefix = size == 3 && in.boolean();
      if (!in.done()) return answer.reply(kMalformed);
      const Watch w{prefix, std::string(key)};
      return watching ? watch(command.session, w, answer) : unwatch(command.session, w, answer);
    }
    answer.reply(kMalformed);
  }

  void query(const raftcs_sm::Query& query, Answer& answer) override {
    Reader in(query.data);
    const uint32_t size = in.array();
    const std::string_view op = in.bytes();
    if (op == "get" && size == 2) {
      const std::string_view key = in.bytes();
      if (!in.done()) return answer.reply(kMalformed);
      const Value* value = find(key);
      if (value == nullptr) return answer.reply(kNotFound);
      return answer.reply(
          kOk, Writer().array(2).bytes(value->bytes).integer(number(value->version)).str());
    }
    if (op == "range" && size == 4) return range(in, answer);
    answer.reply(kMalformed);
  }

  void session_ended(const raftcs_sm::SessionEvent& event, Answer&) override {
    lost_.erase(event.session);
    const auto it = watched_.find(event.session);
    if (it == watched_.end()) return;
    for (const Watch& w : it->second) remove_watcher(w, event.session);
    watched_.erase(it);
  }

  std::unique_ptr<raftcs_sm::Snapshot> snapshot() override {
    return std::make_unique<KvSnapshot>(values_, watched_, lost_, last_told_);
  }
  void restore(uint32_t, raftcs_sm::Reader& in) override;
  uint64_t digest() override { return digest_; }

 private:
  static int64_t number(uint64_t v) { return static_cast<int64_t>(v); }

  const Value* find(std::string_view key) const {
    const auto it = values_.find(key);
    return it == values_.end() ? nullptr : it->second.get();
  }

  void put(const raftcs_sm::Command& c, std::string_view key, Reader& in, Answer& answer) {
    const std::string_view value = in.bytes();
    if (!in.done()) return answer.reply(kMalformed);
    store(c, key, std::string(value), answer);
  }

  void del(const raftcs_sm::Command& c, std::string_view key, Reader& in, Answer& answer) {
    if (!in.done()) return answer.reply(kMalformed);
    if (find(key) == nullptr) return answer.reply(kNotFound);
    erase(c, key, answer);
  }

  // Expected nil: the key must not exist. Value nil: delete.
  void cas(const raftcs_sm::Command& c, std::string_view key, Reader& in, Answer& answer) {
    const bool absent = in.nil();
    const std::string_view expected = absent ? std::string_view() : in.bytes();
    const bool remove = in.nil();
    const std::string_view value = remove ? std::string_view() : in.bytes();
    if (!in.done()) return answer.reply(kMalformed);
    const Value* now = find(key);
    if (absent ? now != nullptr : now == nullptr || now->bytes != expected) {
      Writer w;
      w.array(2);
      now == nullptr ? w.nil().integer(0) : w.bytes(now->bytes).integer(number(now->version));
      return answer.reply(kCompareFailed, w.str());
    }
    if (!remove) return store(c, key, std::string(value), answer);
    if (now == nullptr) return answer.reply(kOk, Writer().array(1).integer(0).str());
    erase(c, key, answer);
  }

  void incr(const raftcs_sm::Command& c, std::string_view key, Reader& in, Answer& answer) {
    const int64_t delta = in.integer();
    if (!in.done()) return answer.reply(kMalformed);
    int64_t v = 0;
    if (const Value* now = find(key); now != nullptr && !parse_number(now->bytes, &v))
      return answer.reply(kNotANumber);
    if (__builtin_add_overflow(v, delta, &v)) return answer.reply(kNotANumber);
    set(key, std::to_string(v), c.index);
    answer.reply(kOk, Writer().array(2).integer(v).integer(number(c.index)).str());
    notify(key, answer);
  }

  void append(const raftcs_sm::Command& c, std::string_view key, Reader& in, Answer& answer) {
    const std::string_view more = in.bytes();
    if (!in.done()) return answer.reply(kMalformed);
    const Value* now = find(key);
    std::string value = now == nullptr ? std::string() : now->bytes;
    if (more.size() > kValueBytesMax - value.size()) return answer.reply(kTooLarge);
    value += more;
    store(c, key, std::move(value), answer);
  }

  void range(Reader& in, Answer& answer) const {
    const std::string_view from = in.bytes();
    const bool open = in.nil();
    const std::string_view to = open ? std::string_view() : in.bytes();
    const int64_t limit = in.integer();
    if (!in.done() || limit < 0) return answer.reply(kMalformed);
    const size_t most = limit == 0 ? kRangeMax : std::min<size_t>(kRangeMax, limit);
    auto it = values_.lower_bound(from);
    Writer rows;
    uint32_t count = 0;
    const auto more = [&] { return it != values_.end() && (open || it->first < to); };
    for (; more() && count < most && rows.str().size() < kRangeBytesMax; ++it, ++count)
      rows.array(3).bytes(it->first).bytes(it->second->bytes).integer(
          number(it->second->version));
    Writer w;
    w.array(2).boolean(more()).array(count);
    answer.reply(kOk, w.str() + rows.str());
  }

  void store(const raftcs_sm::Command& c, std::string_view key, std::string value,
             Answer& answer) {
    if (value.size() > kValueBytesMax) return answer.reply(kTooLarge);
    set(key, std::move(value), c.index);
    answer.reply(kOk, Writer().array(1).integer(number(c.index)).str());
    notify(key, answer);
  }

  void erase(const raftcs_sm::Command& c, std::string_view key, Answer& answer) {
    const auto it = values_.find(key);
    digest_ ^= hash(it->first, *it->second);
    values_.erase(it);
    answer.reply(kOk, Writer().array(1).integer(number(c.index)).str());
    if (!watches_.empty())
      notify(key, Writer().array(4).text("del").bytes(key).nil().integer(number(c.index)).str(),
             answer);
  }

  void set(std::string_view key, std::string value, uint64_t version) {
    auto fresh = std::make_shared<const Value>(Value{version, std::move(value)});
    auto it = values_.lower_bound(key);
    if (it != values_.end() && it->first == key)
      digest_ ^= hash(key, *it->second);
    else
      it = values_.emplace_hint(it, std::string(key), nullptr);
    digest_ ^= hash(key, *fresh);
    it->second = std::move(fresh);
  }

  // Order does not matter in it, so it is kept up to date with each change.
  static uint64_t hash(std::string_view key, const Value& value) {
    uint64_t h = 0xcbf29ce484222325ull ^ value.version;
    const auto add = [&h](std::string_view s) {
      h = (h ^ s.size()) * 0x9E3779B97F4A7C15ull;
      for (; s.size() >= 8; s.remove_prefix(8)) {
        uint64_t word;
        std::memcpy(&word, s.data(), 8);
        h = (h ^ word) * 0x9E3779B97F4A7C15ull;
        h ^= h >> 32;
      }
      for (char ch : s) h = (h ^ static_cast<uint8_t>(ch)) * 0x100000001b3ull;
    };
    add(key);
    add(value.bytes);
    return h ^ (h >> 29);
  }

  // ---- watches ----

  static std::string put_event(std::string_view key, const Value& v) {
    return Writer().array(4).text("put").bytes(key).bytes(v.bytes).integer(number(v.version)).str();
  }

  void watch(uint64_t session, const Watch& w, Answer& answer) {
    // What is owed is told first: without that word a deletion since then would never be known.
    // While it has no room the watch does not begin: the word comes, and then it is asked again.
    tell_lost(session, answer);
    if (has(lost_, session, w)) return answer.reply(kOk);
    if (has(watched_, session, w)) return answer.reply(kOk);  // idempotent: no event again
    if (size(watched_, session) + size(lost_, session) >= kWatchesMax)
      return answer.reply(kTooLarge);
    if (!tellable(w)) return answer.reply(kTooLarge);
    watched_[session].insert(w);
    watches_[w].insert(session);
    answer.reply(kOk);
    // The present first, so that whoever watches needs no query.
    auto it = values_.lower_bound(w.key);
    while (it != values_.end() && covers(w, it->first)) {
      if (!answer.push(session, put_event(it->first, *it->second))) {
        lose(session, w, answer);
        return;
      }
      ++it;
    }
  }

  void unwatch(uint64_t session, const Watch& w, Answer& answer) {
    forget_lost(session, w);
    drop_watch(session, w);
    answer.reply(kOk);
  }

  bool tellable(const Watch& w) const {
    size_t keys = 0, bytes = 0;
    for (auto it = values_.lower_bound(w.key); it != values_.end() && covers(w, it->first); ++it) {
      bytes += it->first.size() + it->second->bytes.size();
      if (++keys > kPresentKeysMax || bytes > kPresentBytesMax) return false;
    }
    return true;
  }
  static bool has(const BySession& all, uint64_t session, const Watch& w) {
    const auto it = all.find(session);
    return it != all.end() && it->second.count(w) != 0;
  }
  static size_t size(const BySession& all, uint64_t session) {
    const auto it = all.find(session);
    return it == all.end() ? 0 : it->second.size();
  }
  static bool covers(const Watch& w, std::string_view key) {
    return w.prefix ? key.substr(0, w.key.size()) == w.key : key == w.key;
  }

  void notify(std::string_view key, Answer& answer) {
    if (watches_.empty()) return;
    notify(key, put_event(key, *find(key)), answer);
  }
  void notify(std::string_view key, const std::string& event, Answer& answer) {
    std::set<uint64_t> to;  // once each, however many watches of a session cover the key
    const auto add = [&](const Watch& w) {
      if (const auto it = watches_.find(w); it != watches_.end())
        to.insert(it->second.begin(), it->second.end());
    };
    add({false, std::string(key)});
    if (!watches_.empty() && watches_.rbegin()->first.prefix)  // prefixes sort last
      for (size_t n = 0; n <= key.size(); ++n) add({true, std::string(key.substr(0, n))});
    for (uint64_t session : to)
      if (!answer.push(session, event)) lose_covering(session, key, answer);
  }

  void lose_covering(uint64_t session, std::string_view key, Answer& answer) {
    lose(session, {false, std::string(key)}, answer);
    for (size_t n = 0; n <= key.size(); ++n)
      lose(session, {true, std::string(key.substr(0, n))}, answer);
  }

  // The window of the session is full: the watch ends, and ["lost", key, prefix, 0] is owed. It
  // goes out now if it is small enough to fit still, else with a later command of anybody:
  // each command tries one session that is owed something, in turn.
  void lose(uint64_t session, const Watch& w, Answer& answer) {
    if (!drop_watch(session, w)) return;
    lost_[session].insert(w);
    tell_lost(session, answer);
  }
  void tell_next_lost(Answer& answer) {
    if (lost_.empty()) return;
    auto it = lost_.upper_bound(last_told_);
    if (it == lost_.end()) it = lost_.begin();
    last_told_ = it->first;
    tell_lost(it->first, answer);
  }
  void tell_lost(uint64_t session, Answer& answer) {
    const auto it = lost_.find(session);
    if (it == lost_.end()) return;
    auto& owed = it->second;
    while (!owed.empty()) {
      const Watch& w = *owed.begin();
      Writer marker;
      marker.array(4).text("lost").bytes(w.key).boolean(w.prefix).integer(0);
      if (!answer.push(session, marker.str())) return;
      owed.erase(owed.begin());
    }
    lost_.erase(it);
  }
  void forget_lost(uint64_t session, const Watch& w) {
    const auto it = lost_.find(session);
    if (it == lost_.end()) return;
    it->second.erase(w);
    if (it->second.empty()) lost_.erase(it);
  }
  bool drop_watch(uint64_t session, const Watch& w) {
    const auto it = watched_.find(session);
    if (it == watched_.end() || it->second.erase(w) == 0) return false;
    if (it->second.empty()) watched_.erase(it);
    remove_watcher(w, session);
    return true;
  }
  void remove_watcher(const Watch& w, uint64_t session) {
    const auto it = watches_.find(w);
    if (it == watches_.end()) return;
    it->second.erase(session);
    if (it->second.empty()) watches_.erase(it);
  }

  Values values_;
  Watches watches_;      // an index of watched_
  BySession watched_;
  BySession lost_;          // markers that had no room yet
  uint64_t last_told_ = 0;  // the session of lost_ that was tried last
  uint64_t digest_ = 0;  // of values_
};

BySession read_watches(raftcs_sm::Reader& in) {
  BySession by_session;
  for (uint64_t sessions = in.u64(); sessions > 0; --sessions) {
    auto& watches = by_session[in.u64()];
    for (uint64_t n = in.u64(); n > 0; --n) {
      const bool prefix = in.u64() != 0;
      watches.insert({prefix, in.bytes()});
    }
  }
  return by_session;
}

void Kv::restore(uint32_t, raftcs_sm::Reader& in) {
  for (uint64_t n = in.u64(); n > 0; --n) {
    std::string key = in.bytes();
    const uint64_t version = in.u64();
    if (!values_.empty() && values_.rbegin()->first >= key)
      throw raftcs_sm::Error(RAFTCS_ERR_CORRUPT, "keys are not in order");
    set(key, in.bytes(), version);
  }
  watched_ = read_watches(in);
  lost_ = read_watches(in);
  last_told_ = in.u64();
  in.end();
  for (const auto& [session, watches] : watched_)
    for (const Watch& w : watches) watches_[w].insert(session);
}

}  // namespace

RAFTCS_PLUGIN("kv", "1.0.0", "raftcs", "same as raftcs", Kv)
