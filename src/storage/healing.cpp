// healing.cpp: the decision on disk, and the moves it stands for.
#include "storage/healing.hpp"

#include <algorithm>
#include <cstring>

#include "base/byte_io.hpp"
#include "base/crc32c.hpp"
#include "storage/create.hpp"
#include "storage/identity_file.hpp"
#include "storage/record.hpp"

namespace raftcs::storage {
namespace {

constexpr char kMagic[] = "raftcs heal";  // 11 characters and the zero
constexpr size_t kTextBytesMax = 4096;
constexpr size_t kFileBytesMax = kTextBytesMax + 128;

Bytes encode(const Healing& h) {
  ByteWriter out(kFileBytesMax);
  out.raw(kMagic, sizeof kMagic);
  out.u32(kFormat);
  out.raw(h.fresh.cluster.bytes.data(), 16);
  out.u64(h.fresh.node.value);
  out.raw(h.fresh.incarnation.bytes.data(), 16);
  out.text(std::string_view(h.damage).substr(0, kTextBytesMax));
  out.u32(crc32c(0, out.data(), out.size()));
  return out.take_bytes();
}

Result<std::optional<Healing>> read_file(sys::FileSystem& fs, const std::string& path) {
  RCS_ASSIGN(there, fs.exists(path));
  if (!there) return std::optional<Healing>();
  RCS_ASSIGN(all, read_small_file(fs, path, kFileBytesMax));
  ByteReader in(all);
  const Bytes magic = in.raw(sizeof kMagic);
  const uint32_t format = in.u32();
  const Bytes cluster = in.raw(16);
  Healing h;
  h.fresh.joined = true;
  h.fresh.node = NodeId(in.u64());
  const Bytes incarnation = in.raw(16);
  h.damage = in.text();
  const uint32_t checksum = in.u32();
  if (!in.at_end() || std::memcmp(magic.data(), kMagic, sizeof kMagic) != 0 ||
      crc32c(0, all.data(), all.size() - 4) != checksum)
    return Status(RAFTCS_ERR_CORRUPT, path + " at offset 0: the note of a healing is damaged");
  if (format != kFormat)
    return Status(RAFTCS_ERR_VERSION_MISMATCH, path + " has format " + std::to_string(format));
  std::memcpy(h.fresh.cluster.bytes.data(), cluster.data(), 16);
  std::memcpy(h.fresh.incarnation.bytes.data(), incarnation.data(), 16);
  return std::optional<Healing>(std::move(h));
}

// Which stay where they are.
bool is_of_healing(const std::string& name) {
  return name == kDamagedName || name.compare(0, std::strlen(kHealingName), kHealingName) == 0;
}

Status carry_out(sys::FileSystem& fs, const std::string& directory, const Healing& healing) {
  const std::string damaged = join_path(directory, kDamagedName);
  auto identity = read_identity(fs, directory);
  const bool made = identity && identity->incarnation == healing.fresh.incarnation;
  if (!made) {
    RCS_TRY(fs.make_directories(damaged));
    RCS_TRY(fs.sync_directory(directory));
    RCS_ASSIGN(names, fs.list(directory));
    for (const std::string& name : names) {
      const std::string path = join_path(directory, name);
      if (is_of_healing(name)) continue;
      // What has been set aside stays: a file of the same name is one of the new directory, whose
      // identity could not be read.
      const std::string aside = join_path(damaged, name);
      RCS_ASSIGN(kept, fs.exists(aside));
      RCS_TRY(kept || is_creation_leftover(name) ? fs.remove(path) : fs.rename(path, aside));
    }
    RCS_TRY(fs.sync_directory(damaged));
    RCS_TRY(fs.sync_directory(directory));
    RCS_TRY(create_files(fs, directory, healing.fresh));
  }
  RCS_TRY(fs.rename(join_path(directory, kHealingBegun), join_path(directory, kHealingName)));
  return fs.sync_directory(directory);
}

}  // namespace

Status refuse_second_copy(sys::FileSystem& fs, const std::string& directory) {
  const std::string damaged = join_path(directory, kDamagedName);
  RCS_ASSIGN(there, fs.exists(damaged));
  if (!there) return Status::ok();
  RCS_ASSIGN(names, fs.list(damaged));
  if (names.empty()) return Status::ok();
  return {RAFTCS_ERR_BAD_STATE,
          "damaged data of an earlier time is still in " + damaged +
              ", and a second copy is not kept: look at the disk, move that directory away, and "
              "start again"};
}

Result<std::optional<Healing>> read_healing(sys::FileSystem& fs, const std::string& directory) {
  return read_file(fs, join_path(directory, kHealingName));
}

Status heal_directory(sys::FileSystem& fs, const std::string& directory, const Healing& healing) {
  RCS_ASSIGN(lock, fs.lock(directory));
  RCS_TRY(refuse_second_copy(fs, directory));
  const std::string temporary = join_path(directory, std::string(kHealingName) + kTemporarySuffix);
  RCS_ASSIGN(left_over, fs.exists(temporary));
  if (left_over) RCS_TRY(fs.remove(temporary));
  RCS_TRY(write_new_file(fs, temporary, encode(healing)));
  RCS_TRY(fs.rename(temporary, join_path(directory, kHealingBegun)));
  RCS_TRY(fs.sync_directory(directory));
  return carry_out(fs, directory, healing);
}

Status finish_healing(sys::FileSystem& fs, const std::string& directory,
                      std::vector<std::string>* notes) {
  RCS_ASSIGN(there, fs.exists(directory));
  if (!there) return Status::ok();
  RCS_ASSIGN(begun, read_file(fs, join_path(directory, kHealingBegun)));
  if (!begun) return Status::ok();
  RCS_ASSIGN(lock, fs.lock(directory));
  RCS_TRY(carry_out(fs, directory, *begun));
  if (notes != nullptr)
    notes->push_back("setting damaged data aside was interrupted; it is done now");
  return Status::ok();
}

}  // namespace raftcs::storage
