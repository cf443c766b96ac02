// write_encoder.hpp: the bytes of one write, as pieces for one system call.
//
// Record headers, small payloads and padding go into one buffer that is reused; a large
// payload is written from where it is. The buffer is reserved for all of it first, so that
// the pieces may point into it.
#pragma once

#include <vector>

#include "storage/data_dir.hpp"
#include "storage/record.hpp"

namespace raftcs::storage {

// Of the write of a batch, without the padding at its end.
uint64_t write_bytes(const WriteBatch& batch, bool begins_segment);

class WriteEncoder {
 public:
  struct Place {
    uint64_t offset = 0;         // where the write begins
    uint32_t session = 0;
    bool begins_session = false;
    uint64_t end_before = 0;     // of the records before it, here or in the segment before
    uint32_t checksum_before = 0;
    const SegmentStart* segment = nullptr;  // set: begins this segment
  };
  // `buffer` lends its memory until this goes. The batch's payloads must live as long.
  WriteEncoder(std::vector<uint8_t>& buffer, const RecordSeed& seed, const Place& place,
               const WriteBatch& batch);

  const std::vector<sys::File::Piece>& pieces() const { return pieces_; }
  uint64_t end() const { return end_; }                // without padding
  uint32_t end_checksum() const { return checksum_; }

 private:
  void add(RecordKind kind, uint8_t detail, uint64_t a, uint64_t b, uint64_t c, const Bytes& payload);
  void append(const void* data, size_t size);
  void append_zeros(size_t size);
  void extend(const uint8_t* at, size_t size);

  std::vector<uint8_t>& buffer_;
  const RecordSeed& seed_;
  const uint64_t start_;
  const uint32_t session_;
  std::vector<sys::File::Piece> pieces_;
  uint64_t end_;
  uint32_t checksum_ = 0;
};

}  // namespace raftcs::storage
