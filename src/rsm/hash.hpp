// hash.hpp: the 64-bit hash behind payload digests and the running state hash.
//
// Stored in snapshots and compared between replicas, so its function never changes. A
// folded 64x64 multiplication per 16 bytes: fast enough to hash every payload once. It
// detects faults and misuse; it is no protection against somebody who wants to collide.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace raftcs::rsm {

inline uint64_t fold(uint64_t a, uint64_t b) {
  __extension__ typedef unsigned __int128 Wide;
  const Wide product = static_cast<Wide>(a) * b;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

inline uint64_t mix(uint64_t h, uint64_t v) {
  return fold(h ^ 0x9E3779B97F4A7C15ull, v ^ 0xD1B54A32D192ED03ull) + 0x8CB92BA72F3D8DD7ull;
}

inline uint64_t hash64(uint64_t seed, const void* data, size_t size) {
  const auto* p = static_cast<const uint8_t*>(data);
  uint64_t h = mix(seed, size), a = 0, b = 0;
  size_t n = size;
  for (; n >= 16; n -= 16, p += 16) {
    std::memcpy(&a, p, 8);
    std::memcpy(&b, p + 8, 8);
    h = fold(a ^ 0xA0761D6478BD642Full, b ^ h) + 0xE7037ED1A0B428DBull;
  }
  if (n > 0) {
    uint8_t tail[16] = {};
    std::memcpy(tail, p, n);
    std::memcpy(&a, tail, 8);
    std::memcpy(&b, tail + 8, 8);
    h = fold(a ^ 0xA0761D6478BD642Full, b ^ h) + 0xE7037ED1A0B428DBull;
  }
  return mix(h, 0x589965CC75374CC3ull);
}

}  // namespace raftcs::rsm
