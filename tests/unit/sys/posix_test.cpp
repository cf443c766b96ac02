// posix_test.cpp: the real file system, random source and clocks.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <set>

#include "sys/clock.hpp"
#include "sys/file_system.hpp"
#include "sys/random.hpp"
#include "tests/support/descriptors.hpp"

namespace raftcs::sys {
namespace {

class PosixFileSystemTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "raftcs-sys-XXXXXX").string();
    path_ = ::mkdtemp(pattern.data());
  }
  void TearDown() override { std::filesystem::remove_all(path_); }
  std::string path_;
  std::unique_ptr<FileSystem> fs_ = posix_file_system();
};

TEST_F(PosixFileSystemTest, PiecesOfAllSizesArriveInOrder) {  // PS-12
  auto file = fs_->open(path_ + "/f", OpenMode::create);
  ASSERT_TRUE(file.is_ok());
  std::vector<std::string> parts;
  for (size_t i = 0; i < 2000; ++i)
    parts.push_back(std::string(i % 7 == 0 ? 0 : i % 300, static_cast<char>('a' + i % 26)));
  std::vector<File::Piece> pieces;
  std::string all;
  for (const std::string& p : parts) {
    pieces.push_back({p.data(), p.size()});
    all += p;
  }
  ASSERT_TRUE((*file)->write_pieces_at(5, pieces).is_ok());
  ASSERT_TRUE((*file)->sync_data().is_ok());
  ASSERT_TRUE((*file)->drop_cache().is_ok());
  EXPECT_EQ((*file)->size().value(), all.size() + 5);
  std::string back(all.size() + 100, '?');
  EXPECT_EQ((*file)->read_at(5, back.data(), back.size()).value(), all.size());
  EXPECT_EQ(back.substr(0, all.size()), all);
  ASSERT_TRUE((*file)->truncate(3).is_ok());
  EXPECT_EQ((*file)->size().value(), 3u);
  EXPECT_EQ((*file)->read_at(3, back.data(), 1).value(), 0u);
}

TEST_F(PosixFileSystemTest, ErrorsNameThePath) {
  const auto missing = fs_->open(path_ + "/none", OpenMode::read);
  EXPECT_EQ(missing.status().code(), RAFTCS_ERR_IO);
  EXPECT_NE(missing.status().text().find(path_ + "/none"), std::string::npos);
  EXPECT_FALSE(fs_->list(path_ + "/none").is_ok());
  EXPECT_FALSE(fs_->rename(path_ + "/none", path_ + "/other").is_ok());
  EXPECT_FALSE(fs_->remove(path_ + "/none").is_ok());
  ASSERT_TRUE(fs_->open(path_ + "/f", OpenMode::create).is_ok());
  EXPECT_FALSE(fs_->open(path_ + "/f", OpenMode::create).is_ok());
  EXPECT_FALSE(fs_->make_directories(path_ + "/f/below").is_ok());
}

TEST_F(PosixFileSystemTest, FullDiskIsToldApart) {
  if (::access("/dev/full", W_OK) != 0) GTEST_SKIP() << "no /dev/full here";
  auto file = fs_->open("/dev/full", OpenMode::read_write);
  ASSERT_TRUE(file.is_ok());
  EXPECT_EQ((*file)->write_at(0, "x", 1).code(), RAFTCS_ERR_NO_SPACE);
}

TEST_F(PosixFileSystemTest, NamesAndDirectories) {
  ASSERT_TRUE(fs_->make_directories(path_ + "/a/b/c").is_ok());
  ASSERT_TRUE(fs_->make_directories(path_ + "/a/b/c").is_ok());
  for (const char* name : {"z", "y", "x"})
    ASSERT_TRUE(fs_->open(path_ + "/a/" + name, OpenMode::create).is_ok());
  ASSERT_TRUE(fs_->rename(path_ + "/a/z", path_ + "/a/y").is_ok());
  ASSERT_TRUE(fs_->sync_directory(path_ + "/a").is_ok());
  EXPECT_EQ(fs_->list(path_ + "/a").value(), (std::vector<std::string>{"b", "x", "y"}));
  EXPECT_TRUE(fs_->exists(path_ + "/a/x").value());
  EXPECT_FALSE(fs_->exists(path_ + "/a/z").value());
  EXPECT_GT(fs_->free_bytes(path_).value(), 0u);
}

TEST_F(PosixFileSystemTest, LockIsExclusiveAndGoesWithItsHolder) {
  auto lock = fs_->lock(path_);
  ASSERT_TRUE(lock.is_ok());
  auto second = fs_->lock(path_);
  EXPECT_EQ(second.status().code(), RAFTCS_ERR_BAD_STATE);
  EXPECT_NE(second.status().text().find(path_), std::string::npos);
  lock->reset();
  EXPECT_TRUE(fs_->lock(path_).is_ok());
}

