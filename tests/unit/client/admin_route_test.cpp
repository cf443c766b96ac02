// admin_route_test.cpp: which server an administration call goes to, and how it ends when that
// server can do nothing with it. Against scripted servers.
#include "tests/unit/client/fake_server.hpp"

namespace raftcs::client::testing {

// A session of these endpoints, bound at B, which has gone by whatever it tried before.
SessionHandle bound_at_b(World& w, const SessionOptions& o) {
  const SessionHandle s = w.engine.add(o);
  w.engine.open(s, w.now);
  for (int i = 0; i < 20 && w.link_to(kB) == 0; ++i) {
    w.engine.link_down(w.last_link(), w.now);
    w.run(kNsPerSecond);
  }
  w.serve(w.link_to(kB));
  EXPECT_EQ(w.engine.info(s).state, SessionState::connected);
  return s;
}

// The other address is an old one, or the one its server tells, which is not reached from here.
TEST(ClientAdmin, ACallGoesToTheServerThatTheSessionIsBoundTo) {
  for (const bool told : {false, true}) {
    World w;
    if (told) w.members = {{NodeId(2), kC, true}};
    const SessionHandle s = bound_at_b(w, options_for({kB, kC}));
    const LinkId b = w.link_to(kB);
    w.admin(s, 1, "");
    auto m = w.get<wire::Admin>(b);
    ASSERT_TRUE(m) << told;
    w.give(b, wire::AdminReply{m->correlation, RAFTCS_OK, "", "{}", {}});
    EXPECT_TRUE(w.event(EventKind::admin_reply));
  }
}

// News that somebody else leads may be old. The one that serves the session says so itself.
TEST(ClientAdmin, ACallIsNotLedAwayFromTheServerThatServesTheSession) {
  World w;
  const SessionHandle s = bound_at_b(w, options_for({kB, kC}));
  const LinkId b = w.link_to(kB);
  w.give(b, wire::Topology{w.hint(1), {}});
  w.admin(s, 1, "");
  EXPECT_TRUE(w.get<wire::Admin>(b));
  EXPECT_EQ(w.link_to(kA), 0u);
}

TEST(ClientAdmin, ACallAlternatesBetweenTheServerOfTheSessionAndTheOthers) {
  World w;
  const SessionHandle s = bound_at_b(w, options_for({kA, kB, kC}));
  const LinkId b = w.link_to(kB);
  for (const LinkId old : std::vector<LinkId>(w.opened))
    if (old != b) w.engine.link_down(old, w.now);
  const size_t before = w.opened.size();
  w.admin(s, 1, "");
  int asked = 0;
  for (int i = 0; i < 200; ++i) {
    w.run(50 * kMs);
    w.answer_probes(b);
    if (w.last_link() != b) w.engine.link_down(w.last_link(), w.now);
    if (auto m = w.get<wire::Admin>(b)) {
      ++asked;
      w.give(b, wire::AdminReply{m->correlation, RAFTCS_ERR_NO_LEADER, "", "", {}});
    }
  }
  std::map<std::string, int> tries;
  for (size_t i = before; i < w.opened.size(); ++i) ++tries[w.endpoint_of[w.opened[i]]];
  EXPECT_GE(asked, 3);
  EXPECT_GE(tries[kA], 2);
  EXPECT_GE(tries[kC], 2);
}

TEST(ClientAdmin, ACallLeavesTheHintOfTheSessionToTheSession) {
  World w;
  const SessionHandle s = w.engine.add(options_for({kA}));
  w.engine.open(s, w.now);
  for (uint64_t node : {1, 2}) {  // the second hint in a row waits
    const LinkId link = w.link_to(w.address_of(node));
    w.give(link, w.welcome_of(link));
    auto c = w.get<wire::CreateSession>(link);
    ASSERT_TRUE(c);
    w.give(link, wire::SessionRejected{c->channel, c->nonce, wire::RejectReason::not_leader,
                                       w.hint(node + 1), 0, ""});
  }
  ASSERT_EQ(w.link_to(kC), 0u);
  w.admin(s, 1, "");
  w.run(50 * kMs);
  const LinkId c = w.link_to(kC);
  ASSERT_NE(c, 0u);
  w.give(c, w.welcome_of(c));
  EXPECT_TRUE(w.get<wire::CreateSession>(c));
  EXPECT_EQ(w.engine.info(s).attempts, 3u);
}

// As WhoSeemsToLeadAndDoesNotAnswerIsDoubted, without a session: B is asked again who leads.
TEST(ClientAdmin, WhoSeemsToLeadAndCannotBeAskedIsDoubted) {
  enum class Way : uint8_t { silent, refuses, foreign, other_version, leads_not };
  using enum Way;
  for (const Way way : {silent, refuses, foreign, other_version, leads_not}) {
    World w;
    SessionOptions o = options_for({kA, kB});
    o.cluster = kCluster;
    o.connect_timeout_ns = 500 * kMs;  // before the link is given up
    const SessionHandle s = w.engine.add(o);
    w.admin(s, 1, "");
    int asked = 0;
    for (int i = 0; i < 600; ++i) {
      w.run(100 * kMs);
      const LinkId a = w.link_to(kA), b = w.link_to(kB);
      if (a != 0 && way != silent && w.get_hello(a)) {
        wire::Welcome welcome = w.welcome_of(a);
        if (way == foreign) welcome.cluster = uuid_of(0xEE);
        if (way == other_version) welcome.version = 0;
        if (way == refuses)
          w.engine.link_down(a, w.now);
        else
          w.give(a, welcome);
      }
      if (b != 0 && w.get_hello(b)) w.give(b, w.welcome_of(b, asked == 0 ? 1 : 0));
      for (const LinkId link : {a, b}) {
        if (link == 0) continue;
        const auto m = w.get<wire::Admin>(link);
        if (!m) continue;
        asked += link == b;
        w.give(link, wire::AdminReply{m->correlation, RAFTCS_ERR_NOT_LEADER, "", "",
                                      asked == 1 && link == b ? w.hint(1) : wire::LeaderHint{}});
      }
    }
    EXPECT_GE(asked, 5) << static_cast<int>(way);
  }
}

// A frame over what a server reads gets no answer at all.
TEST(ClientAdmin, ArgumentsOverTheLimitEndTheCall) {
  for (const bool named : {false, true}) {
    World w;
    const SessionHandle s = w.engine.add(options_for({kA}));
    for (const size_t more : {0, 1}) {
      const std::string args((1 << 20) + more, ' ');
      w.engine.admin({s, more, more, "members", Bytes::copy(args), Mono::never(), {}},
                     named ? kA : "", w.now);
      const LinkId a = w.link_to(kA);
      if (w.get_hello(a)) w.give(a, w.welcome_of(a));
      EXPECT_EQ(w.get<wire::Admin>(a).has_value(), more == 0);
    }
    auto e = w.event(EventKind::admin_reply);
    ASSERT_TRUE(e);
    EXPECT_EQ(e->op_id, 1u);
    EXPECT_EQ(e->status, RAFTCS_ERR_TOO_LARGE);
    EXPECT_EQ(e->outcome, RAFTCS_OUTCOME_NOT_APPLIED);
    EXPECT_FALSE(w.event(EventKind::admin_reply));
  }
}

TEST(ClientAdmin, AServerWithoutAdministrationCallsEndsThem) {
  World w;
  const SessionHandle s = w.engine.add(options_for({kA}));
  w.admin(s, 1, kA);
  w.admin(s, 2, "");
  const LinkId a = w.link_to(kA);
  w.give(a, w.welcome_of(a));
  ASSERT_TRUE(w.get<wire::Admin>(a));
  ASSERT_TRUE(w.get<wire::Admin>(a));
  w.give(a, wire::Unsupported{1, static_cast<uint32_t>(wire::MessageType::keep_alive)});
  EXPECT_FALSE(w.event(EventKind::admin_reply));
  for (const uint64_t op : {1, 2}) {
    if (op == 1) w.give(a, wire::Unsupported{1, static_cast<uint32_t>(wire::MessageType::admin)});
    auto e = w.event(EventKind::admin_reply);
    ASSERT_TRUE(e);
    EXPECT_EQ(e->op_id, op);
    EXPECT_EQ(e->status, RAFTCS_ERR_UNSUPPORTED);
    EXPECT_EQ(e->outcome, RAFTCS_OUTCOME_NOT_APPLIED);
  }
}

}  // namespace raftcs::client::testing
