// What a leader had to do while its apply lane stood is done when it applies again.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "raft/membership.hpp"
#include "support/node_harness.hpp"

namespace raftcs::test {
namespace {

using nlohmann::json;

// Node 1 is the only voter, so it cannot hand over; node 2 joins it.
class HaltedTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_EQ(c_.wait_for_leader(), 1u); }
  void halt() {
    c_.hold_apply(1);
    say("the plugin is missing");
    ASSERT_FALSE(c_.node(1).serving());
  }
  void apply_again() {
    say("");
    c_.hold_apply(1, false);
    c_.run(10 * kMs);
    ASSERT_TRUE(c_.node(1).serving());
  }
  void say(const std::string& halted) {
    server::ApplyDone done;
    done.applied = c_.node(1).info().applied;
    if (!halted.empty()) done.halted = {RAFTCS_ERR_PLUGIN_LOAD, halted};
    c_.node(1).apply_done(std::move(done), c_.now());
    c_.settle();
  }
  void change(json one) {
    one["id"] = 2;
    one["peer_address"] = "tcp://10.0.0.2:7101";
    one["client_address"] = "tcp://10.0.0.2:7001";
    const auto r =
        c_.admin(1, "member_change", json{{"changes", json::array({one})}, {"wait", true}}.dump());
    ASSERT_TRUE(r.status.is_ok()) << r.status.text();
  }
  raft::Member two() {
    const raft::Member* m = raft::find_member(c_.node(1).raft().membership(), NodeId(2));
    return m == nullptr ? raft::Member() : *m;
  }
  NodeHarness c_;
};

TEST_F(HaltedTest, AReturningMemberGetsItsVote) {
  ASSERT_EQ(c_.start_joiner(), 2u);
  change({{"do", "add"}});
  change({{"do", "promote"}});
  c_.run(kNsPerSecond);
  // Between the two steps of this.
  const json args{{"changes", json::array({{{"do", "replace"}, {"id", 2}, {"with", 2}}})}};
  c_.node(1).admin(1'000'000, "member_change", args.dump(), c_.now());
  ASSERT_TRUE(c_.run_until([&] { return two().returning; }, kNsPerSecond));
  halt();
  c_.run(4 * kNsPerSecond);
  ASSERT_TRUE(two().returning) << "nothing is changed meanwhile";
  apply_again();
  EXPECT_TRUE(
      c_.run_until([&] { return two().role == raft::MemberRole::voter; }, 5 * kNsPerSecond));
}

TEST_F(HaltedTest, ADiskThatWasHeardIsBound) {
  ASSERT_EQ(c_.start_joiner(), 2u);
  c_.isolate(2);
  change({{"do", "add"}});
  halt();
  c_.run(4 * kNsPerSecond);
  c_.isolate(2, false);
  c_.run(4 * kNsPerSecond);
  ASSERT_TRUE(two().incarnation.is_zero()) << "nothing is changed meanwhile";
  apply_again();
  EXPECT_TRUE(c_.run_until([&] { return !two().incarnation.is_zero(); }, 5 * kNsPerSecond));
}

}  // namespace
}  // namespace raftcs::test
