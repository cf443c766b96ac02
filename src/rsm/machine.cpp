// machine.cpp: the face of the folder: one State, one Applier, and what may be asked.
#include "rsm/machine.hpp"

#include <algorithm>

#include "rsm/applier.hpp"
#include "rsm/snapshot.hpp"

namespace raftcs::rsm {
namespace {

struct QueryCall {
  raftcs_sink_t sink{};
  QueryResult* result = nullptr;
  bool replied = false;
};

raftcs_status_t query_reply(const raftcs_sink_t* sink, uint32_t entry, int32_t app_code,
                            const void* data, size_t len) {
  auto* call = static_cast<QueryCall*>(sink->ctx);
  if (entry != 0 || app_code < 0 || (data == nullptr && len != 0))
    return RAFTCS_ERR_INVALID_ARGUMENT;
  if (call->replied) return RAFTCS_ERR_BAD_STATE;
  try {
    call->result->data = Bytes::copy(data, len);
  } catch (const std::bad_alloc&) {
    return RAFTCS_ERR_NO_MEMORY;
  }
  call->result->app_code = app_code;
  call->replied = true;
  return RAFTCS_OK;
}

raftcs_status_t query_push(const raftcs_sink_t*, uint64_t, const void*, size_t) {
  return RAFTCS_ERR_BAD_STATE;
}

raftcs_status_t query_next_session(const raftcs_sink_t*, uint64_t, const char*, const char*,
                                   raftcs_live_session_t*) {
  return RAFTCS_ERR_BAD_STATE;
}

}  // namespace

struct Machine::Impl {
  Impl(TypeSource& types_in, const Limits& limits) : types(types_in), applier(types_in, state) {
    state.limits = limits;
    state.ops_hash = hash_of(limits);
  }
  TypeSource& types;
  State state;
  Applier applier;
};

void ApplyOutput::clear() {
  replies.clear();
  sessions_started.clear();
  sessions_ended.clear();
  pushes.clear();
  services_created.clear();
  presence.clear();
  ticks = 0;
  takeovers.clear();
}

Machine::Machine(TypeSource& types, const Limits& limits)
    : impl_(std::make_unique<Impl>(types, limits)) {}
Machine::~Machine() = default;

Status Machine::apply(const raft::Entry& entry, ApplyOutput* out) {
  return impl_->applier.apply(entry, out);
}

QueryResult Machine::query(ServiceNum num, SessionNum session, const Bytes& data) {
  QueryResult result;
  result.status = impl_->applier.failed();
  if (!result.status.is_ok()) return result;
  const Service* service = impl_->state.service(num);
  if (service == nullptr) {
    result.status = Status(RAFTCS_ERR_NOT_FOUND, "no service has number " + to_string(num));
    return result;
  }
  raftcs_query_t query{};
  query.struct_size = sizeof query;
  query.apply_version = service->apply_version;
  query.session = session.value;
  query.cluster_time_ns = impl_->state.time.ns;
  query.data = data.data();
  query.len = data.size();
  QueryCall call;
  call.sink.struct_size = sizeof call.sink;
  call.sink.ctx = &call;
  call.sink.reply = &query_reply;
  call.sink.push = &query_push;
  call.sink.next_session = &query_next_session;
  call.result = &result;
  std::string what;
  const raftcs_status_t status =
      guarded(&what, [&] { return service->type->query(service->sm, &query, &call.sink); });
  if (status != RAFTCS_OK) {
    result = {};
    result.status = service->failure("query", Index(), status, what);
  }
  return result;
}

Status Machine::try_service(CreateService* op) const {
  const raftcs_sm_type_t* type = impl_->types.find(op->type);
  if (type == nullptr)
    return {RAFTCS_ERR_NOT_FOUND,
            "no plugin of the leader offers the type '" + op->type + "'; see: raftcs plugin list"};
  op->apply_version = type->apply_version_min;
  return open_service(impl_->types, op->name, op->type, op->apply_version).status();
}

Index Machine::applied() const { return impl_->state.applied; }
Term Machine::applied_term() const { return impl_->state.term; }
LogTime Machine::time() const { return impl_->state.time; }
LogTime Machine::next_timer() const {
  LogTime next = LogTime::never();
  if (!impl_->applier.failed().is_ok()) return next;
  for (const auto& s : impl_->state.services) {
    LogTime at;
    std::string what;
    // Now, if it cannot say: a leader then proposes a Tick, at which its failure shows.
    if (s->next_timer(&at, &what) != RAFTCS_OK) at = LogTime{};
    next = std::min(next, at);
  }
  return next;
}
bool Machine::wants_presence() const {
  for (const auto& s : impl_->state.services)
    if (function_of(*s->type, &raftcs_sm_type_t::session_presence) != nullptr) return true;
  return false;
}
uint64_t Machine::pushes_dropped() const { return impl_->state.pushes_dropped; }
uint64_t Machine::state_hash() const {
  return mix(impl_->state.ops_hash, impl_->state.pushes_hash);
}

std::optional<uint64_t> Machine::digest() const {
  std::optional<uint64_t> all;
  if (!impl_->applier.failed().is_ok()) return all;
  for (const auto& s : impl_->state.services) {
    if ((s->type->flags & RAFTCS_SM_HAS_DIGEST) == 0 || s->type->digest == nullptr) continue;
    uint64_t one = 0;
    std::string what;
    if (s->digest(&one, &what) != RAFTCS_OK) return std::nullopt;
    all = mix(mix(all.value_or(0), s->num.value), one);
  }
  return all;
}

std::optional<SessionInfo> Machine::session(SessionNum num) const {
  const Session* session = impl_->state.sessions.find(num);
  if (session == nullptr) return std::nullopt;
  return session->info();
}

std::vector<SessionInfo> Machine::sessions() const {
  std::vector<SessionInfo> all;
  for (const Session* s : impl_->state.sessions.sorted()) all.push_back(s->info());
  return all;
}

std::vector<ServiceInfo> Machine::services() const {
  std::vector<ServiceInfo> all;
  for (const auto& s : impl_->state.services)
    all.push_back({s->num, s->name, s->type_id, s->apply_version});
  return all;
}

std::vector<Push> Machine::pushes_after(SessionNum num, PushId after, size_t count_max,
                                        size_t bytes_max) const {
  std::vector<Push> found;
  const Session* session = impl_->state.sessions.find(num);
  if (session == nullptr) return found;
  const uint64_t first = after > session->acked_push ? after - session->acked_push : 0;
  size_t bytes = 0;
  for (uint64_t i = first; i < session->pushes.size() && found.size() < count_max; ++i) {
    const StoredPush& p = session->pushes[i];
    bytes += p.payload.size();
    if (bytes > bytes_max && !found.empty()) break;
    found.push_back({num, session->acked_push + i + 1, p.payload, p.created});
  }
  return found;
}

std::vector<SilentSession> Machine::silent_sessions(LogTime now, size_t count_max) const {
  std::vector<SilentSession> silent;
  impl_->state.sessions.for_each([&](const Session& s) {
    if (s.silent_at(now)) silent.push_back({s.num, now - s.last_active});
  });
  std::sort(silent.begin(), silent.end(), [](auto& a, auto& b) { return a.num < b.num; });
  if (silent.size() > count_max) silent.resize(count_max);
  return silent;
}

Result<std::unique_ptr<Snapshot>> Machine::begin_snapshot() {
  if (!impl_->applier.failed().is_ok()) return impl_->applier.failed();
  if (impl_->applier.inside_entry())
    return Status(RAFTCS_ERR_BAD_STATE,
                  "an entry is applied in part: no snapshot until it is done");
  return take_snapshot(impl_->state);
}

Status Machine::restore(const ReadFn& read) {
  RCS_ASSIGN(state, read_snapshot(impl_->types, read));
  impl_->state = std::move(*state);
  impl_->applier.reset();
  return Status::ok();
}

}  // namespace raftcs::rsm
