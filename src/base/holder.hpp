// holder.hpp: which process holds a session, as one number that is ordered.
//
// The process that created a session holds it with number 0. One that resumes from a token draws a
// new number: the upper 32 bits, the generation, are one more than the newest it knows of; the
// lower 32 are random, so that two that resume with the same token are told apart. Only a higher
// generation takes a session over, and the log decides it; so whatever an older holder has under
// way cannot take the session back from its successor (decision 0021).
#pragma once

#include "base/strong_id.hpp"

namespace raftcs {

using HolderId = StrongId<struct HolderTag>;  // of a session; 0: who created it

constexpr uint64_t generation_of(HolderId holder) { return holder.value >> 32; }

// May `next` take a session from `present`?
constexpr bool supersedes(HolderId next, HolderId present) {
  return generation_of(next) > generation_of(present);
}

constexpr HolderId successor_of(HolderId present, uint64_t random) {
  return HolderId((generation_of(present) + 1) << 32 | (random & UINT32_MAX));
}

}  // namespace raftcs
