// server_frame_fuzz.cpp: frames of a server; the properties are in wire_targets.cpp, the seeds are
// the fixtures that bindings test.
#include "tests/fuzz/frame_seeds.hpp"
#include "tests/fuzz/wire_targets.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  raftcs::fuzz::accepted += raftcs::fuzz::server_frame(data, size);
  return 0;
}

void raftcs::fuzz::make_seeds(const SeedSink& sink) { fixture_seeds(sink); }
