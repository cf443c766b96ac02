// pending.hpp: the commands of one session: those waiting to leave and those sent.
//
// Ids are given when a command first leaves, so a command that never left (cancelled, timed
// out, window full) leaves no hole; or when the session is exported, for a token must name all
// that may still leave. Numbered commands live in a ring indexed by id, waiting ones in a ring
// of the same make. What decides between NOT_APPLIED and UNKNOWN is `unsettled`, not the id. A
// session resumed from a token also has old ids: reserved until the caller submits the same
// command again (then it collects the original reply), in a ring of their own because the fresh
// ids start far behind them.
//
// What must hold
//  1 A ring's base is its lowest occupied id, or its end: lowest() is the frame's
//    lowest_pending (CMD-07, SE-07).
//  2 An id names one command for ever; an emptied slot is never filled again.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/bytes.hpp"
#include "base/check.hpp"
#include "base/time.hpp"

namespace raftcs::client {

struct Command {
  enum class Slot : uint8_t { empty, reserved, live };
  Slot slot = Slot::empty;
  uint8_t unsettled = 0;  // times sent without a definite "not applied" to that sending
  bool resend = false;    // was on a wire before, or may have been: a claimed id of a token
  uint32_t epoch = 0;     // binding it was last sent in; 0: must be sent
  uint64_t op_id = 0;
  uint64_t tag = 0;  // reserved: the digest
  Mono deadline;
  std::string service;
  Bytes payload;
};

// Slots for the ids [base, end), in a power-of-two vector.
class CommandRing {
 public:
  explicit CommandRing(uint64_t first = 1) : base_(first), end_(first) {}

  bool empty() const { return base_ == end_; }
  uint64_t base() const { return base_; }
  uint64_t end() const { return end_; }

  uint64_t push(Command&& command) {
    if (end_ - base_ == slots_.size()) grow();
    slots_[end_ & mask_] = std::move(command);
    return end_++;
  }
  // The live command of this id, or null.
  Command* find(uint64_t id) {
    if (id < base_ || id >= end_) return nullptr;
    Command& c = slots_[id & mask_];
    return c.slot == Command::Slot::live ? &c : nullptr;
  }
  // Requires: base() <= id < end(). May be an empty or reserved slot.
  Command& slot(uint64_t id) { return slots_[id & mask_]; }
  const Command& slot(uint64_t id) const { return slots_[id & mask_]; }

  // Requires: base() <= id < end().
  Command take(uint64_t id) {
    Command& c = slots_[id & mask_];
    Command out = std::move(c);
    c.slot = Command::Slot::empty;
    settle();
    return out;
  }
  // Requires: empty().
  void restart(uint64_t first) {
    RCS_CHECK(empty());
    base_ = end_ = first;
  }

 private:
  void settle() {
    while (base_ < end_ && slots_[base_ & mask_].slot == Command::Slot::empty) ++base_;
    if (empty() && slots_.size() > kSlotsKept) {
      slots_ = {};
      mask_ = 0;
    }
  }
  void grow() {
    const size_t size = slots_.empty() ? 8 : slots_.size() * 2;
    std::vector<Command> larger(size);
    for (uint64_t id = base_; id < end_; ++id)
      larger[id & (size - 1)] = std::move(slots_[id & mask_]);
    slots_ = std::move(larger);
    mask_ = size - 1;
  }

  static constexpr size_t kSlotsKept = 256;  // idle sessions are many: give back the rest
  std::vector<Command> slots_;
  uint64_t mask_ = 0;
  uint64_t base_, end_;
};

// The servers keep replies for so many ids from the lowest pending one on, and refuse what is above
// (docs/protocol.md). What would be refused waits here instead: a refusal costs a turn, and what
// follows it on the wire may overtake it.
constexpr uint64_t kOpenIdsMax = 65'536;

class Pending {
 public:
  CommandRing queue{1};  // without an id yet; its ids are places in the queue
  CommandRing old{1};    // ids from a token
  CommandRing sent{1};   // with an id; all have left but those numbered for a token

  uint64_t lowest() const { return old.empty() ? sent.base() : old.base(); }
  bool is_open(uint64_t id) const { return id - lowest() < kOpenIdsMax; }
  CommandRing& ring_of(uint64_t id) { return id < old.end() && !old.empty() ? old : sent; }
  Command* find(uint64_t id) { return ring_of(id).find(id); }
};

}  // namespace raftcs::client
