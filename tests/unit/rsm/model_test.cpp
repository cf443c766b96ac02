// T-M25: random operations of every kind against a model that is as simple as the rules (maps,
// no ring, no batches), with snapshot and restore at random points. The model knows X1, X2,
// X4..X7, X9, X10, X12; entries group operations at random, the model sees one at a time. What
// happened is counted, and a campaign in which something never happened fails.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <random>
#include <set>

#include "rsm/replies.hpp"
#include "support.hpp"

namespace raftcs::rsm::testing {
namespace {

struct Random {
  explicit Random(uint64_t seed) : bits(seed) {}
  uint64_t below(uint64_t n) { return bits() % n; }
  uint64_t between(uint64_t lo, uint64_t hi) { return lo + below(hi - lo + 1); }
  std::mt19937_64 bits;
};

// What the runs of one property met, over all its seeds.
struct Tally {
  std::map<ReplyKind, uint64_t> replies;
  std::map<std::string, uint64_t> met;
};

struct ModelReply {
  ReplyKind kind;
  int32_t app_code = 0;
  std::string data;
  bool operator==(const ModelReply&) const = default;
};

constexpr uint64_t kAlarm = 3;

struct Model {
  struct Session {
    uint64_t floor = 1;
    uint64_t highest = 0;
    int64_t created = 0, last_active = 0;
    std::map<uint64_t, std::pair<std::string, ModelReply>> replies;  // id -> payload, reply
    std::map<uint64_t, uint64_t> made_in;                            // id -> entry of the reply
    std::map<uint64_t, std::pair<uint64_t, std::string>> pushes;     // id -> service, payload
    uint64_t last_push = 0, acked = 0, holder = 0;
    bool connected = true;
    uint64_t counts_of = 0;  // the entry that these are of
    uint64_t made = 0, counted = 0, uncounted = 0;
  };
  Limits limits;
  std::map<uint64_t, Session> sessions;
  std::map<uint64_t, uint64_t> proofs;                 // of live sessions
  std::map<uint64_t, std::vector<std::string>> lines;  // of each service
  std::map<std::string, std::string> types;            // of services by name
  std::map<uint64_t, uint32_t> versions;               // of services
  Tally* tally = nullptr;
  uint64_t entry = 0;
  uint64_t next_session = 1;
  std::set<std::pair<uint64_t, uint64_t>> ran;  // X1
  std::multiset<int64_t> alarms;                // of service 3, which knows time and sessions
  uint64_t rang = 0;

  void tick(int64_t now) {
    while (!alarms.empty() && *alarms.begin() <= now) {
      const std::string text = "rang " + std::to_string(*alarms.begin());
      lines[kAlarm].push_back(text + " v1");
      push(kAlarm, 1, text);
      alarms.erase(alarms.begin());
      ++rang;
    }
  }
  void set_connected(uint64_t num, bool connected) {
    const auto it = sessions.find(num);
    if (it == sessions.end() || it->second.connected == connected) return;
    it->second.connected = connected;
    lines[kAlarm].push_back((connected ? "here " : "gone ") + std::to_string(num));
    push(kAlarm, 1, lines[kAlarm].back());
  }

  bool push(uint64_t service, uint64_t to, const std::string& payload) {
    if (sessions.count(to) == 0) return true;
    Session& s = sessions[to];
    if (s.pushes.size() >= limits.pushes_max) return false;
    s.pushes[++s.last_push] = {service, payload};
    return true;
  }

  ModelReply run(uint64_t service, const std::string& payload) {
    if (service == kAlarm && payload.substr(0, 6) == "alarm ") {
      alarms.insert(std::stoll(payload.substr(6)));
      return {ReplyKind::applied, 0, "set"};
    }
    if (service == kAlarm && payload == "list") {
      std::string all;
      for (const auto& [num, s] : sessions)
        all += (all.empty() ? "" : " ") + std::to_string(num) + (s.connected ? "+" : "-");
      return {ReplyKind::applied, 0, all};
    }
    if (payload.substr(0, 7) == "silent ") {
      lines[service].push_back(payload);
      return {ReplyKind::applied, 0, {}};
    }
    if (payload.substr(0, 3) == "no ") return {ReplyKind::applied, 7, "refused"};
    if (payload.substr(0, 5) == "push ") {
      const std::string rest = payload.substr(5);
      const bool fits = push(service, std::stoull(rest), rest.substr(rest.find(' ') + 1));
      return {ReplyKind::applied, 0, fits ? "pushed" : "busy"};
    }
    lines[service].push_back(payload);
    return {ReplyKind::applied, 0, std::to_string(lines[service].size()) + ":" + payload};
  }

