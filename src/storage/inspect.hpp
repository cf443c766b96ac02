// inspect.hpp: looking into a stopped data directory, for tools. Changes nothing.
//
// No lock is taken and nothing is repaired; run on a directory in use, the end of the log
// may look torn. All findings are given, not the first one only.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "sys/file_system.hpp"

namespace raftcs::storage {

struct Finding {
  bool damage = false;  // else something a crash can leave behind, repaired by opening
  std::string file;
  uint64_t offset = 0;
  std::string text;
};

// One line of JSON for the identity, each snapshot, each segment and each record.
Status dump_directory(sys::FileSystem& fs, const std::string& path,
                      const std::function<void(const std::string&)>& line);

// Verifies every checksum, also those of snapshots' bodies, and that all fits together.
Result<std::vector<Finding>> verify_directory(sys::FileSystem& fs, const std::string& path);

}  // namespace raftcs::storage
