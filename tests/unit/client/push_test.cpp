// push_test.cpp: acknowledgements of server-started requests, over lost links and lost sessions.
#include "tests/unit/client/fake_server.hpp"

namespace raftcs::client::testing {

// A server that loses the leadership drops the acknowledgements it has not logged yet.
TEST(ClientPush, AnAcknowledgementIsSaidAgainWhenTheSessionIsContinued) {
  for (bool manual : {false, true}) {
    SessionOptions o = options_for({kA});
    o.manual_ack = manual;
    Bound w(o);
    w.give(w.link, wire::Push{w.ch, PushId(1), {}, 0});
    for (int i = 0; i < 2; ++i) {
      w.engine.link_down(w.last_link(), w.now);
      w.run(500 * kMs);
      const LinkId again = w.last_link();
      w.serve_again(again);
      if (manual) {
        EXPECT_EQ(w.count<wire::PushAck>(again), 0u) << "nothing is acknowledged";
        continue;
      }
      ASSERT_EQ(w.count<wire::PushAck>(again), 1u);
      EXPECT_EQ(w.get<wire::PushAck>(again)->up_to, PushId(1));
    }
  }
}

// The handle outlives the session, and the next one's requests are numbered from 1 again.
TEST(ClientPush, AnAcknowledgementCountsForItsOwnSessionOnly) {
  for (bool renew : {true, false}) {
    SessionOptions o = options_for({kA});
    o.manual_ack = true;
    o.renew_on_expiry = renew;
    Bound w(o);
    const auto push_five = [&](uint32_t life) {
      for (uint64_t id = 1; id <= 5; ++id) {
        w.give(w.link, wire::Push{w.ch, PushId(id), {}, 0});
        auto e = w.event(EventKind::push);
        ASSERT_TRUE(e);
        EXPECT_EQ(e->life, life);
      }
    };
    push_five(1);
    w.give(w.link, wire::SessionClosed{w.ch, wire::CloseReason::expired, {}});
    ASSERT_TRUE(w.event(EventKind::session_lost));
    w.engine.ack(w.s, 1, PushId(2), w.now);
    if (!renew) w.engine.open(w.s, w.now);
    w.run(100 * kMs);
    w.ch = w.serve(w.link, 9);
    push_five(2);
    w.engine.ack(w.s, 1, PushId(3), w.now);
    EXPECT_EQ(w.count<wire::PushAck>(w.link), 0u);
    w.engine.ack(w.s, 2, PushId(3), w.now);
    ASSERT_EQ(w.count<wire::PushAck>(w.link), 1u);
    EXPECT_EQ(w.get<wire::PushAck>(w.link)->up_to, PushId(3));
  }
}

}  // namespace raftcs::client::testing
