// A stand-in for libraftcs.so: the client half of raftcs.h without a cluster.
//
// It lets the bindings' own code be tested on answers that a real cluster gives only by luck: an
// unknown outcome, BUSY, an operation that never ends, a lost session. It is loaded only by the
// stand-in tests; what it answers proves nothing about the library.
//
// A command is text: "echo X" gives X; "code N" an app code; "unknown" TIMED_OUT with UNKNOWN;
// "never" ends only by cancel or close; "push N" replies, then sends N server requests; "lose" ends
// the session; "hold" stays until "release". Config: standin.outstanding_max.
//
// What must hold: exactly one event per accepted operation, and CLOSED last, as in raftcs.h.
#include <fcntl.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#define RAFTCS_BUILDING
#pragma GCC diagnostic ignored "-Wshadow"
#include "raftcs.h"

struct raftcs_error {
  raftcs_status_t status;
  std::string text;
};

struct raftcs_config {
  std::map<std::string, std::string> values;
};

struct raftcs_event {
  raftcs_event_info_t info{};
  std::string data;
  std::string text;
};

struct Mail {
  std::mutex mutex;
  std::condition_variable filled;
  std::deque<raftcs_event*> events;
  int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  uint64_t interrupts = 0;

  ~Mail() {
    for (raftcs_event* event : events) delete event;
    close(fd);
  }
  void push(raftcs_event* event) {
    std::lock_guard lock(mutex);
    if (events.empty()) eventfd_write(fd, 1);
    events.push_back(event);
    filled.notify_one();
  }
  raftcs_event* pop() {
    if (events.empty()) return nullptr;
    raftcs_event* event = events.front();
    events.pop_front();
    eventfd_t value;
    if (events.empty()) eventfd_read(fd, &value);
    return event;
  }
  void wait(std::unique_lock<std::mutex>& lock, int64_t timeout_ms) {
    auto ready = [this] { return !events.empty() || interrupts > 0; };
    if (timeout_ms < 0) filled.wait(lock, ready);
    if (timeout_ms > 0) filled.wait_for(lock, std::chrono::milliseconds(timeout_ms), ready);
    if (events.empty() && interrupts > 0) --interrupts;
  }
};

struct raftcs_queue {
  std::shared_ptr<Mail> mail = std::make_shared<Mail>();
};

struct raftcs_client {
  std::shared_ptr<Mail> mail;
  uint64_t tag = 0;
  size_t outstanding_max = 1000;
  std::mutex mutex;
  std::map<uint64_t, raftcs_event*> held;
  uint64_t last_op = 0;
  uint64_t last_push = 0;
  uint64_t acked = 0;
  int32_t state = RAFTCS_CLIENT_DISCONNECTED;
  bool closed = false;
};

struct raftcs_server {
  int unused;
};

