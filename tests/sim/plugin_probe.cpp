// plugin_probe.cpp: the forwarding functions.
#include "sim/plugin_probe.hpp"

#include <algorithm>
#include <cstring>
#include <exception>

#include "rsm/services.hpp"

namespace raftcs::sim {
namespace {

using rsm::function_of;

constexpr size_t kBytesCheap = 16 << 10;  // a snapshot to take for each query

struct InCall {  // says where the process is; a crash inside finds it
  explicit InCall(const char* function, uint64_t index = 0) { g_plugin_call = {function, index}; }
  ~InCall() { g_plugin_call = {}; }
};

ProbedInstance& probed(void* sm) { return *static_cast<ProbedInstance*>(sm); }
const raftcs_sm_type_t& real(const ProbedInstance& i) { return i.plugin->type(); }

void find(ProbedInstance& i, const std::string& what) {
  if (i.plugin->finding.empty()) i.plugin->finding = what;
}

void look(ProbedInstance& i) {
  const auto check = i.plugin->check();
  if (check == nullptr || ++i.calls % 8 != 0) return;
  InCall call("the workload's check", i.last_index);
  if (const char* broken = check(i.sm); broken != nullptr)
    find(i, "the plugin's own check says, at index " + std::to_string(i.last_index) + ": " +
                broken);
}

raftcs_status_t create(const raftcs_host_t* host, const raftcs_sm_args_t* args, void** out) {
  auto* types = static_cast<ProbeTypes*>(static_cast<LedgerTypes*>(host->ctx));
  auto i = std::make_unique<ProbedInstance>();
  i->plugin = &types->plugin();
  InCall call("create");
  const raftcs_status_t status = real(*i).create(i->plugin->host(), args, &i->sm);
  if (status != RAFTCS_OK) return status;
  i->current = types->current_instance_;
  *i->current = i.get();
  *out = i.release();
  return RAFTCS_OK;
}

void destroy(void* sm) {
  std::unique_ptr<ProbedInstance> i(&probed(sm));
  if (*i->current == i.get()) *i->current = nullptr;
  InCall call("destroy");
  real(*i).destroy(i->sm);
}

raftcs_status_t apply(void* sm, const raftcs_apply_batch_t* batch, const raftcs_sink_t* sink) {
  ProbedInstance& i = probed(sm);
  const auto* at = reinterpret_cast<const char*>(batch->commands);
  for (uint32_t n = 0; n < batch->count; ++n, at += batch->entry_stride) {
    const uint64_t index = reinterpret_cast<const raftcs_command_t*>(at)->index;
    if (index < i.last_index) find(i, "a command came twice, or out of the order of the log");
    i.last_index = index;
  }
  raftcs_status_t status;
  {
    InCall call("apply", i.last_index);
    status = real(i).apply(i.sm, batch, sink);
  }
  look(i);
  return status;
}

// A query may not change anything: compared where that costs little, and else now and then.
raftcs_status_t query(void* sm, const raftcs_query_t* q, const raftcs_sink_t* sink) {
  ProbedInstance& i = probed(sm);
  PluginState before, after;
  const bool compare =
      (i.bytes < kBytesCheap || ++i.calls % 8 == 0) && state_of(i, true, &before);
  i.bytes = before.bytes;
  raftcs_status_t status;
  {
    InCall call("query", i.last_index);
    status = real(i).query(i.sm, q, sink);
  }
  if (compare && state_of(i, true, &after) &&
      (after.hash != before.hash || after.digest != before.digest))
    find(i, "a query changed the state, at index " + std::to_string(i.last_index) +
                ". Queries run on one replica only: they may read, never write.");
  return status;
}

template <auto Member>
raftcs_status_t session_hook(void* sm, const raftcs_session_event_t* e, const raftcs_sink_t* s) {
  ProbedInstance& i = probed(sm);
  InCall call("a session hook", i.last_index);
  return (real(i).*Member)(i.sm, e, s);
}

raftcs_status_t snapshot_begin(void* sm, void** out) {
  ProbedInstance& i = probed(sm);
  InCall call("snapshot_begin", i.last_index);
  const raftcs_status_t status = real(i).snapshot_begin(i.sm, out);
  if (status == RAFTCS_OK) ++i.open_snapshots;
  return status;
}
raftcs_status_t snapshot_write(void* sm, void* snapshot, const raftcs_writer_t* writer) {
  ProbedInstance& i = probed(sm);
  InCall call("snapshot_write", i.last_index);
  return real(i).snapshot_write(i.sm, snapshot, writer);
}
void snapshot_end(void* sm, void* snapshot) {
  ProbedInstance& i = probed(sm);
  InCall call("snapshot_end", i.last_index);
  --i.open_snapshots;
  real(i).snapshot_end(i.sm, snapshot);
}

raftcs_status_t restore(void* sm, const raftcs_snapshot_info_t* info,
                        const raftcs_reader_t* reader) {
  ProbedInstance& i = probed(sm);
  raftcs_status_t status;
  {
    InCall call("restore", info->index);
    status = real(i).restore(i.sm, info, reader);
  }
  if (status != RAFTCS_OK)
    find(i, "restore gave status " + std::to_string(status) + " for the snapshot at index " +
                std::to_string(info->index) +
                ", which an instance of the same plugin had written. It must read all that "
                "snapshot_write writes.");
  i.last_index = i.restored_at = info->index;
  return status;
}

uint64_t digest(void* sm) {
  ProbedInstance& i = probed(sm);
  InCall call("digest", i.last_index);
  return real(i).digest(i.sm);
}
const void* extension(void* sm, const char* id) {
  return real(probed(sm)).extension(probed(sm).sm, id);
}
int64_t next_timer_ns(void* sm) {
  ProbedInstance& i = probed(sm);
  InCall call("next_timer_ns", i.last_index);
  return real(i).next_timer_ns(i.sm);
}
raftcs_status_t timer(void* sm, const raftcs_timer_t* t, const raftcs_sink_t* sink) {
  ProbedInstance& i = probed(sm);
  raftcs_status_t status;
  {
    InCall call("timer", i.last_index);
    status = real(i).timer(i.sm, t, sink);
  }
  look(i);
  return status;
}

// A type of an older minor version ends early: what is not there is not forwarded.
template <class F>
void forward(raftcs_sm_type_t* type, F raftcs_sm_type_t::*member, F function) {
  if (function_of(*type, member) != nullptr) type->*member = function;
}

struct HashWriter {
  raftcs_writer_t writer{};
  uint64_t hash = 0xcbf29ce484222325ull;
  size_t bytes = 0;
};
raftcs_status_t hash_write(const raftcs_writer_t* writer, const void* data, size_t len) {
  auto* w = static_cast<HashWriter*>(writer->ctx);
  const auto* at = static_cast<const uint8_t*>(data);
  for (size_t n = 0; n < len; ++n) w->hash = (w->hash ^ at[n]) * 0x100000001b3ull;
  w->bytes += len;
  return RAFTCS_OK;
}

}  // namespace

const raftcs_sm_type_t* ProbeTypes::find(const std::string& id) {
  const raftcs_sm_type_t& plugin = plugin_.type();
  if (id != plugin.id) return LedgerTypes::find(id);
  raftcs_sm_type_t& type = plugin_.probed;
  std::memcpy(&type, &plugin, std::min<size_t>(plugin.struct_size, sizeof type));
  type.struct_size = static_cast<uint32_t>(std::min<size_t>(plugin.struct_size, sizeof type));
  type.create = create;
  type.destroy = destroy;
  type.apply = apply;
  type.query = query;
  type.snapshot_begin = snapshot_begin;
  type.snapshot_write = snapshot_write;
  type.snapshot_end = snapshot_end;
  type.restore = restore;
  using T = raftcs_sm_type_t;
  forward(&type, &T::session_started, &session_hook<&T::session_started>);
  forward(&type, &T::session_ended, &session_hook<&T::session_ended>);
  forward(&type, &T::session_presence, &session_hook<&T::session_presence>);
  forward(&type, &T::digest, &digest);
  forward(&type, &T::extension, &extension);
  forward(&type, &T::next_timer_ns, &next_timer_ns);
  forward(&type, &T::timer, &timer);
  return &type;
}

bool state_of(ProbedInstance& i, bool with_bytes, PluginState* out) {
  if (i.open_snapshots > 0) return false;
  const raftcs_sm_type_t& type = real(i);
  HashWriter w;
  w.writer.struct_size = sizeof w.writer;
  w.writer.ctx = &w;
  w.writer.write = hash_write;
  raftcs_status_t status = RAFTCS_OK;
  try {
    InCall call("digest, or a snapshot", i.last_index);
    if ((type.flags & RAFTCS_SM_HAS_DIGEST) != 0) out->digest = type.digest(i.sm);
    if (!with_bytes) return true;
    void* snapshot = nullptr;
    status = type.snapshot_begin(i.sm, &snapshot);
    if (status == RAFTCS_OK) {
      status = type.snapshot_write(i.sm, snapshot, &w.writer);
      type.snapshot_end(i.sm, snapshot);
    }
  } catch (const std::exception& e) {
    find(i, std::string("an exception left the plugin in digest or a snapshot: ") + e.what());
    return false;
  }
  if (status != RAFTCS_OK) {
    find(i, "a snapshot gave status " + std::to_string(status) + " at index " +
                std::to_string(i.last_index));
    return false;
  }
  out->hash = w.hash;
  out->bytes = w.bytes;
  return true;
}

}  // namespace raftcs::sim
