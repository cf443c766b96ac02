// time.hpp: the two kinds of time, as types.
//
// Mono is a reading of one process's monotonic clock: deadlines and elapsed time.
// LogTime is cluster time: stamped by leaders into entries, monotone over the log,
// the only clock a state machine sees (decision D5). Both are nanoseconds.
#pragma once

#include <compare>
#include <cstdint>

namespace raftcs {

using DurationNs = int64_t;

constexpr DurationNs kNsPerMs = 1'000'000;
constexpr DurationNs kNsPerSecond = 1'000'000'000;

struct Mono {
  int64_t ns = 0;
  constexpr auto operator<=>(const Mono&) const = default;
  constexpr Mono operator+(DurationNs d) const { return Mono{ns + d}; }
  constexpr DurationNs operator-(Mono o) const { return ns - o.ns; }
  static constexpr Mono never() { return Mono{INT64_MAX}; }
};

struct LogTime {
  int64_t ns = 0;
  constexpr auto operator<=>(const LogTime&) const = default;
  constexpr LogTime operator+(DurationNs d) const { return LogTime{ns + d}; }
  constexpr DurationNs operator-(LogTime o) const { return ns - o.ns; }
  static constexpr LogTime never() { return LogTime{INT64_MAX}; }
};

}  // namespace raftcs
