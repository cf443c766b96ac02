// takeover_test.cpp: a session changes hands, and nothing late takes it back (decision 0021).
#include <gtest/gtest.h>

#include "support/node_harness.hpp"

namespace raftcs::test {
namespace {

using wire::CloseReason;
using wire::RejectReason;

constexpr uint64_t kSecret = 77;
constexpr HolderId holder(uint64_t generation, uint64_t who = 1) {
  return HolderId(generation << 32 | who);
}

// One session, opened by `first` on channel 1 at the leader.
struct Scene {
  explicit Scene(uint64_t nodes) : cluster(nodes), leader(cluster.wait_for_leader()) {
    EXPECT_NE(leader, 0u);
    EXPECT_TRUE(first().create(1, kSecret));
    session = first().session(1);
  }
  TestClient& first() { return at(0, leader); }
  // The i-th client, made when first asked for.
  TestClient& at(size_t i, uint64_t node) {
    while (clients.size() <= i) clients.push_back(std::make_unique<TestClient>(cluster, node));
    return *clients[i];
  }
  // Asks to continue; gives the nonce.
  uint64_t ask(TestClient& c, HolderId who, wire::Channel channel = 1, uint64_t nonce = 0) {
    if (nonce == 0) nonce = cluster.next_nonce();
    c.send(wire::ContinueSession{channel, nonce, session, TestClient::proof_of(kSecret), PushId(),
                                 who});
    cluster.run(20 * kMs);
    return nonce;
  }
  bool continues(TestClient& c, HolderId who, uint64_t nonce = 0) {
    nonce = ask(c, who, 1, nonce);
    auto m = c.last<wire::SessionContinued>();
    return m && m->nonce == nonce;
  }
  // Who has it, as the refusal says; none: not refused as taken.
  std::optional<HolderId> refused_for(TestClient& c, HolderId who, uint64_t nonce = 0) {
    nonce = ask(c, who, 1, nonce);
    auto m = c.last<wire::SessionRejected>();
    if (!m || m->nonce != nonce || m->reason != RejectReason::taken_over) return std::nullopt;
    return m->holder;
  }
  size_t told(TestClient& c, CloseReason reason) {
    size_t n = 0;
    for (const auto& m : c.all<wire::SessionClosed>()) n += m.reason == reason;
    return n;
  }

