// record.hpp: the bytes of one log record, and the seeds that tie it to its place.
//
// A segment is a sequence of writes; a write is a sequence of records that reached the
// file in one call and one sync. The checksum of a record is seeded with the incarnation
// of the node, the number of the segment and the offset, and the record names its session
// (one opening of the directory) and where its write begins. So a record is valid in one
// place of one segment of one node only: what a recycled file still holds, what a torn
// write left behind and what a client stored as payload never passes (PS-07).
// docs/storage-format.md has the table of all fields.
#pragma once

#include <cstdint>
#include <string>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "base/uuid.hpp"
#include "raft/types.hpp"

namespace raftcs::storage {

constexpr uint64_t kSectorBytes = 512;  // a write never shares a sector with another one
constexpr uint64_t kRecordAlignBytes = 8;
constexpr uint32_t kRecordBytesMax = 1u << 30;  // of one payload; bounds a length before use
constexpr uint32_t kFormat = 1;
constexpr char kSegmentMagic[] = "raftcs log\n";  // 11 characters and the zero

enum class RecordKind : uint8_t {  // stored: do not renumber
  write = 1,       // begins a write; a: end of what is before, b: its checksum, c: bytes
  segment = 2,     // begins the first write of a segment, at offset 0; payload: SegmentStart
  hard_state = 3,  // b: term, c: vote
  reset = 4,       // a: index, b: term, c: time of a snapshot; the log restarts after it
  truncate = 5,    // a: entries at and above are removed
  entry = 6,       // a: index, b: term, c: time; payload: the entry's
};

struct RecordHeader {
  uint32_t checksum = 0;  // CRC32C of everything behind this field, padding included
  uint32_t length = 0;    // of the payload
  RecordKind kind = RecordKind::write;
  uint8_t detail = 0;  // entry: its type; write: 1 when it begins a session
  uint16_t zero = 0;
  uint32_t session = 0;
  uint64_t write_start = 0;
  uint64_t a = 0, b = 0, c = 0;
};
static_assert(sizeof(RecordHeader) == 48);

// What must be known at a segment's start when the ones before are gone.
struct SegmentStart {
  uint64_t number = 0;
  Uuid incarnation;
  Index last;  // of the log before this segment
  Term last_term;
  raft::HardState hard_state;

  bool operator==(const SegmentStart&) const = default;
};
constexpr uint32_t kSegmentStartBytes = 12 + 4 + 8 + 16 + 8 + 8 + 8 + 8;

constexpr uint64_t align_up(uint64_t value, uint64_t unit) {
  return (value + unit - 1) / unit * unit;
}
constexpr uint64_t record_bytes(uint64_t payload_bytes) {
  return sizeof(RecordHeader) + align_up(payload_bytes, kRecordAlignBytes);
}

Bytes encode_segment_start(const SegmentStart& start);
// VERSION_MISMATCH for a newer format, CORRUPT for anything that is no segment start.
Status decode_segment_start(const Bytes& payload, SegmentStart* out);

class RecordSeed {
 public:
  RecordSeed(const Uuid& incarnation, uint64_t segment_number);
  // The checksum of a record at `offset`; `payload` has header.length bytes.
  uint32_t checksum(uint64_t offset, const RecordHeader& header, const void* payload) const;
  // The same without the payload: to be continued with that and its padding.
  uint32_t begin(uint64_t offset, const RecordHeader& header) const;

 private:
  uint32_t seed_;
};

std::string segment_name(uint64_t number);  // log-<16 hex digits>
bool parse_segment_name(const std::string& name, uint64_t* number);
std::string join_path(const std::string& directory, const std::string& name);

}  // namespace raftcs::storage