TEST_F(PosixFileSystemTest, WithoutDescriptorsNothingIsDoneAndTheCauseIsNamed) {
  {
    const test::Descriptors none(0);
    const auto file = fs_->open(path_ + "/f", OpenMode::create);
    EXPECT_EQ(file.status().code(), RAFTCS_ERR_NO_SPACE);
    EXPECT_NE(file.status().text().find("open files"), std::string::npos) << file.status().text();
    EXPECT_FALSE(fs_->exists(path_ + "/f").value());
    EXPECT_EQ(fs_->list(path_).status().code(), RAFTCS_ERR_NO_SPACE);
    EXPECT_EQ(fs_->lock(path_).status().code(), RAFTCS_ERR_NO_SPACE);
    EXPECT_EQ(fs_->sync_directory(path_).code(), RAFTCS_ERR_NO_SPACE);
  }
  EXPECT_TRUE(fs_->open(path_ + "/f", OpenMode::create).is_ok());
  EXPECT_TRUE(fs_->sync_directory(path_).is_ok());
}

TEST_F(PosixFileSystemTest, ADirectoryThatReplacedAnotherIsTheOneThatIsSynced) {
  const std::string directory = path_ + "/a";
  const auto lock = fs_->lock(path_);
  for (int n = 0; n < 2; ++n) {
    ASSERT_TRUE(fs_->make_directories(directory).is_ok());
    ASSERT_TRUE(fs_->sync_directory(directory).is_ok());
    std::filesystem::remove_all(directory);
    EXPECT_FALSE(fs_->sync_directory(directory).is_ok());
  }
}

// Opening what is there is a step of something begun: some descriptors are kept for it.
TEST_F(PosixFileSystemTest, ANodeCanOpenItsFilesWithoutDescriptors) {
  ASSERT_TRUE(fs_->open(path_ + "/f", OpenMode::create).is_ok());
  auto lock = fs_->lock(path_);
  ASSERT_TRUE(lock.is_ok());
  for (int round = 0; round < 2; ++round) {
    ASSERT_TRUE(fs_->sync_directory(path_).is_ok());
    const test::Descriptors none(0);
    std::vector<std::unique_ptr<File>> files;
    for (int n = 0; n < 8; ++n) {
      auto file = fs_->open(path_ + "/f", n % 2 == 0 ? OpenMode::read : OpenMode::read_write);
      ASSERT_TRUE(file.is_ok()) << n << ": " << file.status().text();
      files.push_back(std::move(*file));
    }
    EXPECT_EQ(fs_->open(path_ + "/f", OpenMode::read).status().code(), RAFTCS_ERR_NO_SPACE);
    EXPECT_EQ(fs_->open(path_ + "/f", OpenMode::read_write).status().code(), RAFTCS_ERR_IO);
    EXPECT_TRUE(fs_->sync_directory(path_).is_ok());
    // What is given back is kept for the next ones, whoever else waits for one.
    files.clear();
    EXPECT_EQ(fs_->open(path_ + "/g", OpenMode::create).status().code(), RAFTCS_ERR_NO_SPACE);
    EXPECT_TRUE(fs_->open(path_ + "/f", OpenMode::read).is_ok());
  }
  lock->reset();  // and with it all that was kept
  const test::Descriptors none(0);
  EXPECT_EQ(fs_->open(path_ + "/f", OpenMode::read).status().code(), RAFTCS_ERR_NO_SPACE);
  EXPECT_EQ(fs_->sync_directory(path_).code(), RAFTCS_ERR_NO_SPACE);
}

// A child has the parent's descriptors, and what is locked by one of them stays so in both.
TEST_F(PosixFileSystemTest, AForkedChildKeepsNoLockAndEndsNone) {
  auto lock = fs_->lock(path_);
  ASSERT_TRUE(lock.is_ok());
  const pid_t ends = ::fork();
  if (ends == 0) {
    lock->reset();
    ::_exit(0);
  }
  ::waitpid(ends, nullptr, 0);
  EXPECT_FALSE(fs_->lock(path_).is_ok());
  const pid_t stays = ::fork();
  if (stays == 0) {
    ::pause();
    ::_exit(0);
  }
  lock->reset();
  const auto again = fs_->lock(path_);
  EXPECT_TRUE(again.is_ok()) << again.status().text();
  ::kill(stays, SIGKILL);
  ::waitpid(stays, nullptr, 0);
}

TEST(OsRandom, ValuesDifferAlsoAfterFork) {
  std::set<uint64_t> seen;
  for (int i = 0; i < 10000; ++i) seen.insert(os_random().next_u64());
  EXPECT_EQ(seen.size(), 10000u);
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const uint64_t mine = os_random().next_u64();
    ::_exit(::write(ends[1], &mine, sizeof mine) == sizeof mine ? 0 : 1);
  }
  uint64_t theirs = 0;
  ASSERT_EQ(::read(ends[0], &theirs, sizeof theirs), static_cast<ssize_t>(sizeof theirs));
  EXPECT_NE(theirs, os_random().next_u64());
  ::waitpid(child, nullptr, 0);
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST(Clock, MonotonicNeverGoesBack) {
  Mono before = mono_now();
  for (int i = 0; i < 1000; ++i) {
    const Mono now = mono_now();
    ASSERT_GE(now, before);
    before = now;
  }
  EXPECT_GT(wall_now_ns(), int64_t{1'500'000'000} * kNsPerSecond);
}

}  // namespace
}  // namespace raftcs::sys
