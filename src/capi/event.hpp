// event.hpp: one completion or notification, with everything it says.
//
// Events own their bytes (a share of the frame they came in) and live until the caller
// destroys them, however long their client is gone. What is counted or acknowledged when an
// event is taken from its queue hangs on the Origin it keeps.
#pragma once

#include <memory>
#include <string>
#include <utility>

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
  raftcs_event* next = nullptr;  // of its list
};

namespace raftcs::capi {

// Owns its events and needs no memory for itself, so that an event that is made is never lost.
class EventList {
 public:
  EventList() = default;
  EventList(const EventList&) = delete;
  EventList& operator=(const EventList&) = delete;
  ~EventList() {
    while (!empty()) take_first();
  }
  bool empty() const { return first_ == nullptr; }
  size_t size() const { return size_; }
  void add(std::unique_ptr<raftcs_event> event) {
    *end_ = event.release();
    end_ = &(*end_)->next;
    ++size_;
  }
  void add_all(EventList* other) {
    if (other->empty()) return;
    *end_ = std::exchange(other->first_, nullptr);
    end_ = std::exchange(other->end_, &other->first_);
    size_ += std::exchange(other->size_, 0);
  }
  // Requires: not empty.
  std::unique_ptr<raftcs_event> take_first() {
    std::unique_ptr<raftcs_event> event(first_);
    first_ = std::exchange(event->next, nullptr);
    if (first_ == nullptr) end_ = &first_;
    --size_;
    return event;
  }

 private:
  raftcs_event* first_ = nullptr;
  raftcs_event** end_ = &first_;  // where the next one is hung up
  size_t size_ = 0;
};

}  // namespace raftcs::capi