  ModelReply command(const Command& c, int64_t now) {
    const auto it = sessions.find(c.session.value);
    if (it == sessions.end()) return {ReplyKind::unknown_session, 0, {}};
    Session& s = it->second;
    s.last_active = now;
    const uint64_t lowest = std::min(c.lowest_pending.value, c.id.value);
    s.floor = std::max(s.floor, lowest);
    s.replies.erase(s.replies.begin(), s.replies.lower_bound(s.floor));
    if (c.lowest_pending > c.id) ++tally->met["lowest_pending above the id"];
    if (lowest < s.floor) ++tally->met["lowest_pending below the floor"];
    if (c.id.value < s.highest) ++tally->met["an id below the highest"];
    if (c.id.value < s.floor) return {ReplyKind::evicted, 0, {}};
    const std::string key = std::to_string(c.service.value) + "/" + c.payload.str();
    if (const auto cached = s.replies.find(c.id.value); cached != s.replies.end()) {
      if (cached->second.first != key) return {ReplyKind::misuse, 0, {}};
      ModelReply r = cached->second.second;
      if (r.kind == ReplyKind::applied) r.kind = ReplyKind::duplicate;
      return r;
    }
    if (c.id.value >= s.floor + limits.replies_max) return {ReplyKind::too_many_replies, 0, {}};
    if (!has_room(s, c.id.value)) return {ReplyKind::too_many_replies, 0, {}};
    ModelReply r{ReplyKind::unknown_service, 0, {}};
    if (lines.count(c.service.value) != 0) {
      RC_ASSERT(ran.insert({c.session.value, c.id.value}).second);
      s.highest = std::max(s.highest, c.id.value);
      r = run(c.service.value, c.payload.str());
      s.made += r.data.size();
      ++s.uncounted;
      if (r.data == "busy") ++tally->met["a session full of pushes"];
    }
    // The application may have pushed to this very session: look it up again.
    sessions[c.session.value].replies[c.id.value] = {key, r};
    sessions[c.session.value].made_in[c.id.value] = entry;
    return r;
  }

  bool has_room(Session& s, uint64_t id) {
    if (s.counts_of != entry) s.made = s.counted = s.uncounted = 0;
    s.counts_of = entry;
    if (s.uncounted == kUncountedMax) {
      s.counted = s.made;
      s.uncounted = 0;
      ++tally->met["replies were counted"];
    }
    uint64_t bytes = 0;  // of entries before this one
    for (const auto& [at, r] : s.replies)
      if (s.made_in[at] < entry) bytes += r.second.data.size();
    const bool lowest = id == s.floor;  // nothing is freed before it has run
    if (s.counted >= limits.reply_bytes_max) {
      ++tally->met[lowest ? "the lowest open id waits for an entry" : "one entry made it all"];
      return false;
    }
    if (bytes + s.counted < limits.reply_bytes_max) return true;
    ++tally->met[lowest ? "the lowest open id beyond the bytes" : "no bytes left"];
    return lowest;
  }

