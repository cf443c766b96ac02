// The registry: every way to be wrong is refused with its own sentence, and what is right runs.
#include "plugin/registry.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "rsm/machine.hpp"

namespace raftcs::plugin {
namespace {

namespace fs = std::filesystem;

std::string hostile(const std::string& name) {
  return std::string(RAFTCS_BINARY_DIR) + "/plugins-hostile/" + name + ".so";
}
std::string good(const std::string& name) {
  return std::string(RAFTCS_BINARY_DIR) + "/plugins-out/" + name + ".so";
}

class Dir {
 public:
  Dir() {
    std::string name = (fs::temp_directory_path() / "raftcs-plugin-XXXXXX").string();
    path = mkdtemp(name.data());
  }
  ~Dir() { fs::remove_all(path); }
  void add(const std::string& from, const std::string& as) {
    fs::copy_file(from, path / as, fs::copy_options::overwrite_existing);
  }
  void write(const std::string& as, const std::string& bytes) {
    std::ofstream(path / as, std::ios::binary) << bytes;
  }
  void replace(const std::string& from, const std::string& as) {  // as an operator should: mv
    add(from, "new");
    fs::rename(path / "new", path / as);
  }
  fs::path path;
};

std::string sentence_for(const std::string& path) {
  Registry registry(nullptr);
  const auto loaded = registry.load_file(path);
  return loaded.is_ok() ? "" : loaded.status().text();
}

std::string bytes_of_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

}  // namespace

TEST(Registry, EachWayToBeWrongHasItsSentence) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"wrong_magic", "does not carry the mark of a raftcs plugin"},
      {"short_entry", "its description is 40 bytes long"},
      {"other_target", "it was built for target 260, this is 8"},
      {"newer_minor", "it needs minor version 9 of the plugin interface"},
      {"no_name", "it has no name or no version"},
      {"no_types", "it offers no state machine type"},
      {"twice", "it offers type 'org.test.twice' twice"},
      {"short_type", "the description of a type is 64 bytes long"},
      {"bad_id", "the id of a type is not"},
      {"no_apply", "type 'org.test.hostile' has no function apply"},
      {"no_digest", "type 'org.test.hostile' has no function digest"},
      {"on_disk", "keeps its own durable state"},
      {"versions", "has its behaviour versions out of order (7 to 1)"},
      {"snapshots", "cannot read the snapshots it writes"},
      {"half_a_timer", "has one of next_timer_ns and timer; it needs both or none"},
      {"init_fails", "its function init failed with status -100"},
      {"version_two", "it is a plugin for hosts with version 2"},
      {"no_symbol", "it does not export raftcs_plugin_entry_v1"},
      {"undefined", "undefined symbol: no_such_function_anywhere"},
  };
  for (const auto& [name, part] : cases) {
    const std::string sentence = sentence_for(hostile(name));
    EXPECT_NE(sentence.find(part), std::string::npos) << name << ": " << sentence;
  }
}

// A plugin of the first minor version: its descriptor ends before the fields that came later.
TEST(Registry, PluginsOfMinor0AreLoadedAndNothingBehindTheirEndIsRead) {
  Registry registry(nullptr);
  const auto loaded = registry.load_file(hostile("minor0"));
  ASSERT_TRUE(loaded.is_ok()) << loaded.status().text();
  EXPECT_EQ((*loaded)->entry->abi_minor_built, 0u);
  const raftcs_sm_type_t* type = registry.find("org.test.minor0");
  ASSERT_NE(type, nullptr);
  EXPECT_LT(type->struct_size, sizeof(raftcs_sm_type_t));
  rsm::Machine machine(registry, {});
  rsm::OpsWriter ops;
  Uuid id;
  id.bytes[0] = 1;
  ops.add(rsm::CreateService{"s", "org.test.minor0"});
  ops.add(rsm::CreateSession{id, id, 1000, {}});
  ops.add(rsm::Tick{});
  ops.add(rsm::Presence{{}, {SessionNum(1)}});
  rsm::ApplyOutput out;
  const Status status = machine.apply(
      {Index(1), Term(1), raft::EntryType::ops, LogTime{5}, ops.take()}, &out);
  EXPECT_TRUE(status.is_ok()) << status.text();
  EXPECT_EQ(machine.next_timer(), LogTime::never());
  EXPECT_FALSE(machine.wants_presence());
  EXPECT_EQ(out.presence.size(), 1u);
}

