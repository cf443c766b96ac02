// call_runner.hpp: the engine, what is asked of it, and what comes of that.
//
// What must hold, also when memory runs out in the middle: each call runs once, and each event is
// addressed once. So a call or an event leaves its list only when there is nothing more about it
// that could fail, and whoever catches std::bad_alloc here does the same again. An operation that
// the engine has no memory for ends with NO_MEMORY. (Not so inside the engine: an operation that it
// is about to end has no event when there is no memory for that.)
//
// Threads: [none]; the runtime's engine lock guards all but posted() and under_way().
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/time.hpp"
#include "client/engine.hpp"
#include "client/runtime.hpp"

namespace raftcs::client {

struct QueuedCall {
  enum class Kind : uint8_t { open, submit, query, admin, ack, close };
  Kind kind = Kind::open;
  bool keep = false;
  Engine::Call call;  // `session` is used by all kinds
  std::string endpoint;
  uint32_t life = 0;  // ack: these two
  PushId up_to;

  bool is_operation() const {
    return kind == Kind::submit || kind == Kind::query || kind == Kind::admin;
  }
  EventKind end_kind() const {
    return kind == Kind::submit  ? EventKind::reply
           : kind == Kind::query ? EventKind::query_reply
                                 : EventKind::admin_reply;
  }
};

class CallRunner {
 public:
  explicit CallRunner(const std::array<uint64_t, 4>& seed) : engine_(seed) {}

  Engine& engine() { return engine_; }
  SessionHandle add(const SessionOptions& options, std::shared_ptr<Receiver> receiver);

  // [any] Operations that were posted and have no event yet.
  void posted() { ++open_ops_; }
  bool under_way() const { return open_ops_ > 0; }

  // Takes all that is in the inbox. Requires: run() has come to its end.
  void take(std::vector<QueuedCall>* inbox) { taken_.swap(*inbox); }
  // Runs what was taken. What is left when this throws comes first the next time.
  void run(Mono now);
  // Out of turn. Throws when the engine does.
  void run_one(QueuedCall& call, Mono now);

  // Takes the events of a turn, and makes those of operations that failed.
  void collect(std::vector<Event>* events);
  // Puts what was collected behind `deliveries`, all or none.
  void address(std::vector<Delivery>* deliveries);

 private:
  // An operation that there was no memory for; `alone`: the engine has no event for it either.
  struct Failed {
    SessionHandle session = 0;
    EventKind kind = EventKind::reply;
    uint64_t op_id = 0, tag = 0;
    bool alone = false;
  };

  void make_room_to_fail();
  void run_operation(QueuedCall& call, Mono now);
  void settle_failed();
  void address_one(Event&& event, std::vector<Delivery>* deliveries);

  Engine engine_;
  std::unordered_map<SessionHandle, std::shared_ptr<Receiver>> receivers_;
  std::vector<QueuedCall> taken_;  // capacity kept, as the inbox's, with which it changes places
  size_t next_call_ = 0;           // of taken_; those before have run
  std::vector<Failed> failed_;
  std::vector<Event> events_;  // of the engine, not yet addressed
  std::atomic<int64_t> open_ops_{0};
};

}  // namespace raftcs::client
