// log_files.hpp: the segmented log as the log lane writes it.
//
// One write() is one contiguous system call and one fdatasync, whatever is in it: hard
// state, reset, truncation, entries (group commit). It lies within one segment, begins at
// a sector of its own and goes only where zeros (or an older life of a recycled file) have
// been made durable before: overwriting costs half of what growing does, and a full disk
// is found while preparing, before anything of the write exists (PS-13).
//
// Invariants
//  I1 everything before end_ in the active segment, and all earlier segments, is durable;
//  I2 [end_, prepared) of the active segment is allocated and holds no valid record;
//  I3 the next segment's file has its final, durable name before its first write;
//  I4 segments are removed from the lowest upwards, and only what a durable snapshot
//     covers; numbers are never used again, so recycled contents are never valid (PS-07).
//
// Threads: the log lane only; bytes() from anywhere.
#pragma once

#include <atomic>
#include <deque>
#include <memory>
#include <vector>

#include "storage/data_dir.hpp"
#include "storage/log_replay.hpp"
#include "storage/poison.hpp"
#include "storage/snapshot_files.hpp"

namespace raftcs::storage {

constexpr uint64_t kPrepareBytes = 1 << 20;  // zeros written and synced at a time
constexpr uint64_t kVoteReserveBytes =
    32 << 10;  // left by appends for hard state when the disk is full

class LogFiles {
 public:
  LogFiles(sys::FileSystem& fs, std::string directory, const Options& options,
           const Uuid& incarnation, Poison& poison);
  ~LogFiles();

  // The first segment of a new directory, under `path`; a write with the session 1.
  static Status create_first(sys::FileSystem& fs, const std::string& path, const Uuid& incarnation);

  // Recovers, cleans up, and begins a session: one durable write. `instead_of`: a later snapshot
  // that is damaged; the log must hold everything that it covers, else its status is given.
  Status open(const std::optional<raft::SnapshotMeta>& snapshot,
              const std::optional<SnapshotFiles::Damaged>& instead_of,
              std::vector<std::string>* notes, raft::BootImage* image);
  Status write(const WriteBatch& batch);
  Status compact(Index up_to);
  bool prepare_ahead();
  std::vector<ScrubTarget> segments() const;
  uint64_t first_segment() const { return segments_.front().number; }
  Status leave(uint64_t number);  // see DataDir::leave_segment
  uint64_t bytes() const { return bytes_.load(std::memory_order_relaxed); }

 private:
  struct Spare {
    uint64_t number = 0;
    std::unique_ptr<sys::File> file;
    uint64_t prepared = 0;
  };

  std::string path_of(uint64_t number) const { return join_path(directory_, segment_name(number)); }
  Status reread_segments();
  Status adopt(LogState& state, std::vector<std::string>* notes);
  Status begin_session(const std::optional<raft::SnapshotMeta>& reset, bool write_hard_state);
  Status check(const WriteBatch& batch) const;
  Status check_space(const WriteBatch& batch) const;
  // Encodes the batch at the end, or as the start of the first spare, and makes it durable.
  Status commit(const WriteBatch& batch, bool begins_session, bool roll);
  void account(const WriteBatch& batch);
  // Makes room for the batch; *roll says whether it begins the next segment. NO_SPACE
  // leaves everything as it was.
  Status make_room(const WriteBatch& batch, bool* roll);
  Status make_room_in_next(const WriteBatch& batch, uint64_t reserve);
  Status prepare(sys::File& file, uint64_t* prepared, uint64_t up_to);
  Status add_spare();
  Status retire(uint64_t number, uint64_t file_bytes);
  bool is_low_on_space() const;
  Status absorb(Status status);  // poisons unless it is OK or NO_SPACE
  void count_bytes();

  sys::FileSystem& fs_;
  const std::string directory_;
  const Options options_;
  const Uuid incarnation_;
  Poison& poison_;

  std::vector<SegmentInfo> segments_;  // file_bytes of the last one: its prepared length
  std::unique_ptr<sys::File> active_;
  std::deque<Spare> spares_;
  std::vector<uint64_t> damaged_;  // segments that were left
  uint64_t end_ = 0;
  uint32_t end_checksum_ = 0;
  uint32_t session_ = 0;
  bool wrote_ = false;  // since the session began
  raft::HardState hard_state_;
  Index last_;
  Term last_term_;
  std::vector<uint8_t> buffer_;  // reused by WriteEncoder
  uint32_t idle_to_skip_ = 0, idle_skipped_ = 0;  // moments not used while the disk is full
  std::atomic<uint64_t> bytes_{0};
};

}  // namespace raftcs::storage
