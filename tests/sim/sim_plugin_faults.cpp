// sim_plugin_faults.cpp: state machines that fail on one node while they work on the others.
//
// One that fails while it applies may have done half of it: no entry may be skipped, nothing may be
// told of its state, and only another process or a snapshot of a peer puts an end to that (RC-05).
// Somebody starts the process again. A snapshot that cannot be written or restored is tried again.
#include "raftcs.h"
#include "sim/sim_world.hpp"

namespace raftcs::sim {
namespace {

constexpr DurationNs kSnapshotAgainNs = 12 * kNsPerSecond;  // ten, on the slowest of clocks

bool failed_in(const Status& status, const char* function) {
  return status.code() == RAFTCS_ERR_PLUGIN_FAILED &&
         status.text().find(std::string(" failed in ") + function) != std::string::npos;
}

}  // namespace

void Cluster::plugin_fails(SimNode& n) {
  constexpr uint32_t LedgerFaults::*kKinds[] = {&LedgerFaults::applies, &LedgerFaults::hooks,
                                                &LedgerFaults::begins, &LedgerFaults::writes,
                                                &LedgerFaults::restores};
  const auto kind = kKinds[faults_.below(std::size(kKinds))];
  const auto times = static_cast<uint32_t>(faults_.between(1, 3));
  if (!n.up) return;
  n.types->faults().*kind = times;
  note("calls into node " + to_string(n.id) + "'s state machine will fail");
}

// False: there is no reason why the lane should stand.
bool Cluster::plugin_failed(SimNode& n, const Status& status) {
  if (!p_.plugin_faults || status.code() != RAFTCS_ERR_PLUGIN_FAILED) return false;
  if (failed_in(status, "restore")) {
    hit("a plugin failed in a restore");
    return true;
  }
  if (std::exchange(n.in_doubt, true)) return true;
  hit(failed_in(status, "apply") ? "a plugin failed in an apply" : "a plugin failed in a hook");
  note("node " + to_string(n.id) + ": " + status.text());
  if (n.frozen == Frozen::stands) return true;
  n.restart_only = faults_.chance(0.5);
  after(static_cast<DurationNs>(faults_.between(500, 8000)) * kNsPerMs, [this, &n, life = n.life] {
    if (n.up && n.life == life && n.in_doubt) crash(n, false);
  });
  return true;
}

// It is not tried again at once.
void Cluster::no_snapshot(SimNode& n, const Status& status) {
  const bool writing = failed_in(status, "snapshot_write");
  if (!writing && !failed_in(status, "snapshot_begin")) return;
  hit(writing ? "a plugin failed in a snapshot" : "a plugin could not begin a snapshot");
  n.no_snapshot_until = now_ + kSnapshotAgainNs;
}

}  // namespace raftcs::sim
