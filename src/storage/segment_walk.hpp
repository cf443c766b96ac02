// segment_walk.hpp: follows the records of one segment as its bytes pass by.
//
// For reading again what a running node has written: there the end is known, so everything before
// it must be whole, and no bytes behind are needed to tell damage from a torn write
// (segment_scan.hpp, which opening uses, has to find the end first). Takes the bytes in pieces of
// any size and keeps none: a record's payload is only counted into its checksum.
//
// Threads: none; no files.
#pragma once

#include <array>
#include <vector>

#include "storage/record.hpp"

namespace raftcs::storage {

class SegmentWalk {
 public:
  // `end`: the first byte behind the last record, and that record's checksum.
  SegmentWalk(const Uuid& incarnation, uint64_t number, uint64_t end, uint32_t end_checksum);

  bool done() const { return good_end_ == end_; }
  // Of the byte that feed() wants next. It can go back by one record: behind a write that was torn,
  // and cut by a later opening, anything may lie.
  uint64_t position() const { return at_; }
  // Requires: not done. False: a record is damaged.
  bool feed(const uint8_t* data, size_t size);

  uint64_t good_end() const { return good_end_; }  // behind the last record that is good
  Index last_good() const { return last_; }        // of the log, as far as the good records go

 private:
  bool begin_record();
  bool end_record();
  bool try_behind_torn_write();
  void expect(uint64_t offset);

  const RecordSeed seed_;
  const uint64_t number_;
  const uint64_t end_;
  const uint32_t end_checksum_;
  uint64_t at_ = 0;

  // What is good so far.
  uint64_t good_end_ = 0;
  uint32_t good_checksum_ = 0;
  uint64_t write_start_ = 0, write_end_ = 0;  // of the write that the last good record is in
  uint32_t session_ = 0;
  Index last_;

  // The record under way.
  uint64_t record_at_ = 0;
  std::array<uint8_t, sizeof(RecordHeader)> head_{};
  size_t head_bytes_ = 0;
  RecordHeader header_;
  uint64_t left_ = 0;  // of payload and padding
  uint32_t crc_ = 0;
  std::vector<uint8_t> start_;  // the payload of the segment record
  bool behind_torn_ = false;    // it is looked for behind a torn write
};

}  // namespace raftcs::storage
