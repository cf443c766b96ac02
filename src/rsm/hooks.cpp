// hooks.cpp: the sink that state machines write into, timers and the session hooks.
//
// A push is numbered and stored when it is made, so that the window is exact for the next
// push of the same call; if the call then fails, what it pushed is taken back. Sink
// functions are called from C: nothing may be thrown through them.
#include <algorithm>
#include <new>

#include "rsm/applier.hpp"

namespace raftcs::rsm {
namespace {

// The texts stay where they are; only pointers to them are made.
void c_strings(const Capabilities& capabilities, std::vector<const char*>* names,
               std::vector<const char*>* values) {
  names->clear();
  values->clear();
  for (const auto& [name, value] : capabilities) {
    names->push_back(name.c_str());
    values->push_back(value.c_str());
  }
}

}  // namespace

Applier::Call::Call(Applier* owner, Service* from, bool replies) : applier(owner), service(from) {
  sink.struct_size = sizeof sink;
  sink.ctx = this;
  sink.reply = replies ? &Applier::sink_reply
                       : [](const raftcs_sink_t*, uint32_t, int32_t, const void*,
                            size_t) -> raftcs_status_t { return RAFTCS_ERR_BAD_STATE; };
  sink.push = &Applier::sink_push;
  sink.next_session = &Applier::sink_next_session;
}

raftcs_status_t Applier::sink_reply(const raftcs_sink_t* sink, uint32_t entry, int32_t app_code,
                                    const void* data, size_t len) {
  auto* call = static_cast<Call*>(sink->ctx);
  Applier& a = *call->applier;
  if (entry >= a.waiting_.size() || app_code < 0 || (data == nullptr && len != 0))
    return RAFTCS_ERR_INVALID_ARGUMENT;
  if (a.replied_[entry] != 0) return RAFTCS_ERR_BAD_STATE;
  if (len > std::min(kAnswerBytesMax, a.s_.limits.reply_bytes_max)) return RAFTCS_ERR_TOO_LARGE;
  Reply& reply = a.out_->replies[a.waiting_[entry].reply_at];
  try {
    reply.data = Bytes::copy(data, len);
  } catch (const std::bad_alloc&) {
    call->out_of_memory = true;
    return RAFTCS_ERR_NO_MEMORY;
  }
  reply.app_code = app_code;
  a.replied_[entry] = 1;
  return RAFTCS_OK;
}

raftcs_status_t Applier::sink_push(const raftcs_sink_t* sink, uint64_t session, const void* data,
                                   size_t len) {
  auto* call = static_cast<Call*>(sink->ctx);
  if (data == nullptr && len != 0) return RAFTCS_ERR_INVALID_ARGUMENT;
  try {
    return call->applier->push(call->service, SessionNum(session), data, len);
  } catch (const std::bad_alloc&) {
    call->out_of_memory = true;
    return RAFTCS_ERR_NO_MEMORY;
  }
}

raftcs_status_t Applier::push(Service* service, SessionNum to, const void* data, size_t len) {
  Session* session = s_.sessions.find(to);
  if (session == nullptr) {  // W-M2: no rows for those who are not there
    ++s_.pushes_dropped;
    return RAFTCS_OK;
  }
  const Limits& limits = s_.limits;
  if (len > std::min(kAnswerBytesMax, limits.push_bytes_max)) return RAFTCS_ERR_TOO_LARGE;
  if (session->pushes.size() >= limits.pushes_max ||
      session->push_bytes + len > limits.push_bytes_max)
    return RAFTCS_ERR_BUSY;
  Bytes payload = Bytes::copy(data, len);
  out_->pushes.push_back({to, session->last_push().next(), payload, now_});
  session->pushes.push_back({service->num, now_, std::move(payload)});
  session->push_bytes += len;
  return RAFTCS_OK;
}

void Applier::drop_pushes_from(size_t first) {
  while (out_->pushes.size() > first) {
    const Push& push = out_->pushes.back();
    if (Session* session = s_.sessions.find(push.session); session != nullptr) {
      session->push_bytes -= push.payload.size();
      session->pushes.pop_back();
    }
    out_->pushes.pop_back();
  }
}

void Applier::hash_pushes_from(size_t first) {
  for (size_t i = first; i < out_->pushes.size(); ++i) {
    const Push& push = out_->pushes[i];
    const uint64_t h = mix(mix(s_.pushes_hash, push.session.value), push.id.value);
    s_.pushes_hash = hash64(h, push.payload.data(), push.payload.size());
  }
}

raftcs_status_t Applier::sink_next_session(const raftcs_sink_t* sink, uint64_t after,
                                           const char* name, const char* value,
                                           raftcs_live_session_t* out) {
  auto* call = static_cast<Call*>(sink->ctx);
  if (out == nullptr || out->struct_size < sizeof *out || (name == nullptr && value != nullptr))
    return RAFTCS_ERR_INVALID_ARGUMENT;
  try {
    SessionTable& sessions = call->applier->s_.sessions;
    const Session* s = sessions.next_after(SessionNum(after));
    while (s != nullptr && name != nullptr && !s->has_capability(name, value))
      s = sessions.next_after(s->num);
    if (s == nullptr) return RAFTCS_ERR_NOT_FOUND;
    c_strings(s->capabilities, &call->names, &call->values);
    out->connected = s->connected ? 1 : 0;
    out->session = s->num.value;
    out->capability_count = static_cast<uint32_t>(call->names.size());
    out->capability_names = call->names.data();
    out->capability_values = call->values.data();
    return RAFTCS_OK;
  } catch (const std::bad_alloc&) {
    call->out_of_memory = true;
    return RAFTCS_ERR_NO_MEMORY;
  }
}

// A call that may push and does not reply; what it pushed is taken back when it fails.
template <class F>
Status Applier::hook_call(Service* service, const char* function, F&& run) {
  const size_t first_push = out_->pushes.size();
  Call call(this, service, false);
  std::string what;
  raftcs_status_t status = guarded(&what, [&] { return run(&call.sink); });
  if (call.out_of_memory) status = RAFTCS_ERR_NO_MEMORY;
  if (status != RAFTCS_OK) {
    drop_pushes_from(first_push);
    failed_ = service->failure(function, index_, status, what);
    return failed_;
  }
  hash_pushes_from(first_push);
  return Status::ok();
}

Status Applier::session_hook(Service* service, const char* function, Hook hook,
                             const Session& session, int32_t end_reason) {
  if (hook == nullptr) return Status::ok();
  std::vector<const char*> names, values;
  c_strings(session.capabilities, &names, &values);
  std::vector<const void*> letters;
  std::vector<size_t> letter_sizes;
  for (size_t i = 0; end_reason != 0 && i < session.pushes.size(); ++i) {
    if (session.pushes[i].service != service->num) continue;
    letters.push_back(session.pushes[i].payload.data());
    letter_sizes.push_back(session.pushes[i].payload.size());
  }
  raftcs_session_event_t event{};
  event.struct_size = sizeof event;
  event.end_reason = end_reason;
  event.session = session.num.value;
  event.cluster_time_ns = now_.ns;
  event.capability_count = static_cast<uint32_t>(names.size());
  event.capability_names = names.data();
  event.capability_values = values.data();
  event.undelivered_count = static_cast<uint32_t>(letters.size());
  event.undelivered = letters.data();
  event.undelivered_len = letter_sizes.data();
  event.apply_version = service->apply_version;
  event.connected = session.connected && end_reason == 0 ? 1 : 0;
  return hook_call(service, function,
                   [&](const raftcs_sink_t* sink) { return hook(service->sm, &event, sink); });
}

// Decides what the entry does, so where it cannot be said the replica halts, as in a hook.
Result<bool> Applier::timer_is_due(const Service& service) {
  LogTime at;
  std::string what;
  const raftcs_status_t status = service.next_timer(&at, &what);
  if (status == RAFTCS_OK) return at <= now_;
  failed_ = service.failure("next_timer_ns", index_, status, what);
  return failed_;
}

Status Applier::run_timer(Service* service) {
  raftcs_timer_t timer{};
  timer.struct_size = sizeof timer;
  timer.apply_version = service->apply_version;
  timer.cluster_time_ns = now_.ns;
  const auto run = function_of(*service->type, &raftcs_sm_type_t::timer);
  return hook_call(service, "timer",
                   [&](const raftcs_sink_t* sink) { return run(service->sm, &timer, sink); });
}

}  // namespace raftcs::rsm
