// raftcs.hpp: the C API with C++ lifetimes, for programs that like exceptions.
//
// Header-only, C++17, nothing beyond the standard library and raftcs.h. Handles are move-only
// objects; failed calls throw raftcs::Error, which carries status and outcome. Events come out
// of a Queue; a Pump takes them and hands each to the callback or future of its operation, on
// whatever thread runs the pump.
//
// What must hold
//  1 Callbacks run on the thread that runs the Pump, never on a thread of the library.
//  2 A callback is in the pump's table before its call is made, as its event may come first.
//  3 A Pump outlives the Clients and Servers made with it; ~Client waits for the library to let
//    go, so it does not belong in a wakeup callback.
//  4 An event that was taken from the queue is handed on, whatever the handlers before it throw.
//  5 No retry here: the library sends again, and an Error's outcome is the whole truth.
#ifndef RAFTCS_HPP
#define RAFTCS_HPP

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <future>
#include <initializer_list>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

// g++ takes a function that has the name of a struct for shadowing.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"
#include "raftcs.h"
#pragma GCC diagnostic pop

namespace raftcs {

using Milliseconds = std::chrono::milliseconds;

inline constexpr Milliseconds kForever{-1};

enum class Outcome : int32_t {
  kNone = RAFTCS_OUTCOME_NONE,
  kApplied = RAFTCS_OUTCOME_APPLIED,
  kNotApplied = RAFTCS_OUTCOME_NOT_APPLIED,
  kUnknown = RAFTCS_OUTCOME_UNKNOWN,
};

// A status that is not OK, with what it means for the command.
class Error : public std::runtime_error {
 public:
  Error(raftcs_status_t status, const std::string& text, Outcome outcome,
        Milliseconds retry_after = Milliseconds{0})
      : std::runtime_error(std::string(raftcs_status_name(status)) + ": " + text),
        status_(status),
        outcome_(outcome),
        retry_after_(retry_after) {}
  explicit Error(raftcs_status_t status)
      : Error(status, raftcs_status_text(status),
              static_cast<Outcome>(raftcs_status_outcome(status))) {}

  raftcs_status_t status() const noexcept { return status_; }
  Outcome outcome() const noexcept { return outcome_; }
  // With BUSY a hint, else 0.
  Milliseconds retry_after() const noexcept { return retry_after_; }
  // May the command have happened?
  bool may_have_happened() const noexcept { return outcome_ == Outcome::kUnknown; }
  // May the same call succeed later without any change? Says nothing about what the first one did.
  bool retriable() const noexcept { return raftcs_status_is_retriable(status_) != 0; }
  // The call had no effect and never will, and the same call again may succeed.
  bool safe_to_retry() const noexcept { return outcome_ == Outcome::kNotApplied && retriable(); }
  bool fatal() const noexcept { return raftcs_status_is_fatal(status_) != 0; }

 private:
  raftcs_status_t status_;
  Outcome outcome_;
  Milliseconds retry_after_;
};

namespace detail {

// For calls whose status is not an event's: what is refused did not happen, also where the status
// means something else in an event (CLOSED). Only INTERNAL may come from behind the refusals.
inline void check(raftcs_status_t status) {
  if (status == RAFTCS_OK) return;
  Outcome outcome = status == RAFTCS_ERR_INTERNAL ? Outcome::kUnknown : Outcome::kNotApplied;
  throw Error(status, raftcs_status_text(status), outcome);
}

// Takes the error object, if any, and throws for a status that is not OK. A reference, as the call
// that gives the status sets the error and arguments are evaluated in any order.
inline void check(raftcs_status_t status, raftcs_error_t* const& error) {
  if (status == RAFTCS_OK) return;
  std::string text = error != nullptr ? raftcs_error_text(error) : raftcs_status_text(status);
  raftcs_error_destroy(error);
  throw Error(status, text, static_cast<Outcome>(raftcs_status_outcome(status)));
}

template <auto destroy>
struct Destroy {
  template <class Handle>
  void operator()(Handle* handle) const noexcept {
    destroy(handle);
  }
};

template <class Handle, auto destroy>
using Owner = std::unique_ptr<Handle, Destroy<destroy>>;

}  // namespace detail

// ---- settings

class Config {
 public:
  Config() {
    raftcs_config_t* made = nullptr;
    detail::check(raftcs_config_create(&made));
    handle_.reset(made);
  }
  Config(std::initializer_list<std::pair<const char*, std::string>> values) : Config() {
    for (const auto& [name, value] : values) set(name, value);
  }

