// Nodes whose data was damaged: they come back by themselves, and count for nothing before.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "raft/membership.hpp"
#include "storage/identity_file.hpp"
#include "storage/inspect.hpp"
#include "support/node_harness.hpp"

namespace raftcs::test {
namespace {

using nlohmann::json;

constexpr char kFirstSegment[] = "/data/log-0000000000000001";

class HealTest : public testing::Test {
 protected:
  NodeHarness& c() { return *cluster_; }
  void found(uint64_t count, const NodeHarness::Adjust& adjust = nullptr) {
    cluster_.emplace(count, adjust);
  }
  uint64_t leader() { return c().wait_for_leader(); }
  std::vector<uint64_t> followers() {
    const uint64_t lead = leader();
    std::vector<uint64_t> ids;
    for (uint64_t id = 1; id <= c().size(); ++id)
      if (id != lead) ids.push_back(id);
    return ids;
  }
  json status(uint64_t id) { return json::parse(c().admin(id, "status").json); }
  void work(size_t commands) {
    TestClient client(c(), leader());
    ASSERT_TRUE(client.create(1, ++secret_));
    for (size_t i = 1; i <= commands; ++i) {
      client.command(1, i);
      c().run(2 * kMs);
    }
    c().run(500 * kMs);
  }
  // One byte in the middle of the log, with durable writes behind it.
  void rot(uint64_t id, uint64_t sector = 3) {
    ASSERT_TRUE(c().disk(id).flip(kFirstSegment, sector * 512 + 60, 0x10));
    auto findings = storage::verify_directory(c().disk(id), "/data");
    ASSERT_TRUE(findings.is_ok());
    ASSERT_FALSE(findings->empty());
    ASSERT_TRUE(findings->front().damage);
  }
  void kill_rot_start(uint64_t id) {
    c().kill(id);
    rot(id);
    c().start(id);
  }
  bool told(uint64_t id, const std::string& part) {
    for (const std::string& line : c().lines(id))
      if (line.find(part) != std::string::npos) return true;
    return false;
  }
  bool is_voter_again(uint64_t id, const std::string& old_incarnation) {
    const raft::Member* m =
        raft::find_member(c().node(leader()).raft().membership(), NodeId(id));
    return m != nullptr && m->role == raft::MemberRole::voter &&
           m->incarnation.hex() != old_incarnation && !m->incarnation.is_zero();
  }
  void expect_healed(uint64_t id, const std::string& old_incarnation) {
    ASSERT_TRUE(c().run_until([&] { return is_voter_again(id, old_incarnation); },
                              20 * kNsPerSecond))
        << c().admin(id, "status").json;
    c().run(2 * kNsPerSecond);
    EXPECT_EQ(status(id)["standing"], "voter");
    EXPECT_EQ(status(id)["health"], "ok");
    EXPECT_EQ(status(id)["state_hash"], status(leader())["state_hash"]);
  }

