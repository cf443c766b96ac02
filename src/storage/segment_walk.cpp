// segment_walk.cpp: see segment_walk.hpp. The rules are those of segment_scan.cpp.
#include "storage/segment_walk.hpp"

#include <algorithm>
#include <cstring>

#include "base/crc32c.hpp"

namespace raftcs::storage {

SegmentWalk::SegmentWalk(const Uuid& incarnation, uint64_t number, uint64_t end,
                         uint32_t end_checksum)
    : seed_(incarnation, number), number_(number), end_(end), end_checksum_(end_checksum) {}

bool SegmentWalk::feed(const uint8_t* data, size_t size) {
  while (size > 0 && !done()) {
    uint64_t n = size;
    if (at_ < record_at_) {  // between two writes
      n = std::min(n, record_at_ - at_);
    } else if (head_bytes_ < head_.size()) {
      n = std::min<uint64_t>(n, head_.size() - head_bytes_);
      std::memcpy(head_.data() + head_bytes_, data, static_cast<size_t>(n));
      head_bytes_ += static_cast<size_t>(n);
      if (head_bytes_ == head_.size() && !begin_record()) return try_behind_torn_write();
    } else {
      n = std::min(n, left_);
      crc_ = crc32c(crc_, data, static_cast<size_t>(n));
      if (header_.kind == RecordKind::segment) start_.insert(start_.end(), data, data + n);
      left_ -= n;
    }
    at_ += n;
    data += n;
    size -= static_cast<size_t>(n);
    const bool whole = head_bytes_ == head_.size() && left_ == 0;
    if (whole && !end_record()) return try_behind_torn_write();
  }
  return true;
}

bool SegmentWalk::begin_record() {
  RecordHeader& h = header_;
  std::memcpy(&h, head_.data(), sizeof h);
  const auto kind = static_cast<uint8_t>(h.kind);
  if (kind < 1 || kind > 6 || h.zero != 0 || h.length > kRecordBytesMax) return false;
  if (record_bytes(h.length) > end_ - record_at_) return false;
  if (record_at_ == 0) {
    if (h.kind != RecordKind::segment || h.write_start != 0 || h.length != kSegmentStartBytes)
      return false;
  } else if (h.kind == RecordKind::write) {
    const bool new_session = h.detail == 1 && h.session > session_;
    if (h.write_start != record_at_ || record_at_ % kSectorBytes != 0) return false;
    if (h.a != good_end_ || h.b != good_checksum_) return false;
    const bool before_is_whole = good_end_ >= write_end_;
    if (!new_session && (!before_is_whole || h.session != session_)) return false;
  } else {
    if (h.kind == RecordKind::segment || record_at_ != good_end_ || good_end_ >= write_end_)
      return false;
    if (h.write_start != write_start_ || h.session != session_) return false;
  }
  crc_ = seed_.begin(record_at_, h);
  left_ = record_bytes(h.length) - sizeof h;
  start_.clear();
  return true;
}

bool SegmentWalk::end_record() {
  const RecordHeader& h = header_;
  if (crc_ != h.checksum) return false;
  SegmentStart start;
  if (h.kind == RecordKind::segment &&
      (!decode_segment_start(Bytes::copy(start_.data(), start_.size()), &start).is_ok() ||
       start.number != number_))
    return false;
  const uint64_t record_end = record_at_ + record_bytes(h.length);
  if (record_end == end_ && h.checksum != end_checksum_) return false;
  switch (h.kind) {
    case RecordKind::segment:
      last_ = start.last;
      [[fallthrough]];
    case RecordKind::write:
      write_start_ = record_at_;
      write_end_ = record_at_ + h.c;
      session_ = h.session;
      break;
    case RecordKind::entry:
    case RecordKind::reset:
      last_ = Index(h.a);
      break;
    case RecordKind::truncate:
      if (h.a > 0) last_ = std::min(last_, Index(h.a - 1));
      break;
    case RecordKind::hard_state:
      break;
  }
  good_end_ = record_end;
  good_checksum_ = h.checksum;
  behind_torn_ = false;
  expect(good_end_ < write_end_ ? good_end_ : align_up(good_end_, kSectorBytes));
  return true;
}

// A write that was not finished when the machine stopped is followed by the start of a session,
// at the next sector.
bool SegmentWalk::try_behind_torn_write() {
  if (behind_torn_ || good_end_ == 0 || good_end_ >= write_end_) return false;
  const uint64_t next = align_up(good_end_, kSectorBytes);
  if (next >= end_) return false;
  behind_torn_ = true;
  at_ = next;
  expect(next);
  return true;
}

void SegmentWalk::expect(uint64_t offset) {
  record_at_ = offset;
  head_bytes_ = 0;
  left_ = 0;
}

}  // namespace raftcs::storage
