// snapshot_format.cpp: see snapshot_format.hpp and docs/storage-format.md.
#include "storage/snapshot_format.hpp"

#include <algorithm>
#include <cstring>
#include <vector>

#include "base/byte_io.hpp"
#include "base/crc32c.hpp"
#include "raft/membership.hpp"
#include "storage/record.hpp"

namespace raftcs::storage {
namespace {

constexpr char kSnapshotMagic[] = "raftcs snap";  // 11 characters and the zero
constexpr char kTrailerMagic[] = "snapend";       // 7 characters and the zero
constexpr uint32_t kDescriptionBytesMax = 1 << 20;
constexpr uint64_t kHeaderFixedBytes = 12 + 4 + 4;
constexpr size_t kReadBytes = 256 << 10;

Status corrupt(const std::string& path, uint64_t offset, const std::string& what) {
  return {RAFTCS_ERR_CORRUPT, path + " at offset " + std::to_string(offset) + ": " + what};
}

}  // namespace

std::string snapshot_name(Index index) { return "snapshot-" + segment_name(index.value).substr(4); }

bool parse_snapshot_name(const std::string& name, Index* index) {
  if (name.size() != 25 || name.compare(0, 9, "snapshot-") != 0) return false;
  uint64_t value = 0;
  if (!parse_segment_name("log-" + name.substr(9), &value)) return false;
  *index = Index(value);
  return true;
}

Bytes encode_snapshot_header(const raft::SnapshotMeta& meta) {
  ByteWriter description;
  raft::encode_snapshot_meta(meta, &description);
  ByteWriter out(kHeaderFixedBytes + description.size() + 4);
  out.raw(kSnapshotMagic, sizeof kSnapshotMagic);
  out.u32(kFormat);
  out.u32(static_cast<uint32_t>(description.size()));
  out.raw(description.data(), description.size());
  out.u32(crc32c(0, out.data(), out.size()));
  return out.take_bytes();
}

Bytes encode_snapshot_trailer(const raft::SnapshotMeta& meta) {
  ByteWriter out(kSnapshotTrailerBytes);
  out.raw(kTrailerMagic, sizeof kTrailerMagic);
  out.u64(meta.size);
  out.u32(meta.checksum);
  out.u32(crc32c(0, out.data(), out.size()));
  return out.take_bytes();
}

Result<SnapshotFile> open_snapshot_header(sys::FileSystem& fs, const std::string& path,
                                          Index index) {
  SnapshotFile out;
  out.path = path;
  RCS_ASSIGN(file, fs.open(path, sys::OpenMode::read));
  out.file = std::move(file);
  uint8_t fixed[kHeaderFixedBytes];
  RCS_ASSIGN(got, out.file->read_at(0, fixed, sizeof fixed));
  uint32_t format = 0, description_bytes = 0;
  std::memcpy(&format, fixed + sizeof kSnapshotMagic, 4);
  std::memcpy(&description_bytes, fixed + sizeof kSnapshotMagic + 4, 4);
  if (got != sizeof fixed || std::memcmp(fixed, kSnapshotMagic, sizeof kSnapshotMagic) != 0 ||
      description_bytes > kDescriptionBytesMax)
    return corrupt(path, 0, "this is no snapshot");
  std::vector<uint8_t> header(kHeaderFixedBytes + description_bytes + 4);
  RCS_ASSIGN(header_got, out.file->read_at(0, header.data(), header.size()));
  uint32_t checksum = 0;
  std::memcpy(&checksum, header.data() + header.size() - 4, 4);
  if (header_got != header.size() || crc32c(0, header.data(), header.size() - 4) != checksum)
    return corrupt(path, 0, "the header of the snapshot is damaged");
  if (format != kFormat)
    return {RAFTCS_ERR_VERSION_MISMATCH, path + " has format " + std::to_string(format)};
  out.body_offset = header.size();
  ByteReader in(Bytes::copy(header.data() + kHeaderFixedBytes, description_bytes));
  if (!raft::decode_snapshot_meta(&in, &out.meta) || !in.at_end() || out.meta.index != index)
    return corrupt(path, kHeaderFixedBytes, "the description of the snapshot does not fit");
  return out;
}

Result<SnapshotFile> open_snapshot_file(sys::FileSystem& fs, const std::string& path, Index index) {
  RCS_ASSIGN(out, open_snapshot_header(fs, path, index));
  RCS_ASSIGN(size, out.file->size());
  if (out.meta.size > size || size != out.body_offset + out.meta.size + kSnapshotTrailerBytes)
    return corrupt(path, size, "the snapshot has a wrong length");
  uint8_t trailer[kSnapshotTrailerBytes];
  const uint64_t trailer_offset = out.body_offset + out.meta.size;
  RCS_TRY(read_snapshot_body(out, out.meta.size, trailer, sizeof trailer));
  const Bytes want = encode_snapshot_trailer(out.meta);
  if (std::memcmp(want.data(), trailer, sizeof trailer) != 0)
    return corrupt(path, trailer_offset, "the trailer of the snapshot is damaged");
  return out;
}

Status read_snapshot_body(SnapshotFile& snapshot, uint64_t offset, void* out, size_t size) {
  RCS_ASSIGN(got, snapshot.file->read_at(snapshot.body_offset + offset, out, size));
  if (got != size)
    return corrupt(snapshot.path, snapshot.body_offset + offset + got, "the file is too short");
  return Status::ok();
}

Status damaged_body(const SnapshotFile& snapshot) {
  return corrupt(
      snapshot.path, snapshot.body_offset,
      "the contents of the snapshot at entry " + to_string(snapshot.meta.index) + " are damaged");
}

Status verify_snapshot_body(SnapshotFile& snapshot) {
  std::vector<uint8_t> buffer(kReadBytes);
  uint32_t crc = 0;
  for (uint64_t at = 0; at < snapshot.meta.size;) {
    const auto size =
        static_cast<size_t>(std::min<uint64_t>(buffer.size(), snapshot.meta.size - at));
    RCS_TRY(read_snapshot_body(snapshot, at, buffer.data(), size));
    crc = crc32c(crc, buffer.data(), size);
    at += size;
  }
  return crc == snapshot.meta.checksum ? Status::ok() : damaged_body(snapshot);
}

}  // namespace raftcs::storage
