// write_encoder.cpp: see write_encoder.hpp.
#include "storage/write_encoder.hpp"

namespace raftcs::storage {
namespace {

constexpr size_t kCopiedPayloadBytesMax = 1024;  // below, copying is cheaper than one piece more

}  // namespace

uint64_t write_bytes(const WriteBatch& batch, bool begins_segment) {
  uint64_t bytes = record_bytes(begins_segment ? kSegmentStartBytes : 0);
  if (batch.hard_state) bytes += record_bytes(0);
  if (batch.reset_log) bytes += record_bytes(0);
  if (batch.truncate_from) bytes += record_bytes(0);
  for (const raft::Entry& e : batch.append) bytes += record_bytes(e.payload.size());
  return bytes;
}

WriteEncoder::WriteEncoder(std::vector<uint8_t>& buffer, const RecordSeed& seed, const Place& place,
                           const WriteBatch& batch)
    : buffer_(buffer), seed_(seed), start_(place.offset), session_(place.session), end_(place.offset) {
  size_t reserve = 4 * sizeof(RecordHeader) + 2 * kSectorBytes;
  for (const raft::Entry& e : batch.append) {
    reserve += sizeof(RecordHeader) + kRecordAlignBytes;
    if (e.payload.size() <= kCopiedPayloadBytesMax) reserve += e.payload.size();
  }
  buffer_.clear();
  buffer_.reserve(reserve);

  const Bytes start = place.segment ? encode_segment_start(*place.segment) : Bytes();
  add(place.segment ? RecordKind::segment : RecordKind::write, place.begins_session ? 1 : 0,
      place.end_before, place.checksum_before, write_bytes(batch, place.segment != nullptr), start);
  if (batch.hard_state)
    add(RecordKind::hard_state, 0, 0, batch.hard_state->term.value, batch.hard_state->vote.value, {});
  if (batch.reset_log)
    add(RecordKind::reset, 0, batch.reset_log->index.value, batch.reset_log->term.value,
        static_cast<uint64_t>(batch.reset_log->time.ns), {});
  if (batch.truncate_from) add(RecordKind::truncate, 0, batch.truncate_from->value, 0, 0, {});
  for (const raft::Entry& e : batch.append)
    add(RecordKind::entry, static_cast<uint8_t>(e.type), e.index.value, e.term.value,
        static_cast<uint64_t>(e.time.ns), e.payload);
  append_zeros(static_cast<size_t>(align_up(end_, kSectorBytes) - end_));
}

void WriteEncoder::add(RecordKind kind, uint8_t detail, uint64_t a, uint64_t b, uint64_t c,
                       const Bytes& payload) {
  RecordHeader h;
  h.length = static_cast<uint32_t>(payload.size());
  h.kind = kind;
  h.detail = detail;
  h.session = session_;
  h.write_start = start_;
  h.a = a;
  h.b = b;
  h.c = c;
  h.checksum = seed_.checksum(end_, h, payload.data());
  append(&h, sizeof h);
  if (payload.size() > kCopiedPayloadBytesMax)
    pieces_.push_back({payload.data(), payload.size()});
  else if (!payload.empty())
    append(payload.data(), payload.size());
  append_zeros(static_cast<size_t>(align_up(payload.size(), kRecordAlignBytes) - payload.size()));
  end_ += record_bytes(payload.size());
  checksum_ = h.checksum;
}

void WriteEncoder::append(const void* data, size_t size) {
  const size_t at = buffer_.size();
  const auto* bytes = static_cast<const uint8_t*>(data);
  buffer_.insert(buffer_.end(), bytes, bytes + size);
  extend(buffer_.data() + at, size);
}

void WriteEncoder::append_zeros(size_t size) {
  if (size == 0) return;
  const size_t at = buffer_.size();
  buffer_.resize(at + size, 0);
  extend(buffer_.data() + at, size);
}

// Goes on with the last piece when that ends where this begins.
void WriteEncoder::extend(const uint8_t* at, size_t size) {
  if (!pieces_.empty() && static_cast<const uint8_t*>(pieces_.back().data) + pieces_.back().size == at)
    pieces_.back().size += size;
  else
    pieces_.push_back({at, size});
}

}  // namespace raftcs::storage
