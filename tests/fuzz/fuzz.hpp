// fuzz.hpp: what fuzz targets share: the input as values, a plain abort, seeds.
//
// A target is one file NAME_fuzz.cpp with LLVMFuzzerTestOneInput and make_seeds. Linked with
// libFuzzer it is the program fuzz_NAME; linked with replay_main.cpp, in every build, replay_NAME,
// which runs the seeds, the corpus and mutations of both.
//
// What must hold: a target depends on its input alone, and stops by abort() when a property is
// broken, so that both see it. No test framework in here.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>

#include "base/bytes.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace raftcs::fuzz {

// Each target says what it begins with; the names are for people.
using SeedSink = std::function<void(const std::string& name, const std::string& bytes)>;
void make_seeds(const SeedSink& sink);

// Inputs that got behind the first refusal: a replay without any has tested nothing.
inline uint64_t accepted = 0;

inline void require(bool holds, const char* what, const std::string& more = {}) {
  if (holds) return;
  std::fprintf(stderr, "fuzz target: %s%s%s\n", what, more.empty() ? "" : ": ", more.c_str());
  std::abort();
}

// The input from front to back; zeros behind its end. Never twice among the arguments of one call:
// compilers differ in the order, and so would what a file of the corpus means.
class Input {
 public:
  Input(const uint8_t* data, size_t size) : at_(data), end_(data + size) {}

  bool empty() const { return at_ == end_; }
  size_t left() const { return static_cast<size_t>(end_ - at_); }
  uint8_t u8() { return at_ == end_ ? uint8_t{0} : *at_++; }
  uint64_t below(uint64_t n) { return n == 0 ? 0 : u8() % n; }
  bool flag() { return (u8() & 1) != 0; }
  // Small ones are likely, so are the edges; all are possible.
  uint64_t number() {
    const uint8_t b = u8();
    if (b < 0xF0) return b;
    if (b == 0xF0) return UINT64_MAX;
    if (b == 0xF1) return uint64_t{1} << 63;
    if (b == 0xF2) return uint64_t{1} << 32;
    uint64_t v = 0;
    for (unsigned i = 0; i < (b & 7u) + 1; ++i) v |= static_cast<uint64_t>(u8()) << (8 * i);
    return v;
  }
  std::string bytes(size_t size) {
    const size_t n = std::min(size, left());
    std::string out(reinterpret_cast<const char*>(at_), n);
    at_ += n;
    return out;
  }
  std::string rest() { return bytes(left()); }

 private:
  const uint8_t* at_;
  const uint8_t* end_;
};

}  // namespace raftcs::fuzz
