// json.hpp: the little JSON that events carry.
#pragma once

#include <string>

namespace raftcs::client {

inline void append_json_text(std::string* out, const std::string& text) {
  static constexpr char kDigits[] = "0123456789abcdef";
  *out += '"';
  for (char c : text) {
    const auto u = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      *out += '\\';
      *out += c;
    } else if (u < 0x20) {
      *out += "\\u00";
      *out += kDigits[u >> 4];
      *out += kDigits[u & 15];
    } else {
      *out += c;
    }
  }
  *out += '"';
}

}  // namespace raftcs::client
