// A survivor that is forced to be a new cluster: what was under way in its directory before, and
// what a crash in between leaves. The whole of it on nodes is in membership_test.cpp.
#include "server/recovery.hpp"

#include <gtest/gtest.h>

#include <set>

#include "base/prng.hpp"
#include "raft/membership.hpp"
#include "rsm/ops.hpp"
#include "server/bootstrap.hpp"
#include "storage/healing.hpp"
#include "storage/reseed_mark.hpp"
#include "support/node_harness.hpp"

namespace raftcs::server {
namespace {

using sim::Fate;
using sim::SimDisk;

constexpr char kData[] = "/data";
constexpr char kAside[] = "/data/damaged";
constexpr uint64_t kSessions = 300;  // their ends take more than one sector
constexpr uint64_t kChangesMax = 60;

class SurvivorTest : public testing::Test {
 protected:
  void SetUp() override {
    options_.id = NodeId(1);
    options_.data_dir = kData;
    old_.cluster.bytes.fill(0xC1);
    old_.node = NodeId(1);
    old_.incarnation.bytes.fill(0x1C);
    ASSERT_TRUE(storage::DataDir::create(disk_, kData, old_).is_ok());
    auto dir = storage::DataDir::open(disk_, kData, {}, nullptr);
    ASSERT_TRUE(dir.is_ok());
    raft::Membership three;
    for (uint64_t id = 1; id <= 3; ++id) {
      raft::Member member;
      member.id = NodeId(id);
      member.peer_address = member.client_address = "tcp://" + std::string(240, 'h') + ":1";
      three.members.push_back(member);
    }
    rsm::OpsWriter ops;
    for (uint64_t i = 0; i < kSessions; ++i) ops.add(rsm::CreateSession{});
    storage::WriteBatch batch;
    batch.hard_state = {Term(1), NodeId(1)};
    batch.append.push_back(
        {Index(1), Term(1), raft::EntryType::config, LogTime{1}, raft::encode_membership(three)});
    batch.append.push_back({Index(2), Term(1), raft::EntryType::ops, LogTime{2}, ops.take()});
    ASSERT_TRUE((*dir)->write(batch).is_ok());
    dir->reset();
    keep_all(disk_);
  }

  static void keep_all(SimDisk& disk) {
    disk.crash(std::vector<Fate>(disk.pending_count(), Fate::kept));
  }
  Result<Recovery> force(SimDisk& disk, const std::string& path = kData) {
    return force_new_cluster(disk, path, random_, true);
  }
  // As a start of the server does it.
  Result<std::unique_ptr<storage::DataDir>> start(SimDisk& disk) {
    return open_data_dir(disk, options_, random_, nullptr);
  }
  // The run is cut after each of its changes, until it ends; the disk keeps this or that.
  template <class Check>
  void after_each_crash(Check check) {
    bool done = false;
    for (uint64_t changes = 0; changes < kChangesMax && !done; ++changes) {
      for (uint64_t seed = 1; seed <= 8; ++seed) {
        auto disk = disk_.clone();
        disk->power_off_after(changes);
        done = force(*disk).is_ok();
        Prng prng(changes * 100 + seed);
        disk->crash(prng);
        check(*disk, std::to_string(changes) + ", seed " + std::to_string(seed) + ": ");
      }
    }
    EXPECT_TRUE(done) << "it never came to its end";
  }
  bool marked(SimDisk& disk) {
    auto found = storage::is_marked_for_reseed(disk, kData);
    EXPECT_TRUE(found.is_ok());
    return *found;
  }

  // What is in a directory.
  struct Found {
    bool renewed = false, alone = false;
    std::set<uint64_t> open;  // sessions
  };
  Found look(SimDisk& disk, const std::string& path = kData) {
    Found found;
    auto dir = storage::DataDir::open(disk, path, {}, nullptr);
    EXPECT_TRUE(dir.is_ok()) << dir.status().text();
    if (!dir) return found;
    found.renewed = (*dir)->identity().cluster != old_.cluster;
    uint64_t created = 0;
    const raft::BootImage image = (*dir)->take_boot_image();
    for (const raft::Entry& e : image.entries) {
      if (e.type == raft::EntryType::config)
        found.alone = raft::decode_membership(e.payload)->members.size() == 1;
      if (e.type != raft::EntryType::ops) continue;
      rsm::OpsReader ops(e.payload);
      for (rsm::Op op; ops.next(&op);) {
        if (std::holds_alternative<rsm::CreateSession>(op)) found.open.insert(++created);
        if (const auto* close = std::get_if<rsm::CloseSession>(&op))
          found.open.erase(close->session.value);
      }
    }
    return found;
  }
  // It was given again after a crash: all is done, now or before.
  void expect_finished(SimDisk& disk, const std::string& where) {
    auto again = force(disk);
    EXPECT_TRUE(again.is_ok() || again.status().code() == RAFTCS_ERR_BAD_STATE)
        << where << again.status().text();
    const Found found = look(disk);
    EXPECT_TRUE(found.renewed && found.alone) << where;
    EXPECT_EQ(found.open.size(), 0u) << where;
  }

