// data_dir_test.cpp: the directory on a real file system: what is written is found again.
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "base/crc32c.hpp"
#include "storage_fixture.hpp"
#include "tests/support/descriptors.hpp"

namespace raftcs::storage {
namespace {

class DataDirTest : public ::testing::Test {
 protected:
  void SetUp() override {
    path_ = temporary_.path() + "/node";
    options_.segment_bytes = 64 << 10;
    ASSERT_OK(DataDir::create(*fs_, path_, make_identity()));
    open();
  }
  void open() {
    notes_.clear();
    auto opened = DataDir::open(*fs_, path_, options_, &notes_);
    ASSERT_OK(opened);
    dir_ = std::move(opened).value();
    image_ = dir_->take_boot_image();
  }
  void reopen() {
    dir_.reset();
    open();
  }
  void expect_entries(uint64_t first, uint64_t last) {
    ASSERT_EQ(image_.entries.size(), last + 1 - first);
    for (size_t i = 0; i < image_.entries.size(); ++i)
      EXPECT_EQ(image_.entries[i].index.value, first + i);
  }
  raft::SnapshotMeta publish(uint64_t index, uint64_t term, const std::string& body) {
    auto writer = dir_->begin_snapshot(make_meta(index, term));
    EXPECT_TRUE(writer.is_ok());
    EXPECT_TRUE((*writer)->write(body.data(), body.size()).is_ok());
    auto meta = (*writer)->publish();
    EXPECT_TRUE(meta.is_ok()) << status_of(meta);
    return *meta;
  }

