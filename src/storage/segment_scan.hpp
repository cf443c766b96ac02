// segment_scan.hpp: reads one segment and finds where its durable part ends.
//
// The hard question of recovery is whether a bad record is the torn end of the last write,
// which was never acknowledged and is cut, or damage to something acknowledged, which must
// be reported (PS-06). A write begins only when the one before is durable. So a valid start
// of a write behind the bad place proves damage, and nothing else does: the records of one
// unsynced write may survive in any combination of sectors.
// Used by opening and by the tools; changes nothing.
#pragma once

#include <functional>
#include <vector>

#include "base/result.hpp"
#include "storage/record.hpp"
#include "sys/file_system.hpp"

namespace raftcs::storage {

struct ScannedRecord {
  RecordHeader header;
  uint64_t offset = 0;
  Bytes payload;  // shares the segment's memory: copy what is kept
};

struct SegmentScan {
  uint64_t number = 0;
  uint64_t file_bytes = 0;
  bool begun = false;  // its first record is valid; else it is only prepared
  SegmentStart start;
  std::vector<ScannedRecord> records;  // in order, first the segment record
  uint64_t end = 0;                    // the first byte behind the last valid record
  uint32_t end_checksum = 0;           // of that record
  uint32_t session = 0;                // of that record
  bool torn = false;                   // something unfinished was found at `end`
  bool damaged = false;                // a durable write lies behind damage that begins at `end`
  uint64_t proof_offset = 0;           // damaged: where that durable write begins
};

// Errors are those of reading, and VERSION_MISMATCH. `session_min`: of the segment before.
Result<SegmentScan> scan_segment(sys::File& file, uint64_t number, const Uuid& incarnation,
                                 uint32_t session_min);

// Gives every record whose checksum fits, wherever it stands. Without an incarnation the one
// that the segment itself names is tried.
Status salvage_segment(sys::File& file, uint64_t number, const Uuid* incarnation,
                       const std::function<void(const ScannedRecord&)>& found);

}  // namespace raftcs::storage
