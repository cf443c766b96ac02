// snapshot_chunks.cpp: the checked stream that carries a snapshot (snapshot_format.hpp).
#include <algorithm>
#include <cstring>

#include "base/crc32c.hpp"
#include "rsm/snapshot_format.hpp"

namespace raftcs::rsm {
namespace {

constexpr size_t kChunkHead = 8;

uint32_t chunk_crc(uint32_t before, uint32_t size, const uint8_t* bytes) {
  return crc32c(crc32c(before, &size, sizeof size), bytes, size);
}

}  // namespace

ChunkWriter::ChunkWriter(const WriteFn& write) : write_(write) {
  chunk_.reserve(kChunkHead + kSnapshotChunk);
  chunk_.resize(kChunkHead);
  const uint32_t head[2] = {kSnapshotMagic, kSnapshotVersion};
  crc_ = crc32c(0, head, sizeof head);
  ok_ = write_(head, sizeof head);
}

bool ChunkWriter::put_chunk() {
  const auto size = static_cast<uint32_t>(chunk_.size() - kChunkHead);
  crc_ = chunk_crc(crc_, size, chunk_.data() + kChunkHead);
  std::memcpy(chunk_.data(), &size, 4);
  std::memcpy(chunk_.data() + 4, &crc_, 4);
  ok_ = ok_ && write_(chunk_.data(), chunk_.size());
  chunk_.resize(kChunkHead);
  return ok_;
}

bool ChunkWriter::raw(const void* data, size_t size) {
  const auto* p = static_cast<const uint8_t*>(data);
  while (ok_ && size > 0) {
    const size_t n = std::min(size, kChunkHead + kSnapshotChunk - chunk_.size());
    chunk_.insert(chunk_.end(), p, p + n);
    p += n;
    size -= n;
    if (chunk_.size() == kChunkHead + kSnapshotChunk) put_chunk();
  }
  return ok_;
}

bool ChunkWriter::end_section() {
  if (chunk_.size() > kChunkHead) put_chunk();
  ++sections_;
  return put_chunk();
}

ChunkReader::ChunkReader(const ReadFn& read) : read_(read) {
  uint32_t head[2] = {};
  if (!source(head, sizeof head)) return;
  if (head[0] != kSnapshotMagic) {
    fail("it does not begin like a snapshot");
    return;
  }
  version_ = head[1];
  if (version_ < kSnapshotVersionMin || version_ > kSnapshotVersion) {
    status_ = Status(RAFTCS_ERR_VERSION_MISMATCH,
                     "the snapshot is of format " + std::to_string(head[1]) +
                         ", this version reads formats " +
                         std::to_string(kSnapshotVersionMin) + " to " +
                         std::to_string(kSnapshotVersion));
    return;
  }
  crc_ = crc32c(0, head, sizeof head);
}

void ChunkReader::fail(const std::string& what) {
  if (status_.is_ok()) status_ = Status(RAFTCS_ERR_CORRUPT, "the snapshot is damaged: " + what);
}

bool ChunkReader::source(void* out, size_t size) {
  auto* p = static_cast<uint8_t*>(out);
  while (ok() && size > 0) {
    Result<size_t> n = read_(p, size);
    if (!n.is_ok()) {
      status_ = n.status().with_context("reading a snapshot");
    } else if (*n == 0 || *n > size) {
      fail("it ends too early");
    } else {
      p += *n;
      size -= *n;
    }
  }
  return ok();
}

bool ChunkReader::fill() {
  uint32_t head[2] = {};
  if (section_over_ || !source(head, sizeof head)) return false;
  at_ = 0;
  chunk_.clear();
  if (head[0] > kSnapshotChunk) {
    fail("a chunk is too long");
    return false;
  }
  chunk_.resize(head[0]);
  if (!source(chunk_.data(), chunk_.size())) {
    chunk_.clear();
    return false;
  }
  crc_ = chunk_crc(crc_, head[0], chunk_.data());
  if (crc_ != head[1]) {
    fail("a checksum does not fit");
    chunk_.clear();
    return false;
  }
  section_over_ = head[0] == 0;
  return !section_over_;
}

size_t ChunkReader::read(void* out, size_t size) {
  if (!ok() || size == 0) return 0;
  if (at_ == chunk_.size() && !fill()) return 0;
  const size_t n = std::min(size, chunk_.size() - at_);
  std::memcpy(out, chunk_.data() + at_, n);
  at_ += n;
  return n;
}

uint8_t ChunkReader::u8() {
  uint8_t v = 0;
  if (read(&v, 1) != 1) fail("a section ends too early");
  return ok() ? v : 0;
}

uint64_t ChunkReader::u64() {
  uint64_t v = 0;
  for (unsigned shift = 0; shift < 64; shift += 8) v |= static_cast<uint64_t>(u8()) << shift;
  return v;
}

uint64_t ChunkReader::varint() {
  uint64_t v = 0;
  for (unsigned shift = 0; shift < 64 && ok(); shift += 7) {
    const uint8_t b = u8();
    if (shift == 63 && (b & 0x7f) > 1) break;
    v |= static_cast<uint64_t>(b & 0x7f) << shift;
    if ((b & 0x80) == 0) return v;
  }
  fail("a number is too long");
  return 0;
}

Bytes ChunkReader::blob() {
  uint64_t left = varint();
  std::vector<uint8_t> out;
  if (left <= kSnapshotChunk) out.reserve(left);
  while (ok() && left > 0) {
    if (at_ == chunk_.size() && !fill()) {
      fail("a section ends too early");
      break;
    }
    const size_t n = static_cast<size_t>(std::min<uint64_t>(left, chunk_.size() - at_));
    out.insert(out.end(), chunk_.begin() + static_cast<std::ptrdiff_t>(at_),
               chunk_.begin() + static_cast<std::ptrdiff_t>(at_ + n));
    at_ += n;
    left -= n;
  }
  return Bytes::copy(out.data(), ok() ? out.size() : 0);
}

Uuid ChunkReader::uuid() {
  Uuid u;
  for (uint8_t& b : u.bytes) b = u8();
  return u;
}

void ChunkReader::end_section() {
  if (ok() && (at_ != chunk_.size() || fill())) fail("a section is longer than its contents");
  if (ok() && !section_over_) fail("a section has no end");
  section_over_ = false;
  chunk_.clear();
  at_ = 0;
  ++sections_;
}

void ChunkReader::expect_end_of_source() {
  uint8_t more = 0;
  if (!ok()) return;
  Result<size_t> n = read_(&more, 1);
  if (!n.is_ok())
    status_ = n.status().with_context("reading a snapshot");
  else if (*n != 0)
    fail("something follows its end");
}

}  // namespace raftcs::rsm