  Config& set(const std::string& name, const std::string& value) {
    raftcs_error_t* error = nullptr;
    detail::check(raftcs_config_set(handle_.get(), name.c_str(), value.c_str(), &error), error);
    return *this;
  }
  Config& load(const std::string& path) {
    raftcs_error_t* error = nullptr;
    detail::check(raftcs_config_load_file(handle_.get(), path.c_str(), &error), error);
    return *this;
  }
  std::string get(const std::string& name) const {
    const char* value = nullptr;
    detail::check(raftcs_config_get(handle_.get(), name.c_str(), &value));
    return value;
  }
  const raftcs_config_t* handle() const noexcept { return handle_.get(); }

 private:
  detail::Owner<raftcs_config_t, raftcs_config_destroy> handle_;
};

// ---- events

// One event; the views live as long as it does.
class Event {
 public:
  explicit Event(raftcs_event_t* handle) : handle_(handle) {
    info_.struct_size = sizeof info_;
    detail::check(raftcs_event_info(handle, &info_));
  }

  int32_t kind() const noexcept { return info_.kind; }
  raftcs_status_t status() const noexcept { return info_.status; }
  bool ok() const noexcept { return info_.status == RAFTCS_OK; }
  Outcome outcome() const noexcept { return static_cast<Outcome>(info_.outcome); }
  // The state machine's code, 0 is success.
  int32_t app_code() const noexcept { return info_.app_code; }
  uint64_t tag() const noexcept { return info_.tag; }
  uint64_t op_id() const noexcept { return info_.op_id; }
  uint64_t index() const noexcept { return info_.index; }
  std::string_view text() const noexcept { return info_.text; }
  std::string_view data() const noexcept {
    return {static_cast<const char*>(info_.data), info_.data_len};
  }
  // The operation had no effect and never will, and the same call again may succeed.
  bool safe_to_retry() const noexcept { return raftcs_event_is_retriable(handle_.get()) != 0; }
  // Throws the Error of an operation that did not end well.
  const Event& check() const {
    if (!ok()) throw Error(status(), info_.text, outcome(), Milliseconds{info_.retry_after_ms});
    return *this;
  }

 private:
  detail::Owner<raftcs_event_t, raftcs_event_destroy> handle_;
  raftcs_event_info_t info_{};
};

class Queue {
 public:
  Queue() {
    raftcs_queue_t* made = nullptr;
    detail::check(raftcs_queue_create(nullptr, &made));
    handle_.reset(made);
  }

  // The next event, or none after the time or an interrupt.
  std::optional<Event> next(Milliseconds timeout = kForever) {
    raftcs_event_t* event = nullptr;
    detail::check(raftcs_queue_next(handle_.get(), timeout.count(), &event));
    if (event == nullptr) return std::nullopt;
    return std::optional<Event>(std::in_place, event);
  }
  std::vector<Event> next_batch(Milliseconds timeout = kForever) {
    std::array<raftcs_event_t*, 64> handles{};
    std::vector<Event> events;
    events.reserve(handles.size());  // before the take, as memory may run out
    size_t count = 0;
    detail::check(raftcs_queue_next_batch(handle_.get(), timeout.count(), handles.data(),
                                          handles.size(), &count));
    for (size_t i = 0; i < count; ++i) events.emplace_back(handles[i]);
    return events;
  }
  void interrupt() noexcept { raftcs_queue_interrupt(handle_.get()); }
  // A descriptor to poll; the caller closes it and neither reads nor writes it.
  int open_fd(int32_t kind = RAFTCS_FD_DEFAULT) {
    int fd = -1;
    detail::check(raftcs_queue_open_fd(handle_.get(), kind, &fd));
    return fd;
  }
  size_t length() const noexcept { return raftcs_queue_length(handle_.get()); }
  raftcs_queue_t* handle() const noexcept { return handle_.get(); }

