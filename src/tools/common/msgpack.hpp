// msgpack.hpp: just enough msgpack for the payloads of the kv service.
//
// The library's own codec stays inside the library; these programs are written the way any
// application is, so they bring their own few lines. The reader accepts every msgpack type,
// refuses depth over 32 and anything that claims more than the bytes hold.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tools {

class MsgpackWriter {
 public:
  MsgpackWriter& array(uint32_t size);
  MsgpackWriter& str(std::string_view text);
  MsgpackWriter& bin(std::string_view bytes);
  MsgpackWriter& integer(int64_t value);
  MsgpackWriter& boolean(bool value);
  MsgpackWriter& nil();
  const std::string& bytes() const { return out_; }

 private:
  void byte(uint8_t value) { out_ += static_cast<char>(value); }
  void big_endian(uint64_t value, int bytes);
  std::string out_;
};

struct MsgpackValue {
  enum class Kind { nil, boolean, integer, real, bytes, array, map, extension };
  Kind kind = Kind::nil;
  int64_t integer = 0;  // also boolean; an unsigned value over 2^63-1 wraps
  double real = 0;
  std::string bytes;    // str and bin
  std::vector<MsgpackValue> items;  // array; map: key, value, key, value ...
  bool is_nil() const { return kind == Kind::nil; }
};

// The one value that fills `bytes` exactly; nothing when they are something else.
std::optional<MsgpackValue> parse_msgpack(std::string_view bytes);

}  // namespace tools
