// msgpack_in.hpp: a bounds-checked, zero-copy cursor over the msgpack bytes of a frame.
//
// Written by hand instead of using msgpack's parser (docs/decisions/0001-msgpack-cursor.md): the
// library's unpacker builds a tree and throws, its visitor calls back per value without saying
// which field is due. Here the reader says which type it wants next, so wrong types, lengths
// and depths are refused before anything is allocated, and strings and payloads are views.
//
// What must hold: no byte outside the frame is read; the first problem is remembered and
// moves the cursor to the end, so all later reads give zero and a decoder checks once; a
// count given back never exceeds the bytes that are left, since every element takes one.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.hpp"

namespace raftcs::wire {

class MsgpackIn {
 public:
  // Nesting of a value that is skipped; known fields nest as deep as their types do.
  static constexpr unsigned kDepthMax = 16;

  // Requires: `frame` outlives the cursor.
  explicit MsgpackIn(const Bytes& frame)
      : frame_(frame), at_(frame.data()), end_(frame.data() + frame.size()) {}

  // `what` names the field for the error text; a static string.
  uint64_t read_uint(const char* what, uint64_t max) {
    if (at_ != end_ && *at_ <= 0x7f) [[likely]] return check_max(what, *at_++, max);
    return check_max(what, wide_uint(what), max);
  }
  int64_t read_int(const char* what, int64_t min, int64_t max);
  bool read_bool(const char* what);
  uint32_t read_array(const char* what) {
    if (at_ != end_ && (*at_ & 0xf0) == 0x90) [[likely]]
      return check_count(what, *at_++ & 0x0f, 1);
    return wide_array(what);
  }
  uint32_t read_map(const char* what);  // counts pairs
  std::string_view read_str(const char* what, uint64_t size_max);
  // A slice of the frame; the empty value does not hold on to the frame.
  Bytes read_bin(const char* what, uint64_t size_max);
  std::string_view read_bin_view(const char* what, uint64_t size_max);
  bool take_nil();  // true: the next value was nil and is consumed
  void skip(const char* what);

  void fail(const char* what, const char* why);
  bool failed() const { return why_ != nullptr; }
  std::string error_text() const;

  size_t remaining() const { return static_cast<size_t>(end_ - at_); }
  size_t position() const { return static_cast<size_t>(at_ - frame_.data()); }
  bool at_end() const { return !failed() && at_ == end_; }

 private:
  uint64_t check_max(const char* what, uint64_t value, uint64_t max) {
    if (value <= max) [[likely]] return value;
    fail(what, "is out of range");
    return 0;
  }
  uint32_t check_count(const char* what, uint64_t count, uint64_t bytes_each) {
    if (count * bytes_each <= remaining()) [[likely]] return static_cast<uint32_t>(count);
    fail(what, "promises more elements than the frame holds");
    return 0;
  }
  uint64_t wide_uint(const char* what);
  uint32_t wide_array(const char* what);
  bool need(const char* what, size_t size);
  uint64_t big_endian(size_t size);  // Requires: need(size)
  std::string_view body(const char* what, uint64_t size, uint64_t size_max);
  uint64_t skip_head(const char* what);  // the values that follow as its elements

  const Bytes& frame_;
  const uint8_t* at_;
  const uint8_t* end_;
  const char* what_ = nullptr;
  const char* why_ = nullptr;
  size_t failed_at_ = 0;
};

}  // namespace raftcs::wire
