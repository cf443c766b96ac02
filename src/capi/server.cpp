// server.cpp: a node of a cluster behind a handle.
//
// The core observes the node and turns what it says into events. CLOSED is the last of
// them, once for each start that succeeded (or once for a server stopped before any start).
// Lines for people are bounded: when many are untaken, further ones are counted and left out,
// because nobody waits for one as for the answer of an operation.
//
// The handle may be destroyed while start waits for the members of its cluster: start holds the
// core, and destroy waits until there is something to stop or nothing.
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <new>
#include <system_error>
#include <thread>

#include "capi/config.hpp"
#include "capi/error.hpp"
#include "capi/guard.hpp"
#include "capi/queue.hpp"
#include "plugin/descriptor.hpp"
#include "server/worker.hpp"

namespace raftcs::capi {
namespace {

constexpr int64_t kLogLinesUntakenMax = 1'000;

// Counts untaken lines; events hold it.
class LineCount final : public Origin {
 public:
  bool reserve() {
    if (untaken_.fetch_add(1) < kLogLinesUntakenMax) return true;
    untaken_.fetch_sub(1);
    ++left_out_;
    return false;
  }
  void taken(const raftcs_event&) override { untaken_.fetch_sub(1); }
  uint64_t take_left_out() { return left_out_.exchange(0); }

 private:
  std::atomic<int64_t> untaken_{0};
  std::atomic<uint64_t> left_out_{0};
};

}  // namespace

class ServerCore final : public server::Observer {
 public:
  ServerCore(server::Options options, std::shared_ptr<Queue> queue, uint64_t tag)
      : options_(std::move(options)),
        queue_(std::move(queue)),
        tag_(tag),
        closed_event_(make_event(RAFTCS_EVENT_CLOSED)) {}

  Status add_type(const raftcs_sm_type_t* type) {
    std::lock_guard hold(lock_);
    if (state_ != State::idle) return {RAFTCS_ERR_BAD_STATE, "the server has been started"};
    for (const raftcs_sm_type_t* other : types_) {
      if (std::string_view(other->id) == type->id) {
        return {RAFTCS_ERR_ALREADY_EXISTS,
                "a type named '" + std::string(type->id) + "' is registered already"};
      }
    }
    types_.push_back(type);
    return {};
  }

  // Whatever is thrown, it is idle again and nothing half made is left.
  Status start() {
    {
      std::lock_guard hold(lock_);
      if (state_ != State::idle) return {RAFTCS_ERR_BAD_STATE, "the server has been started"};
      state_ = State::starting;
    }
    std::unique_ptr<server::Server> server;
    server::Info info;
    Status status;
    raftcs_status_t lacks = RAFTCS_OK;
    try {
      status = make(&server, &info);
    } catch (const std::bad_alloc&) {
      lacks = RAFTCS_ERR_NO_MEMORY;
    } catch (const std::system_error&) {
      lacks = RAFTCS_ERR_RESOURCE_LIMIT;
    } catch (...) {
      lacks = RAFTCS_ERR_INTERNAL;
    }
    const bool failed = lacks != RAFTCS_OK || !status.is_ok();
    if (failed && server) {  // a start that failed has no CLOSED
      closed_ = true;
      server.reset();
      closed_ = false;
    }
    {
      std::lock_guard hold(lock_);
      state_ = failed ? State::idle : State::running;
      server_ = std::move(server);
      client_address_.swap(info.client_address);
      peer_address_.swap(info.peer_address);
      start_ended_.notify_all();
      if (!failed && ending_) {
        state_ = State::stopping;
        server_->begin_stop();
        return {RAFTCS_ERR_CLOSED, "the server was destroyed while it started"};
      }
    }
    switch (lacks) {
      case RAFTCS_OK:
        return status;
      case RAFTCS_ERR_NO_MEMORY:
        return {lacks, "there is no memory to start the server"};
      case RAFTCS_ERR_RESOURCE_LIMIT:
        return {lacks, "the threads of the server cannot be started"};
      default:
        return {lacks, "starting the server failed"};
    }
  }

  raftcs_status_t stop() {
    std::unique_lock hold(lock_);
    if (state_ == State::starting) return RAFTCS_ERR_BAD_STATE;
    if (state_ == State::idle) {
      state_ = State::stopping;
      hold.unlock();
      stopped();
      return RAFTCS_OK;
    }
    if (state_ == State::running) {
      state_ = State::stopping;
      server_->begin_stop();
    }
    return RAFTCS_OK;
  }

