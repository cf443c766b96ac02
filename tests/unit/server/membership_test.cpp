// Changes of members on whole nodes: their outcomes, joining, recovery by a survivor.
#include "tests/unit/server/membership_fixture.hpp"

#include "server/recovery.hpp"

namespace raftcs::test {
namespace {

TEST_F(MembershipTest, MB_09_JoinedAddedCaughtUpPromoted) {
  found(1);
  ASSERT_EQ(leader(), 1u);
  const uint64_t two = c().start_joiner();
  c().run(3 * kNsPerSecond);
  EXPECT_EQ(standing(two), "waiting");
  EXPECT_NE(status(two)["health"].get<std::string>().find("member add 2"), std::string::npos);
  must({addresses(one("add", two), two)});
  EXPECT_EQ(voters(), std::vector<uint64_t>{1});
  must({one("promote", two)});
  EXPECT_EQ(voters(), (std::vector<uint64_t>{1, 2}));
  c().run(kNsPerSecond);
  EXPECT_EQ(standing(two), "voter");
  EXPECT_EQ(status(two)["state_hash"], status(1)["state_hash"]);
}

TEST_F(MembershipTest, MB_09_WhoIsNotHeardOfIsNotPromotedAndCostsNothing) {
  found(3);
  must({addresses(one("add", 9), 9)});
  const server::AdminResult r = change(leader(), {one("promote", 9)}, 1'000);
  EXPECT_EQ(r.status.code(), RAFTCS_ERR_BAD_STATE);
  EXPECT_NE(r.status.text().find("not heard of"), std::string::npos) << r.status.text();
  c().isolate(follower());
  TestClient client(c(), leader());
  EXPECT_TRUE(client.create(1, 1)) << "two of three voters suffice still";
}

TEST_F(MembershipTest, MB_04_OneChangeAtATimeAndTheNextAfterIt) {
  found(3);
  const uint64_t lead = leader();
  must({addresses(one("add", 9), 9)});
  c().node(lead).admin(500, "member_change",
                       json{{"changes", json::array({one("promote", 9)})}, {"wait", true}}.dump(),
                       c().now());
  c().run(100 * kMs);
  const server::AdminResult second = change(lead, {one("demote", 1)});
  EXPECT_EQ(second.status.code(), RAFTCS_ERR_CONFIG_IN_PROGRESS);
  EXPECT_NE(second.status.text().find("catching_up"), std::string::npos) << second.status.text();
  c().run(31 * kNsPerSecond);  // the time of the first is over
  must({one("remove", 9)});
}

// MB-03, MB-12: a change at a leader that is cut off does not happen, and it is told so.
TEST_F(MembershipTest, MB_12_AChangeAtADeposedLeaderIsToldAsNotKept) {
  found(3);
  const uint64_t old = leader();
  const uint64_t gone = follower();
  c().isolate(old);
  c().node(old).admin(500, "member_change",
                      json{{"changes", json::array({one("remove", gone)})}, {"force", true}}.dump(),
                      c().now());
  c().run(4 * kNsPerSecond);
  c().isolate(old, false);
  const server::AdminResult told =
      change(leader(), {one("priority", gone)});  // malformed: proves the others are asked too
  EXPECT_EQ(told.status.code(), RAFTCS_ERR_INVALID_ARGUMENT);
  c().run(2 * kNsPerSecond);
  const json op = json::parse(c().admin(old, "member_status").json);
  EXPECT_EQ(op["state"], "failed");
  EXPECT_NE(op["text"].get<std::string>().find("nothing was changed"), std::string::npos)
      << op.dump();
  EXPECT_EQ(voters().size(), 3u);
}

// The others may have the entry when the leader's own disk fails: the change may yet come.
TEST_F(MembershipTest, AChangeWhoseLeaderFailsIsNotToldAsNotDone) {
  found(3);
  const uint64_t old = leader();
  const uint64_t gone = follower();
  c().hold_log(old);
  c().node(old).admin(500, "member_change",
                      json{{"changes", json::array({one("remove", gone)})}, {"force", true}}.dump(),
                      c().now());
  const std::string committing = R"("state":"committing")";
  ASSERT_TRUE(c().run_until(
      [&] { return c().admin(old, "member_status").json.find(committing) != std::string::npos; },
      kNsPerSecond));
  server::LogDone failed;
  failed.status = {RAFTCS_ERR_IO, "the disk fails"};
  c().node(old).log_done(failed, c().now());
  const server::NodeEffects effects = c().node(old).take_effects(c().now());
  Status told;
  for (const auto& reply : effects.local_replies)
    if (reply.token == 500) told = reply.result.status;
  EXPECT_EQ(told.code(), RAFTCS_ERR_DROPPED) << told.text();
  EXPECT_NE(told.text().find("the disk fails"), std::string::npos) << told.text();
}

TEST_F(MembershipTest, MB_11_TheLeaderIsRemovedAndToldSo) {
  found(4);
  const uint64_t old = leader();
  const server::AdminResult r = change(old, {one("remove", old)});
  EXPECT_TRUE(r.status.is_ok()) << r.status.text();
  const uint64_t next = leader();
  EXPECT_NE(next, old);
  EXPECT_EQ(voters().size(), 3u);
  c().run(3 * kNsPerSecond);
  EXPECT_EQ(standing(old), "removed");
}

// MB-07: a member that was away when it was removed asks again, is told, and disturbs nobody.
TEST_F(MembershipTest, MB_07_WhoWasRemovedWhileAwayIsToldAndDisturbsNobody) {
  found(4);
  const uint64_t away = follower();
  c().isolate(away);
  must({one("remove", away)});
  c().run(15 * kNsPerSecond);
  const uint64_t lead = leader();
  const Term term = c().node(lead).info().term;
  c().isolate(away, false);
  c().run(5 * kNsPerSecond);
  EXPECT_EQ(leader(), lead);
  EXPECT_EQ(c().node(lead).info().term, term);
  // The harness has no addresses: what the node is told goes to one, so it is not heard here.
  EXPECT_FALSE(c().node(away).serving());
}

// A follower that was away while all whom it knew went catches up from a leader it never met.
TEST_F(MembershipTest, AFollowerIsServedByALeaderItDoesNotKnow) {
  found(3);
  const uint64_t away = follower();
  c().isolate(away);
  std::vector<uint64_t> fresh;
  for (int i = 0; i < 3; ++i) {
    fresh.push_back(c().start_joiner());
    must({addresses(one("add", fresh.back()), fresh.back())});
    must({one("promote", fresh.back())});
  }
  std::vector<json> out;
  for (uint64_t id = 1; id <= 3; ++id)
    if (id != away) out.push_back(one("remove", id));
  must(out);
  for (uint64_t id = 1; id <= 3; ++id)
    if (id != away) c().kill(id);
  const uint64_t lead = leader();
  ASSERT_GE(lead, 4u);
  c().isolate(away, false);
  EXPECT_TRUE(
      c().run_until([&] { return c().node(away).info().applied == c().node(lead).info().applied; },
                    10 * kNsPerSecond));
  EXPECT_EQ(standing(away), "voter");
}

// Simulator seed 102108: a member votes only where its log names its disk, so that entry must be
// there before others depend on its vote.
TEST_F(MembershipTest, APromotedMemberHasTheEntryThatNamesItsDisk) {
  found(1);
  ASSERT_EQ(leader(), 1u);
  const uint64_t two = c().start_joiner();
  c().isolate(two);
  must({addresses(one("add", two), two)});
  const json args{{"changes", json::array({one("promote", two)})}, {"wait", true}};
  c().node(1).admin(1'000'000, "member_change", args.dump(), c().now());
  const auto at_leader = [&] {
    return *raft::find_member(c().node(1).raft().membership(), NodeId(two));
  };
  c().isolate(two, false);
  const auto has_all = [&] {
    return c().node(two).raft_status().durable == c().node(1).raft_status().last;
  };
  ASSERT_TRUE(c().run_until(has_all, 5 * kNsPerSecond));
  ASSERT_TRUE(at_leader().incarnation.is_zero()) << "too late to see anything";
  c().run(5 * kMs);   // the leader hears of it
  c().hold_log(two);  // the entry that names its disk comes, and is not durable
  ASSERT_TRUE(c().run_until([&] { return !at_leader().incarnation.is_zero(); }, kNsPerSecond));
  c().run(2 * kNsPerSecond);
  EXPECT_EQ(at_leader().role, raft::MemberRole::learner) << "it would be needed, and not vote";
  c().hold_log(two, false);
  EXPECT_TRUE(c().run_until([&] { return at_leader().role == raft::MemberRole::voter; },
                            10 * kNsPerSecond));
}

// A removal that is not known to be committed takes no vote away (thesis 4.2.2), nor from one that
// joined: here nobody else has the entry, and of two voters both are needed.
TEST_F(MembershipTest, AJoinedMemberVotesUntilItsRemovalIsCommitted) {
  found(1);
  ASSERT_EQ(leader(), 1u);
  const uint64_t two = c().start_joiner();
  must({addresses(one("add", two), two)});
  must({one("promote", two)});
  ASSERT_TRUE(c().admin(1, "transfer", json{{"to", two}}.dump()).status.is_ok());
  ASSERT_EQ(leader(), two);
  c().isolate(two);
  const json args{{"changes", json::array({one("remove", two)})}, {"wait", true}};
  c().node(two).admin(1'000'000, "member_change", args.dump(), c().now());
  const auto removed = [&] {
    const raft::NodeStatus s = c().node(two).raft_status();
    return raft::find_member(c().node(two).raft().membership(), NodeId(two)) == nullptr &&
           s.durable == s.last;
  };
  ASSERT_TRUE(c().run_until(removed, kNsPerSecond));
  c().kill(two);
  c().isolate(two, false);
  c().start(two);
  EXPECT_NE(leader(), 0u);
  EXPECT_TRUE(c().run_until([&] { return voters() == std::vector<uint64_t>{1}; }, kNsPerSecond));
}

// MB-06: roles change places in one step while the cluster goes on.
TEST_F(MembershipTest, MB_06_SeveralChangesInOneJointStep) {
  found(4);
  const uint64_t five = c().start_joiner();
  must({addresses(one("add", five), five)});
  const uint64_t lead = leader();
  std::vector<uint64_t> others;
  for (uint64_t id = 1; id <= 4; ++id)
    if (id != lead) others.push_back(id);
  must({one("promote", five), one("remove", others[0]), one("demote", others[1])});
  EXPECT_EQ(voters().size(), 3u);
  TestClient client(c(), leader());
  EXPECT_TRUE(client.create(1, 1));
}

// Simulator seed 17: a node whose disk failed in the middle of a change looked at it for ever.
TEST_F(MembershipTest, AChangeEndsWhenTheDiskOfTheLeaderFails) {
  found(3);
  const uint64_t lead = leader();
  c().disk(lead).fail_nth(sim::Call::write, 1);
  const server::AdminResult r = change(lead, {one("demote", follower())});
  EXPECT_FALSE(r.status.is_ok());
  EXPECT_NE(r.status.text().find("injected"), std::string::npos) << r.status.text();
  c().run(100 * kMs);
  EXPECT_GT(c().node(lead).next_deadline(), c().now()) << "it would be driven without a pause";
}

TEST_F(MembershipTest, TransferHasAnOutcome) {
  found(3);
  const uint64_t old = leader();
  const uint64_t to = follower();
  c().isolate(to);
  c().run(kNsPerSecond);
  const server::AdminResult late =
      c().admin(old, "transfer", json{{"to", to}, {"timeout_ms", 1500}}.dump());
  EXPECT_EQ(late.status.code(), RAFTCS_ERR_BAD_STATE) << late.status.text();
  EXPECT_EQ(leader(), old);
  c().isolate(to, false);
  c().run(2 * kNsPerSecond);
  const server::AdminResult good = c().admin(leader(), "transfer", json{{"to", to}}.dump());
  EXPECT_TRUE(good.status.is_ok()) << good.status.text();
  EXPECT_EQ(json::parse(good.json)["leader"], to);
  EXPECT_EQ(leader(), to);
}

TEST_F(MembershipTest, PriorityIsFollowedWhenTheBetterOneHasTheLog) {
  found(3);
  const uint64_t better = follower();
  json change = one("priority", better);
  change["priority"] = 150;
  must({change});
  EXPECT_TRUE(c().run_until([&] { return c().node(better).serving(); }, 30 * kNsPerSecond));
}

TEST(Joining, AnInterruptedStartNeverFoundsACluster) {
  sim::SimDisk disk;
  SeededRandom random(1);
  server::Options options;
  options.id = NodeId(4);
  options.data_dir = "/data";
  options.client_advertise = "tcp://h:1";
  options.peer_advertise = "tcp://h:2";
  options.join = {"tcp://h:3"};
  options.join_cluster.bytes[0] = 9;
  {
    auto dir = server::open_data_dir(disk, options, random, nullptr);
    ASSERT_TRUE(dir.is_ok()) << dir.status().text();
  }  // it ends before its first write
  options.join.clear();
  auto dir = server::open_data_dir(disk, options, random, nullptr);
  ASSERT_TRUE(dir.is_ok());
  auto image = server::boot_image(**dir, options);
  EXPECT_EQ(image.status().code(), RAFTCS_ERR_BAD_STATE);
  options.join = {"tcp://h:3"};
  image = server::boot_image(**dir, options);
  ASSERT_TRUE(image.is_ok());
  EXPECT_TRUE(image->entries.empty());
  EXPECT_EQ(image->hard_state.term, Term(1));
}

class RecoveryTest : public MembershipTest {
 protected:
  Result<server::Recovery> force(uint64_t id, bool confirmed) {
    return server::force_new_cluster(c().disk(id), "/data", random_, confirmed);
  }
  SeededRandom random_{77};
};

TEST_F(RecoveryTest, MB_12_ASurvivorGoesOnAloneWithItsDataAndWithoutItsSessions) {
  found(3);
  TestClient client(c(), leader());
  ASSERT_TRUE(client.create(1, 1));
  for (uint64_t i = 1; i <= 5; ++i) client.command(1, i);
  c().run(2 * kNsPerSecond);
  const size_t before = c().ledger(1).ops.size();
  ASSERT_GT(before, 0u);
  for (uint64_t id = 1; id <= 3; ++id) c().kill(id);
  auto look = force(1, false);
  ASSERT_TRUE(look.is_ok()) << look.status().text();
  EXPECT_TRUE(look->new_cluster.is_zero());
  EXPECT_EQ(look->sessions.size(), 1u);
  auto done = force(1, true);
  ASSERT_TRUE(done.is_ok()) << done.status().text();
  c().start(1);
  ASSERT_EQ(leader(), 1u);
  EXPECT_EQ(c().ledger(1).ops.size(), before);
  const json now = status(1);
  EXPECT_EQ(now["cluster"], done->new_cluster.hex());
  EXPECT_EQ(now["sessions"], 0);
  EXPECT_EQ(now["members"].size(), 1u);
  // Members of the old cluster are nothing to it, and it to them.
  c().start(2);
  c().start(3);
  c().run(5 * kNsPerSecond);
  EXPECT_TRUE(c().node(1).serving());
  EXPECT_EQ(status(1)["members"].size(), 1u);
  EXPECT_GT(status(1)["counters"]["foreign_peer_frames"].get<uint64_t>(), 0u);
  EXPECT_FALSE(force(1, true).is_ok()) << "its server runs";
}

TEST_F(RecoveryTest, AnInterruptedRunLeavesNothingThatLeadsAndIsFinishedByAnother) {
  found(3);
  leader();
  c().run(kNsPerSecond);
  const std::string old_cluster = status(1)["cluster"];
  for (uint64_t id = 1; id <= 3; ++id) c().kill(id);
  // Every write and sync of the run fails once: wherever it stops, the next run ends it.
  size_t interrupted = 0;
  for (uint64_t nth = 1; nth <= 12; ++nth) {
    std::unique_ptr<sim::SimDisk> disk = c().disk(1).clone();
    disk->fail_nth(nth % 2 ? sim::Call::write : sim::Call::sync, (nth + 1) / 2);
    auto first = server::force_new_cluster(*disk, "/data", random_, true);
    disk->fail_nth(sim::Call::write, UINT64_MAX / 2);
    disk->fail_nth(sim::Call::sync, UINT64_MAX / 2);
    disk->restart_process();
    auto dir = storage::DataDir::open(*disk, "/data", {}, nullptr);
    ASSERT_TRUE(dir.is_ok()) << dir.status().text();
    const raft::BootImage image = (*dir)->take_boot_image();
    const bool is_old = (*dir)->identity().cluster.hex() == old_cluster;
    raft::Membership last;
    for (const raft::Entry& e : image.entries)
      if (e.type == raft::EntryType::config) last = *raft::decode_membership(e.payload);
    EXPECT_FALSE(is_old && last.members.size() == 1)
        << "a majority of one under the old cluster's id";
    dir->reset();
    if (first.is_ok()) continue;
    ++interrupted;
    auto second = server::force_new_cluster(*disk, "/data", random_, true);
    EXPECT_TRUE(second.is_ok() || second.status().code() == RAFTCS_ERR_BAD_STATE)
        << second.status().text();
  }
  EXPECT_GT(interrupted, 3u);
}

}  // namespace
}  // namespace raftcs::test
