// posix_clock.cpp: the two clocks of the operating system. clock_gettime cannot fail for
// these two clocks, and a vDSO call costs some 20 ns, so nothing is cached.
#include <time.h>

#include "sys/clock.hpp"

namespace raftcs::sys {
namespace {

int64_t read_ns(clockid_t clock) {
  timespec now{};
  ::clock_gettime(clock, &now);
  return static_cast<int64_t>(now.tv_sec) * kNsPerSecond + now.tv_nsec;
}

}  // namespace

Mono mono_now() { return Mono{read_ns(CLOCK_MONOTONIC)}; }

int64_t wall_now_ns() { return read_ns(CLOCK_REALTIME); }

}  // namespace raftcs::sys
