// replies.hpp: the cached replies of one session: the memory behind exactly-once.
//
// (session, request id) -> what was answered. A ring of places for the ids floor,
// floor + 1, ...; a place is empty while its id was not applied (ids may come out of
// order and with gaps). Invariants: the floor never goes down (SE-07); nothing below it is
// kept; an id below it is never run again; an id at floor + window or above is not
// accepted, which bounds the memory. Every decision depends on the log only, never on how
// commands were grouped into plugin batches (see old_bytes).
#pragma once

#include "base/bytes.hpp"
#include "base/strong_id.hpp"
#include "rsm/ring.hpp"

namespace raftcs::rsm {

struct CachedReply {
  enum class State : uint8_t {  // stored: do not renumber
    empty = 0,
    applied = 1,
    unknown_service = 2,  // refused for ever: what was told "not applied" stays so
    running = 3,          // in the batch at hand; never stored
  };
  State state = State::empty;
  int32_t app_code = 0;
  uint64_t digest = 0;  // of service and payload (SE-12)
  Index index;
  Bytes data;
};

class ReplyCache {
 public:
  RequestId floor() const { return floor_; }
  uint64_t count() const { return count_; }
  uint64_t bytes() const { return bytes_; }
  size_t window() const { return ring_.size(); }

  // Gives up everything below `lowest`. `now` is the entry at hand.
  void raise_floor(RequestId lowest, Index now);
  // nullptr: not there. Requires: id >= floor().
  CachedReply* find(RequestId id);
  // Makes the place for an id. Requires: id >= floor(), not there, within the window.
  CachedReply* reserve(RequestId id);
  // Fills a place that is still there; false when the floor passed it meanwhile.
  bool store(RequestId id, CachedReply reply);

  // Bytes cached by entries before `now`: what the limit is checked against, so that it does
  // not matter when in an entry a batch was run.
  uint64_t old_bytes(Index now);

  // For snapshots.
  template <class F>
  void for_each(F&& f) const {
    for (size_t i = 0; i < ring_.size(); ++i)
      if (ring_[i].state != CachedReply::State::empty) f(floor_ + i, ring_[i]);
  }
  void set_floor(RequestId floor) { floor_ = floor; }

 private:
  RequestId floor_{1};
  Ring<CachedReply> ring_;
  uint64_t count_ = 0;
  uint64_t bytes_ = 0;
  uint64_t old_bytes_ = 0;
  Index old_as_of_;
};

}  // namespace raftcs::rsm
