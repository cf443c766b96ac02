// The table of settings: every row is sound, values are checked, files are read whole.
#include "config/settings.hpp"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <fstream>
#include <set>
#include <sstream>

namespace raftcs::config {
namespace {

class File {
 public:
  explicit File(const std::string& text)
      : path_(testing::TempDir() + "settings_" + std::to_string(getpid()) + ".toml") {
    std::ofstream(path_) << text;
  }
  ~File() { unlink(path_.c_str()); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

TEST(Settings, EveryDefaultIsAValueOfItsSetting) {
  std::set<std::string> names;
  for (const Setting& s : settings()) {
    EXPECT_TRUE(names.insert(s.name).second) << s.name;
    EXPECT_TRUE(*s.text) << s.name;
    if (!*s.default_value) continue;
    Config c;
    EXPECT_TRUE(c.set(s.name, s.default_value).is_ok()) << s.name;
    EXPECT_EQ(*c.get(s.name), s.default_value) << s.name;
  }
}

TEST(Settings, RangesAreKept) {
  for (const Setting& s : settings()) {
    std::string range = s.range;
    size_t dots = range.find("..");
    if (dots == std::string::npos) continue;
    Config c;
    EXPECT_TRUE(c.set(s.name, range.substr(0, dots)).is_ok()) << s.name;
    EXPECT_TRUE(c.set(s.name, range.substr(dots + 2)).is_ok()) << s.name;
    EXPECT_EQ(c.set(s.name, range.substr(dots + 2) + "0").code(), RAFTCS_ERR_INVALID_ARGUMENT)
        << s.name;
    for (const char* bad : {"", "x", "1x", "1.5", "+1", "0x10", "--1", "-", " 1", "-99999999999"}) {
      EXPECT_EQ(c.set(s.name, bad).code(), RAFTCS_ERR_INVALID_ARGUMENT) << s.name << " " << bad;
    }
  }
}

TEST(Settings, UnknownNamesAreToldWithTheNearest) {
  Config c;
  Status s = c.set("client.endpoint", "x");
  EXPECT_EQ(s.code(), RAFTCS_ERR_UNKNOWN_OPTION);
  EXPECT_NE(s.text().find("'client.endpoints'"), std::string::npos) << s.text();
  EXPECT_NE(c.set("heartbeat_ms", "1").text().find("'raft.heartbeat_ms'"), std::string::npos);
  EXPECT_EQ(c.set("zzzzzzzzzzzzzz", "x").text().find("mean"), std::string::npos);
  EXPECT_EQ(c.get("nothing").status().code(), RAFTCS_ERR_UNKNOWN_OPTION);
}

TEST(Settings, SizesMayHaveUnits) {
  Config c;
  ASSERT_TRUE(c.set("log.segment_bytes", "2MiB").is_ok());
  EXPECT_EQ(c.integer("log.segment_bytes"), 2 << 20);
  EXPECT_EQ(*c.get("log.segment_bytes"), "2097152");
  EXPECT_FALSE(c.set("log.segment_bytes", "2MB").is_ok());
  EXPECT_FALSE(c.set("raft.heartbeat_ms", "2KiB").is_ok());
  EXPECT_FALSE(c.set("log.segment_bytes", "99999999GiB").is_ok());
}

TEST(Settings, WholeRangeOfMemberNumbers) {
  Config c;
  ASSERT_TRUE(c.set("server.id", "18446744073709551615").is_ok());
  EXPECT_EQ(static_cast<uint64_t>(c.integer("server.id")), UINT64_MAX);
  EXPECT_FALSE(c.set("server.id", "18446744073709551616").is_ok());
  EXPECT_FALSE(c.set("server.id", "-1").is_ok());
}

TEST(Settings, WordsBooleansAndForms) {
  Config c;
  EXPECT_TRUE(c.set("client.push.ack", "manual").is_ok());
  EXPECT_FALSE(c.set("client.push.ack", "man").is_ok());
  EXPECT_FALSE(c.set("client.push.ack", "").is_ok());
  EXPECT_TRUE(c.set("server.auto_services", "0").is_ok());
  EXPECT_FALSE(c.boolean("server.auto_services"));
  EXPECT_FALSE(c.set("server.auto_services", "yes").is_ok());
  EXPECT_FALSE(c.set("client.capabilities", "").is_ok());
  EXPECT_FALSE(c.set("client.capabilities", "a b=c").is_ok());
  EXPECT_FALSE(c.set("client.capabilities", "a=").is_ok());
  EXPECT_FALSE(c.set("client.capabilities", "a=" + std::string(256, 'v')).is_ok());
  std::string pairs = "n0=v";
  for (int i = 1; i < 64; ++i) pairs += ",n" + std::to_string(i) + "=v";
  EXPECT_TRUE(c.set("client.capabilities", pairs).is_ok());
  EXPECT_FALSE(c.set("client.capabilities", pairs + ",n64=v").is_ok());
  EXPECT_TRUE(c.set("client.name", std::string(4096, 'n')).is_ok());
  EXPECT_FALSE(c.set("client.name", std::string(4097, 'n')).is_ok());
  EXPECT_FALSE(c.set("client.cluster_id", "abc").is_ok());
  EXPECT_TRUE(c.set("server.join", "tcp://a:1,tcp://b:2").is_ok());
  EXPECT_EQ(c.set("server.join", "a:1").code(), RAFTCS_ERR_INVALID_ARGUMENT);
  EXPECT_TRUE(c.set("server.join", "").is_ok());
  EXPECT_FALSE(c.set("server.data", std::string_view("a\0b", 3)).is_ok());
}

TEST(Settings, Endpoints) {
  for (const char* good : {"tcp://a:1", "tcp://127.0.0.1:65535", "tcp://[::1]:7001"}) {
    EXPECT_TRUE(check_endpoint(good, false).is_ok()) << good;
  }
  for (const char* bad :
       {"", "a:1", "tcp://", "tcp://a", "tcp://:1", "tcp://a:", "tcp://a:0", "tcp://a:65536",
        "tcp://a:*", "tcp://::1:7001", "tcp://a b:1", "ipc://a:1"}) {
    EXPECT_FALSE(check_endpoint(bad, false).is_ok()) << bad;
  }
  EXPECT_TRUE(check_endpoint("tcp://*:0", true).is_ok());
  EXPECT_TRUE(check_endpoint("tcp://*:*", true).is_ok());
}

TEST(Settings, Clusters) {
  auto members = parse_cluster("1=tcp://a:7101/tcp://a:7001, 2=tcp://[::1]:7102/tcp://b:7002");
  ASSERT_TRUE(members.is_ok()) << members.status().text();
  ASSERT_EQ(members->size(), 2u);
  EXPECT_EQ((*members)[1].id, 2u);
  EXPECT_EQ((*members)[1].peer_address, "tcp://[::1]:7102");
  EXPECT_EQ((*members)[1].client_address, "tcp://b:7002");
  for (const char* bad : {"1", "1=tcp://a:1", "0=tcp://a:1/tcp://a:2", "x=tcp://a:1/tcp://a:2", ",",
                          "1=tcp://a:1/tcp://a:2,1=tcp://b:1/tcp://b:2", "1=tcp://a:1/tcp://a:x"}) {
    EXPECT_FALSE(parse_cluster(bad).is_ok()) << bad;
  }
}

TEST(Settings, Pairs) {
  auto pairs = parse_pairs(" b=2, a=1=x ,c=");
  ASSERT_TRUE(pairs.is_ok());
  ASSERT_EQ(pairs->size(), 3u);
  EXPECT_EQ((*pairs)[0], (std::pair<std::string, std::string>("a", "1=x")));
  EXPECT_EQ((*pairs)[2].second, "");
  EXPECT_FALSE(parse_pairs("a=1,a=2").is_ok());
  EXPECT_FALSE(parse_pairs("a").is_ok());
  EXPECT_FALSE(parse_pairs("=1").is_ok());
}

TEST(SettingsFile, TablesAreNames) {
  File f(
      "[client]\nendpoints = ['tcp://a:1', 'tcp://b:2']\n[client.request]\ntimeout_ms = 7\n"
      "[server]\nauto_services = false\n");
  Config c;
  Status s = c.load_file(f.path());
  ASSERT_TRUE(s.is_ok()) << s.text();
  EXPECT_EQ(c.text("client.endpoints"), "tcp://a:1,tcp://b:2");
  EXPECT_EQ(c.integer("client.request.timeout_ms"), 7);
  EXPECT_FALSE(c.boolean("server.auto_services"));
}

void expect_error(const std::string& text, raftcs_status_t code, const std::string& line,
                  const std::string& part) {
  File f(text);
  Config c;
  Status s = c.load_file(f.path());
  EXPECT_EQ(s.code(), code) << text;
  EXPECT_EQ(s.text().rfind(f.path() + ":" + line + ": ", 0), 0u) << s.text();
  EXPECT_NE(s.text().find(part), std::string::npos) << s.text();
  EXPECT_FALSE(c.is_set("client.name"));  // nothing of a wrong file is taken
}

TEST(SettingsFile, ErrorsNameTheLine) {
  expect_error("[client]\nname='x'\n\nendpoint = 'y'\n", RAFTCS_ERR_UNKNOWN_OPTION, "4",
               "client.endpoints");
  expect_error("[client]\nname='x'\npush.ack = 'no'\n", RAFTCS_ERR_INVALID_ARGUMENT, "3",
               "client.push.ack");
  expect_error("client.name='x'\n[raft]\nheartbeat_ms = 1.5\n", RAFTCS_ERR_INVALID_ARGUMENT, "3",
               "raft.heartbeat_ms");
  expect_error("client.name='x'\n[raft\n", RAFTCS_ERR_MALFORMED, "2", "");
}

TEST(SettingsFile, MissingFile) {
  Config c;
  EXPECT_EQ(c.load_file("/nonexistent/raftcs.toml").code(), RAFTCS_ERR_IO);
  EXPECT_EQ(c.load_file("/").code(), RAFTCS_ERR_IO);
}

// RAFTCS_REWRITE=1 prints the page anew.
TEST(Settings, PageIsPrintedFromTheTable) {
  std::string path = std::string(RAFTCS_SOURCE_DIR) + "/docs/settings.md";
  if (getenv("RAFTCS_REWRITE")) std::ofstream(path) << settings_page();
  std::stringstream page;
  page << std::ifstream(path).rdbuf();
  EXPECT_EQ(page.str(), settings_page());
}

}  // namespace
}  // namespace raftcs::config
