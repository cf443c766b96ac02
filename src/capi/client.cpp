// client.cpp: the exported functions of clients: arguments checked, then the core.
#include <chrono>
#include <new>
#include <thread>

#include "capi/client_core.hpp"
#include "capi/config.hpp"
#include "capi/error.hpp"
#include "capi/guard.hpp"
#include "sys/clock.hpp"

namespace raftcs::capi {
namespace {

constexpr size_t kNameBytesMax = 255;
constexpr uint64_t kFrameOverheadBytes = 16 << 10;  // of a frame around its payload
constexpr int64_t kTimeoutMsMax = int64_t{1} << 40;

raftcs_status_t read_options(const raftcs_call_options_t* in, bool may_be_stale,
                             raftcs_call_options_t* out) {
  if (auto bad = read_struct(in, kCallOptionsFirst, out)) return bad;
  if (out->flags != 0 || out->reserved != 0) return RAFTCS_ERR_UNSUPPORTED;
  if (out->timeout_ms < -1) return RAFTCS_ERR_INVALID_ARGUMENT;
  int32_t highest = may_be_stale ? RAFTCS_STALE : RAFTCS_LINEARIZABLE;
  if (out->consistency < 0 || out->consistency > highest) return RAFTCS_ERR_INVALID_ARGUMENT;
  return RAFTCS_OK;
}

bool is_name(const char* s) {
  if (!s || !*s) return false;
  return strnlen(s, kNameBytesMax + 1) <= kNameBytesMax;
}

// Everything but the ids: checked, and the payload copied once.
raftcs_status_t make_operation(const ClientCore& core, OpKind kind, const char* name, uint64_t tag,
                               const void* data, size_t len, const raftcs_call_options_t* options,
                               Operation* out) {
  raftcs_call_options_t o;
  if (auto bad = read_options(options, kind == OpKind::query, &o)) return bad;
  if (!is_name(name) || (!data && len > 0)) return RAFTCS_ERR_INVALID_ARGUMENT;
  if (len > core.limits().payload_bytes_max) return RAFTCS_ERR_TOO_LARGE;
  out->kind = kind;
  out->call.tag = tag;
  out->call.service = name;
  out->call.payload = Bytes::copy(data, len);
  if (o.consistency == RAFTCS_STALE) out->call.consistency = wire::Consistency::stale;
  int64_t timeout_ms = o.timeout_ms != 0 ? o.timeout_ms : core.limits().timeout_ms;
  if (timeout_ms > 0) {
    out->call.deadline = sys::mono_now() + std::min(timeout_ms, kTimeoutMsMax) * kNsPerMs;
  }
  return RAFTCS_OK;
}

raftcs_status_t call(raftcs_client_t* client, OpKind kind, const char* service, uint64_t tag,
                     const void* data, size_t len, const raftcs_call_options_t* options,
                     uint64_t* out_op_id) noexcept {
  return guard([&]() -> raftcs_status_t {
    if (auto bad = check_handle(client)) return bad;
    if (!client->core->has_queue()) return RAFTCS_ERR_BAD_STATE;
    Operation op;
    if (auto bad = make_operation(*client->core, kind, service, tag, data, len, options, &op)) {
      return bad;
    }
    return client->core->post(*client->runtime, std::move(op), out_op_id);
  });
}

raftcs_status_t call_wait(raftcs_client_t* client, OpKind kind, const char* service,
                          const void* data, size_t len, const raftcs_call_options_t* options,
                          raftcs_event_t** out_event) noexcept {
  return guard([&]() -> raftcs_status_t {
    if (auto bad = check_handle(client)) return bad;
    if (in_callback) return RAFTCS_ERR_WRONG_THREAD;
    if (!out_event) return RAFTCS_ERR_INVALID_ARGUMENT;
    Operation op;
    if (auto bad = make_operation(*client->core, kind, service, 0, data, len, options, &op)) {
      return bad;
    }
    auto core = client->core;  // another thread may destroy the handle while this one waits
    auto runtime = client->runtime;
    return core->post_and_wait(*runtime, std::move(op), out_event);
  });
}

raftcs_status_t make_admin(raftcs_client_t* client, const char* endpoint, uint64_t tag,
                           const char* verb, const char* args_json,
                           const raftcs_call_options_t* options, Operation* op) {
  const char* args = args_json ? args_json : "{}";
  if (endpoint && !config::check_endpoint(endpoint, false)) return RAFTCS_ERR_INVALID_ARGUMENT;
  if (endpoint) op->endpoint = endpoint;
  return make_operation(*client->core, OpKind::admin, verb, tag, args, strlen(args), options, op);
}

Status create(const raftcs_config& config, raftcs_queue_t* queue, uint64_t tag,
              raftcs_client_t** out_client) {
  const config::Config& values = config.values;
  RCS_ASSIGN(options, session_options(values));
  ClientLimits limits;
  limits.outstanding_max = static_cast<uint64_t>(values.integer("client.request.outstanding_max"));
  limits.payload_bytes_max =
      static_cast<uint64_t>(values.integer("limits.frame_bytes")) - kFrameOverheadBytes;
  limits.timeout_ms = values.integer("client.request.timeout_ms");
  auto handle = std::make_unique<raftcs_client>();
  RCS_ASSIGN(runtime, client::Runtime::acquire(&ClientCore::deliver));
  handle->runtime = std::move(runtime);
  handle->core = std::make_shared<ClientCore>(queue ? queue->queue : nullptr, tag, limits,
                                              values.text("client.push.ack") == "auto");
  handle->core->bind(handle->runtime, handle->runtime->add(options, handle->core));
  *out_client = handle.release();
  return {};
}

raftcs_client_info_t public_info(const client::SessionInfo& i) {
  raftcs_client_info_t info{};
  info.state = static_cast<int32_t>(i.state);
  std::copy(i.session_id.bytes.begin(), i.session_id.bytes.end(), info.session_id);
  info.leader = i.leader.value;
  info.outstanding = i.outstanding;
  info.submitted = i.submitted;
  info.completed = i.completed;
  info.resent = i.resent;
  info.reconnects = i.reconnects;
  info.server_requests = i.pushes;
  info.rtt_us = i.rtt_us;
  info.rtt_smoothed_us = i.rtt_smoothed_us;
  info.latency_us = i.latency_us;
  info.session_timeout_ms = i.session_timeout_ms;
  info.attempts = i.attempts;
  info.late_replies = i.late_replies;
  info.busy = i.busy;
  info.sessions_lost = i.sessions_lost;
  info.malformed_frames = i.malformed_frames;
  info.trouble = i.trouble;
  return info;
}

}  // namespace
}  // namespace raftcs::capi

