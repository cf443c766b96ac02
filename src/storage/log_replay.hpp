// log_replay.hpp: from scanned segments to the log they describe.
//
// Replays the records of all segments in order: entries, truncations, resets, hard state.
// What does not fit together is damage and refused with file, offset and index; what a
// crash can leave behind is not (catalogue RC-01, RC-02, PS-06, PS-08, PS-09):
//  - segments must be numbered without a gap, and each names the exact end of the one
//    before. Only segments below a gap may be left over, when a compaction's removals were
//    not all durable: the log is then the run above the gap;
//  - an entry follows its predecessor; removing entries takes a truncate record;
//  - the log must reach down to the snapshot, and its terms must not exceed the hard state.
// Used by opening and by the tools; changes nothing.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "storage/segment_scan.hpp"

namespace raftcs::storage {

struct SegmentInfo {
  uint64_t number = 0;
  uint64_t file_bytes = 0;
  Index live_last;  // highest entry in it that is still part of the log; 0: none
  uint64_t end = 0;           // closed: behind its last record ...
  uint32_t end_checksum = 0;  // ... and that record's checksum
};

struct LogState {
  std::vector<SegmentInfo> segments;  // begun, in order; the last one is written to
  std::vector<uint64_t> obsolete;     // begun, but left over below a gap
  std::vector<uint64_t> prepared;     // not begun
  raft::HardState hard_state;
  Index base;      // the index before the first entry
  Term base_term;  // 0: unknown
  std::vector<raft::Entry> entries;
  uint64_t end = 0;  // of the last begun segment
  uint32_t end_checksum = 0;
  uint32_t session = 0;
  bool torn = false;

  Index last() const { return base + entries.size(); }
  Term last_term() const { return entries.empty() ? base_term : entries.back().term; }
};

class LogReplay {
 public:
  explicit LogReplay(std::string directory) : directory_(std::move(directory)) {}

  uint32_t session() const { return state_.session; }
  // Segments in ascending order of their numbers. An error names file and offset.
  Status add(const SegmentScan& scan);
  // After the last one. Trims what the snapshot covers; *needs_reset when the log as it
  // lies on disk must be declared void (behind the snapshot, or in conflict with it).
  Result<LogState> finish(const std::optional<raft::SnapshotMeta>& snapshot, bool* needs_reset);

 private:
  Status replay(const SegmentScan& scan);
  Status begin_segment(const SegmentScan& scan);
  Status apply(const SegmentScan& scan, const ScannedRecord& record);
  Status apply_entry(const SegmentScan& scan, const ScannedRecord& record);
  void truncate(Index from);
  void reset(Index index, Term term);
  Status corrupt(uint64_t number, uint64_t offset, const std::string& what) const;

  std::string directory_;
  LogState state_;
};

// Reads and replays all segments of a directory.
Result<LogState> recover_log(sys::FileSystem& fs, const std::string& directory,
                             const Uuid& incarnation,
                             const std::optional<raft::SnapshotMeta>& snapshot, bool* needs_reset);

}  // namespace raftcs::storage