  raftcs_status_t admin(const std::shared_ptr<ServerCore>& self, uint64_t tag, const char* verb,
                        const char* args_json) {
    if (!queue_) return RAFTCS_ERR_BAD_STATE;
    std::lock_guard hold(lock_);
    if (state_ != State::running) return RAFTCS_ERR_BAD_STATE;
    // The answer belongs to whoever destroys the last copy of the function, if nobody calls it.
    auto answer = std::make_shared<Answer>(self->queue_, tag, ++admin_calls_);
    try {
      server_->admin(verb, args_json ? args_json : "{}",
                     [answer](server::AdminResult result) { answer->give(std::move(result)); });
    } catch (...) {  // out of memory: nothing was asked
      answer->given = true;
      throw;
    }
    return RAFTCS_OK;
  }

  raftcs_server_info_t info() {
    std::lock_guard hold(lock_);
    raftcs_server_info_t out{};
    out.id = options_.id.value;
    out.client_address = client_address_.c_str();
    out.peer_address = peer_address_.c_str();
    if (!server_) return out;
    server::Info i = server_->info();
    out.running = state_ == State::running && i.running ? 1 : 0;
    out.leader = i.leader.value;
    out.term = i.term.value;
    out.commit_index = i.commit.value;
    out.applied_index = i.applied.value;
    out.leads = i.leads ? 1 : 0;
    out.health = i.health.code();
    return out;
  }

  // Stops, waits for the threads and lets go of the node. A start that is under way comes first to
  // its end.
  void end() {
    {
      std::unique_lock hold(lock_);
      ending_ = true;
      start_ended_.wait(hold, [&] { return state_ != State::starting; });
    }
    stop();
    std::unique_ptr<server::Server> server;
    {
      std::lock_guard hold(lock_);
      server = std::move(server_);
    }
    if (server) server->join();
  }

  // What end() does but the waiting.
  void end_without_waiting() {
    {
      std::lock_guard hold(lock_);
      ending_ = true;
    }
    stop();
  }

  static void end_elsewhere(std::shared_ptr<ServerCore> core) {
    std::thread([core = std::move(core)] {
      server::prepare_thread("rcs-end");
      core->end();
    }).detach();
  }

  void state_changed(const std::string& json) override {
    auto e = make_event(RAFTCS_EVENT_SERVER_STATE);
    e->data = Bytes::copy(json);
    push(std::move(e));
  }

  void log(int level, const std::string& line) override {
    if (!queue_ || !lines_->reserve()) return;
    auto e = make_event(RAFTCS_EVENT_LOG);
    e->app_code = level;
    uint64_t left_out = lines_->take_left_out();
    std::string note = left_out ? " (" + std::to_string(left_out) + " lines left out before)" : "";
    e->data = Bytes::copy(line + note);
    e->origin = lines_;
    push(std::move(e));
  }

  void stopped() override {
    if (closed_.exchange(true)) return;
    push(std::move(closed_event_));
  }

 private:
  enum class State : uint8_t { idle, starting, running, stopping };

  Status make(std::unique_ptr<server::Server>* server, server::Info* info) {
    RCS_ASSIGN(started, server::Server::start(options_, types_, this));
    *server = std::move(started);
    *info = (*server)->info();
    return {};
  }

  // Ends an admin call with one event, whatever happens to the function that carries it.
  struct Answer {
    Answer(std::shared_ptr<Queue> q, uint64_t t, uint64_t n)
        : queue(std::move(q)), event(std::make_unique<raftcs_event>()) {
      event->kind = RAFTCS_EVENT_ADMIN_REPLY;
      event->tag = t;
      event->op_id = n;
    }
    ~Answer() { end(RAFTCS_ERR_CLOSED, "the server stopped first", {}); }
    void give(server::AdminResult result) {
      end(result.status.code(), result.status.text().c_str(), std::move(result.json));
    }
    void end(raftcs_status_t status, const char* text, std::string json) {
      if (given.exchange(true)) return;
      event->status = status;
      event->outcome = raftcs_status_outcome(event->status);
      try {
        event->text = text;
        event->data = Bytes::adopt(std::move(json));
      } catch (const std::bad_alloc&) {  // done or not as the outcome says, but not told
        event->text.clear();
        event->status = RAFTCS_ERR_NO_MEMORY;
      }
      queue->push(std::move(event));
    }
    std::shared_ptr<Queue> queue;
    std::unique_ptr<raftcs_event> event;
    std::atomic<bool> given{false};
  };

  std::unique_ptr<raftcs_event> make_event(int32_t kind) const {
    auto e = std::make_unique<raftcs_event>();
    e->kind = kind;
    e->tag = tag_;
    return e;
  }
  void push(std::unique_ptr<raftcs_event> event) {
    if (queue_) queue_->push(std::move(event));
  }