 private:
  detail::Owner<raftcs_queue_t, raftcs_queue_destroy> handle_;
};

using EventHandler = std::function<void(Event)>;

// Takes the events of one queue and hands each to whom it belongs. One thread runs it (or an
// event loop calls drain() when fd() is readable); every other function is for any thread.
class Pump {
 public:
  // Hands on what comes within the time; true if there was something. What a handler throws comes
  // out; the events after it are handed on by the next call.
  bool run_once(Milliseconds timeout) {
    if (rest_.empty()) {
      rest_ = queue_.next_batch(timeout);
      std::reverse(rest_.begin(), rest_.end());
    }
    bool found = !rest_.empty();
    while (!rest_.empty()) {
      Event event = std::move(rest_.back());
      rest_.pop_back();
      dispatch(std::move(event));
    }
    return found;
  }
  // The loop rule: until nothing is left. After an exception call it again: the descriptor does
  // not tell of events that were taken.
  void drain() {
    while (run_once(Milliseconds{0})) {
    }
  }
  // Until stop().
  void run() {
    while (!stopped_.load()) run_once(kForever);
  }
  void stop() {
    stopped_.store(true);
    queue_.interrupt();
  }
  int open_fd(int32_t kind = RAFTCS_FD_DEFAULT) { return queue_.open_fd(kind); }
  Queue& queue() noexcept { return queue_; }

  // A tag whose next event (`once`) or every event goes to the handler.
  uint64_t add(EventHandler handler, bool once) {
    std::lock_guard lock(mutex_);
    uint64_t tag = ++last_tag_;
    entries_.emplace(tag, Entry{std::make_shared<EventHandler>(std::move(handler)), once});
    return tag;
  }
  void remove(uint64_t tag) {
    // Dies after the lock: what the handler holds may be the last of another client of this pump.
    decltype(entries_)::node_type entry;
    std::lock_guard lock(mutex_);
    entry = entries_.extract(tag);
  }

 private:
  struct Entry {
    std::shared_ptr<EventHandler> handler;
    bool once = true;
  };

  void dispatch(Event event) {
    std::shared_ptr<EventHandler> handler = find(event.tag());
    if (handler != nullptr && *handler) (*handler)(std::move(event));
  }
  std::shared_ptr<EventHandler> find(uint64_t tag) {
    std::lock_guard lock(mutex_);
    auto found = entries_.find(tag);
    if (found == entries_.end()) return nullptr;
    auto handler = found->second.handler;
    if (found->second.once) entries_.erase(found);
    return handler;
  }

  Queue queue_;
  std::vector<Event> rest_;  // taken and not handed on, the next one last; of the running thread
  std::mutex mutex_;
  std::unordered_map<uint64_t, Entry> entries_;
  uint64_t last_tag_ = 0;
  std::atomic<bool> stopped_{false};
};

// A Pump with a thread that runs it.
class PumpThread {
 public:
  PumpThread() : thread_([this] { pump_.run(); }) {}
  ~PumpThread() {
    pump_.stop();
    thread_.join();
  }
  PumpThread(const PumpThread&) = delete;
  PumpThread& operator=(const PumpThread&) = delete;
  operator Pump&() noexcept { return pump_; }
  Pump* operator->() noexcept { return &pump_; }

 private:
  Pump pump_;
  std::thread thread_;
};

// ---- client

struct CallOptions {
  Milliseconds timeout{0};  // 0: the setting client.request.timeout_ms
  bool stale = false;       // queries: what the server that answers has applied
};

// A durable session with a cluster. submit and query come as callback, future and blocking
// call; the first two need somebody to run the pump.
class Client {
 public:
  // `on_event` gets what belongs to no operation: server requests, states, CLOSED.
  Client(const Config& config, Pump& pump, EventHandler on_event = {}) : pump_(&pump) {
    tag_ = pump.add(std::move(on_event), false);
    raftcs_client_t* made = nullptr;
    raftcs_error_t* error = nullptr;
    raftcs_status_t status =
        raftcs_client_create(config.handle(), pump.queue().handle(), tag_, &made, &error);
    if (status != RAFTCS_OK) pump.remove(tag_);
    detail::check(status, error);
    handle_.reset(made);
  }
  Client(Client&& other) noexcept = default;
  Client& operator=(Client&&) = delete;
  ~Client() {
    if (handle_ == nullptr) return;
    handle_.reset();
    pump_->remove(tag_);
  }

