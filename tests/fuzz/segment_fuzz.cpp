// segment_fuzz.cpp: arbitrary bytes as the segments of a log (hard state is a part of them).
//
// Byte 0 chooses: the rest is the file as it is; or it describes writes that the real encoder
// puts down with right checksums, whatever they say (gaps, terms that fall, truncation at 0),
// over up to three segments, then some bytes changed behind its back.
//
// Recovery must give a log or report damage, and must never crash. If it gives one: entries are in
// order, the tools that only look agree, and the log can be written and recovered again. If it
// does not, no byte of the files has changed. How much it allocates is bounded by fuzz.sh.
#include "base/byte_io.hpp"
#include "storage/data_dir.hpp"
#include "storage/inspect.hpp"
#include "storage/write_encoder.hpp"
#include "support/sim_disk.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace raftcs::fuzz {
namespace {

using sim::SimDisk;
using storage::DataDir;

constexpr char kDirectory[] = "/d";
constexpr uint64_t kSegmentBytes = 4096;

storage::Identity identity() {
  storage::Identity id;
  id.cluster.bytes.fill(1);
  id.node = NodeId(7);
  id.incarnation.bytes.fill(2);
  return id;
}

std::string segment_path(uint64_t number) {
  return storage::join_path(kDirectory, storage::segment_name(number));
}

void replace_file(SimDisk& disk, const std::string& path, const std::string& bytes) {
  if (*disk.exists(path)) (void)disk.remove(path).is_ok();
  auto file = disk.open(path, sys::OpenMode::create);
  require(file.is_ok() && (*file)->write_at(0, bytes.data(), bytes.size()).is_ok() &&
              (*file)->sync_data().is_ok() && disk.sync_directory(kDirectory).is_ok(),
          "the simulated disk");
}

storage::WriteBatch batch_of(Input& in) {
  storage::WriteBatch batch;
  const uint8_t parts = in.u8();
  if (parts & 1) batch.hard_state = raft::HardState{Term(in.number()), NodeId(in.number())};
  if (parts & 2) {
    raft::SnapshotMeta meta;
    meta.index = Index(in.number());
    meta.term = Term(in.number());
    batch.reset_log = meta;
  }
  if (parts & 4) batch.truncate_from = Index(in.number());
  const uint64_t first = in.number();
  for (uint64_t i = 0; i < (parts >> 3) % 4u; ++i) {
    raft::Entry e;
    e.index = Index(first + i);
    e.term = Term(in.number());
    e.type = static_cast<raft::EntryType>(parts & 0x80 ? in.u8() : 3);
    e.payload = Bytes::copy(in.bytes(in.u8()));
    batch.append.push_back(e);
  }
  return batch;
}

// Writes segments until the input ends. The end of one is what the next one says it is, unless
// the input wants it otherwise.
void write_segments(SimDisk& disk, Input& in) {
  std::vector<uint8_t> buffer;
  uint64_t end = 0;
  uint32_t checksum = 0, session = 1;
  raft::HardState hard_state;
  Index last;
  Term last_term;
  for (uint64_t number = 1; number <= 3 && !in.empty(); ++number) {
    std::string file;
    const storage::RecordSeed seed(identity().incarnation, number);
    const uint64_t writes = 1 + in.below(6);
    for (uint64_t w = 0; w < writes; ++w) {
      const uint8_t odd = in.u8();
      storage::SegmentStart start{number, identity().incarnation, last, last_term, hard_state};
      if (odd & 1) start.last = Index(in.number());
      if (odd & 2) start.hard_state.term = Term(in.number());
      if (odd & 4) session += static_cast<uint32_t>(in.below(3));
      const storage::WriteBatch batch = batch_of(in);
      storage::WriteEncoder::Place place{file.size(), session, (odd & 4) != 0, end, checksum,
                                         w == 0 ? &start : nullptr};
      if ((odd & 0xF8) == 0x08) place.end_before = in.number();
      const storage::WriteEncoder encoder(buffer, seed, place, batch);
      for (const sys::File::Piece& p : encoder.pieces())
        file.append(static_cast<const char*>(p.data), p.size);
      file.resize(static_cast<size_t>(storage::align_up(file.size(), storage::kSectorBytes)));
      end = encoder.end();
      checksum = encoder.end_checksum();
      if (batch.hard_state) hard_state = *batch.hard_state;
      if (batch.reset_log) last = batch.reset_log->index, last_term = batch.reset_log->term;
      if (batch.truncate_from && *batch.truncate_from <= last)
        last = batch.truncate_from->prev(), last_term = Term();
      if (!batch.append.empty())
        last = batch.append.back().index, last_term = batch.append.back().term;
    }
    for (uint64_t hits = in.below(4) == 3 ? in.below(4) : 0; hits > 0 && !file.empty(); --hits) {
      const size_t high = in.u8(), at = (high << 8 | in.u8()) % file.size();
      file[at] = static_cast<char>(in.u8());
    }
    if (in.below(8) == 7) file.resize(static_cast<size_t>(in.u8() * 16u) % (file.size() + 1));
    replace_file(disk, segment_path(number), file);
  }
}

std::string segments_of(const SimDisk& disk) {
  std::string all;
  for (const std::string& path : disk.files()) {
    if (path.find("/log-") == std::string::npos) continue;
    const auto bytes = *disk.contents(path);
    all += path + ":" + std::string(bytes.begin(), bytes.end());
  }
  return all;
}

void check_image(const raft::BootImage& image) {
  Index before;
  Term term;
  for (const raft::Entry& e : image.entries) {
    require(e.index == before.next(), "entries do not follow each other");
    before = e.index;
    term = e.term;
  }
  require(term <= image.hard_state.term, "the log is ahead of the term");
}

bool is_report(const Status& status) {
  return status.code() == RAFTCS_ERR_CORRUPT || status.code() == RAFTCS_ERR_VERSION_MISMATCH;
}

}  // namespace

