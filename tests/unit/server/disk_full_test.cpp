// disk_full_test.cpp: entries that do not fit never hold back a vote.
#include <gtest/gtest.h>

#include "support/node_harness.hpp"

namespace raftcs::test {
namespace {

raft::Entry entry_of(uint64_t index, uint64_t term, size_t bytes) {
  raft::Entry e;
  e.index = Index(index);
  e.term = Term(term);
  const std::vector<uint8_t> payload(bytes, 7);
  e.payload = Bytes::copy(payload.data(), payload.size());
  return e;
}

struct Directory {
  explicit Directory(uint64_t segment_bytes = 1 << 20, uint64_t reserve_bytes = 0) {
    options.segment_bytes = segment_bytes;
    options.reserve_bytes = reserve_bytes;
    storage::Identity identity;
    identity.node = NodeId(1);
    identity.cluster.bytes[0] = identity.incarnation.bytes[0] = 1;
    EXPECT_TRUE(storage::DataDir::create(disk, "/data", identity).is_ok());
    open();
  }
  void open() {
    std::vector<std::string> notes;
    auto opened = storage::DataDir::open(disk, "/data", options, &notes);
    ASSERT_TRUE(opened) << opened.status().text();
    dir = std::move(*opened);
  }
  storage::Options options;
  sim::SimDisk disk;
  std::unique_ptr<storage::DataDir> dir;
};

TEST(DiskFull, TheHardStateBehindARefusedAppendIsWritten) {
  Directory d;
  server::LogLane lane(*d.dir);
  std::vector<server::LogJob> jobs(4);
  jobs[0].write_seq = 1;
  jobs[0].batch.hard_state = raft::HardState{Term(3), NodeId()};
  jobs[0].batch.append = {entry_of(1, 3, 64)};
  jobs[1].write_seq = 2;
  jobs[1].batch.append = {entry_of(2, 3, 4 << 20)};  // does not fit
  jobs[2].write_seq = 3;
  jobs[2].batch.hard_state = raft::HardState{Term(4), NodeId()};
  jobs[2].batch.truncate_from = Index(2);
  jobs[3].write_seq = 4;
  jobs[3].batch.hard_state = raft::HardState{Term(5), NodeId(2)};
  std::vector<server::LogJob> first(jobs.begin(), jobs.begin() + 1);
  ASSERT_TRUE(lane.run(&first).at(0).status.is_ok());
  jobs.erase(jobs.begin());
  d.disk.set_capacity(d.disk.used_bytes());
  const std::vector<server::LogDone> done = lane.run(&jobs);
  ASSERT_EQ(done.size(), 1u);
  EXPECT_EQ(done[0].status.code(), RAFTCS_ERR_NO_SPACE);
  EXPECT_EQ(done[0].hard_seq, 4u);
  ASSERT_EQ(jobs.size(), 3u) << "the entries wait";

  // A crash now: the vote is there, the log is what it was.
  {
    auto copy = d.disk.clone();
    copy->restart_process();
    copy->set_capacity(std::nullopt);
    std::vector<std::string> notes;
    auto opened = storage::DataDir::open(*copy, "/data", {}, &notes);
    ASSERT_TRUE(opened) << opened.status().text();
    const raft::BootImage image = (*opened)->take_boot_image();
    EXPECT_EQ(image.hard_state.term, Term(5));
    EXPECT_EQ(image.hard_state.vote, NodeId(2));
    EXPECT_EQ(image.entries.size(), 1u);
  }
  // Space: everything is written in order, and the term does not go back.
  d.disk.set_capacity(std::nullopt);
  const std::vector<server::LogDone> later = lane.run(&jobs);
  for (const server::LogDone& one : later) EXPECT_TRUE(one.status.is_ok()) << one.status.text();
  EXPECT_EQ(later.back().write_seq, 4u);
  EXPECT_TRUE(jobs.empty());
  d.dir.reset();
  d.open();
  const raft::BootImage image = d.dir->take_boot_image();
  EXPECT_EQ(image.hard_state.term, Term(5));
  EXPECT_EQ(image.hard_state.vote, NodeId(2));
  EXPECT_EQ(image.entries.size(), 1u);
}

// The compaction waited behind the entries that it would have made room for.
TEST(DiskFull, PS_13_ASnapshotMakesRoomForTheEntriesThatWait) {
  Directory d(64 << 10, 32 << 10);
  server::LogLane lane(*d.dir);
  std::vector<server::LogJob> jobs;
  for (uint64_t index = 1; index <= 20; ++index) {
    server::LogJob& job = jobs.emplace_back();
    job.write_seq = index;
    job.batch.hard_state = raft::HardState{Term(1), NodeId()};
    job.batch.append = {entry_of(index, 1, 30 << 10)};
    lane.run(&jobs);
    ASSERT_TRUE(jobs.empty());
  }
  ASSERT_GT(d.dir->segments().size(), 4u);
  d.disk.set_capacity(d.disk.used_bytes() + (20 << 10));  // below the reserve
  jobs.resize(2);
  jobs[0].write_seq = 21;
  jobs[0].batch.append = {entry_of(21, 1, 1000)};
  jobs[1].compact_to = Index(18);
  EXPECT_EQ(lane.run(&jobs).at(0).status.code(), RAFTCS_ERR_NO_SPACE);
  ASSERT_EQ(jobs.size(), 2u) << "no snapshot covers anything yet";

  raft::SnapshotMeta meta;
  meta.index = Index(18);
  meta.term = Term(1);
  auto writer = d.dir->begin_snapshot(meta);
  ASSERT_TRUE(writer) << writer.status().text();
  ASSERT_TRUE((*writer)->publish());
  jobs[1].compact_to = Index(18);
  for (const server::LogDone& one : lane.run(&jobs))
    EXPECT_TRUE(one.status.is_ok()) << one.status.text();
  EXPECT_TRUE(jobs.empty());
  EXPECT_LT(d.dir->segments().size(), 4u);
}

// Likewise one that comes from the leader: nobody else would ask for what it has replaced.
TEST(DiskFull, PS_13_AReceivedSnapshotMakesRoom) {
  NodeHarness cluster(3, [](server::Options& o) {
    o.segment_bytes = 256 << 10;
    o.disk_reserve_bytes = 1 << 20;
    o.snapshot_entries = 20;
    o.trailing_entries = 0;
  });
  const uint64_t leader = cluster.wait_for_leader();
  ASSERT_NE(leader, 0u);
  TestClient client(cluster, leader);
  ASSERT_TRUE(client.create(1, 1));
  uint64_t id = 0;
  const auto send = [&](int count, size_t bytes) {
    for (int i = 0; i < count; ++i) {
      client.command(1, ++id, bytes);
      cluster.run(20 * kMs);
    }
  };
  send(8, 200'000);
  const uint64_t full = leader % 3 + 1;
  const auto status = [&] { return cluster.node(full).raft_status(); };
  ASSERT_EQ(status().snapshot, Index());
  cluster.disk(full).set_capacity(cluster.disk(full).used_bytes() + (512 << 10));
  send(1, 16);
  ASSERT_LT(status().durable, status().last) << "it waits for space";
  cluster.isolate(full);
  send(60, 16);
  ASSERT_GT(cluster.node(leader).raft_status().first, status().last);
  cluster.isolate(full, false);
  EXPECT_TRUE(cluster.run_until(
      [&] {
        return status().snapshot > Index() &&
               status().durable == cluster.node(leader).raft_status().last;
      },
      10 * kNsPerSecond));
}

TEST(DiskFull, AFollowerThatCannotStoreStillVotes) {
  NodeHarness cluster(3, [](server::Options& o) { o.segment_bytes = 256 << 10; });
  const uint64_t leader = cluster.wait_for_leader();
  ASSERT_NE(leader, 0u);
  TestClient client(cluster, leader);
  ASSERT_TRUE(client.create(1, 1));
  const uint64_t full = leader % 3 + 1, third = full % 3 + 1;
  cluster.disk(full).set_capacity(cluster.disk(full).used_bytes());
  for (uint64_t id = 1; id <= 8; ++id) {
    client.command(1, id, 200'000);
    cluster.run(20 * kMs);
  }
  ASSERT_EQ(client.all<wire::RequestError>().size() + client.all<wire::Response>().size(), 8u);
  ASSERT_NE(cluster.admin(full, "status").json.find("\"health\":\"ok\""), 0u);
  ASSERT_LT(cluster.node(full).raft_status().durable, cluster.node(full).raft_status().last)
      << "entries wait for space";
  cluster.kill(leader);
  ASSERT_TRUE(cluster.run_until(
      [&] { return cluster.node(third).raft().role() == raft::Role::leader; }, 10 * kNsPerSecond))
      << "its only elector has a full disk";
  EXPECT_FALSE(cluster.node(third).serving()) << "nothing can be committed yet";
  cluster.disk(full).set_capacity(std::nullopt);
  ASSERT_TRUE(cluster.run_until([&] { return cluster.node(third).serving(); }, 5 * kNsPerSecond));
}

TEST(DiskFull, ALeaderThatCannotStoreStepsDownAndFollows) {
  NodeHarness cluster(3, [](server::Options& o) { o.segment_bytes = 256 << 10; });
  const uint64_t leader = cluster.wait_for_leader();
  ASSERT_NE(leader, 0u);
  TestClient client(cluster, leader);
  ASSERT_TRUE(client.create(1, 1));
  cluster.disk(leader).set_capacity(cluster.disk(leader).used_bytes());
  for (uint64_t id = 1; id <= 8; ++id) {
    client.command(1, id, 200'000);
    cluster.run(20 * kMs);
  }
  uint64_t next = 0;
  ASSERT_TRUE(cluster.run_until(
      [&] {
        for (uint64_t id = 1; id <= 3; ++id)
          if (id != leader && cluster.node(id).serving()) next = id;
        return next != 0;
      },
      5 * kNsPerSecond));
  EXPECT_FALSE(cluster.node(leader).serving());
  cluster.run(kNsPerSecond);
  EXPECT_EQ(cluster.node(leader).raft().leader(), NodeId(next)) << "it follows the new leader";
  cluster.disk(leader).set_capacity(std::nullopt);
  cluster.run(kNsPerSecond);
  EXPECT_EQ(cluster.node(leader).info().applied, cluster.node(next).info().applied);
}

}  // namespace
}  // namespace raftcs::test
