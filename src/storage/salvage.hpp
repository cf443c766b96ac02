// salvage.hpp: what a damaged directory still tells about itself.
//
// Nothing of it is believed as state: a node with damage begins anew. It decides only whether
// there is anybody to get the data from, and helps the report. Every record whose checksum fits
// is looked at, also behind the damage. Changes nothing.
#pragma once

#include <optional>
#include <string>

#include "storage/data_dir.hpp"

namespace raftcs::storage {

struct Salvage {
  std::optional<Identity> identity;  // none: its file is missing or damaged
  raft::Membership membership;  // the latest configuration that was found; no members: none
  Index last;                                  // highest entry found, whatever lies before it
};

Result<Salvage> salvage_directory(sys::FileSystem& fs, const std::string& path);

}  // namespace raftcs::storage
