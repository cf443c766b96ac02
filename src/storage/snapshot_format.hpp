// snapshot_format.hpp: the bytes around a snapshot, and reading it with verification.
//
// header (magic, format, description, checksum), body, trailer (size and checksum of the
// body). The body is what the state machine wrote; meta.size and meta.checksum are of it.
#pragma once

#include <memory>
#include <string>

#include "base/result.hpp"
#include "raft/types.hpp"
#include "sys/file_system.hpp"

namespace raftcs::storage {

constexpr uint64_t kSnapshotTrailerBytes = 24;

std::string snapshot_name(Index index);  // snapshot-<16 hex digits>
bool parse_snapshot_name(const std::string& name, Index* index);

Bytes encode_snapshot_header(const raft::SnapshotMeta& meta);
Bytes encode_snapshot_trailer(const raft::SnapshotMeta& meta);

struct SnapshotFile {
  std::string path;
  std::unique_ptr<sys::File> file;
  raft::SnapshotMeta meta;
  uint64_t body_offset = 0;
};

// Verifies header, trailer and the file's size, not the body.
Result<SnapshotFile> open_snapshot_file(sys::FileSystem& fs, const std::string& path, Index index);
// Verifies the header only: what the file says of itself when the rest may be damaged.
Result<SnapshotFile> open_snapshot_header(sys::FileSystem& fs, const std::string& path,
                                          Index index);
// What is said of a body whose checksum is wrong.
Status damaged_body(const SnapshotFile& snapshot);
// Reads all of the body.
Status verify_snapshot_body(SnapshotFile& snapshot);
// [offset, offset + size) of the body; CORRUPT when the file ends before.
Status read_snapshot_body(SnapshotFile& snapshot, uint64_t offset, void* out, size_t size);

}  // namespace raftcs::storage
