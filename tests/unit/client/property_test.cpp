// property_test.cpp: the engine against a small exactly-once cluster that loses links, moves
// its leader, delays each link by its own random time and stops answering at random; sessions
// expire, are closed, kept and resumed, and taken over by others.
//
// Checked on every seed: every operation ends exactly once; APPLIED means applied once and
// with the reply of that very command, NOT_APPLIED means never applied; ids of a session
// arrive in order within a link; pushes come 1, 2, 3 ...; the counters add up; and when the
// faults end, everything ends (X1, X2, X3, X10, X11, L2).
#include <map>
#include <set>

#include "client/random.hpp"
#include "tests/unit/client/fake_server.hpp"

namespace raftcs::client::testing {
namespace {

struct Dice : Random {
  explicit Dice(uint64_t seed) : Random({seed, 77, 0, 0}) {}
  uint64_t between(uint64_t lo, uint64_t hi) { return lo + below(hi - lo + 1); }
  bool chance(double p) { return static_cast<double>(next() >> 11) * 0x1.0p-53 < p; }
};

struct Replicated {
  Uuid proof;
  std::map<uint64_t, std::pair<std::string, std::string>> replies;  // id -> payload, reply
  uint64_t floor = 0, highest = 0, pushed = 0, acked = 0;
  HolderId holder;
  bool gone = false;
};

struct Conn {
  int server = 0;
  bool up = true;
  Mono to_server, to_client;  // latest delivery so far: a link keeps its order
  std::map<wire::Channel, Uuid> bound;
  std::map<wire::Channel, uint64_t> last_id;
  std::map<wire::Channel, std::set<uint64_t>> refused;  // BUSY: these may come out of order
};

struct Packet {
  Mono at;
  uint64_t seq;
  bool to_server;
  LinkId link;
  Bytes frame;
};

class Cluster3 {
 public:
  explicit Cluster3(uint64_t seed) : random(seed), engine({seed, 1, 2, 3}) {}

