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

// What was over the limit is sent again to a new binding only: a server counts it as delivered.
TEST(ClientPush, WhatWasOverTheLimitComesOnceThereIsRoom) {
  for (const bool lagging : {false, true}) {
    Bound w(manual_options(4));
    uint64_t sent = 0, received = 0;
    const auto deliver = [&] {  // as a server does: each once for a binding, within its window
      while (sent < 40) w.give(w.link, wire::Push{w.ch, PushId(++sent), {}, 0});
    };
    deliver();
    int bindings = 1;
    for (int i = 0; i < 6'000 && received < 40; ++i) {
      w.run(10 * kMs);
      while (auto e = w.event(EventKind::push)) EXPECT_EQ(e->op_id, ++received);
      const uint64_t kept = lagging ? 3 : 0;  // acknowledged when the third after it has come
      if (received > kept) w.engine.ack(w.s, 1, PushId(received - kept), w.now);
      w.answer_probes(w.link);
      if (auto m = w.get<wire::ContinueSession>(w.link)) {
        ++bindings;
        w.ch = m->channel;
        sent = m->received_push.value;
        EXPECT_EQ(sent, received);
        w.give(w.link, wire::SessionContinued{m->channel, m->nonce, 9'000, {}});
        deliver();
      }
    }
    EXPECT_EQ(received, 40u) << lagging;
    EXPECT_EQ(bindings, lagging ? 37 : 10) << lagging;
    EXPECT_EQ(w.opened.size(), 1u) << "the link is kept";
  }
}

// Nothing is left for it while nothing is acknowledged, and not at once after each binding.
TEST(ClientPush, WhatWasOverTheLimitIsNotAskedForInATightLoop) {
  Bound w(manual_options(2));
  for (uint64_t id = 1; id <= 3; ++id) w.give(w.link, wire::Push{w.ch, PushId(id), {}, 0});
  for (int i = 0; i < 5; ++i) {
    w.run(kNsPerSecond);
    w.answer_probes(w.link);
  }
  EXPECT_EQ(w.count<wire::ContinueSession>(w.link), 0u);
  uint64_t received = 2;
  const Mono from = w.now;
  int bindings = 0;
  while (w.now - from < kNsPerSecond) {  // a caller and a server that are as quick as can be
    w.engine.ack(w.s, 1, PushId(received), w.now);
    w.run(1 * kMs);
    auto m = w.get<wire::ContinueSession>(w.link);
    if (!m) continue;
    ++bindings;
    w.give(w.link, wire::SessionContinued{m->channel, m->nonce, 9'000, {}});
    for (uint64_t id = received + 1; id <= received + 3; ++id)
      w.give(w.link, wire::Push{m->channel, PushId(id), {}, 0});
    received += 2;
  }
  EXPECT_GE(bindings, 10);
  EXPECT_LE(bindings, 50);
}

}  // namespace raftcs::client::testing
