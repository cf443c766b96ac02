// data_dir.cpp: the directory as a whole: creation, opening in order, and the two lanes.
//
// Opening: lock, identity, snapshots, log (which needs to know the snapshot). The lanes
// share the poison and the index of the published snapshot, both atomic, and nothing else.
#include "storage/data_dir.hpp"

#include <algorithm>

#include "storage/create.hpp"
#include "storage/healing.hpp"
#include "storage/identity_file.hpp"
#include "storage/log_files.hpp"
#include "storage/record.hpp"
#include "storage/reseed_mark.hpp"
#include "storage/scrub.hpp"
#include "storage/snapshot_files.hpp"

namespace raftcs::storage {
namespace {

const std::string kIdentityTemporary = std::string(kIdentityName) + kTemporarySuffix;
const std::string kFirstSegmentTemporary = segment_name(1) + kTemporarySuffix;

class DataDirFiles final : public DataDir {
 public:
  DataDirFiles(sys::FileSystem& fs, const std::string& path, const Options& options,
               const Identity& identity, std::unique_ptr<sys::FileSystem::Lock> lock)
      : fs_(fs),
        path_(path),
        lock_(std::move(lock)),
        identity_(identity),
        snapshots_(fs, path, poison_),
        log_(fs, path, options, identity.incarnation, poison_),
        scrubber_(fs, path, identity.incarnation, snapshots_, poison_) {}

  Status open(std::vector<std::string>* notes) {
    RCS_ASSIGN(healing, read_healing(fs_, path_));
    if (healing && healing->fresh.incarnation == identity_.incarnation)
      healing_ = std::make_unique<Healing>(std::move(*healing));
    RCS_TRY(snapshots_.open(notes));
    RCS_TRY(log_.open(snapshots_.latest(), snapshots_.damaged(), notes, &image_));
    return snapshots_.damaged() ? snapshots_.set_damaged_aside(notes) : Status::ok();
  }

  const Identity& identity() const override { return identity_; }
  const Healing* healing() const override { return healing_.get(); }
  raft::BootImage take_boot_image() override { return std::exchange(image_, {}); }

  Status write(const WriteBatch& batch) override { return log_.write(batch); }
  // Whatever is asked, nothing goes that a published snapshot does not cover (SN-09).
  Status compact(Index up_to) override {
    return log_.compact(std::min(up_to, snapshots_.published()));
  }
  Status stopped() const override { return poison_.get(); }
  std::vector<ScrubTarget> segments() const override { return log_.segments(); }
  uint64_t first_segment() const override { return log_.first_segment(); }
  Status leave_segment(uint64_t number) override { return log_.leave(number); }
  bool prepare_ahead() override { return log_.prepare_ahead(); }
  uint64_t log_file_bytes() const override { return log_.bytes(); }

  Result<std::unique_ptr<SnapshotWriter>> begin_snapshot(const raft::SnapshotMeta& meta) override {
    return snapshots_.begin(meta);
  }
  Result<std::unique_ptr<SnapshotReader>> open_snapshot(Index index) override {
    return snapshots_.read(index);
  }
  Result<Chunk> read_snapshot_chunk(Index index, uint64_t offset, uint64_t size_max) override {
    return snapshots_.read_chunk(index, offset, size_max);
  }
  Result<ChunkWritten> write_snapshot_chunk(const raft::SnapshotMeta& meta, uint64_t offset,
                                            const Bytes& data, bool last) override {
    return snapshots_.write_chunk(meta, offset, data, last);
  }
  std::optional<raft::SnapshotMeta> latest_snapshot() const override { return snapshots_.latest(); }
  Status mark_reseed(bool on) override {
    return on ? mark_for_reseed(fs_, path_) : unmark_for_reseed(fs_, path_);
  }
  ScrubSlice scrub(const ScrubTarget& target, uint64_t bytes_max) override {
    return scrubber_.read(target, bytes_max);
  }

