// bad_input_test.cpp: the table "Bad input" of docs/protocol.md, row by row, on a real node.
//
// After each row the session that was there before still works, and the state machine has seen
// nothing that the row does not say.
#include <gtest/gtest.h>

#include "support/node_harness.hpp"

namespace raftcs::test {
namespace {

using wire::CloseReason;
using wire::RejectReason;

class BadInput : public testing::Test {
 protected:
  BadInput()
      : cluster_(1, [](server::Options& o) { o.payload_bytes_max = 4096; }),
        good_(cluster_, 1),
        bad_(cluster_, 1) {
    EXPECT_EQ(cluster_.wait_for_leader(), 1u);
    EXPECT_TRUE(good_.create(1, 7));
    good_.command(1, 1);
    cluster_.run(10 * kMs);
    expected_ops_ = ops();
    EXPECT_EQ(expected_ops_, 1u);
    good_.clear();
  }
  ~BadInput() override {
    EXPECT_EQ(ops(), expected_ops_) << "the state machine saw more than it should";
    EXPECT_EQ(good_.all<wire::SessionClosed>().size(), 0u);
    good_.clear();
    good_.command(1, 2);
    cluster_.run(10 * kMs);
    auto response = good_.last<wire::Response>();
    EXPECT_TRUE(response && response->id == RequestId(2)) << "the other session suffered";
  }
  size_t ops() { return cluster_.ledger(1).ops.size(); }
  uint64_t nonce() { return cluster_.next_nonce(); }
  void send(const wire::ClientMessage& m) {
    bad_.send(m);
    cluster_.run(10 * kMs);
  }
  std::string status() { return cluster_.admin(1, "status").json; }
  // Sends and expects to be rejected for this reason.
  void rejected(const wire::ClientMessage& m, RejectReason reason) {
    bad_.clear();
    send(m);
    auto answers = bad_.all<wire::SessionRejected>();
    ASSERT_EQ(answers.size(), 1u);
    EXPECT_EQ(answers[0].reason, reason);
    EXPECT_FALSE(answers[0].text.empty());
    EXPECT_EQ(bad_.all<wire::SessionCreated>().size(), 0u);
    EXPECT_EQ(bad_.all<wire::SessionContinued>().size(), 0u);
  }
  void closed(const wire::ClientMessage& m, CloseReason reason) {
    bad_.clear();
    send(m);
    auto answers = bad_.all<wire::SessionClosed>();
    ASSERT_EQ(answers.size(), 1u);
    EXPECT_EQ(answers[0].reason, reason);
  }
  void refused(const wire::ClientMessage& m, raftcs_status_t status) {
    bad_.clear();
    send(m);
    auto answers = bad_.all<wire::RequestError>();
    ASSERT_EQ(answers.size(), 1u);
    EXPECT_EQ(answers[0].status, status);
    EXPECT_FALSE(answers[0].text.empty());
    EXPECT_EQ(bad_.all<wire::Response>().size(), 0u);
  }
  // No answer at all.
  void ignored(const wire::ClientMessage& m) {
    bad_.clear();
    send(m);
    EXPECT_TRUE(cluster_.take(bad_.conn()).empty());
  }
  wire::CreateSession create_with(std::vector<std::pair<std::string, std::string>> capabilities) {
    return {1, nonce(), TestClient::proof_of(900), 10'000, std::move(capabilities)};
  }
  wire::Request request(uint64_t id, uint64_t lowest, uint64_t what = 0) {
    const sim::LedgerOp op{1, 5'000, what != 0 ? what : id};
    return {1, RequestId(id), RequestId(lowest), "ledger", Bytes::copy(&op, sizeof op)};
  }

  NodeHarness cluster_;
  TestClient good_, bad_;
  size_t expected_ops_ = 0;
};

}  // namespace

TEST_F(BadInput, ZeroNoncesProofsIdsAndChannelsAreMalformed) {
  const auto malformed = [&](const wire::ClientMessage& m) {
    ignored(m);
    EXPECT_NE(status().find("\"malformed_client_frames\":"), std::string::npos) << status();
  };
  malformed(wire::CreateSession{1, 0, TestClient::proof_of(1), 1'000, {{"a", "b"}}});
  malformed(wire::CreateSession{1, 1, Uuid(), 1'000, {{"a", "b"}}});
  malformed(wire::CreateSession{0, 1, TestClient::proof_of(1), 1'000, {{"a", "b"}}});
  malformed(wire::ContinueSession{1, 0, good_.session(1), TestClient::proof_of(7), PushId(), {}});
  malformed(wire::ContinueSession{1, 1, Uuid(), TestClient::proof_of(7), PushId(), {}});
  malformed(request(0, 0));
  malformed(request(3, 4));  // lowest_pending above id
  EXPECT_NE(status().find("\"malformed_client_frames\":7"), std::string::npos) << status();
}

TEST_F(BadInput, CapabilitiesEmptyOrMalformed) {
  rejected(create_with({}), RejectReason::invalid);
  rejected(create_with({{"", "x"}}), RejectReason::invalid);
  rejected(create_with({{"name", ""}}), RejectReason::invalid);
  rejected(create_with({{"two words", "x"}}), RejectReason::invalid);
  rejected(create_with({{std::string(256, 'n'), "x"}}), RejectReason::invalid);
  rejected(create_with({{"name", std::string(256, 'v')}}), RejectReason::invalid);
  rejected(create_with({{"name", std::string("a\0b", 3)}}), RejectReason::invalid);
  rejected(create_with({{"twice", "1"}, {"twice", "2"}}), RejectReason::invalid);
}

TEST_F(BadInput, AnotherCluster) {
  wire::Hello hello;
  hello.cluster = TestClient::proof_of(3);
  send(hello);
  ASSERT_TRUE(bad_.last<wire::Welcome>());
  EXPECT_NE(bad_.last<wire::Welcome>()->cluster, hello.cluster);
  rejected(create_with({{"a", "b"}}), RejectReason::wrong_cluster);
  rejected(wire::ContinueSession{1, nonce(), good_.session(1), TestClient::proof_of(7), {}, {}},
           RejectReason::wrong_cluster);
}

TEST_F(BadInput, ForeignAndExpiredSessionsAndWrongProofs) {
  rejected(
      wire::ContinueSession{1, nonce(), TestClient::proof_of(4), TestClient::proof_of(7), {}, {}},
      RejectReason::session_expired);
  rejected(wire::ContinueSession{1, nonce(), good_.session(1), TestClient::proof_of(8), {}, {}},
           RejectReason::wrong_proof);
  ASSERT_TRUE(bad_.create(1, 20, 1'000));
  const Uuid gone = bad_.session(1);
  for (int i = 0; i < 4; ++i) {  // long enough for this one, while the other is heard of
    cluster_.run(kNsPerSecond);
    good_.send(wire::KeepAlive{1, 1});
  }
  ASSERT_TRUE(bad_.last<wire::SessionClosed>());
  EXPECT_EQ(bad_.last<wire::SessionClosed>()->reason, CloseReason::expired);
  rejected(wire::ContinueSession{2, nonce(), gone, TestClient::proof_of(20), {}, {}},
           RejectReason::session_expired);
  closed(request(1, 1), CloseReason::session_error);
}

TEST_F(BadInput, ChannelsThatAreNotBound) {
  closed(request(1, 1), CloseReason::session_error);
  closed(wire::KeepAlive{9, 1}, CloseReason::session_error);
  closed(wire::PushAck{9, PushId(1)}, CloseReason::session_error);
  closed(wire::CloseSession{9}, CloseReason::session_error);
}

TEST_F(BadInput, IdsOutOfOrderAreApplied) {
  ASSERT_TRUE(bad_.create(1, 20));
  send(request(5, 2));
  send(request(3, 2));
  EXPECT_EQ(bad_.all<wire::Response>().size(), 2u);
  expected_ops_ += 2;
}

TEST_F(BadInput, AUsedIdWithAnotherPayloadAndOneThatWasGivenUp) {
  ASSERT_TRUE(bad_.create(1, 20));
  send(request(1, 1));
  ++expected_ops_;
  refused(request(1, 1, 99), RAFTCS_ERR_MISUSE);
  bad_.clear();
  send(request(1, 1));  // the same again: the same reply
  EXPECT_EQ(bad_.all<wire::Response>().size(), 1u);
  send(request(2, 2));
  ++expected_ops_;
  refused(request(1, 1), RAFTCS_ERR_EVICTED);
  refused(request(1, 1, 99), RAFTCS_ERR_EVICTED);
}

TEST_F(BadInput, IdsFarAheadServicesThatAreNotThereAndLargePayloads) {
  ASSERT_TRUE(bad_.create(1, 20));
  refused(request(uint64_t{1} << 60, 1), RAFTCS_ERR_RESOURCE_LIMIT);
  wire::Request m = request(1, 1);
  m.service = "nobody";
  refused(m, RAFTCS_ERR_NOT_FOUND);
  m = request(1, 1);
  m.payload = Bytes::copy(std::string(4097, 'x'));
  refused(m, RAFTCS_ERR_TOO_LARGE);
  bad_.clear();
  send(request(1, 1));  // the id is not used up
  EXPECT_EQ(bad_.all<wire::Response>().size(), 1u);
  ++expected_ops_;
}

TEST_F(BadInput, QueriesOfServicesThatAreNotThere) {
  send(wire::Query{0, 5, "nobody", {}, wire::Consistency::linearizable});
  ASSERT_TRUE(bad_.last<wire::QueryResponse>());
  EXPECT_EQ(bad_.last<wire::QueryResponse>()->status, RAFTCS_ERR_NOT_FOUND);
  EXPECT_EQ(bad_.last<wire::QueryResponse>()->correlation, 5u);
}

TEST_F(BadInput, AcknowledgementsOfWhatWasNeverSent) {
  ASSERT_TRUE(bad_.create(1, 20));
  ignored(wire::PushAck{1, PushId(1)});
  ignored(wire::PushAck{1, PushId(UINT64_MAX)});
  bad_.clear();
  send(request(1, 1));
  EXPECT_EQ(bad_.all<wire::Response>().size(), 1u);
  ++expected_ops_;
}

TEST_F(BadInput, ASecondHelloChangesNothing) {
  send(wire::Hello{});
  ASSERT_TRUE(bad_.create(1, 20));
  bad_.clear();
  send(wire::Hello{});
  EXPECT_EQ(bad_.all<wire::Welcome>().size(), 1u);
  send(request(1, 1));
  EXPECT_EQ(bad_.all<wire::Response>().size(), 1u);
  ++expected_ops_;
}

TEST_F(BadInput, AChannelUsedTwiceBelongsToTheLaterSession) {
  ASSERT_TRUE(bad_.create(1, 20));
  const Uuid one = bad_.session(1);
  bad_.clear();
  send(wire::CreateSession{1, nonce(), TestClient::proof_of(21), 10'000, {{"a", "b"}}});
  ASSERT_EQ(bad_.all<wire::SessionCreated>().size(), 1u);
  const Uuid two = bad_.session(1);
  ASSERT_NE(one, two);
  send(request(1, 1, 50));
  EXPECT_EQ(bad_.all<wire::Response>().size(), 1u);  // of the later one
  // The earlier one has lost its binding and nothing else.
  bad_.clear();
  ASSERT_TRUE(bad_.resume(2, one, 20));
  wire::Request m = request(1, 1, 51);
  m.channel = 2;
  send(m);
  EXPECT_EQ(bad_.all<wire::Response>().size(), 1u);
  expected_ops_ += 2;
  // Continuing onto a channel of another session is the same.
  ASSERT_TRUE(bad_.resume(2, two, 21));
  bad_.clear();
  closed(wire::KeepAlive{1, 5}, CloseReason::session_error);
}

TEST_F(BadInput, AfterCloseTheChannelIsFreeAndTheSessionGone) {
  ASSERT_TRUE(bad_.create(1, 20));
  const Uuid gone = bad_.session(1);
  bad_.clear();
  bad_.send(wire::CloseSession{1});
  bad_.send(request(1, 1));  // behind it
  cluster_.run(20 * kMs);
  ASSERT_GE(bad_.all<wire::SessionClosed>().size(), 1u);
  EXPECT_EQ(bad_.all<wire::SessionClosed>()[0].reason, CloseReason::closed);
  EXPECT_EQ(bad_.all<wire::Response>().size(), 0u);
  closed(request(2, 2), CloseReason::session_error);
  rejected(wire::ContinueSession{1, nonce(), gone, TestClient::proof_of(20), {}, {}},
           RejectReason::session_expired);
  ASSERT_TRUE(bad_.create(1, 22));
  bad_.clear();
  send(request(1, 1));
  EXPECT_EQ(bad_.all<wire::Response>().size(), 1u);
  ++expected_ops_;
}

TEST_F(BadInput, BytesThatAreNoFrameAndTypesNobodyKnows) {
  bad_.clear();
  cluster_.send(1, bad_.conn(), Bytes::copy(std::string("GET / HTTP/1.1")));
  cluster_.run(10 * kMs);
  EXPECT_TRUE(cluster_.take(bad_.conn()).empty());
  const uint8_t unknown[] = {0x94, 0xce, 0x52, 0x43, 0x53, 0x31, 0x01, 0x3f, 0x91, 0x90};
  cluster_.send(1, bad_.conn(), Bytes::copy(unknown, sizeof unknown));
  cluster_.run(10 * kMs);
  auto answer = bad_.last<wire::Unsupported>();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->type, 0x3fu);
}

}  // namespace raftcs::test