TEST(Registry, WhatIsNoSharedObjectIsNeverLoaded) {
  Dir dir;
  dir.write("text.so", "this is a text");
  dir.write("empty.so", "");
  const std::string whole = bytes_of_file(good("counter"));
  ASSERT_GT(whole.size(), 1000u);
  EXPECT_NE(sentence_for(dir.path / "text.so").find("no ELF file"), std::string::npos);
  EXPECT_NE(sentence_for(dir.path / "empty.so").find("no ELF file"), std::string::npos);
  EXPECT_NE(sentence_for(dir.path / "gone.so").find("cannot be opened"), std::string::npos);
  EXPECT_NE(sentence_for(dir.path).find("not a regular file"), std::string::npos);
  EXPECT_NE(sentence_for(good("counter") + "/x"), "");
  // A file that is still being copied: every length is refused, none kills the process.
  for (size_t n = 0; n < whole.size(); n += 1 + whole.size() / 97) {
    dir.write("part.so", whole.substr(0, n));
    EXPECT_NE(sentence_for(dir.path / "part.so"), "") << n;
  }
  std::string other = whole;
  other[18] = 40;  // e_machine
  dir.write("other.so", other);
  EXPECT_NE(sentence_for(dir.path / "other.so").find("another kind of machine"),
            std::string::npos);
}

TEST(Registry, DirectoryLoadsTheGoodAndNamesTheRefused) {
  Dir dir, outside;
  dir.add(good("kv"), "kv.so");
  dir.add(hostile("no_apply"), "broken.so");
  dir.write("notes.txt", "not looked at");
  outside.add(good("counter"), "counter.so");
  fs::create_symlink(outside.path / "counter.so", dir.path / "link.so");
  dir.add(hostile("correct"), "open.so");
  chmod((dir.path / "open.so").c_str(), 0666);
  std::vector<std::string> logged;
  Registry registry([&](int, std::string_view text) { logged.emplace_back(text); });
  ASSERT_TRUE(registry.set_directory(dir.path).is_ok());
  const auto list = registry.list();
  ASSERT_EQ(list.size(), 4u);
  EXPECT_EQ(list[0].file, "broken.so");
  EXPECT_NE(list[0].error.find("no function apply"), std::string::npos);
  EXPECT_EQ(list[1].file, "kv.so");
  EXPECT_EQ(list[1].types, std::vector<std::string>{"org.raftcs.kv"});
  EXPECT_EQ(list[1].version, "1.0.0");
  EXPECT_EQ(list[2].error, "it is a link that leads out of the directory");
  EXPECT_EQ(list[3].error, "everybody may write to it");
  EXPECT_NE(registry.find("org.raftcs.kv"), nullptr);
  EXPECT_EQ(registry.find("org.raftcs.counter"), nullptr);
  const size_t lines = logged.size();
  EXPECT_EQ(lines, 4u);
  ASSERT_TRUE(registry.rescan().is_ok());
  EXPECT_EQ(logged.size(), lines);  // the same refusal is said once
}

TEST(Registry, D10_RescanPicksUpWhatAppearsAndWhatWasMended) {
  Dir dir;
  dir.write("late.so", "half a file");
  Registry registry(nullptr);
  ASSERT_TRUE(registry.set_directory(dir.path).is_ok());
  EXPECT_EQ(registry.find("org.raftcs.counter"), nullptr);
  dir.add(good("counter"), "late.so");
  const auto added = registry.rescan();
  ASSERT_TRUE(added.is_ok());
  EXPECT_EQ(added.value(), 1u);
  EXPECT_NE(registry.find("org.raftcs.counter"), nullptr);
  EXPECT_TRUE(registry.list()[0].error.empty());
}

// Refused files stay mapped under their names; what replaces them is loaded all the same.
TEST(Registry, D10_AFileThatWasRefusedAfterItWasMappedIsMendedByReplacingIt) {
  Dir dir;
  Registry registry(nullptr);
  ASSERT_TRUE(registry.set_directory(dir.path).is_ok());
  const std::vector<std::pair<std::string, std::string>> refused = {
      {"newer_minor", "it needs minor version 9"},
      {"no_apply", "has no function apply"},
      {"init_fails", "init failed with status -100"}};
  for (const auto& [name, part] : refused) {
    dir.replace(hostile(name), "late.so");
    for (int i = 0; i < 2; ++i) {  // refused for the same reason as long as it is the same file
      EXPECT_EQ(registry.rescan().value(), 0u);
      EXPECT_NE(registry.list()[0].error.find(part), std::string::npos)
          << registry.list()[0].error;
    }
  }
  dir.replace(good("counter"), "late.so");
  EXPECT_EQ(registry.rescan().value(), 1u);
  EXPECT_NE(registry.find("org.raftcs.counter"), nullptr);
  EXPECT_TRUE(registry.list()[0].error.empty()) << registry.list()[0].error;
}

