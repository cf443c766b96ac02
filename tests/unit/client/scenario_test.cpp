// scenario_test.cpp: the client scenarios of the catalogue (T-C.., T-TS..), against scripted
// servers. Which server a client goes to: finding_server_test.cpp.
#include "tests/unit/client/fake_server.hpp"

namespace raftcs::client::testing {

using wire::CloseReason;
using wire::RejectReason;

TEST(ClientScenario, T_C01_T_TS01_OpenSendsHelloThenCreateWithCapabilities) {
  World w;
  const SessionHandle s = w.engine.add(options_for({kA}));
  EXPECT_TRUE(w.engine.take_effects(w.now).empty());  // CLI-01: add connects nothing
  w.engine.open(s, w.now);
  const LinkId link = w.last_link();
  EXPECT_EQ(w.endpoint_of[link], kA);
  auto hello = w.get<wire::Hello>(link);
  ASSERT_TRUE(hello);
  EXPECT_EQ(hello->client_name, "test");
  EXPECT_EQ(w.count<wire::CreateSession>(link), 0u);  // nothing before the welcome
  w.give(link, w.welcome_of(link));
  auto create = w.get<wire::CreateSession>(link);
  ASSERT_TRUE(create);
  EXPECT_NE(create->nonce, 0u);
  EXPECT_FALSE(create->proof.is_zero());
  EXPECT_EQ(create->timeout_ms, 10'000u);
  ASSERT_EQ(create->capabilities.size(), 1u);
  EXPECT_EQ(create->capabilities[0].first, "kind");
}

TEST(ClientScenario, T_C02_T_C06_FirstCommandHasIdOneAndCompletes) {
  Bound w;
  w.submit(w.s, 5, "payload");
  auto r = w.get<wire::Request>(w.link);
  ASSERT_TRUE(r);
  EXPECT_EQ(r->id, RequestId(1));
  EXPECT_EQ(r->lowest_pending, RequestId(1));
  EXPECT_EQ(r->service, "kv");
  EXPECT_EQ(r->payload.str(), "payload");
  w.give(w.link, wire::Response{w.ch, RequestId(1), 42, Bytes::copy("result"), Index(9)});
  auto e = w.event(EventKind::reply);
  ASSERT_TRUE(e);
  EXPECT_EQ(e->op_id, 5u);
  EXPECT_EQ(e->tag, 1'005u);
  EXPECT_EQ(e->status, RAFTCS_OK);
  EXPECT_EQ(e->outcome, RAFTCS_OUTCOME_APPLIED);
  EXPECT_EQ(e->app_code, 42);
  EXPECT_EQ(e->index, 9u);
  EXPECT_EQ(e->data.str(), "result");
}

TEST(ClientScenario, T_C04_T_TS31_QueryRoundTrip) {
  Bound w;
  w.query(w.s, 3);
  auto q = w.get<wire::Query>(w.link);
  ASSERT_TRUE(q);
  EXPECT_EQ(q->channel, w.ch);
  wire::QueryResponse r;
  r.channel = w.ch;
  r.correlation = q->correlation;
  r.result = Bytes::copy("answer");
  r.index = Index(4);
  w.give(w.link, r);
  auto e = w.event(EventKind::query_reply);
  ASSERT_TRUE(e);
  EXPECT_EQ(e->op_id, 3u);
  EXPECT_EQ(e->data.str(), "answer");
  EXPECT_EQ(e->index, 4u);
  w.give(w.link, r);  // QRY-04: once
  EXPECT_FALSE(w.event(EventKind::query_reply));
}

TEST(ClientScenario, T_C05_T_C08_T_TS53_CommandsBeforeTheSessionAreSentAfterIt) {
  World w;
  const SessionHandle s = w.engine.add(options_for({kA}));
  w.submit(s, 1);  // before open
  w.engine.open(s, w.now);
  w.submit(s, 2);
  const LinkId link = w.last_link();
  w.submit(s, 3);
  const wire::Channel ch = w.serve(link);
  for (uint64_t id = 1; id <= 3; ++id) {
    auto r = w.get<wire::Request>(link);
    ASSERT_TRUE(r);
    EXPECT_EQ(r->id, RequestId(id));
    EXPECT_EQ(r->lowest_pending, RequestId(1));
  }
  for (uint64_t id = 1; id <= 3; ++id) {
    w.give(link, wire::Response{ch, RequestId(id), 0, {}, Index(id)});
    EXPECT_ENDED(w, id, RAFTCS_OK, RAFTCS_OUTCOME_APPLIED);
  }
}

TEST(ClientScenario, T_C07_LowestPendingIsTheFirstUnanswered) {
  Bound w;
  w.submit(w.s, 1);
  w.submit(w.s, 2);
  EXPECT_EQ(w.get<wire::Request>(w.link)->lowest_pending, RequestId(1));
  EXPECT_EQ(w.get<wire::Request>(w.link)->lowest_pending, RequestId(1));
  w.give(w.link, wire::Response{w.ch, RequestId(1), 0, {}, Index(1)});
  w.submit(w.s, 3);
  EXPECT_EQ(w.get<wire::Request>(w.link)->lowest_pending, RequestId(2));
  w.give(w.link, wire::Response{w.ch, RequestId(2), 0, {}, Index(1)});
  w.give(w.link, wire::Response{w.ch, RequestId(3), 0, {}, Index(1)});
  w.submit(w.s, 4);
  EXPECT_EQ(w.get<wire::Request>(w.link)->lowest_pending, RequestId(4));
}

TEST(ClientScenario, T_C09_T_TS24_SilentServerIsLeftAndTheCommandSentAgain) {
  Bound w;  // KAL-05, W-C5
  w.submit(w.s, 1, "p");
  ASSERT_TRUE(w.get<wire::Request>(w.link));
  w.run(3 * kNsPerSecond);
  ASSERT_FALSE(w.closed.empty());
  EXPECT_EQ(w.closed[0], w.link);
  EXPECT_EQ(w.count<wire::TopologyRequest>(w.link), 1u);  // asked before it was given up
  const LinkId again = w.last_link();
  ASSERT_NE(again, w.link);
  const wire::Channel ch = w.serve_again(again);
  auto r = w.get<wire::Request>(again);
  ASSERT_TRUE(r);
  EXPECT_EQ(r->id, RequestId(1));
  EXPECT_EQ(r->payload.str(), "p");
  w.give(w.link, wire::Response{w.ch, RequestId(1), 1, {}, Index(1)});  // W-C9: old link
  EXPECT_FALSE(w.event(EventKind::reply));
  w.give(again, wire::Response{ch, RequestId(1), 0, {}, Index(1)});
  EXPECT_ENDED(w, 1, RAFTCS_OK, RAFTCS_OUTCOME_APPLIED);
  EXPECT_EQ(w.engine.info(w.s).resent, 1u);
}

TEST(ClientScenario, CMD21_SlowCommandOnALiveServerKeepsTheLink) {
  Bound w;
  w.submit(w.s, 1);
  for (int i = 0; i < 20; ++i) {
    w.run(500 * kMs);
    w.answer_probes(w.link);
  }
  EXPECT_TRUE(w.closed.empty());
  w.give(w.link, wire::Response{w.ch, RequestId(1), 0, {}, Index(1)});
  EXPECT_ENDED(w, 1, RAFTCS_OK, RAFTCS_OUTCOME_APPLIED);
}

TEST(ClientScenario, T_C10_T_C21_T_C22_T_TS09_LinkLossContinuesAndResendsInOrder) {
  Bound w;
  for (uint64_t op = 1; op <= 5; ++op) w.submit(w.s, op, "p" + std::to_string(op));
  w.give(w.link, wire::Response{w.ch, RequestId(2), 0, {}, Index(1)});
  EXPECT_ENDED(w, 2, RAFTCS_OK, RAFTCS_OUTCOME_APPLIED);
  w.engine.link_down(w.link, w.now);
  w.run(100 * kMs);
  const LinkId again = w.last_link();
  ASSERT_NE(again, w.link);
  ASSERT_TRUE(w.get_hello(again));
  w.give(again, w.welcome_of(again));
  auto c = w.get<wire::ContinueSession>(again);
  ASSERT_TRUE(c);
  EXPECT_EQ(c->session, uuid_of(7));
  w.give(again, wire::SessionContinued{c->channel, c->nonce, 9'000, RequestId(5)});
  for (uint64_t id : {1, 3, 4, 5}) {  // CLI-05: in id order
    auto r = w.get<wire::Request>(again);
    ASSERT_TRUE(r);
    EXPECT_EQ(r->id, RequestId(id));
    EXPECT_EQ(r->payload.str(), "p" + std::to_string(id));
  }
  EXPECT_FALSE(w.get<wire::Request>(again));
  EXPECT_EQ(w.engine.info(w.s).reconnects, 1u);
  EXPECT_EQ(w.engine.info(w.s).resent, 4u);
}

TEST(ClientScenario, T_C11_T_TS30_ManyInFlightAnsweredInReverse) {
  Bound w;
  for (uint64_t op = 1; op <= 5; ++op) w.submit(w.s, op);
  for (uint64_t id = 5; id >= 1; --id) {
    w.give(w.link, wire::Response{w.ch, RequestId(id), static_cast<int32_t>(id), {}, Index(1)});
    auto e = w.event(EventKind::reply);
    ASSERT_TRUE(e);
    EXPECT_EQ(e->op_id, id);
    EXPECT_EQ(e->app_code, static_cast<int32_t>(id));
  }
}

TEST(ClientScenario, T_C12_T_TS18_RequestErrorEndsOnlyItsCommand) {
  Bound w;
  for (uint64_t op = 1; op <= 5; ++op) w.submit(w.s, op);
  w.give(w.link, wire::RequestError{w.ch, RequestId(2), RAFTCS_ERR_EVICTED, 0, "gone"});
  EXPECT_ENDED(w, 2, RAFTCS_ERR_EVICTED, RAFTCS_OUTCOME_UNKNOWN);
  w.give(w.link, wire::RequestError{w.ch, RequestId(1), RAFTCS_ERR_TOO_LARGE, 0, ""});
  EXPECT_ENDED(w, 1, RAFTCS_ERR_TOO_LARGE, RAFTCS_OUTCOME_NOT_APPLIED);
  w.give(w.link, wire::RequestError{w.ch, RequestId(3), RAFTCS_ERR_NOT_FOUND, 0, ""});
  EXPECT_ENDED(w, 3, RAFTCS_ERR_NOT_FOUND, RAFTCS_OUTCOME_NOT_APPLIED);
  w.give(w.link, wire::RequestError{w.ch, RequestId(4), RAFTCS_ERR_MISUSE, 0, ""});
  EXPECT_ENDED(w, 4, RAFTCS_ERR_MISUSE, RAFTCS_OUTCOME_NOT_APPLIED);
  w.give(w.link, wire::Response{w.ch, RequestId(5), 0, {}, Index(1)});
  EXPECT_ENDED(w, 5, RAFTCS_OK, RAFTCS_OUTCOME_APPLIED);
  EXPECT_EQ(w.engine.info(w.s).state, SessionState::connected);
}

TEST(ClientScenario, T_C13_T_C29_ErrorAndAnswerForUnknownIdsAreIgnored) {
  Bound w;
  w.give(w.link, wire::RequestError{w.ch, RequestId(99), RAFTCS_ERR_EVICTED, 0, ""});
  w.give(w.link, wire::Response{w.ch, RequestId(99), 0, {}, Index(1)});
  w.give(w.link, wire::Response{77, RequestId(1), 0, {}, Index(1)});
  EXPECT_FALSE(w.event(EventKind::reply));
  EXPECT_EQ(w.engine.info(w.s).state, SessionState::connected);
}

TEST(ClientScenario, T_C14_T_TS44_T_TS47_KeepAlivesAtAThirdOfTheTimeoutWithRtt) {
  Bound w;  // timeout 9 s
  for (int i = 0; i < 5; ++i) {
    w.run(2'999 * kMs);
    EXPECT_EQ(w.count<wire::KeepAlive>(w.link), 0u);
    w.run(1 * kMs);
    auto k = w.get<wire::KeepAlive>(w.link);
    ASSERT_TRUE(k);
    EXPECT_EQ(k->timestamp, static_cast<uint64_t>(w.now.ns));
    w.now = w.now + 250'000;
    w.give(w.link, wire::KeepAliveReply{w.ch, k->timestamp + 1});  // KAL-06: not ours
    EXPECT_EQ(w.engine.info(w.s).rtt_us, i == 0 ? -1 : 250);
    w.give(w.link, wire::KeepAliveReply{w.ch, k->timestamp});
    EXPECT_EQ(w.engine.info(w.s).rtt_us, 250);
    w.now = w.now + -250'000;
  }
}

TEST(ClientScenario, KAL09_TrafficReplacesKeepAlives) {
  Bound w;
  for (uint64_t op = 1; op <= 10; ++op) {
    w.run(2'000 * kMs);
    w.submit(w.s, op);
    ASSERT_TRUE(w.get<wire::Request>(w.link));
    w.give(w.link, wire::Response{w.ch, RequestId(op), 0, {}, Index(1)});
  }
  EXPECT_EQ(w.count<wire::KeepAlive>(w.link), 0u);
}

// No room at the session for another reply: no end of the command, it goes again.
TEST(ClientScenario, AFullSessionIsWaitedFor) {
  Bound w;
  w.submit(w.s, 1);
  w.give(w.link, wire::RequestError{w.ch, RequestId(1), RAFTCS_ERR_RESOURCE_LIMIT, 0, ""});
  EXPECT_FALSE(w.event(EventKind::reply));
  w.run(100 * kMs);
  ASSERT_EQ(w.count<wire::Request>(w.link), 2u);
  w.give(w.link, wire::Response{w.ch, RequestId(1), 0, {}, Index(1)});
  EXPECT_ENDED(w, 1, RAFTCS_OK, RAFTCS_OUTCOME_APPLIED);
}

// Servers may allow more than the codec does of itself, and a state machine may answer with more
// than they take (a reply is bounded by 64 MiB alone).
TEST(ClientScenario, ALargeReplyIsDelivered) {
  constexpr uint64_t kMiB = 1 << 20;
  for (uint64_t told : {uint64_t{0}, kMiB, 32 * kMiB, 64 * kMiB, UINT64_MAX}) {
    World w;
    const SessionHandle s = w.engine.add(options_for({kA}));
    w.engine.open(s, w.now);
    const LinkId link = w.last_link();
    wire::Welcome welcome = w.welcome_of(link);
    welcome.payload_bytes_max = told;
    w.give(link, welcome);
    const wire::Channel ch = w.serve(link);
    const auto answer = [&](uint64_t id, uint64_t bytes) {
      w.submit(s, id);
      w.give(link,
             wire::Response{ch, RequestId(id), 0, Bytes::copy(std::string(bytes, 'x')), Index(id)});
    };
    answer(1, 20 * kMiB);
    auto e = w.event(EventKind::reply);
    ASSERT_TRUE(e) << told;
    EXPECT_EQ(e->data.size(), 20 * kMiB);
    answer(2, 64 * kMiB);
    EXPECT_TRUE(w.event(EventKind::reply)) << told;
    answer(3, 64 * kMiB + 1);  // nobody may send so much, whatever it says
    EXPECT_FALSE(w.event(EventKind::reply)) << told;
    EXPECT_EQ(w.engine.malformed_frames(), 1u);
  }
}

TEST(ClientScenario, T_C15_T_C18_T_C19_T_TS32_PushesInOrderAcknowledgedOncePerFlush) {
  Bound w;
  for (uint64_t id = 1; id <= 3; ++id) {
    w.give(w.link, wire::Push{w.ch, PushId(id), Bytes::copy("w" + std::to_string(id)), 0});
    auto e = w.event(EventKind::push);
    ASSERT_TRUE(e);
    EXPECT_EQ(e->op_id, id);
    EXPECT_EQ(e->data.str(), "w" + std::to_string(id));
    auto a = w.get<wire::PushAck>(w.link);
    ASSERT_TRUE(a);
    EXPECT_EQ(a->up_to, PushId(id));
  }
  wire::FrameBuilder b;  // a batch: one acknowledgement (SRQ-07)
  for (uint64_t id = 4; id <= 9; ++id)
    b.add(wire::ServerMessage(wire::Push{w.ch, PushId(id), {}, 0}));
  for (auto& f : b.take()) w.engine.receive(w.link, f, w.now);
  EXPECT_EQ(w.count<wire::PushAck>(w.link), 1u);
  EXPECT_EQ(w.get<wire::PushAck>(w.link)->up_to, PushId(9));
  EXPECT_EQ(w.engine.info(w.s).pushes, 9u);
}

TEST(ClientScenario, T_C16_T_C17_T_TS16_T_TS17_T_TS42_DuplicatesReacknowledgedGapsIgnored) {
  Bound w;
  w.give(w.link, wire::Push{w.ch, PushId(1), {}, 0});
  EXPECT_TRUE(w.get<wire::PushAck>(w.link));
  w.give(w.link, wire::Push{w.ch, PushId(1), {}, 0});
  EXPECT_EQ(w.get<wire::PushAck>(w.link)->up_to, PushId(1));
  w.give(w.link, wire::Push{w.ch, PushId(3), {}, 0});
  EXPECT_FALSE(w.get<wire::PushAck>(w.link));
  EXPECT_EQ(w.count_events(EventKind::push), 1u);
}

TEST(ClientScenario, WhatAnotherHolderAcknowledgedIsSaidNotSkipped) {
  for (bool manual : {false, true}) {
    SessionOptions o = options_for({kA});
    o.manual_ack = manual;
    Bound w(o);
    w.give(w.link, wire::Push{w.ch, PushId(1), {}, 0});
    w.give(w.link, wire::PushReset{w.ch, PushId(2), PushId(7)});
    auto gone = w.event(EventKind::pushes_gone);
    ASSERT_TRUE(gone);
    EXPECT_EQ(gone->op_id, 2u);
    EXPECT_EQ(gone->index, 7u);
    EXPECT_EQ(gone->data.str(), "{\"first\":2,\"last\":7}");
    w.give(w.link, wire::PushReset{w.ch, PushId(2), PushId(7)});  // an echo
    EXPECT_FALSE(w.event(EventKind::pushes_gone));
    w.give(w.link, wire::Push{w.ch, PushId(8), {}, 0});
    auto next = w.event(EventKind::push);
    ASSERT_TRUE(next);
    EXPECT_EQ(next->op_id, 8u);
    if (manual) w.engine.ack(w.s, 1, PushId(8), w.now);
    wire::PushAck last{};
    while (auto a = w.get<wire::PushAck>(w.link)) last = *a;
    EXPECT_EQ(last.up_to, PushId(8));
  }
}

TEST(ClientScenario, W_C8_ManualAcknowledgementAndItsBound) {
  Bound w(manual_options(2));
  for (uint64_t id = 1; id <= 3; ++id) w.give(w.link, wire::Push{w.ch, PushId(id), {}, 0});
  EXPECT_EQ(w.count_events(EventKind::push), 2u);
  EXPECT_FALSE(w.get<wire::PushAck>(w.link));
  w.engine.ack(w.s, 1, PushId(1), w.now);
  EXPECT_EQ(w.get<wire::PushAck>(w.link)->up_to, PushId(1));
  w.give(w.link, wire::Push{w.ch, PushId(3), {}, 0});
  EXPECT_EQ(w.count_events(EventKind::push), 3u);
  w.engine.ack(w.s, 1, PushId(99), w.now);  // no more than was delivered
  EXPECT_EQ(w.get<wire::PushAck>(w.link)->up_to, PushId(3));
}

TEST(ClientScenario, T_C20_T_TS11_T_TS26_T_TS52_ExpiryDuringContinueEndsEverything) {
  Bound w;
  w.submit(w.s, 1);
  w.submit(w.s, 2);
  w.engine.link_down(w.link, w.now);
  w.submit(w.s, 3);  // never leaves
  w.query(w.s, 4);
  w.run(100 * kMs);
  const LinkId again = w.last_link();
  w.give(again, w.welcome_of(again));
  auto c = w.get<wire::ContinueSession>(again);
  ASSERT_TRUE(c);
  w.give(again,
         wire::SessionRejected{c->channel, c->nonce, RejectReason::session_expired, {}, 0, ""});
  EXPECT_ENDED(w, 1, RAFTCS_ERR_SESSION_EXPIRED, RAFTCS_OUTCOME_UNKNOWN);
  EXPECT_ENDED(w, 2, RAFTCS_ERR_SESSION_EXPIRED, RAFTCS_OUTCOME_UNKNOWN);
  EXPECT_ENDED(w, 3, RAFTCS_ERR_SESSION_EXPIRED, RAFTCS_OUTCOME_NOT_APPLIED);
  EXPECT_EQ(w.event(EventKind::query_reply)->outcome, RAFTCS_OUTCOME_NOT_APPLIED);
  EXPECT_EQ(w.event(EventKind::session_lost)->status, RAFTCS_ERR_SESSION_EXPIRED);
  EXPECT_EQ(w.engine.info(w.s).state, SessionState::disconnected);
  w.submit(w.s, 5);  // W-C1: later calls end at once
  EXPECT_ENDED(w, 5, RAFTCS_ERR_SESSION_EXPIRED, RAFTCS_OUTCOME_NOT_APPLIED);
  EXPECT_EQ(w.engine.info(w.s).outstanding, 0u);
}

TEST(ClientScenario, T_C24_T_TS29_CloseSendsExactlyOneCloseSessionAndWaitsForTheAnswer) {
  Bound w;
  w.submit(w.s, 1);
  w.engine.close(w.s, false, w.now);
  w.engine.close(w.s, false, w.now);
  EXPECT_ENDED(w, 1, RAFTCS_ERR_CLOSED, RAFTCS_OUTCOME_UNKNOWN);
  EXPECT_EQ(w.count<wire::CloseSession>(w.link), 1u);
  EXPECT_FALSE(w.event(EventKind::closed));
  w.give(w.link, wire::SessionClosed{w.ch, CloseReason::closed, {}});
  EXPECT_TRUE(w.event(EventKind::closed));
  EXPECT_TRUE(w.events.empty());
  w.run(6 * kNsPerSecond);  // the link is not kept for ever
  EXPECT_EQ(w.closed, std::vector<LinkId>{w.link});
  w.engine.forget(w.s);
  EXPECT_EQ(w.engine.next_deadline(), Mono::never());
}

TEST(ClientScenario, T_TS02_T_TS49_SubmitBeforeOpenTimesOutNotApplied) {
  World w;
  const SessionHandle s = w.engine.add(options_for({kA}));
  w.submit(s, 1, "x", w.now + 50 * kMs);
  w.run(100 * kMs);
  EXPECT_ENDED(w, 1, RAFTCS_ERR_TIMED_OUT, RAFTCS_OUTCOME_NOT_APPLIED);
}

TEST(ClientScenario, T_TS03_T_TS10_WrongNonceIsIgnored) {
  World w;
  const SessionHandle s = w.engine.add(options_for({kA}));
  w.engine.open(s, w.now);
  const LinkId link = w.last_link();
  w.give(link, w.welcome_of(link));
  auto c = w.get<wire::CreateSession>(link);
  w.give(link, wire::SessionCreated{c->channel, c->nonce + 1, uuid_of(1), 9'000});
  w.give(link, wire::SessionRejected{c->channel, c->nonce + 1, RejectReason::invalid, {}, 0, ""});
  w.give(link, wire::SessionContinued{c->channel, c->nonce, 9'000, {}});
  EXPECT_EQ(w.engine.info(s).state, SessionState::connecting_new);
  w.give(link, wire::SessionCreated{c->channel, c->nonce, uuid_of(1), 9'000});
  EXPECT_EQ(w.engine.info(s).state, SessionState::connected);
}

TEST(ClientScenario, T_TS06_RefusedCapabilitiesEndTheAttempt) {
  World w;
  const SessionHandle s = w.engine.add(options_for({kA}));
  w.engine.open(s, w.now);
  w.submit(s, 1);
  const LinkId link = w.last_link();
  w.give(link, w.welcome_of(link));
  auto c = w.get<wire::CreateSession>(link);
  w.give(link, wire::SessionRejected{c->channel, c->nonce, RejectReason::invalid, {}, 0, "no"});
  EXPECT_ENDED(w, 1, RAFTCS_ERR_SESSION_REJECTED, RAFTCS_OUTCOME_NOT_APPLIED);
  auto lost = w.event(EventKind::session_lost);
  ASSERT_TRUE(lost);
  EXPECT_EQ(lost->status, RAFTCS_ERR_SESSION_REJECTED);
  EXPECT_EQ(lost->text, "no");
}

TEST(ClientScenario, T_TS08_T_TS14_CloseWhileConnectingEndsEverything) {
  World w;
  const SessionHandle s = w.engine.add(options_for({kA}));
  w.engine.open(s, w.now);
  w.submit(s, 1);
  w.engine.close(s, false, w.now);
  EXPECT_ENDED(w, 1, RAFTCS_ERR_CLOSED, RAFTCS_OUTCOME_NOT_APPLIED);
  EXPECT_TRUE(w.event(EventKind::closed));  // no create ever left
}

TEST(ClientScenario, SES21_CloseWithACreateInFlightClosesWhatIsCreated) {
  World w;
  const SessionHandle s = w.engine.add(options_for({kA}));
  w.engine.open(s, w.now);
  const LinkId link = w.last_link();
  w.give(link, w.welcome_of(link));
  auto c = w.get<wire::CreateSession>(link);
  w.engine.close(s, false, w.now);
  EXPECT_FALSE(w.event(EventKind::closed));
  w.give(link, wire::SessionCreated{c->channel, c->nonce, uuid_of(1), 9'000});
  EXPECT_TRUE(w.get<wire::CloseSession>(link));
  w.run(3 * kNsPerSecond);  // bounded even without an answer
  EXPECT_TRUE(w.event(EventKind::closed));
}

TEST(ClientScenario, T_TS19_SessionExpiredWhileConnected) {
  Bound w;
  w.submit(w.s, 1);
  w.query(w.s, 2);
  w.give(w.link, wire::SessionClosed{w.ch, CloseReason::expired, {}});
  EXPECT_ENDED(w, 1, RAFTCS_ERR_SESSION_EXPIRED, RAFTCS_OUTCOME_UNKNOWN);
  EXPECT_EQ(w.event(EventKind::query_reply)->status, RAFTCS_ERR_SESSION_EXPIRED);
  EXPECT_EQ(w.event(EventKind::session_lost)->status, RAFTCS_ERR_SESSION_EXPIRED);
  w.engine.open(w.s, w.now);  // CLI-08: usable for a new session
  auto c = w.get<wire::CreateSession>(w.link);
  ASSERT_TRUE(c);
  w.give(w.link, wire::SessionCreated{c->channel, c->nonce, uuid_of(8), 9'000});
  w.submit(w.s, 3);
  EXPECT_EQ(w.get<wire::Request>(w.link)->id, RequestId(1));  // CMD-12
}

TEST(ClientScenario, SESSION_TAKEN_IsFinalWithoutPingPong) {
  SessionOptions o = options_for({kA});
  o.renew_on_expiry = true;  // even so
  Bound w(o);
  w.submit(w.s, 1);
  w.give(w.link, wire::SessionClosed{w.ch, CloseReason::taken_over, {}});
  EXPECT_ENDED(w, 1, RAFTCS_ERR_SESSION_TAKEN, RAFTCS_OUTCOME_UNKNOWN);
  EXPECT_EQ(w.event(EventKind::session_lost)->status, RAFTCS_ERR_SESSION_TAKEN);
  w.run(60 * kNsPerSecond);
  EXPECT_EQ(w.count<wire::ContinueSession>(w.link), 0u);
  EXPECT_EQ(w.opened.size(), 1u);
}

TEST(ClientScenario, T_TS23_QueryIsSentAgainUnderItsCorrelation) {
  Bound w;
  w.query(w.s, 1);
  auto q = w.get<wire::Query>(w.link);
  ASSERT_TRUE(q);
  w.engine.link_down(w.link, w.now);
  w.run(100 * kMs);
  const LinkId again = w.last_link();
  w.serve_again(again);
  auto q2 = w.get<wire::Query>(again);
  ASSERT_TRUE(q2);
  EXPECT_EQ(q2->correlation, q->correlation);
}

TEST(ClientScenario, T_TS45_DeadlineAfterSendingIsUnknownAndTheFloorMovesOn) {
  Bound w;
  w.submit(w.s, 1, "x", w.now + 100 * kMs);
  w.submit(w.s, 2);
  w.get<wire::Request>(w.link);
  w.run(100 * kMs);
  EXPECT_ENDED(w, 1, RAFTCS_ERR_TIMED_OUT, RAFTCS_OUTCOME_UNKNOWN);
  w.submit(w.s, 3);
  w.get<wire::Request>(w.link);
  EXPECT_EQ(w.get<wire::Request>(w.link)->lowest_pending, RequestId(2));
  w.give(w.link, wire::Response{w.ch, RequestId(1), 0, {}, Index(1)});  // CMD-15: late
  EXPECT_FALSE(w.event(EventKind::reply));
  w.engine.link_down(w.link, w.now);
  w.run(100 * kMs);
  w.serve_again(w.last_link());
  EXPECT_EQ(w.get<wire::Request>(w.last_link())->id, RequestId(2));  // 1 is not sent again
}

TEST(ClientScenario, T_TS46_HundredConcurrentIdsAreUniqueAndConsecutive) {
  Bound w;
  for (uint64_t op = 1; op <= 100; ++op) w.submit(w.s, op);
  for (uint64_t id = 1; id <= 100; ++id) EXPECT_EQ(w.get<wire::Request>(w.link)->id, RequestId(id));
}

TEST(ClientScenario, T_TS48_T_TS50_StatesAreTold) {
  World w;
  const SessionHandle s = w.engine.add(options_for({kA}));
  EXPECT_EQ(w.engine.info(s).state, SessionState::disconnected);
  w.engine.open(s, w.now);
  w.engine.open(s, w.now);  // CLI-15: twice is harmless
  const LinkId link = w.last_link();
  w.serve(link);
  w.engine.link_down(link, w.now);
  w.run(100 * kMs);
  w.serve_again(w.last_link());
  w.engine.close(s, true, w.now);
  std::vector<int> states;
  while (auto e = w.event(EventKind::state)) states.push_back(e->app_code);
  EXPECT_EQ(states, (std::vector<int>{2, 4, 3, 4, 1}));
}

TEST(ClientScenario, T_TS56_CLI16_GarbageCostsTheLinkNotTheSession) {
  Bound w;
  w.submit(w.s, 1);
  w.engine.receive(w.link, Bytes::copy("garbage"), w.now);
  EXPECT_EQ(w.engine.malformed_frames(), 1u);
  w.run(100 * kMs);
  w.serve_again(w.last_link());
  EXPECT_EQ(w.get<wire::Request>(w.last_link())->id, RequestId(1));
}

TEST(ClientScenario, T_TS53_CloseBeforeOpen) {
  World w;
  const SessionHandle s = w.engine.add(options_for({kA}));
  w.submit(s, 1);
  w.engine.close(s, false, w.now);
  EXPECT_ENDED(w, 1, RAFTCS_ERR_CLOSED, RAFTCS_OUTCOME_NOT_APPLIED);
  EXPECT_TRUE(w.event(EventKind::closed));
  w.submit(s, 2);
  EXPECT_ENDED(w, 2, RAFTCS_ERR_CLOSED, RAFTCS_OUTCOME_NOT_APPLIED);
}

TEST(ClientScenario, T_TS54_TooLargeIsRefusedCleanly) {
  Bound w;
  w.submit(w.s, 1, std::string(1 << 20, 'x'));
  EXPECT_EQ(w.get<wire::Request>(w.link)->payload.size(), 1u << 20);
  w.submit(w.s, 2, std::string((1 << 20) + 1, 'x'));
  EXPECT_ENDED(w, 2, RAFTCS_ERR_TOO_LARGE, RAFTCS_OUTCOME_NOT_APPLIED);
  w.submit(w.s, 3);
  EXPECT_EQ(w.get<wire::Request>(w.link)->id, RequestId(2));  // no hole
}

}  // namespace raftcs::client::testing
