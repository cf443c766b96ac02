// identity_file.hpp: who the directory belongs to; written once (RC-07, MB-08), and again only
// when an operator makes a new cluster of a survivor (server/recovery.hpp).
//
// The identity is what makes a directory a node's: it is published only after the first
// log segment is durable, so identity without log means that the log was lost (RC-01).
#pragma once

#include <string>

#include "storage/data_dir.hpp"

namespace raftcs::storage {

constexpr char kIdentityName[] = "identity";
constexpr char kTemporarySuffix[] = ".tmp";

Bytes encode_identity(const Identity& identity);
// Reads and verifies; an error names the file.
Result<Identity> read_identity(sys::FileSystem& fs, const std::string& directory);

// Replaces the identity, atomically and durably. Requires: the directory is locked by the caller.
Status rewrite_identity(sys::FileSystem& fs, const std::string& directory,
                        const Identity& identity);

// At most `bytes_max` of a file that should have fewer.
Result<Bytes> read_small_file(sys::FileSystem& fs, const std::string& path, size_t bytes_max);
// Creates `path` with these bytes, durable; its directory entry is not.
Status write_new_file(sys::FileSystem& fs, const std::string& path, const Bytes& bytes);

}  // namespace raftcs::storage