  std::optional<NodeHarness> cluster_;
  uint64_t secret_ = 0;
};

TEST_F(HealTest, PS_06_AFollowerWithABadRecordIsFilledByTheOthers) {
  found(3);
  work(50);
  const uint64_t bad = followers()[0];
  const std::string old = status(bad)["incarnation"];
  c().kill(bad);
  rot(bad, 30);
  c().start(bad);
  EXPECT_TRUE(told(bad, kFirstSegment));
  EXPECT_TRUE(told(bad, " at offset "));
  EXPECT_TRUE(told(bad, "the last good entry is "));
  EXPECT_FALSE(told(bad, "the last good entry is 0)")) << "what is before the damage was read";
  EXPECT_TRUE(told(bad, "/data/damaged"));
  expect_healed(bad, old);
  EXPECT_TRUE(c().disk(bad).contents("/data/damaged/log-0000000000000001"));
  EXPECT_TRUE(told(leader(), "was damaged and it begins anew"));
  // It is a voter as any other: with it the cluster survives another loss.
  const uint64_t other = followers()[0] == bad ? followers()[1] : followers()[0];
  c().kill(other);
  work(5);
}

TEST_F(HealTest, ALeaderWithABadRecordIsToo) {
  found(5);
  work(50);
  const uint64_t bad = leader();
  const std::string old = status(bad)["incarnation"];
  kill_rot_start(bad);
  expect_healed(bad, old);
}

TEST_F(HealTest, ItComesBackBySnapshotWhenTheLogIsCut) {
  found(3, [](server::Options& o) {
    o.snapshot_entries = 20;
    o.trailing_entries = 2;
  });
  work(100);
  const uint64_t bad = followers()[0];
  const std::string old = status(bad)["incarnation"];
  ASSERT_GT(status(leader())["first_index"].get<uint64_t>(), 10u);
  kill_rot_start(bad);
  expect_healed(bad, old);
}

// The whole point: what it had acknowledged and voted is gone, so it may not help a stale one.
TEST_F(HealTest, TwoOfThreeDamagedElectNobodyAndSayWhatIsMissing) {
  found(3);
  work(30);
  const std::vector<uint64_t> bad = followers();
  for (uint64_t id : bad) c().kill(id);
  for (uint64_t id : bad) rot(id);
  for (uint64_t id : bad) c().start(id);
  const uint64_t third = 6 - bad[0] - bad[1];
  c().run(30 * kNsPerSecond);
  for (uint64_t id = 1; id <= 3; ++id) EXPECT_FALSE(c().node(id).serving()) << id;
  for (uint64_t id : bad) {
    EXPECT_EQ(status(id)["standing"], "healing");
    EXPECT_NE(status(id)["health"].get<std::string>().find("majority of the voters without it"),
              std::string::npos)
        << status(id)["health"];
    EXPECT_EQ(status(id)["last_index"], 0);
    EXPECT_EQ(c().node(id).raft_status().vote, NodeId()) << "it voted";
  }
  EXPECT_TRUE(c().up(third));
}

TEST_F(HealTest, ItWaitsWhileTheMajorityOfTheOthersIsAway) {
  found(3);
  work(30);
  const std::vector<uint64_t> f = followers();
  const std::string old = status(f[0])["incarnation"];
  c().kill(f[1]);
  kill_rot_start(f[0]);
  c().run(15 * kNsPerSecond);
  EXPECT_EQ(status(f[0])["standing"], "healing");
  c().start(f[1]);
  expect_healed(f[0], old);
}

// The leader that took it in goes before it has its vote back.
TEST_F(HealTest, TheNextLeaderGivesItsVoteBack) {
  found(5);
  work(30);
  const uint64_t bad = followers()[0];
  const std::string old = status(bad)["incarnation"];
  kill_rot_start(bad);
  const auto learner = [&] {
    for (uint64_t id = 1; id <= 5; ++id) {
      if (!c().up(id) || !c().node(id).serving()) continue;
      const raft::Member* m = raft::find_member(c().node(id).raft().membership(), NodeId(bad));
      if (m != nullptr && m->role == raft::MemberRole::learner) return true;
    }
    return false;
  };
  ASSERT_TRUE(c().run_until(learner, 10 * kNsPerSecond));
  ASSERT_TRUE(c().run_until(
      [&] { return status(bad)["standing"] == "learner" || !learner(); }, 10 * kNsPerSecond));
  c().kill(leader());
  expect_healed(bad, old);
}

// Also when it is not there while leadership changes, and knows nothing of having had a vote.
TEST_F(HealTest, ItGetsItsVoteBackThoughItRestartsWhileLeadershipChanges) {
  found(5);
  work(30);
  const uint64_t bad = followers()[0];
  const std::string old = status(bad)["incarnation"];
  kill_rot_start(bad);
  ASSERT_TRUE(c().run_until([&] { return status(bad)["standing"] == "learner"; },
                            10 * kNsPerSecond));
  c().kill(bad);
  const uint64_t first = leader();
  c().kill(first);
  ASSERT_NE(leader(), first);
  c().start(first);
  c().start(bad);
  expect_healed(bad, old);
}

// An operator's word stands: one that was made a learner for good is not given its vote back.
TEST_F(HealTest, OneThatIsDemotedMeanwhileStaysALearner) {
  found(3);
  work(30);
  const uint64_t bad = followers()[0];
  kill_rot_start(bad);
  ASSERT_TRUE(c().run_until([&] { return status(bad)["standing"] == "learner"; },
                            10 * kNsPerSecond));
  c().kill(bad);
  c().run(100 * kMs);
  const std::string demote =
      R"({"changes":[{"do":"demote","id":)" + std::to_string(bad) + "}]}";
  EXPECT_TRUE(c().admin(leader(), "member_change", demote).status.is_ok());
  EXPECT_FALSE(c().admin(leader(), "member_change", demote).status.is_ok()) << "it is one";
  c().start(bad);
  c().run(10 * kNsPerSecond);
  EXPECT_EQ(status(bad)["standing"], "learner");
  EXPECT_EQ(status(bad)["state_hash"], status(leader())["state_hash"]);
}

// Restarted again and again while it is filled: it goes on, and never counts before.
TEST_F(HealTest, RestartsInBetweenDoNoHarm) {
  found(3);
  work(40);
  const uint64_t bad = followers()[0];
  const std::string old = status(bad)["incarnation"];
  kill_rot_start(bad);
  for (int i = 1; i <= 12; ++i) {
    c().run(i * 40 * kMs);
    c().kill(bad);
    c().start(bad);
  }
  expect_healed(bad, old);
}

// What was healed once is a member like any other, also when it is removed and comes back.
TEST_F(HealTest, OneThatWasHealedOnceCanBeRemovedAndAddedAgain) {
  found(4);
  work(30);
  const uint64_t bad = followers()[0];
  const std::string old = status(bad)["incarnation"];
  kill_rot_start(bad);
  expect_healed(bad, old);
  c().kill(bad);
  c().start(bad);
  c().run(3 * kNsPerSecond);
  const std::string id = std::to_string(bad), host = "tcp://10.0.0." + id;
  ASSERT_TRUE(
      c().admin(leader(), "member_change", R"({"changes":[{"do":"remove","id":)" + id + "}]}")
          .status.is_ok());
  c().run(5 * kNsPerSecond);
  EXPECT_EQ(status(bad)["standing"], "removed");
  ASSERT_TRUE(c().admin(leader(), "member_change",
                        R"({"changes":[{"do":"add","id":)" + id + R"(,"peer_address":")" + host +
                            R"(:7101","client_address":")" + host + R"(:7001"}]})")
                  .status.is_ok());
  EXPECT_TRUE(
      c().run_until([&] { return status(bad)["standing"] == "learner"; }, 10 * kNsPerSecond))
      << c().admin(bad, "status").json;
  c().run(2 * kNsPerSecond);
  EXPECT_EQ(status(bad)["state_hash"], status(leader())["state_hash"]);
}

