// snapshot_file_fuzz.cpp: arbitrary bytes as a published snapshot, and as chunks from a peer.
//
// Byte 0: 0 the rest is the file; 1 a description and a body from the input with right checksums
// around them; 2 a stream of chunks. A file is refused with a report or read in full, and a body is
// given out only if its checksum fits. A stream publishes only what it announced, whatever order,
// repetition or contradiction it comes in.
#include "base/byte_io.hpp"
#include "base/crc32c.hpp"
#include "raft/membership.hpp"
#include "storage/data_dir.hpp"
#include "storage/inspect.hpp"
#include "storage/record.hpp"
#include "storage/snapshot_format.hpp"
#include "support/sim_disk.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace raftcs::fuzz {
namespace {

using sim::SimDisk;
using storage::DataDir;

constexpr char kDirectory[] = "/d";

raft::SnapshotMeta meta_of(uint64_t index, const std::string& body) {
  raft::SnapshotMeta meta;
  meta.index = Index(index);
  meta.term = Term(1);
  meta.membership.members.resize(1);
  meta.membership.members[0].id = NodeId(1);
  meta.size = body.size();
  meta.checksum = crc32c(0, body.data(), body.size());
  return meta;
}

std::string file_of(const raft::SnapshotMeta& meta, const std::string& body) {
  return storage::encode_snapshot_header(meta).str() + body +
         storage::encode_snapshot_trailer(meta).str();
}

// A description that need not be one, and what fits around it.
std::string made_up_file(Input& in) {
  raft::SnapshotMeta meta = meta_of(5, {});
  std::string description;
  const std::string body = in.bytes(in.u8());
  meta.size = body.size();
  meta.checksum = crc32c(0, body.data(), body.size());
  const uint8_t odd = in.u8();
  if (odd & 1) meta.index = Index(in.number());
  if (odd & 2) meta.size = in.number();
  if (odd & 4) meta.checksum ^= 1;
  ByteWriter out;
  raft::encode_snapshot_meta(meta, &out);
  description.assign(reinterpret_cast<const char*>(out.data()), out.size());
  if (odd & 8) description += in.bytes(in.u8());
  if (odd & 16) description = in.bytes(in.u8());
  ByteWriter head;
  head.raw("raftcs snap", 12);
  head.u32(odd & 32 ? in.u8() : 1);
  head.u32(static_cast<uint32_t>(description.size()));
  head.raw(description.data(), description.size());
  head.u32(crc32c(0, head.data(), head.size()));
  return head.take_bytes().str() + body + storage::encode_snapshot_trailer(meta).str();
}

std::unique_ptr<DataDir> open(SimDisk& disk, Status* status) {
  storage::Options options;
  options.segment_bytes = 4096;
  auto dir = DataDir::open(disk, kDirectory, options, nullptr);
  *status = dir.status();
  return dir ? std::move(dir).value() : nullptr;
}

void check_body(DataDir& dir, const raft::SnapshotMeta& meta) {
  auto reader = dir.open_snapshot(meta.index);
  if (!reader) {
    require(reader.status().code() == RAFTCS_ERR_CORRUPT, "a snapshot fails otherwise",
            reader.status().text());
    require(dir.read_snapshot_chunk(meta.index, 0, 100).status().code() == RAFTCS_ERR_CORRUPT,
            "chunks of a damaged snapshot");
    return;
  }
  std::string body(static_cast<size_t>(meta.size) + 1, '\0');
  auto got = (*reader)->read(body.data(), body.size());
  require(got.is_ok() && *got == meta.size, "a snapshot of another length");
  require(crc32c(0, body.data(), meta.size) == meta.checksum, "a body that was not verified");
  std::string chunks;
  for (bool last = false; !last;) {
    auto chunk = dir.read_snapshot_chunk(meta.index, chunks.size(), 7);
    require(chunk.is_ok(), "a chunk of a good snapshot", chunk.status().text());
    require(chunk->last || !chunk->data.empty(), "an empty chunk that is not the last");
    chunks += chunk->data.str();
    last = chunk->last;
  }
  require(chunks == body.substr(0, meta.size), "chunks differ from the whole");
  (void)dir.read_snapshot_chunk(meta.index, meta.size + 1, 7).is_ok();
}

void read_file(SimDisk& disk, const std::string& bytes) {
  const std::string path =
      storage::join_path(kDirectory, storage::snapshot_name(Index(5)));
  auto file = disk.open(path, sys::OpenMode::create);
  require(file.is_ok() && (*file)->write_at(0, bytes.data(), bytes.size()).is_ok() &&
              (*file)->sync_data().is_ok() && disk.sync_directory(kDirectory).is_ok(),
          "the simulated disk");
  auto findings = storage::verify_directory(disk, kDirectory);
  (void)storage::dump_directory(disk, kDirectory, [](const std::string&) {}).is_ok();
  Status status;
  auto dir = open(disk, &status);
  if (!dir) {
    require(status.code() == RAFTCS_ERR_CORRUPT || status.code() == RAFTCS_ERR_VERSION_MISMATCH,
            "opening fails otherwise", status.text());
    bool damage = false;
    for (const storage::Finding& f : *findings) damage |= f.damage;
    require(damage, "damage that only opening sees", status.text());
    require(disk.contents(path)->size() == bytes.size(), "a damaged snapshot is gone");
    return;
  }
  ++accepted;
  require(dir->latest_snapshot().has_value(), "a snapshot that is not there");
  check_body(*dir, *dir->latest_snapshot());
}

void receive(SimDisk& disk, Input& in) {
  Status status;
  auto dir = open(disk, &status);
  require(dir != nullptr, "opening", status.text());
  const std::string bodies[] = {"", "hello", std::string(300, 'b')};
  Index before;
  while (!in.empty()) {
    const std::string& body = bodies[in.below(3)];
    raft::SnapshotMeta meta = meta_of(1 + in.below(4), body);
    const uint8_t odd = in.u8();
    if (odd & 1) meta.size = in.number();
    if (odd & 2) meta.checksum ^= 1;
    uint64_t offset = in.number();
    std::string data = offset <= body.size() ? body.substr(offset, in.u8()) : "";
    if (odd & 4) data = in.bytes(in.u8());
    const bool last = odd & 8 ? in.flag() : offset + data.size() == meta.size;
    auto written = dir->write_snapshot_chunk(meta, offset, Bytes::copy(data), last);
    require(written.is_ok(), "bytes of a peer stop storage", written.status().text());
    require(written->next_offset <= meta.size, "asks behind the end");
    const auto latest = dir->latest_snapshot();
    if (written->complete) {
      ++accepted;
      require(latest && *latest == meta, "complete, but not published");
    }
    if (!latest) continue;
    require(latest->index >= before, "an older snapshot took the place of a later one");
    if (latest->index != before) check_body(*dir, *latest);
    before = latest->index;
  }
  require(dir->stopped().is_ok(), "storage has stopped");
  const auto published = dir->latest_snapshot();
  dir.reset();
  disk.crash({});
  dir = open(disk, &status);
  require(dir != nullptr, "opening again", status.text());
  require(dir->latest_snapshot() == published, "another snapshot after a crash");
}

}  // namespace

