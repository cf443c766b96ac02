// ledger_machine.cpp: the ledger as a raftcs_sm_type_t.
#include "sim/ledger_machine.hpp"

#include <algorithm>
#include <cstring>
#include <stdexcept>

namespace raftcs::sim {
namespace {

struct Instance {
  Ledger ledger;
  std::shared_ptr<Ledger*> current;
  std::shared_ptr<LedgerFaults> faults;
  uint64_t ballast = 0;
};
struct Copy {
  std::vector<LedgerOp> records;
  std::vector<uint8_t> ballast;
};
// Records of a snapshot that are no operations.
constexpr uint32_t kAlarmRecord = 100, kRungRecord = 101, kGoneRecord = 102, kEventsRecord = 103;
constexpr uint32_t kBallastRecord = 104;  // the last one: so many bytes follow

bool fails(uint32_t* left) {
  if (*left == 0) return false;
  --*left;
  return true;
}

raftcs_status_t failure(LedgerFaults* faults) {
  if (++faults->failed % 2 == 0) throw std::runtime_error("made to fail");
  return RAFTCS_ERR_NO_MEMORY;
}

raftcs_status_t create(const raftcs_host_t* host, const raftcs_sm_args_t*, void** out) {
  auto* instance = new Instance;
  auto* types = static_cast<LedgerTypes*>(host->ctx);
  instance->current = types->current_;
  instance->faults = types->faults_;
  instance->ballast = types->ballast_;
  *instance->current = &instance->ledger;
  *out = instance;
  return RAFTCS_OK;
}

void destroy(void* sm) {
  auto* instance = static_cast<Instance*>(sm);
  if (*instance->current == &instance->ledger) *instance->current = nullptr;
  delete instance;
}

void append(Ledger& ledger, const LedgerOp& op) {
  if (!ledger.seen.insert({op.who, op.what}).second) ++ledger.doubled;
  ledger.ops.push_back(op);
}

raftcs_status_t apply(void* sm, const raftcs_apply_batch_t* batch, const raftcs_sink_t* sink) {
  auto& [ledger, current, faults, ballast] = *static_cast<Instance*>(sm);
  const auto* at = reinterpret_cast<const char*>(batch->commands);
  const bool failing = fails(&faults->applies);
  for (uint32_t i = 0; i < batch->count; ++i, at += batch->entry_stride) {
    if (failing && i == batch->count / 2) return failure(faults.get());
    const auto* command = reinterpret_cast<const raftcs_command_t*>(at);
    const auto decoded = decode_command(command->data, command->len);
    if (!decoded) {
      ++ledger.damaged;
      sink->reply(sink, i, 1, nullptr, 0);
      continue;
    }
    const auto& [op, load] = *decoded;
    append(ledger, op);
    const uint64_t position = ledger.ops.size() + ledger.lie;
    const std::vector<uint8_t> reply = answer_of(position, load.reply);
    const int32_t code = app_code_of(op);
    if (sink->reply(sink, i, code, reply.data(), reply.size()) == RAFTCS_ERR_TOO_LARGE)
      sink->reply(sink, i, code, &position, sizeof position);
    if (op.kind == 3 && ledger.alarm_ns == INT64_MAX)
      ledger.alarm_ns = batch->cluster_time_ns + kAlarmNs;
    if (op.kind != 2 && op.kind != 4) continue;
    const std::vector<uint8_t> push = answer_of(position, op.kind == 4 ? kLargePush : load.push);
    sink->push(sink, command->session, push.data(), push.size());
  }
  return RAFTCS_OK;
}

raftcs_status_t query(void* sm, const raftcs_query_t* q, const raftcs_sink_t* sink) {
  uint64_t size = 0;
  if (q->len == sizeof size) std::memcpy(&size, q->data, sizeof size);
  const std::vector<uint8_t> count = answer_of(static_cast<Instance*>(sm)->ledger.ops.size(), size);
  return sink->reply(sink, 0, 0, count.data(), count.size());
}

int64_t next_timer_ns(void* sm) { return static_cast<Instance*>(sm)->ledger.alarm_ns; }
raftcs_status_t timer(void* sm, const raftcs_timer_t* t, const raftcs_sink_t*) {
  auto& [ledger, current, faults, ballast] = *static_cast<Instance*>(sm);
  if (fails(&faults->hooks)) return failure(faults.get());
  ++(t->cluster_time_ns < ledger.alarm_ns ? ledger.early : ledger.rung);
  ledger.alarm_ns = INT64_MAX;
  return RAFTCS_OK;
}

raftcs_status_t session_presence(void* sm, const raftcs_session_event_t* e, const raftcs_sink_t*) {
  auto& [ledger, current, faults, ballast] = *static_cast<Instance*>(sm);
  if (fails(&faults->hooks)) return failure(faults.get());
  ++ledger.presence_events;
  if (e->connected != 0)
    ledger.gone.erase(e->session);
  else
    ledger.gone.insert(e->session);
  return RAFTCS_OK;
}
raftcs_status_t session_ended(void* sm, const raftcs_session_event_t* e, const raftcs_sink_t*) {
  auto& [ledger, current, faults, ballast] = *static_cast<Instance*>(sm);
  if (fails(&faults->hooks)) return failure(faults.get());
  ledger.gone.erase(e->session);
  ledger.dead_letters += e->undelivered_count;
  return RAFTCS_OK;
}

raftcs_status_t snapshot_begin(void* sm, void** out) {
  const auto& [ledger, current, faults, ballast] = *static_cast<Instance*>(sm);
  if (fails(&faults->begins)) return failure(faults.get());
  auto copy = std::make_unique<Copy>(Copy{ledger.ops, {}});
  copy->records.push_back({kAlarmRecord, 0, static_cast<uint64_t>(ledger.alarm_ns)});
  copy->records.push_back({kRungRecord, 0, ledger.rung});
  copy->records.push_back({kEventsRecord, 0, ledger.presence_events});
  for (uint64_t session : ledger.gone) copy->records.push_back({kGoneRecord, 0, session});
  if (ballast > 0) {
    copy->records.push_back({kBallastRecord, 0, ballast});
    copy->ballast = pattern_of(ledger.ops.size(), ballast);
  }
  *out = copy.release();
  return RAFTCS_OK;
}

raftcs_status_t write_in_pieces(const raftcs_writer_t* writer, const void* data, size_t size,
                                size_t piece) {
  const auto* at = static_cast<const uint8_t*>(data);
  raftcs_status_t status = RAFTCS_OK;
  for (const auto* end = at + size; at != end && status == RAFTCS_OK;) {
    const size_t n = std::min<size_t>(piece == 0 ? size : piece, static_cast<size_t>(end - at));
    status = writer->write(writer, at, n);
    at += n;
  }
  return status;
}

raftcs_status_t snapshot_write(void* sm, void* snapshot, const raftcs_writer_t* writer) {
  LedgerFaults* faults = static_cast<Instance*>(sm)->faults.get();
  const auto& [records, ballast] = *static_cast<Copy*>(snapshot);
  const size_t size = records.size() * sizeof(LedgerOp);
  const bool failing = fails(&faults->writes);
  const raftcs_status_t status =
      write_in_pieces(writer, records.data(), failing ? size / 2 : size, faults->piece);
  if (failing) return failure(faults);
  if (status != RAFTCS_OK) return status;
  return write_in_pieces(writer, ballast.data(), ballast.size(), faults->piece);
}
void snapshot_end(void*, void* snapshot) { delete static_cast<Copy*>(snapshot); }

raftcs_status_t restore(void* sm, const raftcs_snapshot_info_t*, const raftcs_reader_t* reader) {
  auto& [ledger, current, faults, ballast] = *static_cast<Instance*>(sm);
  std::vector<uint8_t> bytes;
  uint8_t chunk[4096];
  const size_t piece = faults->piece == 0 ? sizeof chunk : faults->piece;
  const bool failing = fails(&faults->restores);
  size_t n = 0;
  do {
    raftcs_status_t status = reader->read(reader, chunk, piece, &n);
    if (status != RAFTCS_OK) return status;
    bytes.insert(bytes.end(), chunk, chunk + n);
    if (failing) return failure(faults.get());
  } while (n > 0);
  for (size_t at = 0; at < bytes.size(); at += sizeof(LedgerOp)) {
    LedgerOp op;
    if (bytes.size() - at < sizeof op) return RAFTCS_ERR_CORRUPT;
    std::memcpy(&op, bytes.data() + at, sizeof op);
    if (op.kind == kBallastRecord) {
      bytes.erase(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(at + sizeof op));
      const bool good = bytes == pattern_of(ledger.ops.size(), op.what);
      return good ? RAFTCS_OK : RAFTCS_ERR_CORRUPT;
    }
    if (op.kind == kAlarmRecord)
      ledger.alarm_ns = static_cast<int64_t>(op.what);
    else if (op.kind == kRungRecord)
      ledger.rung = op.what;
    else if (op.kind == kEventsRecord)
      ledger.presence_events = op.what;
    else if (op.kind == kGoneRecord)
      ledger.gone.insert(op.what);
    else
      append(ledger, op);
  }
  return RAFTCS_OK;
}

raftcs_sm_type_t make_type() {
  raftcs_sm_type_t t{};
  t.struct_size = sizeof t;
  t.flags = RAFTCS_SM_CONCURRENT_SNAPSHOT;
  t.id = kLedgerType;
  t.snapshot_version_write = t.snapshot_version_read_min = 1;
  t.apply_version_min = t.apply_version_max = 1;
  t.create = create;
  t.destroy = destroy;
  t.apply = apply;
  t.query = query;
  t.snapshot_begin = snapshot_begin;
  t.snapshot_write = snapshot_write;
  t.snapshot_end = snapshot_end;
  t.restore = restore;
  t.session_ended = session_ended;
  t.next_timer_ns = next_timer_ns;
  t.timer = timer;
  t.session_presence = session_presence;
  return t;
}

void host_log(const raftcs_host_t*, int32_t, const char*, size_t) {}
const void* host_extension(const raftcs_host_t*, const char*) { return nullptr; }

}  // namespace

LedgerTypes::LedgerTypes() {
  host_.struct_size = sizeof host_;
  host_.ctx = this;
  host_.log = host_log;
  host_.extension = host_extension;
}

const raftcs_sm_type_t* LedgerTypes::find(const std::string& id) {
  static const raftcs_sm_type_t type = make_type();
  return id == kLedgerType ? &type : nullptr;
}

}  // namespace raftcs::sim
