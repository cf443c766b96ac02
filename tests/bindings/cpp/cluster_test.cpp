// raftcs.hpp on a real cluster of three, whose endpoints and process ids come from cluster.py.
//
// The tests run in the order of the file: the one that kills the leader is the last.
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <new>
#include <sstream>

#include "raftcs.hpp"

namespace {

// Memory runs out once: at the second large piece from now on.
constexpr size_t kLarge = 256 << 10;
std::atomic<int> large_pieces_left{0};

void* piece_of(size_t size) {
  if (size >= kLarge && large_pieces_left > 0 && --large_pieces_left == 0) return nullptr;
  return std::malloc(size);
}

}  // namespace

// Not inlined: the compiler would take malloc and delete for a pair that does not fit.
[[gnu::noinline]] void* operator new(size_t size) {
  if (void* piece = piece_of(size)) return piece;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* piece) noexcept { std::free(piece); }
[[gnu::noinline]] void operator delete(void* piece, size_t) noexcept { std::free(piece); }

namespace {

using raftcs::CallOptions;
using raftcs::Client;
using raftcs::Config;
using raftcs::Event;
using raftcs::Milliseconds;

constexpr Milliseconds kPatience{60000};

const char* variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

Config config() { return Config{{"client.endpoints", variable("RAFTCS_ENDPOINTS")}}; }

// Payloads of the kv plugin: msgpack arrays of short strings and small numbers.
std::string array(size_t size, const std::string& verb) {
  return std::string(1, static_cast<char>(0x90 | size)) + static_cast<char>(0xa0 | verb.size()) +
         verb;
}
std::string bin(const std::string& bytes) {
  return std::string("\xc4") + static_cast<char>(bytes.size()) + bytes;
}
std::string put(const std::string& key, const std::string& value) {
  return array(3, "put") + bin(key) + bin(value);
}
std::string get(const std::string& key) { return array(2, "get") + bin(key); }
std::string incr(const std::string& key) { return array(3, "incr") + bin(key) + '\x01'; }
std::string watch(const std::string& key) { return array(3, "watch") + bin(key) + '\xc2'; }

TEST(ClusterTest, CommandsAndQueries) {
  raftcs::Pump pump;
  Client client(config(), pump);
  client.open().wait_connected(kPatience);
  EXPECT_EQ(client.submit_wait("kv", put("a", "value"), {kPatience}).app_code(), 0);
  Event found = client.query_wait("kv", get("a"), {kPatience});
  EXPECT_NE(found.data().find("value"), std::string_view::npos);
  EXPECT_NE(client.query_wait("kv", get("absent"), {kPatience}).app_code(), 0);
  EXPECT_THROW(client.submit_wait("no-such-service", "x", {kPatience}), raftcs::Error);
}

// Whoever drives the sockets when memory runs out must not keep them: every client of the process
// would stand still. What was to be sent is sent again.
TEST(ClusterTest, MemoryThatRunsOutWhileSendingCostsTime) {
  raftcs::Pump pump;
  Client client(config(), pump), other(config(), pump);
  client.open().wait_connected(kPatience);
  other.open().wait_connected(kPatience);
  // get of a key that is not there, as long as it likes to be.
  std::string payload = array(2, "get") + std::string("\xc6\x00\x08\x00\x00", 5);
  payload.append(512 << 10, 'k');
  large_pieces_left = 2;  // a copy of the payload, then its frame
  EXPECT_NE(client.submit_wait("kv", payload, {kPatience}).app_code(), 0);
  EXPECT_EQ(large_pieces_left, 0);
  EXPECT_EQ(other.submit_wait("kv", put("b", "value"), {kPatience}).app_code(), 0);
}

TEST(ClusterTest, ThousandCommandsAtOnce) {
  raftcs::PumpThread pump;
  Client client(config(), pump);
  client.open();
  std::vector<std::future<Event>> replies;
  for (int i = 0; i < 1000; ++i) {
    replies.push_back(client.submit("kv", incr("many"), CallOptions{kPatience}));
  }
  std::string last;
  for (auto& reply : replies) last = reply.get().data();
  // 1000 as msgpack, alone or in an array.
  EXPECT_NE(last.find("\xcd\x03\xe8"), std::string::npos);
}

TEST(ClusterTest, WatchComesAsServerRequests) {
  raftcs::Pump pump;
  std::vector<std::string> seen;
  Client watcher(config(), pump, [&](Event event) {
    if (event.kind() == RAFTCS_EVENT_SERVER_REQUEST) seen.emplace_back(event.data());
  });
  Client writer(config(), pump);
  watcher.open().submit_wait("kv", watch("w"), {kPatience});
  writer.open();
  for (int i = 0; i < 10; ++i) {
    writer.submit_wait("kv", put("w", "content" + std::to_string(i)), {kPatience});
  }
  for (int i = 0; i < 200 && seen.size() < 10; ++i) pump.run_once(Milliseconds{50});
  ASSERT_EQ(seen.size(), 10u);
  for (size_t i = 0; i < seen.size(); ++i) {
    EXPECT_NE(seen[i].find("content" + std::to_string(i)), std::string::npos);
  }
}

TEST(ClusterTest, SessionGoesOnInAnotherClient) {
  raftcs::Pump pump;
  std::string token;
  {
    Client first(config(), pump);
    first.open().submit_wait("kv", incr("moved"), {kPatience});
    token = first.export_session();
  }
  Client second(config(), pump);
  Event reply = second.resume(token).submit_wait("kv", incr("moved"), {kPatience});
  EXPECT_NE(reply.data().find('\x02'), std::string_view::npos);
}

TEST(ClusterTest, EmbeddedServer) {
  auto folder =
      std::filesystem::temp_directory_path() / ("raftcs-embedded-" + std::to_string(getpid()));
  {
    raftcs::Pump pump;
    raftcs::Server server(Config{{"server.id", "1"},
                                 {"server.data", folder.string()},
                                 {"server.client_listen", "tcp://127.0.0.1:0"},
                                 {"server.peer_listen", "tcp://127.0.0.1:0"},
                                 {"server.plugins", variable("RAFTCS_PLUGINS_DIR")}},
                          pump);
    server.start();
    Client client(Config{{"client.endpoints", server.info().client_address}}, pump);
    EXPECT_EQ(client.open().submit_wait("kv", put("a", "b"), {kPatience}).app_code(), 0);
  }
  std::filesystem::remove_all(folder);
}

void kill_node(uint64_t node) {
  std::istringstream pids(variable("RAFTCS_SERVER_PIDS"));
  for (std::string pair; std::getline(pids, pair, ',');) {
    size_t colon = pair.find(':');
    if (std::stoull(pair.substr(0, colon)) == node) {
      kill(std::stoi(pair.substr(colon + 1)), SIGKILL);
    }
  }
}

TEST(ClusterTest, IncrementsCountOnceWhileTheLeaderIsKilled) {
  raftcs::PumpThread pump;
  Client client(config(), pump);
  client.open().wait_connected(kPatience);
  client.submit_wait("kv", put("warm", "up"), {kPatience});
  uint64_t leader = client.info().leader;
  ASSERT_NE(leader, 0u);
  std::vector<std::future<Event>> replies;
  for (int i = 0; i < 500; ++i) {
    if (i == 250) kill_node(leader);
    replies.push_back(client.submit("kv", incr("once"), CallOptions{kPatience}));
  }
  for (auto& reply : replies) EXPECT_EQ(reply.get().app_code(), 0);
  Event count = client.submit_wait("kv", incr("once"), {kPatience});
  EXPECT_NE(count.data().find("\xcd\x01\xf5"), std::string_view::npos);  // 501
}

}  // namespace
