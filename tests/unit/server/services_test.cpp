// Making services: what this replica could not apply is not proposed.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "raftcs_plugin.hpp"
#include "support/node_harness.hpp"

namespace raftcs::test {
namespace {

using nlohmann::json;

class Nothing : public raftcs_sm::StateMachine {
 public:
  void apply(const raftcs_sm::Command&, raftcs_sm::Answer&) override {}
  void query(const raftcs_sm::Query& q, raftcs_sm::Answer& answer) override {
    answer.reply(0, std::to_string(q.apply_version));
  }
  std::unique_ptr<raftcs_sm::Snapshot> snapshot() override {
    struct Empty : raftcs_sm::Snapshot {
      void write(raftcs_sm::Writer&) override {}
    };
    return std::make_unique<Empty>();
  }
  void restore(uint32_t, raftcs_sm::Reader& in) override { in.end(); }
};
// A plugin that has left version 1 behind.
class Later : public Nothing {
 public:
  static constexpr raftcs_sm::Type kType{
      .id = "org.test.later", .apply_version_min = 2, .apply_version_max = 3};
};
class Broken : public Nothing {
 public:
  static constexpr raftcs_sm::Type kType{.id = "org.test.broken"};
  Broken() { throw raftcs_sm::Error(RAFTCS_ERR_NO_MEMORY, "none left"); }
};

class ServicesTest : public testing::Test {
 protected:
  ServicesTest() : c_(3, nullptr, {raftcs_sm::type_of<Later>(), raftcs_sm::type_of<Broken>()}) {}
  void SetUp() override { ASSERT_NE(leader_ = c_.wait_for_leader(), 0u); }
  server::AdminResult create(const std::string& name, const std::string& type) {
    return c_.admin(leader_, "service_create", json{{"name", name}, {"type", type}}.dump());
  }
  json services() {
    json names;
    for (const json& s : json::parse(c_.admin(leader_, "services").json))
      names.push_back(s.at("name"));
    return names;
  }
  // The behaviour version that a service runs.
  std::string version(const std::string& service) {
    TestClient client(c_, leader_);
    client.send(wire::Query{0, 1, service, {}, wire::Consistency::stale});
    c_.run(10 * kMs);
    const auto answer = client.last<wire::QueryResponse>();
    return answer ? answer->result.str() : "no answer";
  }
  NodeHarness c_;
  uint64_t leader_ = 0;
};

TEST_F(ServicesTest, ANewClusterGetsThoseThatCanBeMade) {
  EXPECT_EQ(services(), json({"later", "ledger"}));
  EXPECT_EQ(version("later"), "2") << "the lowest: all members are likely to have it";
  size_t told = 0;
  for (const std::string& line : c_.lines(leader_))
    told += line.find("'broken' (org.test.broken) failed in create") != std::string::npos ? 1 : 0;
  EXPECT_EQ(told, 1u);
  EXPECT_TRUE(c_.node(leader_).serving());
}

TEST_F(ServicesTest, OneIsMadeInAVersionThatItsTypeHas) {
  const auto made = create("more", "org.test.later");
  ASSERT_TRUE(made.status.is_ok()) << made.status.text();
  EXPECT_EQ(version("more"), "2");
}

TEST_F(ServicesTest, OneThatCannotBeMadeIsRefusedAndNothingStops) {
  EXPECT_EQ(create("more", "org.test.broken").status.code(), RAFTCS_ERR_PLUGIN_FAILED);
  EXPECT_EQ(create("more", "org.test.none").status.code(), RAFTCS_ERR_NOT_FOUND);
  EXPECT_TRUE(create("more", sim::kLedgerType).status.is_ok());
}

TEST_F(ServicesTest, TwoCallersWhoMeanOneNameHaveAnOutcomeEach) {
  const auto args = [](const char* type) {
    return json{{"name", "more"}, {"type", type}}.dump();
  };
  c_.hold_apply(leader_);
  c_.node(leader_).admin(500, "service_create", args("org.test.later"), c_.now());
  const auto second = [&] {
    c_.hold_apply(leader_, false);
    return create("more", sim::kLedgerType);
  }();
  EXPECT_FALSE(second.status.is_ok()) << "it is of the other type";
  c_.run(kNsPerSecond);
  EXPECT_EQ(create("more", "org.test.later").status.code(), RAFTCS_ERR_ALREADY_EXISTS);
}

TEST_F(ServicesTest, WhoWaitsIsToldWhenTheNodeLeadsNoMore) {
  c_.hold_apply(leader_);
  c_.isolate(leader_);
  const auto late = create("more", "org.test.later");
  EXPECT_EQ(late.status.code(), RAFTCS_ERR_DROPPED) << late.status.text();
}

}  // namespace
}  // namespace raftcs::test
