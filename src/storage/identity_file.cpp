// identity_file.cpp: 57 bytes and a checksum; see docs/storage-format.md.
#include "storage/identity_file.hpp"

#include <cstring>

#include "base/byte_io.hpp"
#include "base/crc32c.hpp"
#include "storage/record.hpp"

namespace raftcs::storage {
namespace {

constexpr char kIdentityMagic[] = "raftcs node";  // 11 characters and the zero
constexpr size_t kIdentityBytes = 12 + 4 + 16 + 8 + 16 + 1 + 4;

}  // namespace

Bytes encode_identity(const Identity& identity) {
  ByteWriter out(kIdentityBytes);
  out.raw(kIdentityMagic, sizeof kIdentityMagic);
  out.u32(kFormat);
  out.raw(identity.cluster.bytes.data(), 16);
  out.u64(identity.node.value);
  out.raw(identity.incarnation.bytes.data(), 16);
  out.u8(identity.joined ? 1 : 0);
  out.u32(crc32c(0, out.data(), out.size()));
  return out.take_bytes();
}

Result<Identity> read_identity(sys::FileSystem& fs, const std::string& directory) {
  const std::string path = join_path(directory, kIdentityName);
  RCS_ASSIGN(all, read_small_file(fs, path, kIdentityBytes + 1));
  ByteReader in(all);
  const Bytes magic = in.raw(sizeof kIdentityMagic);
  const uint32_t format = in.u32();
  const Bytes cluster = in.raw(16);
  Identity identity;
  identity.node = NodeId(in.u64());
  const Bytes incarnation = in.raw(16);
  const uint8_t joined = in.u8();
  const uint32_t checksum = in.u32();
  if (!in.at_end() || joined > 1 ||
      std::memcmp(magic.data(), kIdentityMagic, sizeof kIdentityMagic) != 0 ||
      crc32c(0, all.data(), all.size() - 4) != checksum)
    return {RAFTCS_ERR_CORRUPT, path + " at offset 0: the identity of the node is damaged"};
  if (format != kFormat)
    return {RAFTCS_ERR_VERSION_MISMATCH, path + " has format " + std::to_string(format)};
  std::memcpy(identity.cluster.bytes.data(), cluster.data(), 16);
  std::memcpy(identity.incarnation.bytes.data(), incarnation.data(), 16);
  identity.joined = joined != 0;
  return identity;
}

Status rewrite_identity(sys::FileSystem& fs, const std::string& directory,
                        const Identity& identity) {
  const std::string temporary = join_path(directory, std::string(kIdentityName) + kTemporarySuffix);
  RCS_ASSIGN(left_over, fs.exists(temporary));
  if (left_over) RCS_TRY(fs.remove(temporary));
  RCS_TRY(write_new_file(fs, temporary, encode_identity(identity)));
  RCS_TRY(fs.sync_directory(directory));
  RCS_TRY(fs.rename(temporary, join_path(directory, kIdentityName)));
  return fs.sync_directory(directory);
}

Result<Bytes> read_small_file(sys::FileSystem& fs, const std::string& path, size_t bytes_max) {
  RCS_ASSIGN(file, fs.open(path, sys::OpenMode::read));
  std::vector<uint8_t> bytes(bytes_max);
  RCS_ASSIGN(size, file->read_at(0, bytes.data(), bytes.size()));
  bytes.resize(size);
  return Bytes::adopt(std::move(bytes));
}

Status write_new_file(sys::FileSystem& fs, const std::string& path, const Bytes& bytes) {
  RCS_ASSIGN(file, fs.open(path, sys::OpenMode::create));
  RCS_TRY(file->write_at(0, bytes.data(), bytes.size()));
  return file->sync_data();
}

}  // namespace raftcs::storage
