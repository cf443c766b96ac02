// num_map.hpp: number -> owned object, for the one lookup each command makes.
//
// Open addressing with linear probing in one block of 16-byte cells; removal shifts back,
// so there are no tombstones. Keys are never 0. The order of iteration depends on history
// and must not reach anything replicated: sorted() gives the order by number.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <vector>

namespace raftcs::rsm {

template <class T>
class NumMap {
 public:
  size_t size() const { return size_; }

  T* find(uint64_t key) const {
    if (cells_.empty() || key == 0) return nullptr;
    for (size_t at = home(key);; at = next(at)) {
      if (cells_[at].key == key) return cells_[at].value.get();
      if (cells_[at].key == 0) return nullptr;
    }
  }

  // Requires: key != 0 and not in the map.
  T* insert(uint64_t key, std::unique_ptr<T> value) {
    if ((size_ + 1) * 4 > cells_.size() * 3) grow();
    T* raw = value.get();
    place(key, std::move(value));
    ++size_;
    return raw;
  }

  std::unique_ptr<T> take(uint64_t key) {
    if (cells_.empty() || key == 0) return nullptr;
    size_t at = home(key);
    while (cells_[at].key != key) {
      if (cells_[at].key == 0) return nullptr;
      at = next(at);
    }
    std::unique_ptr<T> value = std::move(cells_[at].value);
    cells_[at].key = 0;
    --size_;
    close_gap(at);
    return value;
  }

  template <class F>
  void for_each(F&& f) const {
    for (const Cell& c : cells_)
      if (c.key != 0) f(*c.value);
  }

  std::vector<const T*> sorted() const {
    std::vector<const Cell*> used;
    used.reserve(size_);
    for (const Cell& c : cells_)
      if (c.key != 0) used.push_back(&c);
    std::sort(used.begin(), used.end(),
              [](const Cell* a, const Cell* b) { return a->key < b->key; });
    std::vector<const T*> out;
    out.reserve(size_);
    for (const Cell* c : used) out.push_back(c->value.get());
    return out;
  }

 private:
  struct Cell {
    uint64_t key = 0;
    std::unique_ptr<T> value;
  };

  size_t home(uint64_t key) const {
    return static_cast<size_t>((key * 0x9E3779B97F4A7C15ull) >> 32) & (cells_.size() - 1);
  }
  size_t next(size_t at) const { return (at + 1) & (cells_.size() - 1); }

  void place(uint64_t key, std::unique_ptr<T> value) {
    size_t at = home(key);
    while (cells_[at].key != 0) at = next(at);
    cells_[at].key = key;
    cells_[at].value = std::move(value);
  }
  void grow() {
    std::vector<Cell> old = std::move(cells_);
    cells_ = std::vector<Cell>(old.empty() ? 16 : old.size() * 2);
    for (Cell& c : old)
      if (c.key != 0) place(c.key, std::move(c.value));
  }
  // Moves cells back whose way from home leads over the gap.
  void close_gap(size_t gap) {
    const size_t mask = cells_.size() - 1;
    for (size_t at = next(gap); cells_[at].key != 0; at = next(at)) {
      const size_t wanted = home(cells_[at].key);
      if (((at - wanted) & mask) < ((at - gap) & mask)) continue;
      cells_[gap].key = cells_[at].key;
      cells_[gap].value = std::move(cells_[at].value);
      cells_[at].key = 0;
      gap = at;
    }
  }

  std::vector<Cell> cells_;
  size_t size_ = 0;
};

}  // namespace raftcs::rsm
