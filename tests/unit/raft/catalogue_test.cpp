// Rules of the catalogue: elections, replication, commit.
#include "catalogue_fixture.hpp"

namespace raftcs::raft {
namespace {

TEST_F(Catalogue, EL_01_GrantWaitsForItsWrite) {
  const Effects e = get(2, 2, VoteRequest{false, false, Index(1), Term(1)});
  ASSERT_TRUE(e.hard_state);
  EXPECT_EQ(*e.hard_state, (HardState{Term(2), NodeId(2)}));
  ASSERT_EQ(e.messages.size(), 1u);
  EXPECT_EQ(e.messages[0].after_write, e.write_seq);
}

TEST_F(Catalogue, EL_02_AsksAndCountsItselfOnlyWhenItsVoteIsDurable) {
  tick_election();
  const Effects e = get(2, 2, VoteResponse{true, true, Term(2)});
  EXPECT_EQ(node_->role(), Role::candidate);
  for (const Outgoing& o : e.messages) EXPECT_EQ(o.after_write, e.write_seq);
  get(2, 2, VoteResponse{false, true, Term(2)});
  EXPECT_EQ(node_->role(), Role::candidate) << "one durable vote is no majority of three";
  persist();
  EXPECT_EQ(node_->role(), Role::leader);
}

TEST_F(Catalogue, EL_03_AppendOfTheSameTermKeepsTheVote) {
  get(2, 2, VoteRequest{false, false, Index(1), Term(1)});
  get(2, 2, append(7, 2, 0));
  EXPECT_EQ(status().vote, NodeId(2));
  now_ = now_ + 10 * kSecond;
  const Effects e = get(3, 2, VoteRequest{false, false, Index(9), Term(2)});
  ASSERT_TRUE(only<VoteResponse>(e));
  EXPECT_FALSE(only<VoteResponse>(e)->granted);
}

TEST_F(Catalogue, EL_05_06_GrantsOfOtherTermsAndPhasesAreVoid) {
  tick_election();
  get(2, 2, VoteResponse{true, true, Term(2)});
  persist();
  flush();
  get(3, 2, VoteResponse{true, true, Term(2)});  // a pre-vote, late
  EXPECT_EQ(node_->role(), Role::candidate);
  tick_election();
  get(2, 3, VoteResponse{true, true, Term(3)});
  persist();
  get(2, 2, VoteResponse{false, true, Term(2)});  // of the election before
  EXPECT_EQ(node_->role(), Role::candidate);
  EXPECT_EQ(node_->term(), Term(3));
}

TEST_F(Catalogue, EL_07_08_PreVoteEchoesTheTermAndChangesNothing) {
  now_ = now_ + 10 * kSecond;
  get(3, 1, VoteResponse{});
  const uint64_t before = node_->hash64();
  const Mono deadline = node_->next_deadline();
  Effects e = get(2, 9, VoteRequest{true, false, Index(1), Term(1)});
  EXPECT_TRUE(only<VoteResponse>(e)->granted);
  EXPECT_EQ(e.messages[0].message.term, Term(9));
  EXPECT_EQ(e.messages[0].after_write, 0u);
  e = get(2, 9, VoteRequest{true, false, Index(0), Term(0)});
  EXPECT_FALSE(only<VoteResponse>(e)->granted);
  EXPECT_EQ(e.messages[0].message.term, Term(1));
  EXPECT_EQ(node_->hash64(), before);
  EXPECT_EQ(node_->next_deadline(), deadline);
}

TEST_F(Catalogue, EL_09_StickinessSparesTheLeaderItselfAndTransfers) {
  get(2, 2, append(1, 1, 0));
  EXPECT_FALSE(only<VoteResponse>(get(3, 3, VoteRequest{true, false, Index(9), Term(2)}))->granted);
  EXPECT_TRUE(get(3, 3, VoteRequest{false, false, Index(9), Term(2)}).messages.empty());
  EXPECT_EQ(node_->term(), Term(2));
  EXPECT_TRUE(only<VoteResponse>(get(2, 3, VoteRequest{true, false, Index(9), Term(2)}))->granted);
  EXPECT_TRUE(only<VoteResponse>(get(3, 3, VoteRequest{false, true, Index(9), Term(2)}))->granted);
}

TEST_F(Catalogue, EL_10_LogsAreComparedByTermThenLength) {
  for (uint64_t term = 1; term <= 4; ++term) {
    for (uint64_t index = 1; index <= 5; ++index) {
      boot({1, 2, 3});
      const Effects e = get(2, 9, VoteRequest{false, false, Index(index), Term(term)});
      EXPECT_EQ(only<VoteResponse>(e)->granted, term > 3 || (term == 3 && index >= 3));
    }
  }
}

TEST_F(Catalogue, EL_12_DoesNotCampaignOnATailThatIsNotDurable) {
  get(2, 2, append(1, 1, 0, {entry(2, 2)}));
  EXPECT_TRUE(tick_election().messages.empty());
  EXPECT_EQ(node_->role(), Role::follower);
  persist();
  EXPECT_FALSE(tick_election().messages.empty());
  EXPECT_EQ(node_->role(), Role::pre_candidate);
}

TEST_F(Catalogue, EL_13_TheTargetOfATransferReceivesItsSnapshotFirst) {
  SnapshotChunk c;
  c.meta.index = Index(3);
  c.meta.term = Term(2);
  c.meta.size = 8;
  ASSERT_EQ(get(2, 2, c).write_chunks.size(), 1u);
  EXPECT_TRUE(get(2, 2, TimeoutNow{}).messages.empty());
  EXPECT_EQ(node_->role(), Role::follower);
}

TEST_F(Catalogue, EL_14_SeeingATermIsNoVoteInIt) {
  boot({1, 2, 2});
  const Effects e = get(2, 9, VoteRequest{false, false, Index(1), Term(1)});
  EXPECT_EQ(node_->term(), Term(9));
  EXPECT_FALSE(only<VoteResponse>(e)->granted);
  EXPECT_EQ(status().vote, NodeId(0));
  EXPECT_TRUE(only<VoteResponse>(get(3, 9, VoteRequest{false, false, Index(3), Term(2)}))->granted);
}

// Simulator seed 200: the answer to a part of a snapshot was the one that did not wait.
TEST_F(Catalogue, EL_14_NoAnswerTellsATermThatIsNotDurable) {
  get(3, 5, VoteRequest{false, false, Index(), Term()});
  const uint64_t term_write = effects_.write_seq;
  ASSERT_GT(term_write, 0u);
  SnapshotChunk chunk;
  chunk.meta.index = Index(9);
  chunk.meta.term = Term(1);
  for (const MessageBody& body : {MessageBody(append(1, 1, 1)), MessageBody(chunk),
                                  MessageBody(VoteRequest{false, false, Index(9), Term(1)}),
                                  MessageBody(VoteRequest{true, false, Index(9), Term(1)})}) {
    const Effects e = get(2, 1, body);
    ASSERT_EQ(e.messages.size(), 1u) << body.index();
    EXPECT_EQ(e.messages[0].message.term, Term(5));
    EXPECT_EQ(e.messages[0].after_write, term_write) << body.index();
  }
}

TEST_F(Catalogue, EL_15_HigherTermEndsEveryRole) {
  lead();
  get(3, 50, AppendResponse{});
  EXPECT_EQ(node_->role(), Role::follower);
  EXPECT_EQ(node_->term(), Term(50));
  EXPECT_EQ(status().vote, NodeId(0));
}

TEST_F(Catalogue, EL_16_TheSameCandidateIsAnsweredTheSameAgain) {
  get(2, 2, VoteRequest{false, false, Index(1), Term(1)});
  persist();
  const Effects e = get(2, 2, VoteRequest{false, false, Index(1), Term(1)});
  EXPECT_TRUE(only<VoteResponse>(e)->granted);
  EXPECT_EQ(e.write_seq, 0u);
}

TEST_F(Catalogue, EL_17_ANodeWithoutConfigurationVotesButDoesNotCampaign) {
  boot({});
  EXPECT_TRUE(only<VoteResponse>(get(2, 2, VoteRequest{false, false, Index(1), Term(1)}))->granted);
  EXPECT_TRUE(tick_election().messages.empty());
  EXPECT_EQ(node_->role(), Role::follower);
}

TEST_F(Catalogue, EL_18_LeadingAgainTakesAnotherTerm) {
  lead();
  EXPECT_EQ(node_->term(), Term(2));
  node_->step_down(now_);
  tick_election();
  const Effects e = get(2, 3, VoteResponse{true, true, Term(3)});
  EXPECT_EQ(node_->term(), Term(3));
  ASSERT_TRUE(e.hard_state);
  EXPECT_EQ(*e.hard_state, (HardState{Term(3), NodeId(1)}));
}

TEST_F(Catalogue, LR_01_AnOlderShorterAppendRemovesNothing) {
  get(2, 2, append(1, 1, 0, {entry(2, 2), entry(3, 2), entry(4, 2), entry(5, 2)}));
  const Effects e = get(2, 2, append(1, 1, 0, {entry(2, 2)}));
  EXPECT_FALSE(e.truncate_from);
  EXPECT_EQ(node_->last_index(), Index(5));
}

TEST_F(Catalogue, LR_02_AckIsOfTheRequestNotOfTheOwnTail) {
  boot({1, 2, 2, 2});
  const Effects e = get(2, 3, append(1, 1, 0));
  EXPECT_TRUE(only<AppendResponse>(e)->success);
  EXPECT_EQ(only<AppendResponse>(e)->match, Index(1));
}

TEST_F(Catalogue, LR_03_AnswersOfAnOlderTermAreVoid) {
  lead();
  get(2, 2, ack(2));
  node_->step_down(now_);
  get(3, 2, append(2, 2, 0));
  tick_election();
  get(2, 3, VoteResponse{true, true, Term(3)});
  persist();
  get(2, 3, VoteResponse{false, true, Term(3)});
  ASSERT_EQ(node_->role(), Role::leader);
  persist();
  get(2, 2, ack(3));  // of the leadership before; another entry was meant
  EXPECT_EQ(node_->commit_index(), Index(2));
  get(2, 3, ack(3));
  EXPECT_EQ(node_->commit_index(), Index(3));
}

TEST_F(Catalogue, PS_01_AckWaitsForItsWrite) {
  const Effects e = get(2, 2, append(1, 1, 0, {entry(2, 2)}));
  ASSERT_EQ(e.messages.size(), 1u);
  EXPECT_EQ(e.messages[0].after_write, e.write_seq);
}

TEST_F(Catalogue, LR_07_WhatIsCommittedMatchesByDefinition) {
  options_.trailing_entries = 0;
  boot({1});
  get(2, 2, append(1, 1, 3, {entry(2, 2), entry(3, 2)}));
  persist();
  EXPECT_EQ(node_->commit_index(), Index(3));
  const SnapshotMeta meta = snapshot_meta(3, 2);
  node_->applied(Index(3));
  node_->snapshot_taken(meta, now_);
  ASSERT_EQ(status().first, Index(4)) << "prev must be one that is compacted";
  const Effects e = get(2, 2, append(1, 1, 0, {entry(2, 2), entry(3, 2), entry(4, 2)}));
  EXPECT_TRUE(only<AppendResponse>(e)->success);
  EXPECT_EQ(node_->last_index(), Index(4));
  EXPECT_EQ(node_->commit_index(), Index(3));  // CM-04
}

TEST_F(Catalogue, LR_08_ManyDivergentTermsTakeOneRoundPerTerm) {
  std::vector<uint64_t> terms = {1};
  for (uint64_t t = 2; t <= 21; ++t) terms.insert(terms.end(), 10, t * 2);
  boot(terms);
  lead();
  // The peer's log has the same first entry and then 20 other terms of 10 entries each.
  std::vector<uint64_t> theirs = {1};
  for (uint64_t t = 2; t <= 21; ++t) theirs.insert(theirs.end(), 10, t * 2 - 1);
  Index asked(terms.size());
  Term asked_term(terms.back());
  int rounds = 0;
  for (; rounds < 60; ++rounds) {
    const uint64_t prev = asked.value;
    const bool has = prev <= theirs.size() && theirs[prev - 1] == asked_term.value;
    if (has) break;
    AppendResponse r;
    r.rejected = asked;
    uint64_t hint = std::min<uint64_t>(prev, theirs.size());
    while (hint > 1 && theirs[hint - 1] > asked_term.value) --hint;
    r.hint_index = Index(hint);
    r.hint_term = Term(theirs[hint - 1]);
    const Effects e = get(3, node_->term().value, r);
    const auto* a = only<AppendRequest>(e);
    ASSERT_TRUE(a);
    ASSERT_LT(a->prev_index, asked);
    asked = a->prev_index;
    asked_term = a->prev_term;
  }
  EXPECT_EQ(asked, Index(1));
  EXPECT_LE(rounds, 41);
}

TEST_F(Catalogue, LR_09_AHoleIsDropped) {
  EXPECT_TRUE(get(2, 2, append(1, 1, 0, {entry(3, 2)})).messages.empty());
  EXPECT_TRUE(get(2, 2, append(1, 1, 0, {entry(2, 2), entry(3, 1)})).messages.empty());
  EXPECT_EQ(node_->last_index(), Index(1));
}

TEST_F(Catalogue, LR_11_CompletionOfAnOverwrittenAppendProvesNothing) {
  get(2, 2, append(1, 1, 0, {entry(2, 2), entry(3, 2)}));
  const uint64_t first = seq_;
  Effects e = get(3, 3, append(1, 1, 0, {entry(2, 3), entry(3, 3)}));
  EXPECT_EQ(e.truncate_from, Index(2));
  EXPECT_EQ(e.messages[0].after_write, e.write_seq);
  node_->persisted(first, now_);
  EXPECT_EQ(status().durable, Index(1));
  persist();
  EXPECT_EQ(status().durable, Index(3));
}

TEST_F(Catalogue, LR_12_AFullWindowIsOpenedByAHeartbeatAnswer) {
  options_.inflight_appends_max = 3;
  boot({1});
  lead();
  get(2, 2, ack(2));
  for (int i = 0; i < 10; ++i) {
    node_->propose(Bytes::copy("x"), now_, nullptr, nullptr);
    flush();
  }
  persist();
  EXPECT_EQ(status().peers[0].inflight, 3u);
  now_ = node_->next_deadline();
  node_->tick(now_);
  const Effects beat = flush();  // everything before it was lost
  AppendResponse r;
  r.rejected = std::get<AppendRequest>(beat.messages[0].message.body).prev_index;
  r.hint_index = Index(2);
  r.hint_term = Term(2);
  const auto e = get(2, 2, r);
  ASSERT_TRUE(only<AppendRequest>(e));
  EXPECT_EQ(only<AppendRequest>(e)->prev_index, Index(2));
  get(2, 2, ack(12));
  EXPECT_EQ(status().peers[0].match, Index(12));
  EXPECT_EQ(node_->commit_index(), Index(12));
}

TEST_F(Catalogue, LR_13_ProposalsWithoutAQuorumAreBounded) {
  options_.uncommitted_bytes_max = 100;
  boot({1});
  lead();
  get(2, 2, ack(2));
  int taken = 0;
  for (int i = 0; i < 1000; ++i)
    taken += node_->propose(Bytes::copy("0123456789"), now_, nullptr, nullptr) == Refusal::none;
  EXPECT_EQ(taken, 10);
  flush();
  get(2, 2, ack(12));
  persist();
  EXPECT_EQ(node_->propose(Bytes::copy(std::string(500, 'x')), now_, nullptr, nullptr),
            Refusal::none);
}

TEST_F(Catalogue, CM_03_CommitIsBoundedByWhatTheMessageVerified) {
  boot({1, 2, 2, 2});
  get(2, 3, append(1, 1, 4));
  EXPECT_EQ(node_->commit_index(), Index(1));
}

TEST_F(Catalogue, CM_05_TheOwnCopyCountsWhenDurable) {
  tick_election();
  get(2, 2, VoteResponse{true, true, Term(2)});
  persist();
  get(2, 2, VoteResponse{false, true, Term(2)});
  ASSERT_EQ(node_->role(), Role::leader);
  get(2, 2, ack(2));
  EXPECT_EQ(node_->commit_index(), Index(0));
  persist();
  EXPECT_EQ(node_->commit_index(), Index(2));
}

}  // namespace
}  // namespace raftcs::raft