namespace {

struct Row {
  raftcs_status_t status;
  const char* name;
  int32_t outcome;
  bool retriable;
};
constexpr Row kRows[] = {
    {RAFTCS_OK, "OK", RAFTCS_OUTCOME_APPLIED, false},
    {RAFTCS_ERR_INVALID_ARGUMENT, "INVALID_ARGUMENT", RAFTCS_OUTCOME_NOT_APPLIED, false},
    {RAFTCS_ERR_BAD_HANDLE, "BAD_HANDLE", RAFTCS_OUTCOME_NOT_APPLIED, false},
    {RAFTCS_ERR_UNKNOWN_OPTION, "UNKNOWN_OPTION", RAFTCS_OUTCOME_NOT_APPLIED, false},
    {RAFTCS_ERR_BAD_STATE, "BAD_STATE", RAFTCS_OUTCOME_NOT_APPLIED, false},
    {RAFTCS_ERR_TOO_LARGE, "TOO_LARGE", RAFTCS_OUTCOME_NOT_APPLIED, false},
    {RAFTCS_ERR_NOT_FOUND, "NOT_FOUND", RAFTCS_OUTCOME_NOT_APPLIED, false},
    {RAFTCS_ERR_INTERNAL, "INTERNAL", RAFTCS_OUTCOME_UNKNOWN, false},
    {RAFTCS_ERR_BUSY, "BUSY", RAFTCS_OUTCOME_NOT_APPLIED, true},
    {RAFTCS_ERR_TIMED_OUT, "TIMED_OUT", RAFTCS_OUTCOME_UNKNOWN, true},
    {RAFTCS_ERR_CANCELLED, "CANCELLED", RAFTCS_OUTCOME_UNKNOWN, false},
    {RAFTCS_ERR_CLOSED, "CLOSED", RAFTCS_OUTCOME_UNKNOWN, false},
    {RAFTCS_ERR_SESSION_EXPIRED, "SESSION_EXPIRED", RAFTCS_OUTCOME_UNKNOWN, false},
    {RAFTCS_ERR_MALFORMED, "MALFORMED", RAFTCS_OUTCOME_NOT_APPLIED, false},
    {-250, "FROM_THE_FUTURE", RAFTCS_OUTCOME_NOT_APPLIED, false},
};

const Row* row(raftcs_status_t status) {
  for (const Row& each : kRows) {
    if (each.status == status) return &each;
  }
  return nullptr;
}

raftcs_event* make(int32_t kind, uint64_t tag, uint64_t op, std::string data) {
  auto* event = new raftcs_event;
  event->data = std::move(data);
  event->info.struct_size = sizeof event->info;
  event->info.kind = kind;
  event->info.tag = tag;
  event->info.op_id = op;
  event->info.outcome = RAFTCS_OUTCOME_APPLIED;
  return event;
}

void fail(raftcs_event* event, raftcs_status_t status, int32_t outcome) {
  event->info.status = status;
  event->info.outcome = outcome;
  event->text = "the stand-in says so";
}

raftcs_status_t refuse(raftcs_status_t status, const std::string& text, raftcs_error_t** out) {
  if (out != nullptr) *out = new raftcs_error{status, text};
  return status;
}

void set_state(raftcs_client_t* client, int32_t state) {
  client->state = state;
  raftcs_event* event =
      make(RAFTCS_EVENT_CLIENT_STATE, client->tag, 0, "{\"attempt\":3,\"at_risk\":false}");
  event->info.app_code = state;
  event->info.outcome = RAFTCS_OUTCOME_NONE;
  client->mail->push(event);
}

void release(raftcs_client_t* client, raftcs_status_t status) {
  for (auto& [op, event] : client->held) {
    if (status != RAFTCS_OK) fail(event, status, RAFTCS_OUTCOME_UNKNOWN);
    client->mail->push(event);
  }
  client->held.clear();
}

void push_requests(raftcs_client_t* client, int count) {
  for (int i = 0; i < count; ++i) {
    uint64_t id = ++client->last_push;
    client->mail->push(
        make(RAFTCS_EVENT_SERVER_REQUEST, client->tag, id, "request " + std::to_string(id)));
  }
}

void lose(raftcs_client_t* client) {
  raftcs_event* event = make(RAFTCS_EVENT_SESSION_LOST, client->tag, 0, "");
  fail(event, RAFTCS_ERR_SESSION_EXPIRED, RAFTCS_OUTCOME_NONE);
  client->mail->push(event);
}

void answer(raftcs_client_t* client, raftcs_event* event, const std::string& text) {
  std::string verb = text.substr(0, text.find(' '));
  std::string rest = text.find(' ') == std::string::npos ? "" : text.substr(text.find(' ') + 1);
  if (verb == "never" || verb == "hold") {
    client->held.emplace(event->info.op_id, event);
    return;
  }
  if (verb == "echo") event->data = rest;
  if (verb == "code") event->info.app_code = std::atoi(rest.c_str());
  if (verb == "acked") event->data = std::to_string(client->acked);
  if (verb == "unknown") fail(event, RAFTCS_ERR_TIMED_OUT, RAFTCS_OUTCOME_UNKNOWN);
  if (verb == "late") fail(event, RAFTCS_ERR_TIMED_OUT, RAFTCS_OUTCOME_NOT_APPLIED);
  if (verb == "future") fail(event, -250, RAFTCS_OUTCOME_NOT_APPLIED);
  if (verb == "unlisted") fail(event, -399, RAFTCS_OUTCOME_UNKNOWN);
  client->mail->push(event);
  if (verb == "release") release(client, RAFTCS_OK);
  if (verb == "push") push_requests(client, std::atoi(rest.c_str()));
  if (verb == "lose") lose(client);
}

raftcs_status_t start(raftcs_client_t* client, int32_t kind, uint64_t tag, std::string text,
                      uint64_t* out_op) {
  if (client == nullptr) return RAFTCS_ERR_BAD_HANDLE;
  std::lock_guard lock(client->mutex);
  if (client->closed) return RAFTCS_ERR_CLOSED;
  bool frees = text == "release";
  if (!frees && client->held.size() >= client->outstanding_max) return RAFTCS_ERR_BUSY;
  uint64_t op = ++client->last_op;
  if (out_op != nullptr) *out_op = op;
  answer(client, make(kind, tag, op, ""), text);
  return RAFTCS_OK;
}

std::string bytes(const void* data, size_t len) {
  return len == 0 ? std::string() : std::string(static_cast<const char*>(data), len);
}

}  // namespace

