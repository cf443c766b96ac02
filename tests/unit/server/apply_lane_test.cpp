// apply_lane_test.cpp: the apply lane on a data directory of its own: large results leave it in
// parts (thousands of accepted queries may answer some MiB each), snapshots replace what waits.
#include <gtest/gtest.h>

#include "raftcs_plugin.hpp"
#include "rsm/ops.hpp"
#include "server/lanes.hpp"
#include "sim/ledger_machine.hpp"
#include "support/sim_disk.hpp"

namespace raftcs::server {
namespace {

constexpr uint64_t kMax = 1'000, kEach = 300;

// Answers kEach bytes to whatever it is told or asked.
class Talker : public raftcs_sm::StateMachine {
 public:
  static constexpr raftcs_sm::Type kType{.id = "org.test.talker"};
  void apply(const raftcs_sm::Command&, raftcs_sm::Answer& answer) override {
    answer.reply(0, std::string(kEach, 'a'));
  }
  void query(const raftcs_sm::Query&, raftcs_sm::Answer& answer) override {
    answer.reply(0, std::string(kEach, 'q'));
  }
  std::unique_ptr<raftcs_sm::Snapshot> snapshot() override { return nullptr; }
  void restore(uint32_t, raftcs_sm::Reader&) override {}
};

class LaneTest : public testing::Test {
 protected:
  void SetUp() override {
    storage::Identity identity;
    identity.node = NodeId(1);
    identity.cluster.bytes[0] = identity.incarnation.bytes[0] = 1;
    ASSERT_TRUE(storage::DataDir::create(disk_, "/data", identity).is_ok());
    auto dir = storage::DataDir::open(disk_, "/data", {}, nullptr);
    ASSERT_TRUE(dir) << dir.status().text();
    dir_ = std::move(*dir);
  }

  sim::SimDisk disk_;
  std::unique_ptr<storage::DataDir> dir_;
};

struct TalkerTypes : sim::LedgerTypes {
  const raftcs_sm_type_t* find(const std::string&) override {
    return raftcs_sm::type_of<Talker>();
  }
};

class ResultsInParts : public LaneTest {
 protected:
  void SetUp() override {
    LaneTest::SetUp();
    lane_.emplace(*dir_, types_, rsm::Limits{}, kMax);
    Uuid one;
    one.bytes[0] = 1;
    rsm::OpsWriter ops;
    ops.add(rsm::CreateService{"talker", Talker::kType.id});
    ops.add(rsm::CreateSession{one, one, 1000, {}});
    jobs_.emplace_back(ApplyEntries{{entry(1, std::move(ops))}});
    EXPECT_EQ(run().applied, Index(1));
  }
  static raft::Entry entry(uint64_t index, rsm::OpsWriter ops) {
    return {Index(index), Term(1), raft::EntryType::ops, {}, ops.take()};
  }
  static ApplyEntries commands(uint64_t first, uint64_t last) {  // one in each entry
    ApplyEntries job;
    for (uint64_t i = first; i <= last; ++i) {
      rsm::OpsWriter ops;
      ops.add_command(SessionNum(1), RequestId(i), RequestId(1), ServiceNum(1), "x", 1);
      job.entries.push_back(entry(i, std::move(ops)));
    }
    return job;
  }
  static ApplyQueries queries(uint64_t first, uint64_t last) {
    ApplyQueries job;
    for (uint64_t i = first; i <= last; ++i) {
      QueryItem item;
      item.correlation = i;
      item.service = ServiceNum(1);
      job.items.push_back(item);
    }
    return job;
  }
  ApplyDone run() {
    ApplyDone done;
    lane_->run(&jobs_, &done);
    EXPECT_TRUE(done.halted.is_ok()) << done.halted.text();
    return done;
  }

