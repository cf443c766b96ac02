// Members whose disks are lost or empty, and founders: who counts, and who founds a cluster.
#include "tests/unit/server/membership_fixture.hpp"

namespace raftcs::test {
namespace {

TEST_F(MembershipTest, MB_08_AWipedNodeCountsForNothingUntilItIsAdmittedAnew) {
  found(3);
  bind();
  const uint64_t lost = follower();
  c().kill(lost);
  c().wipe(lost);
  c().start(lost);
  const uint64_t lead = leader();
  c().run(2 * kNsPerSecond);
  EXPECT_EQ(leader(), lead);
  EXPECT_GT(status(lead)["counters"]["foreign_peer_frames"].get<uint64_t>(), 0u);
  EXPECT_EQ(standing(lost), "refused") << "although it hears the leader";
  EXPECT_NE(status(lost)["health"].get<std::string>().find("another disk"), std::string::npos);
  must({replace(lost, lost)});
  c().run(kNsPerSecond);
  EXPECT_EQ(voters().size(), 3u);
  EXPECT_EQ(standing(lost), "voter");
  EXPECT_EQ(status(lost)["state_hash"], status(lead)["state_hash"]);
}

// A joint configuration counts who voted before by id: no wiped disk may be among them.
TEST_F(MembershipTest, MB_08_DisksLostTogetherAreReplacedOneByOne) {
  found(5);
  bind();
  const uint64_t lead = leader();
  const uint64_t a = lead % 5 + 1, b = a % 5 + 1;
  lose_disks({a, b});
  c().run(2 * kNsPerSecond);
  const server::AdminResult dry = c().admin(
      lead, "member_change",
      json{{"changes", json::array({replace(a, a), replace(b, b)})}, {"dry_run", true}}.dump());
  ASSERT_TRUE(dry.status.is_ok()) << dry.status.text();
  const json steps = json::parse(dry.json)["steps"];
  ASSERT_EQ(steps.size(), 3u);
  EXPECT_EQ(steps[0]["after"]["voters"], 4);
  EXPECT_EQ(steps[1]["after"]["voters"], 3);
  EXPECT_EQ(steps[2]["after"]["voters"], 5);
  must({replace(a, a), replace(b, b)});
  EXPECT_EQ(leader(), lead);
  EXPECT_EQ(voters().size(), 5u);
  const raft::Node& node = c().node(lead).raft();
  raft::Membership before;
  size_t swaps = 0;
  for (Index i(1); i <= node.last_index(); ++i) {
    const raft::Entry* e = node.entry(i);
    ASSERT_NE(e, nullptr);
    if (e->type != raft::EntryType::config) continue;
    const raft::Membership next = *raft::decode_membership(e->payload);
    for (const raft::Member& old : before.members) {
      const raft::Member* m = raft::find_member(next, old.id);
      if (old.incarnation.is_zero() || m == nullptr || m->incarnation == old.incarnation) continue;
      ++swaps;
      EXPECT_FALSE(next.joint) << "at index " << i.value;
    }
    before = next;
  }
  EXPECT_EQ(swaps, 2u);
}

// Of three two are a majority: what they had promised is gone, so no change goes on without it.
TEST_F(MembershipTest, MB_08_AMajorityOfLostDisksIsNotReplaced) {
  found(3);
  bind();
  const uint64_t lead = leader();
  const uint64_t a = lead % 3 + 1, b = a % 3 + 1;
  lose_disks({a, b});
  const server::AdminResult r = change(lead, {replace(a, a), replace(b, b)});
  EXPECT_FALSE(r.status.is_ok());
  c().run(5 * kNsPerSecond);
  for (uint64_t id = 1; id <= 3; ++id) EXPECT_FALSE(c().node(id).serving()) << id;
}

// Simulator seed 305757: a member that was away knows the leader by the disk that it had before.
TEST_F(MembershipTest, MB_08_WhoWasAwayLearnsFromOthersThatTheLeaderHasAnotherDisk) {
  found(5);
  bind();
  const uint64_t lead = leader();
  const uint64_t away = lead % 5 + 1, lost = away % 5 + 1;
  c().isolate(away);
  c().kill(lost);
  c().wipe(lost);
  c().start(lost);
  must({replace(lost, lost)});
  ASSERT_EQ(voters().size(), 5u);
  ASSERT_TRUE(c().admin(lead, "transfer", json{{"to", lost}}.dump()).status.is_ok());
  ASSERT_EQ(leader(), lost);
  c().isolate(away, false);
  EXPECT_TRUE(c().run_until(
      [&] {
        return c().node(away).raft().leader() == NodeId(lost) &&
               c().node(away).raft_status().commit == c().node(lost).raft_status().commit;
      },
      5 * kNsPerSecond));
  EXPECT_EQ(leader(), lost) << "nobody else had to lead for it";
}

// Two of three lose their disks and are started again as they were the first time. Each has the
// first configuration, in which they are a majority; but the third has the data.
TEST_F(MembershipTest, MB_08_TwoOfThreeWithoutTheirDisksFoundNoOtherCluster) {
  found(3);
  bind();
  TestClient client(c(), leader());
  ASSERT_TRUE(client.create(1, 1));
  client.command(1, 1);
  c().run(kNsPerSecond);
  const uint64_t third = leader();
  for (uint64_t id = 1; id <= 3; ++id)
    if (id != third) c().kill(id), c().wipe(id);
  for (uint64_t id = 1; id <= 3; ++id)
    if (id != third) c().start(id);
  for (int i = 0; i < 2'000; ++i) {
    c().run(10 * kMs);
    for (uint64_t id = 1; id <= 3; ++id) ASSERT_FALSE(id != third && c().node(id).serving()) << i;
  }
  for (uint64_t id = 1; id <= 3; ++id) {
    if (id == third) continue;
    EXPECT_EQ(standing(id), "refused");
    EXPECT_EQ(c().node(id).raft_status().vote, NodeId()) << "it voted";
  }
}

// With nobody there who knows better a cluster is founded, though one member is missing.
TEST_F(MembershipTest, AFounderWaitsOnlySoLongForOneThatIsMissing) {
  cluster_.emplace(3, [](server::Options&) {});
  c().kill(3);
  for (uint64_t id = 1; id <= 2; ++id) c().kill(id), c().wipe(id);
  c().wipe(3);
  for (uint64_t id = 1; id <= 2; ++id) c().start(id);
  EXPECT_TRUE(c().run_until([&] { return c().node(1).serving() || c().node(2).serving(); },
                            6 * kNsPerSecond));
}

// Simulator seed 423139: a node whose disk has failed is silent (S21), also while it asks as a
// founder.
TEST_F(MembershipTest, AFounderWhoseDiskFailedAsksNobody) {
  found(3);
  c().isolate(1);
  ASSERT_TRUE(c().run_until([&] { return c().node(2).serving() || c().node(3).serving(); },
                            10 * kNsPerSecond));
  c().kill(1);
  c().start(1);  // its log is the first configuration still
  c().disk(1).fail_nth(sim::Call::write, 1);
  c().isolate(1, false);
  ASSERT_TRUE(c().run_until([&] { return c().node(1).info().health.code() == RAFTCS_ERR_IO; },
                            kNsPerSecond));
  const uint64_t said = c().peer_frames(1);
  EXPECT_GT(said, 0u);
  c().run(3 * kNsPerSecond);
  EXPECT_EQ(c().peer_frames(1), said);
}

TEST_F(MembershipTest, FoundersThatAreAllThereDoNotWait) {
  found(3);
  EXPECT_TRUE(c().run_until(
      [&] { return c().node(1).serving() || c().node(2).serving() || c().node(3).serving(); },
      1'800 * kMs));
}

// A founder of one that lost its disk gets the log of the cluster that has grown since. The first
// configuration in it names it alone: were that enough to vote, it would lead by itself.
TEST_F(MembershipTest, S17_WhoComesBackWithAnEmptyDiskDoesNotLeadByAnOldConfiguration) {
  cluster_.emplace(1, [](server::Options& o) {
    o.append_bytes_max = 1;  // entry by entry
    o.inflight_appends_max = 1;
  });
  ASSERT_EQ(leader(), 1u);
  for (uint64_t id : {2, 3}) {
    ASSERT_EQ(c().start_joiner(), id);
    must({addresses(one("add", id), id)});
    must({one("promote", id)});
  }
  bind();
  const Uuid cluster = c().options(2).join_cluster;
  c().kill(1);
  c().wipe(1);
  c().options(1).cluster.clear();
  c().options(1).join = {"tcp://10.0.0.2:7001"};
  c().options(1).join_cluster = cluster;
  c().start(1);
  const uint64_t lead = leader();
  c().hold_log(1);  // after the first append it acknowledges nothing, so nothing more is sent
  json changes = json::array({replace(1, 1)});
  (void)c().admin(lead, "member_change", json{{"changes", changes}}.dump());
  ASSERT_TRUE(
      c().run_until([&] { return c().node(1).raft_status().last != Index(); }, 10 * kNsPerSecond));
  ASSERT_LT(c().node(1).raft_status().last, Index(4)) << "it has more than the beginning";
  c().isolate(1);
  c().hold_log(1, false);
  for (int i = 0; i < 500; ++i) {
    c().run(10 * kMs);
    ASSERT_NE(c().node(1).raft().role(), raft::Role::leader) << i;
  }
  c().isolate(1, false);
  EXPECT_TRUE(c().run_until([&] { return standing(1) == "voter"; }, 20 * kNsPerSecond));
}

}  // namespace
}  // namespace raftcs::test
