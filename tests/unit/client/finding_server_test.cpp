// finding_server_test.cpp: which server a client goes to: hints, leaders that change, silent and
// stopping servers, what servers say of members. Against scripted servers.
#include <functional>
#include <set>

#include "tests/unit/client/fake_server.hpp"

namespace raftcs::client::testing {

using wire::CloseReason;
using wire::RejectReason;

TEST(ClientScenario, T_C03_T_TS04_RejectionWithHintIsFollowedWithAFreshNonce) {
  World w;
  const SessionHandle s = w.engine.add(options_for({kA}));
  w.engine.open(s, w.now);
  const LinkId a = w.last_link();
  w.give(a, w.welcome_of(a));
  auto first = w.get<wire::CreateSession>(a);
  ASSERT_TRUE(first);
  w.give(a, wire::SessionRejected{first->channel, first->nonce, RejectReason::not_leader, w.hint(2),
                                  0, ""});
  const LinkId b = w.link_to(kB);  // an address that was never configured (W-C17, LDR-03)
  ASSERT_NE(b, 0u);
  w.give(b, w.welcome_of(b));
  auto second = w.get<wire::CreateSession>(b);
  ASSERT_TRUE(second);
  EXPECT_NE(second->nonce, first->nonce);
  EXPECT_EQ(second->proof, first->proof);  // X9: the same attempt at the same session
  EXPECT_EQ(second->capabilities, first->capabilities);
}

TEST(ClientScenario, T_C23_T_TS12_T_TS22_T_TS51_LeaderChangeMovesTheSession) {
  Bound w;
  w.submit(w.s, 1, "p");
  w.run(2 * kNsPerSecond - 1);  // bound for long: the hint is followed at once
  w.give(w.link, wire::SessionClosed{w.ch, CloseReason::not_leader, w.hint(2)});
  const LinkId b = w.link_to(kB);
  ASSERT_NE(b, 0u);
  const wire::Channel ch = w.serve_again(b);
  auto r = w.get<wire::Request>(b);
  ASSERT_TRUE(r);
  EXPECT_EQ(r->id, RequestId(1));
  w.give(b, wire::Response{ch, RequestId(1), 0, {}, Index(1)});
  EXPECT_ENDED(w, 1, RAFTCS_OK, RAFTCS_OUTCOME_APPLIED);
}

TEST(ClientScenario, T_TS07_T_TS15_T_TS55_SilentServersAreTriedInTurnForEver) {
  World w;
  const SessionHandle s = w.engine.add(options_for({kA, kB, kC}));
  w.engine.open(s, w.now);
  w.submit(s, 1);
  w.run(60 * kNsPerSecond);
  std::map<std::string, int> tries;
  for (LinkId l : w.opened) ++tries[w.endpoint_of[l]];
  EXPECT_EQ(tries.size(), 3u);
  EXPECT_GE(w.opened.size(), 15u);
  EXPECT_LE(w.opened.size(), 40u);
  for (auto& [endpoint, n] : tries) EXPECT_GE(n, 4) << endpoint;
  EXPECT_EQ(w.engine.info(s).outstanding, 1u);
}

TEST(ClientScenario, T_TS20_T_TS21_W_C14_ShutdownGoesOnElsewhere) {
  Bound w(options_for({kA}));
  w.members = {{NodeId(1), kA, true}, {NodeId(2), kB, true}};
  wire::Topology t;
  t.leader = w.hint(1);
  t.members = w.members;
  w.give(w.link, t);
  w.submit(w.s, 1);
  ASSERT_TRUE(w.get<wire::Request>(w.link));
  w.give(w.link, wire::SessionClosed{w.ch, CloseReason::shutdown, {}});
  EXPECT_EQ(w.engine.info(w.s).state, SessionState::connecting_existing);
  w.run(200 * kMs);
  const LinkId b = w.link_to(kB);
  ASSERT_NE(b, 0u);
  w.serve_again(b);
  EXPECT_EQ(w.get<wire::Request>(b)->id, RequestId(1));
}

// Simulator seed 8: all endpoints that the client began with were removed from the cluster, and
// one of them told it of members of its own time. Who is not among these is tried all the same.
TEST(ClientScenario, OldNewsOfMembersDoesNotHideTheNewOnes) {
  Bound w(options_for({kA}));
  wire::Topology t;
  t.members = {{NodeId(1), kA, true}, {NodeId(2), kB, true}};
  w.give(w.link, t);
  t.members = {{NodeId(1), kA, true}};
  w.give(w.link, t);
  w.engine.link_down(w.link, w.now);
  for (int i = 0; i < 60 && w.link_to(kB) == 0; ++i) w.run(500 * kMs);
  ASSERT_NE(w.link_to(kB), 0u);
  w.serve_again(w.link_to(kB));
  EXPECT_EQ(w.engine.info(w.s).state, SessionState::connected);
}

// Simulator seed 434221: what each server said of members changed the list of addresses, and the
// turn passed over one of them for ever.
TEST(ClientScenario, EveryAddressGetsItsTurnWhateverTheListBecomes) {
  for (size_t more = 0; more < 6; ++more) {
    World w;
    const SessionHandle s = w.engine.add(options_for({kA, kB}));
    w.engine.open(s, w.now);
    for (int i = 0; i < 40 && w.link_to(kC) == 0; ++i) {
      const LinkId link = w.last_link();
      wire::Welcome welcome = w.welcome_of(link);
      welcome.members = {{NodeId(1), kA, true}, {NodeId(2), kB, true}};
      if (w.link_to(kB) == link) {
        for (size_t n = 0; n < more; ++n)
          welcome.members.push_back({NodeId(10 + n), "tcp://m" + std::to_string(n) + ":1", true});
        welcome.members.push_back({NodeId(3), kC, true});
      }
      w.give(link, welcome);
      if (auto c = w.get<wire::CreateSession>(link))
        w.give(link, wire::SessionRejected{
                         c->channel, c->nonce, RejectReason::not_leader, {}, 0, ""});
      w.engine.link_down(link, w.now);
      for (int n = 0; n < 500 && w.last_link() == link; ++n) w.run(20 * kMs);
    }
    EXPECT_NE(w.link_to(kC), 0u) << more;
  }
}

// B does not lead. The first time it says that A does, then it does not know. True: it was asked.
bool b_names_a_once(World& w, int asked_before) {
  const LinkId b = w.link_to(kB);
  if (b != 0 && w.get_hello(b)) w.give(b, w.welcome_of(b));
  const auto m = w.get<wire::ContinueSession>(b);
  if (!m) return false;
  const wire::LeaderHint hint = asked_before == 0 ? w.hint(1) : wire::LeaderHint{};
  w.give(b, wire::SessionRejected{m->channel, m->nonce, RejectReason::not_leader, hint, 0, ""});
  return true;
}

// Simulator seed 1101992: the leader that one server had named was down for good, and the others
// were only asked who leads if the client knew of nobody. The news did not come: a server forgets
// connections on which nothing is said.
TEST(ClientScenario, WhoSeemsToLeadAndDoesNotAnswerIsDoubted) {
  for (const bool refuses : {false, true}) {
    Bound w(options_for({kA, kB}));
    w.engine.link_down(w.link, w.now);
    LinkId dead = w.link;
    int asked = 0, tried = 0;
    for (int i = 0; i < 600; ++i) {
      w.run(100 * kMs);
      if (w.link_to(kA) != dead) {
        dead = w.link_to(kA);
        ++tried;
        if (refuses) w.engine.link_down(dead, w.now);
      }
      asked += b_names_a_once(w, asked);
    }
    EXPECT_GE(asked, 5) << refuses;
    EXPECT_GE(tried, 5) << refuses;
  }
}

// Likewise if it answers and can never serve the session.
TEST(ClientScenario, WhoSeemsToLeadAndCannotServeIsDoubted) {
  for (const bool foreign : {false, true}) {
    Bound w(options_for({kA, kB}));
    w.engine.link_down(w.link, w.now);
    int asked = 0;
    for (int i = 0; i < 600; ++i) {
      w.run(100 * kMs);
      if (const LinkId a = w.link_to(kA); a != w.link && w.get_hello(a)) {
        wire::Welcome welcome = w.welcome_of(a);
        if (foreign)
          welcome.cluster = uuid_of(0xEE);
        else
          welcome.version = 0;
        w.give(a, welcome);
      }
      asked += b_names_a_once(w, asked);
    }
    EXPECT_GE(asked, 5) << foreign;
  }
}

// Welcomes everybody, C as a server of another cluster, and gives what is asked to `answer`.
void answer_all(World& w, const std::function<void(LinkId, const wire::ContinueSession&)>& answer) {
  for (const LinkId link : std::vector<LinkId>(w.opened)) {
    if (w.get_hello(link)) {
      wire::Welcome welcome = w.welcome_of(link);
      if (w.endpoint_of[link] == kC) welcome.cluster = uuid_of(0xEE);
      w.give(link, welcome);
    }
    if (auto m = w.get<wire::ContinueSession>(link)) answer(link, *m);
  }
}

// An address was given to a server of another cluster while the session's own had no leader.
TEST(ClientScenario, OneForeignServerDoesNotEndTheSession) {
  for (bool silent : {false, true}) {
    World w;
    const SessionHandle s = w.engine.add(options_for({kA, kC}));
    w.engine.open(s, w.now);
    while (w.link_to(kA) == 0) w.run(kNsPerSecond);
    w.serve(w.link_to(kA));
    ASSERT_EQ(w.engine.info(s).state, SessionState::connected);
    w.engine.link_down(w.link_to(kA), w.now);
    size_t asked = 0;
    for (int i = 0; i < 20'000 && asked < 20; ++i) {
      w.run(5 * kMs);
      answer_all(w, [&](LinkId link, const wire::ContinueSession& m) {
        ASSERT_EQ(w.endpoint_of[link], kA);
        ++asked;
        if (silent)
          w.engine.link_down(link, w.now);
        else
          w.give(link,
                 wire::SessionRejected{m.channel, m.nonce, RejectReason::not_leader, {}, 0, ""});
      });
    }
    ASSERT_EQ(asked, 20u);
    EXPECT_EQ(w.count_events(EventKind::session_lost), 0u);
    for (int i = 0; i < 2'000 && w.engine.info(s).state != SessionState::connected; ++i) {
      w.run(5 * kMs);
      answer_all(w, [&](LinkId link, const wire::ContinueSession& m) {
        w.give(link, wire::SessionContinued{m.channel, m.nonce, 9'000, {}});
      });
    }
    EXPECT_EQ(w.engine.info(s).state, SessionState::connected);
  }
}

// The cluster was made anew from one survivor: the others will never answer.
TEST(ClientScenario, WhenOnlyForeignServersAnswerTheSessionEndsAfterItsTimeout) {
  World w;
  const SessionHandle s = w.engine.add(options_for({kA, kB, kC}));
  w.engine.open(s, w.now);
  while (w.link_to(kA) == 0) w.run(kNsPerSecond);
  w.serve(w.link_to(kA));
  ASSERT_EQ(w.engine.info(s).state, SessionState::connected);
  w.engine.link_down(w.link_to(kA), w.now);
  const Mono from = w.now;
  while (w.engine.info(s).sessions_lost == 0 && w.now - from < 120 * kNsPerSecond) {
    w.run(5 * kMs);
    for (const LinkId link : std::vector<LinkId>(w.opened))
      if (w.endpoint_of[link] != kC) {
        (void)w.get_hello(link);
        w.engine.link_down(link, w.now);
      }
    answer_all(w, [](LinkId, const wire::ContinueSession&) {});
  }
  auto lost = w.event(EventKind::session_lost);
  ASSERT_TRUE(lost);
  EXPECT_EQ(lost->status, RAFTCS_ERR_WRONG_CLUSTER);
  EXPECT_GE(w.now - from, 9 * kNsPerSecond);
}

// Whoever is known counts, in whatever order they refuse; so does one that served it before.
TEST(ClientScenario, WhenEveryKnownServerIsForeignTheSessionEnds) {
  World w;
  const SessionHandle s = w.engine.add(options_for({kA, kB}));
  w.engine.open(s, w.now);
  const LinkId first = w.last_link();
  w.members = {{NodeId(1), kA, true}, {NodeId(2), kB, true}, {NodeId(3), kC, true}};
  w.serve(first);
  w.engine.link_down(first, w.now);
  std::set<std::string> refused;
  for (int i = 0; i < 20'000 && w.engine.info(s).sessions_lost == 0; ++i) {
    w.run(5 * kMs);
    for (const LinkId link : std::vector<LinkId>(w.opened)) {
      if (!w.get_hello(link)) continue;
      refused.insert(w.endpoint_of[link]);
      wire::Welcome welcome = w.welcome_of(link);
      welcome.cluster = uuid_of(0xEE);
      w.give(link, welcome);
    }
  }
  auto lost = w.event(EventKind::session_lost);
  ASSERT_TRUE(lost);
  EXPECT_EQ(lost->status, RAFTCS_ERR_WRONG_CLUSTER);
  EXPECT_EQ(refused, (std::set<std::string>{kA, kB, kC}));
}

TEST(ClientScenario, T_TS27_TwoRedirectsThenSuccess) {
  World w;
  const SessionHandle s = w.engine.add(options_for({kA}));
  w.engine.open(s, w.now);
  w.submit(s, 1);
  const LinkId a = w.last_link();
  w.give(a, w.welcome_of(a));
  auto c = w.get<wire::CreateSession>(a);
  w.give(a,
         wire::SessionRejected{c->channel, c->nonce, RejectReason::not_leader, w.hint(2), 0, ""});
  const LinkId b = w.link_to(kB);
  w.give(b, w.welcome_of(b));
  c = w.get<wire::CreateSession>(b);
  ASSERT_TRUE(c);
  w.give(b,
         wire::SessionRejected{c->channel, c->nonce, RejectReason::not_leader, w.hint(3), 0, ""});
  EXPECT_EQ(w.link_to(kC), 0u);  // the second in a row waits
  w.run(50 * kMs);
  const LinkId l3 = w.link_to(kC);
  ASSERT_NE(l3, 0u);
  w.serve(l3);
  EXPECT_EQ(w.get<wire::Request>(l3)->id, RequestId(1));
}

}  // namespace raftcs::client::testing
