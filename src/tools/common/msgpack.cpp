// msgpack.cpp: see msgpack.hpp; the format is that of the msgpack specification.
#include "common/msgpack.hpp"

#include <cstring>

namespace tools {

void MsgpackWriter::big_endian(uint64_t value, int bytes) {
  for (int shift = (bytes - 1) * 8; shift >= 0; shift -= 8) {
    byte(static_cast<uint8_t>(value >> shift));
  }
}

MsgpackWriter& MsgpackWriter::array(uint32_t size) {
  if (size < 16) {
    byte(static_cast<uint8_t>(0x90 | size));
  } else if (size < 65'536) {
    byte(0xdc), big_endian(size, 2);
  } else {
    byte(0xdd), big_endian(size, 4);
  }
  return *this;
}

MsgpackWriter& MsgpackWriter::str(std::string_view text) {
  if (text.size() < 32) {
    byte(static_cast<uint8_t>(0xa0 | text.size()));
  } else if (text.size() < 256) {
    byte(0xd9), big_endian(text.size(), 1);
  } else if (text.size() < 65'536) {
    byte(0xda), big_endian(text.size(), 2);
  } else {
    byte(0xdb), big_endian(text.size(), 4);
  }
  out_.append(text);
  return *this;
}

MsgpackWriter& MsgpackWriter::bin(std::string_view bytes) {
  if (bytes.size() < 256) {
    byte(0xc4), big_endian(bytes.size(), 1);
  } else if (bytes.size() < 65'536) {
    byte(0xc5), big_endian(bytes.size(), 2);
  } else {
    byte(0xc6), big_endian(bytes.size(), 4);
  }
  out_.append(bytes);
  return *this;
}

MsgpackWriter& MsgpackWriter::integer(int64_t value) {
  if (value >= 0 && value < 128) {
    byte(static_cast<uint8_t>(value));
  } else if (value < 0 && value >= -32) {
    byte(static_cast<uint8_t>(value));
  } else {
    byte(0xd3), big_endian(static_cast<uint64_t>(value), 8);
  }
  return *this;
}

MsgpackWriter& MsgpackWriter::boolean(bool value) {
  byte(value ? 0xc3 : 0xc2);
  return *this;
}

MsgpackWriter& MsgpackWriter::nil() {
  byte(0xc0);
  return *this;
}

namespace {

class Parser {
 public:
  explicit Parser(std::string_view in) : in_(in) {}
  bool at_end() const { return in_.empty(); }

  bool value(MsgpackValue& out, int depth) {
    uint64_t tag = 0;
    if (depth > 32 || !number(1, tag)) return false;
    if (tag < 0x80) return integer(out, static_cast<int64_t>(tag));
    if (tag < 0x90) return items(out, MsgpackValue::Kind::map, (tag & 0x0f) * 2, depth);
    if (tag < 0xa0) return items(out, MsgpackValue::Kind::array, tag & 0x0f, depth);
    if (tag < 0xc0) return bytes(out, tag & 0x1f);
    if (tag >= 0xe0) return integer(out, static_cast<int8_t>(tag));
    return tagged(out, static_cast<uint8_t>(tag), depth);
  }

 private:
  bool tagged(MsgpackValue& out, uint8_t tag, int depth) {
    using Kind = MsgpackValue::Kind;
    uint64_t n = 0;
    switch (tag) {
      case 0xc0: out.kind = Kind::nil; return true;
      case 0xc2:
      case 0xc3: out.kind = Kind::boolean; out.integer = tag & 1; return true;
      case 0xc4: case 0xc5: case 0xc6: return number(1 << (tag - 0xc4), n) && bytes(out, n);
      case 0xc7: case 0xc8: case 0xc9:
        return number(1 << (tag - 0xc7), n) && extension(out, n);
      case 0xca: case 0xcb: return real(out, tag == 0xca);
      case 0xcc: case 0xcd: case 0xce: case 0xcf:
        return number(1 << (tag - 0xcc), n) && integer(out, static_cast<int64_t>(n));
      case 0xd0: return number(1, n) && integer(out, static_cast<int8_t>(n));
      case 0xd1: return number(2, n) && integer(out, static_cast<int16_t>(n));
      case 0xd2: return number(4, n) && integer(out, static_cast<int32_t>(n));
      case 0xd3: return number(8, n) && integer(out, static_cast<int64_t>(n));
      case 0xd4: case 0xd5: case 0xd6: case 0xd7: case 0xd8:
        return extension(out, uint64_t{1} << (tag - 0xd4));
      case 0xd9: case 0xda: case 0xdb: return number(1 << (tag - 0xd9), n) && bytes(out, n);
      case 0xdc: case 0xdd:
        return number(2 << (tag - 0xdc), n) && items(out, Kind::array, n, depth);
      case 0xde: case 0xdf:
        return number(2 << (tag - 0xde), n) && items(out, Kind::map, n * 2, depth);
      default: return false;
    }
  }

  bool number(int bytes, uint64_t& out) {
    if (in_.size() < static_cast<size_t>(bytes)) return false;
    out = 0;
    for (int i = 0; i < bytes; ++i) {
      out = (out << 8) | static_cast<uint8_t>(in_[static_cast<size_t>(i)]);
    }
    in_.remove_prefix(static_cast<size_t>(bytes));
    return true;
  }

  static bool integer(MsgpackValue& out, int64_t value) {
    out.kind = MsgpackValue::Kind::integer;
    out.integer = value;
    return true;
  }

  bool bytes(MsgpackValue& out, uint64_t size) {
    if (in_.size() < size) return false;
    out.kind = MsgpackValue::Kind::bytes;
    out.bytes.assign(in_.substr(0, size));
    in_.remove_prefix(size);
    return true;
  }

  bool extension(MsgpackValue& out, uint64_t size) {
    if (!bytes(out, size + 1)) return false;
    out.kind = MsgpackValue::Kind::extension;
    return true;
  }

  bool real(MsgpackValue& out, bool single) {
    uint64_t bits = 0;
    if (!number(single ? 4 : 8, bits)) return false;
    out.kind = MsgpackValue::Kind::real;
    if (single) {
      float value = 0;
      uint32_t low = static_cast<uint32_t>(bits);
      std::memcpy(&value, &low, sizeof value);
      out.real = static_cast<double>(value);
    } else {
      std::memcpy(&out.real, &bits, sizeof out.real);
    }
    return true;
  }

  bool items(MsgpackValue& out, MsgpackValue::Kind kind, uint64_t count, int depth) {
    if (count > in_.size()) return false;  // each item takes a byte at least
    out.kind = kind;
    out.items.resize(count);
    for (MsgpackValue& item : out.items) {
      if (!value(item, depth + 1)) return false;
    }
    return true;
  }

  std::string_view in_;
};

}  // namespace

std::optional<MsgpackValue> parse_msgpack(std::string_view bytes) {
  Parser parser(bytes);
  MsgpackValue value;
  if (!parser.value(value, 0) || !parser.at_end()) return std::nullopt;
  return value;
}

}  // namespace tools
