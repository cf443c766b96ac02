// random.hpp: the engine's random numbers: jitter, nonces, session proofs.
//
// A proof is the secret that owns a session (W-P1, SES-22), so a generator whose state can
// be computed from a few outputs (base/prng.hpp) will not do: nonces travel next to proofs.
// This is the ChaCha20 key stream (RFC 8439 2.3) under the caller's 32 bytes. Seeded, so
// that the simulator replays; unpredictable whenever the seed is.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <cstring>

#include "base/time.hpp"
#include "base/uuid.hpp"

namespace raftcs::client {

class Random {
 public:
  explicit Random(const std::array<uint64_t, 4>& seed) {
    state_ = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574};
    std::memcpy(&state_[4], seed.data(), 32);
  }

  uint64_t next() {
    if (used_ + 2 > block_.size()) refill();
    const uint64_t v = static_cast<uint64_t>(block_[used_]) | static_cast<uint64_t>(block_[used_ + 1]) << 32;
    block_[used_] = block_[used_ + 1] = 0;  // what was given out is not kept
    used_ += 2;
    return v;
  }
  // In [0, n), for jitter: the bias of the remainder does not matter. n = 0 gives 0.
  uint64_t below(uint64_t n) { return n == 0 ? 0 : next() % n; }
  uint64_t non_zero() {
    for (;;) {
      if (const uint64_t v = next(); v != 0) return v;
    }
  }
  Uuid uuid() {
    Uuid u;
    const uint64_t words[2] = {non_zero(), next()};
    std::memcpy(u.bytes.data(), words, sizeof words);
    return u;
  }
  // d spread evenly over three quarters to five quarters of itself (CLI-10).
  DurationNs around(DurationNs d) {
    return d <= 0 ? 0 : d - d / 4 + static_cast<DurationNs>(below(static_cast<uint64_t>(d / 2) + 1));
  }
  // d or up to a quarter more: for "not before" times that a server named.
  DurationNs at_least(DurationNs d) {
    return d <= 0 ? 0 : d + static_cast<DurationNs>(below(static_cast<uint64_t>(d / 4) + 1));
  }

 private:
  void refill() {
    block_ = state_;
    for (int round = 0; round < 10; ++round) {
      quarter(0, 4, 8, 12);
      quarter(1, 5, 9, 13);
      quarter(2, 6, 10, 14);
      quarter(3, 7, 11, 15);
      quarter(0, 5, 10, 15);
      quarter(1, 6, 11, 12);
      quarter(2, 7, 8, 13);
      quarter(3, 4, 9, 14);
    }
    for (size_t i = 0; i < block_.size(); ++i) block_[i] += state_[i];
    if (++state_[12] == 0) ++state_[13];
    used_ = 0;
  }
  void quarter(size_t a, size_t b, size_t c, size_t d) {
    auto& x = block_;
    x[a] += x[b], x[d] = std::rotl(x[d] ^ x[a], 16);
    x[c] += x[d], x[b] = std::rotl(x[b] ^ x[c], 12);
    x[a] += x[b], x[d] = std::rotl(x[d] ^ x[a], 8);
    x[c] += x[d], x[b] = std::rotl(x[b] ^ x[c], 7);
  }

  std::array<uint32_t, 16> state_{};
  std::array<uint32_t, 16> block_{};
  size_t used_ = 16;
};

}  // namespace raftcs::client
