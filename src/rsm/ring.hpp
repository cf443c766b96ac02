// ring.hpp: a queue in one power-of-two block, reachable by position.
//
// Cached replies and undelivered pushes live in one each: ids are consecutive, so an id
// minus the first id is a position. An empty ring owns nothing (there may be 100,000
// sessions); popped places are reset at once, so that what they held is freed.
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

namespace raftcs::rsm {

template <class T>
class Ring {
 public:
  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  // Requires: i < size().
  T& operator[](size_t i) { return block_[(head_ + i) & (block_.size() - 1)]; }
  const T& operator[](size_t i) const { return block_[(head_ + i) & (block_.size() - 1)]; }

  void push_back(T value) {
    if (size_ == block_.size()) grow();
    ++size_;
    (*this)[size_ - 1] = std::move(value);
  }
  // Requires: !empty().
  void pop_front() {
    (*this)[0] = T{};
    head_ = (head_ + 1) & (block_.size() - 1);
    --size_;
    shrink();
  }
  void pop_back() {
    (*this)[size_ - 1] = T{};
    --size_;
    shrink();
  }

 private:
  static constexpr size_t kKeep = 64;  // an idle session keeps a small block, not a large one

  void grow() {
    std::vector<T> bigger(block_.empty() ? 4 : block_.size() * 2);
    for (size_t i = 0; i < size_; ++i) bigger[i] = std::move((*this)[i]);
    block_ = std::move(bigger);
    head_ = 0;
  }
  void shrink() {
    if (size_ == 0 && block_.size() > kKeep) {
      block_ = {};
      head_ = 0;
    }
  }

  std::vector<T> block_;
  size_t head_ = 0;
  size_t size_ = 0;
};

}  // namespace raftcs::rsm
