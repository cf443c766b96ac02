// wire_targets.hpp: what must hold for any bytes given to the three decoders.
//
// Run by libFuzzer (one program each, RAFTCS_FUZZ=ON with clang) and by tests/unit/wire over the
// fixtures and mutations of them.
#pragma once

#include <cstddef>
#include <cstdint>

namespace raftcs::fuzz {

// Refused bytes leave the output alone and give a sentence; accepted ones give payloads inside
// the frame and, encoded again, the same messages. True: accepted. Aborts when it does not hold.
bool client_frame(const uint8_t* data, size_t size);
bool server_frame(const uint8_t* data, size_t size);
bool peer_frame(const uint8_t* data, size_t size);

}  // namespace raftcs::fuzz
