// healing_test.cpp: damaged directories begin anew, and lose nothing of what was there.
#include "storage/healing.hpp"

#include <map>

#include "raft/membership.hpp"
#include "storage/inspect.hpp"
#include "storage/salvage.hpp"
#include "storage_fixture.hpp"
#include "tests/support/sim_disk.hpp"

namespace raftcs::storage {
namespace {

using sim::SimDisk;

constexpr char kPath[] = "/node";

class HealingTest : public ::testing::Test {
 protected:
  void SetUp() override {
    options_.segment_bytes = 16 << 10;
    ASSERT_OK(DataDir::create(disk_, kPath, make_identity()));
    auto dir = DataDir::open(disk_, kPath, options_, nullptr);
    ASSERT_OK(dir);
    raft::Entry config = make_entry(1, 1, 1);
    config.type = raft::EntryType::config;
    config.payload = raft::encode_membership(make_meta(1, 1).membership);
    WriteBatch first;
    first.hard_state = raft::HardState{Term(1), NodeId(1)};
    first.append.push_back(config);
    ASSERT_OK((*dir)->write(first));
    for (uint64_t i = 2; i <= 20; ++i) ASSERT_OK((*dir)->write(append_batch(i, 1, 1, 2000)));
    dir->reset();
    disk_.crash(std::vector<sim::Fate>(disk_.pending_count(), sim::Fate::kept));
    fresh_.fresh = make_identity();
    fresh_.fresh.incarnation = make_uuid(0x77);
    fresh_.damage = "it was bad";
  }
  static std::map<std::string, std::vector<uint8_t>> files_below(const SimDisk& disk,
                                                                 const std::string& folder) {
    std::map<std::string, std::vector<uint8_t>> found;
    for (const std::string& path : disk.files())
      if (path.rfind(folder + "/", 0) == 0)
        found[path.substr(folder.size() + 1)] = *disk.contents(path);
    return found;
  }

