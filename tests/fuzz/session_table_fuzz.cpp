// session_table_fuzz.cpp: the snapshot of the replicated state machine, sessions included.
//
// Byte 0 even: the rest is the stream. Odd: the rest is cut into sections with right checksums, so
// that what they say is reached (a byte 0xE5 ends a section, doubled it is itself). Refused bytes
// leave the machine as it was; accepted ones make a machine whose own snapshot restores to the same
// snapshot, and that goes on applying. Memory is bounded by fuzz.sh: counts must not be believed.
#include "base/byte_io.hpp"
#include "rsm/snapshot.hpp"
#include "rsm/snapshot_format.hpp"
#include "tests/fuzz/machine_support.hpp"

namespace raftcs::fuzz {
namespace {

constexpr char kEndOfSection = '\xE5';

std::string framed(const std::string& in) {
  std::string out;
  const rsm::WriteFn write = [&](const void* data, size_t size) {
    out.append(static_cast<const char*>(data), size);
    return true;
  };
  rsm::ChunkWriter chunks(write);
  bool open = false;
  for (size_t i = 0; i < in.size(); ++i) {
    if (in[i] == kEndOfSection && !(i + 1 < in.size() && in[i + 1] == kEndOfSection)) {
      chunks.end_section();
      open = false;
      continue;
    }
    if (in[i] == kEndOfSection) ++i;
    chunks.raw(&in[i], 1);
    open = true;
  }
  if (open) chunks.end_section();
  return out;
}

// The other way, for seeds: a stream's sections with marks between them.
std::string unframed(const std::string& stream) {
  std::string out;
  for (size_t at = 8; at + 8 <= stream.size();) {
    uint32_t size = 0;
    std::memcpy(&size, stream.data() + at, 4);
    at += 8;
    if (size == 0) out += kEndOfSection;
    for (uint32_t i = 0; i < size; ++i, ++at) {
      out += stream[at];
      if (stream[at] == kEndOfSection) out += kEndOfSection;
    }
  }
  return out;
}

void apply_some(rsm::Machine& machine) {
  uint8_t bytes[64];
  for (size_t i = 0; i < sizeof bytes; ++i) bytes[i] = static_cast<uint8_t>(i * 37 % 101);
  Input in(bytes, sizeof bytes);
  rsm::OpsWriter writer;
  while (!in.empty()) writer.add(op_of(in));
  raft::Entry e;
  e.index = machine.applied().next();
  e.term = Term(1);
  e.type = raft::EntryType::ops;
  e.time = machine.time();
  e.payload = writer.take();
  rsm::ApplyOutput out;
  (void)machine.apply(e, &out).is_ok();  // what it says does not matter: it must come back
  (void)machine.silent_sessions(LogTime::never(), 5);
}

}  // namespace

void make_seeds(const SeedSink& sink) {
  Replica r;
  for (uint64_t n = 0; n < 5; ++n) {
    const std::string bytes = snapshot_of(r.machine);
    sink("stream_" + std::to_string(n), '\0' + bytes);
    sink("sections_" + std::to_string(n), '\1' + unframed(bytes));
    rsm::OpsWriter writer;
    if (n == 0) writer.add(rsm::CreateService{"ledger", sim::kLedgerType});
    if (n == 1)
      writer.add(rsm::CreateSession{uuid_of(1), uuid_of(101), 1000, {{"name", "value"}}});
    if (n == 2) writer.add(rsm::CreateSession{uuid_of(2), uuid_of(102), 500, {}});
    for (uint64_t id = 1; n == 3 && id < 4; ++id) {
      const sim::LedgerOp op{2, 1, id};
      writer.add_command(SessionNum(1), RequestId(id), RequestId(1), ServiceNum(1), &op, sizeof op);
    }
    raft::Entry e;
    e.index = r.machine.applied().next();
    e.term = Term(1);
    e.type = raft::EntryType::ops;
    e.payload = writer.take();
    rsm::ApplyOutput out;
    require(r.machine.apply(e, &out).is_ok(), "a seed cannot be made");
  }
}

}  // namespace raftcs::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace raftcs;
  using namespace raftcs::fuzz;
  if (size > 4096) return 0;
  Input in(data, size);
  const bool sections = in.flag();
  const std::string bytes = sections ? framed(in.rest()) : in.rest();
  size_t at = 0;
  (void)rsm::sessions_in_snapshot([&](void* out, size_t n) -> Result<size_t> {
    n = std::min(n, bytes.size() - at);
    if (n != 0) std::memcpy(out, bytes.data() + at, n);
    at += n;
    return n;
  }).is_ok();
  Replica one, two;
  const std::string before = snapshot_of(one.machine);
  if (!restore(one.machine, bytes).is_ok()) {
    require(snapshot_of(one.machine) == before, "a refused snapshot changed the machine");
    return 0;
  }
  ++accepted;
  const std::string mine = snapshot_of(one.machine);
  const Status again = restore(two.machine, mine, 11);
  require(again.is_ok(), "its own snapshot is refused", again.text());
  require(snapshot_of(two.machine) == mine, "restoring lost something");
  require(one.machine.state_hash() == two.machine.state_hash(), "the hashes differ");
  apply_some(one.machine);
  apply_some(two.machine);
  require(one.machine.state_hash() == two.machine.state_hash(), "the futures differ");
  return 0;
}
