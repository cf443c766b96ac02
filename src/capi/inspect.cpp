// inspect.cpp: reading the log of a stopped node.
#include "capi/error.hpp"
#include "capi/guard.hpp"
#include "raftcs.h"

using raftcs::Status;
using raftcs::capi::fail;
using raftcs::capi::guard;

raftcs_status_t raftcs_log_dump(const char* data_dir, raftcs_line_fn line, uint64_t user_data,
                                raftcs_error_t** out_error) {
  return guard([&]() -> raftcs_status_t {
    if (!data_dir || !line) return RAFTCS_ERR_INVALID_ARGUMENT;
    (void)user_data;
    return fail(Status(RAFTCS_ERR_UNSUPPORTED, "this build cannot read logs"), out_error);
  });
}

raftcs_status_t raftcs_log_verify(const char* data_dir, raftcs_line_fn line, uint64_t user_data,
                                  raftcs_error_t** out_error) {
  return guard([&]() -> raftcs_status_t {
    if (!data_dir || !line) return RAFTCS_ERR_INVALID_ARGUMENT;
    (void)user_data;
    return fail(Status(RAFTCS_ERR_UNSUPPORTED, "this build cannot read logs"), out_error);
  });
}