  SimDisk disk_;
  Options options_;
  Healing fresh_;
};

TEST_F(HealingTest, BeginsAnewAndKeepsEverything) {
  const auto before = files_below(disk_, kPath);
  ASSERT_GT(before.size(), 3u);
  ASSERT_OK(heal_directory(disk_, kPath, fresh_));
  EXPECT_EQ(files_below(disk_, std::string(kPath) + "/damaged"), before);
  auto dir = DataDir::open(disk_, kPath, options_, nullptr);
  ASSERT_OK(dir);
  EXPECT_EQ((*dir)->identity().incarnation, make_uuid(0x77));
  EXPECT_EQ((*dir)->identity().cluster, make_identity().cluster);
  ASSERT_NE((*dir)->healing(), nullptr);
  EXPECT_EQ((*dir)->healing()->damage, "it was bad");
  EXPECT_TRUE((*dir)->take_boot_image().entries.empty());
  dir->reset();
  auto findings = verify_directory(disk_, kPath);
  ASSERT_OK(findings);
  for (const Finding& f : *findings) EXPECT_FALSE(f.damage) << f.file << ": " << f.text;
  // What was set aside is a directory like any other.
  auto aside = verify_directory(disk_, std::string(kPath) + "/damaged");
  ASSERT_OK(aside);
  EXPECT_TRUE(aside->empty());
}

TEST_F(HealingTest, ACopyThatIsThereIsNeverWrittenTo) {
  ASSERT_OK(heal_directory(disk_, kPath, fresh_));
  const auto kept = files_below(disk_, kPath);
  const Status again = heal_directory(disk_, kPath, fresh_);
  EXPECT_EQ(again.code(), RAFTCS_ERR_BAD_STATE);
  EXPECT_NE(again.text().find("/node/damaged"), std::string::npos) << again.text();
  EXPECT_EQ(files_below(disk_, kPath), kept);
}

// Power off after each change, with each way a crash may go; the next start finishes it.
TEST_F(HealingTest, AnInterruptionAnywhereIsFinishedByTheNextStart) {
  const auto before = files_below(disk_, kPath);
  uint64_t interrupted = 0, untouched = 0;
  for (uint64_t changes = 0; changes < 60; ++changes) {
    for (uint64_t seed = 1; seed <= 8; ++seed) {
      auto disk = disk_.clone();
      disk->power_off_after(changes);
      const bool done = heal_directory(*disk, kPath, fresh_).is_ok();
      interrupted += done ? 0 : 1;
      Prng prng(changes * 100 + seed);
      disk->crash(prng);
      // A second crash while it is being finished.
      disk->power_off_after(seed);
      (void)finish_healing(*disk, kPath, nullptr).is_ok();
      disk->crash(prng);
      std::vector<std::string> notes;
      ASSERT_OK(finish_healing(*disk, kPath, &notes));
      auto dir = DataDir::open(*disk, kPath, options_, &notes);
      ASSERT_TRUE(dir.is_ok()) << changes << ", " << seed << ": " << status_of(dir);
      const bool is_fresh = (*dir)->identity().incarnation == make_uuid(0x77);
      EXPECT_TRUE(is_fresh || !done);
      untouched += is_fresh ? 0 : 1;
      const raft::BootImage image = (*dir)->take_boot_image();
      EXPECT_EQ(image.entries.size(), is_fresh ? 0u : 20u) << changes << ", " << seed;
      EXPECT_EQ((*dir)->healing() != nullptr, is_fresh);
      if (is_fresh) {
        EXPECT_EQ(files_below(*disk, std::string(kPath) + "/damaged"), before);
      }
    }
  }
  EXPECT_GT(interrupted, 100u);
  EXPECT_GT(untouched, 8u);
}

// The start that finishes it meets a disk that does not read: what was set aside stays there.
TEST_F(HealingTest, AReadThatFailsWhileItIsFinishedTakesNothing) {
  const auto before = files_below(disk_, kPath);
  uint64_t finished = 0;
  for (uint64_t changes = 0; changes < 40; ++changes)
    for (const sim::Call call : {sim::Call::open, sim::Call::read})
      for (uint64_t nth = 1; nth <= 3; ++nth) {
        auto disk = disk_.clone();
        disk->power_off_after(changes);
        (void)heal_directory(*disk, kPath, fresh_).is_ok();
        disk->crash(std::vector<sim::Fate>(disk->pending_count(), sim::Fate::kept));
        disk->fail_nth(call, nth);
        (void)finish_healing(*disk, kPath, nullptr).is_ok();
        disk->restart_process();
        ASSERT_OK(finish_healing(*disk, kPath, nullptr));
        auto dir = DataDir::open(*disk, kPath, options_, nullptr);
        ASSERT_OK(dir);
        if ((*dir)->identity().incarnation != make_uuid(0x77)) continue;
        ++finished;
        EXPECT_TRUE(files_below(*disk, std::string(kPath) + "/damaged") == before)
            << changes << " changes, call " << nth;
      }
  EXPECT_GT(finished, 100u);
}

TEST_F(HealingTest, SalvageFindsTheConfigurationBehindAndBeforeDamage) {
  ASSERT_TRUE(disk_.flip("/node/log-0000000000000001", 512 * 5, 4));
  EXPECT_EQ(DataDir::open(disk_, kPath, options_, nullptr).status().code(), RAFTCS_ERR_CORRUPT);
  auto found = salvage_directory(disk_, kPath);
  ASSERT_OK(found);
  ASSERT_TRUE(found->identity);
  EXPECT_EQ(found->membership.members.size(), 1u);
  EXPECT_EQ(found->last, Index(20));
  ASSERT_TRUE(disk_.flip("/node/identity", 20, 4));
  found = salvage_directory(disk_, kPath);
  ASSERT_OK(found);
  EXPECT_FALSE(found->identity);
  EXPECT_FALSE(found->membership.members.empty()) << "the segments name the incarnation themselves";
}

// The log ends before the snapshot, as after a transfer: what the snapshot covers was promised.
TEST_F(HealingTest, ADamagedSnapshotIsPassedOverOnlyWhenTheLogHoldsWhatItCovers) {
  for (const uint64_t index : {10u, 30u}) {
    auto disk = disk_.clone();
    {
      auto dir = DataDir::open(*disk, kPath, options_, nullptr);
      ASSERT_OK(dir);
      auto writer = (*dir)->begin_snapshot(make_meta(index, 1));
      ASSERT_OK(writer);
      ASSERT_OK((*writer)->write("snapshot body", 13));
      ASSERT_OK((*writer)->publish());
    }
    disk->crash(std::vector<sim::Fate>(disk->pending_count(), sim::Fate::kept));
    const std::string path = "/node/" + std::string(index == 10 ? "snapshot-000000000000000a"
                                                                : "snapshot-000000000000001e");
    ASSERT_TRUE(disk->contents(path));
    ASSERT_TRUE(disk->flip(path, disk->contents(path)->size() - 30, 1));  // in the body
    std::vector<std::string> notes;
    auto dir = DataDir::open(*disk, kPath, options_, &notes);
    EXPECT_EQ(dir.is_ok(), index == 10) << status_of(dir);
    if (!dir) {
      EXPECT_NE(dir.status().text().find(path), std::string::npos) << dir.status().text();
      continue;
    }
    EXPECT_FALSE((*dir)->latest_snapshot());
    EXPECT_EQ((*dir)->take_boot_image().entries.size(), 20u);
    EXPECT_TRUE(disk->contents(path + ".damaged"));
    // The next snapshot replaces it, at the opening after.
    auto writer = (*dir)->begin_snapshot(make_meta(15, 1));
    ASSERT_OK(writer);
    ASSERT_OK((*writer)->publish());
    dir->reset();
    auto again = DataDir::open(*disk, kPath, options_, &notes);
    ASSERT_OK(again);
    EXPECT_EQ((*again)->latest_snapshot()->index, Index(15));
    EXPECT_FALSE(disk->contents(path + ".damaged"));
  }
}

}  // namespace
}  // namespace raftcs::storage