// A leader that nobody else hears takes a node in, and what it wrote for that is not kept.
class HealCutOff : public HealTest {
 protected:
  void SetUp() override {
    found(5);
    work(30);
    first_ = leader();
    const std::vector<uint64_t> f = followers();
    bad_ = f[0];
    others_ = {f[1], f[2], f[3]};
    old_ = status(bad_)["incarnation"];
    c().kill(bad_);
    rot(bad_);
    c().run(3 * kNsPerSecond);  // the old disk is silent
    c().start(bad_);
    fresh_ = status(bad_)["incarnation"];
    ASSERT_TRUE(c().run_until([&] { return is_named_at(first_); }, 3 * kNsPerSecond));
    for (uint64_t id : others_) c().isolate(id);
  }
  bool is_named_at(uint64_t id) {
    const raft::Member* m = raft::find_member(c().node(id).raft().membership(), NodeId(bad_));
    return m != nullptr && m->incarnation.hex() == fresh_;
  }
  void others_go_on() {
    c().kill(first_);
    for (uint64_t id : others_) c().isolate(id, false);
  }
  void expect_not_kept_and_healed() {
    ASSERT_NE(leader(), 0u);
    expect_healed(bad_, old_);
  }
  uint64_t first_ = 0, bad_ = 0;
  std::vector<uint64_t> others_;
  std::string old_, fresh_;
};

TEST_F(HealCutOff, WhoWasToldSoAsksTheNextLeader) {
  ASSERT_TRUE(
      c().run_until([&] { return told(bad_, "has taken this node in again"); }, 3 * kNsPerSecond));
  ASSERT_FALSE(is_named_at(bad_)) << "too late to see anything";
  others_go_on();
  expect_not_kept_and_healed();
}

TEST_F(HealCutOff, WhoRestartsWithThatEntryAsksTheNextLeader) {
  ASSERT_TRUE(c().run_until([&] { return is_named_at(bad_); }, 3 * kNsPerSecond));
  c().run(5 * kMs);
  c().kill(bad_);
  c().start(bad_);
  ASSERT_TRUE(is_named_at(bad_)) << "it is durable";
  others_go_on();
  expect_not_kept_and_healed();
}