void make_seeds(const SeedSink& sink) {
  SimDisk disk;
  require(DataDir::create(disk, kDirectory, identity()).is_ok(), "create");
  storage::Options options;
  options.segment_bytes = 4096;
  for (int round = 0; round < 2; ++round) {
    auto dir = DataDir::open(disk, kDirectory, options, nullptr);
    require(dir.is_ok(), "open");
    for (uint64_t i = 1; i <= 3; ++i) {
      storage::WriteBatch batch;
      batch.hard_state = raft::HardState{Term(i + static_cast<uint64_t>(round) * 3), NodeId(2)};
      if (round == 1 && i == 1) batch.truncate_from = Index(2);
      raft::Entry e;
      e.index = Index(round == 0 ? i : i + 1);
      e.term = Term(1);
      e.type = raft::EntryType::ops;
      e.payload = Bytes::copy("abc");
      batch.append.push_back(e);
      require((*dir)->write(batch).is_ok(), "write");
    }
    const auto bytes = *disk.contents(segment_path(1));
    sink("raw_" + std::to_string(round), '\0' + std::string(bytes.begin(), bytes.end()));
  }
  sink("raw_empty", std::string(1, '\0'));
  // Two writes of a vote and two entries; a truncation; a second segment; a reset.
  sink("writes", raw("\1\2\0\x11\1\2\1\1\1\3abc\0\x19\2\2\2\1\1\2xy\1\1z\0\x14\3\0"
                             "\1\0\x11\2\2\3\2\2pq\0\2\x20\2\0\0\x18\x21\2\0"));
  sink("gap", raw("\1\1\0\x11\1\1\5\1\1a\0\0"));
  sink("zero_truncation", raw("\1\1\0\5\1\1\0\0\0\0"));
}

}  // namespace raftcs::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace raftcs;
  using namespace raftcs::fuzz;
  if (size > 16 << 10) return 0;
  SimDisk disk;
  require(DataDir::create(disk, kDirectory, identity()).is_ok(), "creating the directory");
  Input in(data, size);
  if (in.flag())
    write_segments(disk, in);
  else
    replace_file(disk, segment_path(1), in.rest());

  bool damage = false;
  uint64_t lines = 0;
  auto findings = storage::verify_directory(disk, kDirectory);
  if (findings)
    for (const storage::Finding& f : *findings) damage |= f.damage;
  (void)storage::dump_directory(disk, kDirectory, [&](const std::string&) { ++lines; }).is_ok();

  storage::Options options;
  options.segment_bytes = kSegmentBytes;
  const std::string before = segments_of(disk);
  auto dir = DataDir::open(disk, kDirectory, options, nullptr);
  if (!dir) {
    require(is_report(dir.status()), "opening fails otherwise", dir.status().text());
    require(segments_of(disk) == before, "a log that was refused has changed");
    require(!findings || damage, "damage that only opening sees", dir.status().text());
    return 0;
  }
  ++accepted;
  require(findings.is_ok() && !damage, "damage that opening passes over");
  const raft::BootImage image = (*dir)->take_boot_image();
  check_image(image);

  // It is a log like any other: written and recovered.
  storage::WriteBatch batch;
  batch.hard_state = image.hard_state;
  raft::Entry e;
  e.index = Index(image.entries.size() + 1);
  e.term = image.hard_state.term;
  e.type = raft::EntryType::ops;
  e.payload = Bytes::copy(std::string(3000, 'n'));
  batch.append.push_back(e);
  require((*dir)->write(batch).is_ok(), "a recovered log cannot be written");
  dir->reset();
  disk.crash({});
  auto again = DataDir::open(disk, kDirectory, options, nullptr);
  require(again.is_ok(), "a recovered log cannot be recovered", again.status().text());
  const raft::BootImage second = (*again)->take_boot_image();
  require(second.hard_state == image.hard_state, "the hard state has changed");
  require(second.entries.size() == image.entries.size() + 1 && second.entries.back() == e &&
              std::equal(image.entries.begin(), image.entries.end(), second.entries.begin()),
          "the second recovery has another log");
  return 0;
}
