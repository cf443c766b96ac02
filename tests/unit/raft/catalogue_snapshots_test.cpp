// Rules of the catalogue: snapshots (SN).
#include "catalogue_fixture.hpp"

namespace raftcs::raft {
namespace {

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
  EXPECT_EQ(e.compact_to, Index(3)) << "a full disk needs the room (PS-13)";
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
  const Entry config = config_entry(2, 2, two);
  get(2, 2, append(1, 1, 0, {config}));
  ASSERT_EQ(node_->membership(), two);
  const SnapshotMeta meta = snapshot_meta(3, 3);
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

// Simulator seed 203524: what was not durable in time was kept until the next snapshot.
TEST_F(Catalogue, SN_09_TheLogIsCutWhenItIsDurable) {
  options_.trailing_entries = 0;
  boot({1});
  get(2, 1, append(1, 1, 3, {entry(2, 1), entry(3, 1)}));
  const SnapshotMeta meta = snapshot_meta(3, 1);
  node_->applied(Index(3));
  node_->snapshot_taken(meta, now_);
  flush();
  EXPECT_LT(status().first, Index(3)) << "the write is under way";
  persist();
  EXPECT_EQ(flush().compact_to, Index(3));
  EXPECT_EQ(status().first, Index(4));
}

// Simulator seed 104144: likewise, what a peer needed behind the snapshot that it was sent.
TEST_F(Catalogue, SN_09_TheLogIsCutWhenAPeerHasWhatFollowsItsSnapshot) {
  options_.trailing_entries = 0;
  boot({1});
  lead();
  get(2, 2, ack(2));
  const auto snapshot = [&](uint64_t index) {
    const SnapshotMeta meta = snapshot_meta(index, 2);
    node_->applied(Index(index));
    node_->snapshot_taken(meta, now_);
    return flush();
  };
  snapshot(2);
  AppendResponse behind;
  behind.rejected = Index(1);
  ASSERT_EQ(get(3, 2, behind).read_chunks.size(), 1u);  // it is sent the snapshot
  node_->propose(Bytes::copy("x"), now_, nullptr, nullptr);
  flush();
  persist();
  get(2, 2, ack(3));
  EXPECT_FALSE(snapshot(3).compact_to);
  node_->snapshot_chunk_read(NodeId(3), Index(2), 0, Bytes::copy("1234"), true, now_);
  flush();
  const Effects e = get(3, 2, SnapshotChunkResponse{Index(2), true, 4});
  ASSERT_TRUE(only<AppendRequest>(e)) << "entry 3 is there still";
  EXPECT_EQ(only<AppendRequest>(e)->prev_index, Index(2));
  EXPECT_EQ(status().first, Index(3));
  EXPECT_EQ(get(3, 2, ack(3)).compact_to, Index(3));
  EXPECT_EQ(status().first, Index(4));
}

// Of the same index, because the file was damaged; a state machine may write other bytes.
TEST_F(Catalogue, SN_08_ASnapshotThatWasWrittenAgainIsSentFromItsBeginning) {
  SnapshotMeta meta = snapshot_meta(2, 2);
  meta.size = 8;
  meta.checksum = 1;
  Effects e = lead_beside_one_that_needs(meta);
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

// A disk that is slow for many peers: to ask again only makes the line longer.
TEST_F(Catalogue, SN_06_OneReadForAPeerIsUnderWay) {
  SnapshotMeta meta = snapshot_meta(2, 2);
  meta.size = 8;
  ASSERT_EQ(lead_beside_one_that_needs(meta).read_chunks.size(), 1u);
  const auto wait = [&] {
    size_t asked = 0;
    for (int i = 0; i < 40; ++i) {
      now_ = now_ + options_.election_timeout_ns / 8;
      get(2, 2, ack(2));
      node_->tick(now_);
      asked += flush().read_chunks.size();
    }
    return asked;
  };
  EXPECT_EQ(wait(), 0u);
  ASSERT_EQ(status().role, Role::leader);
  node_->snapshot_chunk_read(NodeId(3), Index(2), 0, Bytes::copy("1234"), false, now_);
  flush();
  EXPECT_EQ(wait(), 1u) << "the chunk was lost: it is read again, once";
  node_->snapshot_chunk_failed(NodeId(3), Index(2), now_);
  EXPECT_EQ(wait(), 1u);
}

// The leader's next entry is committed with node 2 and is in a snapshot.
class NewerSnapshot : public Catalogue {
 protected:
  // The first bytes of the snapshot before, which has eight.
  bool lead_and_send(const char* bytes, bool last) {
    SnapshotMeta meta = snapshot_meta(2, 2);
    meta.size = 8;
    if (lead_beside_one_that_needs(meta).read_chunks.size() != 1) return false;
    node_->snapshot_chunk_read(NodeId(3), Index(2), 0, Bytes::copy(bytes), last, now_);
    flush();
    return true;
  }
  void take_snapshot_of_entry_3() {
    node_->propose(Bytes::copy("x"), now_, nullptr, nullptr);
    flush();
    persist();
    get(2, 2, ack(3));
    node_->applied(Index(3));
    node_->snapshot_taken(snapshot_meta(3, 2), now_);
    flush();
  }
};

// A lost or late answer costs a try, not the transfer, also when there is a newer snapshot.
TEST_F(NewerSnapshot, SN_06_ALateAnswerDoesNotBeginTheNewestSnapshot) {
  ASSERT_TRUE(lead_and_send("1234", false));
  Effects e = get(3, 2, SnapshotChunkResponse{Index(2), false, 4});
  ASSERT_EQ(e.read_chunks.size(), 1u);
  ASSERT_EQ(e.read_chunks[0].offset, 4u);
  take_snapshot_of_entry_3();
  ASSERT_EQ(status().snapshot, Index(3));
  uint32_t again = 0;
  std::optional<Effects::ReadChunk> newest;
  node_->snapshot_chunk_read(NodeId(3), Index(2), 4, Bytes::copy("5678"), true, now_);
  flush();
  for (int i = 0; i < 400 && !newest; ++i) {
    now_ = now_ + options_.election_timeout_ns / 8;
    get(2, 2, ack(3));
    node_->tick(now_);
    for (const Effects::ReadChunk& read : flush().read_chunks) {
      if (read.index != Index(2)) {
        newest = read;
        break;
      }
      EXPECT_EQ(read.offset, 4u);
      ++again;
      node_->snapshot_chunk_read(NodeId(3), Index(2), 4, Bytes::copy("5678"), true, now_);
      flush();
    }
  }
  EXPECT_GE(again, 10u);
  ASSERT_TRUE(newest) << "a peer that never answers is sent the newest";
  EXPECT_EQ(newest->index, Index(3));
  EXPECT_EQ(newest->offset, 0u);
}

// One that begins again anyway, perhaps because what it got was damaged, begins with the newest.
TEST_F(NewerSnapshot, SN_06_WhoBeginsAgainBeginsWithTheNewestSnapshot) {
  ASSERT_TRUE(lead_and_send("12345678", true));
  take_snapshot_of_entry_3();
  const Effects e = get(3, 2, SnapshotChunkResponse{Index(2), false, 0});
  ASSERT_EQ(e.read_chunks.size(), 1u);
  EXPECT_EQ(e.read_chunks[0].index, Index(3));
}

// Simulator seed 1467208: the peer was silent, the entries behind its snapshot went, and then it
// said that it has it. It was sent the same again until all tries were over.
TEST_F(NewerSnapshot, SN_06_WhoHasAnOldOneIsSentTheNewestWhenNothingElseIsLeft) {
  ASSERT_TRUE(lead_and_send("12345678", true));
  for (int i = 0; i < 16; ++i) {
    now_ = now_ + options_.election_timeout_ns / 8;
    get(2, 2, ack(3));
  }
  take_snapshot_of_entry_3();
  ASSERT_EQ(status().first, Index(4));
  const Effects e = get(3, 2, SnapshotChunkResponse{Index(2), true, 8});
  ASSERT_EQ(e.read_chunks.size(), 1u);
  EXPECT_EQ(e.read_chunks[0].index, Index(3));
  EXPECT_EQ(e.read_chunks[0].offset, 0u);
  // A late answer of the same is no answer to what is sent now.
  EXPECT_TRUE(get(3, 2, SnapshotChunkResponse{Index(2), true, 8}).read_chunks.empty());
  get(3, 2, SnapshotChunkResponse{Index(3), true, 8});
  const NodeStatus s = status();
  const auto peer = std::find_if(s.peers.begin(), s.peers.end(),
                                 [](const PeerProgress& each) { return each.id == NodeId(3); });
  ASSERT_NE(peer, s.peers.end());
  EXPECT_FALSE(peer->snapshotting);
  EXPECT_EQ(peer->match, Index(3));
}

}  // namespace
}  // namespace raftcs::raft
