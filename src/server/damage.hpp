// damage.hpp: what a node does at its start when its data is damaged (docs/operations.md 10).
//
// A log or a snapshot with damage that is no torn tail is never shortened. With on_damage = heal
// the directory begins anew (storage/healing.hpp), when there are others to get the data from:
// the node then asks the leader to take it in (healing.cpp). Otherwise the start is refused, and
// the text says what is damaged and what to do.
#pragma once

#include <string>
#include <vector>

#include "server/server.hpp"
#include "storage/data_dir.hpp"

namespace raftcs::server {

// `damage`: what opening said. OK: the directory can be opened again, empty, to be filled by the
// others. Else the sentence for the operator.
Status heal_or_refuse(sys::FileSystem& fs, const Options& options, sys::RandomSource& random,
                      const Status& damage, std::vector<std::string>* notes);

}  // namespace raftcs::server
