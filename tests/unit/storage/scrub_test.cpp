// scrub_test.cpp: reading again finds every damage of what is durable, and nothing else.
#include <algorithm>

#include "sim_disk_fixture.hpp"
#include "storage/inspect.hpp"
#include "storage/record.hpp"

namespace raftcs::storage {
namespace {

using sim::Call;
using sim::SimDisk;

class ScrubTest : public OnSimDisk {
 protected:
  void write(uint64_t first, uint64_t count, size_t bytes = 900) {
    for (uint64_t i = first; i < first + count; ++i)
      ASSERT_OK(dir_->write(append_batch(i, 1, 1, bytes)));
  }
  void publish(uint64_t index, const std::string& body) {
    auto writer = dir_->begin_snapshot(make_meta(index, 1));
    ASSERT_OK(writer);
    ASSERT_OK((*writer)->write(body.data(), body.size()));
    ASSERT_OK((*writer)->publish());
  }
  std::string path(uint64_t segment) const { return join_path(kPath, segment_name(segment)); }

  // One target to its end.
  std::optional<ScrubFinding> read(const ScrubTarget& target, uint64_t slice_bytes = 4096) {
    for (int slices = 0; slices < 100'000; ++slices) {
      ScrubSlice slice = dir_->scrub(target, slice_bytes);
      EXPECT_LE(slice.bytes, slice_bytes);
      if (slice.done) return slice.found;
    }
    ADD_FAILURE() << "no end of segment " << target.segment;
    return std::nullopt;
  }
  std::vector<ScrubFinding> pass(uint64_t slice_bytes = 4096) {
    std::vector<ScrubFinding> all;
    for (const ScrubTarget& target : dir_->segments())
      if (auto found = read(target, slice_bytes)) all.push_back(*found);
    if (auto found = read(ScrubTarget(), slice_bytes)) all.push_back(*found);
    return all;
  }
};

TEST_F(ScrubTest, WholeFilesAreFoundWholeInSlicesOfAnySize) {
  write(1, 60);
  publish(20, std::string(100'000, 's'));
  WriteBatch cut = append_batch(50, 3, 2, 5000);
  cut.truncate_from = Index(50);
  ASSERT_OK(dir_->write(cut));
  ASSERT_GT(dir_->segments().size(), 3u);
  for (const uint64_t bytes : {1u << 20, 4096u, 511u, 48u, 7u})
    EXPECT_TRUE(pass(bytes).empty()) << bytes;
  open();
  EXPECT_TRUE(pass().empty()) << "after another opening";
}

// A write that a crash has torn, and that the next opening cut, is no damage: whatever it left.
TEST_F(ScrubTest, WhatACutLeftBehindIsNoDamage) {
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    const uint64_t next = image_.entries.empty() ? 1 : image_.entries.back().index.value + 1;
    write(next, 1, 300);
    disk_.power_off_after(1);  // the write is done, its sync is not
    WriteBatch batch = append_batch(next + 1, 6, 1, 700);
    EXPECT_FALSE(dir_->write(batch).is_ok());
    dir_.reset();
    Prng prng(seed);
    disk_.crash(prng);
    open();
    ASSERT_TRUE(pass(777).empty()) << "seed " << seed << ": " << pass(777)[0].text;
  }
}

// Every byte that verifying calls damage is found, at the same place; no byte of slack is.
TEST_F(ScrubTest, PS_06_EveryDamagedByteIsFoundWhereOpeningWouldFindIt) {
  write(1, 40, 300);
  const std::vector<ScrubTarget> segments = dir_->segments();
  ASSERT_GE(segments.size(), 2u);
  const ScrubTarget& closed = segments.front();
  size_t damages = 0;
  for (uint64_t at = 0; at < closed.end; ++at) {
    ASSERT_TRUE(disk_.flip(path(closed.segment), at, 0x04));
    const auto found = read(closed, 1 << 20);
    auto verified = verify_directory(disk_, kPath);
    ASSERT_OK(verified);
    const auto worst =
        std::find_if(verified->begin(), verified->end(), [](const Finding& f) { return f.damage; });
    const bool damaged = worst != verified->end();
    ASSERT_EQ(found.has_value(), damaged) << "offset " << at;
    if (found) {
      ++damages;
      const std::string place =
          path(closed.segment) + " at offset " + std::to_string(found->offset) + ":";
      if (found->offset != 0) {
        EXPECT_NE(worst->text.find(place), std::string::npos) << worst->text;
      }
      EXPECT_LE(found->offset, at);
      EXPECT_EQ(found->segment, closed.segment);
      EXPECT_NE(found->text.find(place), std::string::npos) << found->text;
    }
    if (at % 97 == 0 && found && found->offset != 0) {  // the words of opening
      auto opened = DataDir::open(*disk_.clone(), kPath, options_, nullptr);
      ASSERT_FALSE(opened.is_ok());
      const std::string good = "(the last good entry is " + to_string(found->last_good) + ")";
      EXPECT_NE(opened.status().text().find(good), std::string::npos) << opened.status().text();
      EXPECT_NE(found->text.find(good), std::string::npos) << found->text;
    }
    ASSERT_TRUE(disk_.flip(path(closed.segment), at, 0x04));
  }
  EXPECT_GT(damages, 10'000u);
}

// Nobody could tell it from a torn write at a start: here the end is known.
TEST_F(ScrubTest, TheLastRecordOfTheOpenSegmentIsReadToo) {
  write(1, 5);
  const ScrubTarget open_segment = dir_->segments().back();
  EXPECT_TRUE(open_segment.open);
  ASSERT_TRUE(disk_.flip(path(open_segment.segment), open_segment.end - 100, 1));
  const auto found = read(open_segment);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->last_good, Index(4));
}

TEST_F(ScrubTest, WhatIsWrittenBehindTheEndMeanwhileIsNotJudged) {
  write(1, 8);
  const ScrubTarget target = dir_->segments().back();
  ScrubSlice slice = dir_->scrub(target, 600);
  for (uint64_t i = 9; !slice.done; ++i) {
    write(i, 1);
    EXPECT_FALSE(slice.found);
    slice = dir_->scrub(target, 600);
  }
  EXPECT_FALSE(slice.found) << slice.found->text;
}

// Its file holds other things then; its number says that nobody needs it.
TEST_F(ScrubTest, ASegmentThatIsRecycledWhileItIsReadIsToldByItsNumber) {
  write(1, 60);
  const ScrubTarget target = dir_->segments().front();
  ASSERT_FALSE(dir_->scrub(target, 2000).done);
  publish(60, "all");
  ASSERT_OK(dir_->compact(Index(60)));
  write(61, 60);
  EXPECT_GT(dir_->first_segment(), target.segment);
  while (true) {
    const ScrubSlice slice = dir_->scrub(target, 2000);
    if (slice.found) {
      EXPECT_LT(slice.found->segment, dir_->first_segment());
    }
    if (slice.done) break;
  }
  EXPECT_TRUE(pass().empty());
}

TEST_F(ScrubTest, SN_12_ADamagedSnapshotIsFoundByAnyByte) {
  write(1, 10);
  publish(10, std::string(3000, 'b'));
  const std::string file = join_path(kPath, "snapshot-000000000000000a");
  const size_t size = disk_.contents(file)->size();
  for (uint64_t at = 0; at < size; ++at) {
    ASSERT_TRUE(disk_.flip(file, at, 0x20));
    const auto found = read(ScrubTarget(), 500);
    ASSERT_TRUE(found) << at;
    EXPECT_EQ(found->snapshot, Index(10));
    EXPECT_NE(found->text.find(file), std::string::npos);
    ASSERT_TRUE(disk_.flip(file, at, 0x20));
  }
  EXPECT_FALSE(read(ScrubTarget(), 500));
}

TEST_F(ScrubTest, ASnapshotThatIsReplacedWhileItIsReadIsReadFromItsBeginning) {
  write(1, 30);
  publish(10, std::string(5000, 'x'));
  ASSERT_FALSE(dir_->scrub({}, 1000).done);
  publish(20, std::string(7000, 'y'));
  EXPECT_FALSE(read(ScrubTarget(), 1000));
  // Of the same index, as mending makes it: the file behind the old handle is damaged for good.
  ASSERT_FALSE(dir_->scrub({}, 1000).done);
  ASSERT_TRUE(disk_.flip(join_path(kPath, "snapshot-0000000000000014"), 6000, 1));
  publish(20, std::string(7000, 'y'));
  EXPECT_FALSE(read(ScrubTarget(), 1000));
}

// A peer that does not answer is sent the newest again and again; the one that does gets what was
// begun.
TEST_F(ScrubTest, SN_06_ATransferIsNotEndedByAnotherOne) {
  write(1, 60);
  const std::string body(5000, 'y');
  publish(10, body);
  std::string sent;
  for (uint64_t newest = 20; sent.size() < body.size(); newest += 10) {
    auto chunk = dir_->read_snapshot_chunk(Index(10), sent.size(), 1500);
    ASSERT_OK(chunk);
    sent.append(reinterpret_cast<const char*>(chunk->data.data()), chunk->data.size());
    publish(newest, "newest");
    for (int peer = 0; peer < 2; ++peer)
      ASSERT_OK(dir_->read_snapshot_chunk(Index(newest), 0, 1500));
  }
  EXPECT_EQ(sent, body);
  EXPECT_EQ(dir_->read_snapshot_chunk(Index(15), 0, 10).status().code(), RAFTCS_ERR_NOT_FOUND);
}

// Nobody says that a transfer is over: its file would keep its space for the life of the process.
TEST_F(ScrubTest, AFileThatIsSentNoMoreIsClosed) {
  write(1, 60);
  publish(10, "sent and forgotten");
  publish(11, "sent slowly");
  ASSERT_EQ(dir_->read_snapshot_chunk(Index(10), 0, 5).status().code(), RAFTCS_ERR_NOT_FOUND);
  ASSERT_OK(dir_->read_snapshot_chunk(Index(11), 0, 5));
  publish(12, "sent and forgotten");
  ASSERT_OK(dir_->read_snapshot_chunk(Index(12), 0, 5));
  for (uint64_t newest = 13; newest < 50; ++newest) {
    publish(newest, "newest");
    ASSERT_OK(dir_->read_snapshot_chunk(Index(11), 0, 5));
  }
  EXPECT_EQ(dir_->read_snapshot_chunk(Index(12), 0, 5).status().code(), RAFTCS_ERR_NOT_FOUND);
}

// A leader went on sending the file that mending had replaced: the receiver refused it for ever.
TEST_F(ScrubTest, SN_12_AMendedSnapshotIsTheOneThatIsSent) {
  write(1, 30);
  const std::string body(5000, 'y');
  publish(20, body);
  const auto send = [&] {
    std::string sent;
    for (bool last = false; !last;) {
      auto chunk = dir_->read_snapshot_chunk(Index(20), sent.size(), 700);
      if (!chunk) return chunk.status().text();
      sent.append(reinterpret_cast<const char*>(chunk->data.data()), chunk->data.size());
      last = chunk->last;
    }
    return sent;
  };
  ASSERT_EQ(send(), body);
  ASSERT_TRUE(disk_.flip(join_path(kPath, "snapshot-0000000000000014"), 3000, 1));
  publish(20, body);
  EXPECT_EQ(send(), body);
  // A read that fails is tried with a new handle.
  disk_.fail_nth(Call::read, 1);
  EXPECT_NE(send(), body);
  EXPECT_EQ(send(), body);
}

TEST_F(ScrubTest, AFailedReadIsAFindingAndNoSuccess) {
  write(1, 60);
  publish(10, std::string(5000, 'x'));
  for (const ScrubTarget& target : {dir_->segments().front(), ScrubTarget()}) {
    ASSERT_FALSE(dir_->scrub(target, 1000).done);
    disk_.fail_nth(Call::read, 1);
    const ScrubSlice slice = dir_->scrub(target, 1000);
    ASSERT_TRUE(slice.found);
    EXPECT_NE(slice.found->text.find("input/output error"), std::string::npos);
  }
  EXPECT_TRUE(pass().empty()) << "it was the moment, not the disk";
}

TEST_F(ScrubTest, StoppedStorageFindsNothingMore) {
  write(1, 5);
  disk_.fail_nth(Call::sync, 1);
  ASSERT_FALSE(dir_->write(append_batch(6, 1, 1, 100)).is_ok());
  EXPECT_TRUE(pass().empty());
}

// --- a damaged segment goes ------------------------------------------------------------------

TEST_F(ScrubTest, ADamagedSegmentIsLeftAndRemovedNotRecycled) {
  write(1, 8);
  const uint64_t bad = dir_->segments().back().segment;
  ASSERT_TRUE(disk_.flip(path(bad), 1500, 1));
  ASSERT_OK(dir_->leave_segment(bad));
  EXPECT_GT(dir_->segments().back().segment, bad);
  write(9, 4);
  publish(8, "the first eight");
  disk_.fail_nth(Call::remove, 1, RAFTCS_ERR_NO_SPACE);
  ASSERT_OK(dir_->compact(Index(8)));
  EXPECT_EQ(dir_->first_segment(), bad) << "it did not go, and is damaged still";
  const uint64_t recycled = disk_.calls(Call::rename);
  ASSERT_OK(dir_->compact(Index(8)));
  EXPECT_EQ(disk_.calls(Call::rename), recycled);
  EXPECT_GT(dir_->first_segment(), bad);
  EXPECT_FALSE(disk_.contents(path(bad)));
  EXPECT_TRUE(pass().empty());
  open();
  ASSERT_EQ(image_.entries.size(), 4u);
  EXPECT_EQ(image_.entries.front().index, Index(9));
  EXPECT_EQ(image_.hard_state, (raft::HardState{Term(1), NodeId(1)}));
  for (uint64_t segment : {bad, bad + 1}) ASSERT_OK(dir_->leave_segment(segment));
}

TEST_F(ScrubTest, NothingIsCutThatNoSnapshotCovers) {
  write(1, 8);
  const uint64_t bad = dir_->segments().back().segment;
  ASSERT_OK(dir_->leave_segment(bad));
  publish(7, "one too few");
  ASSERT_OK(dir_->compact(Index(100)));
  EXPECT_EQ(dir_->first_segment(), bad);
}

TEST_F(ScrubTest, LeavingIsAtomicOverCrashes) {
  for (uint64_t changes = 0; changes < 12; ++changes)
    for (uint64_t seed = 1; seed <= 20; ++seed) {
      const uint64_t next = image_.entries.empty() ? 1 : image_.entries.back().index.value + 1;
      write(next, 2, 100);
      disk_.power_off_after(changes);
      (void)dir_->leave_segment(dir_->segments().back().segment).is_ok();
      dir_.reset();
      Prng prng(seed);
      disk_.crash(prng);
      open();
      ASSERT_EQ(image_.entries.back().index, Index(next + 1)) << changes << " " << seed;
      ASSERT_TRUE(pass().empty());
    }
}

TEST_F(ScrubTest, LeavingWithAFullDiskDoesNothing) {
  write(1, 3);
  while (dir_->prepare_ahead()) {
  }
  write(4, 16);  // the prepared one is used
  const uint64_t bad = dir_->segments().back().segment;
  disk_.set_capacity(disk_.used_bytes());
  EXPECT_EQ(dir_->leave_segment(bad).code(), RAFTCS_ERR_NO_SPACE);
  EXPECT_EQ(dir_->segments().back().segment, bad);
  disk_.set_capacity(std::nullopt);
  EXPECT_TRUE(dir_->leave_segment(bad).is_ok());
}

}  // namespace
}  // namespace raftcs::storage
