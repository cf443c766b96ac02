// What a leader proposes because of time and of clients that come and go, and how it delivers
// requests of state machines: whole nodes in virtual time.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "support/node_harness.hpp"

namespace raftcs::test {
namespace {

using nlohmann::json;

struct Cluster : NodeHarness {
  using NodeHarness::NodeHarness;
  uint64_t counter(uint64_t id, const char* name) {
    return json::parse(admin(id, "status").json)["counters"][name].get<uint64_t>();
  }
  uint64_t last_index(uint64_t id) {
    return json::parse(admin(id, "status").json)["last_index"].get<uint64_t>();
  }
  // By the session's number, as the log has it.
  bool connected(uint64_t id, uint64_t number) {
    for (const json& s : json::parse(admin(id, "sessions").json))
      if (s["number"] == number) return s["connected"].get<bool>();
    ADD_FAILURE() << "no session has number " << number;
    return false;
  }
};

void ask(TestClient& client, wire::Channel channel, uint64_t id, uint32_t kind) {
  const sim::LedgerOp op{kind, 7, id};
  client.send(wire::Request{channel, RequestId(id), RequestId(1), "ledger",
                            Bytes::copy(&op, sizeof op)});
}

// 1, 2, 3 ...: each once.
void expect_pushes(TestClient& client, size_t count) {
  const auto pushes = client.all<wire::Push>();
  ASSERT_EQ(pushes.size(), count);
  for (size_t i = 0; i < pushes.size(); ++i) EXPECT_EQ(pushes[i].id, PushId(i + 1));
}

// Alive, as clients are.
void keep_alive(Cluster& cluster, TestClient& client, wire::Channel channel, DurationNs time) {
  for (DurationNs at = 0; at < time; at += 100 * kMs) {
    client.send(wire::KeepAlive{channel, 1});
    cluster.run(100 * kMs);
  }
}

TEST(Timers, ComeOnceAfterTheirTimeOnEveryReplica) {
  Cluster cluster(3);
  const uint64_t leader = cluster.wait_for_leader();
  TestClient client(cluster, leader);
  ASSERT_TRUE(client.create(1, 5));
  cluster.run(3 * kNsPerSecond);
  EXPECT_EQ(cluster.counter(leader, "ticks"), 0u);  // nobody wants one
  ask(client, 1, 1, 3);
  cluster.run(90 * kMs);
  EXPECT_EQ(cluster.ledger(leader).rung, 0u);
  cluster.run(60 * kMs);
  for (uint64_t id = 1; id <= 3; ++id) {
    EXPECT_EQ(cluster.ledger(id).rung, 1u);
    EXPECT_EQ(cluster.ledger(id).early, 0u);
  }
  cluster.run(3 * kNsPerSecond);
  EXPECT_EQ(cluster.counter(leader, "ticks"), 1u);
  EXPECT_EQ(cluster.ledger(leader).rung, 1u);
}

TEST(Timers, SurviveTheLeaderAndStandStillWithoutAMajority) {
  Cluster cluster(3);
  const uint64_t leader = cluster.wait_for_leader();
  TestClient client(cluster, leader);
  ASSERT_TRUE(client.create(1, 5));
  ask(client, 1, 1, 3);
  cluster.run(10 * kMs);
  cluster.kill(leader);
  const uint64_t next = cluster.wait_for_leader();
  ASSERT_NE(next, 0u);
  EXPECT_TRUE(cluster.run_until([&] { return cluster.ledger(next).rung == 1; }, kNsPerSecond));
  EXPECT_EQ(cluster.ledger(next).early, 0u);
  TestClient again(cluster, next);
  ASSERT_TRUE(again.create(1, 6));
  ask(again, 1, 2, 3);
  cluster.run(10 * kMs);
  for (uint64_t id = 1; id <= 3; ++id)
    if (cluster.up(id) && id != next) cluster.isolate(id);
  cluster.run(20 * kNsPerSecond);
  EXPECT_EQ(cluster.ledger(next).rung, 1u);
}

TEST(Presence, FollowsTheClientButNotShortAbsences) {
  Cluster cluster(1);
  ASSERT_EQ(cluster.wait_for_leader(), 1u);
  TestClient client(cluster, 1), other(cluster, 1);
  ASSERT_TRUE(client.create(1, 5));
  keep_alive(cluster, client, 1, kNsPerSecond);
  EXPECT_EQ(cluster.ledger(1).presence_events, 0u);
  cluster.node(1).client_gone(client.conn());
  cluster.run(400 * kMs);
  ASSERT_TRUE(other.resume(1, client.session(1), 5));
  keep_alive(cluster, other, 1, 2 * kNsPerSecond);
  EXPECT_EQ(cluster.ledger(1).presence_events, 0u);
  cluster.node(1).client_gone(other.conn());
  cluster.run(kNsPerSecond);
  EXPECT_EQ(cluster.ledger(1).gone.size(), 1u);
  EXPECT_FALSE(cluster.connected(1, 1));
  TestClient third(cluster, 1);
  ASSERT_TRUE(third.resume(1, client.session(1), 5));
  cluster.run(250 * kMs);
  EXPECT_TRUE(cluster.connected(1, 1));
  EXPECT_TRUE(cluster.ledger(1).gone.empty());
  EXPECT_EQ(cluster.ledger(1).presence_events, 2u);
}

// The connection may live while its client does not: then silence tells.
TEST(Presence, ASilentClientIsGoneBeforeItExpires) {
  Cluster cluster(1);
  ASSERT_EQ(cluster.wait_for_leader(), 1u);
  TestClient client(cluster, 1);
  client.send(wire::Hello{1, 1, {}, "test"});
  ASSERT_TRUE(client.create(1, 5, 10'000));
  cluster.run(7 * kNsPerSecond);
  EXPECT_TRUE(cluster.connected(1, 1));
  EXPECT_GE(client.all<wire::Topology>().size(), 3u);  // it was probed
  cluster.run(1500 * kMs);
  EXPECT_FALSE(cluster.connected(1, 1));
}

TEST(Presence, AChangeOfLeaderShowsOnlyThoseWhoDoNotCome) {
  Cluster cluster(3);
  const uint64_t leader = cluster.wait_for_leader();
  TestClient good(cluster, leader), lost(cluster, leader);
  ASSERT_TRUE(good.create(1, 5));
  ASSERT_TRUE(lost.create(1, 6));
  cluster.kill(leader);
  const uint64_t next = cluster.wait_for_leader();
  ASSERT_NE(next, 0u);
  TestClient again(cluster, next);
  cluster.run(kNsPerSecond);
  ASSERT_TRUE(again.resume(1, good.session(1), 5));
  keep_alive(cluster, again, 1, kNsPerSecond);
  EXPECT_EQ(cluster.ledger(next).presence_events, 0u);  // within a quarter of the timeout
  keep_alive(cluster, again, 1, 2 * kNsPerSecond);
  EXPECT_EQ(cluster.ledger(next).presence_events, 1u);
  EXPECT_EQ(cluster.ledger(next).gone.size(), 1u);
  EXPECT_TRUE(cluster.connected(next, 1));
  EXPECT_FALSE(cluster.connected(next, 2));
}

TEST(Pushes, SRQ07_AcknowledgementsAreGathered) {
  Cluster cluster(1);
  ASSERT_EQ(cluster.wait_for_leader(), 1u);
  TestClient client(cluster, 1);
  ASSERT_TRUE(client.create(1, 5));
  for (uint64_t id = 1; id <= 40; ++id) ask(client, 1, id, 2);
  cluster.settle();
  ASSERT_EQ(client.all<wire::Push>().size(), 40u);
  const uint64_t before = cluster.last_index(1);
  for (uint64_t id = 1; id <= 40; ++id) {  // one by one, each in a turn of its own
    client.send(wire::PushAck{1, PushId(id)});
    cluster.run(100'000);
  }
  cluster.run(10 * kMs);
  EXPECT_LE(cluster.last_index(1), before + 2);
  const json sessions = json::parse(cluster.admin(1, "sessions").json);
  EXPECT_EQ(sessions[0]["acked_push"], 40u);
}

TEST(Pushes, TheWindowOnTheWireIsBoundedAndGoesOnWithAcknowledgements) {
  Cluster cluster(1);
  ASSERT_EQ(cluster.wait_for_leader(), 1u);
  TestClient client(cluster, 1);
  ASSERT_TRUE(client.create(1, 5));
  for (uint64_t id = 1; id <= 2000; ++id) {
    ask(client, 1, id, 2);
    if (id % 500 == 0) cluster.settle();
  }
  cluster.settle();
  EXPECT_EQ(client.all<wire::Push>().size(), 1024u);
  client.send(wire::PushAck{1, PushId(1000)});
  cluster.run(20 * kMs);
  expect_pushes(client, 2000u);
}

TEST(Pushes, TheWindowOnTheWireIsBoundedInBytesToo) {
  Cluster cluster(1);
  ASSERT_EQ(cluster.wait_for_leader(), 1u);
  TestClient client(cluster, 1);
  ASSERT_TRUE(client.create(1, 5));
  for (uint64_t id = 1; id <= 20; ++id) ask(client, 1, id, 4);
  cluster.settle();
  auto outstanding = [&] { return client.all<wire::Push>().size(); };
  EXPECT_EQ(outstanding(), 8u);  // 8 MiB
  // One more place for each that is acknowledged, and nothing is left out or sent twice.
  for (uint64_t id = 1; id <= 12; ++id) {
    client.send(wire::PushAck{1, PushId(id)});
    cluster.run(20 * kMs);
    EXPECT_EQ(outstanding(), 8 + id);
  }
  const auto pushes = client.all<wire::Push>();
  ASSERT_EQ(pushes.size(), 20u);
  for (size_t i = 0; i < pushes.size(); ++i) {
    EXPECT_EQ(pushes[i].id, PushId(i + 1));
    EXPECT_EQ(pushes[i].payload.size(), sim::kLargePush);
  }
}

// A client that continues its session again and again does not make the server read and send
// everything each time.
TEST(Pushes, ManyContinuesAtOnceAreOneDelivery) {
  Cluster cluster(1);
  ASSERT_EQ(cluster.wait_for_leader(), 1u);
  TestClient client(cluster, 1), again(cluster, 1);
  ASSERT_TRUE(client.create(1, 5));
  for (uint64_t id = 1; id <= 5; ++id) ask(client, 1, id, 2);
  cluster.settle();
  std::vector<wire::ClientMessage> many;
  for (uint64_t i = 1; i <= 100; ++i)
    many.push_back(wire::ContinueSession{1, cluster.next_nonce(), client.session(1),
                                         TestClient::proof_of(5), PushId()});
  cluster.hold_apply(1);
  again.send(many);
  cluster.settle();
  EXPECT_EQ(cluster.held_apply_jobs(1), 1u);
  cluster.hold_apply(1, false);
  cluster.settle();
  EXPECT_EQ(again.all<wire::SessionContinued>().size(), 100u);
  expect_pushes(again, 5u);
  // And what comes later is not lost behind the read that was under way.
  ask(again, 1, 6, 2);
  cluster.settle();
  EXPECT_EQ(again.all<wire::Push>().size(), 6u);
}

TEST(Pushes, WhatComesWhileTheyAreReadWaitsForNoAcknowledgement) {
  Cluster cluster(1);
  ASSERT_EQ(cluster.wait_for_leader(), 1u);
  TestClient client(cluster, 1), again(cluster, 1);
  ASSERT_TRUE(client.create(1, 5));
  for (uint64_t id = 1; id <= 2; ++id) ask(client, 1, id, 2);
  cluster.settle();
  cluster.hold_apply(1);
  again.send(wire::ContinueSession{1, cluster.next_nonce(), client.session(1),
                                   TestClient::proof_of(5), PushId()});
  cluster.settle();
  for (uint64_t id = 3; id <= 4; ++id) {
    ask(again, 1, id, 2);
    cluster.settle();
  }
  cluster.hold_apply(1, false);
  cluster.run(20 * kMs);
  expect_pushes(again, 4u);
}

TEST(Pushes, AnAcknowledgementBeforeCloseLeavesNoDeadLetter) {
  Cluster cluster(1);
  ASSERT_EQ(cluster.wait_for_leader(), 1u);
  TestClient client(cluster, 1);
  ASSERT_TRUE(client.create(1, 5));
  for (uint64_t id = 1; id <= 2; ++id) ask(client, 1, id, 2);
  cluster.settle();
  ASSERT_EQ(client.all<wire::Push>().size(), 2u);
  client.send({wire::PushAck{1, PushId(1)}, wire::CloseSession{1}});
  cluster.run(20 * kMs);
  ASSERT_EQ(client.all<wire::SessionClosed>().size(), 1u);
  EXPECT_EQ(cluster.ledger(1).dead_letters, 1u);  // the second
}

// The client says it again after each continue: it cannot know whether it was kept.
TEST(Pushes, ARepeatedAcknowledgementIsKeptIfItWasLostAndCostsNothingElse) {
  Cluster cluster(3);
  const uint64_t leader = cluster.wait_for_leader();
  TestClient client(cluster, leader);
  ASSERT_TRUE(client.create(1, 5));
  ask(client, 1, 1, 2);
  cluster.settle();
  cluster.run(10 * kMs);
  ASSERT_EQ(client.all<wire::Push>().size(), 1u);
  cluster.isolate(leader);
  client.send(wire::PushAck{1, PushId(1)});
  cluster.run(20 * kMs);
  cluster.kill(leader);
  const uint64_t next = cluster.wait_for_leader();
  ASSERT_NE(next, 0u);
  TestClient again(cluster, next);
  const auto resume = [&] {
    again.send(wire::ContinueSession{1, cluster.next_nonce(), client.session(1),
                                     TestClient::proof_of(5), PushId(1)});
    cluster.run(10 * kMs);
    again.send(wire::PushAck{1, PushId(1)});
    cluster.run(20 * kMs);
  };
  resume();
  EXPECT_EQ(json::parse(cluster.admin(next, "sessions").json)[0]["acked_push"], 1u);
  cluster.run(500 * kMs);
  const uint64_t before = cluster.last_index(next);
  resume();
  EXPECT_EQ(again.all<wire::SessionContinued>().size(), 2u);
  EXPECT_EQ(cluster.last_index(next), before);
  // And the window goes on from there.
  for (uint64_t id = 2; id <= 3; ++id) ask(again, 1, id, 2);
  cluster.run(10 * kMs);
  again.send(wire::PushAck{1, PushId(3)});
  cluster.run(20 * kMs);
  EXPECT_EQ(json::parse(cluster.admin(next, "sessions").json)[0]["acked_push"], 3u);
}

TEST(Pushes, AnOldPositionIsToldWhatIsGone) {
  Cluster cluster(1);
  ASSERT_EQ(cluster.wait_for_leader(), 1u);
  TestClient client(cluster, 1), late(cluster, 1);
  ASSERT_TRUE(client.create(1, 5));
  for (uint64_t id = 1; id <= 5; ++id) ask(client, 1, id, 2);
  cluster.settle();
  client.send(wire::PushAck{1, PushId(3)});
  cluster.run(20 * kMs);
  late.send(wire::ContinueSession{1, 9, client.session(1), TestClient::proof_of(5), PushId(1)});
  cluster.settle();
  const auto resets = late.all<wire::PushReset>();
  ASSERT_EQ(resets.size(), 1u);
  EXPECT_EQ(resets[0].first, PushId(2));
  EXPECT_EQ(resets[0].last, PushId(3));
  const auto pushes = late.all<wire::Push>();
  ASSERT_EQ(pushes.size(), 2u);
  EXPECT_EQ(pushes[0].id, PushId(4));
  // All acknowledged: said at once, not when the next one comes.
  late.send(wire::PushAck{1, PushId(5)});
  cluster.run(20 * kMs);
  TestClient last(cluster, 1);
  last.send(wire::ContinueSession{1, 9, client.session(1), TestClient::proof_of(5), PushId()});
  cluster.settle();
  ASSERT_EQ(last.all<wire::PushReset>().size(), 1u);
  EXPECT_EQ(last.all<wire::PushReset>()[0].last, PushId(5));
  EXPECT_EQ(cluster.counter(1, "push_resets"), 2u);
}

}  // namespace
}  // namespace raftcs::test
