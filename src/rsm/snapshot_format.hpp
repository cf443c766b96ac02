// snapshot_format.hpp: the bytes of a snapshot of the replicated state machine.
//
//   "RCSM" version(u32)  then sections, each: chunk* end
//   chunk:  size(u32, 1..65536) crc(u32) bytes        end: size 0, crc
//   section 1        head, limits, counts, all sessions by number
//   sections 2, 3    the first service: its description, then its own stream; and so on
//   last section     "done" and the number of sections
//
// Each crc continues the one before it (CRC32C over size and bytes), so that a chunk that
// is changed, lost, repeated or moved is found before its bytes are used. Chunks are cut by
// size alone: the bytes are a function of the state, however a plugin slices its writes.
// Integers are varints but for hashes and ids.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/byte_io.hpp"
#include "base/result.hpp"
#include "rsm/machine.hpp"
#include "rsm/state.hpp"

namespace raftcs::rsm {

constexpr uint32_t kSnapshotMagic = 0x4D534352;  // "RCSM"
constexpr uint32_t kSnapshotVersion = 2;  // 2: sessions have a holder and are connected or not
constexpr uint32_t kSnapshotVersionMin = 1;
constexpr size_t kSnapshotChunk = 64 * 1024;

class ChunkWriter {
 public:
  explicit ChunkWriter(const WriteFn& write);
  // False from the first time the other side said stop.
  bool raw(const void* data, size_t size);
  bool add(const ByteWriter& piece) { return raw(piece.data(), piece.size()); }
  bool end_section();
  uint64_t sections() const { return sections_; }
  bool ok() const { return ok_; }

 private:
  bool put_chunk();

  const WriteFn& write_;
  std::vector<uint8_t> chunk_;
  uint32_t crc_ = 0;
  uint64_t sections_ = 0;
  bool ok_ = true;
};

// Reads within the section at hand. The first thing that is wrong fills status() and every
// later read gives nothing.
class ChunkReader {
 public:
  explicit ChunkReader(const ReadFn& read);
  size_t read(void* out, size_t size);  // up to size; 0 at the section's end or after a failure
  uint8_t u8();
  uint64_t u64();
  uint64_t varint();
  Bytes blob();  // memory grows with the bytes that are really there
  Uuid uuid();
  // The section must have been read to its end.
  void end_section();
  void expect_end_of_source();
  uint64_t sections() const { return sections_; }
  uint32_t version() const { return version_; }

  void fail(const std::string& what);
  const Status& status() const { return status_; }
  bool ok() const { return status_.is_ok(); }

 private:
  bool fill();
  bool source(void* out, size_t size);

  const ReadFn& read_;
  std::vector<uint8_t> chunk_;
  size_t at_ = 0;
  bool section_over_ = false;
  uint32_t crc_ = 0;
  uint64_t sections_ = 0;
  uint32_t version_ = 0;
  Status status_;
};

// Everything a snapshot holds besides the services' own streams.
struct SnapshotHead {
  Limits limits;
  Index applied;
  Term term;
  LogTime time;
  uint64_t ops_hash = 0;
  uint64_t pushes_hash = 0;
  uint64_t pushes_dropped = 0;
  SessionNum next_session;
  uint64_t sessions = 0;
  uint64_t services = 0;
};
struct SnapshotService {
  uint64_t num = 0;
  std::string name;
  std::string type;
  uint32_t apply_version = 0;
  uint32_t snapshot_version = 0;
};

void encode(const SnapshotHead& head, ByteWriter* out);
void encode(const Session& session, ByteWriter* out);
void encode(const SnapshotService& service, ByteWriter* out);
SnapshotHead decode_head(ChunkReader* in);
// nullptr after a failure.
std::unique_ptr<Session> decode_session(ChunkReader* in, const SnapshotHead& head);
SnapshotService decode_service(ChunkReader* in);

}  // namespace raftcs::rsm
