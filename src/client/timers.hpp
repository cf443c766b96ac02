// timers.hpp: when which session or link wants to be looked at.
//
// A binary heap with lazy deletion. Each session and each link keeps the time it is armed
// for; an entry whose time is not that one any more is dropped when it surfaces. An owner
// is armed again only for an earlier time, so a busy session costs no heap work per command
// (its keep-alive time only moves away, its deadlines mostly come in order).
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "base/time.hpp"

namespace raftcs::client {

class Timers {
 public:
  enum class Owner : uint8_t { session, link };
  struct Entry {
    Mono at;
    Owner owner;
    uint32_t id;
  };

  // Notes that `id` wants to be woken at `at`, unless it is armed for that time or an earlier one.
  void arm(Owner owner, uint32_t id, Mono at, Mono* armed) {
    if (at >= *armed) return;
    *armed = at;
    heap_.push_back({at, owner, id});
    std::push_heap(heap_.begin(), heap_.end(), later);
  }
  bool empty() const { return heap_.empty(); }
  const Entry& top() const { return heap_.front(); }
  Entry pop() {
    std::pop_heap(heap_.begin(), heap_.end(), later);
    const Entry e = heap_.back();
    heap_.pop_back();
    return e;
  }

 private:
  // Ties go by owner, so that runs repeat whatever the heap's history.
  static bool later(const Entry& a, const Entry& b) {
    if (a.at != b.at) return a.at > b.at;
    if (a.owner != b.owner) return a.owner > b.owner;
    return a.id > b.id;
  }
  std::vector<Entry> heap_;
};

}  // namespace raftcs::client
