// clock.hpp: the only place that reads a clock.
#pragma once

#include "base/time.hpp"

namespace raftcs::sys {

Mono mono_now();            // CLOCK_MONOTONIC
int64_t wall_now_ns();      // CLOCK_REALTIME; for people (log lines), never for decisions

}  // namespace raftcs::sys
