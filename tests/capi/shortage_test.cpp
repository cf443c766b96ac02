// What is left when memory or threads run out: each call says so or does its work, every operation
// has its one event, and what failed can be done again once there is room.
#include <dlfcn.h>
#include <gtest/gtest.h>
#include <pthread.h>
#include <stdlib.h>

#include <atomic>
#include <cstring>
#include <filesystem>
#include <map>
#include <new>
#include <string>

#include "raftcs.h"

namespace {

// Fails the n-th of what the calling thread asks for from now on; 0: nothing fails.
thread_local int fails_at = 0;
thread_local int threads_fail_at = 0;
// On any thread: the n-th large piece.
constexpr size_t kLarge = 256 << 10;
std::atomic<int> large_fails_at{0};

// libzmq ends the process when it gets no memory; it always gets some here.
bool asked_by_zmq(void* caller) {
  Dl_info where{};
  return dladdr(caller, &where) != 0 && std::strstr(where.dli_fname, "libzmq") != nullptr;
}

bool fails(size_t size, void* caller) {
  if (size >= kLarge && large_fails_at > 0 && --large_fails_at == 0) return true;
  if (fails_at == 0 || asked_by_zmq(caller)) return false;
  return --fails_at == 0;
}

}  // namespace

[[gnu::noinline]] void* operator new(size_t size) {
  void* piece = fails(size, __builtin_return_address(0)) ? nullptr : std::malloc(size ? size : 1);
  if (piece != nullptr) return piece;
  throw std::bad_alloc();
}
[[gnu::noinline]] void* operator new(size_t size, const std::nothrow_t&) noexcept {
  return std::malloc(size ? size : 1);
}
[[gnu::noinline]] void operator delete(void* piece) noexcept { std::free(piece); }
[[gnu::noinline]] void operator delete(void* piece, size_t) noexcept { std::free(piece); }

extern "C" int pthread_create(pthread_t* thread, const pthread_attr_t* attributes,
                              void* (*run)(void*), void* arg) noexcept {
  using Create = int (*)(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*);
  static const auto create = reinterpret_cast<Create>(dlsym(RTLD_NEXT, "pthread_create"));
  if (threads_fail_at > 0 && --threads_fail_at == 0) return EAGAIN;
  return create(thread, attributes, run, arg);
}

namespace {

using Settings = std::map<std::string, std::string>;

raftcs_config_t* config_of(const Settings& settings) {
  raftcs_config_t* config = nullptr;
  EXPECT_EQ(raftcs_config_create(&config), RAFTCS_OK);
  for (const auto& [name, value] : settings)
    EXPECT_EQ(raftcs_config_set(config, name.c_str(), value.c_str(), nullptr), RAFTCS_OK) << name;
  return config;
}

raftcs_client_t* client_on(raftcs_queue_t* queue, Settings settings = {}) {
  settings.emplace("client.endpoints", "tcp://127.0.0.1:9");  // nobody
  raftcs_config_t* config = config_of(settings);
  raftcs_client_t* client = nullptr;
  EXPECT_EQ(raftcs_client_create(config, queue, 1, &client, nullptr), RAFTCS_OK);
  raftcs_config_destroy(config);
  return client;
}

class Shortage : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "raftcs-XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder = pattern;
    ASSERT_EQ(raftcs_queue_create(nullptr, &queue), RAFTCS_OK);
    other = client_on(nullptr);  // the threads that all share are there
    ASSERT_EQ(raftcs_client_open(other), RAFTCS_OK);
  }
  void TearDown() override {
    raftcs_client_destroy(other);
    raftcs_queue_destroy(queue);
    std::filesystem::remove_all(folder);
  }
  raftcs_server_t* new_server() {
    raftcs_config_t* config = config_of({{"server.id", "1"},
                                         {"server.data", (folder / node).string()},
                                         {"server.client_listen", "tcp://127.0.0.1:0"},
                                         {"server.peer_listen", "tcp://127.0.0.1:0"},
                                         {"log.segment_bytes", "1MiB"},
                                         {"log.disk_reserve_bytes", "0"}});
    raftcs_server_t* server = nullptr;
    EXPECT_EQ(raftcs_server_create(config, queue, 2, &server, nullptr), RAFTCS_OK);
    raftcs_config_destroy(config);
    return server;
  }
  // How many events of this kind are in the queue; it is empty then.
  int take_all(int32_t kind) {
    int count = 0;
    raftcs_event_t* event = nullptr;
    while (raftcs_queue_next(queue, 0, &event) == RAFTCS_OK && event != nullptr) {
      count += raftcs_event_kind(event) == kind ? 1 : 0;
      raftcs_event_destroy(event);
    }
    return count;
  }

  std::filesystem::path folder;
  std::string node = "node";
  raftcs_queue_t* queue = nullptr;
  raftcs_client_t* other = nullptr;
};

TEST_F(Shortage, AServerThatGetsNoThreadCanBeStartedAgain) {
  raftcs_server_t* server = new_server();
  int failures = 0;
  for (;; ++failures) {
    raftcs_error_t* error = nullptr;
    threads_fail_at = failures + 1;
    const raftcs_status_t status = raftcs_server_start(server, &error);
    const bool enough = threads_fail_at != 0;
    threads_fail_at = 0;
    if (enough) {
      EXPECT_EQ(status, RAFTCS_OK);
      break;
    }
    ASSERT_EQ(status, RAFTCS_ERR_RESOURCE_LIMIT) << "thread " << failures;
    EXPECT_STRNE(raftcs_error_text(error), "");
    raftcs_error_destroy(error);
  }
  EXPECT_GE(failures, 4);
  EXPECT_EQ(take_all(RAFTCS_EVENT_CLOSED), 0);
  raftcs_server_destroy(server);
  EXPECT_EQ(take_all(RAFTCS_EVENT_CLOSED), 1);
}

TEST_F(Shortage, AServerThatGetsNoMemoryCanBeStartedAgain) {
  raftcs_server_t* server = new_server();
  int failures = 0;
  for (;; ++failures) {
    raftcs_error_t* error = nullptr;
    fails_at = failures + 1;
    const raftcs_status_t status = raftcs_server_start(server, &error);
    const bool enough = fails_at != 0;
    fails_at = 0;
    const std::string text = raftcs_error_text(error);
    raftcs_error_destroy(error);
    if (text.find("in use by another node") != std::string::npos) {
      // sys::FileSystem::lock keeps its descriptor when there is no memory for its object.
      raftcs_server_destroy(server);
      node = "node" + std::to_string(failures);
      EXPECT_EQ(take_all(RAFTCS_EVENT_CLOSED), 1);
      server = new_server();
      continue;
    }
    if (status == RAFTCS_OK) {
      if (enough) break;  // else somebody did without
      raftcs_server_destroy(server);
      EXPECT_EQ(take_all(RAFTCS_EVENT_CLOSED), 1);
      server = new_server();
      continue;
    }
    ASSERT_EQ(status, RAFTCS_ERR_NO_MEMORY) << "allocation " << failures << ": " << text;
    ASSERT_EQ(take_all(RAFTCS_EVENT_CLOSED), 0) << "allocation " << failures;
  }
  EXPECT_GE(failures, 50);
  raftcs_server_destroy(server);
  EXPECT_EQ(take_all(RAFTCS_EVENT_CLOSED), 1);
}

}  // namespace
