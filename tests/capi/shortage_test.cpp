// What is left when memory or threads run out: each call says so or does its work, every operation
// has its one event, and what failed can be done again once there is room.
#include <dlfcn.h>
#include <gtest/gtest.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <map>
#include <new>
#include <set>
#include <string>

#include "raftcs.h"

namespace {

// Fails the n-th of what the calling thread asks for from now on; 0: nothing fails. Of pieces only
// until `armed_until`, if that is set, and only such as take `piece_size`.
thread_local int fails_at = 0;
thread_local std::chrono::steady_clock::time_point armed_until;
thread_local size_t piece_size = 0;
thread_local int threads_fail_at = 0;
// On any thread: the n-th large piece.
constexpr size_t kLarge = 256 << 10;
std::atomic<int> large_fails_at{0};

// libzmq ends the process when it gets no memory; it always gets some here.
bool asked_by_zmq(void* caller) {
  Dl_info where{};
  return dladdr(caller, &where) != 0 && std::strstr(where.dli_fname, "libzmq") != nullptr;
}

bool fails(void* piece, size_t size, void* caller) {
  if (size >= kLarge && large_fails_at > 0 && --large_fails_at == 0) return true;
  if (fails_at == 0 || asked_by_zmq(caller)) return false;
  if (piece_size != 0 && piece_size != malloc_usable_size(piece)) return false;
  if (armed_until != std::chrono::steady_clock::time_point() &&
      std::chrono::steady_clock::now() > armed_until)
    return false;
  return --fails_at == 0;
}

void* piece_of(size_t size, void* caller) {
  void* piece = std::malloc(size ? size : 1);
  if (piece == nullptr || !fails(piece, size, caller)) return piece;
  std::free(piece);
  return nullptr;
}

}  // namespace