  // Again after SESSION_LOST: a new session.
  Client& open() {
    detail::check(raftcs_client_open(handle()));
    return *this;
  }
  Client& resume(std::string_view token) {
    detail::check(raftcs_client_resume(handle(), token.data(), token.size()));
    return *this;
  }
  // Throws why there is no session in time: NO_LEADER, UNREACHABLE, BUSY, TIMED_OUT.
  Client& wait_connected(Milliseconds timeout) {
    detail::check(raftcs_client_wait_connected(handle(), timeout.count()));
    return *this;
  }

  // The operation's number. Throws when the library does not accept it: no callback then.
  uint64_t submit(const std::string& service, std::string_view command, EventHandler done,
                  CallOptions options = {}) {
    return start(raftcs_client_submit, service, command, std::move(done), options);
  }
  uint64_t query(const std::string& service, std::string_view query, EventHandler done,
                 CallOptions options = {}) {
    return start(raftcs_client_query, service, query, std::move(done), options);
  }
  // The future throws the Error of an operation that did not end well.
  std::future<Event> submit(const std::string& service, std::string_view command,
                            CallOptions options = {}) {
    return start_future(raftcs_client_submit, service, command, options);
  }
  std::future<Event> query(const std::string& service, std::string_view query,
                           CallOptions options = {}) {
    return start_future(raftcs_client_query, service, query, options);
  }
  // These wait without the pump, and throw like the future.
  Event submit_wait(const std::string& service, std::string_view command,
                    CallOptions options = {}) {
    return wait(raftcs_client_submit_wait, service, command, options);
  }
  Event query_wait(const std::string& service, std::string_view query, CallOptions options = {}) {
    return wait(raftcs_client_query_wait, service, query, options);
  }
  // The JSON document of an administration verb; an empty endpoint is the leader.
  std::string admin_wait(const std::string& verb, const std::string& args_json = "{}",
                         const std::string& endpoint = "", CallOptions options = {}) {
    raftcs_call_options_t raw = raw_options(options);
    raftcs_event_t* event = nullptr;
    detail::check(raftcs_client_admin_wait(handle(), endpoint.empty() ? nullptr : endpoint.c_str(),
                                           verb.c_str(), args_json.c_str(), &raw, &event));
    return std::string(Event(event).check().data());
  }
  // False when the operation had ended.
  bool cancel(uint64_t op_id) { return raftcs_client_cancel(handle(), op_id) == RAFTCS_OK; }
  void ack(uint64_t request_id) { detail::check(raftcs_client_ack(handle(), request_id)); }

  raftcs_client_info_t info() const {
    raftcs_client_info_t info{};
    info.struct_size = sizeof info;
    detail::check(raftcs_client_info(handle(), &info));
    return info;
  }
  // Secret: who holds the token holds the session.
  std::string export_session() const {
    size_t length = 0;
    detail::check(raftcs_client_export_session(handle(), nullptr, 0, &length));
    for (size_t room = length + 256;; room *= 2) {
      std::string token(room, '\0');
      raftcs_status_t status = raftcs_client_export_session(handle(), token.data(), room, &length);
      if (status == RAFTCS_ERR_TOO_LARGE) continue;
      detail::check(status);
      token.resize(length);
      return token;
    }
  }
  // Starts to close; the CLOSED event comes last. The destructor closes and keeps the session.
  void close(bool keep_session = false) {
    detail::check(raftcs_client_close(handle(), keep_session ? 1 : 0));
  }
  raftcs_client_t* handle() const noexcept { return handle_.get(); }

 private:
  using StartCall = raftcs_status_t (*)(raftcs_client_t*, const char*, uint64_t, const void*,
                                        size_t, const raftcs_call_options_t*, uint64_t*);
  using WaitCall = raftcs_status_t (*)(raftcs_client_t*, const char*, const void*, size_t,
                                       const raftcs_call_options_t*, raftcs_event_t**);

