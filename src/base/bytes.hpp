// bytes.hpp: immutable, reference-counted byte slices.
//
// A payload is received once and then written, sent and applied from the same
// memory. `Bytes` is a view plus a share in whatever owns the memory (a ZeroMQ
// message, an encoder's buffer, a file read). Copying a Bytes never copies bytes;
// slicing keeps the owner alive. Thread-safe like a shared_ptr to const.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace raftcs {

class Bytes {
 public:
  Bytes() = default;
  Bytes(std::shared_ptr<const void> owner, const void* data, size_t size)
      : owner_(std::move(owner)), data_(static_cast<const uint8_t*>(data)), size_(size) {}

  static Bytes copy(const void* data, size_t size) {
    if (size == 0) return {};
    auto block = std::make_shared_for_overwrite<uint8_t[]>(size);
    std::memcpy(block.get(), data, size);
    const uint8_t* p = block.get();
    return Bytes(std::shared_ptr<const void>(std::move(block), p), p, size);
  }
  static Bytes copy(std::string_view s) { return copy(s.data(), s.size()); }
  // Takes the vector over without copying its contents.
  static Bytes adopt(std::vector<uint8_t>&& v) {
    if (v.empty()) return {};
    auto block = std::make_shared<std::vector<uint8_t>>(std::move(v));
    const uint8_t* p = block->data();
    size_t n = block->size();
    return Bytes(std::shared_ptr<const void>(std::move(block), p), p, n);
  }
  static Bytes adopt(std::string&& s) {
    if (s.empty()) return {};
    auto block = std::make_shared<std::string>(std::move(s));
    const char* p = block->data();
    size_t n = block->size();
    return Bytes(std::shared_ptr<const void>(std::move(block), p), p, n);
  }
  // A view whose owner outlives every use (static data, a caller's buffer during a call).
  static Bytes borrow(const void* data, size_t size) { return Bytes(nullptr, data, size); }

  const uint8_t* data() const { return data_; }
  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  uint8_t operator[](size_t i) const { return data_[i]; }
  const uint8_t* begin() const { return data_; }
  const uint8_t* end() const { return data_ + size_; }
  std::string_view view() const { return {reinterpret_cast<const char*>(data_), size_}; }
  std::string str() const { return std::string(view()); }
  const std::shared_ptr<const void>& owner() const { return owner_; }

  // Requires: offset + size <= this->size().
  Bytes slice(size_t offset, size_t size) const { return Bytes(owner_, data_ + offset, size); }

  bool operator==(const Bytes& o) const {
    return size_ == o.size_ && (size_ == 0 || std::memcmp(data_, o.data_, size_) == 0);
  }

 private:
  std::shared_ptr<const void> owner_;
  const uint8_t* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace raftcs