 private:
  sys::FileSystem& fs_;
  const std::string path_;
  const std::unique_ptr<sys::FileSystem::Lock> lock_;  // goes last
  const Identity identity_;
  std::unique_ptr<Healing> healing_;
  Poison poison_;
  SnapshotFiles snapshots_;
  LogFiles log_;
  Scrubber scrubber_;
  raft::BootImage image_;
};

bool is_ours(const std::string& name) {
  return name.compare(0, 4, "log-") == 0 || name.compare(0, 9, "snapshot-") == 0;
}

}  // namespace

bool is_creation_leftover(const std::string& name) {
  return name == kIdentityTemporary || name == kFirstSegmentTemporary;
}

Status create_files(sys::FileSystem& fs, const std::string& path, const Identity& identity) {
  const std::string identity_path = join_path(path, kIdentityTemporary);
  const std::string segment_path = join_path(path, kFirstSegmentTemporary);
  RCS_TRY(write_new_file(fs, identity_path, encode_identity(identity)));
  RCS_TRY(LogFiles::create_first(fs, segment_path, identity.incarnation));
  RCS_TRY(fs.sync_directory(path));
  RCS_TRY(fs.rename(identity_path, join_path(path, kIdentityName)));
  RCS_TRY(fs.sync_directory(path));
  RCS_TRY(fs.rename(segment_path, join_path(path, segment_name(1))));
  return fs.sync_directory(path);
}

Status DataDir::create(sys::FileSystem& fs, const std::string& path, const Identity& identity) {
  RCS_TRY(fs.make_directories(path));
  RCS_ASSIGN(lock, fs.lock(path));
  RCS_ASSIGN(names, fs.list(path));
  for (const std::string& name : names) {
    if (!is_creation_leftover(name))
      return {RAFTCS_ERR_BAD_STATE, "the directory " + path + " is not empty: it holds " + name};
    RCS_TRY(fs.remove(join_path(path, name)));
  }
  return create_files(fs, path, identity);
}

Result<bool> DataDir::is_initialised(sys::FileSystem& fs, const std::string& path) {
  RCS_ASSIGN(there, fs.exists(path));
  if (!there) return false;
  RCS_ASSIGN(names, fs.list(path));
  if (std::find(names.begin(), names.end(), kIdentityName) != names.end()) return true;
  for (const std::string& name : names)
    if (is_ours(name) && !is_creation_leftover(name))
      return {RAFTCS_ERR_CORRUPT,
              join_path(path, kIdentityName) + " is missing, but " + name + " is there"};
  return false;
}

Result<std::unique_ptr<DataDir>> DataDir::open(sys::FileSystem& fs, const std::string& path,
                                               const Options& options,
                                               std::vector<std::string>* notes) {
  std::vector<std::string> unwanted;
  if (notes == nullptr) notes = &unwanted;
  if (options.segment_bytes < 8 * kSectorBytes || options.segment_bytes % kSectorBytes != 0)
    return {RAFTCS_ERR_INVALID_ARGUMENT, "segment_bytes must be a multiple of 512, at least 4096"};
  RCS_ASSIGN(initialised, is_initialised(fs, path));
  if (!initialised) return {RAFTCS_ERR_NOT_FOUND, "the directory " + path + " holds no node"};
  RCS_ASSIGN(lock, fs.lock(path));
  RCS_ASSIGN(identity, read_identity(fs, path));
  const std::string first = join_path(path, kFirstSegmentTemporary);
  RCS_ASSIGN(unfinished, fs.exists(first));
  if (unfinished) {
    RCS_TRY(fs.rename(first, join_path(path, segment_name(1))));
    RCS_TRY(fs.sync_directory(path));
  }
  auto dir = std::make_unique<DataDirFiles>(fs, path, options, identity, std::move(lock));
  RCS_TRY(dir->open(notes));
  return std::unique_ptr<DataDir>(std::move(dir));
}

}  // namespace raftcs::storage
