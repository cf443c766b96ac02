// Files that go bad under a running node: it is told, and mended without leaving the cluster.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "storage/inspect.hpp"
#include "support/node_harness.hpp"

namespace raftcs::test {
namespace {

using nlohmann::json;
using sim::Call;

class ScrubbingTest : public testing::Test {
 protected:
  NodeHarness& c() { return *cluster_; }
  void found(uint64_t count, const NodeHarness::Adjust& adjust = nullptr) {
    cluster_.emplace(count, [&](server::Options& o) {
      o.segment_bytes = 8 << 10;
      o.scrub_bytes_per_second = 64 << 20;
      o.scrub_period_ns = 300 * kMs;
      if (adjust) adjust(o);
    });
  }
  uint64_t leader() { return c().wait_for_leader(); }
  uint64_t follower() { return leader() == 1 ? 2 : 1; }
  json status(uint64_t id) { return json::parse(c().admin(id, "status").json); }
  void work(size_t commands) {
    TestClient client(c(), leader());
    ASSERT_TRUE(client.create(1, ++secret_));
    for (size_t i = 1; i <= commands; ++i) {
      client.command(1, i, 200);
      c().run(2 * kMs);
    }
    c().run(200 * kMs);
  }
  std::vector<std::string> files(uint64_t id, const std::string& kind) {
    std::vector<std::string> all;
    for (const std::string& path : c().disk(id).files())
      if (path.find("/data/" + kind) == 0) all.push_back(path);
    return all;
  }
  // One byte of a record that others follow; what lies between writes is slack.
  bool rot(uint64_t id, const std::string& file) {
    for (uint64_t at = 2060; at < 8000; at += 512) {
      if (!c().disk(id).flip(file, at, 0x10)) return false;
      auto findings = storage::verify_directory(c().disk(id), "/data");
      for (size_t i = 0; findings && i < findings->size(); ++i)
        if ((*findings)[i].damage) return true;
      c().disk(id).flip(file, at, 0x10);
    }
    return false;
  }
  size_t times(uint64_t id, const std::string& part) {
    size_t n = 0;
    for (const std::string& line : c().lines(id)) n += line.find(part) != std::string::npos;
    return n;
  }
  void expect_whole(uint64_t id) {
    auto findings = storage::verify_directory(c().disk(id), "/data");
    ASSERT_TRUE(findings.is_ok());
    for (const storage::Finding& f : *findings) EXPECT_FALSE(f.damage) << f.file << ": " << f.text;
  }
  // It is named, then gone, and nothing of the node has changed.
  void expect_mended(uint64_t id, const std::string& file, const json& before) {
    ASSERT_TRUE(c().run_until([&] { return times(id, "scrubbing found: " + file) > 0; },
                              5 * kNsPerSecond));
    const std::string done = "the damage of " + file + " is made good";
    EXPECT_TRUE(c().run_until([&] { return times(id, done) > 0; }, 15 * kNsPerSecond))
        << status(id).dump(1);
    c().run(kNsPerSecond);
    const json now = status(id);
    EXPECT_EQ(now["incarnation"], before["incarnation"]);
    EXPECT_EQ(now["term"], before["term"]) << "nobody has left";
    EXPECT_EQ(now["health"], "ok");
    EXPECT_EQ(now["scrub"]["found"], 1);
    EXPECT_EQ(now["scrub"]["mended"], 1);
    EXPECT_TRUE(now["scrub"]["damage"].empty());
    EXPECT_EQ(times(id, "scrubbing found"), 1u) << "told once";
    expect_whole(id);
    c().kill(id);
    c().start(id);
    leader();
    work(5);
    EXPECT_EQ(status(id)["incarnation"], before["incarnation"]) << "a start finds nothing";
    EXPECT_EQ(times(id, "damage:"), 1u);
    EXPECT_EQ(status(id)["state_hash"], status(leader())["state_hash"]);
  }

