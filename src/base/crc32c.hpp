// crc32c.hpp: the Castagnoli CRC (RFC 3720 B.4) over stored and sent bytes.
#pragma once

#include <cstddef>
#include <cstdint>

namespace raftcs {

// Continues from `crc` (0 to begin): crc32c(crc32c(0, a), b) == crc32c(0, a followed by b).
uint32_t crc32c(uint32_t crc, const void* data, size_t size);

}  // namespace raftcs