using raftcs::Bytes;
using raftcs::capi::call;
using raftcs::capi::call_wait;
using raftcs::capi::check_handle;
using raftcs::capi::guard;
using raftcs::capi::in_callback;
using raftcs::capi::Operation;
using raftcs::capi::OpKind;

raftcs_status_t raftcs_client_create(const raftcs_config_t* config, raftcs_queue_t* queue,
                                     uint64_t tag, raftcs_client_t** out_client,
                                     raftcs_error_t** out_error) {
  return guard([&]() -> raftcs_status_t {
    if (auto bad = check_handle(config)) return bad;
    if (queue) {
      if (auto bad = check_handle(queue)) return bad;
    }
    if (!out_client) return RAFTCS_ERR_INVALID_ARGUMENT;
    return raftcs::capi::fail(raftcs::capi::create(*config, queue, tag, out_client), out_error);
  });
}

raftcs_status_t raftcs_client_open(raftcs_client_t* client) {
  return guard([&]() -> raftcs_status_t {
    if (auto bad = check_handle(client)) return bad;
    return client->core->open(*client->runtime);
  });
}

raftcs_status_t raftcs_client_resume(raftcs_client_t* client, const void* token, size_t token_len) {
  return guard([&]() -> raftcs_status_t {
    if (auto bad = check_handle(client)) return bad;
    if (!token) return RAFTCS_ERR_INVALID_ARGUMENT;
    return client->core->resume(*client->runtime, Bytes::copy(token, token_len));
  });
}

raftcs_status_t raftcs_client_wait_connected(raftcs_client_t* client, int64_t timeout_ms) {
  return guard([&]() -> raftcs_status_t {
    if (auto bad = check_handle(client)) return bad;
    if (timeout_ms < -1) return RAFTCS_ERR_INVALID_ARGUMENT;
    if (in_callback) return RAFTCS_ERR_WRONG_THREAD;
    auto core = client->core;
    auto runtime = client->runtime;
    return core->wait_connected(*runtime, timeout_ms);
  });
}

raftcs_status_t raftcs_client_submit(raftcs_client_t* client, const char* service, uint64_t tag,
                                     const void* command, size_t len,
                                     const raftcs_call_options_t* options, uint64_t* out_op_id) {
  return call(client, OpKind::submit, service, tag, command, len, options, out_op_id);
}

raftcs_status_t raftcs_client_query(raftcs_client_t* client, const char* service, uint64_t tag,
                                    const void* query, size_t len,
                                    const raftcs_call_options_t* options, uint64_t* out_op_id) {
  return call(client, OpKind::query, service, tag, query, len, options, out_op_id);
}

