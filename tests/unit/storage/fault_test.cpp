// fault_test.cpp: failing calls, full disks, flipped bytes; and the tools that look.
#include <cstdio>

#include "storage/inspect.hpp"
#include "sim_disk_fixture.hpp"

namespace raftcs::storage {
namespace {

using sim::Call;
using sim::SimDisk;

class FaultTest : public OnSimDisk {
 protected:
  void write(uint64_t index, size_t bytes = 300) {
    ASSERT_OK(dir_->write(append_batch(index, 1, 1, bytes)));
  }
};

TEST_F(FaultTest, FirstErrorIsFinal) {  // PS-02, PS-03
  for (const Call call : {Call::write, Call::sync}) {
    write(image_.entries.size() + 1);
    const uint64_t next = image_.entries.size() + 2;
    disk_.fail_nth(call, 1);
    EXPECT_EQ(dir_->write(append_batch(next, 1, 1, 10)).code(), RAFTCS_ERR_IO);
    const uint64_t before = disk_.changes();
    EXPECT_EQ(dir_->write(append_batch(next, 1, 1, 10)).code(), RAFTCS_ERR_IO);
    EXPECT_EQ(dir_->compact(Index(1)).code(), RAFTCS_ERR_IO);
    EXPECT_FALSE(dir_->begin_snapshot(make_meta(1, 1)));
    EXPECT_FALSE(dir_->prepare_ahead());
    dir_.reset();
    EXPECT_EQ(disk_.changes(), before) << "something reached the disk after the error";
    open();
    EXPECT_EQ(image_.entries.size(), next - 1);  // what a failed sync lost is not believed
    dir_.reset();
    disk_.crash({});
    open();
    EXPECT_EQ(image_.entries.size(), next - 1);
  }
}

TEST_F(FaultTest, EveryCallMayFailOnce) {
  uint64_t failures = 0;
  for (const Call call :
       {Call::open, Call::read, Call::write, Call::sync, Call::rename, Call::remove,
        Call::sync_directory, Call::list, Call::size, Call::drop_cache, Call::lock}) {
    for (uint64_t nth = 1; nth <= 40; ++nth) {
      SimDisk disk;
      ASSERT_OK(DataDir::create(disk, kPath, make_identity()));
      uint64_t durable = 0;
      {
        disk.fail_nth(call, nth);
        auto dir = DataDir::open(disk, kPath, options_, nullptr);
        for (uint64_t i = 1; dir && i <= 12; ++i) {
          if (!(*dir)->write(append_batch(i, 1, 1, 3000)).is_ok()) break;
          durable = i;
          if (i % 5 != 0) continue;
          auto writer = (*dir)->begin_snapshot(make_meta(i, 1));
          if (writer && (*writer)->write("s", 1).is_ok()) (void)(*writer)->publish().is_ok();
          (void)(*dir)->compact(Index(i)).is_ok();
        }
        failures += durable != 12 ? 1 : 0;
      }
      disk.crash({});
      auto dir = DataDir::open(disk, kPath, options_, nullptr);
      ASSERT_TRUE(dir.is_ok()) << "call kind " << static_cast<int>(call) << ", " << nth << ": "
                               << status_of(dir);
      const raft::BootImage image = (*dir)->take_boot_image();
      const uint64_t covered = image.snapshot ? image.snapshot->index.value : 0;
      ASSERT_GE(covered + image.entries.size(), durable);
    }
  }
  std::printf("%llu runs stopped by an injected error\n",
              static_cast<unsigned long long>(failures));
  EXPECT_GT(failures, 60u);
}

TEST_F(FaultTest, FullDiskRefusesAppendsLetsVoteAndHeals) {  // PS-13
  disk_.set_capacity(disk_.used_bytes() + (24 << 10));
  uint64_t next = 1;
  Status status;
  while ((status = dir_->write(append_batch(next, 1, 1, 1000))).is_ok() && next < 1000) ++next;
  EXPECT_EQ(status.code(), RAFTCS_ERR_NO_SPACE);
  EXPECT_GT(next, 3u);
  for (uint64_t term = 2; term < 4; ++term) {
    WriteBatch vote;
    vote.hard_state = raft::HardState{Term(term), NodeId(2)};
    ASSERT_OK(dir_->write(vote));
  }
  EXPECT_EQ(dir_->write(append_batch(next, 1, 4, 1000)).code(), RAFTCS_ERR_NO_SPACE);
  disk_.set_capacity(std::nullopt);
  ASSERT_OK(dir_->write(append_batch(next, 1, 4, 1000)));
  dir_.reset();
  disk_.crash({});
  open();
  EXPECT_EQ(image_.entries.size(), next);
  EXPECT_EQ(image_.hard_state.term, Term(4));
}

// Found on a disk that was really full: each idle moment made a segment, wrote 1 MiB of zeros,
// failed and removed it, a hundred times a second.
TEST_F(FaultTest, FullDiskIsNotTriedInEveryIdleMoment) {  // PS-13
  while (dir_->prepare_ahead()) {
  }
  options_.segment_bytes = 64 << 10;
  dir_.reset();
  open();
  disk_.set_capacity(disk_.used_bytes());
  const uint64_t before = disk_.calls(Call::write);
  for (int i = 0; i < 1000; ++i) EXPECT_FALSE(dir_->prepare_ahead());
  const uint64_t tries = disk_.calls(Call::write) - before;
  EXPECT_GE(tries, 2u);
  EXPECT_LE(tries, 16u);
  disk_.set_capacity(std::nullopt);
  bool prepared = false;
  for (int i = 0; i < 300 && !prepared; ++i) prepared = dir_->prepare_ahead();
  EXPECT_TRUE(prepared) << "never tried again";
  while (dir_->prepare_ahead()) {
  }
  ASSERT_OK(dir_->write(append_batch(1, 1, 1, 3000)));
}

TEST_F(FaultTest, ReserveIsKept) {
  options_.reserve_bytes = 100 << 10;
  dir_.reset();
  open();
  disk_.set_capacity(disk_.used_bytes() + (50 << 10));
  EXPECT_EQ(dir_->write(append_batch(1, 1, 1, 10)).code(), RAFTCS_ERR_NO_SPACE);
  disk_.set_capacity(disk_.used_bytes() + (200 << 10));
  ASSERT_OK(dir_->write(append_batch(1, 1, 1, 10)));
}

// The node takes the next snapshot, which would cut the log, when there is room for it: never.
TEST_F(FaultTest, PS_13_WhatASnapshotCoversGivesRoomAtTheNextOpening) {
  for (uint64_t index = 1; index <= 60; ++index) write(index, 900);
  auto writer = dir_->begin_snapshot(make_meta(60, 1));
  ASSERT_OK(writer);
  ASSERT_OK((*writer)->publish());
  const uint64_t before = dir_->log_file_bytes();
  ASSERT_GT(dir_->segments().size(), 3u);
  open();
  EXPECT_EQ(dir_->log_file_bytes(), before) << "with room enough it is the node that decides";
  options_.reserve_bytes = 20 << 10;
  disk_.set_capacity(disk_.used_bytes() + (10 << 10));
  open();
  EXPECT_EQ(dir_->segments().size(), 1u);
  EXPECT_LT(dir_->log_file_bytes(), before);
  EXPECT_TRUE(image_.entries.empty());
  ASSERT_OK(dir_->write(append_batch(61, 1, 1, 10)));
  open();
  ASSERT_EQ(image_.entries.size(), 1u);
  EXPECT_EQ(image_.entries[0].index, Index(61));
}

// Of a recycled segment the name is not durable until the directory is synced: an entry written
// to it was lost with the machine.
TEST_F(FaultTest, PS_02_AFullDiskThatFailsADirectorySyncStopsTheLog) {
  while (dir_->prepare_ahead()) {
  }
  for (uint64_t index = 1; index <= 40; ++index) write(index, 900);
  auto writer = dir_->begin_snapshot(make_meta(40, 1));
  ASSERT_OK(writer);
  ASSERT_OK((*writer)->publish());
  disk_.fail_nth(Call::sync_directory, 1, RAFTCS_ERR_NO_SPACE);
  EXPECT_EQ(dir_->compact(Index(40)).code(), RAFTCS_ERR_IO);
  EXPECT_EQ(dir_->write(append_batch(41, 1, 1, 900)).code(), RAFTCS_ERR_IO);
}

TEST_F(FaultTest, ASegmentThatDoesNotFitIsCompactedLater) {
  for (uint64_t index = 1; index <= 40; ++index) write(index, 900);
  auto writer = dir_->begin_snapshot(make_meta(40, 1));
  ASSERT_OK(writer);
  ASSERT_OK((*writer)->publish());
  for (const Call call : {Call::rename, Call::remove}) {
    disk_.fail_nth(call, 1, RAFTCS_ERR_NO_SPACE);
    ASSERT_OK(dir_->compact(Index(40)));
  }
  ASSERT_OK(dir_->compact(Index(40)));
  EXPECT_EQ(dir_->segments().size(), 1u);
  write(41, 900);
  open();
  EXPECT_EQ(image_.entries.size(), 1u);
}

// A sector that cannot be read is damage as any other: it can be healed (decision 0036).
TEST_F(FaultTest, PS_06_AnUnreadableSectorIsDamage) {
  for (uint64_t index = 1; index <= 12; ++index) write(index, 900);
  auto writer = dir_->begin_snapshot(make_meta(8, 1));
  ASSERT_OK(writer);
  ASSERT_OK((*writer)->write("eight", 5));
  ASSERT_OK((*writer)->publish());
  const uint64_t before = disk_.calls(Call::read);
  open();
  const uint64_t reads = disk_.calls(Call::read) - before;
  ASSERT_GT(reads, 5u);
  size_t passed_over = 0;
  for (uint64_t nth = 1; nth <= reads; ++nth) {
    dir_.reset();
    auto copy = disk_.clone();
    copy->restart_process();
    copy->fail_nth(Call::read, nth);
    auto dir = DataDir::open(*copy, kPath, options_, nullptr);
    if (dir)
      ++passed_over;  // the snapshot: the log holds all that it covers
    else
      EXPECT_EQ(dir.status().code(), RAFTCS_ERR_CORRUPT) << nth << " " << dir.status().text();
  }
  EXPECT_GE(passed_over, 1u);
  EXPECT_LT(passed_over, reads);
}

TEST_F(FaultTest, NothingIsLeftOfATransferThatASnapshotMadeNeedless) {
  raft::SnapshotMeta coming = make_meta(5, 1);
  coming.size = 100;
  ASSERT_OK(dir_->write_snapshot_chunk(coming, 0, Bytes::copy(std::string(40, 'c')), false));
  for (uint64_t index = 1; index <= 9; ++index) write(index);
  auto writer = dir_->begin_snapshot(make_meta(9, 1));
  ASSERT_OK(writer);
  ASSERT_OK((*writer)->publish());
  for (const std::string& file : disk_.files())
    EXPECT_EQ(file.find(".received"), std::string::npos) << file;
}

TEST_F(FaultTest, OneFlippedByteIsNeverSilent) {  // PS-06, W7
  uint64_t index = 1;
  for (; index <= 25; ++index) write(index, 300 + 97 * (index % 7));
  auto writer = dir_->begin_snapshot(make_meta(2, 1));
  ASSERT_OK((*writer)->write("snapshot body", 13));
  ASSERT_OK((*writer)->publish());
  write(index++);
  dir_.reset();  // closes: proves that the last write was durable
  disk_.restart_process();
  auto clean = disk_.clone();
  open();
  const raft::BootImage want = std::move(image_);
  dir_.reset();
  uint64_t reported = 0, slack = 0, flips = 0, passed_over = 0;
  std::vector<raft::Entry> all = append_batch(1, 2, 1, 0).append;
  for (uint64_t i = 1; i <= 2; ++i)
    all[i - 1] = append_batch(i, 1, 1, 300 + 97 * (i % 7)).append[0];
  all.insert(all.end(), want.entries.begin(), want.entries.end());
  for (const std::string& path : clean->files()) {
    const size_t size = clean->contents(path)->size();
    for (size_t at = 0; at < size; at += 1 + at % 15) {
      auto disk = clean->clone();
      disk->crash(std::vector<sim::Fate>(disk->pending_count(), sim::Fate::kept));
      ASSERT_TRUE(disk->flip(path, at, static_cast<uint8_t>(1 << (at % 8))));
      ++flips;
      auto findings = verify_directory(*disk, kPath);
      ASSERT_OK(findings);
      bool damage = false;
      for (const Finding& f : *findings) damage |= f.damage;
      std::vector<std::string> notes;
      auto dir = DataDir::open(*disk, kPath, options_, &notes);
      bool seen = !dir.is_ok();
      if (dir.is_ok()) {
        // A damaged snapshot is passed over, and said, as the log holds what it covers.
        const raft::BootImage image = (*dir)->take_boot_image();
        seen = !image.snapshot;
        passed_over += seen ? 1 : 0;
        ASSERT_EQ(seen, !notes.empty() && notes.back().find("holds all") != std::string::npos);
        ASSERT_EQ(image.entries, seen ? all : want.entries) << path << " at " << at;
        ASSERT_EQ(image.hard_state, want.hard_state);
      } else {
        EXPECT_NE(dir.status().text().find(path), std::string::npos) << dir.status().text();
        EXPECT_NE(dir.status().text().find("offset"), std::string::npos) << dir.status().text();
      }
      EXPECT_EQ(seen, damage) << path << " at " << at;
      (seen ? reported : slack) += 1;
    }
  }
  std::printf("%llu bytes flipped: %llu reported, %llu of them in a snapshot, %llu in slack\n",
              static_cast<unsigned long long>(flips), static_cast<unsigned long long>(reported),
              static_cast<unsigned long long>(passed_over), static_cast<unsigned long long>(slack));
  EXPECT_GT(reported, 1500u);
  EXPECT_GT(passed_over, 5u);
}

TEST_F(FaultTest, DumpShowsEveryRecord) {
  write(1);
  WriteBatch cut = append_batch(1, 2, 2, 10);
  cut.truncate_from = Index(1);
  ASSERT_OK(dir_->write(cut));
  dir_.reset();
  const uint64_t before = disk_.changes();
  std::string all;
  ASSERT_OK(dump_directory(disk_, kPath, [&](const std::string& line) { all += line + "\n"; }));
  EXPECT_EQ(disk_.changes(), before);
  for (const char* part :
       {"\"identity\"", "\"truncate\"",
        "\"index\":2,\"term\":2,\"type\":\"ops\",\"time\":2000,\"size\":10", "\"hard_state\""})
    EXPECT_NE(all.find(part), std::string::npos) << part << " in\n" << all;
}

}  // namespace
}  // namespace raftcs::storage
