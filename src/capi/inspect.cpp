// inspect.cpp: reading the log of a stopped node. Nothing is changed by it.
#include "storage/inspect.hpp"

#include <string>

#include "capi/error.hpp"
#include "capi/guard.hpp"
#include "raftcs.h"
#include "sys/file_system.hpp"

using raftcs::Status;
using raftcs::capi::fail;
using raftcs::capi::guard;

raftcs_status_t raftcs_log_dump(const char* data_dir, raftcs_line_fn line, uint64_t user_data,
                                raftcs_error_t** out_error) {
  return guard([&]() -> raftcs_status_t {
    if (!data_dir || !line) return RAFTCS_ERR_INVALID_ARGUMENT;
    if (raftcs::capi::in_callback) return RAFTCS_ERR_WRONG_THREAD;
    auto files = raftcs::sys::posix_file_system();
    Status status = raftcs::storage::dump_directory(
        *files, data_dir,
        [&](const std::string& text) { line(user_data, text.data(), text.size()); });
    return fail(status, out_error);
  });
}

raftcs_status_t raftcs_log_verify(const char* data_dir, raftcs_line_fn line, uint64_t user_data,
                                  raftcs_error_t** out_error) {
  return guard([&]() -> raftcs_status_t {
    if (!data_dir || !line) return RAFTCS_ERR_INVALID_ARGUMENT;
    if (raftcs::capi::in_callback) return RAFTCS_ERR_WRONG_THREAD;
    auto files = raftcs::sys::posix_file_system();
    auto findings = raftcs::storage::verify_directory(*files, data_dir);
    if (!findings) return fail(findings.status(), out_error);
    size_t damaged = 0;
    std::string first;
    for (const raftcs::storage::Finding& f : *findings) {
      std::string text = std::string(f.damage ? "damage: " : "note: ") + f.file + " at byte " +
                         std::to_string(f.offset) + ": " + f.text;
      if (f.damage && damaged++ == 0) first = text;
      line(user_data, text.data(), text.size());
    }
    if (damaged == 0) return RAFTCS_OK;
    return fail(Status(RAFTCS_ERR_CORRUPT, std::to_string(damaged) + " damaged, first " + first),
                out_error);
  });
}
