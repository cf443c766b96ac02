// replies.hpp: the cached replies of one session: the memory behind exactly-once.
//
// (session, request id) -> what was answered. A ring of places for the ids floor,
// floor + 1, ...; a place is empty while its id was not applied (ids may come out of
// order and with gaps). Invariants: the floor never goes down (SE-07); nothing below it is
// kept; an id below it is never run again; an id at floor + window or above is not
// accepted, which bounds the memory.
//
// The limit in bytes. What is checked is the bytes that earlier entries left here and those that
// the entry at hand has made as of the last count; they are counted before its command number
// kUncountedMax + 1, 2 * kUncountedMax + 1, ... of this session. So an entry makes at most the
// limit and kUncountedMax replies, and a session holds one more at most, that of its lowest id.
// Every decision depends on the log only, never on how commands were grouped into plugin batches:
// what must be known by when is a place in the entry.
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

// Commands of one session that run in an entry before their replies are counted. Each may answer
// 16 MiB (kAnswerBytesMax), whatever those before it answered; so larger is more memory, and
// smaller is smaller batches for plugins.
constexpr uint32_t kUncountedMax = 8;

class ReplyCache {
 public:
  RequestId floor() const { return floor_; }
  uint64_t count() const { return count_; }
  uint64_t bytes() const { return bytes_; }
  size_t window() const { return ring_.size(); }

  // An operation of the entry `now` is about this session: the first one begins its counts.
  void enter(Index now);
  // Gives up everything below `lowest`.
  void raise_floor(RequestId lowest);
  // nullptr: not there. Requires: id >= floor().
  CachedReply* find(RequestId id);
  // Makes the place for an id. Requires: id >= floor(), not there, within the window.
  CachedReply* reserve(RequestId id);
  // Fills a place that is still there; false when the floor passed it meanwhile.
  bool store(RequestId id, CachedReply reply);

  // Makes the place of a command that is put into a batch, and stores what it answered.
  void begin(RequestId id);
  void end(RequestId id, CachedReply reply);
  uint32_t running() const { return running_; }

  // Requires, to count: running() == 0.
  bool count_is_due() const { return uncounted_ >= kUncountedMax; }
  void count();
  // The lowest id is not refused for what earlier entries left: nothing of it is freed before that
  // id has run. For what this entry made it is: then it comes again and runs in another.
  bool has_room(RequestId id, uint64_t bytes_max) const;

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
  // Of the entry at hand.
  Index entry_;
  uint64_t old_bytes_ = 0;  // cached by earlier ones
  uint64_t made_ = 0;       // by its own commands, also what was given up since
  uint64_t counted_ = 0;    // of made_
  uint32_t uncounted_ = 0;  // commands since then
  uint32_t running_ = 0;    // in the batch at hand
};

}  // namespace raftcs::rsm
