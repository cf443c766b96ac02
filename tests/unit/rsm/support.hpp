// support.hpp: a state machine that writes down all it is told, a TypeSource to offer it,
// and a short way to make entries.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>
#include <vector>

#include "raftcs_plugin.hpp"
#include "rsm/machine.hpp"

namespace raftcs::rsm::testing {

inline std::string text(std::string_view v) { return std::string(v); }

// Commands are texts:
//   "no ..."        refused with app_code 7 (state unchanged)
//   "throw", "bad"  an exception through the C line; a status other than OK
//   "push S text"   a push to session S; the reply says "pushed" or "busy"
//   "boom S text"   a push, then a failure
//   "silent ..."    no reply
//   "large N"       a push to its session and a reply of N bytes each
//   anything else   kept; the reply is "<number of lines>:<text>"
class Scribe : public raftcs_sm::StateMachine {
 public:
  static constexpr raftcs_sm::Type kType{.id = "org.test.scribe",
                                         .flags = RAFTCS_SM_CONCURRENT_SNAPSHOT,
                                         .apply_version_max = 3};

  void apply(const raftcs_sm::Command& c, raftcs_sm::Answer& answer) override {
    if (c.data == "bad") throw raftcs_sm::Error(RAFTCS_ERR_NO_MEMORY, "as asked");
    if (c.data == "throw") throw 42;
    if (c.data.substr(0, 3) == "no ") return answer.reply(7, "refused");
    if (c.data.substr(0, 5) == "push " || c.data.substr(0, 5) == "boom ") {
      const std::string rest = text(c.data.substr(5));
      const bool fits = answer.push(std::stoull(rest), rest.substr(rest.find(' ') + 1));
      if (c.data[0] == 'b') throw raftcs_sm::Error(RAFTCS_ERR_PLUGIN_FAILED, "boom");
      return answer.reply(0, fits ? "pushed" : "busy");
    }
    if (c.data.substr(0, 6) == "large ") return large(c, answer);
    lines.push_back(text(c.data));
    if (c.data.substr(0, 7) == "silent ") return;
    answer.reply(0, std::to_string(lines.size()) + ":" + text(c.data));
  }
  static void large(const raftcs_sm::Command& c, raftcs_sm::Answer& answer) {
    const std::string letter(std::stoull(text(c.data.substr(6))), 'l');
    const bool pushed = answer.push(c.session, letter);
    try {
      answer.reply(pushed ? 0 : 1, letter);
    } catch (const raftcs_sm::Error&) {
      answer.reply(2, pushed ? "reply refused" : "both refused");
    }
  }
  void query(const raftcs_sm::Query& q, raftcs_sm::Answer& answer) override {
    if (q.data == "throw") throw 1;
    if (q.data == "push") {
      answer.push(1, "never");
      return;
    }
    std::string all = "v" + std::to_string(q.apply_version);
    for (const auto& l : lines) all += "|" + l;
    answer.reply(0, all);
  }
  void session_started(const raftcs_sm::SessionEvent& e, raftcs_sm::Answer& answer) override {
    std::string line = "started " + std::to_string(e.session);
    for (const auto& [name, value] : e.capabilities) {
      line += " " + text(name) + "=" + text(value);
      if (name == "fail") throw raftcs_sm::Error(RAFTCS_ERR_PLUGIN_FAILED, "hook");
      if (name == "greet") answer.push(e.session, "welcome " + text(value));
    }
    lines.push_back(line);
  }
  void session_ended(const raftcs_sm::SessionEvent& e, raftcs_sm::Answer& answer) override {
    std::string line =
        "ended " + std::to_string(e.session) + " " + std::to_string(e.end_reason);
    for (std::string_view letter : e.undelivered) line += " [" + text(letter) + "]";
    lines.push_back(line);
    answer.push(e.session, "too late");
    answer.push(1, "gone " + std::to_string(e.session));  // session 1 is the admin of the tests
  }

  class Copy : public raftcs_sm::Snapshot {
   public:
    explicit Copy(std::vector<std::string> l) : lines_(std::move(l)) {}
    void write(raftcs_sm::Writer& out) override {
      out.u64(lines_.size());
      for (const auto& l : lines_) out.bytes(l);
    }