// The others' log has another entry there, so nothing they send for the old disk fits this one.
TEST_F(HealCutOff, WhoHasThatEntryAndIsRefusedAsksToo) {
  ASSERT_TRUE(c().run_until([&] { return is_named_at(bad_); }, 3 * kNsPerSecond));
  c().run(5 * kMs);
  c().isolate(bad_);
  others_go_on();
  const uint64_t second = leader();
  ASSERT_NE(second, 0u);
  work(10);
  const uint64_t third = others_[0] == second ? others_[1] : others_[0];
  ASSERT_TRUE(
      c().admin(second, "transfer", R"({"to":)" + std::to_string(third) + "}").status.is_ok());
  c().run(100 * kMs);
  ASSERT_TRUE(is_named_at(bad_));
  c().isolate(bad_, false);
  expect_not_kept_and_healed();
}

TEST_F(HealTest, ADamagedSnapshotThatTheLogCoversCostsNoNewBeginning) {
  found(3, [](server::Options& o) { o.snapshot_entries = 20; });
  work(60);
  const uint64_t bad = followers()[0];
  const std::string same = status(bad)["incarnation"];
  c().kill(bad);
  std::string snapshot;
  for (const std::string& path : c().disk(bad).files())
    if (path.find("/snapshot-") != std::string::npos) snapshot = path;
  ASSERT_FALSE(snapshot.empty());
  const size_t size = c().disk(bad).contents(snapshot)->size();
  ASSERT_TRUE(c().disk(bad).flip(snapshot, size - 100, 1));
  c().start(bad);
  EXPECT_TRUE(told(bad, snapshot));
  EXPECT_TRUE(told(bad, "the log holds all that it covers"));
  c().run(3 * kNsPerSecond);
  EXPECT_EQ(status(bad)["incarnation"], same);
  EXPECT_EQ(status(bad)["state_hash"], status(leader())["state_hash"]);
}

TEST_F(HealTest, ADamagedIdentityIsNoObstacleWhereTheClusterIsKnown) {
  found(3);
  work(20);
  const uint64_t bad = followers()[0];
  const std::string old = status(bad)["incarnation"];
  c().kill(bad);
  ASSERT_TRUE(c().disk(bad).flip("/data/identity", 30, 1));
  c().start(bad);
  expect_healed(bad, old);
}

class HealRefused : public HealTest {
 protected:
  Status open(uint64_t id, uint64_t members, bool heal = true) {
    server::Options o;
    o.id = NodeId(id);
    o.data_dir = "/data";
    o.segment_bytes = 1 << 20;
    o.heal_damage = heal;
    for (uint64_t i = 1; i <= members && members > 1; ++i) {
      const std::string host = "tcp://10.0.0." + std::to_string(i);
      o.cluster.push_back({NodeId(i), host + ":7101", host + ":7001"});
    }
    return server::open_data_dir(c().disk(id), o, random_, nullptr).status();
  }
  void expect_refused(const Status& status, const std::string& part) {
    EXPECT_EQ(status.code(), RAFTCS_ERR_CORRUPT) << status.text();
    EXPECT_NE(status.text().find(kFirstSegment), std::string::npos) << status.text();
    EXPECT_NE(status.text().find(part), std::string::npos) << status.text();
  }
  SeededRandom random_{5};
};

TEST_F(HealRefused, ASoleVoterHasNobodyToHealFrom) {
  found(1);
  work(20);
  c().kill(1);
  rot(1);
  const std::vector<std::string> before = c().disk(1).files();
  expect_refused(open(1, 1), "No other voting member");
  expect_refused(open(1, 3), "No other voting member");  // the log knows better
  EXPECT_EQ(c().disk(1).files(), before);
}

TEST_F(HealRefused, BySetting) {
  found(3);
  work(20);
  const uint64_t bad = followers()[0];
  c().kill(bad);
  rot(bad);
  const std::vector<std::string> before = c().disk(bad).files();
  expect_refused(open(bad, 3, false), "storage.on_damage");
  EXPECT_EQ(c().disk(bad).files(), before);
}

TEST_F(HealRefused, WhileAnEarlierCopyIsThere) {
  found(3);
  work(20);
  const uint64_t bad = followers()[0];
  const std::string old = status(bad)["incarnation"];
  kill_rot_start(bad);
  expect_healed(bad, old);
  work(20);
  c().kill(bad);
  rot(bad);
  expect_refused(open(bad, 3), "/data/damaged");
}

}  // namespace
}  // namespace raftcs::test
