// fake_server.hpp: a world for one Engine: virtual time, endpoints that answer as told.
//
// World keeps what the engine sent, decoded, per link, and gives it answers. Nothing
// happens by itself: a test says what each server does, so every scenario is exact.
#pragma once

#include <gtest/gtest.h>

#include <deque>
#include <map>

#include "client/engine.hpp"
#include "wire/codec.hpp"

namespace raftcs::client::testing {

// The values of raftcs_outcome.
enum : int32_t {
  RAFTCS_OUTCOME_APPLIED = 1,
  RAFTCS_OUTCOME_NOT_APPLIED = 2,
  RAFTCS_OUTCOME_UNKNOWN = 3
};

constexpr DurationNs kMs = kNsPerMs;
inline Uuid uuid_of(uint8_t b) {
  Uuid u;
  u.bytes.fill(b);
  return u;
}
inline const Uuid kCluster = uuid_of(0xC1);
inline const std::string kA = "tcp://a:1", kB = "tcp://b:2", kC = "tcp://c:3";

inline SessionOptions options_for(std::vector<std::string> endpoints) {
  SessionOptions o;
  o.endpoints = std::move(endpoints);
  o.name = "test";
  o.capabilities = {{"kind", "test"}};
  return o;
}

// So many pushes may be unacknowledged, and the caller acknowledges.
inline SessionOptions manual_options(uint64_t unacked_pushes_max) {
  SessionOptions o = options_for({kA});
  o.manual_ack = true;
  o.unacked_pushes_max = unacked_pushes_max;
  return o;
}

class World {
 public:
  explicit World(uint64_t seed = 1) : engine({seed, 2, 3, 4}) {}

  // Moves what the engine did into opens, inboxes and events.
  void pump() {
    Effects fx = engine.take_effects(now);
    for (auto& o : fx.open) {
      endpoint_of[o.link] = o.endpoint;
      opened.push_back(o.link);
    }
    for (auto& f : fx.send) {
      wire::DecodeError error;
      wire::ClientSink sink;
      ASSERT_TRUE(wire::decode_client_frame(f.frame, wire::Limits{}, &sink, &error)) << error.text;
      for (auto& m : sink) inbox[f.link].push_back(std::move(m));
    }
    for (LinkId l : fx.close) closed.push_back(l);
    for (auto& e : fx.events) events.push_back(std::move(e));
  }
  // Moves time on, stopping at every deadline of the engine.
  void run(DurationNs d) {
    const Mono end = now + d;
    pump();
    for (int i = 0; i < 1'000'000; ++i) {
      const Mono next = engine.next_deadline();
      if (next > end) break;
      now = std::max(now, next);
      engine.tick(now);
      pump();
    }
    now = end;
    engine.tick(now);
    pump();
  }
  void give(LinkId link, const wire::ServerMessage& m) {
    wire::FrameBuilder b;
    b.add(m);
    for (auto& f : b.take()) engine.receive(link, f, now);
    pump();
  }
  // The next message of type M from the engine on a link; others before it are dropped.
  template <class M>
  std::optional<M> get(LinkId link) {
    pump();
    auto& q = inbox[link];
    while (!q.empty()) {
      wire::ClientMessage m = std::move(q.front());
      q.pop_front();
      if (auto* p = std::get_if<M>(&m)) return *p;
    }
    return std::nullopt;
  }
  template <class M>
  size_t count(LinkId link) {
    pump();
    size_t n = 0;
    for (auto& m : inbox[link]) n += std::holds_alternative<M>(m);
    return n;
  }
  LinkId link_to(const std::string& endpoint) {
    pump();
    for (auto it = opened.rbegin(); it != opened.rend(); ++it) {
      if (endpoint_of[*it] == endpoint) return *it;
    }
    return 0;
  }
  LinkId last_link() {
    pump();
    return opened.empty() ? 0 : opened.back();
  }
  wire::Welcome welcome_of(LinkId link, uint64_t leader = 0) {
    wire::Welcome w;
    w.version = w.version_min = w.version_max = 1;
    w.cluster = kCluster;
    w.node = node_of(endpoint_of[link]);
    if (leader != 0) w.leader = {NodeId(leader), address_of(leader)};
    w.members = members;
    w.payload_bytes_max = 1 << 20;
    w.requests_max = 1'000;
    w.session_timeout_ms_min = 1;
    w.session_timeout_ms_max = 1'000'000;
    return w;
  }
  static NodeId node_of(const std::string& e) {
    return NodeId(e == kA ? 1 : e == kB ? 2 : e == kC ? 3 : 9);
  }
  static std::string address_of(uint64_t node) {
    return node == 1 ? kA : node == 2 ? kB : node == 3 ? kC : "";
  }
  static wire::LeaderHint hint(uint64_t node) { return {NodeId(node), address_of(node)}; }

