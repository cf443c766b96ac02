// sim_profile.cpp: what a seed runs.
#include <sstream>

#include "sim/sim_cluster.hpp"

namespace raftcs::sim {

std::string Profile::describe() const {
  std::ostringstream s;
  s << "seed " << seed << ": " << nodes << " nodes, " << clients << "x" << sessions
    << " sessions, window " << window << ", ops " << ops << (crashes ? ", crashes" : "")
    << (torn_writes ? ", torn writes" : "") << (partitions ? ", partitions" : "")
    << (pauses ? ", pauses" : "") << (skewed_clocks ? ", skewed clocks" : "")
    << (client_cuts ? ", client cuts" : "") << (transfers ? ", transfers" : "")
    << (loss > 0 ? ", loss" : "") << (duplicate > 0 ? ", duplicates" : "")
    << (reorder ? ", reorder" : "") << (disk_errors ? ", disk errors" : "")
    << (disk_full ? ", full disks" : "") << (slow_disks ? ", slow disks" : "")
    << (corruption ? ", corruption" : "") << (foreigners ? ", foreigners" : "")
    << (holds ? ", holds" : "") << (stale_queues ? ", stale queues" : "")
    << (power_cuts ? ", power cuts" : "") << (wipes ? ", wipes" : "") << (churn ? ", churn" : "")
    << (client_deaths ? ", client deaths" : "") << (silent_deaths ? ", silent deaths" : "")
    << (closes ? ", closes" : "") << ", snapshot every " << snapshot_entries;
  return s.str();
}

// Swarm: each fault class is on or off by the seed, so that rare combinations get their turn.
Profile profile_of(uint64_t seed) {
  Prng r(seed * 7919 + 17);
  Profile p;
  p.seed = seed;
  constexpr uint32_t kSizes[] = {1, 2, 3, 3, 3, 3, 4, 5, 5, 7};
  p.nodes = kSizes[r.below(10)];
  p.clients = static_cast<uint32_t>(r.between(1, 3));
  p.sessions = static_cast<uint32_t>(r.between(1, 3));
  p.ops = static_cast<uint32_t>(r.between(60, 500));
  p.window = static_cast<uint32_t>(r.between(1, 8));
  bool calm = r.chance(0.2);
  auto on = [&](double chance) { return !calm && r.chance(chance); };
  p.crashes = on(0.5);
  p.torn_writes = on(0.5);
  p.partitions = on(0.5);
  p.pauses = on(0.4);
  p.skewed_clocks = on(0.5);
  p.client_cuts = on(0.5);
  p.transfers = on(0.4);
  p.loss = on(0.4) ? 0.01 * static_cast<double>(r.between(1, 20)) : 0;
  p.duplicate = on(0.4) ? 0.01 * static_cast<double>(r.between(1, 20)) : 0;
  p.reorder = on(0.4);
  p.snapshot_entries = r.chance(0.6) ? r.between(5, 60) : 100'000;
  p.segment_bytes = r.between(4, 64) << 10;
  p.delay_mean_ns = static_cast<DurationNs>(r.between(1, 30)) * kNsPerMs;
  p.disk_mean_ns = static_cast<DurationNs>(r.between(1, 20)) * kNsPerMs;
  p.fault_phase_ns = static_cast<DurationNs>(r.between(5, 30)) * kNsPerSecond;
  p.disk_errors = on(0.3);
  p.disk_full = on(0.3);
  p.slow_disks = on(0.3);
  p.corruption = on(0.3);
  p.foreigners = on(0.3);
  p.holds = on(0.3);
  p.stale_queues = on(0.3);
  p.power_cuts = on(0.2);
  p.wipes = on(0.2) && p.nodes >= 3;
  p.client_deaths = on(0.3);
  p.silent_deaths = on(0.3);
  p.closes = on(0.3);
  p.churn = on(0.3);
  if (p.churn) p.spares = static_cast<uint32_t>(r.between(1, 3));
  if (p.churn) p.wipes = false;  // a member without its disk would have to be admitted again
  if (r.chance(0.3)) p.batch_bytes = r.between(64, 1024);
  if (r.chance(0.3)) p.append_bytes = r.between(64, 1024);
  if (r.chance(0.3)) p.requests_max = static_cast<uint32_t>(r.between(1, 4));
  return p;
}

}  // namespace raftcs::sim
