// snapshot_files.hpp: taking, receiving, publishing and reading snapshots.
//
// A snapshot is written under another name, synced, renamed and its directory synced; only
// then is it the latest one, and only then do the ones before it go (PS-04, SN-09). Files
// under other names are leftovers and removed at opening, so a transfer that a restart
// interrupted begins again at 0 (SN-07). A published snapshot that does not verify is
// reported; it is only ever passed over when the log holds all that it covers (DataDir::open),
// and then kept under another name until a later one is published (SN-12).
//
// Threads: the snapshot lane only, but published() from anywhere.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>

#include "storage/data_dir.hpp"
#include "storage/poison.hpp"
#include "storage/snapshot_format.hpp"

namespace raftcs::storage {

class SnapshotFiles {
 public:
  SnapshotFiles(sys::FileSystem& fs, std::string directory, Poison& poison);
  ~SnapshotFiles();

  // Finds and verifies the latest, removes leftovers. A latest one whose header is good and
  // whose rest is damaged is no error here but damaged(): the log may hold what it covers.
  Status open(std::vector<std::string>* notes);
  struct Damaged {
    raft::SnapshotMeta meta;
    Status status;
  };
  const std::optional<Damaged>& damaged() const { return damaged_; }
  // Requires: the log was opened without it.
  Status set_damaged_aside(std::vector<std::string>* notes);
  Result<std::unique_ptr<SnapshotWriter>> begin(const raft::SnapshotMeta& meta);
  Result<std::unique_ptr<SnapshotReader>> read(Index index);
  Result<DataDir::Chunk> read_chunk(Index index, uint64_t offset, uint64_t size_max);
  Result<DataDir::ChunkWritten> write_chunk(const raft::SnapshotMeta& meta, uint64_t offset,
                                            const Bytes& data, bool last);
  std::optional<raft::SnapshotMeta> latest() const {  // from any lane
    std::lock_guard lock(latest_lock_);
    return latest_;
  }
  // Rises with every one. [snapshot lane]
  uint64_t publications() const { return publications_; }
  Index published() const { return Index(published_.load(std::memory_order_acquire)); }

 private:
  class Writer;
  class Reader;
  friend class Writer;

  std::string path_of(Index index) const;
  Status tidy_up(const std::vector<std::string>& names, std::vector<std::string>* notes);
  Status absorb(Status status);
  Status publish(const std::string& temporary, const raft::SnapshotMeta& meta);
  Status finish_receiving();
  Result<SnapshotFile*> file_to_send(Index index);

  sys::FileSystem& fs_;
  const std::string directory_;
  Poison& poison_;
  mutable std::mutex latest_lock_;  // the apply lane reads what the snapshot lane publishes
  std::optional<raft::SnapshotMeta> latest_;
  std::atomic<uint64_t> published_{0};
  uint64_t publications_ = 0;
  std::optional<Damaged> damaged_;
  std::unique_ptr<Writer> receiving_;  // of a snapshot that comes in chunks
  // Verified once, then read chunk by chunk; the one read last is the last.
  struct Sending {
    SnapshotFile file;
    uint64_t publication = 0;  // publications_ when it was opened
    uint64_t read_at = 0;      // and when it was last read
  };
  std::vector<Sending> sending_;
};

}  // namespace raftcs::storage
