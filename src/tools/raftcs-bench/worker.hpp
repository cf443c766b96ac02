// worker.hpp: one generator process.
#pragma once

#include <string>
#include <vector>

#include "raftcs-bench/workload.hpp"

namespace tools {

struct WorkerOptions {
  std::vector<std::string> endpoints;
  Workload workload;     // sessions: those of this process
  uint32_t number = 0;   // of this process; decides its part of the keys
  bool preload = false;  // put all keys once instead of measuring
  double rate = 0;       // open loop: so many commands a second, whatever becomes of them
  std::vector<std::string> settings;
};

// Speaks with its parent: prints "ready" when all sessions are open, reads "BEGIN END" (ns of the
// monotonic clock), runs, counts what ends between the two, prints one line of JSON.
// In an open loop a session's commands beyond kOpenOutstandingMax unanswered are not sent but
// counted as shed: an application that cannot wait has to give up at some point too.
constexpr uint32_t kOpenOutstandingMax = 2'000;
int run_worker(const WorkerOptions& options);

}  // namespace tools