  TemporaryDirectory temporary_;
  std::unique_ptr<sys::FileSystem> fs_ = sys::posix_file_system();
  std::string path_;
  Options options_;
  std::vector<std::string> notes_;
  std::unique_ptr<DataDir> dir_;
  raft::BootImage image_;
};

TEST_F(DataDirTest, NewDirectoryIsEmpty) {
  EXPECT_EQ(dir_->identity().node, NodeId(7));
  EXPECT_EQ(dir_->identity().incarnation, make_uuid(0x1C));
  EXPECT_TRUE(image_.entries.empty());
  EXPECT_FALSE(image_.snapshot);
  EXPECT_EQ(image_.hard_state, raft::HardState());
}

TEST_F(DataDirTest, WritesComeBack) {
  WriteBatch batch = append_batch(1, 3, 2, 100);
  ASSERT_OK(dir_->write(batch));
  const WriteBatch more = append_batch(4, 2, 3, 5000);
  ASSERT_OK(dir_->write(more));
  reopen();
  EXPECT_TRUE(notes_.empty());
  EXPECT_EQ(image_.hard_state, (raft::HardState{Term(3), NodeId(1)}));
  batch.append.insert(batch.append.end(), more.append.begin(), more.append.end());
  EXPECT_EQ(image_.entries, batch.append);
}

TEST_F(DataDirTest, SegmentsRollAndTruncationCrossesThem) {
  for (uint64_t i = 1; i <= 100; ++i) ASSERT_OK(dir_->write(append_batch(i, 1, 1, 3000)));
  EXPECT_GT(dir_->log_file_bytes(), 5 * options_.segment_bytes);
  WriteBatch cut = append_batch(20, 2, 5, 10);
  cut.truncate_from = Index(20);
  ASSERT_OK(dir_->write(cut));
  reopen();
  expect_entries(1, 21);
  EXPECT_EQ(image_.entries[19].term, Term(5));
  WriteBatch all;
  all.truncate_from = Index(1);
  ASSERT_OK(dir_->write(all));
  reopen();
  EXPECT_TRUE(image_.entries.empty());
  EXPECT_EQ(image_.hard_state.term, Term(5));
}

TEST_F(DataDirTest, CompactionRecyclesSegments) {
  uint64_t next = 1, most = 0;
  for (int round = 0; round < 6; ++round) {
    for (int i = 0; i < 60; ++i) ASSERT_OK(dir_->write(append_batch(next++, 1, 1, 3000)));
    publish(next - 11, 1, "state");
    ASSERT_OK(dir_->compact(Index(next)));  // more than the snapshot covers
    while (dir_->prepare_ahead()) {
    }
    most = std::max(most, dir_->log_file_bytes());
    reopen();
    EXPECT_TRUE(notes_.empty()) << notes_[0];
    expect_entries(next - 10, next - 1);
    ASSERT_TRUE(image_.snapshot);
  }
  EXPECT_LE(most, 4 * options_.segment_bytes);
}

// A moment without file descriptors is as a full disk: refused, and over when it is over.
TEST_F(DataDirTest, WithoutDescriptorsWritesWaitAndWhatIsThereIsKept) {
  uint64_t next = 1;
  for (; next <= 50; ++next) ASSERT_OK(dir_->write(append_batch(next, 1, 1, 3000)));
  auto writer = dir_->begin_snapshot(make_meta(45, 1));
  ASSERT_OK(writer);
  ASSERT_OK((*writer)->write("state", 5));
  {
    const test::Descriptors none(0);
    Status status;
    while (status.is_ok()) status = dir_->write(append_batch(next++, 1, 1, 3000));
    --next;
    EXPECT_EQ(status.code(), RAFTCS_ERR_NO_SPACE) << status.text();
    EXPECT_NE(status.text().find("open files"), std::string::npos) << status.text();
    EXPECT_FALSE(dir_->prepare_ahead());
    EXPECT_EQ(dir_->begin_snapshot(make_meta(46, 1)).status().code(), RAFTCS_ERR_NO_SPACE);
    ASSERT_OK((*writer)->publish());
    writer->reset();
    const test::Descriptors none_again(0);
    EXPECT_FALSE(dir_->scrub(dir_->segments().front(), 1 << 20).found);
    ASSERT_OK(dir_->compact(Index(45)));
    ASSERT_OK(dir_->write(append_batch(next++, 1, 1, 3000)));  // into a recycled segment
  }
  for (; next <= 120; ++next) ASSERT_OK(dir_->write(append_batch(next, 1, 1, 3000)));
  ASSERT_OK(dir_->stopped());
  reopen();
  ASSERT_TRUE(image_.snapshot);
  EXPECT_EQ(image_.entries.back().index, Index(120));
}

TEST_F(DataDirTest, IndexAndTimeBeyond32Bits) {
  const uint64_t base = (uint64_t{1} << 32) - 3;
  const raft::SnapshotMeta meta = publish(base, uint64_t{1} << 33, "s");
  WriteBatch batch = append_batch(base + 1, 8, uint64_t{1} << 33, 10);
  batch.reset_log = meta;
  ASSERT_OK(dir_->write(batch));
  reopen();
  EXPECT_EQ(image_.entries, batch.append);
  EXPECT_EQ(image_.entries.back().index.value, base + 8);
}

TEST_F(DataDirTest, BatchLargerThanASegment) {
  ASSERT_OK(dir_->write(append_batch(1, 1, 1, 10)));
  const WriteBatch big = append_batch(2, 3, 1, 1 << 20);
  ASSERT_OK(dir_->write(big));
  ASSERT_OK(dir_->write(append_batch(5, 1, 1, 0)));
  reopen();
  expect_entries(1, 5);
  EXPECT_EQ(image_.entries[2], big.append[1]);
}

TEST_F(DataDirTest, ManyEntriesInOneWrite) {
  const WriteBatch batch = append_batch(1, 3000, 1, 1500);
  ASSERT_OK(dir_->write(batch));
  reopen();
  EXPECT_EQ(image_.entries, batch.append);
}

TEST_F(DataDirTest, WhatCouldNotBeRecoveredIsRefused) {
  ASSERT_OK(dir_->write(append_batch(1, 1, 2, 10)));
  EXPECT_EQ(dir_->write(append_batch(3, 1, 2, 10)).code(), RAFTCS_ERR_INTERNAL);  // a gap
  EXPECT_EQ(dir_->write(append_batch(2, 1, 1, 10)).code(), RAFTCS_ERR_INTERNAL);  // term back
  WriteBatch later;
  later.append.push_back(make_entry(2, 9, 1));
  EXPECT_EQ(dir_->write(later).code(), RAFTCS_ERR_INTERNAL);  // RC-01
  ASSERT_OK(dir_->write(append_batch(2, 1, 2, 10)));
  reopen();
  expect_entries(1, 2);
}

TEST_F(DataDirTest, SnapshotInConflictVoidsTheLog) {  // SN-02
  ASSERT_OK(dir_->write(append_batch(1, 10, 1, 10)));
  publish(5, 3, "other");
  reopen();
  EXPECT_TRUE(image_.entries.empty());
  EXPECT_EQ(image_.hard_state, (raft::HardState{Term(3), NodeId()}));
  ASSERT_OK(dir_->write(append_batch(6, 1, 3, 10)));
  reopen();
  expect_entries(6, 6);
}

TEST_F(DataDirTest, LogBehindTheSnapshotIsTrimmedAndGapRefused) {  // RC-02
  ASSERT_OK(dir_->write(append_batch(1, 10, 1, 10)));
  const raft::SnapshotMeta meta = publish(20, 1, "later");
  reopen();
  EXPECT_TRUE(image_.entries.empty());
  EXPECT_EQ(image_.snapshot, meta);
  ASSERT_OK(dir_->write(append_batch(21, 1, 1, 10)));
  dir_.reset();
  std::filesystem::remove(path_ + "/snapshot-0000000000000014");
  auto opened = DataDir::open(*fs_, path_, options_, nullptr);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.status().code(), RAFTCS_ERR_CORRUPT);
  EXPECT_NE(opened.status().text().find("snapshot is missing"), std::string::npos);
}

TEST_F(DataDirTest, MissingPartsAreRefused) {  // RC-01, PS-09
  for (uint64_t i = 1; i <= 100; ++i) ASSERT_OK(dir_->write(append_batch(i, 1, 1, 3000)));
  dir_.reset();
  const std::string middle = path_ + "/log-0000000000000003", aside = path_ + "/../aside";
  std::filesystem::rename(middle, aside);
  EXPECT_EQ(DataDir::open(*fs_, path_, options_, nullptr).status().code(), RAFTCS_ERR_CORRUPT);
  std::filesystem::rename(aside, middle);
  std::filesystem::resize_file(middle, 4096);
  auto cut = DataDir::open(*fs_, path_, options_, nullptr);
  EXPECT_EQ(cut.status().code(), RAFTCS_ERR_CORRUPT);
  EXPECT_NE(cut.status().text().find("log-0000000000000003"), std::string::npos)
      << cut.status().text();
  for (const auto& f : std::filesystem::directory_iterator(path_))
    if (f.path().filename().string().rfind("log-", 0) == 0) std::filesystem::remove(f.path());
  EXPECT_EQ(DataDir::open(*fs_, path_, options_, nullptr).status().code(), RAFTCS_ERR_CORRUPT);
}

TEST_F(DataDirTest, CreationOnlyInAnEmptyDirectory) {  // RC-07
  EXPECT_FALSE(DataDir::create(*fs_, path_, make_identity()).is_ok());
  dir_.reset();
  EXPECT_EQ(DataDir::create(*fs_, path_, make_identity()).code(), RAFTCS_ERR_BAD_STATE);
  EXPECT_TRUE(*DataDir::is_initialised(*fs_, path_));
  EXPECT_FALSE(*DataDir::is_initialised(*fs_, path_ + "/none"));
  std::filesystem::remove(path_ + "/identity");
  EXPECT_EQ(DataDir::is_initialised(*fs_, path_).status().code(), RAFTCS_ERR_CORRUPT);
}

TEST_F(DataDirTest, SecondHolderIsRefusedAlsoInAnotherProcess) {
  auto second = DataDir::open(*fs_, path_, options_, nullptr);
  EXPECT_EQ(second.status().code(), RAFTCS_ERR_BAD_STATE);
  EXPECT_NE(second.status().text().find(path_), std::string::npos);
  // The parent must let go of its own descriptor in the child: flock belongs to the open file.
  const pid_t child = ::fork();
  if (child == 0) {
    auto mine = sys::posix_file_system();
    auto other = DataDir::open(*mine, path_, options_, nullptr);
    ::_exit(other.status().code() == RAFTCS_ERR_BAD_STATE ? 0 : 1);
  }
  int code = -1;
  ASSERT_EQ(::waitpid(child, &code, 0), child);
  EXPECT_EQ(code, 0);
}

TEST_F(DataDirTest, SnapshotIsVerifiedBeforeUse) {  // SN-12
  std::string body(100000, 's');
  const raft::SnapshotMeta meta = publish(4, 0, body);
  EXPECT_EQ(meta.size, body.size());
  EXPECT_EQ(meta.checksum, crc32c(0, body.data(), body.size()));
  auto reader = dir_->open_snapshot(Index(4));
  ASSERT_OK(reader);
  std::string back(body.size() + 10, 0);
  EXPECT_EQ(*(*reader)->read(back.data(), back.size()), body.size());
  EXPECT_EQ(*(*reader)->read(back.data(), back.size()), 0u);
  EXPECT_EQ(dir_->open_snapshot(Index(5)).status().code(), RAFTCS_ERR_NOT_FOUND);
  auto file = fs_->open(path_ + "/snapshot-0000000000000004", sys::OpenMode::read_write);
  ASSERT_OK((*file)->write_at(50000, "!", 1));
  EXPECT_EQ(dir_->open_snapshot(Index(4)).status().code(), RAFTCS_ERR_CORRUPT);
  EXPECT_EQ(dir_->read_snapshot_chunk(Index(4), 0, 10).status().code(), RAFTCS_ERR_CORRUPT);
  EXPECT_TRUE(std::filesystem::exists(path_ + "/snapshot-0000000000000004"));
}

TEST_F(DataDirTest, SnapshotGoesOverInChunks) {  // SN-07, SN-08
  std::string body;
  for (int i = 0; i < 5000; ++i) body += std::to_string(i);
  const raft::SnapshotMeta meta = publish(9, 0, body);
  const std::string other_path = temporary_.path() + "/other";
  Identity identity = make_identity();
  identity.incarnation = make_uuid(9);
  ASSERT_OK(DataDir::create(*fs_, other_path, identity));
  auto opened = DataDir::open(*fs_, other_path, options_, nullptr);
  ASSERT_OK(opened);
  DataDir& other = **opened;
  EXPECT_EQ(other.write_snapshot_chunk(meta, 100, Bytes::copy("x"), false)->next_offset, 0u);
  uint64_t at = 0;
  for (bool complete = false; !complete;) {
    auto chunk = dir_->read_snapshot_chunk(Index(9), at, 1000);
    ASSERT_OK(chunk);
    auto written = other.write_snapshot_chunk(meta, at, chunk->data, chunk->last);
    ASSERT_OK(written);
    if (!chunk->last) {  // a duplicate, and one too early
      EXPECT_EQ(other.write_snapshot_chunk(meta, at, chunk->data, false)->next_offset, at + 1000);
      EXPECT_EQ(other.write_snapshot_chunk(meta, at + 5000, chunk->data, false)->next_offset,
                at + 1000);
    }
    complete = written->complete;
    at = written->next_offset;
  }
  EXPECT_EQ(at, body.size());
  EXPECT_TRUE(other.write_snapshot_chunk(meta, 0, Bytes::copy("late"), false)->complete);
  EXPECT_EQ(other.latest_snapshot(), meta);
  auto reader = other.open_snapshot(Index(9));
  ASSERT_OK(reader);
  std::string back(body.size(), 0);
  EXPECT_EQ(*(*reader)->read(back.data(), back.size()), body.size());
  EXPECT_EQ(back, body);
}

TEST_F(DataDirTest, DamagedTransferBeginsAgain) {
  raft::SnapshotMeta meta = make_meta(3, 1);
  meta.size = 6;
  meta.checksum = crc32c(0, "abcdef", 6);
  EXPECT_EQ(dir_->write_snapshot_chunk(meta, 0, Bytes::copy("abc"), false)->next_offset, 3u);
  auto wrong = dir_->write_snapshot_chunk(meta, 3, Bytes::copy("deX"), true);
  ASSERT_OK(wrong);
  EXPECT_FALSE(wrong->complete);
  EXPECT_EQ(wrong->next_offset, 0u);
  EXPECT_FALSE(dir_->latest_snapshot());
  EXPECT_EQ(dir_->write_snapshot_chunk(meta, 0, Bytes::copy("abc"), false)->next_offset, 3u);
  EXPECT_TRUE(dir_->write_snapshot_chunk(meta, 3, Bytes::copy("def"), true)->complete);
}

TEST_F(DataDirTest, AbandonedSnapshotLeavesNothing) {
  {
    auto writer = dir_->begin_snapshot(make_meta(3, 0));
    ASSERT_OK(writer);
    ASSERT_OK((*writer)->write("abc", 3));
  }
  const auto names = fs_->list(path_);
  ASSERT_OK(names);
  for (const std::string& name : *names) EXPECT_NE(name.rfind("snapshot", 0), 0u) << name;
}

TEST_F(DataDirTest, LanesRunAtTheSameTime) {
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> written{0};
  std::thread snapshots([&] {
    for (int i = 0; i < 30; ++i) {
      while (written.load() < static_cast<uint64_t>(i + 1) && !stop) std::this_thread::yield();
      publish(written.load(), 1, std::string(20000, 'z'));
    }
    stop = true;
  });
  uint64_t next = 1;
  while (!stop || next < 100) {
    ASSERT_OK(dir_->write(append_batch(next, 1, 1, 2000)));
    written = next++;
    ASSERT_OK(dir_->compact(Index(next)));
    dir_->prepare_ahead();
    if (next > 100000) break;
  }
  snapshots.join();
  const uint64_t covered = dir_->latest_snapshot()->index.value;
  reopen();
  expect_entries(covered + 1, next - 1);
}

}  // namespace
}  // namespace raftcs::storage
