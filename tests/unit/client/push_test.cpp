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

}  // namespace raftcs::client::testing
