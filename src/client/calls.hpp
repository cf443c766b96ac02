// calls.hpp: queries and admin calls, by correlation.
//
// One slab for all sessions of the engine: a correlation is a slot and its generation, so a
// reply finds its call in O(1) and a late reply of a slot used again finds nothing (QRY-04).
// A call keeps its correlation over retries (QRY-03). The calls of a session are linked in
// submission order, which is the order they are sent again in.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "client/engine.hpp"
#include "client/route.hpp"

namespace raftcs::client {

struct PendingCall {
  enum class Stage : uint8_t {
    free,
    waiting,  // to be sent: queries when the session's link can, admin calls at `retry_at`
    linking,  // admin: on a link that is not welcomed yet
    sent,
  };
  Stage stage = Stage::free;
  bool admin = false;
  bool hint_credit = true;  // admin: may follow a hint at once
  LinkId link = 0;          // linking, sent; waiting: where it was sent last
  SessionHandle session = 0;
  uint32_t generation = 0;
  uint32_t before = 0, after = 0;  // slots of the session's list; 0: none
  uint64_t op_id = 0;
  uint64_t tag = 0;
  Mono deadline;
  Mono retry_at;       // admin, waiting
  Mono attempt_until;  // admin, linking
  DurationNs backoff_ns = 0;
  wire::Consistency consistency = wire::Consistency::linearizable;
  std::string service;  // or verb
  Bytes payload;
  std::string endpoint;          // admin: where it must go; empty: to the leader
  std::unique_ptr<Route> route;  // admin
};

struct CallList {
  uint32_t first = 0, last = 0;
};

class Calls {
 public:
  Calls() : slots_(1) {}  // slot 0 is nobody

  // The slot of a new call at the end of the list. References do not survive add().
  uint32_t add(CallList* list, PendingCall&& call);
  PendingCall take(CallList* list, uint32_t slot);
  PendingCall& at(uint32_t slot) { return slots_[slot]; }
  uint64_t correlation(uint32_t slot) const {
    return static_cast<uint64_t>(slots_[slot].generation) << 32 | slot;
  }
  // 0: no such call.
  uint32_t find(uint64_t correlation) const;

 private:
  std::vector<PendingCall> slots_;
  std::vector<uint32_t> free_;
};

}  // namespace raftcs::client
