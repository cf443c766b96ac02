// sim_replay.hpp: what a run is, as text: a line of a list of seeds, a scenario, a command.
//
//   SEED [FIELD=VALUE]... [REASON]      # begins a comment
//
// A scenario is a list of one line: what a failing seed was made smaller to, with the faults that
// are left out (skip=1-4,7).
#pragma once

#include "sim/sim_cluster.hpp"

namespace raftcs::sim {

using Sets = std::vector<std::pair<std::string, std::string>>;
struct Listed {
  uint64_t seed = 0;
  Sets sets;  // fields of its profile that are pinned
};

bool read_set(const std::string& text, Sets* out);
std::vector<Listed> seeds_of(const std::string& path);
// False: *wrong is the field that there is not, or whose value is none.
bool pin(const Sets& sets, Profile* profile, std::string* wrong);

// What replays a profile.
std::string command_of(const Profile& profile);
// `arguments` must be given with --replay too: those of a plugin. False: it cannot be written.
bool write_scenario(const std::string& path, const Profile& profile, const std::string& failure,
                    const std::string& arguments = "");

}  // namespace raftcs::sim
