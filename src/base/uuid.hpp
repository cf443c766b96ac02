// uuid.hpp: 128 random bits as an identity (cluster, node incarnation, session, proof).
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace raftcs {

struct Uuid {
  std::array<uint8_t, 16> bytes{};

  auto operator<=>(const Uuid&) const = default;
  bool is_zero() const { return *this == Uuid{}; }

  std::string hex() const {
    static constexpr char kDigits[] = "0123456789abcdef";
    std::string s;
    for (uint8_t b : bytes) {
      s += kDigits[b >> 4];
      s += kDigits[b & 15];
    }
    return s;
  }
  // 32 hexadecimal digits; false leaves `out` alone.
  static bool parse(std::string_view s, Uuid* out) {
    if (s.size() != 32) return false;
    Uuid u;
    for (size_t i = 0; i < 32; ++i) {
      char c = s[i];
      int v = c >= '0' && c <= '9'   ? c - '0'
              : c >= 'a' && c <= 'f' ? c - 'a' + 10
              : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                     : -1;
      if (v < 0) return false;
      u.bytes[i / 2] = static_cast<uint8_t>(u.bytes[i / 2] << 4 | v);
    }
    *out = u;
    return true;
  }
};

}  // namespace raftcs

template <>
struct std::hash<raftcs::Uuid> {
  size_t operator()(const raftcs::Uuid& u) const noexcept {
    uint64_t h;  // the bits are random already
    std::memcpy(&h, u.bytes.data(), sizeof h);
    return static_cast<size_t>(h);
  }
};
