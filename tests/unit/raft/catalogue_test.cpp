// One node against scripted messages: rules of the catalogue of known Raft bugs, by id.
#include <gtest/gtest.h>

#include "base/check.hpp"
#include "raft/membership.hpp"
#include "raft/node.hpp"

namespace raftcs::raft {
namespace {

constexpr DurationNs kSecond = kNsPerSecond;

Membership three() {
  Membership m;
  for (uint64_t id = 1; id <= 3; ++id) {
    Member member;
    member.id = NodeId(id);
    m.members.push_back(member);
  }
  return m;
}

// Node 1 of {1, 2, 3}, with a driver that persists when told.
class Catalogue : public testing::Test {
 protected:
  Catalogue() { boot({1}); }
  ~Catalogue() override { EXPECT_EQ(check_failures(), checks_before_); }

  // The log: entry k has terms[k - 1]; entry 1 is the configuration.
  void boot(const std::vector<uint64_t>& terms, HardState hard = {}) {
    BootImage image;
    image.hard_state = hard;
    for (size_t i = 0; i < terms.size(); ++i) image.entries.push_back(entry(i + 1, terms[i]));
    if (!terms.empty()) {
      image.entries[0].type = EntryType::config;
      image.entries[0].payload = encode_membership(three());
      image.hard_state.term = std::max(hard.term, Term(terms.back()));
    }
    options_.id = NodeId(1);
    options_.snapshot_chunk_bytes = 4;
    node_.emplace(options_, std::move(image), now_);
    node_->set_invariant_checks(true);
    flush();
  }

  static Entry entry(uint64_t index, uint64_t term, const std::string& text = "") {
    Entry e;
    e.index = Index(index);
    e.term = Term(term);
    e.type = EntryType::ops;
    e.payload = Bytes::copy(text);
    return e;
  }

  Effects flush() {
    effects_ = node_->take_effects(now_);
    if (effects_.write_seq) seq_ = effects_.write_seq;
    return effects_;
  }
  void persist() { node_->persisted(seq_, now_); }
  Effects get(uint64_t from, uint64_t term, MessageBody body) {
    node_->receive({NodeId(from), NodeId(1), Term(term), std::move(body)}, now_);
    return flush();
  }
  Effects tick_election() {
    now_ = node_->next_deadline();
    node_->tick(now_);
    return flush();
  }
  template <class T>
  const T* only(const Effects& e) {
    const T* found = nullptr;
    for (const Outgoing& o : e.messages) {
      if (auto* m = std::get_if<T>(&o.message.body)) {
        EXPECT_EQ(found, nullptr);
        found = m;
      }
    }
    return found;
  }
  static AppendRequest append(uint64_t prev, uint64_t prev_term, uint64_t commit,
                              std::vector<Entry> entries = {}) {
    AppendRequest a;
    a.prev_index = Index(prev);
    a.prev_term = Term(prev_term);
    a.commit = Index(commit);
    a.entries = std::move(entries);
    return a;
  }
  void lead() {
    const uint64_t next = node_->term().value + 1;
    tick_election();
    get(2, next, VoteResponse{true, true, Term(next)});
    persist();
    get(2, next, VoteResponse{false, true, Term(next)});
    ASSERT_EQ(node_->role(), Role::leader);
    persist();
    flush();
  }
  AppendResponse ack(uint64_t match, uint64_t round = 0) {
    AppendResponse r;
    r.success = true;
    r.match = Index(match);
    r.round = round;
    return r;
  }
  NodeStatus status() { return node_->status(); }

