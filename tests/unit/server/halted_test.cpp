// halted_test.cpp: nodes whose state machine stands: at an entry, in a call, or with a log that
// grows. Others lead and serve meanwhile; who waits gets an end; what a leader had to do is done
// when it applies again.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>

#include "raft/membership.hpp"
#include "support/node_harness.hpp"

namespace raftcs::test {
namespace {

using nlohmann::json;

// Node 1 is the only voter, so it cannot hand over; node 2 joins it.
class HaltedTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_EQ(c_.wait_for_leader(), 1u); }
  void halt() {
    c_.hold_apply(1);
    say("the plugin is missing");
    ASSERT_FALSE(c_.node(1).serving());
  }
  void apply_again() {
    say("");
    c_.hold_apply(1, false);
    c_.run(10 * kMs);
    ASSERT_TRUE(c_.node(1).serving());
  }
  void say(const std::string& halted) {
    server::ApplyDone done;
    done.applied = c_.node(1).info().applied;
    if (!halted.empty()) done.halted = {RAFTCS_ERR_PLUGIN_LOAD, halted};
    c_.node(1).apply_done(std::move(done), c_.now());
    c_.settle();
  }
  void change(json one) {
    one["id"] = 2;
    one["peer_address"] = "tcp://10.0.0.2:7101";
    one["client_address"] = "tcp://10.0.0.2:7001";
    const auto r =
        c_.admin(1, "member_change", json{{"changes", json::array({one})}, {"wait", true}}.dump());
    ASSERT_TRUE(r.status.is_ok()) << r.status.text();
  }
  raft::Member two() {
    const raft::Member* m = raft::find_member(c_.node(1).raft().membership(), NodeId(2));
    return m == nullptr ? raft::Member() : *m;
  }
  NodeHarness c_;
};

TEST_F(HaltedTest, AReturningMemberGetsItsVote) {
  ASSERT_EQ(c_.start_joiner(), 2u);
  change({{"do", "add"}});
  change({{"do", "promote"}});
  c_.run(kNsPerSecond);
  // Between the two steps of this.
  const json args{{"changes", json::array({{{"do", "replace"}, {"id", 2}, {"with", 2}}})}};
  c_.node(1).admin(1'000'000, "member_change", args.dump(), c_.now());
  ASSERT_TRUE(c_.run_until([&] { return two().returning; }, kNsPerSecond));
  halt();
  c_.run(4 * kNsPerSecond);
  ASSERT_TRUE(two().returning) << "nothing is changed meanwhile";
  apply_again();
  EXPECT_TRUE(
      c_.run_until([&] { return two().role == raft::MemberRole::voter; }, 5 * kNsPerSecond));
}

TEST_F(HaltedTest, ADiskThatWasHeardIsBound) {
  ASSERT_EQ(c_.start_joiner(), 2u);
  c_.isolate(2);
  change({{"do", "add"}});
  halt();
  c_.run(4 * kNsPerSecond);
  c_.isolate(2, false);
  c_.run(4 * kNsPerSecond);
  ASSERT_TRUE(two().incarnation.is_zero()) << "nothing is changed meanwhile";
  apply_again();
  EXPECT_TRUE(c_.run_until([&] { return !two().incarnation.is_zero(); }, 5 * kNsPerSecond));
}

// Three nodes; their lanes stand as each test says.
class StandstillTest : public testing::Test {
 protected:
  StandstillTest()
      : c_(3, [](server::Options& o) {
          o.snapshot_entries = 20;
          o.trailing_entries = 2;
          o.snapshot_log_bytes = 16 << 20;
        }) {}
  void SetUp() override { ASSERT_NE(lead_ = c_.wait_for_leader(), 0u); }
  void halt(uint64_t id) {
    c_.hold_apply(id);
    server::ApplyDone done;
    done.applied = c_.node(id).info().applied;
    done.halted = {RAFTCS_ERR_PLUGIN_FAILED, "it cannot go on"};
    c_.node(id).apply_done(std::move(done), c_.now());
    c_.settle();
  }
  uint64_t other_than(std::set<uint64_t> not_these) {
    for (uint64_t id = 1; id <= c_.size(); ++id)
      if (!not_these.contains(id)) return id;
    return 0;
  }
  bool serves(uint64_t id, DurationNs within) {
    return c_.run_until([&] { return c_.node(id).serving(); }, within);
  }
  json status(uint64_t id) { return json::parse(c_.admin(id, "status").json); }
  std::string health(uint64_t id) { return status(id)["health"]; }
  void commands(TestClient& client, uint64_t first, uint64_t count, size_t bytes = 16) {
    for (uint64_t id = first; id < first + count; ++id) {
      client.command(1, id, bytes);
      c_.run(5 * kMs);
    }
  }

  NodeHarness c_;
  uint64_t lead_ = 0;
};

// With equal logs each of two handed leadership to the other, again and again.
TEST_F(StandstillTest, WhoStandsIsGivenNoLeadership) {
  const uint64_t second = lead_ == 1 ? 2 : 1, third = other_than({lead_, second});
  halt(second);
  halt(lead_);
  ASSERT_TRUE(serves(third, 10 * kNsPerSecond));
  const Term term = c_.node(third).raft().term();
  c_.run(20 * kNsPerSecond);
  EXPECT_TRUE(c_.node(third).serving());
  EXPECT_EQ(c_.node(third).raft().term(), term);
}

TEST_F(StandstillTest, WhereAllStandTheLeaderStays) {
  for (uint64_t id = 1; id <= 3; ++id) halt(id);
  c_.run(3 * kNsPerSecond);
  const Term term = c_.node(1).raft().term();
  c_.run(20 * kNsPerSecond);
  EXPECT_EQ(c_.node(1).raft().term(), term);
}

