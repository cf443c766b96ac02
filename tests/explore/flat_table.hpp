// flat_table.hpp: sets and maps of 64-bit hashes, open addressing, never more than half full.
//
// A key is its own hash. Key 0 is stored as 1: to the explorer that is one collision more among
// 2^64. Nothing is ever removed.
#pragma once

#include <bit>
#include <cstdint>
#include <utility>
#include <vector>

namespace raftcs::explore {

inline uint64_t mix(uint64_t h, uint64_t v) {
  h = (h ^ v) * 0x9E3779B97F4A7C15ull;
  return h ^ (h >> 31);
}

class FlatSet {
 public:
  explicit FlatSet(uint64_t count_max) : slots_(std::bit_ceil(2 * count_max + 16)) {}

  bool insert(uint64_t key) {  // Requires: fewer than count_max were inserted
    key |= key == 0;
    const size_t mask = slots_.size() - 1;
    for (size_t i = key & mask;; i = (i + 1) & mask) {
      if (slots_[i] == key) return false;
      if (slots_[i] != 0) continue;
      slots_[i] = key;
      return true;
    }
  }

 private:
  std::vector<uint64_t> slots_;
};

// Small numbers by exact key (not by hash: two keys are never taken for one).
class FlatMap {
 public:
  // The value of `key`, which is `fresh_value` if it was not there; second: it was not there.
  std::pair<uint32_t&, bool> insert(uint64_t key, uint32_t fresh_value) {
    if (2 * count_ + 2 > slots_.size()) grow();
    Slot& s = find(key);
    if (s.used) return {s.value, false};
    s = {key, fresh_value, true};
    ++count_;
    return {s.value, true};
  }

 private:
  struct Slot {
    uint64_t key = 0;
    uint32_t value = 0;
    bool used = false;
  };

  Slot& find(uint64_t key) {
    const size_t mask = slots_.size() - 1;
    size_t i = mix(1, key) & mask;
    while (slots_[i].used && slots_[i].key != key) i = (i + 1) & mask;
    return slots_[i];
  }
  void grow() {
    std::vector<Slot> old = std::exchange(slots_, std::vector<Slot>(2 * slots_.size()));
    for (const Slot& s : old)
      if (s.used) find(s.key) = s;
  }

  std::vector<Slot> slots_ = std::vector<Slot>(1024);
  size_t count_ = 0;
};

}  // namespace raftcs::explore
