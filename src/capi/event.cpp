// event.cpp: reading and ending events.
#include "capi/event.hpp"

#include "capi/guard.hpp"

using raftcs::capi::is_handle;

namespace {

const char* text_of(const raftcs_event& e) {
  if (e.status == RAFTCS_OK) return "";
  return e.text.empty() ? raftcs_status_text(e.status) : e.text.c_str();
}

}  // namespace

raftcs_status_t raftcs_event_info(const raftcs_event_t* event, raftcs_event_info_t* out_info) {
  if (!is_handle(event)) return RAFTCS_ERR_BAD_HANDLE;
  raftcs_event_info_t info{};
  info.kind = event->kind;
  info.status = event->status;
  info.outcome = event->outcome;
  info.app_code = event->app_code;
  info.retry_after_ms = event->retry_after_ms;
  info.tag = event->tag;
  info.op_id = event->op_id;
  info.index = event->index;
  info.data = event->data.data();
  info.data_len = event->data.size();
  info.text = text_of(*event);
  return raftcs::capi::write_struct(info, raftcs::capi::kEventInfoFirst, out_info);
}

int32_t raftcs_event_kind(const raftcs_event_t* event) {
  return is_handle(event) ? event->kind : 0;
}

raftcs_status_t raftcs_event_status(const raftcs_event_t* event) {
  return is_handle(event) ? event->status : RAFTCS_ERR_BAD_HANDLE;
}

int32_t raftcs_event_outcome(const raftcs_event_t* event) {
  return is_handle(event) ? event->outcome : RAFTCS_OUTCOME_NONE;
}

int32_t raftcs_event_app_code(const raftcs_event_t* event) {
  return is_handle(event) ? event->app_code : 0;
}

uint64_t raftcs_event_tag(const raftcs_event_t* event) { return is_handle(event) ? event->tag : 0; }

uint64_t raftcs_event_op_id(const raftcs_event_t* event) {
  return is_handle(event) ? event->op_id : 0;
}

uint64_t raftcs_event_index(const raftcs_event_t* event) {
  return is_handle(event) ? event->index : 0;
}

raftcs_status_t raftcs_event_data(const raftcs_event_t* event, const void** out_data,
                                  size_t* out_len) {
  if (!is_handle(event)) return RAFTCS_ERR_BAD_HANDLE;
  if (!out_data || !out_len) return RAFTCS_ERR_INVALID_ARGUMENT;
  *out_data = event->data.data();
  *out_len = event->data.size();
  return RAFTCS_OK;
}

const char* raftcs_event_text(const raftcs_event_t* event) {
  return is_handle(event) ? text_of(*event) : "";
}

int32_t raftcs_event_is_retriable(const raftcs_event_t* event) {
  if (!is_handle(event) || event->outcome != RAFTCS_OUTCOME_NOT_APPLIED) return 0;
  return raftcs_status_is_retriable(event->status);
}

void raftcs_event_destroy(raftcs_event_t* event) {
  if (is_handle(event)) delete event;
}

void raftcs_event_destroy_batch(raftcs_event_t* const* events, size_t count) {
  for (size_t i = 0; events && i < count; ++i) raftcs_event_destroy(events[i]);
}
