// membership_fixture.hpp: whole nodes whose members change; for tests of that, and of lost disks.
#pragma once

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "raft/membership.hpp"
#include "support/node_harness.hpp"

namespace raftcs::test {

using nlohmann::json;

inline json one(const char* verb, uint64_t id) { return {{"do", verb}, {"id", id}}; }
inline json addresses(json change, uint64_t id) {
  change["peer_address"] = "tcp://10.0.0." + std::to_string(id) + ":7101";
  change["client_address"] = "tcp://10.0.0." + std::to_string(id) + ":7001";
  return change;
}
inline json replace(uint64_t id, uint64_t with) {
  json change = one("replace", id);
  change["with"] = with;
  return change;
}
class MembershipTest : public testing::Test {
 protected:
  server::AdminResult change(uint64_t at, const std::vector<json>& changes,
                             uint64_t timeout_ms = 4'000) {
    return c().admin(at, "member_change",
                     json{{"changes", changes}, {"wait", true}, {"timeout_ms", timeout_ms}}.dump());
  }
  void must(const std::vector<json>& changes) {
    const server::AdminResult r = change(leader(), changes);
    ASSERT_TRUE(r.status.is_ok()) << json(changes).dump() << ": " << r.status.text();
  }
  uint64_t leader() { return c().wait_for_leader(); }
  uint64_t follower() {
    const uint64_t lead = leader();
    for (uint64_t id = 1; id <= 3; ++id)
      if (id != lead) return id;
    return 0;
  }
  json status(uint64_t id) { return json::parse(c().admin(id, "status").json); }
  std::string standing(uint64_t id) { return status(id)["standing"]; }
  void bind() {
    ASSERT_TRUE(c().run_until(
        [&] {
          const uint64_t lead = c().wait_for_leader();
          for (const raft::Member& m : c().node(lead).raft().membership().members)
            if (m.incarnation.is_zero()) return false;
          return true;
        },
        10 * kNsPerSecond));
  }
  std::vector<uint64_t> voters() {
    std::vector<uint64_t> ids;
    for (const raft::Member& m : c().node(leader()).raft().membership().members)
      if (m.role == raft::MemberRole::voter) ids.push_back(m.id.value);
    return ids;
  }
  // All at once; then they are started as they were the first time.
  void lose_disks(const std::vector<uint64_t>& ids) {
    for (uint64_t id : ids) c().kill(id), c().wipe(id);
    for (uint64_t id : ids) c().start(id);
  }
  void found(uint64_t count) { cluster_.emplace(count); }
  NodeHarness& c() { return *cluster_; }

  std::optional<NodeHarness> cluster_;
};

}  // namespace raftcs::test
