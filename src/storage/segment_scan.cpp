// segment_scan.cpp: see segment_scan.hpp for the rule that is applied here.
#include "storage/segment_scan.hpp"

#include <cstring>

#include "base/mutant.hpp"

namespace raftcs::storage {
namespace {

class Scanner {
 public:
  Scanner(Bytes image, uint64_t file_bytes, const Uuid& incarnation, uint64_t number,
          uint32_t session_min)
      : image_(std::move(image)), seed_(incarnation, number) {
    scan_.number = number;
    scan_.file_bytes = file_bytes;
    scan_.session = session_min;
  }

  void salvage(const std::function<void(const ScannedRecord&)>& found) const {
    ScannedRecord r;
    for (uint64_t at = 0; at + sizeof(RecordHeader) <= image_.size();) {
      const bool good = read_record(at, &r);
      if (good) found(r);
      at += good ? record_bytes(r.header.length) : kRecordAlignBytes;
    }
  }

  Result<SegmentScan> run() {
    while (read_write()) {
    }
    if (scan_.begun) {
      RCS_TRY(decode_segment_start(scan_.records.front().payload, &scan_.start));
      if (scan_.start.number != scan_.number)
        return {RAFTCS_ERR_CORRUPT,
                "the segment carries number " + std::to_string(scan_.start.number)};
    }
    look_behind();
    return std::move(scan_);
  }

 private:
  // A record with a valid checksum at `offset`.
  bool read_record(uint64_t offset, ScannedRecord* out) const {
    if (offset + sizeof(RecordHeader) > image_.size()) return false;
    RecordHeader& h = out->header;
    std::memcpy(&h, image_.data() + offset, sizeof h);
    const auto kind = static_cast<uint8_t>(h.kind);
    if (kind < 1 || kind > 6 || h.zero != 0 || h.length > kRecordBytesMax) return false;
    if (h.write_start > offset || h.write_start % kSectorBytes != 0) return false;
    if (record_bytes(h.length) > image_.size() - offset) return false;
    const uint8_t* payload = image_.data() + offset + sizeof h;
    for (uint64_t i = h.length; i < align_up(h.length, kRecordAlignBytes); ++i)
      if (payload[i] != 0) return false;
    if (seed_.checksum(offset, h, payload) != h.checksum) return false;
    out->offset = offset;
    out->payload = image_.slice(static_cast<size_t>(offset) + sizeof h, h.length);
    return true;
  }

  static bool begins_write(const ScannedRecord& r) {
    const RecordKind want = r.offset == 0 ? RecordKind::segment : RecordKind::write;
    return r.header.kind == want && r.header.write_start == r.offset;
  }

  // Accepts one write; false where the segment ends or a write is unfinished.
  bool read_write() {
    const uint64_t at = align_up(scan_.end, kSectorBytes);
    ScannedRecord r;
    if (!read_record(at, &r) || !begins_write(r)) return false;
    const bool new_session = r.header.detail == 1 && r.header.session > scan_.session;
    const bool first = at == 0;
    if (first ? r.header.session < scan_.session
              : r.header.session != scan_.session && !new_session)
      return false;
    if (!first && (r.header.a != scan_.end || r.header.b != scan_.end_checksum)) return false;
    const uint64_t write_end = at + r.header.c;
    scan_.begun = true;
    scan_.session = r.header.session;
    accept(std::move(r));
    while (scan_.end < write_end) {
      ScannedRecord next;
      if (!read_record(scan_.end, &next)) break;
      if (next.header.kind == RecordKind::write || next.header.kind == RecordKind::segment) break;
      if (next.header.write_start != at || next.header.session != scan_.session) break;
      accept(std::move(next));
    }
    if (scan_.end != write_end) scan_.torn = true;
    // A torn write that a later opening cut is followed by that opening's session start.
    return true;
  }

  void accept(ScannedRecord r) {
    scan_.end = r.offset + record_bytes(r.header.length);
    scan_.end_checksum = r.header.checksum;
    scan_.torn = false;
    scan_.records.push_back(std::move(r));
  }

  // Is there a durable write behind the end?
  void look_behind() {
    if (RCS_MUTANT("PS-06")) return;
    ScannedRecord r;
    for (uint64_t at = align_up(scan_.end, kSectorBytes); at < image_.size(); at += kSectorBytes) {
      if (!read_record(at, &r) || !begins_write(r)) continue;
      if (at == 0 || r.header.session < scan_.session) continue;
      scan_.damaged = true;
      scan_.proof_offset = at;
      return;
    }
    // For the note only: something that wanted to be a record of this place.
    const uint64_t at = align_up(scan_.end, kSectorBytes);
    if (!scan_.begun || at + sizeof(RecordHeader) > image_.size()) return;
    RecordHeader h;
    std::memcpy(&h, image_.data() + at, sizeof h);
    if (h.kind == RecordKind::write && h.write_start == at && h.session == scan_.session)
      scan_.torn = true;
  }

  Bytes image_;
  RecordSeed seed_;
  SegmentScan scan_;
};

// With zeros up to a whole sector: what writing behind the end makes of a file that ends inside
// one. A record that is whole with them is whole now, not only after the next opening.
Result<Bytes> read_all(sys::File& file, uint64_t* size_out) {
  RCS_ASSIGN(size, file.size());
  const auto padded = static_cast<size_t>(align_up(size, kSectorBytes));
  auto block = std::make_shared<uint8_t[]>(padded + 1);
  RCS_ASSIGN(got, file.read_at(0, block.get(), static_cast<size_t>(size)));
  *size_out = got;
  const uint8_t* data = block.get();
  return Bytes(std::shared_ptr<const void>(std::move(block), data), data, padded);
}

}  // namespace

Result<SegmentScan> scan_segment(sys::File& file, uint64_t number, const Uuid& incarnation,
                                 uint32_t session_min) {
  uint64_t size = 0;
  RCS_ASSIGN(image, read_all(file, &size));
  return Scanner(std::move(image), size, incarnation, number, session_min).run();
}

Status salvage_segment(sys::File& file, uint64_t number, const Uuid* incarnation,
                       const std::function<void(const ScannedRecord&)>& found) {
  uint64_t size = 0;
  RCS_ASSIGN(image, read_all(file, &size));
  Uuid named;
  constexpr size_t kNamedAt = sizeof(RecordHeader) + 12 + 4 + 8;  // SegmentStart::incarnation
  if (incarnation == nullptr && image.size() >= kNamedAt + named.bytes.size())
    std::memcpy(named.bytes.data(), image.data() + kNamedAt, named.bytes.size());
  Scanner(std::move(image), size, incarnation ? *incarnation : named, number, 0).salvage(found);
  return Status::ok();
}

}  // namespace raftcs::storage