  void end(uint64_t num, int reason) {
    const Session gone = sessions[num];
    sessions.erase(num);
    for (auto it = proofs.begin(); it != proofs.end();)
      it = it->second == num ? proofs.erase(it) : std::next(it);
    for (auto& [service, written] : lines) {
      std::string line = "ended " + std::to_string(num) + " " + std::to_string(reason);
      for (const auto& [id, p] : gone.pushes)
        if (p.first == service) line += " [" + p.second + "]";
      written.push_back(line);
      push(service, 1, "gone " + std::to_string(num));
    }
  }
};

constexpr uint64_t kTimeoutMs = 50;

Op random_op(Random* r, uint64_t sessions) {
  // Mostly those that may live, which are among the latest.
  const auto some = [&] {
    if (r->below(4) == 0) return r->between(0, sessions + 1);
    return r->between(sessions > 7 ? sessions - 7 : 1, sessions);
  };
  const uint64_t session = some();
  switch (r->below(17)) {
    case 0: return new_session(r->between(1, 7), kTimeoutMs);
    case 12: {
      const char* names[] = {"one", "two", "three", "bad name"};
      return CreateService{names[r->below(4)],
                           r->below(4) == 0 ? "org.test.serial" : "org.test.scribe"};
    }
    case 13:  // the first is a scribe, which knows versions up to 3
      return RaiseVersion{ServiceNum(r->below(4) == 0 ? 9 : 1),
                          static_cast<uint32_t>(r->between(1, 3))};
    case 1: return CloseSession{SessionNum(session)};
    case 2: return Acknowledge{SessionNum(session), PushId(r->below(r->below(4) == 0 ? 12 : 2))};
    case 3: return Touch{{SessionNum(session), SessionNum(r->between(1, sessions + 1))}};
    case 4: return Expire{{SessionNum(session), SessionNum(r->between(1, sessions + 1))}};
    case 14: return TakeOver{SessionNum(session), HolderId(r->below(4) << 32 | r->below(3))};
    case 15: return Tick{};
    case 16:
      return Presence{{SessionNum(session)}, {SessionNum(r->between(1, sessions + 1))}};
    default: break;
  }
  const uint64_t id = r->between(1, 14);
  const uint64_t to = std::max<uint64_t>(some(), 1);
  const char* verbs[] = {"line a", "line b", "no thanks", "push ", "push ", "list", "alarm "};
  std::string payload = verbs[r->below(7)];
  if (payload == "alarm ") payload += std::to_string(20 * r->between(1, 30));
  if (payload == "push ") payload += std::to_string(to) + " p" + std::to_string(id);
  return cmd(std::max<uint64_t>(session, 1), id, payload, r->below(5) == 0 ? r->below(14) : 1,
             r->below(10) == 0 ? 9 : 1 + r->below(3));
}

// Many commands of one session, most without bytes in the reply.
void add_burst(Random* r, uint64_t session, std::vector<Op>* ops) {
  const uint64_t behind = r->between(0, 5);  // how far the floor stays behind
  const uint64_t first = r->between(1, 12), end = first + r->between(30, 50);
  for (uint64_t id = first; id < end; ++id)
    ops->emplace_back(cmd(session, id, r->below(8) == 0 ? "line a" : "silent one",
                          id > behind ? id - behind : 1));
}

void check_op(Model* m, const Op& op, int64_t now, std::vector<ModelReply>* expected) {
  const auto live = [&](SessionNum n) { return m->sessions.count(n.value) != 0; };
  if (const auto* c = std::get_if<Command>(&op)) {
    expected->push_back(m->command(*c, now));
  } else if (const auto* s = std::get_if<CreateSession>(&op)) {
    uint64_t proof;
    std::memcpy(&proof, s->proof.bytes.data(), sizeof proof);
    if (m->proofs.count(proof) != 0) {
      m->sessions[m->proofs[proof]].last_active = now;
      ++m->tally->met["a session asked for again"];
      return;
    }
    if (m->sessions.size() >= m->limits.sessions_max) {
      ++m->tally->met["no room for a session"];
      return;
    }
    const uint64_t num = m->next_session++;
    m->proofs[proof] = num;
    m->sessions[num].last_active = m->sessions[num].created = now;
    for (auto& [service, written] : m->lines) written.push_back("started " + std::to_string(num));
  } else if (const auto* close = std::get_if<CloseSession>(&op)) {
    if (live(close->session)) m->end(close->session.value, RAFTCS_SESSION_END_CLOSED);
  } else if (const auto* ack = std::get_if<Acknowledge>(&op)) {
    if (!live(ack->session)) return;
    Model::Session& st = m->sessions[ack->session.value];
    st.last_active = now;
    st.acked = std::max(st.acked, std::min(ack->up_to.value, st.last_push));
    st.pushes.erase(st.pushes.begin(), st.pushes.upper_bound(st.acked));
  } else if (const auto* take = std::get_if<TakeOver>(&op)) {
    if (!live(take->session)) return;
    Model::Session& st = m->sessions[take->session.value];
    if (take->holder.value >> 32 <= st.holder >> 32) return;  // decision 0021
    st.holder = take->holder.value;
    st.last_active = now;
  } else if (const auto* touch = std::get_if<Touch>(&op)) {
    for (SessionNum n : touch->sessions)
      if (live(n)) m->sessions[n.value].last_active = now;
  } else if (std::holds_alternative<Tick>(op)) {
    m->tick(now);
  } else if (const auto* presence = std::get_if<Presence>(&op)) {
    for (SessionNum n : presence->connected) m->set_connected(n.value, true);
    for (SessionNum n : presence->gone) m->set_connected(n.value, false);
  } else if (const auto* expire = std::get_if<Expire>(&op)) {
    for (SessionNum n : expire->sessions)
      if (live(n) && now - m->sessions[n.value].last_active >= static_cast<int64_t>(kTimeoutMs))
        ++m->tally->met["expired"], m->end(n.value, RAFTCS_SESSION_END_EXPIRED);
  } else if (const auto* service = std::get_if<CreateService>(&op)) {
    if (service->name == "bad name" || m->types.count(service->name) != 0) return;
    m->types[service->name] = service->type;
    const uint64_t num = m->types.size();
    m->versions[num] = 1;
    m->lines[num];
    for (const auto& [session, state] : m->sessions)
      m->lines[num].push_back("started " + std::to_string(session));
    if (num > 2) ++m->tally->met["a service created among sessions"];
  } else if (const auto* raise = std::get_if<RaiseVersion>(&op)) {
    const auto it = m->versions.find(raise->service.value);
    if (it == m->versions.end() || raise->apply_version <= it->second) return;
    it->second = raise->apply_version;
    ++m->tally->met["a version raised"];
  }
}

void compare(Rig* rig, const Model& m) {
  const auto infos = rig->machine.sessions();
  RC_ASSERT(infos.size() == m.sessions.size());
  for (const SessionInfo& info : infos) {
    const Model::Session& s = m.sessions.at(info.num.value);
    RC_ASSERT(info.last_active.ns == s.last_active * kNsPerMs);
    RC_ASSERT(info.created.ns == s.created * kNsPerMs);
    RC_ASSERT(info.highest_request.value == s.highest);
    RC_ASSERT(info.timeout_ms == kTimeoutMs);
    RC_ASSERT(info.connected == s.connected);
    RC_ASSERT(info.replies_cached == s.replies.size());
    RC_ASSERT(info.last_push.value == s.last_push);
    RC_ASSERT(info.acked_push.value == s.acked);
    RC_ASSERT(info.holder.value == s.holder);
    std::vector<std::string> pushes, expected;
    for (const Push& p : rig->machine.pushes_after(info.num, PushId(0), 1000, 1 << 20))
      pushes.push_back(to_string(p.id) + p.payload.str());
    for (const auto& [id, p] : s.pushes) expected.push_back(std::to_string(id) + p.second);
    RC_ASSERT(pushes == expected);  // X10: an ack leaves nothing at or below it
  }
  for (const auto& [service, written] : m.lines) {
    std::string all = "v" + std::to_string(m.versions.at(service));
    for (const auto& line : written) all += "|" + line;
    RC_ASSERT(rig->lines(service) == all);
  }
}

Limits small_limits() {
  Limits limits;
  limits.replies_max = 6;
  limits.reply_bytes_max = 24;
  limits.pushes_max = 2;
  limits.sessions_max = 5;
  return limits;
}

void run_model(uint64_t seed, unsigned entries, Tally* tally) {
  Random random(seed);
  auto rig = std::make_unique<Rig>(small_limits());
  Rig twin(small_limits());  // sees the same log and is never restored
  Model model;
  model.limits = small_limits();
  model.tally = tally;
  const std::vector<Op> begin = {CreateService{"one", "org.test.scribe"},
                                 CreateService{"two", "org.test.serial"},
                                 CreateService{"three", "org.test.alarm"}};
  rig->apply(begin);
  twin.apply(begin);
  std::vector<ModelReply> none;
  for (const Op& op : begin) check_op(&model, op, 0, &none);
  model.lines[1];
  model.lines[2];
  model.lines[kAlarm];
  for (unsigned e = 0; e < entries; ++e) {
    rig->now_ms += static_cast<int64_t>(random.below(20));
    twin.now_ms = rig->now_ms;
    std::vector<Op> ops;
    for (uint64_t n = random.between(1, 8); n > 0; --n)
      ops.push_back(random_op(&random, model.next_session));
    if (random.below(40) == 0 && !model.sessions.empty())
      add_burst(&random, model.sessions.rbegin()->first, &ops);
    std::vector<ModelReply> expected, replies;
    ++model.entry;
    for (const Op& op : ops) check_op(&model, op, rig->now_ms, &expected);
    rig->apply(ops);
    twin.apply(ops);
    for (const Reply& r : rig->out.replies) {
      replies.push_back({r.kind, r.app_code, r.data.str()});
      ++tally->replies[r.kind];
    }
    RC_ASSERT(replies == expected);
    compare(rig.get(), model);
    const LogTime due = model.alarms.empty() ? LogTime::never()
                                             : LogTime{*model.alarms.begin() * kNsPerMs};
    RC_ASSERT(rig->machine.next_timer() == due);
    if (random.below(8) == 0) {  // another machine goes on from a snapshot
      const std::string bytes = bytes_of(rig->machine);
      auto next = std::make_unique<Rig>(small_limits());
      RC_ASSERT(next->machine.restore(reader_of(bytes, random.between(1, 5000))).is_ok());
      RC_ASSERT(bytes_of(next->machine) == bytes);
      next->now_ms = rig->now_ms;
      rig = std::move(next);
      ++tally->met["restored"];
    }
  }
  RC_TAG(model.rang > 0 ? "timers ran" : "no timer ran");
  RC_ASSERT(rig->machine.state_hash() == twin.machine.state_hash());
  RC_ASSERT(bytes_of(rig->machine) == bytes_of(twin.machine));
}

}  // namespace

TEST(Model, T_M25_RandomLogsAgree) {
  Tally tally;
  ASSERT_TRUE(rc::check([&](uint64_t seed) { run_model(seed, 480, &tally); }));
  for (int kind = 1; kind <= 7; ++kind)
    EXPECT_GT(tally.replies[static_cast<ReplyKind>(kind)], 20u) << "replies of kind " << kind;
  for (const char* event :
       {"lowest_pending above the id", "lowest_pending below the floor", "an id below the highest",
        "no bytes left", "the lowest open id beyond the bytes", "a session full of pushes",
        "a session asked for again", "no room for a session", "expired",
        "a service created among sessions", "a version raised", "restored", "replies were counted",
        "one entry made it all", "the lowest open id waits for an entry"})
    EXPECT_GT(tally.met[event], 5u) << event;
}

// Every command that is still cached gives the same reply again, byte for byte, also from a
// machine that was restored, and changes nothing but the last activity.
RC_GTEST_PROP(Model, ADuplicateHasTheSameReply, (uint64_t seed)) {
  Random random(seed);
  auto rig = std::make_unique<Rig>();
  rig->begin(3);
  std::map<std::pair<uint64_t, uint64_t>, Command> sent;
  std::map<std::pair<uint64_t, uint64_t>, std::string> said;
  std::map<uint64_t, uint64_t> next;
  for (int i = 0; i < 60; ++i) {
    const uint64_t session = random.between(1, 3);
    const uint64_t id = ++next[session];
    const char* texts[] = {"line", "no thanks", "push 1 x"};
    const Command c = cmd(session, id, texts[random.below(3)], 1);
    const Reply first = rig->one(c);
    sent.emplace(std::pair(session, id), c);
    said[{session, id}] = std::to_string(first.app_code) + first.data.str();
    if (random.below(10) == 0) {
      const std::string bytes = bytes_of(rig->machine);
      auto restored = std::make_unique<Rig>();
      RC_ASSERT(restored->machine.restore(reader_of(bytes)).is_ok());
      rig = std::move(restored);
    }
  }
  const std::string before = rig->lines();
  for (const auto& [key, c] : sent) {
    const Reply again = rig->one(c);
    RC_ASSERT(again.kind == ReplyKind::duplicate);
    RC_ASSERT(std::to_string(again.app_code) + again.data.str() == said[key]);
  }
  RC_ASSERT(rig->lines() == before);
}

// All logs of up to five operations over a small alphabet, one operation an entry, 20 ms apart
// (a session times out after 50): what random logs meet by luck is met here for certain.
TEST(Model, AllShortLogsAgree) {
  const std::vector<Op> alphabet = {
      new_session(1, kTimeoutMs),
      CloseSession{SessionNum(1)},
      Expire{{SessionNum(1)}},
      Acknowledge{SessionNum(1), PushId(1)},
      cmd(1, 1, "line a"),
      cmd(1, 1, "line b"),  // another payload under the same id
      cmd(1, 2, "push 1 x"),
      cmd(1, 3, "no thanks", 3, 9),  // gives up what is older; a service that is not there
  };
  const Op service = CreateService{"one", "org.test.scribe"};
  Tally tally;
  uint64_t logs = 0, duplicates = 0, evicted = 0, misuse = 0, unknown = 0;
  for (unsigned length = 1; length <= 5; ++length) {
    uint64_t count = 1;
    for (unsigned i = 0; i < length; ++i) count *= alphabet.size();
    for (uint64_t number = 0; number < count; ++number) {
      Rig rig(small_limits());
      Model model;
      model.limits = small_limits();
      model.tally = &tally;
      std::vector<ModelReply> none;
      check_op(&model, service, 0, &none);
      rig.apply({service});
      model.lines[1];
      uint64_t rest = number;
      for (unsigned i = 0; i < length; ++i, rest /= alphabet.size()) {
        const Op& op = alphabet[rest % alphabet.size()];
        rig.now_ms += 20;
        ++model.entry;
        std::vector<ModelReply> expected, replies;
        check_op(&model, op, rig.now_ms, &expected);
        rig.apply({op});
        for (const Reply& r : rig.out.replies) {
          replies.push_back({r.kind, r.app_code, r.data.str()});
          duplicates += r.kind == ReplyKind::duplicate;
          evicted += r.kind == ReplyKind::evicted;
          misuse += r.kind == ReplyKind::misuse;
          unknown += r.kind == ReplyKind::unknown_session;
        }
        ASSERT_TRUE(replies == expected) << "log " << number << " of length " << length;
      }
      compare(&rig, model);
      ++logs;
    }
  }
  EXPECT_EQ(logs, 8u + 64 + 512 + 4096 + 32768);
  for (uint64_t met : {duplicates, evicted, misuse, unknown}) EXPECT_GT(met, 500u);
}

// X6 and D10: however an entry is cut into entries, sessions and replies come out the same.
RC_GTEST_PROP(Model, SplittingEntriesChangesNoReply, (uint64_t seed)) {
  Random random(seed);
  Limits limits = small_limits();
  limits.reply_bytes_max = 1'000;  // what earlier entries left is known before each command
  Rig whole(limits), split(limits);
  whole.begin(2);
  split.begin(2);
  for (int e = 0; e < 20; ++e) {
    std::vector<Op> ops;
    for (uint64_t n = random.between(1, 10); n > 0; --n) ops.push_back(random_op(&random, 4));
    std::vector<std::string> a, b;
    whole.apply(ops);
    for (const Reply& r : whole.out.replies) a.push_back(r.data.str());
    for (const Op& op : ops) {
      split.apply({op});
      for (const Reply& r : split.out.replies) b.push_back(r.data.str());
    }
    RC_ASSERT(a == b);
  }
  RC_ASSERT(whole.lines() == split.lines());
}

RC_GTEST_PROP(Model, DamagedSnapshotsAreRefused, (uint64_t seed)) {
  Random random(seed);
  Rig rig(small_limits()), other(small_limits());
  rig.begin(2);
  for (int e = 0; e < 10; ++e) rig.apply({random_op(&random, 3)});
  std::string bytes = bytes_of(rig.machine);
  for (uint64_t n = random.between(1, 3); n > 0; --n) {
    const size_t at = random.below(bytes.size());
    bytes[at] = static_cast<char>(bytes[at] + 1 + static_cast<char>(random.below(200)));
  }
  if (bytes == bytes_of(rig.machine)) return;
  RC_ASSERT(!other.machine.restore(reader_of(bytes)).is_ok());
}

}  // namespace raftcs::rsm::testing