  TalkerTypes types_;
  std::optional<ApplyLane> lane_;
  std::vector<ApplyJob> jobs_;
};

TEST_F(ResultsInParts, QueriesKeepTheirOrderAndSeeWhatCameBeforeThem) {
  jobs_.emplace_back(queries(1, 10));
  jobs_.emplace_back(commands(2, 11));
  jobs_.emplace_back(queries(11, 12));
  uint64_t next = 1, parts = 0;
  Index applied;
  while (!jobs_.empty()) {
    const ApplyDone done = run();
    ++parts;
    ASSERT_LT(parts, 100u);
    uint64_t bytes = 0;
    for (const QueryDone& q : done.queries) {
      EXPECT_EQ(q.item.correlation, next++);
      EXPECT_EQ(q.applied, q.item.correlation <= 10 ? Index(1) : Index(11));
      bytes += q.result.data.size();
    }
    for (const rsm::Reply& r : done.output.replies) {
      EXPECT_EQ(r.id.value, r.index.value);
      bytes += r.data.size();
    }
    EXPECT_EQ(done.result_bytes, bytes);
    EXPECT_LT(bytes, kMax + kEach);
    EXPECT_GE(done.applied, applied);
    applied = done.applied;
  }
  EXPECT_EQ(next, 13u);
  EXPECT_EQ(applied, Index(11));
  EXPECT_EQ(parts, 6u);  // 22 results, four in each
}

TEST_F(ResultsInParts, AJobThatComesMeanwhileWaitsForTheRest) {
  jobs_.emplace_back(commands(2, 9));
  EXPECT_EQ(run().applied, Index(5));
  jobs_.emplace_back(queries(1, 1));
  const ApplyDone second = run();
  EXPECT_EQ(second.applied, Index(9));
  EXPECT_TRUE(second.queries.empty());
  const ApplyDone third = run();
  ASSERT_EQ(third.queries.size(), 1u);
  EXPECT_EQ(third.queries[0].applied, Index(9));
  EXPECT_TRUE(jobs_.empty());
}

class ApplyLaneTest : public LaneTest {
 protected:
  struct Types : sim::LedgerTypes {
    bool missing = false;
    const raftcs_sm_type_t* find(const std::string& id) override {
      return missing ? nullptr : sim::LedgerTypes::find(id);
    }
  };
  void SetUp() override {
    LaneTest::SetUp();
    maker_.emplace(*dir_, types_, rsm::Limits{});
    behind_.emplace(*dir_, behind_types_, rsm::Limits{});
  }
  // The first of all creates the service 1.
  static ApplyEntries entries(uint64_t first, uint64_t last) {
    ApplyEntries entries;
    for (uint64_t i = first; i <= last; ++i) {
      raft::Entry e;
      e.index = Index(i);
      e.term = Term(1);
      e.type = i == 1 ? raft::EntryType::ops : raft::EntryType::noop;
      rsm::OpsWriter ops;
      ops.add(rsm::CreateService{"ledger", sim::kLedgerType});
      if (i == 1) e.payload = ops.take();
      entries.entries.push_back(e);
    }
    return entries;
  }
  static ApplyDone run(ApplyLane& lane, ApplyJob job) {
    std::vector<ApplyJob> jobs;
    jobs.push_back(std::move(job));
    ApplyDone done;
    lane.run(&jobs, &done);
    EXPECT_TRUE(done.halted.is_ok()) << done.halted.text();
    return done;
  }
  raft::SnapshotMeta publish_at(uint64_t first, uint64_t last) {
    run(*maker_, entries(first, last));
    ApplyDone begun = run(*maker_, ApplyBeginSnapshot{});
    SnapshotJob job = SnapshotWrite{std::move(begun.snapshot), begun.snapshot_meta};
    SnapshotDone done = SnapshotLane(*dir_).run(job, [] { return false; });
    auto& written = std::get<SnapshotWritten>(done);
    EXPECT_TRUE(written.status.is_ok()) << written.status.text();
    return written.meta;
  }

