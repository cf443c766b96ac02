// record.cpp: encoding of log records; see record.hpp.
#include "storage/record.hpp"

#include <cstring>

#include "base/byte_io.hpp"
#include "base/crc32c.hpp"

namespace raftcs::storage {

Bytes encode_segment_start(const SegmentStart& start) {
  ByteWriter out(kSegmentStartBytes);
  out.raw(kSegmentMagic, sizeof kSegmentMagic);
  out.u32(kFormat);
  out.u64(start.number);
  out.raw(start.incarnation.bytes.data(), start.incarnation.bytes.size());
  out.u64(start.last.value);
  out.u64(start.last_term.value);
  out.u64(start.hard_state.term.value);
  out.u64(start.hard_state.vote.value);
  return out.take_bytes();
}

Status decode_segment_start(const Bytes& payload, SegmentStart* out) {
  ByteReader in(payload);
  const Bytes magic = in.raw(sizeof kSegmentMagic);
  const uint32_t format = in.u32();
  if (in.failed() || std::memcmp(magic.data(), kSegmentMagic, magic.size()) != 0)
    return {RAFTCS_ERR_CORRUPT, "this is no log segment"};
  if (format != kFormat)
    return {RAFTCS_ERR_VERSION_MISMATCH, "the segment has format " + std::to_string(format) +
                                             ", this program knows format " +
                                             std::to_string(kFormat)};
  SegmentStart start;
  start.number = in.u64();
  const Bytes incarnation = in.raw(start.incarnation.bytes.size());
  start.last = Index(in.u64());
  start.last_term = Term(in.u64());
  start.hard_state.term = Term(in.u64());
  start.hard_state.vote = NodeId(in.u64());
  if (!in.at_end()) return {RAFTCS_ERR_CORRUPT, "the segment start has a wrong length"};
  std::memcpy(start.incarnation.bytes.data(), incarnation.data(), incarnation.size());
  *out = start;
  return Status::ok();
}

RecordSeed::RecordSeed(const Uuid& incarnation, uint64_t segment_number) {
  seed_ = crc32c(0, incarnation.bytes.data(), incarnation.bytes.size());
  seed_ = crc32c(seed_, &segment_number, sizeof segment_number);
}

uint32_t RecordSeed::checksum(uint64_t offset, const RecordHeader& header,
                              const void* payload) const {
  static constexpr uint8_t kZeros[kRecordAlignBytes] = {};
  const uint32_t crc = crc32c(begin(offset, header), payload, header.length);
  return crc32c(crc, kZeros, align_up(header.length, kRecordAlignBytes) - header.length);
}

uint32_t RecordSeed::begin(uint64_t offset, const RecordHeader& header) const {
  const uint32_t crc = crc32c(seed_, &offset, sizeof offset);
  return crc32c(crc, reinterpret_cast<const uint8_t*>(&header) + sizeof header.checksum,
                sizeof header - sizeof header.checksum);
}

std::string segment_name(uint64_t number) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string name = "log-";
  for (int shift = 60; shift >= 0; shift -= 4) name += kDigits[number >> shift & 15];
  return name;
}

bool parse_segment_name(const std::string& name, uint64_t* number) {
  if (name.size() != 20 || name.compare(0, 4, "log-") != 0) return false;
  uint64_t value = 0;
  for (size_t i = 4; i < name.size(); ++i) {
    const char c = name[i];
    const int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
    if (digit < 0) return false;
    value = value << 4 | static_cast<uint64_t>(digit);
  }
  *number = value;
  return true;
}

std::string join_path(const std::string& directory, const std::string& name) {
  return !directory.empty() && directory.back() == '/' ? directory + name : directory + "/" + name;
}

}  // namespace raftcs::storage
