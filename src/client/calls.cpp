// calls.cpp: see calls.hpp.
#include "client/calls.hpp"

namespace raftcs::client {

uint32_t Calls::add(CallList* list, PendingCall&& call) {
  uint32_t slot;
  if (!free_.empty()) {
    slot = free_.back();
    free_.pop_back();
  } else {
    slot = static_cast<uint32_t>(slots_.size());
    slots_.emplace_back();
  }
  const uint32_t generation = slots_[slot].generation + 1;
  PendingCall& c = slots_[slot] = std::move(call);
  c.stage = PendingCall::Stage::waiting;
  c.generation = generation;
  c.before = list->last;
  c.after = 0;
  if (list->last != 0) {
    slots_[list->last].after = slot;
  } else {
    list->first = slot;
  }
  list->last = slot;
  return slot;
}

PendingCall Calls::take(CallList* list, uint32_t slot) {
  PendingCall out = std::move(slots_[slot]);
  (out.before != 0 ? slots_[out.before].after : list->first) = out.after;
  (out.after != 0 ? slots_[out.after].before : list->last) = out.before;
  slots_[slot].stage = PendingCall::Stage::free;
  free_.push_back(slot);
  return out;
}

uint32_t Calls::find(uint64_t correlation) const {
  const auto slot = static_cast<uint32_t>(correlation);
  if (slot == 0 || slot >= slots_.size()) return 0;
  const PendingCall& c = slots_[slot];
  if (c.stage == PendingCall::Stage::free) return 0;
  return c.generation == static_cast<uint32_t>(correlation >> 32) ? slot : 0;
}

}  // namespace raftcs::client