  NodeHarness cluster;
  uint64_t leader = 0;
  Uuid session;
  std::vector<std::unique_ptr<TestClient>> clients;
};

}  // namespace

TEST(Takeover, SES11_TheOlderHolderIsToldAndCannotComeBack) {
  Scene w(1);
  TestClient& next = w.at(1, 1);
  ASSERT_TRUE(w.continues(next, holder(1)));
  EXPECT_EQ(w.told(w.first(), CloseReason::taken_over), 1u);
  EXPECT_EQ(w.refused_for(w.first(), HolderId()), holder(1));
  EXPECT_EQ(w.told(next, CloseReason::taken_over), 0u);
  next.command(1, 1);
  w.cluster.run(10 * kMs);
  EXPECT_EQ(next.all<wire::Response>().size(), 1u);  // still the one that is served
  w.first().command(1, 2);
  w.cluster.run(10 * kMs);
  EXPECT_EQ(w.told(w.first(), CloseReason::session_error), 1u);
  EXPECT_EQ(w.cluster.ledger(1).ops.size(), 1u);
}

TEST(Takeover, ALaterLeaderKnowsWhoHoldsIt) {
  Scene w(3);
  ASSERT_TRUE(w.continues(w.at(1, w.leader), holder(1)));
  w.cluster.kill(w.leader);
  const uint64_t second = w.cluster.wait_for_leader();
  ASSERT_NE(second, 0u);
  TestClient old(w.cluster, second), next(w.cluster, second);
  EXPECT_EQ(w.refused_for(old, HolderId()), holder(1));  // it comes first, and is too late
  EXPECT_TRUE(w.continues(next, holder(1)));
}

TEST(Takeover, ItIsKeptOverARestart) {
  Scene w(1);
  ASSERT_TRUE(w.continues(w.at(1, 1), holder(1)));
  ASSERT_TRUE(w.cluster.admin(1, "snapshot").status.is_ok());
  w.cluster.kill(1);
  w.cluster.start(1);
  ASSERT_EQ(w.cluster.wait_for_leader(), 1u);
  TestClient old(w.cluster, 1), next(w.cluster, 1);
  EXPECT_EQ(w.refused_for(old, HolderId()), holder(1));
  EXPECT_TRUE(w.continues(next, holder(1)));
}

TEST(Takeover, AskedAgainAfterALostAnswerIsTheSameHolder) {
  Scene w(1);
  ASSERT_TRUE(w.continues(w.at(1, 1), holder(1)));
  EXPECT_TRUE(w.continues(w.at(2, 1), holder(1)));  // its new connection
  EXPECT_EQ(w.told(w.at(1, 1), CloseReason::taken_over), 1u);
  EXPECT_EQ(w.refused_for(w.at(3, 1), holder(1, 2)), holder(1));  // another of the generation
  EXPECT_TRUE(w.continues(w.at(3, 1), holder(2, 2)));
}

TEST(Takeover, TwoAtOnceEndWithOneHolder) {
  Scene w(1);
  w.cluster.hold_apply(1);
  TestClient &a = w.at(1, 1), &b = w.at(2, 1), &c = w.at(3, 1);
  w.ask(a, holder(1, 1));
  EXPECT_EQ(w.refused_for(b, holder(1, 2)), holder(1, 1));  // a's is under way
  w.ask(c, holder(2, 3));
  auto refused = a.last<wire::SessionRejected>();
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->reason, RejectReason::taken_over);
  w.cluster.hold_apply(1, false);
  w.cluster.run(20 * kMs);
  EXPECT_EQ(a.all<wire::SessionContinued>().size(), 0u);
  EXPECT_EQ(c.all<wire::SessionContinued>().size(), 1u);
  EXPECT_EQ(w.told(w.first(), CloseReason::taken_over), 1u);
  EXPECT_EQ(w.refused_for(a, holder(1, 1)), holder(2, 3));
}

TEST(Takeover, OneThatWaitsIsToldWhenLeadershipIsLost) {
  Scene w(3);
  w.cluster.isolate(w.leader);
  TestClient& next = w.at(1, w.leader);
  w.ask(next, holder(1));
  EXPECT_FALSE(next.last<wire::SessionContinued>());
  w.cluster.run(3 * kNsPerSecond);
  auto m = next.last<wire::SessionRejected>();
  ASSERT_TRUE(m);
  EXPECT_EQ(m->reason, RejectReason::not_leader);
}

TEST(Takeover, AnEarlierAttemptOfTheSameHolderIsTooLate) {
  Scene w(1);
  const uint64_t early = w.cluster.next_nonce();
  ASSERT_TRUE(w.continues(w.at(1, 1), HolderId()));
  EXPECT_TRUE(w.refused_for(w.at(2, 1), HolderId(), early));
  EXPECT_EQ(w.told(w.at(1, 1), CloseReason::taken_over), 0u);
  EXPECT_TRUE(w.continues(w.at(2, 1), HolderId()));
}