  Types types_, behind_types_;
  std::optional<ApplyLane> maker_, behind_;
};

// Between the order to restore a snapshot and its execution a later one was published, which
// removes the file of the first: the later one is restored, and its own order is then passed over.
TEST_F(ApplyLaneTest, ASnapshotReplacedBeforeItIsRestoredIsPassedOver) {
  const raft::SnapshotMeta first = publish_at(1, 5), second = publish_at(6, 9);
  ASSERT_EQ(first.index, Index(5));
  ASSERT_FALSE(dir_->open_snapshot(first.index)) << "the first one's file should be gone";
  EXPECT_EQ(run(*behind_, ApplyRestore{first}).applied, Index(9));
  EXPECT_EQ(run(*behind_, ApplyRestore{second}).applied, Index(9));
}

// A query waits for entries that a snapshot then replaces: it sees them nevertheless. A snapshot
// that was to be taken after them is not: its members were those of another index.
TEST_F(ApplyLaneTest, AQueryWhoseEntriesASnapshotReplacesSeesThem) {
  behind_types_.missing = true;
  std::vector<ApplyJob> jobs;
  QueryItem query;
  query.service = ServiceNum(1);
  jobs.push_back(entries(1, 5));
  jobs.push_back(ApplyQueries{{query}});
  jobs.push_back(ApplyBeginSnapshot{});
  jobs.push_back(ApplyFindSilent{});
  ApplyDone halted;
  behind_->run(&jobs, &halted);
  ASSERT_FALSE(halted.halted.is_ok());
  ASSERT_TRUE(halted.queries.empty());

  behind_types_.missing = false;
  jobs.push_back(ApplyRestore{publish_at(1, 9)});
  jobs.push_back(entries(10, 10));
  ApplyDone done;
  behind_->run(&jobs, &done);
  ASSERT_TRUE(done.halted.is_ok()) << done.halted.text();
  EXPECT_TRUE(jobs.empty());
  EXPECT_EQ(done.applied, Index(10));
  ASSERT_EQ(done.queries.size(), 1u);
  EXPECT_TRUE(done.queries[0].result.status.is_ok()) << done.queries[0].result.status.text();
  EXPECT_TRUE(done.silent_found);
  EXPECT_EQ(done.snapshot, nullptr);
  EXPECT_FALSE(done.snapshot_failed.is_ok());
}

// Work that takes long is told of from time to time, and given up when the server ends.
TEST_F(ResultsInParts, ThePaceEndsARunBetweenTwoEntries) {
  int asked = 0;
  lane_->set_pace([&] { return ++asked > 3; }, nullptr);
  jobs_.emplace_back(commands(2, 9));
  EXPECT_EQ(run().applied, Index(3));
  EXPECT_FALSE(jobs_.empty());
  asked = 0;
  EXPECT_EQ(run().applied, Index(5));
  lane_->set_pace([] { return true; }, nullptr);  // the server ends
  EXPECT_EQ(run().applied, Index(5));
  EXPECT_FALSE(jobs_.empty());
}

TEST_F(ApplyLaneTest, ARestoreIsGivenUpWhenTheServerEnds) {
  const raft::SnapshotMeta meta = publish_at(1, 5);
  behind_->set_pace(nullptr, [] { return true; });
  std::vector<ApplyJob> jobs;
  jobs.push_back(ApplyRestore{meta});
  ApplyDone done;
  behind_->run(&jobs, &done);
  EXPECT_EQ(done.halted.code(), RAFTCS_ERR_CANCELLED) << done.halted.text();
  EXPECT_EQ(jobs.size(), 1u);
  EXPECT_EQ(done.applied, Index());
}

// A machine that failed in the middle of an entry has made a part of its hash: told as that of the
// entry before, it would look as if the replicas differed.
TEST_F(ApplyLaneTest, TheHashToldIsThatOfAWholeEntry) {
  run(*behind_, entries(1, 3));
  const uint64_t whole = run(*maker_, entries(1, 3)).state_hash;
  Uuid one;
  one.bytes[0] = 1;
  rsm::OpsWriter ops;
  ops.add(rsm::CreateSession{one, one, 1000, {}});
  const sim::LedgerOp op{1, 1, 1};
  ops.add_command(SessionNum(1), RequestId(1), RequestId(1), ServiceNum(1),
                  reinterpret_cast<const uint8_t*>(&op), sizeof op);
  ApplyEntries job;
  job.entries.push_back({Index(4), Term(1), raft::EntryType::ops, {}, ops.take()});
  behind_types_.faults().applies = 1;
  std::vector<ApplyJob> jobs;
  jobs.push_back(job);
  ApplyDone done;
  behind_->run(&jobs, &done);
  ASSERT_FALSE(done.halted.is_ok());
  EXPECT_EQ(done.applied, Index(3));
  EXPECT_EQ(done.state_hash, whole);
  EXPECT_NE(run(*maker_, job).state_hash, whole);
}

}  // namespace
}  // namespace raftcs::server
