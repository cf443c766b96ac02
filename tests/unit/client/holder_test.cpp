// holder_test.cpp: one session, several processes: who holds it, who stops, what comes too late
// (decision 0021, SES-11, SES-18).
#include "client/token.hpp"
#include "tests/unit/client/fake_server.hpp"

namespace raftcs::client::testing {
namespace {

using wire::CloseReason;
using wire::RejectReason;

// A process that resumes with the token, welcomed at A; its continue is taken from the inbox.
struct Resumed : World {
  explicit Resumed(const Bytes& token, uint64_t seed) : World(seed) {
    s = engine.add(options_for({kA}));
    EXPECT_TRUE(engine.resume(s, token, now).is_ok());
    link = last_link();
    get<wire::Hello>(link);
    give(link, welcome_of(link));
    first = *get<wire::ContinueSession>(link);
  }
  void reject(const wire::ContinueSession& m, HolderId holder) {
    give(link,
         wire::SessionRejected{m.channel, m.nonce, RejectReason::taken_over, {}, 0, "", holder});
  }
  SessionHandle s = 0;
  LinkId link = 0;
  wire::ContinueSession first;
};

Bytes token_of(Bound& w) {
  auto token = w.engine.export_session(w.s);
  EXPECT_TRUE(token.is_ok());
  return *token;
}

}  // namespace

TEST(ClientHolder, TheCreatorIsZeroAndWhoeverResumesIsOfTheNextGeneration) {
  Bound w;
  w.engine.link_down(w.link, w.now);
  w.run(100 * kMs);
  const LinkId again = w.last_link();
  w.get_hello(again);
  w.give(again, w.welcome_of(again));
  EXPECT_EQ(w.get<wire::ContinueSession>(again)->holder, HolderId());
  const Bytes token = token_of(w);
  Resumed x(token, 2), y(token, 3);
  EXPECT_EQ(generation_of(x.first.holder), 1u);
  EXPECT_EQ(generation_of(y.first.holder), 1u);
  EXPECT_NE(x.first.holder, y.first.holder);  // told apart
  auto next = x.engine.export_session(x.s);
  ASSERT_TRUE(next.is_ok());
  Resumed z(*next, 4);
  EXPECT_EQ(generation_of(z.first.holder), 2u);
}

TEST(ClientHolder, NoncesRiseFromAttemptToAttempt) {
  Bound w;
  uint64_t before = 0;
  for (int i = 0; i < 5; ++i) {
    w.engine.link_down(w.last_link(), w.now);
    std::optional<wire::ContinueSession> m;
    LinkId link = 0;
    for (int t = 0; t < 500 && !m; ++t) {
      w.run(10 * kMs);
      link = w.last_link();
      if (w.get_hello(link)) w.give(link, w.welcome_of(link));
      m = w.get<wire::ContinueSession>(link);
    }
    ASSERT_TRUE(m);
    EXPECT_GT(m->nonce, before);
    before = m->nonce;
    w.give(link, wire::SessionContinued{m->channel, m->nonce, 9'000, {}});
  }
}

TEST(ClientHolder, AHolderThatIsRefusedStopsAndDoesNotComeBack) {
  SessionOptions o = options_for({kA});
  o.renew_on_expiry = true;  // even so
  Bound w(o);
  w.submit(w.s, 1);
  w.engine.link_down(w.link, w.now);
  w.submit(w.s, 2);
  w.run(100 * kMs);
  const LinkId again = w.last_link();
  w.get_hello(again);
  w.give(again, w.welcome_of(again));
  auto m = w.get<wire::ContinueSession>(again);
  ASSERT_TRUE(m);
  w.give(again, wire::SessionRejected{m->channel,
                                      m->nonce,
                                      RejectReason::taken_over,
                                      {},
                                      0,
                                      "",
                                      HolderId(uint64_t{1} << 32 | 5)});
  EXPECT_ENDED(w, 1, RAFTCS_ERR_SESSION_TAKEN, RAFTCS_OUTCOME_UNKNOWN);
  EXPECT_ENDED(w, 2, RAFTCS_ERR_SESSION_TAKEN, RAFTCS_OUTCOME_NOT_APPLIED);
  EXPECT_EQ(w.event(EventKind::session_lost)->status, RAFTCS_ERR_SESSION_TAKEN);
  w.run(60 * kNsPerSecond);
  EXPECT_EQ(w.count<wire::ContinueSession>(again), 0u);
  EXPECT_EQ(w.engine.info(w.s).state, SessionState::disconnected);
}

TEST(ClientHolder, ATokenUsedTwiceTheLaterOneHasTheSession) {
  Bound w;
  const Bytes token = token_of(w);
  Resumed x(token, 2), y(token, 3);
  // x is served first; y is refused and asks again, as the successor of x.
  x.give(x.link, wire::SessionContinued{x.first.channel, x.first.nonce, 9'000, {}});
  y.reject(y.first, x.first.holder);
  auto second = y.get<wire::ContinueSession>(y.link);
  ASSERT_TRUE(second);
  EXPECT_TRUE(supersedes(second->holder, x.first.holder));
  EXPECT_GT(second->nonce, y.first.nonce);
  y.give(y.link, wire::SessionContinued{second->channel, second->nonce, 9'000, {}});
  EXPECT_EQ(y.engine.info(y.s).state, SessionState::connected);
  x.give(x.link, wire::SessionClosed{x.first.channel, CloseReason::taken_over, {}});
  EXPECT_EQ(x.event(EventKind::session_lost)->status, RAFTCS_ERR_SESSION_TAKEN);
  // Once it has had the session, a refusal is final for y too.
  y.engine.link_down(y.link, y.now);
  y.run(100 * kMs);
  const LinkId again = y.last_link();
  y.get_hello(again);
  y.give(again, y.welcome_of(again));
  auto third = y.get<wire::ContinueSession>(again);
  ASSERT_TRUE(third);
  EXPECT_EQ(third->holder, second->holder);
  y.link = again;
  y.reject(*third, HolderId(uint64_t{9} << 32));
  EXPECT_EQ(y.event(EventKind::session_lost)->status, RAFTCS_ERR_SESSION_TAKEN);
}

TEST(ClientHolder, RefusalsOfOneThatResumesAreNoTightLoop) {
  Bound w;
  Resumed x(token_of(w), 2);
  x.reject(x.first, x.first.holder);
  size_t asked = 0;
  HolderId newest = x.first.holder;
  const Mono end = x.now + 10 * kNsPerSecond;
  while (x.now < end) {
    for (int at_once = 0; at_once < 20; ++at_once) {
      auto m = x.get<wire::ContinueSession>(x.link);
      if (!m) break;
      ++asked;
      newest = successor_of(m->holder, 1);  // somebody is always faster
      x.reject(*m, newest);
    }
    x.run(kMs);
  }
  EXPECT_GE(asked, 5u);
  EXPECT_LE(asked, 60u);
}

TEST(ClientToken, TheLastGenerationIsRefused) {
  Token t;
  t.session = uuid_of(1);
  t.holder = HolderId(UINT64_MAX);
  EXPECT_EQ(decode_token(encode_token(t)).status().code(), RAFTCS_ERR_MALFORMED);
}

}  // namespace raftcs::client::testing
