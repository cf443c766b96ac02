// error.cpp: reading and ending error objects.
#include "capi/error.hpp"

using raftcs::capi::is_handle;

raftcs_status_t raftcs_error_status(const raftcs_error_t* error) {
  return is_handle(error) ? error->status.code() : RAFTCS_ERR_BAD_HANDLE;
}

const char* raftcs_error_text(const raftcs_error_t* error) {
  return is_handle(error) ? error->status.text().c_str() : "";
}

void raftcs_error_destroy(raftcs_error_t* error) {
  if (is_handle(error)) delete error;
}