   private:
    std::vector<std::string> lines_;
  };
  std::unique_ptr<raftcs_sm::Snapshot> snapshot() override {
    return std::make_unique<Copy>(lines);
  }
  void restore(uint32_t, raftcs_sm::Reader& in) override {
    for (uint64_t n = in.u64(); n > 0; --n) lines.push_back(in.bytes());
    in.end();
  }

  std::vector<std::string> lines;
};

// Serial snapshots.
class Counter : public Scribe {
 public:
  static constexpr raftcs_sm::Type kType{.id = "org.test.serial"};
};

// A scribe that knows time and sessions. "alarm T" is due at T ms of log time, and fails when T is
// 13; "list [NAME [VALUE]]" replies with the live sessions, "1+ 2-" (there, gone).
class Alarm : public Scribe {
 public:
  static constexpr raftcs_sm::Type kType{
      .id = "org.test.alarm", .timers = true, .presence = true, .host_minor_required = 1};

  void apply(const raftcs_sm::Command& c, raftcs_sm::Answer& answer) override {
    if (c.data.substr(0, 6) == "alarm ") {
      alarms.insert(std::stoll(text(c.data.substr(6))));
      return answer.reply(0, "set");
    }
    if (c.data.substr(0, 4) == "list") return answer.reply(0, list(text(c.data), answer));
    Scribe::apply(c, answer);
  }
  void query(const raftcs_sm::Query& q, raftcs_sm::Answer& answer) override {
    if (q.data == "list") return answer.reply(0, list("list", answer));
    Scribe::query(q, answer);
  }
  int64_t next_timer_ns() override {
    return alarms.empty() ? INT64_MAX : *alarms.begin() * kNsPerMs;
  }
  void timer(const raftcs_sm::Timer& t, raftcs_sm::Answer& answer) override {
    while (!alarms.empty() && *alarms.begin() * kNsPerMs <= t.time_ns) {
      if (*alarms.begin() == 13) throw raftcs_sm::Error(RAFTCS_ERR_PLUGIN_FAILED, "thirteen");
      lines.push_back("rang " + std::to_string(*alarms.begin()) + " v" +
                      std::to_string(t.apply_version));
      answer.push(1, "rang " + std::to_string(*alarms.begin()));
      alarms.erase(alarms.begin());
    }
  }
  void session_presence(const raftcs_sm::SessionEvent& e, raftcs_sm::Answer& answer) override {
    lines.push_back((e.connected ? "here " : "gone ") + std::to_string(e.session));
    answer.push(1, lines.back());
  }
  std::unique_ptr<raftcs_sm::Snapshot> snapshot() override {
    std::vector<std::string> all = lines;
    for (int64_t a : alarms) all.push_back("\1" + std::to_string(a));
    return std::make_unique<Copy>(all);
  }
  void restore(uint32_t version, raftcs_sm::Reader& in) override {
    Scribe::restore(version, in);
    while (!lines.empty() && lines.back()[0] == '\1') {
      alarms.insert(std::stoll(lines.back().substr(1)));
      lines.pop_back();
    }
  }

  std::multiset<int64_t> alarms;

 private:
  static std::string list(const std::string& command, const raftcs_sm::Answer& answer) {
    const size_t name_at = command.find(' ');
    const size_t value_at = command.find(' ', name_at == std::string::npos ? 4 : name_at + 1);
    std::string name, value, all;
    if (name_at != std::string::npos) name = command.substr(name_at + 1, value_at - name_at - 1);
    if (value_at != std::string::npos) value = command.substr(value_at + 1);
    for (const auto& s : answer.sessions(name_at == std::string::npos ? nullptr : name.c_str(),
                                         value_at == std::string::npos ? nullptr : value.c_str())) {
      all += (all.empty() ? "" : " ") + std::to_string(s.session) + (s.connected ? "+" : "-");
      for (const auto& [n, v] : s.capabilities) all += text(n) + "=" + text(v);
    }
    return all;
  }
};

class FakeTypes : public TypeSource {
 public:
  FakeTypes() {
    add(raftcs_sm::type_of<Scribe>());
    add(raftcs_sm::type_of<Counter>());
    add(raftcs_sm::type_of<Alarm>());
    host_.struct_size = sizeof host_;
    host_.ctx = this;
    host_.log = [](const raftcs_host_t* h, int32_t, const char* utf8, size_t len) {
      static_cast<FakeTypes*>(h->ctx)->logged.emplace_back(utf8, len);
    };
    host_.extension = [](const raftcs_host_t*, const char*) -> const void* { return nullptr; };
  }
  void add(const raftcs_sm_type_t* type) { types_[type->id] = type; }
  void remove(const std::string& id) { types_.erase(id); }
  const raftcs_sm_type_t* find(const std::string& id) override {
    const auto it = types_.find(id);
    return it == types_.end() ? nullptr : it->second;
  }
  const raftcs_host_t* host() override { return &host_; }

