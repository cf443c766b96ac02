// storage_fixture.hpp: what the storage tests share: a real directory, entries, batches.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <string>
#include <vector>

#include "storage/data_dir.hpp"

namespace raftcs::storage {

inline Uuid make_uuid(uint8_t fill) {
  Uuid u;
  u.bytes.fill(fill);
  return u;
}

inline Identity make_identity() { return {make_uuid(0xC1), NodeId(7), make_uuid(0x1C)}; }

inline raft::Entry make_entry(uint64_t index, uint64_t term, size_t payload_bytes, char fill = 'x') {
  raft::Entry e;
  e.index = Index(index);
  e.term = Term(term);
  e.type = payload_bytes == 0 ? raft::EntryType::noop : raft::EntryType::ops;
  e.time = LogTime{static_cast<int64_t>(index * 1000)};
  e.payload = Bytes::copy(std::string(payload_bytes, fill));
  return e;
}

inline WriteBatch append_batch(uint64_t first, uint64_t count, uint64_t term, size_t payload_bytes) {
  WriteBatch batch;
  batch.hard_state = raft::HardState{Term(term), NodeId(1)};
  for (uint64_t i = 0; i < count; ++i)
    batch.append.push_back(make_entry(first + i, term, payload_bytes, static_cast<char>('a' + (first + i) % 26)));
  return batch;
}

inline raft::SnapshotMeta make_meta(uint64_t index, uint64_t term) {
  raft::SnapshotMeta meta;
  meta.index = Index(index);
  meta.term = Term(term);
  meta.time = LogTime{static_cast<int64_t>(index * 1000)};
  raft::Member member;
  member.id = NodeId(1);
  member.peer_address = "tcp://one:1";
  member.client_address = "tcp://one:2";
  meta.membership.members.push_back(member);
  return meta;
}

// A directory of the real file system that goes with the test.
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string pattern = (std::filesystem::temp_directory_path() / "raftcs-test-XXXXXX").string();
    path_ = ::mkdtemp(pattern.data());
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  ~TemporaryDirectory() { std::filesystem::remove_all(path_); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

#define ASSERT_OK(expr)                                       \
  do {                                                        \
    const auto& rcs_checked = (expr);                         \
    ASSERT_TRUE(rcs_checked.is_ok()) << status_of(rcs_checked); \
  } while (0)

inline std::string status_of(const Status& status) { return status.text(); }
template <class T>
std::string status_of(const Result<T>& result) {
  return result.status().text();
}

}  // namespace raftcs::storage