// A mapped file that is written to is neither the old one nor the new one: nothing of it may run.
TEST(Registry, D10_AFileThatWasRewrittenInPlaceIsRefusedUntilItIsReplaced) {
  Dir dir;
  dir.add(hostile("newer_minor"), "late.so");
  Registry registry(nullptr);
  ASSERT_TRUE(registry.set_directory(dir.path).is_ok());
  std::ofstream(dir.path / "late.so", std::ios::binary | std::ios::app) << "more";
  for (const char* name : {"late.so", "moved.so"}) {
    EXPECT_EQ(registry.rescan().value(), 0u);
    ASSERT_EQ(registry.list().size(), 1u);
    EXPECT_EQ(registry.list()[0].file, name);
    EXPECT_NE(registry.list()[0].error.find("it was written to after it had been loaded"),
              std::string::npos)
        << registry.list()[0].error;
    if (fs::exists(dir.path / "late.so")) fs::rename(dir.path / "late.so", dir.path / "moved.so");
  }
  dir.replace(good("counter"), "moved.so");
  EXPECT_EQ(registry.rescan().value(), 1u);
}

TEST(Registry, DirectoryMustBeSafe) {
  Dir dir;
  Registry registry(nullptr);
  EXPECT_FALSE(registry.set_directory(dir.path / "none").is_ok());
  chmod(dir.path.c_str(), 0777);
  EXPECT_NE(registry.set_directory(dir.path).text().find("everybody may write"),
            std::string::npos);
  EXPECT_EQ(registry.rescan().value(), 0u);  // nothing configured, nothing loaded
}

TEST(Registry, TypesAreTakenOnce) {
  Registry registry(nullptr);
  ASSERT_TRUE(registry.load_file(hostile("correct")).is_ok());
  const auto second = registry.load_file(hostile("same_type"));
  EXPECT_NE(second.status().text().find("type 'org.test.correct' is offered by correct.so already"),
            std::string::npos);
  const auto again = registry.load_file(hostile("correct"));
  EXPECT_TRUE(again.is_ok());
  EXPECT_EQ(registry.list().size(), 1u);
  const raftcs_sm_type_t* type = registry.find("org.test.correct");
  EXPECT_EQ(registry.register_type(type).code(), RAFTCS_ERR_ALREADY_EXISTS);
  Registry other(nullptr);
  ASSERT_TRUE(other.register_type(type).is_ok());
  EXPECT_FALSE(other.load_file(hostile("correct")).is_ok());
  EXPECT_EQ(other.register_type(nullptr).code(), RAFTCS_ERR_PLUGIN_ABI);
}

// Unique symbols are shared by all plugins of a process, whoever asked for them not to be.
TEST(Registry, ClassesOfOneNameInTwoPluginsAreTwoTypes) {
  Registry registry(nullptr);
  for (const char* name : {"pair_a", "pair_b"}) {
    const auto loaded = registry.load_file(hostile(name));
    ASSERT_TRUE(loaded.is_ok()) << loaded.status().text();
  }
  const raftcs_sm_type_t* a = registry.find("org.test.pair.a");
  const raftcs_sm_type_t* b = registry.find("org.test.pair.b");
  ASSERT_NE(a, nullptr);
  ASSERT_NE(b, nullptr);
  EXPECT_NE(a->create, b->create);
}

TEST(Registry, ATypeThatIsInAnotherPluginIsRefused) {
  Registry registry(nullptr);
  ASSERT_TRUE(registry.load_file(hostile("unique_a")).is_ok());
  const auto second = registry.load_file(hostile("unique_b"));
  EXPECT_NE(second.status().text().find("is in a file loaded earlier, unique_a.so; build it with "
                                        "-fvisibility=hidden"),
            std::string::npos)
      << second.status().text();
}

TEST(Registry, RC05_ExceptionOfAPluginStopsTheMachineOnly) {
  Registry registry(nullptr);
  ASSERT_TRUE(registry.load_file(hostile("throws")).is_ok());
  rsm::Machine machine(registry, {});
  rsm::OpsWriter ops;
  ops.add(rsm::CreateService{"t", "org.test.throws"});
  Uuid id;
  id.bytes[0] = 1;
  ops.add(rsm::CreateSession{id, id, 1000, {}});
  ops.add(rsm::Command{SessionNum(1), RequestId(1), RequestId(1), ServiceNum(1), {}});
  raft::Entry entry{Index(1), Term(1), raft::EntryType::ops, {}, ops.take()};
  rsm::ApplyOutput out;
  const Status status = machine.apply(entry, &out);
  EXPECT_EQ(status.code(), RAFTCS_ERR_PLUGIN_FAILED);
  EXPECT_NE(status.text().find("threw"), std::string::npos) << status.text();
  EXPECT_TRUE(out.replies.empty());
}

}  // namespace raftcs::plugin
