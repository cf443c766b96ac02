// ops_fuzz.cpp: the payload of ops entries: read, written again, and applied.
//
// Byte 0 even: the rest is one payload. Odd: entries of operations made from the input. Whatever
// reads is written again to bytes that read the same. Applied on one replica, and on another that
// was restored from a snapshot half-way, entries end with the same status, hash and snapshot.
#include "tests/fuzz/machine_support.hpp"

namespace raftcs::fuzz {
namespace {

Bytes written_again(const Bytes& payload, bool* whole, size_t* count) {
  rsm::OpsReader reader(payload);
  rsm::OpsWriter writer;
  rsm::Op op;
  for (*count = 0; reader.next(&op); ++*count) writer.add(op);
  *whole = !reader.failed();
  require(reader.position() <= payload.size(), "reads behind the end");
  return writer.take();
}

void check_codec(const Bytes& payload) {
  bool whole = false, again = false;
  size_t count = 0, count_again = 0;
  const Bytes once = written_again(payload, &whole, &count);
  const Bytes twice = written_again(once, &again, &count_again);
  require(again && count == count_again && once == twice, "encoding operations lost something");
}

raft::Entry entry_of(Index index, int64_t time_ns, const Bytes& payload) {
  raft::Entry e;
  e.index = index;
  e.term = Term(1);
  e.type = raft::EntryType::ops;
  e.time = LogTime{time_ns};
  e.payload = payload;
  return e;
}

// False: halted.
bool apply(rsm::Machine& machine, const raft::Entry& e, std::string* status) {
  rsm::ApplyOutput out;
  const Status s = machine.apply(e, &out);
  *status = s.text();
  require(s.is_ok() == (machine.applied() == e.index), "applied or not", s.text());
  return s.is_ok();
}

Bytes prologue() {
  rsm::OpsWriter writer;
  writer.add(rsm::CreateService{"ledger", sim::kLedgerType});
  writer.add(rsm::CreateSession{uuid_of(1), uuid_of(101), 1000, {}});
  writer.add(rsm::CreateSession{uuid_of(2), uuid_of(102), 1000, {}});
  return writer.take();
}

void run(const std::vector<raft::Entry>& entries, size_t restore_at) {
  Replica whole;
  auto late = std::make_unique<Replica>();
  std::string status, status_late;
  for (size_t i = 0; i < entries.size(); ++i) {
    if (i == restore_at) {
      const std::string bytes = snapshot_of(whole.machine);
      require(restore(late->machine, bytes, 13).is_ok(), "its own snapshot is refused");
      require(snapshot_of(late->machine) == bytes, "restoring lost something");
    }
    const bool done = apply(whole.machine, entries[i], &status);
    if (i >= restore_at) {
      require(apply(late->machine, entries[i], &status_late) == done && status == status_late,
              "a restored replica ends otherwise", status + " / " + status_late);
      require(late->machine.state_hash() == whole.machine.state_hash(), "the hashes differ");
    }
    if (!done) return;
    accepted += i > 0 ? 1 : 0;
    for (const rsm::SessionInfo& s : whole.machine.sessions())
      (void)whole.machine.pushes_after(s.num, PushId(), 3, 50);
    require(whole.machine.sessions().size() <= small_limits().sessions_max, "too many sessions");
  }
  if (restore_at < entries.size())
    require(snapshot_of(late->machine) == snapshot_of(whole.machine), "the snapshots differ");
  require(whole.types.ledger() == nullptr || whole.types.ledger()->early == 0, "a timer was early");
}

}  // namespace

void make_seeds(const SeedSink& sink) {
  rsm::OpsWriter writer;
  const uint8_t bytes[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 0, 1, 2, 3, 4, 5, 6, 7};
  for (uint8_t kind = 0; kind < 12; ++kind) {
    uint8_t one[sizeof bytes + 1] = {1, kind};
    std::memcpy(one + 2, bytes, sizeof bytes - 1);
    Input in(one, sizeof one);
    const rsm::Op op = op_of(in);
    writer.add(op);
    rsm::OpsWriter alone;
    alone.add(op);
    sink("payload_" + std::to_string(kind), '\0' + alone.take().str());
  }
  sink("payload_all", '\0' + writer.take().str());
  std::string made = "\1\2";
  for (int i = 0; i < 120; ++i) made += static_cast<char>(i * 7 % 61);
  sink("made_up", made);
  sink("commands", std::string("\1\1\1\1\1\13\1\1\1\2\1\7\1\13\2\1\1\2\1\1\7\1\1\13\1\1\1\0", 28));
}

}  // namespace raftcs::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace raftcs;
  using namespace raftcs::fuzz;
  if (size > 4096) return 0;
  Input in(data, size);
  std::vector<raft::Entry> entries{entry_of(Index(1), 0, prologue())};
  if (!in.flag()) {
    const Bytes payload = Bytes::copy(in.rest());
    check_codec(payload);
    entries.push_back(entry_of(Index(2), kNsPerSecond, payload));
    run(entries, 1);
    return 0;
  }
  int64_t now_ns = 0;
  const size_t restore_at = 1 + in.below(8);
  while (!in.empty() && entries.size() < 64) {
    rsm::OpsWriter writer;
    now_ns += static_cast<int64_t>(in.u8()) * 50 * kNsPerMs;
    for (uint64_t n = 1 + in.below(4); n > 0; --n) writer.add(op_of(in));
    const Bytes payload = writer.take();
    check_codec(payload);
    entries.push_back(entry_of(entries.back().index.next(), now_ns, payload));
  }
  run(entries, restore_at);
  return 0;
}