extern "C" {

uint32_t raftcs_version(void) { return RAFTCS_VERSION_MAJOR << 24 | RAFTCS_VERSION_MINOR << 16; }
const char* raftcs_version_string(void) { return "stand-in"; }
int32_t raftcs_has(const char* feature) { return std::strcmp(feature, "client") == 0; }

const char* raftcs_status_name(raftcs_status_t s) { return row(s) ? row(s)->name : "UNKNOWN"; }
const char* raftcs_status_text(raftcs_status_t) { return "a sentence"; }
raftcs_status_t raftcs_status_at(uint32_t i, raftcs_status_t* out) {
  if (i >= sizeof kRows / sizeof kRows[0]) return RAFTCS_ERR_NOT_FOUND;
  *out = kRows[i].status;
  return RAFTCS_OK;
}
int32_t raftcs_status_is_retriable(raftcs_status_t s) { return row(s) && row(s)->retriable; }
int32_t raftcs_status_is_fatal(raftcs_status_t) { return 0; }
int32_t raftcs_status_outcome(raftcs_status_t s) {
  return row(s) ? row(s)->outcome : RAFTCS_OUTCOME_UNKNOWN;
}

raftcs_status_t raftcs_error_status(const raftcs_error_t* error) { return error->status; }
const char* raftcs_error_text(const raftcs_error_t* error) { return error->text.c_str(); }
void raftcs_error_destroy(raftcs_error_t* error) { delete error; }

raftcs_status_t raftcs_config_create(raftcs_config_t** out) {
  *out = new raftcs_config;
  return RAFTCS_OK;
}
void raftcs_config_destroy(raftcs_config_t* config) { delete config; }
raftcs_status_t raftcs_config_set(raftcs_config_t* config, const char* name, const char* value,
                                  raftcs_error_t** out_error) {
  std::string key = name;
  if (key.rfind("client.", 0) != 0 && key.rfind("standin.", 0) != 0) {
    return refuse(RAFTCS_ERR_UNKNOWN_OPTION, "no setting " + key, out_error);
  }
  config->values[key] = value;
  return RAFTCS_OK;
}
raftcs_status_t raftcs_config_get(raftcs_config_t* config, const char* name, const char** out) {
  auto found = config->values.find(name);
  if (found == config->values.end()) return RAFTCS_ERR_UNKNOWN_OPTION;
  *out = found->second.c_str();
  return RAFTCS_OK;
}
raftcs_status_t raftcs_setting_at(uint32_t, raftcs_setting_t*) { return RAFTCS_ERR_NOT_FOUND; }

raftcs_status_t raftcs_queue_create(const raftcs_queue_options_t*, raftcs_queue_t** out) {
  *out = new raftcs_queue;
  return RAFTCS_OK;
}
void raftcs_queue_destroy(raftcs_queue_t* queue) { delete queue; }
raftcs_status_t raftcs_queue_next_batch(raftcs_queue_t* queue, int64_t timeout_ms,
                                        raftcs_event_t** out, size_t cap, size_t* out_count) {
  std::unique_lock lock(queue->mail->mutex);
  queue->mail->wait(lock, timeout_ms);
  size_t count = 0;
  while (count < cap && (out[count] = queue->mail->pop()) != nullptr) ++count;
  *out_count = count;
  return RAFTCS_OK;
}
raftcs_status_t raftcs_queue_next(raftcs_queue_t* queue, int64_t timeout_ms, raftcs_event_t** out) {
  size_t count = 0;
  *out = nullptr;
  return raftcs_queue_next_batch(queue, timeout_ms, out, 1, &count);
}
raftcs_status_t raftcs_queue_interrupt(raftcs_queue_t* queue) {
  std::lock_guard lock(queue->mail->mutex);
  ++queue->mail->interrupts;
  queue->mail->filled.notify_one();
  return RAFTCS_OK;
}
raftcs_status_t raftcs_queue_open_fd(raftcs_queue_t* queue, int32_t, int* out_fd) {
  *out_fd = fcntl(queue->mail->fd, F_DUPFD_CLOEXEC, 0);
  return RAFTCS_OK;
}
size_t raftcs_queue_length(raftcs_queue_t* queue) { return queue->mail->events.size(); }

raftcs_status_t raftcs_event_info(const raftcs_event_t* event, raftcs_event_info_t* out) {
  *out = event->info;
  out->data = event->data.data();
  out->data_len = event->data.size();
  out->text = event->text.c_str();
  return RAFTCS_OK;
}
int32_t raftcs_event_is_retriable(const raftcs_event_t* event) {
  return event->info.outcome == RAFTCS_OUTCOME_NOT_APPLIED &&
         raftcs_status_is_retriable(event->info.status);
}
void raftcs_event_destroy(raftcs_event_t* event) { delete event; }
void raftcs_event_destroy_batch(raftcs_event_t* const* events, size_t count) {
  for (size_t i = 0; i < count; ++i) delete events[i];
}

raftcs_status_t raftcs_client_create(const raftcs_config_t* config, raftcs_queue_t* queue,
                                     uint64_t tag, raftcs_client_t** out, raftcs_error_t** error) {
  if (config->values.count("client.endpoints") == 0) {
    return refuse(RAFTCS_ERR_INVALID_ARGUMENT, "client.endpoints is needed", error);
  }
  auto* client = new raftcs_client;
  client->mail = queue->mail;
  client->tag = tag;
  auto found = config->values.find("standin.outstanding_max");
  if (found != config->values.end()) client->outstanding_max = std::stoul(found->second);
  *out = client;
  return RAFTCS_OK;
}
raftcs_status_t raftcs_client_open(raftcs_client_t* client) {
  set_state(client, RAFTCS_CLIENT_CONNECTING_NEW);
  set_state(client, RAFTCS_CLIENT_CONNECTED);
  return RAFTCS_OK;
}
raftcs_status_t raftcs_client_resume(raftcs_client_t* client, const void* token, size_t len) {
  if (bytes(token, len) != std::string(5000, 't')) return RAFTCS_ERR_MALFORMED;
  return raftcs_client_open(client);
}
raftcs_status_t raftcs_client_wait_connected(raftcs_client_t* client, int64_t) {
  return client->state == RAFTCS_CLIENT_CONNECTED ? RAFTCS_OK : RAFTCS_ERR_TIMED_OUT;
}
raftcs_status_t raftcs_client_submit(raftcs_client_t* client, const char*, uint64_t tag,
                                     const void* command, size_t len, const raftcs_call_options_t*,
                                     uint64_t* out_op) {
  return start(client, RAFTCS_EVENT_REPLY, tag, bytes(command, len), out_op);
}
raftcs_status_t raftcs_client_query(raftcs_client_t* client, const char*, uint64_t tag,
                                    const void* query, size_t len,
                                    const raftcs_call_options_t* options, uint64_t* out_op) {
  std::string text = bytes(query, len);
  if (text == "consistency") text = "echo " + std::to_string(options->consistency);
  return start(client, RAFTCS_EVENT_QUERY_REPLY, tag, text, out_op);
}
raftcs_status_t raftcs_client_admin(raftcs_client_t* client, const char* endpoint, uint64_t tag,
                                    const char* verb, const char* args,
                                    const raftcs_call_options_t*, uint64_t* out_op) {
  std::string where = endpoint == nullptr ? "null" : "\"" + std::string(endpoint) + "\"";
  std::string json = "{\"verb\":\"" + std::string(verb) + "\",\"endpoint\":" + where +
                     ",\"args\":" + (args == nullptr ? "null" : args) + "}";
  return start(client, RAFTCS_EVENT_ADMIN_REPLY, tag, "echo " + json, out_op);
}
raftcs_status_t raftcs_client_cancel(raftcs_client_t* client, uint64_t op) {
  std::lock_guard lock(client->mutex);
  auto found = client->held.find(op);
  if (found == client->held.end()) return RAFTCS_ERR_NOT_FOUND;
  fail(found->second, RAFTCS_ERR_CANCELLED, RAFTCS_OUTCOME_UNKNOWN);
  client->mail->push(found->second);
  client->held.erase(found);
  return RAFTCS_OK;
}
raftcs_status_t raftcs_client_ack(raftcs_client_t* client, uint64_t id) {
  std::lock_guard lock(client->mutex);
  client->acked = id;
  return RAFTCS_OK;
}
raftcs_status_t raftcs_client_info(raftcs_client_t* client, raftcs_client_info_t* out) {
  std::lock_guard lock(client->mutex);
  *out = raftcs_client_info_t{};
  out->struct_size = sizeof *out;
  out->state = client->state;
  out->outstanding = client->held.size();
  out->submitted = client->last_op;
  out->rtt_smoothed_us = 11;
  out->latency_us = 12;
  out->session_timeout_ms = 13;
  out->attempts = 14;
  out->late_replies = 15;
  out->busy = 16;
  out->sessions_lost = 17;
  out->malformed_frames = 18;
  out->trouble = RAFTCS_ERR_BUSY;
  return RAFTCS_OK;
}
raftcs_status_t raftcs_client_export_session(raftcs_client_t*, void* out, size_t cap,
                                             size_t* out_len) {
  // The first answer is too small on purpose: a token may grow between two calls.
  *out_len = out == nullptr ? 1 : 5000;
  if (out == nullptr) return RAFTCS_OK;
  if (cap < 5000) return RAFTCS_ERR_TOO_LARGE;
  std::memset(out, 't', 5000);
  return RAFTCS_OK;
}
raftcs_status_t raftcs_client_close(raftcs_client_t* client, int32_t) {
  std::lock_guard lock(client->mutex);
  if (client->closed) return RAFTCS_OK;
  client->closed = true;
  release(client, RAFTCS_ERR_CLOSED);
  set_state(client, RAFTCS_CLIENT_DISCONNECTED);
  client->mail->push(make(RAFTCS_EVENT_CLOSED, client->tag, 0, ""));
  return RAFTCS_OK;
}
void raftcs_client_destroy(raftcs_client_t* client) {
  if (client != nullptr) raftcs_client_close(client, 1);
  delete client;
}

}  // extern "C"