  std::optional<NodeHarness> cluster_;
  uint64_t secret_ = 0;
};

TEST_F(ScrubbingTest, PS_06_ABadRecordOfAClosedSegmentIsToldAndMended) {
  found(3);
  work(100);
  const uint64_t bad = follower();
  const json before = status(bad);
  ASSERT_GE(files(bad, "log-").size(), 3u);
  const std::string file = files(bad, "log-")[1];
  ASSERT_TRUE(rot(bad, file));
  expect_mended(bad, file, before);
  EXPECT_EQ(times(bad, "at offset "), times(bad, "(the last good entry is "));
}

TEST_F(ScrubbingTest, OfTheLeaderAndOfTheSegmentThatIsWrittenTo) {
  found(3, [](server::Options& o) { o.segment_bytes = 1 << 20; });
  work(50);
  const uint64_t bad = leader();
  const json before = status(bad);
  const std::string file = files(bad, "log-")[0];
  ASSERT_TRUE(rot(bad, file));
  expect_mended(bad, file, before);
}

TEST_F(ScrubbingTest, OfASoleVoterToo) {
  found(1);
  work(100);
  const json before = status(1);
  const std::string file = files(1, "log-")[1];
  ASSERT_TRUE(rot(1, file));
  expect_mended(1, file, before);
}

TEST_F(ScrubbingTest, HealthAndStatusNameItWhileItLasts) {
  found(1);
  work(100);
  c().hold_apply(1);  // so that no snapshot can be made
  const std::string file = files(1, "log-")[1];
  ASSERT_TRUE(rot(1, file));
  ASSERT_TRUE(c().run_until([&] { return times(1, "scrubbing found") > 0; }, 5 * kNsPerSecond));
  const json now = status(1);
  EXPECT_NE(now["health"].get<std::string>().find(file + " at offset "), std::string::npos);
  EXPECT_NE(now["health"].get<std::string>().find("do not restart"), std::string::npos);
  EXPECT_TRUE(now["serving"].get<bool>());
  ASSERT_EQ(now["scrub"]["damage"].size(), 1u);
  EXPECT_EQ(now["scrub"]["damage"][0]["file"], file);
  EXPECT_GT(now["scrub"]["damage"][0]["offset"], 0);
  EXPECT_GT(now["scrub"]["damage"][0]["last_good"], 0);
  c().hold_apply(1, false);
  EXPECT_TRUE(c().run_until([&] { return times(1, "is made good") > 0; }, 15 * kNsPerSecond));
}

TEST_F(ScrubbingTest, SN_12_ADamagedSnapshotIsWrittenAnewOfTheSameIndex) {
  found(1);
  work(50);
  ASSERT_TRUE(c().admin(1, "snapshot").status.is_ok());
  c().run(100 * kMs);
  const json before = status(1);
  ASSERT_EQ(before["applied"], before["snapshot_index"]) << "there is nothing new to snapshot";
  const std::string file = files(1, "snapshot-")[0];
  ASSERT_TRUE(c().disk(1).flip(file, c().disk(1).contents(file)->size() - 50, 1));
  ASSERT_TRUE(c().run_until([&] { return times(1, "is made good") > 0; }, 5 * kNsPerSecond));
  expect_mended(1, file, before);
}

// What the leader sends afterwards is the file that there is.
TEST_F(ScrubbingTest, AMendedSnapshotBringsOthersUp) {
  found(3, [](server::Options& o) {
    o.snapshot_entries = 30;
    o.trailing_entries = 2;
  });
  work(20);
  const uint64_t lead = leader(), late = follower();
  c().kill(late);
  work(100);
  c().run(kNsPerSecond);
  const std::string file = files(lead, "snapshot-")[0];
  ASSERT_TRUE(c().disk(lead).flip(file, c().disk(lead).contents(file)->size() - 50, 1));
  ASSERT_TRUE(c().run_until([&] { return times(lead, "is made good") > 0; }, 5 * kNsPerSecond));
  c().start(late);
  EXPECT_TRUE(c().run_until(
      [&] { return status(late)["state_hash"] == status(lead)["state_hash"]; }, 20 * kNsPerSecond));
}

TEST_F(ScrubbingTest, RefuseOnlyTells) {
  found(3, [](server::Options& o) { o.heal_damage = false; });
  work(100);
  const uint64_t bad = follower();
  const std::string file = files(bad, "log-")[1];
  ASSERT_TRUE(rot(bad, file));
  ASSERT_TRUE(c().run_until([&] { return times(bad, "scrubbing found") > 0; }, 5 * kNsPerSecond));
  const auto before = c().disk(bad).contents(file);
  c().run(20 * kNsPerSecond);
  EXPECT_EQ(c().disk(bad).contents(file), before);
  EXPECT_EQ(status(bad)["snapshot_index"], 0);
  EXPECT_EQ(status(bad)["scrub"]["mended"], 0);
  EXPECT_EQ(times(bad, "scrubbing found"), 1u);
  EXPECT_NE(status(bad)["health"].get<std::string>().find("storage.on_damage"), std::string::npos);
}

TEST_F(ScrubbingTest, AReadThatFailsIsToldAndMended) {
  found(1);
  work(100);
  const size_t at_start = times(1, "damage:");
  c().disk(1).fail_nth(Call::read, 3);
  ASSERT_TRUE(c().run_until([&] { return times(1, "is made good") > 0; }, 10 * kNsPerSecond));
  EXPECT_EQ(times(1, "input/output error"), at_start + 1);
  EXPECT_EQ(status(1)["health"], "ok");
}

TEST_F(ScrubbingTest, WithAFullDiskItIsToldAndMendedLater) {
  found(1);
  work(100);
  const std::string file = files(1, "log-")[1];
  ASSERT_TRUE(rot(1, file));
  c().disk(1).set_capacity(c().disk(1).used_bytes());
  ASSERT_TRUE(c().run_until([&] { return times(1, "scrubbing found") > 0; }, 5 * kNsPerSecond));
  c().run(30 * kNsPerSecond);
  EXPECT_EQ(times(1, "is made good"), 0u);
  c().disk(1).set_capacity(std::nullopt);
  EXPECT_TRUE(c().run_until([&] { return times(1, "is made good") > 0; }, 30 * kNsPerSecond));
}

// Segments are recycled and snapshots replaced all the time.
TEST_F(ScrubbingTest, ThereIsNoFalseAlarm) {
  found(3, [](server::Options& o) {
    o.snapshot_entries = 15;
    o.trailing_entries = 3;
    o.scrub_bytes_per_second = 200 << 10;
    o.scrub_period_ns = 10 * kMs;
  });
  for (int i = 0; i < 6; ++i) work(100);
  for (uint64_t id = 1; id <= 3; ++id) {
    EXPECT_GT(status(id)["scrub"]["passes"], 5) << id;
    EXPECT_EQ(status(id)["scrub"]["found"], 0) << id;
    EXPECT_EQ(times(id, "damage"), 0u) << id;
    EXPECT_GT(status(id)["first_index"], 100) << id;
  }
}

TEST_F(ScrubbingTest, NoughtIsOff) {
  found(1, [](server::Options& o) { o.scrub_bytes_per_second = 0; });
  work(100);
  ASSERT_TRUE(rot(1, files(1, "log-")[1]));
  c().run(10 * kNsPerSecond);
  EXPECT_EQ(status(1)["scrub"]["passes"], 0);
  EXPECT_EQ(times(1, "damage"), 0u);
}

}  // namespace
}  // namespace raftcs::test
