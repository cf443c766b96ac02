// raft_thesis_test.cpp: sentences of the Raft thesis (Ongaro 2014), each as a test. The
// section is in the name; the sentence is paraphrased above the test.
#include <gtest/gtest.h>

#include "base/check.hpp"
#include "raft/membership.hpp"
#include "tests/scenario/cluster.hpp"

namespace raftcs::raft::test {
namespace {

class Thesis : public testing::Test {
 protected:
  void start(uint64_t voters, uint64_t learners = 0) {
    cluster_.emplace(voters, learners, test_options(), 5);
  }
  void elect(uint64_t id) {
    cluster_->campaign(NodeId(id));
    cluster_->stabilize();
    ASSERT_EQ(cluster_->leader(), NodeId(id));
  }
  void isolate(uint64_t id) {
    for (Member_& m : cluster_->members()) {
      cluster_->cut(NodeId(id), m.id);
      cluster_->cut(m.id, NodeId(id));
    }
  }
  void run(DurationNs time) {
    for (DurationNs t = 0; t < time; t += 10 * kNsPerMs) {
      cluster_->advance(10 * kNsPerMs);
      cluster_->stabilize();
    }
  }
  Node& node(uint64_t id) { return cluster_->node(id); }
  void TearDown() override {
    for (const std::string& e : cluster_->errors()) ADD_FAILURE() << e;
  }
  std::optional<Cluster> cluster_;
};

// When servers start up, they begin as followers.
TEST_F(Thesis, Section_3_4_ServersStartAsFollowers) {
  start(3);
  for (uint64_t id = 1; id <= 3; ++id) EXPECT_EQ(node(id).role(), Role::follower);
}

// A follower that hears nothing for an election timeout begins an election.
TEST_F(Thesis, Section_3_4_SilenceBeginsAnElection) {
  start(3);
  run(3 * kNsPerSecond);
  ASSERT_TRUE(cluster_->leader());
  EXPECT_GE(node(cluster_->leader().value).term(), Term(2));
}

// Election timeouts are drawn at random from a fixed interval, [T, 2T).
TEST_F(Thesis, Section_3_4_TimeoutsAreSpreadOverTheInterval) {
  start(1);
  Options o;
  std::set<int64_t> seen;
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    o.id = NodeId(1);
    o.seed = seed;
    BootImage image;
    image.hard_state.term = Term(1);
    Entry e;
    e.index = Index(1);
    e.term = Term(1);
    e.type = EntryType::config;
    e.payload = encode_membership(make_membership({1, 2, 3}));
    image.entries = {e};
    Node n(o, std::move(image), Mono{0});
    EXPECT_GE(n.next_deadline().ns, o.election_timeout_ns);
    EXPECT_LT(n.next_deadline().ns, 2 * o.election_timeout_ns);
    seen.insert(n.next_deadline().ns);
  }
  EXPECT_GT(seen.size(), 40u);
}

// Heartbeats keep followers from starting elections.
TEST_F(Thesis, Section_3_4_HeartbeatsKeepAuthority) {
  start(5);
  elect(3);
  const Term term = node(3).term();
  run(10 * kNsPerSecond);
  EXPECT_EQ(cluster_->leader(), NodeId(3));
  EXPECT_EQ(node(3).term(), term);
}

// A candidate that learns of the rightful leader returns to follower.
TEST_F(Thesis, Section_3_4_CandidateYieldsToTheLeaderOfItsTerm) {
  start(3);
  isolate(1);
  cluster_->campaign(NodeId(1));
  EXPECT_EQ(node(1).role(), Role::pre_candidate);
  elect(2);
  cluster_->heal();
  run(100 * kNsPerMs);
  EXPECT_EQ(node(1).role(), Role::follower);
  EXPECT_EQ(node(1).leader(), NodeId(2));
}

// The leader appends the command and replicates it in parallel; committed means applied.
TEST_F(Thesis, Section_3_5_CommittedEntriesAreAppliedEverywhere) {
  for (uint64_t n : {1, 2, 3, 4, 5, 6, 7}) {
    start(n);
    elect(n);
    for (int i = 0; i < 20; ++i) cluster_->propose(NodeId(n), "x" + std::to_string(i));
    cluster_->stabilize();
    for (Member_& m : cluster_->members()) EXPECT_EQ(m.machine.applied, Index(22));
  }
}

// A leader never overwrites or deletes its own entries; it makes followers' logs its own.
TEST_F(Thesis, Section_3_5_ConflictingEntriesAreOverwrittenByTheLeaders) {
  start(5);
  elect(1);
  isolate(1);
  for (int i = 0; i < 6; ++i) cluster_->propose(NodeId(1), "lost");
  cluster_->persist(NodeId(1));
  run(2 * kNsPerSecond);
  const NodeId l = cluster_->leader();
  ASSERT_NE(l, NodeId(1));
  cluster_->propose(l, "kept");
  cluster_->heal();
  run(kNsPerSecond);
  const NodeId now = cluster_->leader();
  ASSERT_TRUE(now);
  for (Index i(1); i <= cluster_->node(now).last_index(); ++i)
    EXPECT_EQ(*node(1).entry(i), *cluster_->node(now).entry(i));
}

// A voter denies its vote if its own log is more up to date.
TEST_F(Thesis, Section_3_6_1_OnlyUpToDateLogsWin) {
  start(3);
  elect(1);
  isolate(3);
  cluster_->propose(NodeId(1), "x");
  cluster_->stabilize();
  cluster_->crash(NodeId(1));
  cluster_->heal();
  for (int i = 0; i < 5; ++i) {
    cluster_->campaign(NodeId(3));
    cluster_->stabilize();
    EXPECT_NE(node(3).role(), Role::leader);
  }
  run(5 * kNsPerSecond);
  EXPECT_EQ(cluster_->leader(), NodeId(2));
}

// Figure 3.7: an entry of an older term is not committed by counting replicas, only
// together with one of the leader's own term.
TEST_F(Thesis, Section_3_6_2_OldTermsAreNotCommittedByCounting) {
  Options o;
  o.id = NodeId(1);
  BootImage image;
  image.hard_state.term = Term(2);
  for (uint64_t i = 1; i <= 3; ++i) {
    Entry e;
    e.index = Index(i);
    e.term = Term(i == 1 ? 1 : 2);
    e.type = i == 1 ? EntryType::config : EntryType::ops;
    if (i == 1) e.payload = encode_membership(make_membership({1, 2, 3}));
    image.entries.push_back(e);
  }
  start(1);
  Mono now{0};
  Node n(o, std::move(image), now);
  const auto get = [&](MessageBody body) {
    n.receive({NodeId(2), NodeId(1), Term(3), std::move(body)}, now);
    return n.take_effects(now);
  };
  now = n.next_deadline();
  n.tick(now);
  n.take_effects(now);
  const Effects vote = get(VoteResponse{true, true, Term(3)});
  n.persisted(vote.write_seq, now);
  const Effects lead = get(VoteResponse{false, true, Term(3)});
  ASSERT_EQ(n.role(), Role::leader);
  n.persisted(lead.write_seq, now);
  AppendResponse ack;
  ack.success = true;
  ack.match = Index(3);
  get(ack);
  EXPECT_EQ(n.commit_index(), Index(0));
  ack.match = Index(4);
  get(ack);
  EXPECT_EQ(n.commit_index(), Index(4));
}

// The leader completeness property, by crash of every leader in turn.
TEST_F(Thesis, Section_3_6_3_EveryNextLeaderHasAllCommittedEntries) {
  start(5);
  for (int round = 0; round < 8; ++round) {
    run(3 * kNsPerSecond);
    const NodeId l = cluster_->leader();
    ASSERT_TRUE(l);
    cluster_->propose(l, "r" + std::to_string(round));
    cluster_->stabilize();
    cluster_->crash(l);
    run(3 * kNsPerSecond);
    cluster_->restart(l);
  }
  EXPECT_GE(cluster_->ledger_last(), Index(16));  // S6 is checked at each election
}

// Followers that crash are retried; requests are idempotent.
TEST_F(Thesis, Section_3_7_RepeatedRequestsChangeNothing) {
  start(3);
  std::vector<Message> trace;
  cluster_->trace = &trace;
  elect(1);
  cluster_->propose(NodeId(1), "x");
  cluster_->stabilize();
  const std::vector<Message> again = trace;
  cluster_->trace = nullptr;
  const Index last = node(2).last_index(), commit = node(2).commit_index();
  for (const Message& m : again) cluster_->inject(m);
  cluster_->stabilize();
  EXPECT_EQ(node(2).last_index(), last);
  EXPECT_EQ(node(2).commit_index(), commit);
}

// The current term and vote are kept on stable storage; the commit index need not be.
TEST_F(Thesis, Section_3_8_TermVoteAndLogSurviveARestart) {
  start(3);
  elect(1);
  cluster_->propose(NodeId(1), "x");
  cluster_->stabilize();
  cluster_->crash(NodeId(2));
  cluster_->restart(NodeId(2));
  EXPECT_EQ(node(2).term(), Term(2));
  EXPECT_EQ(node(2).status().vote, NodeId(1));
  EXPECT_EQ(node(2).last_index(), Index(3));
  EXPECT_EQ(node(2).commit_index(), Index(0));
}

// Leadership transfer: the target's timeout is brought forward once it is up to date.
TEST_F(Thesis, Section_3_10_TransferTakesOneElection) {
  start(5);
  elect(1);
  const Term before = node(1).term();
  EXPECT_EQ(cluster_->transfer(NodeId(1), NodeId(4)), Refusal::none);
  cluster_->stabilize();
  EXPECT_EQ(cluster_->leader(), NodeId(4));
  EXPECT_EQ(node(4).term(), before.next());
}

// A server uses the latest configuration in its log, committed or not.
TEST_F(Thesis, Section_4_1_AConfigurationCountsWhenItIsAppended) {
  start(3, 1);
  elect(1);
  EXPECT_EQ(cluster_->propose_membership(NodeId(1), make_membership({1, 2, 3, 4})), Refusal::none);
  EXPECT_EQ(node(1).membership(), make_membership({1, 2, 3, 4}));
  EXPECT_EQ(node(2).membership(), make_membership({1, 2, 3}, {4}));
  EXPECT_EQ(cluster_->propose_membership(NodeId(1), make_membership({2})),
            Refusal::membership_pending);
  cluster_->stabilize();
  EXPECT_EQ(cluster_->propose_membership(NodeId(1), make_membership({1, 2})), Refusal::invalid);
}

// A new server is first brought up as a non-voting member.
TEST_F(Thesis, Section_4_2_1_LearnersReceiveEntriesAndDoNotCount) {
  start(3, 2);
  elect(1);
  cluster_->crash(NodeId(2));
  cluster_->crash(NodeId(3));
  const Index before = cluster_->ledger_last();
  cluster_->propose(NodeId(1), "x");
  cluster_->stabilize();
  EXPECT_EQ(cluster_->ledger_last(), before);
  EXPECT_EQ(node(4).last_index(), node(1).last_index());
  run(5 * kNsPerSecond);
  EXPECT_FALSE(cluster_->leader()) << "learners elect nobody";
}

// A leader that is removed steps down once the new configuration is committed.
TEST_F(Thesis, Section_4_2_2_ARemovedLeaderStepsDownAfterCommit) {
  start(4);
  elect(2);
  EXPECT_EQ(cluster_->propose_membership(NodeId(2), make_membership({1, 3, 4})), Refusal::none);
  EXPECT_EQ(node(2).role(), Role::leader);
  run(3 * kNsPerSecond);
  EXPECT_NE(node(2).role(), Role::leader);
  ASSERT_TRUE(cluster_->leader());
  EXPECT_EQ(node(cluster_->leader().value).membership(), make_membership({1, 3, 4}));
}

// A removed server does not disturb the others.
TEST_F(Thesis, Section_4_2_3_RemovedServersDoNotDisrupt) {
  start(4);
  elect(1);
  isolate(4);
  EXPECT_EQ(cluster_->propose_membership(NodeId(1), make_membership({1, 2, 3})), Refusal::none);
  run(20 * kNsPerSecond);
  cluster_->heal();
  const Term term = node(1).term();
  run(5 * kNsPerSecond);
  EXPECT_EQ(cluster_->leader(), NodeId(1));
  EXPECT_EQ(node(1).term(), term);
}

// In a joint configuration agreement needs majorities of both.
TEST_F(Thesis, Section_4_3_JointDecisionsNeedBothMajorities) {
  start(3, 3);
  elect(1);
  Membership joint = make_membership({4, 5, 6}, {1, 2, 3});
  joint.joint = true;
  for (Member& m : joint.members) m.outgoing_voter = m.id <= NodeId(3);
  cluster_->crash(NodeId(5));
  cluster_->crash(NodeId(6));
  const Index before = cluster_->ledger_last();
  EXPECT_EQ(cluster_->propose_membership(NodeId(1), joint), Refusal::none);
  cluster_->stabilize();
  EXPECT_EQ(cluster_->ledger_last(), before) << "one of three in the incoming half";
  cluster_->restart(NodeId(5));
  run(3 * kNsPerSecond);
  EXPECT_GT(cluster_->ledger_last(), before);
  ASSERT_TRUE(cluster_->leader());
  EXPECT_FALSE(node(cluster_->leader().value).membership().joint);
  EXPECT_GE(cluster_->leader(), NodeId(4));
}

// MB-06, MB-07: members that are replaced vote until the joint configuration is left; then they
// are gone, and the next leader is of the new ones, whatever size the configuration has.
TEST_F(Thesis, Section_4_3_ReplacedMembersVoteUntilTheJointConfigurationIsLeft) {
  for (uint64_t size : {2, 3, 4, 7}) {
    start(size, 1);
    elect(1);
    const uint64_t fresh = size + 1;
    std::vector<uint64_t> after;
    for (uint64_t id = 2; id <= fresh; ++id) after.push_back(id);
    Membership joint = make_membership(after);
    for (Member& m : joint.members) m.outgoing_voter = m.id.value != fresh;
    Member old = make_membership({1}).members[0];
    old.role = MemberRole::leaving;
    old.outgoing_voter = true;
    joint.members.insert(joint.members.begin(), old);
    joint.joint = true;
    ASSERT_EQ(cluster_->propose_membership(NodeId(1), joint), Refusal::none);
    EXPECT_EQ(node(1).role(), Role::leader) << "it votes in the outgoing half";
    run(3 * kNsPerSecond);
    ASSERT_TRUE(cluster_->leader());
    EXPECT_NE(cluster_->leader(), NodeId(1));
    EXPECT_EQ(node(cluster_->leader().value).membership(), make_membership(after));
    EXPECT_EQ(cluster_->propose(cluster_->leader(), "x"), Refusal::none);
    cluster_->stabilize();
    EXPECT_EQ(node(fresh).last_index(), cluster_->ledger_last());
  }
}

// MB-05: everybody fails inside a joint configuration; the next leader finishes it.
TEST_F(Thesis, Section_4_3_AJointConfigurationSurvivesTheFailureOfEveryMember) {
  start(3, 2);
  elect(1);
  Membership joint = make_membership({3, 4, 5}, {1, 2});
  joint.joint = true;
  for (Member& m : joint.members) m.outgoing_voter = m.id <= NodeId(3);
  ASSERT_EQ(cluster_->propose_membership(NodeId(1), joint), Refusal::none);
  for (uint64_t id = 2; id <= 5; ++id) {
    cluster_->deliver(NodeId(1), NodeId(id));
    cluster_->persist(NodeId(id));
  }
  cluster_->persist(NodeId(1));
  for (uint64_t id = 1; id <= 5; ++id) cluster_->crash(NodeId(id));
  for (uint64_t id = 1; id <= 5; ++id) cluster_->restart(NodeId(id));
  EXPECT_TRUE(node(2).membership().joint);
  run(5 * kNsPerSecond);
  ASSERT_TRUE(cluster_->leader());
  EXPECT_EQ(node(cluster_->leader().value).membership(), make_membership({3, 4, 5}, {1, 2}));
}

// A leader sends its snapshot to a follower that needs entries it has discarded.
TEST_F(Thesis, Section_5_SnapshotsBringLateFollowersUp) {
  start(3);
  elect(1);
  cluster_->crash(NodeId(3));
  for (int i = 0; i < 30; ++i) cluster_->propose(NodeId(1), "x");
  cluster_->stabilize();
  cluster_->take_snapshot(NodeId(1));
  EXPECT_GT(node(1).status().first, Index(20));
  cluster_->restart(NodeId(3));
  run(kNsPerSecond);
  EXPECT_EQ(cluster_->counters().snapshots_installed, 1u);
  EXPECT_EQ(cluster_->member(NodeId(3)).machine.chain, cluster_->member(NodeId(1)).machine.chain);
}

// A leader that cannot reach a quorum for an election timeout steps down.
TEST_F(Thesis, Section_6_2_ALeaderWithoutAQuorumStepsDown) {
  start(3);
  elect(1);
  isolate(1);
  run(kNsPerSecond);
  EXPECT_EQ(node(1).role(), Role::follower);
}

// A read is served at an index after a round of heartbeats; a deposed leader serves none.
TEST_F(Thesis, Section_6_4_ReadsAreConfirmedByAQuorum) {
  start(5);
  elect(1);
  cluster_->propose(NodeId(1), "x");
  cluster_->stabilize();
  cluster_->read(NodeId(1));
  EXPECT_TRUE(cluster_->reads_done().empty());
  cluster_->stabilize();
  ASSERT_EQ(cluster_->reads_done().size(), 1u);
  EXPECT_EQ(cluster_->reads_done()[0].index, Index(3));
  isolate(1);
  cluster_->read(NodeId(1));
  run(2 * kNsPerSecond);
  EXPECT_EQ(cluster_->reads_done().size(), 1u);
  EXPECT_EQ(cluster_->counters().reads_failed, 1u);
}

// A lone server needs nobody's agreement for a read.
TEST_F(Thesis, Section_6_4_ALoneServerAnswersAtOnce) {
  start(1);
  elect(1);
  cluster_->read(NodeId(1));
  EXPECT_EQ(cluster_->reads_done().size(), 1u);
}

// Pre-vote: a server that returns from isolation raises no terms.
TEST_F(Thesis, Section_9_6_PreVoteKeepsTermsStill) {
  start(5);
  elect(1);
  isolate(5);
  const Term term = node(1).term();
  run(20 * kNsPerSecond);
  EXPECT_EQ(node(5).term(), term);
  cluster_->heal();
  run(3 * kNsPerSecond);
  EXPECT_EQ(cluster_->leader(), NodeId(1));
  EXPECT_EQ(node(1).term(), term);
}

// The leader may commit before its own write completes, if a majority of others has it.
TEST_F(Thesis, Section_10_2_1_TheLeaderWritesInParallel) {
  start(3);
  elect(1);
  cluster_->propose(NodeId(1), "x");
  cluster_->deliver(NodeId(1), NodeId(2));
  cluster_->persist(NodeId(2));
  cluster_->deliver(NodeId(2), NodeId(1));
  EXPECT_EQ(node(1).commit_index(), Index(2));
  cluster_->deliver(NodeId(1), NodeId(3));
  cluster_->persist(NodeId(3));
  cluster_->deliver(NodeId(3), NodeId(1));
  EXPECT_EQ(node(1).commit_index(), Index(3));
  EXPECT_EQ(node(1).status().durable, Index(2));
}

}  // namespace
}  // namespace raftcs::raft::test
