// prng.hpp: a small seeded generator (xoshiro256**, Blackman and Vigna) for jitter,
// election timeouts and tests. Not for secrets: those come from sys/random.hpp.
#pragma once

#include <cstdint>

namespace raftcs {

class Prng {
 public:
  explicit Prng(uint64_t seed) {
    for (auto& word : s_) {  // splitmix64 spreads a small seed over the state
      seed += 0x9E3779B97F4A7C15ull;
      uint64_t z = seed;
      z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
      z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
      word = z ^ (z >> 31);
    }
  }

  uint64_t next() {
    const uint64_t result = rotl(s_[1] * 5, 7) * 9;
    const uint64_t t = s_[1] << 17;
    s_[2] ^= s_[0];
    s_[3] ^= s_[1];
    s_[1] ^= s_[2];
    s_[0] ^= s_[3];
    s_[2] ^= t;
    s_[3] = rotl(s_[3], 45);
    return result;
  }
  // Uniform in [0, n); n = 0 gives 0.
  uint64_t below(uint64_t n) {
    __extension__ using Wide = unsigned __int128;
    return n == 0 ? 0 : static_cast<uint64_t>((static_cast<Wide>(next()) * n) >> 64);
  }
  // Uniform in [lo, hi].
  uint64_t between(uint64_t lo, uint64_t hi) { return lo + below(hi - lo + 1); }
  bool chance(double p) { return static_cast<double>(next() >> 11) * 0x1.0p-53 < p; }

 private:
  static uint64_t rotl(uint64_t x, int k) { return (x << k) | (x >> (64 - k)); }
  uint64_t s_[4];
};

}  // namespace raftcs