  static raftcs_call_options_t raw_options(const CallOptions& options) noexcept {
    raftcs_call_options_t raw{};
    raw.struct_size = sizeof raw;
    raw.timeout_ms = options.timeout.count();
    raw.consistency = options.stale ? RAFTCS_STALE : RAFTCS_LINEARIZABLE;
    return raw;
  }
  uint64_t start(StartCall call, const std::string& service, std::string_view bytes,
                 EventHandler done, const CallOptions& options) {
    raftcs_call_options_t raw = raw_options(options);
    uint64_t tag = pump_->add(std::move(done), true);
    uint64_t op_id = 0;
    raftcs_status_t status =
        call(handle(), service.c_str(), tag, bytes.data(), bytes.size(), &raw, &op_id);
    if (status == RAFTCS_OK) return op_id;
    pump_->remove(tag);
    throw Error(status, raftcs_status_text(status), Outcome::kNotApplied);
  }
  std::future<Event> start_future(StartCall call, const std::string& service,
                                  std::string_view bytes, const CallOptions& options) {
    auto promise = std::make_shared<std::promise<Event>>();
    std::future<Event> future = promise->get_future();
    start(
        call, service, bytes, [promise](Event event) { settle(*promise, std::move(event)); },
        options);
    return future;
  }
  static void settle(std::promise<Event>& promise, Event event) {
    try {
      event.check();
      promise.set_value(std::move(event));
    } catch (...) {
      promise.set_exception(std::current_exception());
    }
  }
  Event wait(WaitCall call, const std::string& service, std::string_view bytes,
             const CallOptions& options) {
    raftcs_call_options_t raw = raw_options(options);
    raftcs_event_t* made = nullptr;
    detail::check(call(handle(), service.c_str(), bytes.data(), bytes.size(), &raw, &made));
    Event event(made);
    event.check();
    return event;
  }

  Pump* pump_;
  uint64_t tag_ = 0;
  detail::Owner<raftcs_client_t, raftcs_client_destroy> handle_;
};

// ---- server

// A node of a cluster inside this process. The destructor stops it and waits.
class Server {
 public:
  Server(const Config& config, Pump& pump, EventHandler on_event = {}) : pump_(&pump) {
    tag_ = pump.add(std::move(on_event), false);
    raftcs_server_t* made = nullptr;
    raftcs_error_t* error = nullptr;
    raftcs_status_t status =
        raftcs_server_create(config.handle(), pump.queue().handle(), tag_, &made, &error);
    if (status != RAFTCS_OK) pump.remove(tag_);
    detail::check(status, error);
    handle_.reset(made);
  }
  Server(Server&& other) noexcept = default;
  Server& operator=(Server&&) = delete;
  ~Server() {
    if (handle_ == nullptr) return;
    handle_.reset();
    pump_->remove(tag_);
  }

  // An in-process state machine type (raftcs_plugin.h), before start.
  Server& register_sm(const raftcs_sm_type& type) {
    raftcs_error_t* error = nullptr;
    detail::check(raftcs_server_register_sm(handle(), &type, &error), error);
    return *this;
  }
  Server& start() {
    raftcs_error_t* error = nullptr;
    detail::check(raftcs_server_start(handle(), &error), error);
    return *this;
  }
  void stop() { detail::check(raftcs_server_stop(handle())); }
  // An administration verb at this node; the event's data is a JSON document.
  void admin(const std::string& verb, const std::string& args_json, EventHandler done) {
    uint64_t tag = pump_->add(std::move(done), true);
    raftcs_status_t status = raftcs_server_admin(handle(), tag, verb.c_str(), args_json.c_str());
    if (status != RAFTCS_OK) pump_->remove(tag);
    detail::check(status);
  }
  raftcs_server_info_t info() const {
    raftcs_server_info_t info{};
    info.struct_size = sizeof info;
    detail::check(raftcs_server_info(handle(), &info));
    return info;
  }
  raftcs_server_t* handle() const noexcept { return handle_.get(); }

 private:
  Pump* pump_;
  uint64_t tag_ = 0;
  detail::Owner<raftcs_server_t, raftcs_server_destroy> handle_;
};

}  // namespace raftcs

#endif
