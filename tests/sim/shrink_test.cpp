// shrink_test.cpp: a failing run is made smaller, and its scenario fails again.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "sim/sim_replay.hpp"
#include "sim/sim_shrink.hpp"

namespace raftcs::sim {
namespace {

// Fails whenever crashes and two nodes are there: all else must go.
TEST(Shrink, WhatDoesNotMatterGoes) {
  Profile p = profile_of(7);
  p.crashes = p.partitions = p.pauses = true;
  p.nodes = 5;
  const Shrunk s = shrink(p, [](const Profile& q) {
    Report r;
    r.ok = !(q.crashes && q.nodes >= 2);
    if (!r.ok) r.failure = "node " + std::to_string(q.nodes) + " fell";
    return r;
  });
  EXPECT_TRUE(s.profile.crashes);
  EXPECT_FALSE(s.profile.partitions || s.profile.pauses);
  EXPECT_EQ(s.profile.nodes, 2u);
  EXPECT_EQ(s.profile.ops, 1u);
}

// Faults 13 and 40 of 60 must come together.
TEST(Shrink, FaultsThatDoNotMatterAreLeftOut) {
  const Shrunk s = shrink(profile_of(7), [](const Profile& q) {
    Report r;
    r.faults = 60;
    r.ok = q.skip.contains(13) || q.skip.contains(40);
    if (!r.ok) r.failure = "it fell";
    return r;
  });
  EXPECT_EQ(s.profile.skip.size(), 58u);
  EXPECT_FALSE(s.profile.skip.contains(13) || s.profile.skip.contains(40));
  EXPECT_NE(command_of(s.profile).find("skip=1-12,14-39,41-60"), std::string::npos);
  EXPECT_LT(s.runs, 250u);
}

// A whole run with a planted failure: a node is down while the network is cut.
TEST(Shrink, TheScenarioOfAPlantedFailureFailsAgain) {
  Profile p = profile_of(11);
  p.nodes = 3;
  p.crashes = p.partitions = p.pauses = p.planted = true;
  p.fault_phase_ns = 60 * kNsPerSecond;
  const auto run = [](const Profile& q) { return run_seed(q, false); };
  const Report before = run(p);
  ASSERT_FALSE(before.ok);
  const Shrunk s = shrink(p, run);
  // Whom a fault befalls depends on who is up, so more than the two may matter; but each does.
  EXPECT_GT(s.profile.skip.size(), s.faults / 2) << command_of(s.profile);
  for (uint64_t number = 1; number <= s.faults; ++number) {
    if (s.profile.skip.contains(number)) continue;
    Profile without = s.profile;
    without.skip.insert(number);
    EXPECT_TRUE(run(without).ok) << number << " does not matter: " << command_of(s.profile);
  }
  EXPECT_LT(s.profile.ops, p.ops);

  const std::string path = testing::TempDir() + "planted.scenario";
  ASSERT_TRUE(write_scenario(path, s.profile, s.failure));
  const std::vector<Listed> listed = seeds_of(path);
  std::filesystem::remove(path);
  ASSERT_EQ(listed.size(), 1u);
  Profile again = profile_of(listed[0].seed);
  std::string wrong;
  ASSERT_TRUE(pin(listed[0].sets, &again, &wrong)) << wrong;
  EXPECT_EQ(fields_of(again), fields_of(s.profile));
  EXPECT_EQ(run(again).failure, s.failure);
  EXPECT_EQ(s.failure.substr(0, 8), before.failure.substr(0, 8));
}

TEST(Shrink, NumbersAsText) {
  Profile p;
  EXPECT_TRUE(set_field(&p, "skip", "3,1-2,9"));
  EXPECT_EQ(p.skip, (std::set<uint64_t>{1, 2, 3, 9}));
  for (const char* wrong : {"", "1-", "-1", "2-1", "a", "1,,2", "1 2", "1-99999999999"})
    EXPECT_FALSE(set_field(&p, "skip", wrong)) << wrong;
  EXPECT_TRUE(set_field(&p, "skip", "0"));
  EXPECT_TRUE(p.skip.empty());
}

}  // namespace
}  // namespace raftcs::sim
