// msgpack_lite.hpp: just enough MessagePack for commands and replies of small plugins.
//
// Reads nil, booleans, integers, str, bin and array headers, bounds-checked: the first
// thing that is wrong sets failed() and everything after it reads as nothing. Writes the
// shortest form of each, so that equal values give equal bytes. A text and a byte string
// read alike (some languages have but one of them); byte strings are written as bin,
// names of events as str. https://github.com/msgpack/msgpack/blob/master/spec.md
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace msgpack_lite {

class Reader {
 public:
  explicit Reader(std::string_view bytes) : in_(bytes) {}

  // The number of elements that follow.
  uint32_t array() {
    const uint8_t t = byte();
    if ((t & 0xf0) == 0x90) return t & 0x0f;
    if (t == 0xdc) return static_cast<uint32_t>(big(2));
    if (t == 0xdd) return static_cast<uint32_t>(big(4));
    return fail();
  }
  std::string_view bytes() {
    const uint8_t t = byte();
    if ((t & 0xe0) == 0xa0) return take(t & 0x1f);
    if (t == 0xd9 || t == 0xc4) return take(big(1));
    if (t == 0xda || t == 0xc5) return take(big(2));
    if (t == 0xdb || t == 0xc6) return take(big(4));
    fail();
    return {};
  }
  int64_t integer() {
    const uint8_t t = byte();
    if (t <= 0x7f) return t;
    if (t >= 0xe0) return static_cast<int8_t>(t);
    switch (t) {
      case 0xcc: return static_cast<int64_t>(big(1));
      case 0xcd: return static_cast<int64_t>(big(2));
      case 0xce: return static_cast<int64_t>(big(4));
      case 0xcf: {
        const uint64_t v = big(8);
        if (v > INT64_MAX) return fail();
        return static_cast<int64_t>(v);
      }
      case 0xd0: return static_cast<int8_t>(big(1));
      case 0xd1: return static_cast<int16_t>(big(2));
      case 0xd2: return static_cast<int32_t>(big(4));
      case 0xd3: return static_cast<int64_t>(big(8));
      default: return fail();
    }
  }
  bool boolean() {
    const uint8_t t = byte();
    if (t != 0xc2 && t != 0xc3) fail();
    return t == 0xc3;
  }
  // True, and past it, if nil comes next.
  bool nil() {
    if (in_.empty() || static_cast<uint8_t>(in_[0]) != 0xc0) return false;
    in_.remove_prefix(1);
    return true;
  }

  bool failed() const { return failed_; }
  bool done() const { return !failed_ && in_.empty(); }

 private:
  uint32_t fail() {
    failed_ = true;
    in_ = {};
    return 0;
  }
  uint8_t byte() {
    if (in_.empty()) {
      fail();
      return 0xc1;  // never used by MessagePack
    }
    const auto b = static_cast<uint8_t>(in_[0]);
    in_.remove_prefix(1);
    return b;
  }
  uint64_t big(unsigned n) {
    uint64_t v = 0;
    for (unsigned i = 0; i < n && !failed_; ++i) v = v << 8 | byte();
    return failed_ ? 0 : v;
  }
  std::string_view take(uint64_t n) {
    if (failed_ || n > in_.size()) {
      fail();
      return {};
    }
    const std::string_view s = in_.substr(0, n);
    in_.remove_prefix(n);
    return s;
  }

  std::string_view in_;
  bool failed_ = false;
};

class Writer {
 public:
  Writer& array(uint32_t n) {
    if (n < 16) return put(0x90 | n, 0, 0);
    return n <= 0xffff ? put(0xdc, n, 2) : put(0xdd, n, 4);
  }
  Writer& bytes(std::string_view s) {
    const auto n = static_cast<uint32_t>(s.size());
    n <= 0xff ? put(0xc4, n, 1) : n <= 0xffff ? put(0xc5, n, 2) : put(0xc6, n, 4);
    out_ += s;
    return *this;
  }
  Writer& text(std::string_view s) {  // up to 255 bytes
    const auto n = static_cast<uint32_t>(s.size());
    n < 32 ? put(0xa0 | n, 0, 0) : put(0xd9, n, 1);
    out_ += s;
    return *this;
  }
  Writer& integer(int64_t v) {
    const auto u = static_cast<uint64_t>(v);
    if (v >= 0) {
      if (v < 128) return put(static_cast<uint32_t>(v), 0, 0);
      if (v <= 0xff) return put(0xcc, u, 1);
      if (v <= 0xffff) return put(0xcd, u, 2);
      return v <= 0xffffffffll ? put(0xce, u, 4) : put(0xcf, u, 8);
    }
    if (v >= -32) return put(0xe0 | (u & 0x1f), 0, 0);
    if (v >= INT8_MIN) return put(0xd0, u, 1);
    if (v >= INT16_MIN) return put(0xd1, u, 2);
    return v >= INT32_MIN ? put(0xd2, u, 4) : put(0xd3, u, 8);
  }
  Writer& nil() { return put(0xc0, 0, 0); }
  Writer& boolean(bool v) { return put(v ? 0xc3 : 0xc2, 0, 0); }

  const std::string& str() const { return out_; }

 private:
  Writer& put(uint64_t type, uint64_t v, unsigned n) {
    out_ += static_cast<char>(type);
    while (n > 0) out_ += static_cast<char>(v >> (8 * --n));
    return *this;
  }
  std::string out_;
};

}  // namespace msgpack_lite
