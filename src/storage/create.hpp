// create.hpp: the files of a new directory; shared by creation and healing.
#pragma once

#include <string>

#include "storage/data_dir.hpp"

namespace raftcs::storage {

// What an interrupted creation leaves behind.
bool is_creation_leftover(const std::string& name);

// The two files get their bytes and names first under temporary names, then the identity is
// renamed, then the segment. So a crash leaves temporary files only (not initialised, it can be
// repeated) or an identity whose segment can still be given its name.
Status create_files(sys::FileSystem& fs, const std::string& path, const Identity& identity);

}  // namespace raftcs::storage