TEST(Takeover, ALateCreateTakesNothingBack) {
  Scene w(1);
  const uint64_t early = w.cluster.next_nonce();
  ASSERT_TRUE(w.continues(w.at(1, 1), HolderId()));
  TestClient& late = w.at(2, 1);
  const auto create = [&](uint64_t nonce) {
    late.send(wire::CreateSession{1, nonce, TestClient::proof_of(kSecret), 9'000, {{"a", "b"}}});
    w.cluster.run(10 * kMs);
    return late.last<wire::SessionRejected>();
  };
  auto m = create(early);
  ASSERT_TRUE(m);
  EXPECT_EQ(m->reason, RejectReason::taken_over);
  EXPECT_EQ(w.told(w.at(1, 1), CloseReason::taken_over), 0u);
  TestClient& taker = w.at(3, 1);
  ASSERT_TRUE(w.continues(taker, holder(1)));
  m = create(w.cluster.next_nonce());  // whatever its nonce: it is of an older holder
  ASSERT_TRUE(m);
  EXPECT_EQ(m->holder, holder(1));
  EXPECT_EQ(w.told(taker, CloseReason::taken_over), 0u);
}

TEST(Takeover, TheTakerIsGoneAndTheOlderHolderStopsAllTheSame) {
  Scene w(1);
  w.cluster.hold_apply(1);
  TestClient& next = w.at(1, 1);
  w.ask(next, holder(1));
  w.cluster.node(1).client_gone(next.conn());
  w.cluster.hold_apply(1, false);
  w.cluster.run(20 * kMs);
  EXPECT_EQ(w.told(w.first(), CloseReason::taken_over), 1u);
}

// --- leaders that should not bind ----------------------------------------------------------

TEST(Takeover, ALeaderThatWasAsleepBindsNobody) {
  Scene w(3);
  server::Node& node = w.cluster.node(w.leader);
  const Mono later = w.cluster.now() + 10 * kNsPerSecond;  // it sees the frame before its clock
  wire::FrameBuilder b;
  b.add(wire::ClientMessage(wire::ContinueSession{
      2, w.cluster.next_nonce(), w.session, TestClient::proof_of(kSecret), PushId(), HolderId()}));
  const net::ConnId conn = w.cluster.connect(w.leader);
  for (const Bytes& f : b.take()) node.client_frame(conn, f, later);
  wire::ServerSink answers;
  wire::DecodeError error;
  for (const auto& f : node.take_effects(later).client_frames)
    if (f.conn == conn) {
      ASSERT_TRUE(wire::decode_server_frame(f.frame, {}, &answers, &error));
    }
  size_t rejected = 0;
  for (const auto& m : answers) {
    EXPECT_FALSE(std::holds_alternative<wire::SessionContinued>(m));
    if (auto* r = std::get_if<wire::SessionRejected>(&m)) {
      ++rejected;
      EXPECT_EQ(r->reason, RejectReason::not_leader);
    }
  }
  EXPECT_EQ(rejected, 1u);
}

TEST(Takeover, ALeaderThatIsCutOffLetsItsClientsGoInTime) {
  Scene w(3);
  w.cluster.isolate(w.leader);
  const Mono cut = w.cluster.now();
  ASSERT_TRUE(w.cluster.run_until([&] { return w.told(w.first(), CloseReason::not_leader) == 1; },
                                  5 * kNsPerSecond));
  EXPECT_LE(w.cluster.now() - cut, 1'100 * kMs);  // about two election timeouts
  const uint64_t second = w.cluster.wait_for_leader();
  ASSERT_NE(second, w.leader);
  TestClient next(w.cluster, second);
  EXPECT_TRUE(w.continues(next, holder(1)));
  w.cluster.isolate(w.leader, false);
  w.cluster.run(kNsPerSecond);
  TestClient old(w.cluster, w.cluster.wait_for_leader());
  EXPECT_EQ(w.refused_for(old, HolderId()), holder(1));
}

// --- creating ---------------------------------------------------------------------------------

TEST(Takeover, SES16_ALostAnswerLeavesNoOrphanThoughTheLeaderChanges) {
  NodeHarness cluster(3);
  const uint64_t leader = cluster.wait_for_leader();
  TestClient lost(cluster, leader);
  lost.ask_create(1, kSecret);
  cluster.run(20 * kMs);  // applied; the answer is never read
  cluster.kill(leader);
  const uint64_t second = cluster.wait_for_leader();
  TestClient again(cluster, second), third(cluster, second);
  ASSERT_TRUE(again.create(1, kSecret));
  ASSERT_TRUE(third.create(1, kSecret));  // gave up once more
  EXPECT_EQ(again.session(1), third.session(1));
  const auto status = cluster.admin(second, "status");
  ASSERT_TRUE(status.status.is_ok());
  EXPECT_NE(status.json.find("\"sessions\":1"), std::string::npos) << status.json;
}

}  // namespace raftcs::test