  void post(bool to_server, LinkId link, Bytes frame) {
    Conn& c = conns[link];
    Mono& last = to_server ? c.to_server : c.to_client;
    last = std::max(last, now + static_cast<DurationNs>(random.between(100'000, 30'000'000)));
    packets.push_back({last, ++seq, to_server, link, std::move(frame)});
  }
  void reply(LinkId link, const wire::ServerMessage& m) {
    wire::FrameBuilder b;
    b.add(m);
    for (auto& f : b.take()) post(false, link, std::move(f));
  }
  void pump() {
    Effects fx = engine.take_effects(now);
    for (auto& o : fx.open) conns[o.link].server = o.endpoint == kA ? 0 : o.endpoint == kB ? 1 : 2;
    for (auto& s : fx.send) post(true, s.link, std::move(s.frame));
    for (LinkId l : fx.close) conns[l].up = false;
    for (auto& e : fx.events) on_event(e);
  }
  void on_event(const Event& e) {
    EXPECT_EQ(closed.count(e.session), 0u) << "an event after closed";
    if (e.kind == EventKind::closed) closed.insert(e.session);
    if (e.kind == EventKind::session_lost) {
      ++lost[e.status];
      pushes[e.session] = 0;
    }
    if (e.kind == EventKind::push) ++all_pushes[e.session];
    if (e.kind == EventKind::push) {
      EXPECT_EQ(e.op_id, ++pushes[e.session]);
      return;
    }
    if (e.kind != EventKind::reply && e.kind != EventKind::query_reply) return;
    EXPECT_EQ(ended.count(e.op_id), 0u) << "op " << e.op_id << " ended twice";
    ended[e.op_id] = e.outcome;
    if (e.kind == EventKind::reply && e.outcome == RAFTCS_OUTCOME_APPLIED) {
      EXPECT_EQ(e.data.str(), "r" + std::to_string(e.op_id));
    }
    if (e.kind == EventKind::reply && e.outcome != RAFTCS_OUTCOME_UNKNOWN) {
      EXPECT_EQ(applied[e.op_id], e.outcome == RAFTCS_OUTCOME_APPLIED ? 1 : 0) << "op " << e.op_id;
    }
  }
  wire::LeaderHint hint() {
    if (leader < 0 || random.chance(0.2)) return {};
    const auto id = static_cast<uint64_t>(random.chance(0.2) ? random.below(3)
                                                             : static_cast<uint64_t>(leader)) +
                    1;
    return World::hint(id);  // sometimes stale
  }

  void serve(LinkId link, const wire::ClientMessage& m) {
    Conn& c = conns[link];
    const bool leads = c.server == leader;
    if (std::get_if<wire::Hello>(&m)) {
      wire::Welcome w;
      w.version = w.version_min = w.version_max = 1;
      w.cluster = kCluster;
      w.node = NodeId(static_cast<uint64_t>(c.server) + 1);
      w.leader = hint();
      w.requests_max = 8;
      reply(link, w);
    } else if (auto* n = std::get_if<wire::CreateSession>(&m)) {
      if (!leads)
        return reply(link, wire::SessionRejected{n->channel, n->nonce,
                                                 wire::RejectReason::not_leader, hint(), 10, ""});
      if (sessions.count(n->proof) == 0) sessions[n->proof].proof = n->proof;  // id = proof here
      if (sessions[n->proof].gone)
        return reply(link,
                     wire::SessionRejected{
                         n->channel, n->nonce, wire::RejectReason::session_expired, {}, 0, ""});
      bind(link, n->channel, n->proof);
      reply(link, wire::SessionCreated{n->channel, n->nonce, n->proof, 9'000});
      push_all(link, n->channel);
    } else if (auto* k = std::get_if<wire::ContinueSession>(&m)) {
      if (!leads)
        return reply(link, wire::SessionRejected{k->channel, k->nonce,
                                                 wire::RejectReason::not_leader, hint(), 10, ""});
      Replicated& s = sessions[k->session];
      if (s.gone)
        return reply(link,
                     wire::SessionRejected{
                         k->channel, k->nonce, wire::RejectReason::session_expired, {}, 0, ""});
      if (k->holder != s.holder && !supersedes(k->holder, s.holder))
        return reply(
            link, wire::SessionRejected{
                      k->channel, k->nonce, wire::RejectReason::taken_over, {}, 0, "", s.holder});
      if (k->holder != s.holder) leave(k->session, wire::CloseReason::taken_over);
      s.holder = k->holder;
      bind(link, k->channel, k->session);
      reply(link, wire::SessionContinued{k->channel, k->nonce, 9'000,
                                         RequestId(sessions[k->session].highest)});
      push_all(link, k->channel);
    } else if (auto* a = std::get_if<wire::KeepAlive>(&m)) {
      reply(link, wire::KeepAliveReply{a->channel, a->timestamp});
    } else if (std::get_if<wire::TopologyRequest>(&m)) {
      reply(link, wire::Topology{hint(), {}});
    } else if (auto* q = std::get_if<wire::Query>(&m)) {
      wire::QueryResponse r;
      r.channel = q->channel;
      r.correlation = q->correlation;
      if (!leads) r.status = RAFTCS_ERR_NOT_LEADER;
      if (leads && random.chance(0.1)) r.status = RAFTCS_ERR_BUSY;
      reply(link, r);
    } else if (auto* p = std::get_if<wire::PushAck>(&m)) {
      if (leads && c.bound.count(p->channel)) {
        auto& s = sessions[c.bound[p->channel]];
        EXPECT_LE(p->up_to.value, s.pushed);
        s.acked = std::max(s.acked, p->up_to.value);
      }
    } else if (auto* r = std::get_if<wire::Request>(&m)) {
      request(link, *r, leads);
    }
  }
  // Every channel of the session is told.
  void leave(const Uuid& id, wire::CloseReason reason) {
    for (auto& [link, c] : conns)
      for (auto it = c.bound.begin(); it != c.bound.end();) {
        if (it->second != id) {
          ++it;
          continue;
        }
        if (c.up) reply(link, wire::SessionClosed{it->first, reason, {}});
        it = c.bound.erase(it);
      }
  }
  void session_fault() {
    if (sessions.empty() || !random.chance(0.002)) return;
    auto it = sessions.begin();
    std::advance(it, static_cast<long>(random.below(sessions.size())));
    if (random.chance(0.5)) {
      it->second.gone = true;
      leave(it->first, wire::CloseReason::expired);
    } else {  // a process elsewhere resumed with its token
      it->second.holder = successor_of(it->second.holder, random.next());
      leave(it->first, wire::CloseReason::taken_over);
    }
  }
  void bind(LinkId link, wire::Channel channel, const Uuid& id) {
    conns[link].bound[channel] = id;
    conns[link].last_id[channel] = 0;
    conns[link].refused[channel].clear();
  }
  void push_all(LinkId link, wire::Channel channel) {
    auto& s = sessions[conns[link].bound[channel]];
    for (uint64_t id = s.acked + 1; id <= s.pushed; ++id)
      reply(link, wire::Push{channel, PushId(id), {}, 0});
  }
  void request(LinkId link, const wire::Request& r, bool leads) {
    Conn& c = conns[link];
    if (!leads || c.bound.count(r.channel) == 0) {
      c.bound.erase(r.channel);
      return reply(link, wire::SessionClosed{r.channel,
                                             leads ? wire::CloseReason::session_error
                                                   : wire::CloseReason::not_leader,
                                             hint()});
    }
    auto& s = sessions[c.bound[r.channel]];
    EXPECT_LE(r.lowest_pending, r.id);
    if (c.refused[r.channel].count(r.id.value) == 0) {
      EXPECT_GT(r.id.value, c.last_id[r.channel]);  // CLI-05
    }
    c.last_id[r.channel] = std::max(c.last_id[r.channel], r.id.value);
    if (random.chance(0.05)) {
      c.refused[r.channel].insert(r.id.value);
      return reply(link, wire::RequestError{r.channel, r.id, RAFTCS_ERR_BUSY, 5, ""});
    }
    s.floor = std::max(s.floor, r.lowest_pending.value);
    if (r.id.value < s.floor)
      return reply(link, wire::RequestError{r.channel, r.id, RAFTCS_ERR_EVICTED, 0, ""});
    auto [it, fresh] = s.replies.try_emplace(r.id.value, r.payload.str(), "r" + r.payload.str());
    EXPECT_EQ(it->second.first, r.payload.str()) << "an id with two payloads";
    if (fresh) ++applied[std::stoull(r.payload.str())];
    s.highest = std::max(s.highest, r.id.value);
    if (fresh && random.chance(0.2)) {
      ++s.pushed;
      reply(link, wire::Push{r.channel, PushId(s.pushed), {}, 0});
    }
    reply(link, wire::Response{r.channel, r.id, 0, Bytes::copy(it->second.second), Index(1)});
  }
  void fault() {
    const double p = random.below(1'000) / 1'000.0;
    if (p < 0.01) leader = static_cast<int>(random.below(4)) - 1;
    if (p > 0.985 && !conns.empty()) {
      auto it = conns.begin();
      std::advance(it, static_cast<long>(random.below(conns.size())));
      cut(it->first);
    }
    if (p > 0.5 && p < 0.502) stuck = static_cast<int>(random.below(3));
    if (p > 0.6 && p < 0.61) stuck = -1;
  }
  void cut(LinkId link) {
    if (!conns[link].up) return;
    conns[link].up = false;
    engine.link_down(link, now);
  }
  void step() {
    now = now + kMs;
    std::sort(packets.begin(), packets.end(),
              [](auto& a, auto& b) { return std::tie(a.at, a.seq) < std::tie(b.at, b.seq); });
    while (!packets.empty() && packets.front().at <= now) {
      Packet p = std::move(packets.front());
      packets.pop_front();
      if (!conns[p.link].up) continue;
      if (!p.to_server) {
        engine.receive(p.link, p.frame, now);
      } else if (conns[p.link].server != stuck) {
        wire::ClientSink sink;
        wire::DecodeError error;
        ASSERT_TRUE(wire::decode_client_frame(p.frame, {}, &sink, &error));
        for (auto& m : sink) serve(p.link, m);
      }
    }
    engine.tick(now);
    pump();
  }

  Dice random;
  Engine engine;
  Mono now{kNsPerSecond};
  uint64_t seq = 0;
  int leader = 0, stuck = -1;
  std::map<LinkId, Conn> conns;
  std::deque<Packet> packets;
  std::map<Uuid, Replicated> sessions;
  std::map<uint64_t, int> applied;
  std::map<uint64_t, int32_t> ended;
  std::map<SessionHandle, uint64_t> pushes, all_pushes;
  std::map<raftcs_status_t, uint64_t> lost;
  std::set<SessionHandle> closed;
};

struct Tally {
  std::map<raftcs_status_t, uint64_t> lost;
  uint64_t resumed = 0, closed = 0;
};

// Closes a session, and makes another in its place; kept ones are resumed by it.
SessionHandle replace(Cluster3& w, SessionHandle old, const SessionOptions& o, Tally* tally) {
  const bool keep = w.random.chance(0.5);
  auto token = w.engine.export_session(old);
  w.engine.close(old, keep, w.now);
  const SessionHandle next = w.engine.add(o);
  ++tally->closed;
  if (keep && token.is_ok()) {
    ++tally->resumed;
    EXPECT_TRUE(w.engine.resume(next, *token, w.now).is_ok());
    // What the token says was received; the rest comes again.
    w.pushes[next] = w.pushes[old];
  } else {
    w.engine.open(next, w.now);
  }
  return next;
}

// Calm: the cluster changes leaders and loses links. Rough: sessions end in all ways as well.
void run_seed(uint64_t seed, bool rough, Tally* tally) {
  SCOPED_TRACE("seed " + std::to_string(seed));
  Cluster3 w(seed);
  std::vector<SessionHandle> all;
  for (int i = 0; i < 4; ++i) {
    SessionOptions o = options_for({kA, kB, kC});
    o.window_max = 4;
    o.renew_on_expiry = rough && i % 2 == 0;
    all.push_back(w.engine.add(o));
    w.engine.open(all.back(), w.now);
  }
  std::vector<SessionHandle> ever = all;
  uint64_t op = 0;
  for (int t = 0; t < 8'000; ++t) {
    w.fault();
    if (rough) {
      w.session_fault();
      const size_t i = w.random.below(all.size());
      if (w.random.chance(0.001)) {
        SessionOptions o = options_for({kA, kB, kC});
        o.window_max = 4;
        o.renew_on_expiry = i % 2 == 0;
        all[i] = replace(w, all[i], o, tally);
        ever.push_back(all[i]);
      }
      if (w.random.chance(0.01)) w.engine.open(all[i], w.now);  // harmless, or after a loss
    }
    if (w.random.chance(0.1)) {
      const SessionHandle s = all[w.random.below(all.size())];
      const Mono deadline = w.random.chance(0.3)
                                ? w.now + static_cast<DurationNs>(w.random.below(500)) * kMs
                                : Mono::never();
      ++op;
      Engine::Call call{s, op, op, "kv", Bytes::copy(std::to_string(op)), deadline, {}};
      w.random.chance(0.2) ? w.engine.query(std::move(call), w.now)
                           : w.engine.submit(std::move(call), w.now);
    }
    if (op > 0 && w.random.chance(0.005)) {
      const uint64_t victim = w.random.between(op > 5 ? op - 5 : 1, op);
      for (SessionHandle s : all) w.engine.cancel(s, victim, w.now);
    }
    w.step();
    if (::testing::Test::HasFailure()) return;
  }
  w.leader = 1;
  w.stuck = -1;
  for (int t = 0; t < 60'000 && w.ended.size() < op; ++t) w.step();  // L2
  EXPECT_EQ(w.ended.size(), op);
  uint64_t submitted = 0;
  for (SessionHandle s : ever) {
    const SessionInfo i = w.engine.info(s);
    EXPECT_EQ(i.outstanding, 0u);
    EXPECT_EQ(i.submitted, i.completed);
    EXPECT_EQ(i.pushes, w.all_pushes[s]);
    submitted += i.submitted;
  }
  for (auto& [status, n] : w.lost) tally->lost[status] += n;
  EXPECT_EQ(submitted, op);
  for (auto& [id, n] : w.applied) {
    EXPECT_LE(n, w.ended[id] == RAFTCS_OUTCOME_NOT_APPLIED ? 0 : 1) << "op " << id;  // X1, X3
  }
}

}  // namespace

TEST(ClientProperty, ExactlyOnceUnderLeaderChangesAndLinkLoss) {
  Tally tally;
  for (uint64_t seed = 1; seed <= 30 && !HasFailure(); ++seed) run_seed(seed, false, &tally);
  EXPECT_TRUE(tally.lost.empty());
}

TEST(ClientProperty, NothingEndsTwiceOrHangsWhenSessionsEndInAllWays) {
  Tally tally;
  for (uint64_t seed = 1001; seed <= 1030 && !HasFailure(); ++seed) run_seed(seed, true, &tally);
  EXPECT_GE(tally.lost[RAFTCS_ERR_SESSION_EXPIRED], 20u);
  EXPECT_GE(tally.lost[RAFTCS_ERR_SESSION_TAKEN], 20u);
  EXPECT_GE(tally.resumed, 20u);
  EXPECT_GE(tally.closed - tally.resumed, 20u);
}

}  // namespace raftcs::client::testing
