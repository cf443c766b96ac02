// data_dir.hpp: one node's durable state: identity, hard state, log and snapshots.
//
// The layout of the directory and every byte in it is described in docs/storage-format.md.
// Rules (decision D7, catalogue PS-01..13, RC-01..02):
//  - write() gives back only after its bytes are durable; hard state is one atomic record;
//  - the first storage error poisons the object: every later write fails with that error
//    and nothing more reaches the disk, until the process opens the directory anew;
//  - a torn tail (nothing valid after it in the last segment) is cut at open; anything
//    else damaged is reported with file and offset, and open fails: never shortened;
//  - a snapshot is published by rename and directory sync before anything refers to it.
// "Disk full" is told apart (RAFTCS_ERR_NO_SPACE): it is found before a byte is written
// (space is reserved ahead), does not poison, and heals by itself.
//
// Threads: write/compact on the log lane; the snapshot functions on the snapshot lane, but for
// open_snapshot and latest_snapshot, which the apply lane calls.
// The two groups may run at the same time; inside a group calls are serial.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "base/uuid.hpp"
#include "raft/node.hpp"
#include "sys/file_system.hpp"
#include "sys/random.hpp"

namespace raftcs::storage {

struct Options {
  uint64_t segment_bytes = 64 << 20;  // prepared (zero-filled) ahead and recycled
  uint64_t reserve_bytes = 0;         // refuse appends with NO_SPACE below this much free space
  uint32_t spare_segments = 1;        // segments prepared ahead
};

// Written once when the directory is made.
struct Identity {
  Uuid cluster;
  NodeId node;
  Uuid incarnation;  // random; a wiped disk comes back with another one (MB-08)
  // Made for a cluster that was there already, by joining or after damage: what the id may have
  // promised before is not here, so it votes only where the configuration names this incarnation.
  bool joined = false;
};

struct Healing;  // healing.hpp

// What is read again while the node runs (scrub.hpp).
struct ScrubTarget {
  uint64_t segment = 0;  // of the log; 0: the latest snapshot
  uint64_t end = 0;      // behind its last record, all of it durable, and that record's checksum
  uint32_t end_checksum = 0;
  bool open = false;  // it is still written to, behind `end`
  bool operator==(const ScrubTarget&) const = default;
};
struct ScrubFinding {
  uint64_t segment = 0;  // 0: the snapshot at ...
  Index snapshot;        // ... this entry
  std::string file;
  uint64_t offset = 0;
  Index last_good;   // of the log before the damage
  std::string text;  // all of it in a sentence
};
struct ScrubSlice {
  uint64_t bytes = 0;  // read
  bool done = false;   // with the target, also after a finding
  std::optional<ScrubFinding> found;
};

// One atomic step of the log lane; see raft::Effects for the order.
struct WriteBatch {
  std::optional<raft::HardState> hard_state;
  std::optional<raft::SnapshotMeta> reset_log;
  std::optional<Index> truncate_from;
  std::vector<raft::Entry> append;
};

class SnapshotWriter {
 public:
  virtual ~SnapshotWriter() = default;  // without publish(): the partial file is removed
  virtual Status write(const void* data, size_t size) = 0;
  // Fills meta.size and meta.checksum, makes file and directory durable, renames. The
  // snapshots before it are removed afterwards.
  virtual Result<raft::SnapshotMeta> publish() = 0;
};

class SnapshotReader {
 public:
  virtual ~SnapshotReader() = default;
  virtual Result<size_t> read(void* out, size_t size) = 0;  // 0 at the end
  virtual const raft::SnapshotMeta& meta() const = 0;
};

class DataDir {
 public:
  // Creates the directory with this identity; it must be absent or empty (RC-07).
  static Status create(sys::FileSystem& fs, const std::string& path, const Identity& identity);
  // Does the directory hold a node's data? Absent or empty: false.
  static Result<bool> is_initialised(sys::FileSystem& fs, const std::string& path);
  // Locks, recovers, verifies. `notes` gets one sentence for each repair (a cut tail).
  static Result<std::unique_ptr<DataDir>> open(sys::FileSystem& fs, const std::string& path,
                                               const Options& options,
                                               std::vector<std::string>* notes);
  virtual ~DataDir() = default;

  virtual const Identity& identity() const = 0;
  // Not null: this incarnation began anew because of damage, now or long ago.
  virtual const Healing* healing() const { return nullptr; }
  // What recovery found; may be called once.
  virtual raft::BootImage take_boot_image() = 0;

  // The error that has stopped storage for good; OK while there is none. From any thread.
  virtual Status stopped() const { return Status::ok(); }

  // [log lane]
  virtual Status write(const WriteBatch& batch) = 0;
  virtual Status compact(Index up_to) = 0;  // deletes whole segments at or below; may keep more
  // The segments of the log in order, as far as they are durable; the last one is open.
  virtual std::vector<ScrubTarget> segments() const { return {}; }
  // The oldest of them. What has a lower number is not needed any more.
  virtual uint64_t first_segment() const { return 0; }
  // The segment is damaged: nothing more is written to it, and its file is removed, not used
  // again, when it is compacted. NO_SPACE: nothing was done.
  virtual Status leave_segment(uint64_t number) {
    (void)number;
    return Status::ok();
  }
  // For idle moments of the log lane: prepares up to 1 MiB of log ahead (a millisecond or
  // two). True while there is more to prepare. Not calling it costs speed only. With the disk full
  // most calls do nothing.
  virtual bool prepare_ahead() { return false; }
  virtual uint64_t log_file_bytes() const = 0;  // from any thread

  // [snapshot lane]
  virtual Result<std::unique_ptr<SnapshotWriter>> begin_snapshot(
      const raft::SnapshotMeta& meta) = 0;
  virtual Result<std::unique_ptr<SnapshotReader>> open_snapshot(Index index) = 0;  // verifies first
  struct Chunk {
    Bytes data;
    bool last = false;
  };
  virtual Result<Chunk> read_snapshot_chunk(Index index, uint64_t offset, uint64_t size_max) = 0;
  struct ChunkWritten {
    uint64_t next_offset = 0;
    bool complete = false;  // verified against meta.checksum, durable and published
  };
  // Duplicates and gaps are harmless: the answer says where to go on (SN-07, SN-08).
  virtual Result<ChunkWritten> write_snapshot_chunk(const raft::SnapshotMeta& meta, uint64_t offset,
                                                    const Bytes& data, bool last) = 0;
  virtual std::optional<raft::SnapshotMeta> latest_snapshot() const = 0;
  // At the next start the directory begins anew (reseed_mark.hpp), or not.
  virtual Status mark_reseed(bool on) {
    (void)on;
    return {RAFTCS_ERR_UNSUPPORTED, "this directory cannot be marked"};
  }
  // Reads on in the target, so many bytes at most, and verifies what it reads.
  virtual ScrubSlice scrub(const ScrubTarget& target, uint64_t bytes_max) {
    (void)target, (void)bytes_max;
    ScrubSlice nothing;
    nothing.done = true;
    return nothing;
  }
};

}  // namespace raftcs::storage