[[gnu::noinline]] void* operator new(size_t size) {
  if (void* piece = piece_of(size, __builtin_return_address(0))) return piece;
  throw std::bad_alloc();
}
[[gnu::noinline]] void* operator new(size_t size, const std::nothrow_t&) noexcept {
  return piece_of(size, __builtin_return_address(0));
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
    fails_at = 0;
    piece_size = 0;
    armed_until = {};
    raftcs_client_destroy(other);
    raftcs_queue_destroy(queue);
    std::filesystem::remove_all(folder);
  }
  raftcs_server_t* new_server() {
    raftcs_config_t* config = config_of({{"server.id", "1"},
                                         {"server.data", (folder / "node").string()},
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

// Until CLOSED, which is the last: how often each operation has ended.
struct Ends {
  std::map<uint64_t, int> count;
  int without_memory = 0;
  std::set<std::string> texts;
};

Ends take_until_closed(raftcs_queue_t* queue) {
  Ends ends;
  for (int32_t kind = 0; kind != RAFTCS_EVENT_CLOSED;) {
    raftcs_event_t* event = nullptr;
    EXPECT_EQ(raftcs_queue_next(queue, 20'000, &event), RAFTCS_OK);
    if (event == nullptr) {
      ADD_FAILURE() << "no CLOSED came";
      return ends;
    }
    kind = raftcs_event_kind(event);
    if (kind == RAFTCS_EVENT_REPLY || kind == RAFTCS_EVENT_QUERY_REPLY) {
      ++ends.count[raftcs_event_op_id(event)];
      ends.texts.insert(raftcs_event_text(event));
      if (raftcs_event_status(event) == RAFTCS_ERR_NO_MEMORY) {
        ++ends.without_memory;
        EXPECT_EQ(raftcs_event_outcome(event), RAFTCS_OUTCOME_NOT_APPLIED);
        EXPECT_STRNE(raftcs_event_text(event), "");
      }
    }
    raftcs_event_destroy(event);
  }
  return ends;
}

void info_of(raftcs_client_t* client) {  // runs what was posted, on this thread
  raftcs_client_info_t info{};
  info.struct_size = sizeof info;
  raftcs_client_info(client, &info);
}

TEST_F(Shortage, EachOfManyCallsEndsOnceWhenThereIsNoRoomForOne) {
  raftcs_client_t* client = client_on(queue);
  ASSERT_EQ(raftcs_client_open(client), RAFTCS_OK);
  large_fails_at = 1;
  uint64_t op_id = 0;
  for (int i = 1; i <= 5'000; ++i) {
    ASSERT_EQ(raftcs_client_submit(client, "s", 0, "command", 7, nullptr, &op_id), RAFTCS_OK);
    if (i % 100 == 0) info_of(client);
  }
  EXPECT_EQ(large_fails_at, 0);
  large_fails_at = 0;
  EXPECT_EQ(raftcs_client_close(client, 1), RAFTCS_OK);
  const Ends ends = take_until_closed(queue);
  EXPECT_EQ(ends.count.size(), 5'000u);
  for (const auto& [op, count] : ends.count) EXPECT_EQ(count, 1) << "operation " << op;
  EXPECT_EQ(ends.without_memory, 1);
  raftcs_client_destroy(client);
}

// What a thread posts is run on this very thread while it waits. Not in the test: memory that runs
// out while the engine ends operations.
TEST_F(Shortage, AWaitingCallReturnsWhateverAllocationFails) {
  const raftcs_call_options_t options = {sizeof options, 0, 100, 0, 0};
  for (int at = 1, enough = 0; enough < 2; ++at) {
    raftcs_client_t* client = client_on(nullptr, {{"client.request.outstanding_max", "1"}});
    raftcs_event_t* event = nullptr;
    armed_until = std::chrono::steady_clock::now() + std::chrono::milliseconds(50);
    fails_at = at;
    raftcs_status_t status = RAFTCS_OK;
    if (at % 2 != 0)
      status = raftcs_client_submit_wait(client, "s", "command", 7, &options, &event);
    else
      status = raftcs_client_query_wait(client, "s", "query", 5, &options, &event);
    enough = fails_at != 0 ? enough + 1 : 0;
    fails_at = 0;
    if (status == RAFTCS_OK) {
      EXPECT_EQ(raftcs_event_outcome(event), RAFTCS_OUTCOME_NOT_APPLIED);
      raftcs_event_destroy(event);
    } else {
      EXPECT_EQ(status, RAFTCS_ERR_NO_MEMORY);
    }
    event = nullptr;
    ASSERT_EQ(raftcs_client_submit_wait(client, "s", "command", 7, &options, &event), RAFTCS_OK)
        << "allocation " << at;
    raftcs_event_destroy(event);
    raftcs_client_destroy(client);
  }
}

size_t size_of_event(raftcs_client_t* client) {
  raftcs_event_t* event = nullptr;
  const raftcs_call_options_t options = {sizeof options, 0, 1, 0, 0};
  EXPECT_EQ(raftcs_client_query_wait(client, "s", "", 0, &options, &event), RAFTCS_OK);
  const size_t size = malloc_usable_size(event);
  raftcs_event_destroy(event);
  return size;
}

// One thread delivers for all clients: here the one that waits, for a client with a queue.
TEST_F(Shortage, EachEventIsDeliveredOnceWhicheverThereIsNoRoomFor) {
  const raftcs_call_options_t soon = {sizeof soon, 0, 1, 0, 0}, later = {sizeof later, 0, 4, 0, 0};
  piece_size = size_of_event(other);
  std::set<std::string> texts;
  int failures = 0;  // the other thread may have been faster
  for (int at = 0; at < 25; ++at) {  // the first time without a failure
    raftcs_client_t* client = client_on(queue);
    raftcs_event_t* event = nullptr;
    for (int i = 0; i < 20; ++i) {
      const auto call = i % 2 != 0 ? raftcs_client_submit : raftcs_client_query;
      ASSERT_EQ(call(client, "s", 0, "x", 1, &soon, nullptr), RAFTCS_OK);
    }
    fails_at = at;
    const raftcs_status_t status =
        raftcs_client_submit_wait(other, "s", "command", 7, &later, &event);
    failures += at > 0 && fails_at == 0 ? 1 : 0;
    fails_at = 0;
    if (status == RAFTCS_OK) raftcs_event_destroy(event);
    EXPECT_EQ(raftcs_client_close(client, 1), RAFTCS_OK);
    const Ends ends = take_until_closed(queue);
    ASSERT_EQ(ends.count.size(), 20u) << "event " << at;
    for (const auto& [op, count] : ends.count)
      ASSERT_EQ(count, 1) << "event " << at << ", operation " << op;
    if (at == 0) texts = ends.texts;
    ASSERT_EQ(ends.texts, texts) << "event " << at;
    raftcs_client_destroy(client);
  }
  EXPECT_GT(failures, 0);
}

// Others fill the inbox that all clients share, so that there is no room in it now and then.
TEST_F(Shortage, OpenAndCloseCanBeRepeated) {
  const raftcs_call_options_t soon = {sizeof soon, 0, 1, 0, 0};
  int failures = 0;
  for (int n = 1; n <= 40; ++n) {
    raftcs_client_t* filler = client_on(queue);
    raftcs_client_t* client = client_on(nullptr);
    const auto fill = [&] {
      for (int i = 0; i < n; ++i)
        ASSERT_EQ(raftcs_client_submit(filler, "s", 0, "x", 1, &soon, nullptr), RAFTCS_OK);
    };
    fill();
    fails_at = 1;
    raftcs_status_t status = raftcs_client_open(client);
    fails_at = 0;
    if (status != RAFTCS_OK) {
      ++failures;
      EXPECT_EQ(status, RAFTCS_ERR_NO_MEMORY);
      EXPECT_EQ(raftcs_client_wait_connected(client, 0), RAFTCS_ERR_BAD_STATE);
      ASSERT_EQ(raftcs_client_open(client), RAFTCS_OK);
    }
    raftcs_client_info_t info{};
    info.struct_size = sizeof info;
    ASSERT_EQ(raftcs_client_info(client, &info), RAFTCS_OK);
    ASSERT_NE(info.state, RAFTCS_CLIENT_DISCONNECTED) << "not opened";
    fill();
    fails_at = 1;
    status = raftcs_client_close(client, 1);
    fails_at = 0;
    if (status != RAFTCS_OK) status = raftcs_client_close(client, 1);
    EXPECT_EQ(status, RAFTCS_OK);
    raftcs_client_destroy(client);
    raftcs_client_destroy(filler);
  }
  EXPECT_GT(failures, 0);
}

TEST_F(Shortage, StopCanBeRepeated) {
  for (int at = 1, enough = 0; enough == 0; ++at) {
    raftcs_server_t* server = new_server();
    fails_at = at;
    raftcs_status_t status = raftcs_server_stop(server);
    enough = fails_at;
    fails_at = 0;
    if (status != RAFTCS_OK) status = raftcs_server_stop(server);
    EXPECT_EQ(status, RAFTCS_OK);
    EXPECT_EQ(take_all(RAFTCS_EVENT_CLOSED), 1) << "allocation " << at;
    raftcs_server_destroy(server);
    EXPECT_EQ(take_all(RAFTCS_EVENT_CLOSED), 0) << "allocation " << at;
  }
}

TEST_F(Shortage, AnAdminCallThatFailsHasNoAnswer) {
  raftcs_server_t* server = new_server();
  ASSERT_EQ(raftcs_server_start(server, nullptr), RAFTCS_OK);
  for (int at = 1, enough = 0; enough == 0; ++at) {
    fails_at = at;
    const raftcs_status_t status = raftcs_server_admin(server, 1, "status", nullptr);
    enough = fails_at;
    fails_at = 0;
    int answers = 0;
    for (int i = 0; i < 2'000 && (i < 20 || (status == RAFTCS_OK && answers == 0)); ++i) {
      answers += take_all(RAFTCS_EVENT_ADMIN_REPLY);
      poll(nullptr, 0, 1);
    }
    EXPECT_EQ(answers, status == RAFTCS_OK ? 1 : 0) << "allocation " << at;
  }
  raftcs_server_destroy(server);
}

// In a callback destroy leaves the waiting to a thread; without one it stops the server all the
// same.
struct Destroyer {
  raftcs_queue_t* queue;
  raftcs_server_t* server;
  std::atomic<bool> returned{false}, destroyed{false};
};

void destroy_without_thread(uint64_t user_data) {
  auto* d = reinterpret_cast<Destroyer*>(static_cast<uintptr_t>(user_data));
  if (d->destroyed) return;
  while (!d->returned) poll(nullptr, 0, 1);
  threads_fail_at = 1;
  raftcs_server_destroy(d->server);
  threads_fail_at = 0;
  d->destroyed = true;
}

TEST_F(Shortage, AServerIsStoppedByACallbackThatGetsNoThread) {
  Destroyer d{queue, new_server()};
  ASSERT_EQ(raftcs_server_start(d.server, nullptr), RAFTCS_OK);
  take_all(0);
  ASSERT_EQ(raftcs_queue_set_wakeup(queue, destroy_without_thread,
                                    static_cast<uint64_t>(reinterpret_cast<uintptr_t>(&d))),
            RAFTCS_OK);
  take_all(0);
  raftcs_server_admin(d.server, 1, "status", nullptr);
  d.returned = true;
  int closed = 0;
  for (int i = 0; i < 5'000 && closed == 0; ++i) {
    closed += take_all(RAFTCS_EVENT_CLOSED);
    poll(nullptr, 0, 1);
  }
  EXPECT_TRUE(d.destroyed);
  EXPECT_EQ(closed, 1);
  raftcs_queue_set_wakeup(queue, nullptr, 0);
}

}  // namespace
