// rules_test.cpp: the engine's own rules: pacing, windows, deadlines, tokens, admin calls,
// many sessions on one link.
#include <chrono>
#include <set>

#include "client/random.hpp"
#include "tests/unit/client/fake_server.hpp"

namespace raftcs::client::testing {

using wire::CloseReason;
using wire::RejectReason;

// Answers every hello with a welcome and every create or continue with a rejection.
size_t run_rejecting(World& w, DurationNs d,
                     const std::function<wire::SessionRejected(LinkId)>& answer) {
  size_t attempts = 0;
  const Mono end = w.now + d;
  while (w.now < end) {
    w.run(kMs);
    for (int again = 0; again < 20; ++again) {  // at RTT 0: a tight loop would show
      const std::vector<LinkId> links = w.opened;
      size_t before = attempts;
      for (LinkId l : links) {
        auto& q = w.inbox[l];
        while (!q.empty()) {
          const wire::ClientMessage m = std::move(q.front());
          q.pop_front();
          if (std::holds_alternative<wire::Hello>(m)) w.give(l, w.welcome_of(l));
          if (auto* c = std::get_if<wire::CreateSession>(&m)) {
            ++attempts;
            wire::SessionRejected r = answer(l);
            r.channel = c->channel;
            r.nonce = c->nonce;
            w.give(l, r);
          }
        }
      }
      if (attempts == before) break;
    }
  }
  return attempts;
}

TEST(ClientRules, W_C3_LDR04_MutualHintsAreNoTightLoop) {
  World w;
  const SessionHandle s = w.engine.add(options_for({kA, kB}));
  w.engine.open(s, w.now);
  const auto answer = [&](LinkId l) {
    wire::SessionRejected r;
    r.leader = w.hint(w.endpoint_of[l] == kA ? 2 : 1);
    return r;
  };
  const size_t first = run_rejecting(w, kNsPerSecond, answer);
  EXPECT_LE(first, 24u);
  EXPECT_GE(first, 4u);
  run_rejecting(w, 5 * kNsPerSecond, answer);
  EXPECT_LE(run_rejecting(w, 10 * kNsPerSecond, answer), 30u);  // backoff at its longest
  EXPECT_EQ(w.count_events(EventKind::topology), 0u);
}

TEST(ClientRules, LDR05_NoLeaderWaitsForTheServersTime) {
  World w;
  const SessionHandle s = w.engine.add(options_for({kA}));
  w.engine.open(s, w.now);
  const auto answer = [&](LinkId) {
    wire::SessionRejected r;
    r.retry_after_ms = 500;
    return r;
  };
  const size_t n = run_rejecting(w, 10 * kNsPerSecond, answer);
  EXPECT_GE(n, 8u);
  EXPECT_LE(n, 21u);
}

TEST(ClientRules, ABoundSessionThatIsThrownOutAtOnceBacksOff) {
  Bound w;
  size_t binds = 0;
  const Mono end = w.now + 10 * kNsPerSecond;
  w.give(w.link, wire::SessionClosed{w.ch, CloseReason::not_leader, w.hint(2)});
  while (w.now < end) {
    w.run(kMs);
    for (LinkId l : std::vector<LinkId>(w.opened)) {
      if (w.get_hello(l)) w.give(l, w.welcome_of(l));
      if (auto c = w.get<wire::ContinueSession>(l)) {
        ++binds;
        w.give(l, wire::SessionContinued{c->channel, c->nonce, 9'000, {}});
        w.give(l, wire::SessionClosed{c->channel, CloseReason::not_leader,
                                      w.hint(w.endpoint_of[l] == kA ? 2 : 1)});
      }
    }
  }
  EXPECT_LE(binds, 40u);
  EXPECT_GE(binds, 8u);
}

TEST(ClientRules, WindowIsTheLesserOfOursAndTheServers) {
  SessionOptions o = options_for({kA});
  o.window_max = 4;
  Bound w(o);
  for (uint64_t op = 1; op <= 10; ++op) w.submit(w.s, op);
  EXPECT_EQ(w.count<wire::Request>(w.link), 4u);
  w.give(w.link, wire::Response{w.ch, RequestId(2), 0, {}, Index(1)});
  EXPECT_EQ(w.count<wire::Request>(w.link), 5u);
  for (int i = 0; i < 5; ++i) w.get<wire::Request>(w.link);
  EXPECT_EQ(w.engine.info(w.s).outstanding, 9u);
}

TEST(ClientRules, OutstandingMaxRefusesBusy) {
  SessionOptions o = options_for({kA});
  o.outstanding_max = 2;
  Bound w(o);
  for (uint64_t op = 1; op <= 3; ++op) w.submit(w.s, op);
  EXPECT_ENDED(w, 3, RAFTCS_ERR_BUSY, RAFTCS_OUTCOME_NOT_APPLIED);
  const SessionInfo i = w.engine.info(w.s);
  EXPECT_EQ(i.submitted, i.completed + i.outstanding);
}

TEST(ClientRules, BusyIsRetriedUnderItsIdAndIsNotAppliedMeanwhile) {
  Bound w;
  w.submit(w.s, 1, "x", w.now + 100 * kMs);
  w.submit(w.s, 2);
  w.get<wire::Request>(w.link), w.get<wire::Request>(w.link);
  w.give(w.link, wire::RequestError{w.ch, RequestId(1), RAFTCS_ERR_BUSY, 200, ""});
  w.give(w.link, wire::RequestError{w.ch, RequestId(2), RAFTCS_ERR_BUSY, 200, ""});
  w.submit(w.s, 3);
  w.run(150 * kMs);
  EXPECT_EQ(w.count<wire::Request>(w.link), 0u);
  EXPECT_ENDED(w, 1, RAFTCS_ERR_TIMED_OUT, RAFTCS_OUTCOME_NOT_APPLIED);
  w.run(200 * kMs);
  EXPECT_EQ(w.get<wire::Request>(w.link)->id, RequestId(2));
  EXPECT_EQ(w.get<wire::Request>(w.link)->id, RequestId(3));
}

TEST(ClientRules, BusyHalvesWhatIsInFlightAndAnswersGiveItBack) {
  SessionOptions o = options_for({kA});
  o.window_max = 64;
  o.outstanding_max = 10'000;
  Bound w(o);
  for (uint64_t op = 1; op <= 2'000; ++op) w.submit(w.s, op);
  ASSERT_EQ(w.count<wire::Request>(w.link), 64u);
  for (uint64_t id = 1; id <= 64; ++id)
    w.give(w.link, wire::RequestError{w.ch, RequestId(id), RAFTCS_ERR_BUSY, 20, ""});
  while (w.get<wire::Request>(w.link)) {
  }
  w.run(100 * kMs);
  ASSERT_EQ(w.count<wire::Request>(w.link), 32u) << "the refusals of one burst count once";
  uint64_t answered = 0, sent = 0;
  while (answered < 1'900) {
    auto request = w.get<wire::Request>(w.link);
    ASSERT_TRUE(request) << "after " << answered << " answers";
    ++sent;
    w.give(w.link, wire::Response{w.ch, request->id, 0, {}, Index(1)});
    ++answered;
  }
  EXPECT_GE(w.count<wire::Request>(w.link), 60u) << "a window of answers opens one place more";
  for (int round = 0; round < 8; ++round) {  // however often: it never stops altogether
    while (auto request = w.get<wire::Request>(w.link))
      w.give(w.link, wire::RequestError{w.ch, request->id, RAFTCS_ERR_BUSY, 20, ""});
    w.run(2 * kNsPerSecond);
  }
  EXPECT_EQ(w.count<wire::Request>(w.link), 4u);
}

TEST(ClientRules, CMD16_CancelKnowsWhetherItLeft) {
  SessionOptions o = options_for({kA});
  o.window_max = 1;
  Bound w(o);
  w.submit(w.s, 1);
  w.submit(w.s, 2);
  EXPECT_TRUE(w.engine.cancel(w.s, 2, w.now));
  EXPECT_ENDED(w, 2, RAFTCS_ERR_CANCELLED, RAFTCS_OUTCOME_NOT_APPLIED);
  EXPECT_TRUE(w.engine.cancel(w.s, 1, w.now));
  EXPECT_ENDED(w, 1, RAFTCS_ERR_CANCELLED, RAFTCS_OUTCOME_UNKNOWN);
  EXPECT_FALSE(w.engine.cancel(w.s, 1, w.now));
  w.submit(w.s, 3);
  w.get<wire::Request>(w.link);
  auto r = w.get<wire::Request>(w.link);
  ASSERT_TRUE(r);
  EXPECT_EQ(r->id, RequestId(2));
  EXPECT_EQ(r->lowest_pending, RequestId(2));
}

// More sendings than are counted: refusals of as many later ones prove nothing about the first.
TEST(ClientRules, ManyUnansweredSendingsStayUnknown) {
  Bound w;
  w.submit(w.s, 1);
  for (int i = 0; i < 300; ++i) {
    w.engine.link_down(w.link, w.now);
    for (int t = 0; t < 500 && w.last_link() == w.link; ++t) w.run(10 * kMs);
    w.link = w.last_link();
    w.ch = w.serve_again(w.link);
    ASSERT_TRUE(w.get<wire::Request>(w.link)) << i;
  }
  for (int i = 0; i < 300; ++i) {
    w.give(w.link, wire::RequestError{w.ch, RequestId(1), RAFTCS_ERR_BUSY, 1, ""});
    std::optional<wire::Request> again;
    for (int t = 0; t < 500 && !again; ++t) {
      w.run(10 * kMs);
      w.answer_probes(w.link);
      again = w.get<wire::Request>(w.link);
    }
    ASSERT_TRUE(again) << i;
  }
  w.give(w.link, wire::RequestError{w.ch, RequestId(1), RAFTCS_ERR_BUSY, 1'000, ""});
  EXPECT_TRUE(w.engine.cancel(w.s, 1, w.now));
  EXPECT_ENDED(w, 1, RAFTCS_ERR_CANCELLED, RAFTCS_OUTCOME_UNKNOWN);
}

TEST(ClientRules, RenewCarriesUnsentCommandsOver) {
  SessionOptions o = options_for({kA});
  o.window_max = 1;
  o.renew_on_expiry = true;
  Bound w(o);
  w.submit(w.s, 1);
  w.submit(w.s, 2);
  w.query(w.s, 3);
  w.give(w.link, wire::SessionClosed{w.ch, CloseReason::expired, {}});
  EXPECT_ENDED(w, 1, RAFTCS_ERR_SESSION_EXPIRED, RAFTCS_OUTCOME_UNKNOWN);
  EXPECT_TRUE(w.event(EventKind::session_lost));
  w.inbox[w.link].clear();
  w.run(100 * kMs);
  auto c = w.get<wire::CreateSession>(w.link);
  ASSERT_TRUE(c);
  w.give(w.link, wire::SessionCreated{c->channel, c->nonce, uuid_of(9), 9'000});
  EXPECT_EQ(w.get<wire::Request>(w.link)->id, RequestId(1));
  EXPECT_TRUE(w.get<wire::Query>(w.link));
}

TEST(ClientRules, QueryIsRetriedUntilItsDeadline) {
  Bound w;
  w.query(w.s, 1, w.now + 2 * kNsPerSecond);
  size_t asked = 0;
  for (int i = 0; i < 3'000; ++i) {
    if (auto q = w.get<wire::Query>(w.link)) {
      ++asked;
      wire::QueryResponse r;
      r.channel = w.ch;
      r.correlation = q->correlation;
      r.status = RAFTCS_ERR_NO_LEADER;
      w.give(w.link, r);
    }
    w.run(kMs);
  }
  EXPECT_GE(asked, 4u);
  EXPECT_LE(asked, 12u);
  auto e = w.event(EventKind::query_reply);
  ASSERT_TRUE(e);
  EXPECT_EQ(e->status, RAFTCS_ERR_TIMED_OUT);
  EXPECT_EQ(e->outcome, RAFTCS_OUTCOME_NOT_APPLIED);
}

// A server drops a frame with more than it reads, and does not say so.
TEST(ClientRules, AQueryOverTheServersLimitDoesNotLeave) {
  Bound w;
  w.engine.query({w.s, 1, 1'001, "kv", Bytes::copy(std::string((1 << 20) + 1, 'x')), Mono::never(),
                  wire::Consistency::linearizable},
                 w.now);
  w.query(w.s, 2);
  auto q = w.get<wire::Query>(w.link);
  ASSERT_TRUE(q);
  EXPECT_EQ(q->payload.size(), 1u);
  auto e = w.event(EventKind::query_reply);
  ASSERT_TRUE(e);
  EXPECT_EQ(e->op_id, 1u);
  EXPECT_EQ(e->status, RAFTCS_ERR_TOO_LARGE);
  EXPECT_EQ(e->outcome, RAFTCS_OUTCOME_NOT_APPLIED);
  EXPECT_EQ(w.engine.info(w.s).outstanding, 1u);
}

TEST(ClientRules, ALostQueryIsSentAgainThoughTheLinkLives) {
  Bound w;
  w.query(w.s, 1);
  auto q = w.get<wire::Query>(w.link);
  ASSERT_TRUE(q);
  for (int i = 0; i < 400 && w.engine.info(w.s).reconnects == 0; ++i) {
    w.run(100 * kMs);
    w.answer_probes(w.link);
    if (auto c = w.get<wire::ContinueSession>(w.link))
      w.give(w.link, wire::SessionContinued{c->channel, c->nonce, 9'000, {}});
  }
  auto again = w.get<wire::Query>(w.link);
  ASSERT_TRUE(again);
  EXPECT_EQ(again->correlation, q->correlation);
}

TEST(ClientRules, AServerThatDoesNotLeadIsLeftThoughItNeverSaidGoodbye) {
  Bound w(options_for({kA, kB}));
  const std::string other = w.endpoint_of[w.link] == kA ? kB : kA;
  w.query(w.s, 1);
  auto q = w.get<wire::Query>(w.link);
  ASSERT_TRUE(q);
  wire::QueryResponse r;
  r.channel = w.ch;
  r.correlation = q->correlation;
  r.status = RAFTCS_ERR_NOT_LEADER;
  w.give(w.link, r);
  w.run(200 * kMs);
  const LinkId next = w.link_to(other);
  ASSERT_NE(next, 0u);
  w.serve_again(next);
  EXPECT_EQ(w.get<wire::Query>(next)->correlation, q->correlation);
}

TEST(ClientRules, QRY09_StaleQueriesNeedNoSession) {
  World w;
  const SessionHandle s = w.engine.add(options_for({kA}));
  w.engine.open(s, w.now);
  const LinkId link = w.last_link();
  w.give(link, w.welcome_of(link));
  w.query(s, 1);
  w.query(s, 2, Mono::never(), wire::Consistency::stale);
  auto q = w.get<wire::Query>(link);
  ASSERT_TRUE(q);
  EXPECT_EQ(q->channel, 0u);
  EXPECT_FALSE(w.get<wire::Query>(link));
  wire::QueryResponse r;
  r.correlation = q->correlation;
  w.give(link, r);
  EXPECT_EQ(w.event(EventKind::query_reply)->op_id, 2u);
}

// A member without a leader refuses the session before it answers the query that came behind.
TEST(ClientRules, QRY09_AStaleQueryIsAnsweredByAMemberThatCannotBindTheSession) {
  World w;
  const SessionHandle s = w.engine.add(options_for({kA}));
  w.engine.open(s, w.now);
  const LinkId link = w.last_link();
  w.query(s, 1);
  w.query(s, 2, Mono::never(), wire::Consistency::stale);
  w.query(s, 3, Mono::never(), wire::Consistency::stale);
  w.give(link, w.welcome_of(link));
  auto create = w.get<wire::CreateSession>(link);
  auto second = w.get<wire::Query>(link);
  auto third = w.get<wire::Query>(link);
  ASSERT_TRUE(create && second && third);
  w.give(link, wire::SessionRejected{
                   create->channel, create->nonce, wire::RejectReason::not_leader, {}, 0, ""});
  wire::QueryResponse r;
  r.correlation = third->correlation;
  r.status = RAFTCS_ERR_BUSY;  // no answer; it is asked again
  w.give(link, r);
  EXPECT_FALSE(w.event(EventKind::query_reply));
  r.correlation = second->correlation;
  r.status = RAFTCS_OK;
  w.give(link, r);
  auto e = w.event(EventKind::query_reply);
  ASSERT_TRUE(e);
  EXPECT_EQ(e->op_id, 2u);
  EXPECT_EQ(e->status, RAFTCS_OK);
  w.give(link, r);  // once only
  EXPECT_FALSE(w.event(EventKind::query_reply));
}

TEST(ClientRules, AdminNeedsNoSessionFollowsTheLeaderAndIsNeverSentTwice) {
  World w;
  const SessionHandle s = w.engine.add(options_for({kA}));
  w.admin(s, 1, "");
  const LinkId a = w.link_to(kA);
  w.give(a, w.welcome_of(a));
  auto m = w.get<wire::Admin>(a);
  ASSERT_TRUE(m);
  wire::AdminReply r;
  r.correlation = m->correlation;
  r.status = RAFTCS_ERR_NOT_LEADER;
  r.leader = w.hint(2);
  w.give(a, r);
  const LinkId b = w.link_to(kB);
  ASSERT_NE(b, 0u);
  w.give(b, w.welcome_of(b));
  m = w.get<wire::Admin>(b);
  ASSERT_TRUE(m);
  w.give(a, r);  // the old link has no say any more
  w.engine.link_down(b, w.now);
  auto e = w.event(EventKind::admin_reply);
  ASSERT_TRUE(e);
  EXPECT_EQ(e->status, RAFTCS_ERR_UNREACHABLE);
  EXPECT_EQ(e->outcome, RAFTCS_OUTCOME_UNKNOWN);
  w.admin(s, 2, kC, w.now + 10 * kNsPerSecond);
  const LinkId c = w.link_to(kC);
  w.give(c, w.welcome_of(c));
  m = w.get<wire::Admin>(c);
  ASSERT_TRUE(m);
  EXPECT_EQ(m->verb, "status");
  wire::AdminReply ok;
  ok.correlation = m->correlation;
  ok.json = "{}";
  w.give(c, ok);
  e = w.event(EventKind::admin_reply);
  ASSERT_TRUE(e);
  EXPECT_EQ(e->outcome, RAFTCS_OUTCOME_APPLIED);
  EXPECT_EQ(e->data.str(), "{}");
}

// A server that fails may have begun: as raftcs_status_outcome has it.
TEST(ClientRules, WhatAServerFailedAtMayHaveHappened) {
  World w;
  const SessionHandle s = w.engine.add(options_for({kA}));
  uint64_t op = 0;
  for (const auto& [status, outcome] : std::vector<std::pair<raftcs_status_t, int32_t>>{
           {RAFTCS_ERR_IO, RAFTCS_OUTCOME_UNKNOWN},
           {RAFTCS_ERR_INTERNAL, RAFTCS_OUTCOME_UNKNOWN},
           {RAFTCS_ERR_PLUGIN_FAILED, RAFTCS_OUTCOME_UNKNOWN},
           {RAFTCS_ERR_DROPPED, RAFTCS_OUTCOME_UNKNOWN},
           {RAFTCS_ERR_BAD_STATE, RAFTCS_OUTCOME_NOT_APPLIED}}) {
    w.admin(s, ++op, kA);
    const LinkId a = w.link_to(kA);
    if (op == 1) w.give(a, w.welcome_of(a));
    auto m = w.get<wire::Admin>(a);
    ASSERT_TRUE(m);
    wire::AdminReply r;
    r.correlation = m->correlation;
    r.status = status;
    w.give(a, r);
    auto e = w.event(EventKind::admin_reply);
    ASSERT_TRUE(e);
    EXPECT_EQ(e->status, status);
    EXPECT_EQ(e->outcome, outcome) << status;
  }
}

TEST(ClientRules, WrongClusterEverywhereEndsTheSession) {
  World w;
  SessionOptions o = options_for({kA});
  o.cluster = uuid_of(0xEE);
  const SessionHandle s = w.engine.add(o);
  w.engine.open(s, w.now);
  w.submit(s, 1);
  w.give(w.last_link(), w.welcome_of(w.last_link()));
  EXPECT_ENDED(w, 1, RAFTCS_ERR_WRONG_CLUSTER, RAFTCS_OUTCOME_NOT_APPLIED);
}

// As after disaster recovery: the servers are there, in a new cluster. A client that is not told
// which cluster it wants finds it when it is opened again.
TEST(ClientRules, AClientThatLostItsClusterOpensInTheOneThatIsThere) {
  for (bool told : {false, true}) {
    SessionOptions o = options_for({kA});
    if (told) o.cluster = kCluster;
    Bound w(o);
    w.engine.link_down(w.link, w.now);
    w.run(500 * kMs);
    wire::Welcome welcome = w.welcome_of(w.last_link());
    welcome.cluster = uuid_of(0xEE);
    w.give(w.last_link(), welcome);
    auto lost = w.event(EventKind::session_lost);
    ASSERT_TRUE(lost);
    EXPECT_EQ(lost->status, RAFTCS_ERR_WRONG_CLUSTER);
    w.inbox[w.last_link()].clear();
    w.engine.open(w.s, w.now);
    EXPECT_EQ(w.count<wire::CreateSession>(w.last_link()), told ? 0u : 1u);
  }
}

// Requests on their way to a channel that is not bound are each answered by session_closed. A
// session that had the channel of another by then would take these for its own (simulator seed
// 142).
TEST(ClientLinks, AChannelRestsBeforeAnotherSessionHasIt) {
  World w;
  std::vector<SessionHandle> sessions;
  for (int i = 0; i < 2; ++i) {
    sessions.push_back(w.engine.add(options_for({kA})));
    w.engine.open(sessions.back(), w.now);
  }
  const LinkId link = w.last_link();
  for (uint8_t id = 1; id <= 2; ++id) w.serve(link, id);
  for (wire::Channel ch : {1, 2})
    w.give(link, wire::SessionClosed{ch, wire::CloseReason::not_leader, {}});
  std::set<wire::Channel> asked;
  for (int i = 0; i < 2; ++i) {
    w.run(50 * kMs);
    while (auto m = w.get<wire::ContinueSession>(link)) {
      asked.insert(m->channel);
      w.give(link, wire::SessionClosed{1, wire::CloseReason::session_error, {}});  // late
      w.give(link, wire::SessionContinued{m->channel, m->nonce, 9'000, RequestId(0)});
    }
  }
  EXPECT_EQ(asked, (std::set<wire::Channel>{3, 4}));
  for (SessionHandle s : sessions) EXPECT_EQ(w.engine.info(s).state, SessionState::connected);
}

// --- the generator ------------------------------------------------------------------------

TEST(ClientRandom, ChaCha20BlockOfZeroKey) {  // RFC 8439 A.1, test vector 1
  Random r({0, 0, 0, 0});
  EXPECT_EQ(r.next(), 0x903df1a0ade0b876ull);
  EXPECT_EQ(r.next(), 0x28bd8653e56a5d40ull);
}

// --- many sessions, and the cost of one command -----------------------------------------

TEST(ClientMany, D9_TenThousandSessionsShareOneLink) {
  World w;
  constexpr size_t kSessions = 10'000;
  std::vector<SessionHandle> all;
  for (size_t i = 0; i < kSessions; ++i) {
    all.push_back(w.engine.add(options_for({kA})));
    w.engine.open(all.back(), w.now);
    w.engine.submit({all.back(), 1, 1, "kv", Bytes::copy("x"), Mono::never(), {}}, w.now);
  }
  const LinkId link = w.last_link();
  EXPECT_EQ(w.opened.size(), 1u);
  w.give(link, w.welcome_of(link));
  const auto answer = [&] {
    wire::FrameBuilder b;
    auto q = std::exchange(w.inbox[link], {});
    for (auto& m : q) {
      if (auto* c = std::get_if<wire::CreateSession>(&m)) {
        b.add(wire::ServerMessage(wire::SessionCreated{c->channel, c->nonce, c->proof, 9'000}));
      } else if (auto* d = std::get_if<wire::ContinueSession>(&m)) {
        b.add(wire::ServerMessage(wire::SessionContinued{d->channel, d->nonce, 9'000, {}}));
      } else if (auto* r = std::get_if<wire::Request>(&m)) {
        b.add_response(r->channel, r->id, 0, nullptr, 0, Index(1));
      }
    }
    for (auto& f : b.take()) w.engine.receive(w.link_to(kA), f, w.now);
    w.pump();
  };
  answer();
  answer();
  EXPECT_EQ(w.count_events(EventKind::reply), kSessions);
  w.engine.link_down(link, w.now);
  w.run(30 * kMs);
  EXPECT_EQ(w.opened.size(), 2u);
}

TEST(ClientMany, CostOfSubmitAndResponse) {
  for (size_t sessions : {size_t{1}, size_t{64}, size_t{10'000}}) {
    Engine e({1, 2, 3, 4});
    const Mono now{kNsPerSecond};
    World w;
    std::vector<SessionHandle> all;
    for (size_t i = 0; i < sessions; ++i) {
      all.push_back(e.add(options_for({kA})));
      e.open(all.back(), now);
    }
    Effects fx = e.take_effects(now);
    const LinkId link = fx.open.at(0).link;
    w.endpoint_of[link] = kA;
    const auto give = [&](wire::FrameBuilder& b) {
      for (auto& f : b.take()) e.receive(link, f, now);
    };
    wire::FrameBuilder b;
    b.add(wire::ServerMessage(w.welcome_of(link)));
    give(b);
    std::vector<wire::Channel> channels;
    fx = e.take_effects(now);
    for (auto& send : fx.send) {
      wire::ClientSink sink;
      wire::DecodeError error;
      ASSERT_TRUE(wire::decode_client_frame(send.frame, {}, &sink, &error));
      for (auto& m : sink) {
        auto& c = std::get<wire::CreateSession>(m);
        channels.push_back(c.channel);
        b.add(wire::ServerMessage(wire::SessionCreated{c.channel, c.nonce, c.proof, 9'000}));
      }
    }
    give(b);
    const Bytes payload = Bytes::copy(std::string(64, 'x'));
    constexpr uint64_t kBatch = 640;
    const uint64_t rounds = 200'000 / kBatch;
    std::vector<uint64_t> next(sessions, 1);
    int64_t spent = 0;
    size_t replies = 0, turn = 0, sent = 0;
    for (uint64_t round = 0; round < rounds; ++round) {
      std::vector<size_t> chosen;
      for (uint64_t i = 0; i < kBatch; ++i) chosen.push_back(turn++ % sessions);
      auto t0 = std::chrono::steady_clock::now();
      for (size_t i : chosen)
        e.submit({all[i], ++sent, 1, "kv", payload, now + kNsPerSecond * 10, {}}, now);
      fx = e.take_effects(now);
      auto t1 = std::chrono::steady_clock::now();
      spent += (t1 - t0).count();
      for (size_t i : chosen)
        b.add_response(channels[i], RequestId(next[i]++), 0, "ok", 2, Index(1));
      auto frames = b.take();
      t0 = std::chrono::steady_clock::now();
      for (auto& f : frames) e.receive(link, f, now);
      fx = e.take_effects(now);
      t1 = std::chrono::steady_clock::now();
      spent += (t1 - t0).count();
      for (auto& ev : fx.events) replies += ev.kind == EventKind::reply && ev.status == RAFTCS_OK;
    }
    EXPECT_EQ(replies, rounds * kBatch);
    RecordProperty("ns_per_command_" + std::to_string(sessions),
                   static_cast<int>(spent / static_cast<int64_t>(rounds * kBatch)));
    std::printf("%zu sessions: %lld ns per submit and response\n", sessions,
                static_cast<long long>(spent / static_cast<int64_t>(rounds * kBatch)));
  }
}

}  // namespace raftcs::client::testing
