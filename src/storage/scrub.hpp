// scrub.hpp: reads log segments and snapshots of a running node again, in slices (PS-06).
//
// What must hold
//  - Only what is durable and is not written any more is judged: of a segment the part before the
//    end that the log lane has told (DataDir::segments), of a snapshot one that is published.
//  - A finding about a segment is a suspicion until the log lane says that the segment is still
//    part of the log: it may have been recycled while it was read. Segments' numbers are never
//    used again, so a segment that is part of the log afterwards was so all the time.
//  - A read that fails is a finding, never a success.
//  - Memory: one buffer, whatever the size of records and files.
//
// Threads: the snapshot lane only, which also publishes snapshots.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "storage/poison.hpp"
#include "storage/segment_walk.hpp"
#include "storage/snapshot_files.hpp"

namespace raftcs::storage {

class Scrubber {
 public:
  Scrubber(sys::FileSystem& fs, std::string directory, const Uuid& incarnation,
           SnapshotFiles& snapshots, const Poison& poison);

  // Reads on in the target, or begins with it when the last call was about another one.
  ScrubSlice read(const ScrubTarget& target, uint64_t bytes_max);

 private:
  ScrubSlice read_segment(const ScrubTarget& target, uint64_t bytes_max);
  ScrubSlice read_snapshot(uint64_t bytes_max);
  ScrubSlice segment_finding(const ScrubTarget& target, const std::string& what);
  void forget();

  sys::FileSystem& fs_;
  const std::string directory_;
  const Uuid incarnation_;
  SnapshotFiles& snapshots_;
  const Poison& poison_;
  std::vector<uint8_t> buffer_;

  ScrubTarget target_;
  std::unique_ptr<sys::File> file_;  // the segment
  std::optional<SegmentWalk> walk_;
  std::optional<SnapshotFile> snapshot_;
  uint64_t publication_ = 0;  // of that snapshot
  uint64_t snapshot_at_ = 0;
  uint32_t snapshot_crc_ = 0;
};

}  // namespace raftcs::storage