raftcs_status_t raftcs_client_submit_wait(raftcs_client_t* client, const char* service,
                                          const void* command, size_t len,
                                          const raftcs_call_options_t* options,
                                          raftcs_event_t** out_event) {
  return call_wait(client, OpKind::submit, service, command, len, options, out_event);
}

raftcs_status_t raftcs_client_query_wait(raftcs_client_t* client, const char* service,
                                         const void* query, size_t len,
                                         const raftcs_call_options_t* options,
                                         raftcs_event_t** out_event) {
  return call_wait(client, OpKind::query, service, query, len, options, out_event);
}

raftcs_status_t raftcs_client_cancel(raftcs_client_t* client, uint64_t op_id) {
  return guard([&]() -> raftcs_status_t {
    if (auto bad = check_handle(client)) return bad;
    bool found = client->runtime->cancel(client->core->session(), op_id);
    return found ? RAFTCS_OK : RAFTCS_ERR_NOT_FOUND;
  });
}

raftcs_status_t raftcs_client_ack(raftcs_client_t* client, uint64_t id) {
  return guard([&]() -> raftcs_status_t {
    if (auto bad = check_handle(client)) return bad;
    return client->core->ack(*client->runtime, id);
  });
}

raftcs_status_t raftcs_client_admin(raftcs_client_t* client, const char* endpoint, uint64_t tag,
                                    const char* verb, const char* args_json,
                                    const raftcs_call_options_t* options, uint64_t* out_op_id) {
  return guard([&]() -> raftcs_status_t {
    if (auto bad = check_handle(client)) return bad;
    if (!client->core->has_queue()) return RAFTCS_ERR_BAD_STATE;
    Operation op;
    if (auto bad = raftcs::capi::make_admin(client, endpoint, tag, verb, args_json, options, &op)) {
      return bad;
    }
    return client->core->post(*client->runtime, std::move(op), out_op_id);
  });
}

raftcs_status_t raftcs_client_admin_wait(raftcs_client_t* client, const char* endpoint,
                                         const char* verb, const char* args_json,
                                         const raftcs_call_options_t* options,
                                         raftcs_event_t** out_event) {
  return guard([&]() -> raftcs_status_t {
    if (auto bad = check_handle(client)) return bad;
    if (in_callback) return RAFTCS_ERR_WRONG_THREAD;
    if (!out_event) return RAFTCS_ERR_INVALID_ARGUMENT;
    Operation op;
    if (auto bad = raftcs::capi::make_admin(client, endpoint, 0, verb, args_json, options, &op)) {
      return bad;
    }
    auto core = client->core;
    auto runtime = client->runtime;
    return core->post_and_wait(*runtime, std::move(op), out_event);
  });
}

raftcs_status_t raftcs_client_info(raftcs_client_t* client, raftcs_client_info_t* out_info) {
  return guard([&]() -> raftcs_status_t {
    if (auto bad = check_handle(client)) return bad;
    auto info = raftcs::capi::public_info(client->core->info(*client->runtime));
    return raftcs::capi::write_struct(info, raftcs::capi::kClientInfoFirst, out_info);
  });
}

raftcs_status_t raftcs_client_export_session(raftcs_client_t* client, void* out, size_t cap,
                                             size_t* out_len) {
  return guard([&]() -> raftcs_status_t {
    if (auto bad = check_handle(client)) return bad;
    if (!out_len || (!out && cap > 0)) return RAFTCS_ERR_INVALID_ARGUMENT;
    auto token = client->runtime->export_session(client->core->session());
    if (!token) return token.status().code();
    *out_len = token->size();
    if (!out) return RAFTCS_OK;
    if (cap < token->size()) return RAFTCS_ERR_TOO_LARGE;
    std::copy(token->begin(), token->end(), static_cast<uint8_t*>(out));
    return RAFTCS_OK;
  });
}

raftcs_status_t raftcs_client_close(raftcs_client_t* client, int32_t keep_session) {
  return guard([&]() -> raftcs_status_t {
    if (auto bad = check_handle(client)) return bad;
    client->core->close(*client->runtime, keep_session != 0);
    return RAFTCS_OK;
  });
}

void raftcs_client_destroy(raftcs_client_t* client) {
  raftcs::capi::guard_void([&] {
    if (!raftcs::capi::is_handle(client)) return;
    if (client->pid != getpid()) {  // the thread and the locks are the parent's
      client->magic = raftcs::capi::kDeadMagic;
      return;
    }
    while (true) {
      try {
        client->core->close(*client->runtime, true);
        break;
      } catch (const std::bad_alloc&) {  // who may wait does so for memory
        if (in_callback) throw;
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      }
    }
    if (in_callback) {
      client->core->forget_when_closed(client->runtime);
    } else {
      client->core->wait_closed();
      client->runtime->forget(client->core->session());
    }
    delete client;
  });
}