  const server::Options options_;
  const std::shared_ptr<Queue> queue_;
  const uint64_t tag_;
  const std::shared_ptr<LineCount> lines_ = std::make_shared<LineCount>();
  std::atomic<bool> closed_{false};
  std::unique_ptr<raftcs_event> closed_event_;  // made in time, as the server's end may not fail
  std::mutex lock_;
  State state_ = State::idle;
  bool ending_ = false;  // destroyed: what start makes now is stopped at once
  std::condition_variable start_ended_;
  std::vector<const raftcs_sm_type_t*> types_;
  std::unique_ptr<server::Server> server_;
  uint64_t admin_calls_ = 0;
  std::string client_address_;  // lent to callers; set once, by the start that succeeds
  std::string peer_address_;
};

}  // namespace raftcs::capi

struct raftcs_server : raftcs::capi::Handle<0x7265767265736372> {  // "rcserver"
  std::shared_ptr<raftcs::capi::ServerCore> core;
};

using raftcs::capi::check_handle;
using raftcs::capi::fail;
using raftcs::capi::guard;

raftcs_status_t raftcs_server_create(const raftcs_config_t* config, raftcs_queue_t* queue,
                                     uint64_t tag, raftcs_server_t** out_server,
                                     raftcs_error_t** out_error) {
  return guard([&]() -> raftcs_status_t {
    if (auto bad = check_handle(config)) return bad;
    if (queue) {
      if (auto bad = check_handle(queue)) return bad;
    }
    if (!out_server) return RAFTCS_ERR_INVALID_ARGUMENT;
    auto options = raftcs::capi::server_options(config->values);
    if (!options) return fail(options.status(), out_error);
    auto handle = std::make_unique<raftcs_server>();
    handle->core = std::make_shared<raftcs::capi::ServerCore>(std::move(options).value(),
                                                              queue ? queue->queue : nullptr, tag);
    *out_server = handle.release();
    return RAFTCS_OK;
  });
}

raftcs_status_t raftcs_server_register_sm(raftcs_server_t* server, const raftcs_sm_type_t* type,
                                          raftcs_error_t** out_error) {
  return guard([&]() -> raftcs_status_t {
    if (auto bad = check_handle(server)) return bad;
    if (!type) return RAFTCS_ERR_INVALID_ARGUMENT;
    raftcs::Status status = raftcs::plugin::check_type(type);
    if (status.is_ok()) status = server->core->add_type(type);
    return fail(status, out_error);
  });
}

raftcs_status_t raftcs_server_start(raftcs_server_t* server, raftcs_error_t** out_error) {
  return guard([&]() -> raftcs_status_t {
    if (auto bad = check_handle(server)) return bad;
    if (raftcs::capi::in_callback) return RAFTCS_ERR_WRONG_THREAD;
    auto core = server->core;  // another thread may destroy the handle while this one waits
    return fail(core->start(), out_error);
  });
}

raftcs_status_t raftcs_server_stop(raftcs_server_t* server) {
  return guard([&]() -> raftcs_status_t {
    if (auto bad = check_handle(server)) return bad;
    return server->core->stop();
  });
}

raftcs_status_t raftcs_server_admin(raftcs_server_t* server, uint64_t tag, const char* verb,
                                    const char* args_json) {
  return guard([&]() -> raftcs_status_t {
    if (auto bad = check_handle(server)) return bad;
    if (!verb || !*verb) return RAFTCS_ERR_INVALID_ARGUMENT;
    return server->core->admin(server->core, tag, verb, args_json);
  });
}

raftcs_status_t raftcs_server_info(raftcs_server_t* server, raftcs_server_info_t* out_info) {
  return guard([&]() -> raftcs_status_t {
    if (auto bad = check_handle(server)) return bad;
    return raftcs::capi::write_struct(server->core->info(), raftcs::capi::kServerInfoFirst,
                                      out_info);
  });
}

void raftcs_server_destroy(raftcs_server_t* server) {
  raftcs::capi::guard_void([&] {
    if (!raftcs::capi::is_handle(server)) return;
    if (server->pid != getpid()) {  // threads, files and locks are the parent's
      server->magic = raftcs::capi::kDeadMagic;
      return;
    }
    if (raftcs::capi::in_callback) {  // perhaps on a thread that end() would wait for
      try {
        raftcs::capi::ServerCore::end_elsewhere(server->core);
      } catch (...) {  // no thread: then nobody waits, and what is left of the node stays
        server->core->end_without_waiting();
        server->magic = raftcs::capi::kDeadMagic;
        return;
      }
    } else {
      server->core->end();
    }
    delete server;
  });
}
