// reseed_mark.hpp: a directory that shall begin anew at its next start.
//
// The mark is a file whose presence counts, not its contents. The start treats the directory as a
// damaged one (healing.hpp): all files move into `damaged`, the mark with them, so it works once.
//
// Threads: any one at a time.
#pragma once

#include "base/result.hpp"
#include "sys/file_system.hpp"

namespace raftcs::storage {

constexpr char kReseedName[] = "reseed";

Result<bool> is_marked_for_reseed(sys::FileSystem& fs, const std::string& directory);
// Durable on return. BAD_STATE: damaged data of an earlier time is there, so the start would be
// refused.
Status mark_for_reseed(sys::FileSystem& fs, const std::string& directory);
Status unmark_for_reseed(sys::FileSystem& fs, const std::string& directory);

}  // namespace raftcs::storage
