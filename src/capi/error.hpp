// error.hpp: a status with a sentence, as a handle.
#pragma once

#include <string>

#include "base/result.hpp"
#include "capi/handle.hpp"
#include "raftcs.h"

struct raftcs_error : raftcs::capi::Handle<0x726f727265736372> {  // "rcserror"
  explicit raftcs_error(raftcs::Status s) : status(std::move(s)) {}
  raftcs::Status status;
};

namespace raftcs::capi {

// Gives the status's code, and the sentence too if the caller wants it.
inline raftcs_status_t fail(const Status& status, raftcs_error_t** out_error) {
  if (!status.is_ok() && out_error) *out_error = new raftcs_error(status);
  return status.code();
}

}  // namespace raftcs::capi
