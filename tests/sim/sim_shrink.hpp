// sim_shrink.hpp: makes a failing profile smaller while the same sentence fails.
//
// Fault classes are switched off one by one, then operations, clients, sessions, nodes and the
// time of faults are halved, then single faults are left out, until nothing can go. A change of a
// field moves all that follows it in the run, so what no longer fails proves nothing and is simply
// not kept; a fault that is left out does not change what the others are.
#pragma once

#include "sim/sim_cluster.hpp"

namespace raftcs::sim {

struct Shrunk {
  Profile profile;
  std::string failure;
  uint64_t runs = 0;
  uint64_t faults = 0;  // that had a number in the last run; some are left out
};
// `run` is run_seed, or a stand-in in a test.
Shrunk shrink(const Profile& failing, const std::function<Report(const Profile&)>& run);

}  // namespace raftcs::sim
