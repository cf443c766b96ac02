// libFuzzer's entry for frames of a peer; the properties are in wire_targets.cpp.
#include "tests/fuzz/wire_targets.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  raftcs::fuzz::peer_frame(data, size);
  return 0;
}
