// sim_shrink.hpp: makes a failing profile smaller while the same sentence fails.
//
// Fault classes are switched off one by one, then operations, clients, sessions, nodes and the
// time of faults are halved, until nothing can go. A change moves all that follows it in the
// run, so what no longer fails proves nothing and is simply not kept.
#pragma once

#include "sim/sim_cluster.hpp"

namespace raftcs::sim {

struct Shrunk {
  Profile profile;
  std::string failure;
  uint64_t runs = 0;
};
// `run` is run_seed, or a stand-in in a test.
Shrunk shrink(const Profile& failing, const std::function<Report(const Profile&)>& run);
// What replays a profile.
std::string command_of(const Profile& profile);

}  // namespace raftcs::sim
