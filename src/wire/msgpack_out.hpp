// msgpack_out.hpp: msgpack's packer writing into a growing buffer that becomes a frame.
//
// The packer always picks the shortest form of a value, so equal values give equal bytes
// (the golden fixtures rely on it). The buffer is a reference-counted block from the start:
// the finished frame takes it over, and nothing is copied once more.
#pragma once

#include <cstdint>
#include <cstring>
#include <memory>
#include <msgpack/pack.hpp>
#include <string_view>

#include "base/bytes.hpp"

namespace raftcs::wire {

class OutBuffer {
 public:
  // Forgets what was written; `size` bytes are left free at the front.
  void start(size_t capacity, size_t front) {
    if (block_ == nullptr || capacity_ < capacity) {
      block_ = std::make_shared_for_overwrite<uint8_t[]>(capacity);
      capacity_ = capacity;
    }
    size_ = front;
  }
  void write(const char* data, size_t size) {
    if (capacity_ - size_ < size) [[unlikely]] grow(size);
    std::memcpy(block_.get() + size_, data, size);
    size_ += size;
  }
  uint8_t* data() { return block_.get(); }
  size_t size() const { return size_; }
  // Everything from `offset` on, and starts empty without memory.
  Bytes take(size_t offset) {
    const uint8_t* begin = block_.get() + offset;
    const size_t size = size_ - offset;
    std::shared_ptr<const void> owner(std::move(block_), begin);
    block_ = nullptr;
    capacity_ = size_ = 0;
    return Bytes(std::move(owner), begin, size);
  }

 private:
  void grow(size_t more) {
    size_t capacity = capacity_ < 256 ? 256 : capacity_ * 2;
    while (capacity - size_ < more) capacity *= 2;
    auto block = std::make_shared_for_overwrite<uint8_t[]>(capacity);
    if (size_ != 0) std::memcpy(block.get(), block_.get(), size_);
    block_ = std::move(block);
    capacity_ = capacity;
  }

  std::shared_ptr<uint8_t[]> block_;
  size_t capacity_ = 0;
  size_t size_ = 0;
};

using Packer = msgpack::packer<OutBuffer>;

inline void pack_text(Packer& out, std::string_view text) {
  out.pack_str(static_cast<uint32_t>(text.size()));
  out.pack_str_body(text.data(), static_cast<uint32_t>(text.size()));
}

inline void pack_blob(Packer& out, const void* data, size_t size) {
  out.pack_bin(static_cast<uint32_t>(size));
  if (size != 0) out.pack_bin_body(static_cast<const char*>(data), static_cast<uint32_t>(size));
}

}  // namespace raftcs::wire
