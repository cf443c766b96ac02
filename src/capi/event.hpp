// event.hpp: one completion or notification, with everything it says.
//
// Events own their bytes (a share of the frame they came in) and live until the caller
// destroys them, however long their client is gone. What is counted or acknowledged when an
// event is taken from its queue hangs on the Origin it keeps.
#pragma once

#include <memory>
#include <string>

#include "base/bytes.hpp"
#include "capi/handle.hpp"
#include "raftcs.h"

namespace raftcs::capi {

// Who made an event, if that one wants to know when it is taken.
class Origin {
 public:
  virtual ~Origin() = default;
  // On the taking thread, outside of the queue's lock.
  virtual void taken(const raftcs_event& event) = 0;
};

}  // namespace raftcs::capi

struct raftcs_event : raftcs::capi::Handle<0x746e657665736372> {  // "rcsevent"
  int32_t kind = 0;
  raftcs_status_t status = RAFTCS_OK;
  int32_t outcome = RAFTCS_OUTCOME_NONE;
  int32_t app_code = 0;
  int32_t retry_after_ms = 0;
  uint32_t life = 0;  // server requests: which of the client's sessions
  uint64_t tag = 0;
  uint64_t op_id = 0;
  uint64_t index = 0;
  raftcs::Bytes data;
  std::string text;
  std::shared_ptr<raftcs::capi::Origin> origin;
};
