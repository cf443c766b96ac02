// token_test.cpp: exported sessions: what a token tells, and what whoever resumes with it gets.
#include "client/token.hpp"

#include "tests/unit/client/fake_server.hpp"

namespace raftcs::client::testing {

TEST(ClientToken, RoundTripAndEveryDamageIsRefused) {
  Token t;
  t.session = uuid_of(1);
  t.proof = uuid_of(2);
  t.cluster = uuid_of(3);
  t.next_id = 300;
  t.received_push = 12;
  t.timeout_ms = 10'000;
  t.unanswered = {{5, 55}, {6, 66}, {299, 1}};
  const Bytes b = encode_token(t);
  auto back = decode_token(b);
  ASSERT_TRUE(back.is_ok());
  EXPECT_EQ(*back, t);
  for (size_t i = 0; i < b.size(); ++i) {
    std::string damaged = b.str();
    damaged[i] = static_cast<char>(damaged[i] ^ 0x20);
    EXPECT_FALSE(decode_token(Bytes::copy(damaged)).is_ok()) << i;
    EXPECT_FALSE(decode_token(b.slice(0, i)).is_ok()) << i;
  }
}

TEST(ClientToken, ResumeCollectsOriginalRepliesUnderTheOldIds) {
  Bound w;
  for (uint64_t op = 1; op <= 4; ++op) w.submit(w.s, op, "p" + std::to_string(op));
  w.give(w.link, wire::Response{w.ch, RequestId(2), 0, {}, Index(1)});
  w.give(w.link, wire::Push{w.ch, PushId(1), {}, 0});
  auto token = w.engine.export_session(w.s);
  ASSERT_TRUE(token.is_ok());

  World x(2);
  const SessionHandle s = x.engine.add(options_for({kA}));
  EXPECT_EQ(x.engine.resume(s, Bytes::copy("nonsense"), x.now).code(), RAFTCS_ERR_MALFORMED);
  ASSERT_TRUE(x.engine.resume(s, *token, x.now).is_ok());
  x.submit(s, 11, "p1");
  x.submit(s, 12, "new");
  x.submit(s, 14, "p4");  // another order is fine too
  x.submit(s, 13, "p3");
  const LinkId link = x.last_link();
  ASSERT_TRUE(x.get_hello(link));
  x.give(link, x.welcome_of(link));
  auto c = x.get<wire::ContinueSession>(link);
  ASSERT_TRUE(c);
  EXPECT_EQ(c->session, uuid_of(7));
  EXPECT_EQ(c->received_push, PushId(1));
  x.give(link, wire::SessionContinued{c->channel, c->nonce, 9'000, RequestId(20)});
  std::vector<std::pair<uint64_t, std::string>> got;
  while (auto r = x.get<wire::Request>(link)) {
    got.push_back({r->id.value, r->payload.str()});
    EXPECT_EQ(r->lowest_pending, RequestId(1));
  }
  ASSERT_EQ(got.size(), 4u);
  EXPECT_EQ(got[0], (std::pair<uint64_t, std::string>{1, "p1"}));
  EXPECT_EQ(got[1], (std::pair<uint64_t, std::string>{3, "p3"}));
  EXPECT_EQ(got[2], (std::pair<uint64_t, std::string>{4, "p4"}));
  EXPECT_GT(got[3].first, 21u);  // behind everything the old process may have sent
  x.give(link, wire::Response{c->channel, RequestId(3), 0, Bytes::copy("r3"), Index(1)});
  EXPECT_ENDED(x, 13, RAFTCS_OK, RAFTCS_OUTCOME_APPLIED);
}

// Another process that goes on with a token; its link is made and not served yet.
struct Resumed : World {
  explicit Resumed(const Bytes& token) : World(2), s(engine.add(options_for({kA}))) {
    EXPECT_TRUE(engine.resume(s, token, now).is_ok());
    link = last_link();
  }
  void pass(int half_seconds) {
    for (int i = 0; i < half_seconds; ++i) {
      run(500 * kMs);
      answer_probes(link);
    }
  }
  const SessionHandle s;
  LinkId link = 0;
};

TEST(ClientToken, UnclaimedIdsAreGivenUpAfterATimeout) {
  Bound w;
  w.submit(w.s, 1, "p1");
  auto token = w.engine.export_session(w.s);
  Resumed x(*token);
  const SessionHandle s = x.s;
  const LinkId link = x.link;
  x.serve_again(link);
  x.run(1 * kNsPerSecond);
  x.submit(s, 1, "other");
  EXPECT_EQ(x.get<wire::Request>(link)->lowest_pending, RequestId(1));
  x.pass(20);
  x.submit(s, 2, "p1");  // too late to claim
  auto r = x.get<wire::Request>(link);
  ASSERT_TRUE(r);
  EXPECT_GT(r->lowest_pending, RequestId(1));
}

// Whoever resumes may collect one by one, each as slow as it likes: it would be run a second time.
TEST(ClientToken, CollectingMayTakeLongerThanASessionTimeout) {
  Bound w;
  const std::vector<std::string> all = {"p1", "p2", "p3", "p4"};
  for (uint64_t op = 1; op <= 4; ++op) w.submit(w.s, op, all[op - 1]);
  auto token = w.engine.export_session(w.s);
  Resumed x(*token);
  const SessionHandle s = x.s;
  const LinkId link = x.link;
  x.serve_again(link);
  x.pass(60);  // before it begins
  for (uint64_t op = 1; op <= 4; ++op) {
    x.submit(s, op, all[op - 1]);
    auto r = x.get<wire::Request>(link);
    ASSERT_TRUE(r);
    EXPECT_EQ(r->id, RequestId(op)) << "run a second time";
    if (op == 2) x.pass(30);  // its answer is long in coming
    x.give(link, wire::Response{r->channel, RequestId(op), 0, {}, Index(op)});
    x.pass(8);
  }
}

// What nobody claims must not keep what is claimed from running: servers free nothing behind it.
TEST(ClientToken, WhatKeepsTheOthersFromRunningIsGivenUp) {
  Bound w;
  for (uint64_t op = 1; op <= 3; ++op) w.submit(w.s, op, "p" + std::to_string(op));
  auto token = w.engine.export_session(w.s);
  Resumed x(*token);
  const SessionHandle s = x.s;
  const LinkId link = x.link;
  const wire::Channel ch = x.serve_again(link);
  x.submit(s, 3, "p3");
  for (int i = 0; i < 60; ++i) {
    while (auto r = x.get<wire::Request>(link)) {
      if (r->lowest_pending == RequestId(3)) return;  // now it can
      wire::RequestError full;
      full.channel = ch;
      full.id = r->id;
      full.status = RAFTCS_ERR_RESOURCE_LIMIT;
      x.give(link, full);
    }
    x.pass(1);
  }
  FAIL() << "ids 1 and 2 are in the way for ever";
}

// Each resumed process begins behind a gap. When what is unanswered is further apart than a
// token can tell, none is given: an id left out would be run a second time.
TEST(ClientToken, NothingUnansweredIsLeftOut) {
  Token token;
  token.session = uuid_of(7);
  token.proof = uuid_of(8);
  token.next_id = 60'000;
  token.unanswered = {{1, command_digest("kv", Bytes::copy("p1"))}};
  World x(2);
  const SessionHandle s = x.engine.add(options_for({kA}));
  ASSERT_TRUE(x.engine.resume(s, encode_token(token), x.now).is_ok());
  ASSERT_TRUE(x.engine.export_session(s).is_ok()) << "still within a token";
  const LinkId link = x.last_link();
  x.serve_again(link, 59'000);
  EXPECT_EQ(x.engine.export_session(s).status().code(), RAFTCS_ERR_RESOURCE_LIMIT);
  x.submit(s, 1, "p1");
  auto r = x.get<wire::Request>(link);
  ASSERT_TRUE(r);
  x.give(link, wire::Response{r->channel, RequestId(1), 0, {}, Index(1)});
  EXPECT_TRUE(x.engine.export_session(s).is_ok()) << "it was answered";
}

// The servers would refuse an id so far above an unanswered one, and what follows a refusal may
// overtake it. So it waits here (found by sim_session_time: a session was served out of order).
TEST(ClientToken, WhatTheServersWouldRefuseWaits) {
  Token token;
  token.session = uuid_of(7);
  token.proof = uuid_of(8);
  token.next_id = 60'000;
  token.unanswered = {{1, command_digest("kv", Bytes::copy("p1"))},
                      {2, command_digest("kv", Bytes::copy("never claimed"))}};
  World x(2);
  const SessionHandle s = x.engine.add(options_for({kA}));
  ASSERT_TRUE(x.engine.resume(s, encode_token(token), x.now).is_ok());
  const LinkId link = x.last_link();
  const wire::Channel ch = x.serve_again(link, 59'000);
  x.submit(s, 1, "p1");
  x.submit(s, 2, "new");
  EXPECT_EQ(x.get<wire::Request>(link)->id, RequestId(1));
  EXPECT_FALSE(x.get<wire::Request>(link));
  x.give(link, wire::Response{ch, RequestId(1), 0, {}, Index(1)});
  EXPECT_FALSE(x.get<wire::Request>(link)) << "id 2 is open";
  for (int i = 0; i < 21; ++i) {  // until it is given up
    x.run(500 * kMs);
    x.answer_probes(link);
  }
  auto fresh = x.get<wire::Request>(link);
  ASSERT_TRUE(fresh);
  EXPECT_EQ(fresh->payload.str(), "new");
  EXPECT_EQ(fresh->lowest_pending, fresh->id);
}

// The token is written while commands wait for room. They leave afterwards, so it must name them:
// else whoever resumes runs them a second time.
TEST(ClientToken, CommandsThatWaitToLeaveAreNamed) {
  SessionOptions o = options_for({kA});
  o.window_max = 2;
  Bound w(o);
  for (uint64_t op = 1; op <= 5; ++op) w.submit(w.s, op, "p" + std::to_string(op));
  auto token = w.engine.export_session(w.s);
  ASSERT_TRUE(token.is_ok());
  std::vector<uint64_t> sent;
  for (uint64_t id = 1; id <= 5; ++id) {  // and they leave under the ids that it names, in order
    w.pump();
    while (auto r = w.get<wire::Request>(w.link)) {
      EXPECT_EQ(r->payload.str(), "p" + std::to_string(r->id.value));
      sent.push_back(r->id.value);
    }
    w.give(w.link, wire::Response{w.ch, RequestId(id), 0, {}, Index(id)});
    EXPECT_ENDED(w, id, RAFTCS_OK, RAFTCS_OUTCOME_APPLIED);
  }
  EXPECT_EQ(sent, (std::vector<uint64_t>{1, 2, 3, 4, 5}));

  World x(2);
  const SessionHandle s = x.engine.add(options_for({kA}));
  ASSERT_TRUE(x.engine.resume(s, *token, x.now).is_ok());
  for (uint64_t op = 1; op <= 5; ++op) x.submit(s, op, "p" + std::to_string(op));
  const LinkId link = x.last_link();
  x.serve_again(link, 5);
  for (uint64_t id = 1; id <= 5; ++id) {
    auto r = x.get<wire::Request>(link);
    ASSERT_TRUE(r);
    EXPECT_EQ(r->id, RequestId(id));
    EXPECT_EQ(r->payload.str(), "p" + std::to_string(id));
  }
}

// An id is no sign of having left: the outcome stays what it was.
TEST(ClientToken, ANamedCommandThatNeverLeftIsNotApplied) {
  SessionOptions o = options_for({kA});
  o.window_max = 1;
  Bound w(o);
  w.submit(w.s, 1, "p1");
  w.submit(w.s, 2, "p2");
  w.submit(w.s, 3, std::string((1 << 20) + 1, 'x'));
  ASSERT_TRUE(w.engine.export_session(w.s).is_ok());
  EXPECT_TRUE(w.engine.cancel(w.s, 2, w.now));
  w.pump();
  EXPECT_ENDED(w, 2, RAFTCS_ERR_CANCELLED, RAFTCS_OUTCOME_NOT_APPLIED);
  EXPECT_ENDED(w, 3, RAFTCS_ERR_TOO_LARGE, RAFTCS_OUTCOME_NOT_APPLIED);
}

// The ids of a resumed session are known when it is continued.
TEST(ClientToken, NewCommandsOfAResumedSessionAreNamedOnceItIsContinued) {
  Bound w;
  auto token = w.engine.export_session(w.s);
  World x(2);
  const SessionHandle s = x.engine.add(options_for({kA}));
  ASSERT_TRUE(x.engine.resume(s, *token, x.now).is_ok());
  EXPECT_TRUE(x.engine.export_session(s).is_ok()) << "nothing waits";
  x.submit(s, 1, "new");
  EXPECT_EQ(x.engine.export_session(s).status().code(), RAFTCS_ERR_BUSY);
  x.serve_again(x.last_link());
  EXPECT_TRUE(x.engine.export_session(s).is_ok());
}

// With renew_on_expiry what never left goes on in the new session, named or not.
TEST(ClientToken, ANamedCommandThatNeverLeftGoesOnInANewSession) {
  SessionOptions o = options_for({kA});
  o.window_max = 1;
  o.renew_on_expiry = true;
  Bound w(o);
  for (uint64_t op = 1; op <= 3; ++op) w.submit(w.s, op, "p" + std::to_string(op));
  ASSERT_TRUE(w.engine.export_session(w.s).is_ok());
  w.submit(w.s, 4, "p4");
  w.give(w.link, wire::SessionClosed{w.ch, wire::CloseReason::expired, {}});
  EXPECT_ENDED(w, 1, RAFTCS_ERR_SESSION_EXPIRED, RAFTCS_OUTCOME_UNKNOWN);
  EXPECT_TRUE(w.event(EventKind::session_lost));
  w.inbox[w.link].clear();
  w.run(100 * kMs);
  auto c = w.get<wire::CreateSession>(w.link);
  ASSERT_TRUE(c);
  w.give(w.link, wire::SessionCreated{c->channel, c->nonce, uuid_of(9), 9'000});
  for (uint64_t id = 1; id <= 3; ++id) {
    auto r = w.get<wire::Request>(w.link);
    ASSERT_TRUE(r);
    EXPECT_EQ(r->id, RequestId(id));
    EXPECT_EQ(r->payload.str(), "p" + std::to_string(id + 1));
    w.give(w.link, wire::Response{c->channel, r->id, 0, {}, Index(id)});
    EXPECT_ENDED(w, id + 1, RAFTCS_OK, RAFTCS_OUTCOME_APPLIED);
  }
}

}  // namespace raftcs::client::testing
