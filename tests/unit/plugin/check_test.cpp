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

// Adds each command to a list; `fault` makes it wrong in one way.
template <int fault>
class Faulty : public raftcs_sm::StateMachine {
 public:
  static constexpr raftcs_sm::Type kType{.id = "org.test.faulty"};
  void apply(const raftcs_sm::Command& c, raftcs_sm::Answer& a) override {
    static uint64_t calls = 0;
    sum_ += c.data.size() + (fault == 1 ? ++calls : 0);
    if (fault == 2 && c.data.size() == 3) throw raftcs_sm::Error(RAFTCS_ERR_NO_MEMORY, "three");
    a.reply(0, std::to_string(sum_));
  }
  void query(const raftcs_sm::Query&, raftcs_sm::Answer& a) override {
    if (fault == 3) ++sum_;
    a.reply(0);
  }
  class Copy : public raftcs_sm::Snapshot {
   public:
    explicit Copy(uint64_t sum) : sum_(sum) {}
    void write(raftcs_sm::Writer& out) override {
      try {
        out.u64(sum_);
      } catch (const raftcs_sm::Error&) {
        if (fault != 4) throw;
      }
    }

   private:
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
  finds(raftcs_sm::type_of<Faulty<1>>(), "same commands, other batches");
  finds(raftcs_sm::type_of<Faulty<2>>(), "apply gave status -100");
  finds(raftcs_sm::type_of<Faulty<3>>(), "queries changed the state");
  finds(raftcs_sm::type_of<Faulty<4>>(), "a stopped snapshot stops");
  finds(raftcs_sm::type_of<Faulty<5>>(), "cut snapshots are refused");
  finds(raftcs_sm::type_of<Faulty<6>>(), "snapshot and restore");
}

}  // namespace plugin_check
