// recovery.cpp: a new cluster from a survivor, behind the C line.
#include "server/recovery.hpp"

#include "capi/error.hpp"
#include "capi/guard.hpp"
#include "raftcs.h"
#include "sys/file_system.hpp"
#include "sys/random.hpp"

using raftcs::capi::fail;
using raftcs::capi::guard;

raftcs_status_t raftcs_force_new_cluster(const char* data_dir, int32_t confirm, raftcs_line_fn line,
                                         uint64_t user_data, raftcs_error_t** out_error) {
  return guard([&]() -> raftcs_status_t {
    if (!data_dir || !line) return RAFTCS_ERR_INVALID_ARGUMENT;
    if (raftcs::capi::in_callback) return RAFTCS_ERR_WRONG_THREAD;
    auto files = raftcs::sys::posix_file_system();
    auto done =
        raftcs::server::force_new_cluster(*files, data_dir, raftcs::sys::os_random(), confirm != 0);
    if (!done) return fail(done.status(), out_error);
    const std::string text = raftcs::server::recovery_json(*done);
    line(user_data, text.data(), text.size());
    return RAFTCS_OK;
  });
}