  // Opens a session at the only endpoint the engine tries; gives back its channel there.
  wire::Channel serve(LinkId link, uint8_t id = 7, uint64_t timeout_ms = 9'000) {
    if (get_hello(link)) give(link, welcome_of(link));
    auto create = get<wire::CreateSession>(link);
    EXPECT_TRUE(create);
    if (!create) return 0;
    give(link, wire::SessionCreated{create->channel, create->nonce, uuid_of(id), timeout_ms});
    return create->channel;
  }
  wire::Channel serve_again(LinkId link, uint64_t highest = 0, uint64_t timeout_ms = 9'000) {
    if (get_hello(link)) give(link, welcome_of(link));
    auto m = get<wire::ContinueSession>(link);
    EXPECT_TRUE(m);
    if (!m) return 0;
    give(link, wire::SessionContinued{m->channel, m->nonce, timeout_ms, RequestId(highest)});
    return m->channel;
  }
  // As a leader does that lives and is slow: echoes keep-alives, tells the topology.
  void answer_probes(LinkId link) {
    pump();
    for (auto& m : std::exchange(inbox[link], {})) {
      if (auto* k = std::get_if<wire::KeepAlive>(&m)) {
        give(link, wire::KeepAliveReply{k->channel, k->timestamp});
      } else if (std::holds_alternative<wire::TopologyRequest>(m)) {
        wire::Topology t;
        t.leader = hint(1);
        give(link, t);
      } else {
        inbox[link].push_back(std::move(m));
      }
    }
  }
  bool get_hello(LinkId link) {
    pump();
    auto& q = inbox[link];
    if (q.empty() || !std::holds_alternative<wire::Hello>(q.front())) return false;
    q.pop_front();
    return true;
  }
  void submit(SessionHandle s, uint64_t op, const std::string& payload = "x",
              Mono deadline = Mono::never(), const std::string& service = "kv") {
    engine.submit({s, op, op + 1'000, service, Bytes::copy(payload), deadline, {}}, now);
    pump();
  }
  void query(SessionHandle s, uint64_t op, Mono deadline = Mono::never(),
             wire::Consistency c = wire::Consistency::linearizable) {
    engine.query({s, op, op + 1'000, "kv", Bytes::copy("q"), deadline, c}, now);
    pump();
  }
  void admin(SessionHandle s, uint64_t op, const std::string& endpoint,
             Mono deadline = Mono::never()) {
    engine.admin({s, op, op + 1'000, "status", {}, deadline, {}}, endpoint, now);
    pump();
  }
  // The next event of a kind; others before it are dropped.
  std::optional<Event> event(EventKind kind) {
    pump();
    while (!events.empty()) {
      Event e = std::move(events.front());
      events.pop_front();
      if (e.kind == kind) return e;
    }
    return std::nullopt;
  }
  size_t count_events(EventKind kind) {
    pump();
    size_t n = 0;
    for (auto& e : events) n += e.kind == kind;
    return n;
  }

  Engine engine;
  Mono now{1'000 * kNsPerSecond};
  std::vector<wire::MemberInfo> members;
  std::map<LinkId, std::string> endpoint_of;
  std::vector<LinkId> opened, closed;
  std::map<LinkId, std::deque<wire::ClientMessage>> inbox;
  std::deque<Event> events;
};

// One session, bound at A.
struct Bound : World {
  explicit Bound(SessionOptions o = options_for({kA})) : World() {
    s = engine.add(o);
    engine.open(s, now);
    link = last_link();
    ch = serve(link);
  }
  SessionHandle s = 0;
  LinkId link = 0;
  wire::Channel ch = 0;
};

#define EXPECT_ENDED(w, op, st, oc)                        \
  do {                                                     \
    auto e_ = (w).event(EventKind::reply);                 \
    ASSERT_TRUE(e_);                                       \
    EXPECT_EQ(e_->op_id, static_cast<uint64_t>(op));       \
    EXPECT_EQ(e_->tag, static_cast<uint64_t>(op) + 1'000); \
    EXPECT_EQ(e_->status, (st));                           \
    EXPECT_EQ(e_->outcome, static_cast<int32_t>(oc));      \
  } while (0)

}  // namespace raftcs::client::testing