  SimDisk disk_;
  Options options_;
  storage::Identity old_;
  test::SeededRandom random_{77};
};

TEST_F(SurvivorTest, AWriteThatTearsAnywhereIsFinishedByAnotherRun) {
  uint64_t torn = 0, ended_only = 0;
  bool done = false;
  for (uint64_t changes = 0; changes < kChangesMax && !done; ++changes) {
    for (size_t kept = 0;; ++kept) {
      auto disk = disk_.clone();
      disk->power_off_after(changes);
      done = force(*disk).is_ok();
      const size_t pending = disk->pending_count();
      if (kept > pending) break;
      disk->crash(std::vector<Fate>(kept, Fate::kept));
      const std::string where =
          "after " + std::to_string(changes) + " changes, kept " + std::to_string(kept) + ": ";
      const Found found = look(*disk);
      EXPECT_FALSE(found.alone && !found.renewed) << where;
      torn += found.renewed && !found.alone ? 1 : 0;
      ended_only += found.open.empty() && !found.alone ? 1 : 0;
      expect_finished(*disk, where);
    }
  }
  EXPECT_GT(torn, 3u);
  EXPECT_GT(ended_only, 0u);
  EXPECT_TRUE(done);
}

TEST_F(SurvivorTest, AnyCrashOfTheRunIsFinishedByAnotherRun) {
  after_each_crash([&](SimDisk& disk, const std::string& where) { expect_finished(disk, where); });
}

// The mark asked for the data of the others, who are lost.
TEST_F(SurvivorTest, AMarkToBeginAnewGoesAndIsTold) {
  ASSERT_TRUE(storage::mark_for_reseed(disk_, kData).is_ok());
  auto looked = force_new_cluster(disk_, kData, random_, false);
  ASSERT_TRUE(looked.is_ok());
  EXPECT_TRUE(looked->marked);
  EXPECT_TRUE(marked(disk_)) << "looking changes nothing";
  auto done = force(disk_);
  ASSERT_TRUE(done.is_ok()) << done.status().text();
  EXPECT_TRUE(done->marked);
  EXPECT_FALSE(marked(disk_));
  auto dir = start(disk_);
  ASSERT_TRUE(dir.is_ok()) << dir.status().text();
  EXPECT_EQ((*dir)->identity().cluster, done->new_cluster);
  EXPECT_EQ((*dir)->healing(), nullptr);
  dir->reset();
  EXPECT_TRUE(look(disk_).alone);
}

TEST_F(SurvivorTest, NoCrashLeavesAMarkOnANewCluster) {
  ASSERT_TRUE(storage::mark_for_reseed(disk_, kData).is_ok());
  keep_all(disk_);
  uint64_t unmarked = 0;
  after_each_crash([&](SimDisk& disk, const std::string& where) {
    unmarked += marked(disk) ? 0 : 1;
    EXPECT_FALSE(look(disk).renewed && marked(disk)) << where;
  });
  EXPECT_GT(unmarked, 8u);
}

// What a mark costs a node that has become the only one; its data is good.
TEST_F(SurvivorTest, AStartThatCannotBeginAnewNamesTheMark) {
  ASSERT_TRUE(force(disk_).is_ok());
  ASSERT_TRUE(storage::mark_for_reseed(disk_, kData).is_ok());
  const Status refused = start(disk_).status();
  EXPECT_EQ(refused.code(), RAFTCS_ERR_CORRUPT);
  EXPECT_NE(refused.text().find("/data/reseed"), std::string::npos) << refused.text();
  ASSERT_TRUE(disk_.remove("/data/reseed").is_ok());
  EXPECT_TRUE(start(disk_).is_ok());
}

// Wherever setting aside was interrupted: nothing is forced before it is finished, and then what
// there was can be.
TEST_F(SurvivorTest, RefusedWhileItsDataIsBeingSetAside) {
  storage::Healing healing;
  healing.fresh = old_;
  healing.fresh.joined = true;
  healing.fresh.incarnation.bytes.fill(0x77);
  uint64_t begun = 0;
  bool done = false;
  for (uint64_t changes = 0; changes < kChangesMax && !done; ++changes) {
    auto disk = disk_.clone();
    ASSERT_TRUE(storage::mark_for_reseed(*disk, kData).is_ok());
    disk->power_off_after(changes);
    done = storage::heal_directory(*disk, kData, healing).is_ok();
    keep_all(*disk);
    if (!*disk->exists("/data/healing.begun")) continue;
    ++begun;
    const std::vector<std::string> before = disk->files();
    for (bool confirmed : {false, true}) {
      auto refused = force_new_cluster(*disk, kData, random_, confirmed);
      EXPECT_EQ(refused.status().code(), RAFTCS_ERR_BAD_STATE) << changes;
      EXPECT_NE(refused.status().text().find(kAside), std::string::npos) << refused.status().text();
    }
    EXPECT_EQ(disk->files(), before);
    // What the text says: started once, then another place for what there was.
    auto dir = start(*disk);
    ASSERT_TRUE(dir.is_ok()) << changes << ": " << dir.status().text();
    dir->reset();
    ASSERT_TRUE(force(*disk, kAside).is_ok()) << changes;
    const Found found = look(*disk, kAside);
    EXPECT_TRUE(found.renewed && found.alone);
    EXPECT_FALSE(*disk->exists("/data/damaged/reseed"));
  }
  EXPECT_GT(begun, 5u);
}

}  // namespace
}  // namespace raftcs::server
