// random.hpp: unpredictable bits for identities (session ids, proofs, incarnations).
#pragma once

#include "base/uuid.hpp"

namespace raftcs::sys {

class RandomSource {
 public:
  virtual ~RandomSource() = default;
  virtual uint64_t next_u64() = 0;
  Uuid uuid() {
    Uuid u;
    uint64_t a = next_u64(), b = next_u64();
    std::memcpy(u.bytes.data(), &a, 8);
    std::memcpy(u.bytes.data() + 8, &b, 8);
    return u;
  }
};

// The operating system's generator (getrandom), buffered. Thread-safe.
RandomSource& os_random();

}  // namespace raftcs::sys