  std::vector<std::string> logged;

 private:
  std::map<std::string, const raftcs_sm_type_t*> types_;
  raftcs_host_t host_{};
};

inline Uuid uuid_of(uint64_t n) {
  Uuid u;
  std::memcpy(u.bytes.data(), &n, sizeof n);
  return u;
}
inline CreateSession new_session(uint64_t n, uint64_t timeout_ms = 1000, Capabilities caps = {}) {
  return {uuid_of(n), uuid_of(n + 1'000'000), timeout_ms, std::move(caps)};
}
inline Command cmd(uint64_t session, uint64_t id, std::string_view payload, uint64_t lowest = 1,
                   uint64_t service = 1) {
  return {SessionNum(session), RequestId(id), RequestId(lowest), ServiceNum(service),
          Bytes::copy(payload)};
}

inline std::string bytes_of(Machine& machine) {
  std::string out;
  auto snapshot = machine.begin_snapshot();
  EXPECT_TRUE(snapshot.is_ok()) << snapshot.status().text();
  if (!snapshot.is_ok()) return out;
  const Status status = (*snapshot)->write([&](const void* data, size_t size) {
    out.append(static_cast<const char*>(data), size);
    return true;
  });
  EXPECT_TRUE(status.is_ok()) << status.text();
  return out;
}
inline ReadFn reader_of(const std::string& bytes, size_t piece = 1000) {
  auto at = std::make_shared<size_t>(0);
  return [&bytes, at, piece](void* out, size_t size) -> Result<size_t> {
    const size_t n = std::min({size, bytes.size() - *at, piece});
    std::memcpy(out, bytes.data() + *at, n);
    *at += n;
    return n;
  };
}

// One machine and the log that made it.
struct Rig {
  explicit Rig(const Limits& limits = {}) : machine(types, limits) {}

  // Service 1 of type alarm.
  void begin_alarm(uint64_t sessions) {
    apply({CreateService{"clock", "org.test.alarm"}});
    for (uint64_t i = 1; i <= sessions; ++i) apply({new_session(i)});
  }
  raft::Entry entry_of(const std::vector<Op>& ops) {
    OpsWriter writer;
    for (const Op& op : ops) writer.add(op);
    raft::Entry e;
    e.index = machine.applied().next();
    e.term = Term(1);
    e.type = raft::EntryType::ops;
    e.time = LogTime{now_ms * kNsPerMs};
    e.payload = writer.take();
    return e;
  }
  Status try_apply(const std::vector<Op>& ops) {
    out.clear();
    return machine.apply(entry_of(ops), &out);
  }
  ApplyOutput& apply(const std::vector<Op>& ops) {
    const Status status = try_apply(ops);
    EXPECT_TRUE(status.is_ok()) << status.text();
    return out;
  }
  // Service 1 of type scribe, sessions 1..n.
  void begin(uint64_t sessions) {
    apply({CreateService{"notes", "org.test.scribe"}});
    for (uint64_t i = 1; i <= sessions; ++i) apply({new_session(i)});
  }
  Reply one(const Command& command) {
    apply({command});
    EXPECT_EQ(out.replies.size(), 1u);
    return out.replies.empty() ? Reply{} : out.replies[0];
  }
  std::string lines(uint64_t service = 1) {
    return machine.query(ServiceNum(service), SessionNum(1), {}).data.str();
  }

  FakeTypes types;
  Machine machine;
  ApplyOutput out;
  int64_t now_ms = 0;
};

}  // namespace raftcs::rsm::testing
