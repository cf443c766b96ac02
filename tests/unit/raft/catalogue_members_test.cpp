// Rules of the catalogue: transfers, reads, members, cluster time, equal inputs.
#include "catalogue_fixture.hpp"

namespace raftcs::raft {
namespace {

TEST_F(Catalogue, LT_01_TimeoutNowGoesOutWhenMatchIsLast) {
  lead();
  get(2, 2, ack(2));
  node_->propose(Bytes::copy("x"), now_, nullptr, nullptr);
  flush();
  EXPECT_EQ(node_->transfer_leadership(NodeId(2), now_), Refusal::none);
  EXPECT_FALSE(only<TimeoutNow>(flush()));
  EXPECT_TRUE(only<TimeoutNow>(get(2, 2, ack(3))));
  EXPECT_EQ(node_->transfer_leadership(NodeId(3), now_), Refusal::transferring);
  EXPECT_EQ(node_->transfer_leadership(NodeId(2), now_), Refusal::none);
}

TEST_F(Catalogue, LT_03_04_TargetChecksItselfAndFlagDoesNotBypassTheLog) {
  get(3, 2, append(1, 1, 0));
  EXPECT_TRUE(get(2, 2, TimeoutNow{}).messages.empty()) << "not from the leader";
  const Effects e = get(2, 5, VoteRequest{false, true, Index(0), Term(0)});
  EXPECT_FALSE(only<VoteResponse>(e)->granted);
}

TEST_F(Catalogue, RD_01_04_EarlyReadsWaitAndEndOnce) {
  lead();
  node_->read_index(7, now_);
  Effects e = flush();
  EXPECT_TRUE(e.reads_ready.empty() && e.messages.empty());
  e = get(2, 2, ack(2));
  EXPECT_TRUE(e.reads_ready.empty());
  const auto round = std::get<AppendRequest>(e.messages[0].message.body).round;
  e = get(2, 2, ack(2, round));
  ASSERT_EQ(e.reads_ready.size(), 1u);
  EXPECT_EQ(e.reads_ready[0].index, Index(2));
  EXPECT_TRUE(get(3, 2, ack(2, round)).reads_ready.empty());
}

TEST_F(Catalogue, RD_03_AnAnswerConfirmsOnlyItsOwnRound) {
  lead();
  get(2, 2, ack(2));
  node_->read_index(1, now_);
  flush();
  node_->read_index(2, now_);
  flush();
  Effects e = get(2, 2, ack(2, 1));
  ASSERT_EQ(e.reads_ready.size(), 1u);
  EXPECT_EQ(e.reads_ready[0].token, 1u);
  EXPECT_TRUE(get(2, 2, ack(2, 1)).reads_ready.empty());
  EXPECT_TRUE(get(2, 2, ack(2, 99)).reads_ready.empty()) << "a round never started";
  node_->step_down(now_);
  EXPECT_EQ(flush().reads_failed, std::vector<uint64_t>{2});
  node_->read_index(3, now_);
  EXPECT_EQ(flush().reads_failed, std::vector<uint64_t>{3});
}

// Who has answered already may be a majority of the members that are left: nobody answers again.
TEST_F(Catalogue, RD_03_AReadIsLookedAtAgainWhenTheMembersChange) {
  lead();
  get(2, 2, ack(2));
  Membership two = three();
  two.members.pop_back();
  ASSERT_EQ(node_->propose_membership(two, now_, nullptr, nullptr), Refusal::none);
  flush();
  persist();
  flush();
  get(2, 2, ack(3));
  ASSERT_EQ(status().commit, Index(3));
  node_->read_index(9, now_);
  ASSERT_TRUE(flush().reads_ready.empty());
  Membership alone = two;
  alone.members.pop_back();
  ASSERT_EQ(node_->propose_membership(alone, now_, nullptr, nullptr), Refusal::none);
  const Effects e = flush();
  ASSERT_EQ(e.reads_ready.size(), 1u);
  EXPECT_EQ(e.reads_ready[0].token, 9u);
}

TEST_F(Catalogue, MB_01_NoConfigurationBeforeAnOwnCommit) {
  get(3, 1, append(1, 1, 1));  // the configuration in force is known to be committed
  lead();
  Membership two = three();
  two.members.pop_back();
  EXPECT_EQ(node_->propose_membership(two, now_, nullptr, nullptr), Refusal::membership_pending);
  get(2, 2, ack(2));
  EXPECT_EQ(node_->propose_membership(two, now_, nullptr, nullptr), Refusal::none);
  EXPECT_EQ(node_->propose_membership(three(), now_, nullptr, nullptr),
            Refusal::membership_pending);
}

TEST_F(Catalogue, MB_02_ATruncatedConfigurationIsNoLongerInForce) {
  Membership two = three();
  two.members.pop_back();
  const Entry config = config_entry(2, 2, two);
  get(2, 2, append(1, 1, 0, {config}));
  EXPECT_EQ(node_->membership(), two);
  get(3, 3, append(1, 1, 0, {entry(2, 3)}));
  EXPECT_EQ(node_->membership(), three());
}

// The copies of a lost disk are no copies: with another incarnation a peer begins at nothing.
TEST_F(Catalogue, MB_08_AnotherDiskDoesNotInheritTheMatchOfTheOldOne) {
  lead();
  get(2, 2, ack(2));
  ASSERT_EQ(status().peers[0].match, Index(2));
  Membership other = three();
  other.members[1].incarnation.bytes[0] = 7;
  ASSERT_EQ(node_->propose_membership(other, now_, nullptr, nullptr), Refusal::none);
  EXPECT_EQ(status().peers[0].match, Index());
  EXPECT_TRUE(status().peers[0].recently_active) << "contact is of the node, not of its log";
  flush();
  persist();
  flush();
  EXPECT_EQ(status().commit, Index(2)) << "the old copy must not count for the new entry";
  get(2, 2, ack(3));
  EXPECT_EQ(status().commit, Index(3));
}

TEST_F(Catalogue, MB_08_WhoIsRemovedAndAddedAgainBeginsAtNothing) {
  lead();
  get(2, 2, ack(2));
  Membership two = three();
  two.members.erase(two.members.begin() + 1);
  ASSERT_EQ(node_->propose_membership(two, now_, nullptr, nullptr), Refusal::none);
  flush();
  persist();
  flush();
  get(3, 2, ack(3));
  ASSERT_EQ(status().commit, Index(3));
  Membership again = three();
  again.members[1].role = MemberRole::learner;
  ASSERT_EQ(node_->propose_membership(again, now_, nullptr, nullptr), Refusal::none);
  EXPECT_EQ(status().peers[0].id, NodeId(2));
  EXPECT_EQ(status().peers[0].match, Index());
}

// A priority delays an election and never prevents one: three levels above cost three timeouts.
// Simulator seed 200696: back with an empty disk and taken in as a learner, a node sought election
// by the configuration before, in which its id was a voter's.
TEST_F(Catalogue, MB_08_AnOldConfigurationIsNoReasonToLeadForAnotherDisk) {
  options_.incarnation.bytes[0] = 7;
  Membership lost = three(), again = three();
  lost.members[0].incarnation.bytes[0] = 6;
  again.members[0].role = MemberRole::learner;
  again.members[0].incarnation = options_.incarnation;
  for (bool joined : {true, false}) {  // else the configuration between says so
    options_.joined = joined;
    boot({1});
    if (joined)
      get(2, 2, append(1, 1, 0, {config_entry(2, 2, again)}));
    else
      get(2, 2, append(1, 1, 0, {config_entry(2, 2, lost), config_entry(3, 2, again)}));
    persist();
    ASSERT_EQ(node_->membership(), again);
    ASSERT_EQ(status().commit, Index(0));
    for (int i = 0; i < 3; ++i) EXPECT_TRUE(tick_election().messages.empty());
    EXPECT_EQ(node_->role(), Role::follower);
  }
}

TEST_F(Catalogue, PriorityOrdersElectionsAndNeverPreventsOne) {
  Membership m = three();
  m.members[1].priority = 120;
  m.members[2].priority = 110;
  const Entry config = config_entry(2, 2, m);
  get(2, 2, append(1, 1, 0, {config}));
  persist();
  get(2, 2, append(2, 2, 0));
  const DurationNs wait = node_->next_deadline() - now_;
  EXPECT_GE(wait, 3 * options_.election_timeout_ns);
  EXPECT_LT(wait, 4 * options_.election_timeout_ns);
  tick_election();
  EXPECT_EQ(node_->role(), Role::pre_candidate);
}

// MB-11: a leader that leaves hands over to the voter of the highest priority that has the log.
TEST_F(Catalogue, MB_11_ALeaderThatLeavesPrefersAHighPriority) {
  lead();
  get(2, 2, ack(2));
  get(3, 2, ack(2));
  Membership m = three();
  m.members.erase(m.members.begin());
  m.members[1].priority = 200;
  ASSERT_EQ(node_->propose_membership(m, now_, nullptr, nullptr), Refusal::none);
  flush();
  get(3, 2, ack(3));
  const Effects e = get(2, 2, ack(3));
  EXPECT_EQ(node_->role(), Role::follower);
  NodeId told;
  for (const Outgoing& o : e.messages)
    if (std::holds_alternative<TimeoutNow>(o.message.body)) told = o.message.to;
  EXPECT_EQ(told, NodeId(3));
}

TEST_F(Catalogue, D5_ClusterTimeGoesOnWithElapsedTimeAndFreezesWithoutAQuorum) {
  boot({1});
  lead();
  get(2, 2, ack(2));
  const LogTime t0 = node_->cluster_time(now_);
  EXPECT_EQ(node_->cluster_time(now_ + 100 * kNsPerMs) - t0, 100 * kNsPerMs);
  EXPECT_EQ(node_->cluster_time(now_ + 60 * kSecond) - t0, options_.election_timeout_ns);
  EXPECT_TRUE(node_->has_quorum_contact(now_));
  EXPECT_FALSE(node_->has_quorum_contact(now_ + 60 * kSecond));
  now_ = now_ + 60 * kSecond;
  node_->tick(now_);
  EXPECT_EQ(node_->role(), Role::follower);
}

// A server alone that was asleep for an hour: its time goes on by one election timeout.
TEST_F(Catalogue, D5_ClusterTimeOfASoleVoterIsBoundedToo) {
  boot({1});
  BootImage image;
  image.hard_state.term = Term(1);
  image.entries = {entry(1, 1)};
  Membership one = three();
  one.members.resize(1);
  image.entries[0].type = EntryType::config;
  image.entries[0].payload = encode_membership(one);
  node_.emplace(options_, std::move(image), now_);
  tick_election();
  persist();
  ASSERT_EQ(node_->role(), Role::leader);
  const LogTime t0 = node_->cluster_time(now_);
  for (int i = 0; i < 100; ++i) {
    now_ = now_ + options_.heartbeat_ns;
    node_->tick(now_);
  }
  EXPECT_EQ(node_->cluster_time(now_) - t0, 100 * options_.heartbeat_ns) << "awake it goes on";
  EXPECT_TRUE(node_->has_quorum_contact(now_ + 3600 * kSecond));
  now_ = now_ + 3600 * kSecond;
  const DurationNs awake = 100 * options_.heartbeat_ns;
  EXPECT_EQ(node_->cluster_time(now_) - t0, awake + options_.election_timeout_ns);
  node_->tick(now_);
  EXPECT_EQ(node_->role(), Role::leader);
  EXPECT_EQ(node_->cluster_time(now_) - t0, awake + options_.election_timeout_ns);
}

TEST_F(Catalogue, S25_AClonedNodeDoesTheSame) {
  lead();
  Node copy = node_->clone();
  EXPECT_EQ(copy.hash64(), node_->hash64());
  node_->propose(Bytes::copy("x"), now_, nullptr, nullptr);
  EXPECT_NE(copy.hash64(), node_->hash64());
  copy.propose(Bytes::copy("x"), now_, nullptr, nullptr);
  EXPECT_EQ(copy.hash64(), node_->hash64());
  EXPECT_EQ(copy.take_effects(now_).messages.size(), node_->take_effects(now_).messages.size());
}

TEST_F(Catalogue, MessagesToOneselfAndToOthersAreDropped) {
  EXPECT_TRUE(get(1, 9, append(0, 0, 0)).messages.empty());
  node_->receive({NodeId(2), NodeId(3), Term(9), TimeoutNow{}}, now_);
  EXPECT_EQ(node_->term(), Term(1));
}

}  // namespace
}  // namespace raftcs::raft