void make_seeds(const SeedSink& sink) {
  for (const std::string& body : {std::string(), std::string("state"), std::string(200, 's')})
    sink("file_" + std::to_string(body.size()), '\0' + file_of(meta_of(5, body), body));
  sink("made_up", std::string("\1\4body\0", 7));
  sink("made_up_index", std::string("\1\4body\1\5", 8));
  sink("made_up_description", std::string("\1\4body\x10\x03xyz", 11));
  sink("chunks", std::string("\2\1\0\0\0\2\1\0\0\2\377", 11));
  sink("chunks_in_order", std::string("\2\2\0\0\0\xff\2\0\0\xf3\xff\0\xff", 13));
}

}  // namespace raftcs::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace raftcs::fuzz;
  if (size > 8 << 10) return 0;
  SimDisk disk;
  raftcs::storage::Identity identity;
  identity.cluster.bytes.fill(1);
  identity.node = raftcs::NodeId(7);
  identity.incarnation.bytes.fill(2);
  require(DataDir::create(disk, kDirectory, identity).is_ok(), "creating the directory");
  Input in(data, size);
  switch (in.below(3)) {
    case 0: read_file(disk, in.rest()); break;
    case 1: read_file(disk, made_up_file(in)); break;
    default: receive(disk, in);
  }
  return 0;
}
