// queue.hpp: where the events of clients and servers wait to be taken.
//
// One lock guards the list, the sleepers and the descriptors. A descriptor is readable
// exactly while events wait: it is set in the step from empty to non-empty and reset in the step
// back, under that lock, so whoever polls it sees a level and no wakeup can be lost. Descriptors
// are made when first asked for; callers get duplicates, which stay theirs when the queue is
// gone.
//
// The library never blocks here, never drops an event and needs no memory to put one in. The list
// is bounded by what puts events in: operations count as outstanding until their event is taken
// (client.cpp).
//
// Threads: [any]. The wakeup function is called outside of the lock.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>

#include "base/result.hpp"
#include "base/time.hpp"
#include "capi/event.hpp"

namespace raftcs::capi {

class Queue {
 public:
  Queue() = default;
  ~Queue();
  Queue(const Queue&) = delete;
  Queue& operator=(const Queue&) = delete;

  // Takes the events over, in order, and empties the list.
  void push(EventList* events);
  void push(std::unique_ptr<raftcs_event> event);

  // Takes up to `cap` events, waiting for the first: timeout_ms 0 not at all, negative for ever.
  size_t take(int64_t timeout_ms, raftcs_event** out, size_t cap);
  void interrupt();
  Result<int> open_fd(int32_t kind);
  void set_wakeup(raftcs_wakeup_fn wakeup, uint64_t user_data);
  size_t length();

  // What the thread that delivers for all clients gathers for this queue; nobody else's.
  EventList gathered;
  Queue* gathered_next = nullptr;

 private:
  void pushed(std::unique_lock<std::mutex>& hold, bool was_empty, size_t count);
  bool wait(std::unique_lock<std::mutex>& hold, int64_t timeout_ms);
  void set_readable();
  void reset_readable();

  std::mutex lock_;
  std::condition_variable changed_;
  EventList events_;
  size_t waiting_ = 0;
  size_t interrupts_ = 0;  // not yet seen by a waiter
  int event_fd_ = -1;
  int pipe_read_ = -1;
  int pipe_write_ = -1;
  raftcs_wakeup_fn wakeup_ = nullptr;
  uint64_t wakeup_data_ = 0;
};

}  // namespace raftcs::capi

struct raftcs_queue : raftcs::capi::Handle<0x6575657571736372> {  // "rcsqueue"
  std::shared_ptr<raftcs::capi::Queue> queue = std::make_shared<raftcs::capi::Queue>();
};
