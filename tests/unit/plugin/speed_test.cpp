// How many commands a second Machine::apply takes with the kv plugin. Not part of the suite:
//   unit_plugin --gtest_also_run_disabled_tests --gtest_filter='*Speed*'
#include <gtest/gtest.h>

#include <chrono>

#include "../../../plugins/common/msgpack_lite.hpp"
#include "plugin/registry.hpp"
#include "rsm/machine.hpp"

namespace raftcs::plugin {
namespace {

constexpr uint64_t kSessions = 64, kBatch = 64, kEntries = 8000, kKeys = 10'000;

std::vector<raft::Entry> make_log() {
  std::vector<raft::Entry> log;
  std::vector<uint64_t> ids(kSessions + 1, 0);
  const std::string value(256, 'v');
  uint64_t n = 0;
  for (uint64_t e = 0; e < kEntries; ++e) {
    rsm::OpsWriter ops;
    for (uint64_t i = 0; i < kBatch; ++i, ++n) {
      const uint64_t session = 1 + n % kSessions;
      const uint64_t id = ++ids[session];
      msgpack_lite::Writer w;
      w.array(3).text("put").bytes("key-" + std::to_string(n * 7919 % kKeys)).bytes(value);
      ops.add_command(SessionNum(session), RequestId(id), RequestId(id > 4 ? id - 4 : 1),
                      ServiceNum(1), w.str().data(), w.str().size());
    }
    log.push_back({Index(e + 2), Term(1), raft::EntryType::ops, {}, ops.take()});
  }
  return log;
}

}  // namespace

TEST(Speed, DISABLED_KvPuts) {
  Registry registry(nullptr);
  ASSERT_TRUE(
      registry.load_file(std::string(RAFTCS_BINARY_DIR) + "/plugins-out/kv.so").is_ok());
  rsm::Machine machine(registry, {});
  rsm::OpsWriter first;
  first.add(rsm::CreateService{"kv", "org.raftcs.kv"});
  for (uint8_t i = 1; i <= kSessions; ++i) {
    Uuid id;
    id.bytes[0] = i;
    first.add(rsm::CreateSession{id, id, 1000, {}});
  }
  rsm::ApplyOutput out;
  ASSERT_TRUE(
      machine.apply({Index(1), Term(1), raft::EntryType::ops, {}, first.take()}, &out).is_ok());
  const std::vector<raft::Entry> log = make_log();
  const auto start = std::chrono::steady_clock::now();
  for (const raft::Entry& entry : log) {
    out.clear();
    ASSERT_TRUE(machine.apply(entry, &out).is_ok());
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  std::printf("%.0f commands/s\n", static_cast<double>(kEntries * kBatch) / took.count());
  EXPECT_EQ(out.replies.size(), kBatch);
}

}  // namespace raftcs::plugin