  Options options_;
  Mono now_{kSecond};
  std::optional<Node> node_;
  Effects effects_;
  uint64_t seq_ = 0;
  unsigned long checks_before_ = check_failures();
};

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
  SnapshotMeta meta;
  meta.index = Index(3);
  meta.term = Term(2);
  meta.membership = three();
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

TEST_F(Catalogue, SN_01_SnapshotBehindTheCommitIndexIsAcknowledgedOnly) {
  get(2, 2, append(1, 1, 3, {entry(2, 2), entry(3, 2)}));
  persist();
  SnapshotChunk c;
  c.meta.index = Index(2);
  c.meta.term = Term(2);
  const Effects e = get(2, 2, c);
  EXPECT_TRUE(only<SnapshotChunkResponse>(e)->installed);
  EXPECT_TRUE(e.write_chunks.empty());
  EXPECT_EQ(node_->last_index(), Index(3));
}

TEST_F(Catalogue, SN_02_07_08_ChunksResumeRepeatAndReplaceTheWholeLog) {
  boot({1, 2, 2, 2});
  SnapshotChunk c;
  c.meta.index = Index(3);
  c.meta.term = Term(3);
  c.meta.size = 8;
  c.meta.membership = three();
  c.offset = 4;
  Effects e = get(2, 4, c);  // the middle of something unknown: begin at 0
  EXPECT_EQ(only<SnapshotChunkResponse>(e)->next_offset, 0u);
  c.offset = 0;
  e = get(2, 4, c);
  ASSERT_EQ(e.write_chunks.size(), 1u);
  EXPECT_TRUE(get(2, 4, c).write_chunks.empty());  // still being written
  node_->snapshot_chunk_written(NodeId(2), c.meta, 4, false, now_);
  EXPECT_EQ(only<SnapshotChunkResponse>(flush())->next_offset, 4u);
  e = get(2, 4, c);  // again: told where to go on
  EXPECT_TRUE(e.write_chunks.empty());
  EXPECT_EQ(only<SnapshotChunkResponse>(e)->next_offset, 4u);
  c.offset = 4;
  c.last = true;
  e = get(3, 5, c);  // another leader goes on with the same snapshot
  ASSERT_EQ(e.write_chunks.size(), 1u);
  node_->snapshot_chunk_written(NodeId(3), c.meta, 8, true, now_);
  e = flush();
  ASSERT_TRUE(e.reset_log && e.restore);
  EXPECT_FALSE(e.truncate_from);
  EXPECT_TRUE(only<SnapshotChunkResponse>(e)->installed);
  EXPECT_EQ(e.messages[0].after_write, e.write_seq);
  EXPECT_EQ(status().first, Index(4));
  EXPECT_EQ(status().last, Index(3));
  EXPECT_EQ(status().commit, Index(3));
  EXPECT_EQ(node_->term(), Term(5));  // SN-06
}

TEST_F(Catalogue, SN_05_AConfigurationGoesWithTheLogThatHeldIt) {
  Membership two = three();
  two.members.pop_back();
  Entry config = entry(2, 2);
  config.type = EntryType::config;
  config.payload = encode_membership(two);
  get(2, 2, append(1, 1, 0, {config}));
  ASSERT_EQ(node_->membership(), two);
  SnapshotMeta meta;
  meta.index = Index(3);
  meta.term = Term(3);
  meta.membership = three();
  node_->snapshot_chunk_written(NodeId(3), meta, 0, true, now_);
  EXPECT_EQ(node_->membership(), three());
}

TEST_F(Catalogue, SN_09_AChunkThatCannotBeStoredIsAskedForAgain) {
  boot({1, 2, 2, 2});
  SnapshotChunk c;
  c.meta.index = Index(3);
  c.meta.term = Term(3);
  c.meta.size = 8;
  c.meta.membership = three();
  ASSERT_EQ(get(2, 4, c).write_chunks.size(), 1u);
  node_->snapshot_chunk_lost(c.meta, now_);  // the disk was full
  EXPECT_TRUE(flush().messages.empty());     // the sender's pause paces the next try
  EXPECT_EQ(get(2, 4, c).write_chunks.size(), 1u);
}

// Of the same index, because the file was damaged; a state machine may write other bytes.
TEST_F(Catalogue, SN_08_ASnapshotThatWasWrittenAgainIsSentFromItsBeginning) {
  options_.trailing_entries = 0;
  boot({1});
  lead();
  get(2, 2, ack(2));
  SnapshotMeta meta;
  meta.index = Index(2);
  meta.term = Term(2);
  meta.size = 8;
  meta.checksum = 1;
  meta.membership = three();
  node_->applied(Index(2));
  node_->snapshot_taken(meta, now_);
  AppendResponse behind;
  behind.rejected = Index(1);
  Effects e = get(3, 2, behind);
  ASSERT_EQ(e.read_chunks.size(), 1u);
  node_->snapshot_chunk_read(NodeId(3), Index(2), 0, Bytes::copy("1234"), false, now_);
  e = flush();
  ASSERT_TRUE(only<SnapshotChunk>(e));
  EXPECT_EQ(only<SnapshotChunk>(e)->meta, meta);
  e = get(3, 2, SnapshotChunkResponse{Index(2), false, 4});
  ASSERT_EQ(e.read_chunks.size(), 1u);
  EXPECT_EQ(e.read_chunks[0].offset, 4u);

  meta.checksum = 2;
  node_->snapshot_taken(meta, now_);
  e = flush();
  ASSERT_EQ(e.read_chunks.size(), 1u);
  EXPECT_EQ(e.read_chunks[0].offset, 0u);
  node_->snapshot_chunk_read(NodeId(3), Index(2), 4, Bytes::copy("5678"), true, now_);
  EXPECT_TRUE(flush().messages.empty()) << "read from the file before";
  node_->snapshot_chunk_read(NodeId(3), Index(2), 0, Bytes::copy("abcd"), false, now_);
  e = flush();
  ASSERT_TRUE(only<SnapshotChunk>(e));
  EXPECT_EQ(only<SnapshotChunk>(e)->meta, meta);
  node_->snapshot_taken(meta, now_);
  EXPECT_TRUE(flush().read_chunks.empty()) << "the very same";
}

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
  Entry config = entry(2, 2);
  config.type = EntryType::config;
  config.payload = encode_membership(two);
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
TEST_F(Catalogue, PriorityOrdersElectionsAndNeverPreventsOne) {
  Membership m = three();
  m.members[1].priority = 120;
  m.members[2].priority = 110;
  Entry config = entry(2, 2);
  config.type = EntryType::config;
  config.payload = encode_membership(m);
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
