// The checks of raftcs-plugin-check: the reference plugins pass, and each kind of fault is found.
#include <gtest/gtest.h>

#include "../../../plugins/common/msgpack_lite.hpp"
#include "plugin/registry.hpp"
#include "raftcs_plugin.hpp"
#include "tools/raftcs-plugin-check/checks.hpp"

namespace plugin_check {
namespace {

using msgpack_lite::Writer;

Writer op(std::string_view name, std::string_view key, uint32_t size) {
  Writer w;
  w.array(size).text(name).bytes(key);
  return w;
}

std::string failures(const raftcs_sm_type_t* type, const Options& options) {
  std::string all;
  for (const Finding& f : check_type(type, options))
    if (!f.passed) all += f.check + ": " + f.text + "\n";
  return all;
}

constexpr size_t kAnswerBytesMax = 16 << 20;

// Adds up the lengths of commands; `fault` makes it wrong in one way.
template <int fault>
class Faulty : public raftcs_sm::StateMachine {
 public:
  static constexpr raftcs_sm::Type kType{
      .id = "org.test.faulty",
      .flags = (fault == 7 ? uint32_t{RAFTCS_SM_CONCURRENT_SNAPSHOT} : 0) |
               (fault == 12 ? uint32_t{RAFTCS_SM_HAS_DIGEST} : 0),
      .timers = fault == 8 || fault == 9};
  void apply(const raftcs_sm::Command& c, raftcs_sm::Answer& a) override {
    static uint64_t calls = 0;
    sum_ += c.data.size() + (fault == 1 ? ++calls : 0);
    if (fault == 2 && c.data.size() == 3) throw raftcs_sm::Error(RAFTCS_ERR_NO_MEMORY, "three");
    last_ = c.data.size();
    if (due_ns_ == INT64_MAX) due_ns_ = c.time_ns + 5'000'000'000;
    if (fault == 11 && c.index == 77 && !a.push(2, std::string(kAnswerBytesMax + 1, 'x')))
      throw raftcs_sm::Error(RAFTCS_ERR_INTERNAL, "it was not pushed");
    if (fault == 10 && c.index == 77) return a.reply(0, std::string(kAnswerBytesMax + 1, 'x'));
    a.reply(0, std::to_string(sum_));
  }
  void session_ended(const raftcs_sm::SessionEvent&, raftcs_sm::Answer&) override {
    if (fault == 13) sum_ += last_;
  }
  int64_t next_timer_ns() override {
    if (fault == 8) throw raftcs_sm::Error(RAFTCS_ERR_INTERNAL, "not known");
    return due_ns_;
  }
  void timer(const raftcs_sm::Timer&, raftcs_sm::Answer&) override { due_ns_ = INT64_MAX; }
  uint64_t digest() override { throw raftcs_sm::Error(RAFTCS_ERR_INTERNAL, "not known"); }
  void query(const raftcs_sm::Query&, raftcs_sm::Answer& a) override {
    if (fault == 3) ++sum_;
    a.reply(0);
  }
  class Copy : public raftcs_sm::Snapshot {
   public:
    explicit Copy(const uint64_t& sum) : live_(sum), sum_(sum) {}
    void write(raftcs_sm::Writer& out) override {
      try {
        out.u64(fault == 7 ? live_ : sum_);
      } catch (const raftcs_sm::Error&) {
        if (fault != 4) throw;
      }
    }

   private:
    const uint64_t& live_;
    uint64_t sum_;
  };
  std::unique_ptr<raftcs_sm::Snapshot> snapshot() override { return std::make_unique<Copy>(sum_); }
  void restore(uint32_t, raftcs_sm::Reader& in) override {
    try {
      sum_ = in.u64() + (fault == 6 ? 1 : 0);
    } catch (const raftcs_sm::Error&) {
      if (fault != 5) throw;
    }
  }

 private:
  uint64_t sum_ = 0;
  // Not in the snapshot, which matters to faults 9 and 13 only.
  int64_t due_ns_ = INT64_MAX;
  uint64_t last_ = 0;
};

}  // namespace

TEST(PluginCheck, ReferencePluginsPass) {
  raftcs::plugin::Registry registry(nullptr);
  Options options;
  for (const char* name : {"kv", "counter"}) {
    const auto loaded =
        registry.load_file(std::string(RAFTCS_BINARY_DIR) + "/plugins-out/" + name + ".so");
    ASSERT_TRUE(loaded.is_ok()) << loaded.status().text();
  }
  for (const char* key : {"a", "b", "ab"}) {
    for (const Writer& w :
         {op("put", key, 3).bytes("value"), op("put", key, 3).bytes("7"), op("del", key, 2),
          op("cas", key, 4).bytes("7").bytes("8"), op("cas", key, 4).nil().bytes("1"),
          op("incr", key, 3).integer(3), op("append", key, 3).bytes("0"),
          op("watch", key, 3).boolean(true), op("watch", key, 2), op("unwatch", key, 2),
          op("get", key, 2), op("range", key, 4).nil().integer(5)})
      options.samples.push_back(w.str());
  }
  EXPECT_EQ(failures(registry.find("org.raftcs.kv"), options), "");
  Options counts;
  for (int64_t n : {1, -5, 1000}) {
    Writer w;
    counts.samples.push_back(w.array(2).text("add").integer(n).str());
  }
  EXPECT_EQ(failures(registry.find("org.raftcs.counter"), counts), "");
}

TEST(PluginCheck, EachFaultIsFound) {
  Options options;
  options.commands = 400;
  EXPECT_EQ(failures(raftcs_sm::type_of<Faulty<0>>(), options), "");
  const auto finds = [&](const raftcs_sm_type_t* type, const std::string& check) {
    const std::string all = failures(type, options);
    EXPECT_NE(all.find(check), std::string::npos) << check << " in: " << all;
  };
  const std::string internal = std::to_string(RAFTCS_ERR_INTERNAL);
  finds(raftcs_sm::type_of<Faulty<1>>(), "same commands, other batches");
  finds(raftcs_sm::type_of<Faulty<2>>(), "apply gave status -100");
  finds(raftcs_sm::type_of<Faulty<3>>(), "queries changed the state");
  finds(raftcs_sm::type_of<Faulty<4>>(), "a stopped snapshot stops");
  finds(raftcs_sm::type_of<Faulty<5>>(), "cut snapshots are refused");
  finds(raftcs_sm::type_of<Faulty<6>>(), "snapshot and restore");
  finds(raftcs_sm::type_of<Faulty<7>>(), "a snapshot holds what was applied after snapshot_begin");
  finds(raftcs_sm::type_of<Faulty<8>>(), "next_timer_ns gave status " + internal);
  finds(raftcs_sm::type_of<Faulty<9>>(), "a restored state gives another next_timer_ns");
  finds(raftcs_sm::type_of<Faulty<10>>(),
        "apply gave status " + std::to_string(RAFTCS_ERR_TOO_LARGE));
  finds(raftcs_sm::type_of<Faulty<11>>(), "apply gave status " + internal);
  finds(raftcs_sm::type_of<Faulty<12>>(), "digest gave status " + internal);
  finds(raftcs_sm::type_of<Faulty<13>>(), "a restored state gives other replies or pushes later");
}

}  // namespace plugin_check
