// msgpack_in.cpp: the msgpack formats, one function per type the protocol uses.
//
// Integers are accepted in any width and signedness that holds the value, because encoders
// differ; everything else must be of exactly the type asked for. Floats and extension types
// are only ever skipped.
#include "wire/msgpack_in.hpp"

namespace raftcs::wire {
namespace {

enum Tag : uint8_t {
  kNil = 0xc0, kNever = 0xc1, kFalse = 0xc2, kTrue = 0xc3,
  kBin8 = 0xc4, kBin16 = 0xc5, kBin32 = 0xc6,
  kExt8 = 0xc7, kExt16 = 0xc8, kExt32 = 0xc9,
  kFloat32 = 0xca, kFloat64 = 0xcb,
  kUint8 = 0xcc, kUint16 = 0xcd, kUint32 = 0xce, kUint64 = 0xcf,
  kInt8 = 0xd0, kInt16 = 0xd1, kInt32 = 0xd2, kInt64 = 0xd3,
  kFixExt1 = 0xd4, kFixExt16 = 0xd8,
  kStr8 = 0xd9, kStr16 = 0xda, kStr32 = 0xdb,
  kArray16 = 0xdc, kArray32 = 0xdd, kMap16 = 0xde, kMap32 = 0xdf,
};

constexpr char kMissing[] = "is missing: the frame ends here";
constexpr char kWrongType[] = "is of another type";
constexpr char kTooLong[] = "is longer than the limit";
constexpr char kCut[] = "is cut off by the end of the frame";

int64_t sign_extend(uint64_t value, size_t size) {
  const unsigned shift = static_cast<unsigned>(64 - 8 * size);
  return static_cast<int64_t>(value << shift) >> shift;
}

}  // namespace

void MsgpackIn::fail(const char* what, const char* why) {
  if (why_ != nullptr) return;
  what_ = what;
  why_ = why;
  failed_at_ = position();
  at_ = end_;
}

std::string MsgpackIn::error_text() const {
  if (why_ == nullptr) return {};
  return std::string("`") + what_ + "` " + why_ + " (byte " + std::to_string(failed_at_) + ")";
}

bool MsgpackIn::need(const char* what, size_t size) {
  if (remaining() >= size) [[likely]] return true;
  fail(what, remaining() == 0 ? kMissing : kCut);
  return false;
}

uint64_t MsgpackIn::big_endian(size_t size) {
  uint64_t value = 0;
  for (size_t i = 0; i < size; ++i) value = value << 8 | *at_++;
  return value;
}

uint64_t MsgpackIn::wide_uint(const char* what) {
  if (!need(what, 1)) return 0;
  const uint8_t tag = *at_;
  if (tag <= 0x7f) return *at_++;
  if (tag >= kUint8 && tag <= kUint64) {
    const size_t size = size_t{1} << (tag - kUint8);
    if (!need(what, 1 + size)) return 0;
    ++at_;
    return big_endian(size);
  }
  if (tag >= kInt8 && tag <= kInt64) {
    const int64_t value = read_int(what, INT64_MIN, INT64_MAX);
    if (value >= 0) return static_cast<uint64_t>(value);
    fail(what, "is negative");
    return 0;
  }
  fail(what, tag >= 0xe0 ? "is negative" : kWrongType);
  return 0;
}

int64_t MsgpackIn::read_int(const char* what, int64_t min, int64_t max) {
  if (!need(what, 1)) return 0;
  const uint8_t tag = *at_;
  int64_t value = 0;
  if (tag >= 0xe0) {
    ++at_;
    value = static_cast<int8_t>(tag);
  } else if (tag >= kInt8 && tag <= kInt64) {
    const size_t size = size_t{1} << (tag - kInt8);
    if (!need(what, 1 + size)) return 0;
    ++at_;
    value = sign_extend(big_endian(size), size);
  } else {
    value = static_cast<int64_t>(read_uint(what, INT64_MAX));
  }
  if (failed()) return 0;
  if (value < min || value > max) {
    fail(what, "is out of range");
    return 0;
  }
  return value;
}

bool MsgpackIn::read_bool(const char* what) {
  if (!need(what, 1)) return false;
  if (*at_ == kTrue || *at_ == kFalse) return *at_++ == kTrue;
  fail(what, kWrongType);
  return false;
}

uint32_t MsgpackIn::wide_array(const char* what) {
  if (!need(what, 1)) return 0;
  const uint8_t tag = *at_;
  if (tag != kArray16 && tag != kArray32) {
    if ((tag & 0xf0) == 0x90) return check_count(what, *at_++ & 0x0f, 1);
    fail(what, kWrongType);
    return 0;
  }
  const size_t size = tag == kArray16 ? 2 : 4;
  if (!need(what, 1 + size)) return 0;
  ++at_;
  return check_count(what, big_endian(size), 1);
}

uint32_t MsgpackIn::read_map(const char* what) {
  if (!need(what, 1)) return 0;
  const uint8_t tag = *at_;
  if ((tag & 0xf0) == 0x80) {
    ++at_;
    return check_count(what, tag & 0x0f, 2);
  }
  if (tag != kMap16 && tag != kMap32) {
    fail(what, kWrongType);
    return 0;
  }
  const size_t size = tag == kMap16 ? 2 : 4;
  if (!need(what, 1 + size)) return 0;
  ++at_;
  return check_count(what, big_endian(size), 2);
}

std::string_view MsgpackIn::body(const char* what, uint64_t size, uint64_t size_max) {
  if (size > size_max || size > remaining()) {
    fail(what, size > size_max ? kTooLong : kCut);
    return {};
  }
  std::string_view view(reinterpret_cast<const char*>(at_), static_cast<size_t>(size));
  at_ += size;
  return view;
}

std::string_view MsgpackIn::read_str(const char* what, uint64_t size_max) {
  if (!need(what, 1)) return {};
  const uint8_t tag = *at_;
  if ((tag & 0xe0) == 0xa0) {
    ++at_;
    return body(what, tag & 0x1f, size_max);
  }
  if (tag < kStr8 || tag > kStr32) {
    fail(what, kWrongType);
    return {};
  }
  const size_t size = size_t{1} << (tag - kStr8);
  if (!need(what, 1 + size)) return {};
  ++at_;
  return body(what, big_endian(size), size_max);
}

std::string_view MsgpackIn::read_bin_view(const char* what, uint64_t size_max) {
  if (!need(what, 1)) return {};
  const uint8_t tag = *at_;
  if (tag < kBin8 || tag > kBin32) {
    fail(what, kWrongType);
    return {};
  }
  const size_t size = size_t{1} << (tag - kBin8);
  if (!need(what, 1 + size)) return {};
  ++at_;
  return body(what, big_endian(size), size_max);
}

Bytes MsgpackIn::read_bin(const char* what, uint64_t size_max) {
  const std::string_view view = read_bin_view(what, size_max);
  if (view.empty()) return {};
  return Bytes(frame_.owner(), view.data(), view.size());
}

bool MsgpackIn::take_nil() {
  if (at_ == end_ || *at_ != kNil) return false;
  ++at_;
  return true;
}

// Consumes one value except for its elements.
uint64_t MsgpackIn::skip_head(const char* what) {
  if (!need(what, 1)) return 0;
  const uint8_t tag = *at_;
  if ((tag & 0xf0) == 0x90 || tag == kArray16 || tag == kArray32) return read_array(what);
  if ((tag & 0xf0) == 0x80 || tag == kMap16 || tag == kMap32) return uint64_t{2} * read_map(what);
  if ((tag & 0xe0) == 0xa0 || (tag >= kStr8 && tag <= kStr32)) {
    read_str(what, UINT64_MAX);
    return 0;
  }
  if (tag >= kBin8 && tag <= kBin32) {
    read_bin_view(what, UINT64_MAX);
    return 0;
  }
  if (tag == kNever) {
    fail(what, "begins with a byte that msgpack never uses");
    return 0;
  }
  uint64_t size = 0;  // of what follows the tag
  size_t length_bytes = 0;
  if (tag == kFloat32) size = 4;
  if (tag == kFloat64) size = 8;
  if (tag >= kUint8 && tag <= kUint64) size = uint64_t{1} << (tag - kUint8);
  if (tag >= kInt8 && tag <= kInt64) size = uint64_t{1} << (tag - kInt8);
  if (tag >= kFixExt1 && tag <= kFixExt16) size = 1 + (uint64_t{1} << (tag - kFixExt1));
  if (tag >= kExt8 && tag <= kExt32) length_bytes = size_t{1} << (tag - kExt8);
  if (!need(what, 1 + length_bytes)) return 0;
  ++at_;
  if (length_bytes != 0) size = 1 + big_endian(length_bytes);
  body(what, size, UINT64_MAX);
  return 0;
}

void MsgpackIn::skip(const char* what) {
  uint64_t left[kDepthMax] = {1};  // values still due on each level
  unsigned depth = 1;
  while (depth > 0) {
    if (left[depth - 1] == 0) {
      --depth;
      continue;
    }
    --left[depth - 1];
    const uint64_t elements = skip_head(what);
    if (failed()) return;
    if (elements == 0) continue;
    if (depth == kDepthMax) return fail(what, "is nested too deep");
    left[depth++] = elements;
  }
}

}  // namespace raftcs::wire