TEST_F(StandstillTest, OneThatNeverComesBackIsNoticed) {
  TestClient client(c_, lead_);
  ASSERT_TRUE(client.create(1, 1));
  c_.run(kNsPerSecond);
  c_.hold_apply(lead_);
  commands(client, 1, 3);
  c_.run(8 * kNsPerSecond);
  EXPECT_EQ(health(lead_), "ok") << "it may take its time";
  const uint64_t was = lead_;
  ASSERT_TRUE(c_.run_until([&] { return c_.wait_for_leader() != was; }, 20 * kNsPerSecond));
  EXPECT_NE(health(was).find("has not come back"), std::string::npos) << health(was);
  EXPECT_FALSE(client.all<wire::SessionClosed>().empty());
  EXPECT_FALSE(c_.admin(was, "services").status.is_ok());
  c_.hold_apply(was, false);
  c_.run(kNsPerSecond);
  EXPECT_EQ(health(was), "ok");
  EXPECT_TRUE(c_.admin(was, "services").status.is_ok());
}

// A lane with nothing to do does not stand.
TEST_F(StandstillTest, AnIdleOneIsWell) {
  c_.run(60 * kNsPerSecond);
  for (uint64_t id = 1; id <= 3; ++id) EXPECT_EQ(health(id), "ok");
}

TEST_F(StandstillTest, AdministrationGetsAnEnd) {
  TestClient client(c_, lead_);
  ASSERT_TRUE(client.create(1, 1));
  const uint64_t one = other_than({lead_});
  c_.hold_apply(one);
  commands(client, 1, 3);
  c_.node(one).admin(1'000'001, "services", "", c_.now());  // it waits for the lane
  halt(one);
  for (int i = 0; i < 300; ++i) {
    const auto refused = c_.admin(one, i % 2 == 0 ? "services" : "sessions");
    ASSERT_EQ(refused.status.code(), RAFTCS_ERR_PLUGIN_FAILED) << i;
    ASSERT_NE(refused.status.text().find("member reseed"), std::string::npos);
  }
  EXPECT_EQ(c_.admin(one, "snapshot").status.code(), RAFTCS_ERR_PLUGIN_FAILED);
}

TEST_F(StandstillTest, AQueryIsSentElsewhere) {
  const uint64_t one = other_than({lead_});
  TestClient client(c_, one);
  wire::Query query;
  query.correlation = 7;
  query.service = "ledger";
  query.consistency = wire::Consistency::stale;
  client.send(query);
  c_.run(50 * kMs);
  ASSERT_EQ(client.last<wire::QueryResponse>()->status, RAFTCS_OK);
  halt(one);
  client.send(query);
  c_.run(50 * kMs);
  const auto answer = client.last<wire::QueryResponse>();
  EXPECT_EQ(answer->status, RAFTCS_ERR_NOT_LEADER);
  EXPECT_EQ(answer->leader.id, NodeId(lead_));
}

// Nothing is cut while nothing is applied.
TEST_F(StandstillTest, WhatWaitsIsBounded) {
  TestClient client(c_, lead_);
  ASSERT_TRUE(client.create(1, 1));
  const uint64_t one = other_than({lead_});
  halt(one);
  constexpr size_t kBytes = 800 << 10;
  commands(client, 1, 70, kBytes);
  EXPECT_EQ(health(one).find("cannot be cut"), std::string::npos) << health(one);
  commands(client, 71, 20, kBytes);
  EXPECT_NE(health(one).find("cannot be cut"), std::string::npos) << health(one);
  const size_t waiting = c_.held_apply_jobs(one);
  commands(client, 91, 20, kBytes);
  EXPECT_EQ(c_.held_apply_jobs(one), waiting);
  EXPECT_EQ(client.all<wire::Response>().size(), 110u) << "the others serve on";
}

TEST_F(StandstillTest, SnapshotsThatFailShowInHealth) {
  TestClient client(c_, lead_);
  ASSERT_TRUE(client.create(1, 1));
  const uint64_t one = other_than({lead_});
  c_.faults(one).begins = 1'000'000;
  commands(client, 1, 25);
  c_.run(kNsPerSecond);
  EXPECT_EQ(health(one), "ok") << "one that fails is no trouble yet";
  commands(client, 26, 30);
  c_.run(15 * kNsPerSecond);
  EXPECT_NE(health(one).find("no snapshot can be taken"), std::string::npos) << health(one);
  c_.faults(one).begins = 0;
  c_.run(15 * kNsPerSecond);
  EXPECT_EQ(health(one), "ok");
}

// One that comes from the leader is a snapshot too, and cuts the log.
TEST_F(StandstillTest, AReceivedSnapshotEndsTheTroubleWithOwnOnes) {
  TestClient client(c_, lead_);
  ASSERT_TRUE(client.create(1, 1, 60'000));
  const uint64_t one = other_than({lead_});
  c_.faults(one).begins = 1'000'000;
  commands(client, 1, 60);
  c_.run(15 * kNsPerSecond);
  ASSERT_NE(health(one).find("no snapshot can be taken"), std::string::npos) << health(one);
  c_.isolate(one);
  c_.run(3 * kNsPerSecond);  // nobody keeps entries for who is silent for long
  commands(client, 61, 100);
  c_.isolate(one, false);
  c_.run(2 * kNsPerSecond);
  ASSERT_GT(status(one)["snapshot_index"].get<uint64_t>(), 60u) << "none came";
  EXPECT_EQ(health(one), "ok");
}

}  // namespace
}  // namespace raftcs::test
