// byte_io.hpp: bounds-checked reading and writing of small binary records.
//
// Used for what raftcs itself stores or hashes: log records, entry payloads,
// snapshot envelopes. Integers are little-endian; varints are LEB128. A Reader never
// reads outside its slice: the first short or malformed read sets `failed` and all
// later reads give zero, so a decoder checks once at its end.
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"

namespace raftcs {

class ByteWriter {
 public:
  explicit ByteWriter(size_t reserve = 0) { out_.reserve(reserve); }

  void u8(uint8_t v) { out_.push_back(v); }
  void u16(uint16_t v) { raw(&v, sizeof v); }
  void u32(uint32_t v) { raw(&v, sizeof v); }
  void u64(uint64_t v) { raw(&v, sizeof v); }
  void varint(uint64_t v) {
    uint8_t tmp[10];
    size_t n = 0;
    while (v >= 0x80) {
      tmp[n++] = static_cast<uint8_t>(v) | 0x80;
      v >>= 7;
    }
    tmp[n++] = static_cast<uint8_t>(v);
    raw(tmp, n);
  }
  void raw(const void* p, size_t n) {
    if (n == 0) return;
    const auto* b = static_cast<const uint8_t*>(p);
    out_.insert(out_.end(), b, b + n);
  }
  // Length-prefixed bytes.
  void blob(const void* p, size_t n) {
    varint(n);
    raw(p, n);
  }
  void blob(const Bytes& b) { blob(b.data(), b.size()); }
  void text(std::string_view s) { blob(s.data(), s.size()); }

  size_t size() const { return out_.size(); }
  const uint8_t* data() const { return out_.data(); }
  void overwrite_u32(size_t at, uint32_t v) { std::memcpy(out_.data() + at, &v, sizeof v); }
  void clear() { out_.clear(); }
  std::vector<uint8_t> take() { return std::move(out_); }
  Bytes take_bytes() { return Bytes::adopt(std::move(out_)); }

 private:
  static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "raftcs stores little-endian");
  std::vector<uint8_t> out_;
};

class ByteReader {
 public:
  explicit ByteReader(Bytes b) : bytes_(std::move(b)) {}

  uint8_t u8() { return fixed<uint8_t>(); }
  uint16_t u16() { return fixed<uint16_t>(); }
  uint32_t u32() { return fixed<uint32_t>(); }
  uint64_t u64() { return fixed<uint64_t>(); }
  uint64_t varint() {
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      uint8_t b = u8();
      if (failed_) return 0;
      if (shift == 63 && (b & 0x7f) > 1) break;  // over 64 bits
      v |= static_cast<uint64_t>(b & 0x7f) << shift;
      if ((b & 0x80) == 0) return v;
    }
    failed_ = true;
    return 0;
  }
  // A slice that shares the reader's owner; nothing is copied.
  Bytes raw(size_t n) {
    if (failed_ || n > remaining()) {
      failed_ = true;
      return {};
    }
    Bytes b = bytes_.slice(at_, n);
    at_ += n;
    return b;
  }
  Bytes blob() {
    uint64_t n = varint();
    return raw(n > remaining() ? (failed_ = true, 0) : static_cast<size_t>(n));
  }
  std::string text() { return blob().str(); }

  size_t remaining() const { return bytes_.size() - at_; }
  size_t position() const { return at_; }
  bool failed() const { return failed_; }
  bool at_end() const { return !failed_ && remaining() == 0; }

 private:
  template <class T>
  T fixed() {
    if (failed_ || remaining() < sizeof(T)) {
      failed_ = true;
      return 0;
    }
    T v;
    std::memcpy(&v, bytes_.data() + at_, sizeof v);
    at_ += sizeof v;
    return v;
  }

  Bytes bytes_;
  size_t at_ = 0;
  bool failed_ = false;
};

}  // namespace raftcs
