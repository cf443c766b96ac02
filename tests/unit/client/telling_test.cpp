// telling_test.cpp: what callers learn: states, attempts, why it takes so long, round trips,
// counters; and how a session with a short timeout survives a silent leader.
#include "tests/unit/client/fake_server.hpp"

namespace raftcs::client::testing {
namespace {

using wire::CloseReason;
using wire::RejectReason;

bool has(const Bytes& data, const std::string& part) {
  return data.str().find(part) != std::string::npos;
}

// Answers every hello, and every create and continue with `answer`, for a time.
void run_refusing(World& w, DurationNs d,
                  const std::function<std::optional<wire::SessionRejected>(LinkId)>& answer) {
  const Mono end = w.now + d;
  while (w.now < end) {
    w.run(kMs);
    for (LinkId l : std::vector<LinkId>(w.opened)) {
      if (!answer(l)) continue;  // silent
      if (w.get_hello(l)) w.give(l, w.welcome_of(l));
      auto refuse = [&](wire::Channel channel, uint64_t nonce) {
        wire::SessionRejected r = *answer(l);
        r.channel = channel;
        r.nonce = nonce;
        w.give(l, r);
      };
      auto q = std::exchange(w.inbox[l], {});
      for (auto& m : q) {
        if (auto* c = std::get_if<wire::CreateSession>(&m)) refuse(c->channel, c->nonce);
        if (auto* k = std::get_if<wire::ContinueSession>(&m)) refuse(k->channel, k->nonce);
      }
    }
  }
}

}  // namespace

TEST(ClientTelling, CLI02_StateEventsNameEndpointSessionAndTimeout) {
  World w;
  const SessionHandle s = w.engine.add(options_for({kA}));
  w.engine.open(s, w.now);
  auto e = w.event(EventKind::state);
  ASSERT_TRUE(e);
  EXPECT_EQ(e->app_code, static_cast<int32_t>(SessionState::connecting_new));
  EXPECT_TRUE(has(e->data, "\"state\":\"connecting_new\"")) << e->data.str();
  EXPECT_TRUE(has(e->data, "\"endpoint\":\"" + kA + "\""));
  EXPECT_TRUE(has(e->data, "\"attempt\":1"));
  EXPECT_EQ(w.engine.info(s).session_timeout_ms, 0u);
  w.serve(w.last_link(), 7, 4'321);  // KAL-10: what the servers made of the wish is told
  e = w.event(EventKind::state);
  ASSERT_TRUE(e);
  EXPECT_TRUE(has(e->data, "\"session_timeout_ms\":4321")) << e->data.str();
  EXPECT_TRUE(has(e->data, "\"session\":\"" + uuid_of(7).hex() + "\""));
  EXPECT_EQ(w.engine.info(s).session_timeout_ms, 4'321u);
}

TEST(ClientTelling, CLI13_UnreachableIsToldWithAttemptsAndBounded) {
  World w;
  const SessionHandle s = w.engine.add(options_for({kA, kB}));
  w.engine.open(s, w.now);
  w.submit(s, 1, "x", w.now + 20 * kNsPerSecond);
  w.run(300 * kNsPerSecond);
  std::vector<Event> told;
  std::optional<Event> reply;
  while (!w.events.empty()) {
    if (w.events.front().kind == EventKind::state) told.push_back(w.events.front());
    if (w.events.front().kind == EventKind::reply) reply = w.events.front();
    w.events.pop_front();
  }
  EXPECT_GT(w.engine.info(s).attempts, 64u);
  EXPECT_GE(told.size(), 6u);
  EXPECT_LE(told.size(), 10u);  // attempts 2, 4, 8, ...
  EXPECT_TRUE(has(told.back().data, "\"attempt\":"));
  EXPECT_EQ(told.back().status, RAFTCS_ERR_UNREACHABLE);
  EXPECT_NE(told.back().text.find("does not answer"), std::string::npos);
  EXPECT_EQ(w.engine.info(s).trouble, RAFTCS_ERR_UNREACHABLE);
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->status, RAFTCS_ERR_TIMED_OUT);
  EXPECT_NE(reply->text.find("does not answer"), std::string::npos) << reply->text;
}

TEST(ClientTelling, LDR05_LDR06_NoLeaderIsToldApartFromUnreachable) {
  World w;
  const SessionHandle s = w.engine.add(options_for({kA, kB, kC}));
  w.engine.open(s, w.now);
  w.submit(s, 1, "x", w.now + 5 * kNsPerSecond);
  run_refusing(w, 10 * kNsPerSecond, [&](LinkId l) -> std::optional<wire::SessionRejected> {
    if (w.endpoint_of[l] == kC) return std::nullopt;  // one is dead, two know of no leader
    wire::SessionRejected r;
    r.retry_after_ms = 20;
    return r;
  });
  EXPECT_EQ(w.engine.info(s).trouble, RAFTCS_ERR_NO_LEADER);
  auto reply = w.event(EventKind::reply);
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->status, RAFTCS_ERR_TIMED_OUT);
  EXPECT_EQ(reply->outcome, RAFTCS_OUTCOME_NOT_APPLIED);
  EXPECT_NE(reply->text.find("knows of no leader"), std::string::npos) << reply->text;
  run_refusing(w, 20 * kNsPerSecond,
               [](LinkId) -> std::optional<wire::SessionRejected> { return std::nullopt; });
  EXPECT_EQ(w.engine.info(s).trouble, RAFTCS_ERR_UNREACHABLE);
}

TEST(ClientTelling, DrainingMovesTheClientWithoutAnError) {
  World w;
  const SessionHandle s = w.engine.add(options_for({kA, kB}));
  w.engine.open(s, w.now);
  w.submit(s, 1);
  const LinkId first = w.last_link();
  const std::string other = w.endpoint_of[first] == kA ? kB : kA;
  w.give(first, w.welcome_of(first));
  auto c = w.get<wire::CreateSession>(first);
  ASSERT_TRUE(c);
  w.give(first, wire::SessionRejected{c->channel, c->nonce, RejectReason::draining, {}, 0, ""});
  w.run(100 * kMs);
  const LinkId second = w.link_to(other);
  ASSERT_NE(second, 0u);
  const wire::Channel channel = w.serve(second);
  EXPECT_EQ(w.get<wire::Request>(second)->id, RequestId(1));
  w.give(second, wire::SessionClosed{channel, CloseReason::shutdown, {}});  // this one stops too
  w.run(5 * kNsPerSecond);
  EXPECT_EQ(w.count_events(EventKind::session_lost), 0u);
  EXPECT_EQ(w.count_events(EventKind::reply), 0u);
  EXPECT_EQ(w.engine.info(s).outstanding, 1u);
}

TEST(ClientTelling, LeaderChangesAreTopologyEvents) {
  Bound w(options_for({kA, kB}));
  while (w.event(EventKind::topology)) {
  }
  wire::Topology t;
  t.members = {{NodeId(1), kA, true}, {NodeId(2), kB, true}};
  t.leader = w.hint(1);
  w.give(w.link, t);
  auto e = w.event(EventKind::topology);
  ASSERT_TRUE(e);
  EXPECT_TRUE(has(e->data, "\"members\":[{\"id\":1")) << e->data.str();
  w.give(w.link, t);  // nothing new
  EXPECT_FALSE(w.event(EventKind::topology));
  t.leader = w.hint(2);
  w.give(w.link, t);
  e = w.event(EventKind::topology);
  ASSERT_TRUE(e);
  EXPECT_TRUE(has(e->data, "\"leader\":2"));
}

TEST(ClientTelling, LDR04_HintsAtTheServerItselfOrAtADeadAddressAreNoTightLoop) {
  for (const std::string& to : {kA, std::string("tcp://nobody:1")}) {
    World w;
    const SessionHandle s = w.engine.add(options_for({kA}));
    w.engine.open(s, w.now);
    size_t refused = 0;
    run_refusing(w, 20 * kNsPerSecond, [&](LinkId l) -> std::optional<wire::SessionRejected> {
      if (w.endpoint_of[l] != kA) return std::nullopt;
      wire::SessionRejected r;
      r.leader = {NodeId(8), to};
      ++refused;
      return r;
    });
    EXPECT_LE(w.engine.info(s).attempts, 60u) << to;
    EXPECT_GE(w.engine.info(s).attempts, 8u) << to;
    EXPECT_GT(refused, 0u);
  }
}

TEST(ClientTelling, KAL06_RoundTripsLastAndSmoothed) {
  Bound w;
  EXPECT_EQ(w.engine.info(w.s).rtt_smoothed_us, -1);
  const int64_t trips_us[] = {800, 1'600, 0, 800};
  int64_t smoothed = -1;
  for (int64_t trip : trips_us) {
    std::optional<wire::KeepAlive> k;
    for (int i = 0; i < 10'000 && !k; ++i) {
      w.run(kMs);
      k = w.get<wire::KeepAlive>(w.link);
    }
    ASSERT_TRUE(k);
    w.now = Mono{static_cast<int64_t>(k->timestamp) + trip * 1'000};
    w.give(w.link, wire::KeepAliveReply{w.ch, k->timestamp});
    smoothed = smoothed < 0 ? trip : smoothed + (trip - smoothed) / 8;
    EXPECT_EQ(w.engine.info(w.s).rtt_us, trip);
    EXPECT_EQ(w.engine.info(w.s).rtt_smoothed_us, smoothed);
  }
}

TEST(ClientTelling, CountersOfLatencyLateRepliesAndBusy) {
  Bound w;
  w.submit(w.s, 1, "x", w.now + 50 * kMs);
  w.submit(w.s, 2);
  w.run(100 * kMs);
  EXPECT_ENDED(w, 1, RAFTCS_ERR_TIMED_OUT, RAFTCS_OUTCOME_UNKNOWN);
  w.give(w.link, wire::Response{w.ch, RequestId(1), 0, {}, Index(1)});
  EXPECT_EQ(w.engine.info(w.s).late_replies, 1u);
  w.give(w.link, wire::RequestError{w.ch, RequestId(2), RAFTCS_ERR_BUSY, 5, ""});
  EXPECT_EQ(w.engine.info(w.s).busy, 1u);
  w.run(200 * kMs);
  w.give(w.link, wire::Response{w.ch, RequestId(2), 0, {}, Index(1)});
  EXPECT_ENDED(w, 2, RAFTCS_OK, RAFTCS_OUTCOME_APPLIED);
  w.submit(w.s, 3);
  w.run(7 * kMs);
  const int64_t before = w.engine.info(w.s).latency_us;
  w.give(w.link, wire::Response{w.ch, RequestId(3), 0, {}, Index(1)});
  EXPECT_NE(w.engine.info(w.s).latency_us, before);
  EXPECT_GE(w.engine.info(w.s).latency_us, 0);
}

// --- life and death of a session ------------------------------------------------------------

TEST(ClientTelling, KAL05_AShortSessionLeavesASilentLeaderInTime) {
  constexpr uint64_t kTimeoutMs = 1'000;
  World w;
  const SessionHandle s = w.engine.add(options_for({kA, kB}));
  w.engine.open(s, w.now);
  const LinkId first = w.last_link();
  const std::string other = w.endpoint_of[first] == kA ? kB : kA;
  w.serve(first, 7, kTimeoutMs);
  // The leader answers for a while, then says nothing more, its connection staying open.
  std::optional<wire::KeepAlive> k;
  for (int i = 0; i < 400 && !k; ++i) {
    w.run(kMs);
    k = w.get<wire::KeepAlive>(first);
  }
  ASSERT_TRUE(k);
  w.give(first, wire::KeepAliveReply{1, k->timestamp});
  const Mono silent_since = w.now;
  LinkId second = 0;
  for (int i = 0; i < 2'000 && second == 0; ++i) {
    w.run(kMs);
    second = w.link_to(other);
  }
  ASSERT_NE(second, 0u);
  EXPECT_LE(w.now - silent_since, static_cast<DurationNs>(kTimeoutMs) * kMs * 8 / 10);
  w.serve_again(second, 0, kTimeoutMs);
  EXPECT_EQ(w.engine.info(s).state, SessionState::connected);
}

TEST(ClientTelling, KAL05_CommandsInFlightDoNotHideASilentLeader) {
  World w;
  const SessionHandle s = w.engine.add(options_for({kA, kB}));
  w.engine.open(s, w.now);
  const LinkId first = w.last_link();
  const std::string other = w.endpoint_of[first] == kA ? kB : kA;
  w.serve(first, 7, 1'000);
  const Mono silent_since = w.now;
  uint64_t op = 0;
  while (w.link_to(other) == 0 && w.now - silent_since < 3 * kNsPerSecond) {
    w.submit(s, ++op);  // without a pause
    w.run(20 * kMs);
  }
  EXPECT_LE(w.now - silent_since, 800 * kMs);
}

TEST(ClientTelling, KAL13_ALeaderThatEchoesNoKeepAliveIsLeftThoughItTalks) {
  Bound w(options_for({kA, kB}));  // timeout 9 s
  size_t probes = 0;
  const Mono start = w.now;
  while (w.link_to(w.endpoint_of[w.link] == kA ? kB : kA) == 0 &&
         w.now - start < 20 * kNsPerSecond) {
    w.run(100 * kMs);
    while (w.get<wire::TopologyRequest>(w.link)) {
      ++probes;
      w.give(w.link, wire::Topology{});
    }
  }
  EXPECT_GT(probes, 0u);
  EXPECT_LE(w.now - start, 7 * kNsPerSecond);  // two thirds of the timeout
}

TEST(ClientTelling, KAL08_WarningAtMostOfTheTimeoutOnceAndAgainAfterContact) {
  Bound w;  // timeout 9 s
  w.engine.link_down(w.link, w.now);
  const Mono lost = w.now;
  std::vector<Mono> warned;
  const auto watch = [&](DurationNs d) {
    for (const Mono end = w.now + d; w.now < end;) {
      w.run(10 * kMs);
      while (auto e = w.event(EventKind::state)) {
        if (!has(e->data, "\"at_risk\":true")) continue;
        if (warned.empty() || e->text.find("most of") != std::string::npos) warned.push_back(w.now);
        EXPECT_EQ(e->status, RAFTCS_ERR_UNREACHABLE);
      }
    }
  };
  watch(7'600 * kMs);
  EXPECT_TRUE(warned.empty());
  watch(1'400 * kMs);
  ASSERT_EQ(warned.size(), 1u);
  EXPECT_NEAR(static_cast<double>(warned[0] - lost), 7'650.0 * kMs, 20.0 * kMs);
  w.serve_again(w.last_link());
  auto e = w.event(EventKind::state);
  ASSERT_TRUE(e);
  EXPECT_TRUE(has(e->data, "\"at_risk\":false")) << e->data.str();
}

TEST(ClientTelling, W_C18_RenewTellsTheNewSession) {
  SessionOptions o = options_for({kA});
  o.renew_on_expiry = true;
  Bound w(o);
  w.submit(w.s, 1);
  w.give(w.link, wire::SessionClosed{w.ch, CloseReason::expired, {}});
  EXPECT_ENDED(w, 1, RAFTCS_ERR_SESSION_EXPIRED, RAFTCS_OUTCOME_UNKNOWN);
  EXPECT_EQ(w.event(EventKind::session_lost)->status, RAFTCS_ERR_SESSION_EXPIRED);
  w.run(100 * kMs);
  auto c = w.get<wire::CreateSession>(w.link);
  ASSERT_TRUE(c);
  w.give(w.link, wire::SessionCreated{c->channel, c->nonce, uuid_of(9), 9'000});
  std::optional<Event> last;
  while (auto e = w.event(EventKind::state)) last = e;
  ASSERT_TRUE(last);
  EXPECT_TRUE(has(last->data, "\"session\":\"" + uuid_of(9).hex() + "\"")) << last->data.str();
  EXPECT_EQ(w.engine.info(w.s).sessions_lost, 1u);
}

}  // namespace raftcs::client::testing
