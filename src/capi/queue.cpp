// queue.cpp: the list, its sleepers and its descriptors.
//
// An interrupt is kept until a waiter sees it (one at least, even if none waits yet): else a
// thread on its way to sleep would miss it. A poll (timeout 0) never consumes one, so that
// "take until NULL" always means "until empty".
#include "capi/queue.hpp"

#include <errno.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>

#include "capi/guard.hpp"
#include "sys/clock.hpp"

namespace raftcs::capi {
namespace {

// Longer than any process lives; keeps sums of nanoseconds in range.
constexpr int64_t kTimeoutMsMax = int64_t{1} << 40;

void write_all_quietly(int fd, const void* data, size_t size) {
  while (write(fd, data, size) < 0 && errno == EINTR) {
  }
}

}  // namespace

Queue::~Queue() {
  for (int fd : {event_fd_, pipe_read_, pipe_write_}) {
    if (fd >= 0) close(fd);
  }
}

void Queue::push(EventList* events) {
  if (events->empty()) return;
  std::unique_lock hold(lock_);
  bool was_empty = events_.empty();
  size_t count = events->size();
  events_.add_all(events);
  pushed(hold, was_empty, count);
}

void Queue::push(std::unique_ptr<raftcs_event> event) {
  std::unique_lock hold(lock_);
  bool was_empty = events_.empty();
  events_.add(std::move(event));
  pushed(hold, was_empty, 1);
}

void Queue::pushed(std::unique_lock<std::mutex>& hold, bool was_empty, size_t count) {
  if (was_empty) set_readable();
  if (waiting_ > 0) {
    if (count > 1) {
      changed_.notify_all();
    } else {
      changed_.notify_one();
    }
  }
  raftcs_wakeup_fn wakeup = was_empty ? wakeup_ : nullptr;
  uint64_t user_data = wakeup_data_;
  hold.unlock();
  if (!wakeup) return;
  CallbackScope scope;
  wakeup(user_data);
}

size_t Queue::take(int64_t timeout_ms, raftcs_event** out, size_t cap) {
  std::unique_lock hold(lock_);
  if (timeout_ms != 0 && !wait(hold, timeout_ms)) return 0;
  size_t count = std::min(cap, events_.size());
  for (size_t i = 0; i < count; ++i) out[i] = events_.take_first().release();
  if (count > 0) {
    if (events_.empty()) {
      reset_readable();
    } else if (waiting_ > 0) {
      changed_.notify_one();  // a wakeup that this taker may have stolen
    }
  }
  hold.unlock();
  for (size_t i = 0; i < count; ++i) {
    if (!out[i]->origin) continue;
    out[i]->origin->taken(*out[i]);
    out[i]->origin.reset();
  }
  return count;
}

// True: there are events. False: timeout or interrupt.
bool Queue::wait(std::unique_lock<std::mutex>& hold, int64_t timeout_ms) {
  Mono deadline = Mono::never();
  if (timeout_ms > 0) deadline = sys::mono_now() + std::min(timeout_ms, kTimeoutMsMax) * kNsPerMs;
  ++waiting_;
  bool found = false;
  while (true) {
    if (interrupts_ > 0) {
      --interrupts_;
      break;
    }
    if (!events_.empty()) {
      found = true;
      break;
    }
    if (deadline == Mono::never()) {
      changed_.wait(hold);
      continue;
    }
    DurationNs left = deadline - sys::mono_now();
    if (left <= 0) break;
    changed_.wait_for(hold, std::chrono::nanoseconds(left));
  }
  --waiting_;
  return found;
}

void Queue::interrupt() {
  std::lock_guard hold(lock_);
  interrupts_ = std::min(interrupts_ + 1, std::max<size_t>(waiting_, 1));
  changed_.notify_all();  // one of them takes it, the others sleep on
}

Result<int> Queue::open_fd(int32_t kind) {
  if (kind != RAFTCS_FD_DEFAULT && kind != RAFTCS_FD_PIPE) {
    return {RAFTCS_ERR_INVALID_ARGUMENT, "no such kind of descriptor"};
  }
  std::lock_guard hold(lock_);
  bool fresh = false;
  if (kind == RAFTCS_FD_DEFAULT && event_fd_ < 0) {
    event_fd_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    fresh = true;
  }
  if (kind == RAFTCS_FD_PIPE && pipe_read_ < 0) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0) {
      pipe_read_ = ends[0];
      pipe_write_ = ends[1];
    }
    fresh = true;
  }
  int own = kind == RAFTCS_FD_DEFAULT ? event_fd_ : pipe_read_;
  if (own < 0) return {RAFTCS_ERR_RESOURCE_LIMIT, "no descriptor is free"};
  if (fresh && !events_.empty()) {
    uint64_t one = 1;
    if (kind == RAFTCS_FD_DEFAULT) {
      write_all_quietly(event_fd_, &one, sizeof one);
    } else {
      write_all_quietly(pipe_write_, &one, 1);
    }
  }
  int copy = fcntl(own, F_DUPFD_CLOEXEC, 0);
  if (copy < 0) return {RAFTCS_ERR_RESOURCE_LIMIT, "no descriptor is free"};
  return copy;
}

void Queue::set_wakeup(raftcs_wakeup_fn wakeup, uint64_t user_data) {
  std::lock_guard hold(lock_);
  wakeup_ = wakeup;
  wakeup_data_ = user_data;
}

size_t Queue::length() {
  std::lock_guard hold(lock_);
  return events_.size();
}

void Queue::set_readable() {
  uint64_t one = 1;
  if (event_fd_ >= 0) write_all_quietly(event_fd_, &one, sizeof one);
  if (pipe_write_ >= 0) write_all_quietly(pipe_write_, &one, 1);
}

// Someone else may have read the byte of a pipe (libuv does): then there is nothing to reset.
void Queue::reset_readable() {
  char buffer[64];
  for (int fd : {event_fd_, pipe_read_}) {
    if (fd < 0) continue;
    while (read(fd, buffer, sizeof buffer) < 0 && errno == EINTR) {
    }
  }
}

}  // namespace raftcs::capi

using raftcs::capi::check_handle;
using raftcs::capi::guard;

raftcs_status_t raftcs_queue_create(const raftcs_queue_options_t* options,
                                    raftcs_queue_t** out_queue) {
  return guard([&]() -> raftcs_status_t {
    raftcs_queue_options_t o;
    if (auto bad = raftcs::capi::read_struct(options, raftcs::capi::kQueueOptionsFirst, &o))
      return bad;
    if (o.flags != 0) return RAFTCS_ERR_UNSUPPORTED;
    if (!out_queue) return RAFTCS_ERR_INVALID_ARGUMENT;
    *out_queue = new raftcs_queue;
    return RAFTCS_OK;
  });
}

void raftcs_queue_destroy(raftcs_queue_t* queue) {
  if (!raftcs::capi::is_handle(queue)) return;
  if (queue->pid != getpid()) {  // after fork its lock and list may be in any state: let it be
    queue->magic = raftcs::capi::kDeadMagic;
    return;
  }
  delete queue;
}

raftcs_status_t raftcs_queue_next_batch(raftcs_queue_t* queue, int64_t timeout_ms,
                                        raftcs_event_t** out_events, size_t cap,
                                        size_t* out_count) {
  return guard([&]() -> raftcs_status_t {
    if (auto bad = check_handle(queue)) return bad;
    if (!out_events || cap == 0 || !out_count || timeout_ms < -1)
      return RAFTCS_ERR_INVALID_ARGUMENT;
    if (timeout_ms != 0 && raftcs::capi::in_callback) return RAFTCS_ERR_WRONG_THREAD;
    auto keep = queue->queue;  // destroyed by another thread while this one sleeps: no harm
    *out_count = keep->take(timeout_ms, out_events, cap);
    return RAFTCS_OK;
  });
}

raftcs_status_t raftcs_queue_next(raftcs_queue_t* queue, int64_t timeout_ms,
                                  raftcs_event_t** out_event) {
  if (!out_event) return RAFTCS_ERR_INVALID_ARGUMENT;
  size_t count = 0;
  raftcs_event_t* event = nullptr;
  raftcs_status_t status = raftcs_queue_next_batch(queue, timeout_ms, &event, 1, &count);
  if (status == RAFTCS_OK) *out_event = count ? event : nullptr;
  return status;
}

raftcs_status_t raftcs_queue_interrupt(raftcs_queue_t* queue) {
  return guard([&]() -> raftcs_status_t {
    if (auto bad = check_handle(queue)) return bad;
    queue->queue->interrupt();
    return RAFTCS_OK;
  });
}

raftcs_status_t raftcs_queue_open_fd(raftcs_queue_t* queue, int32_t kind, int* out_fd) {
  return guard([&]() -> raftcs_status_t {
    if (auto bad = check_handle(queue)) return bad;
    if (!out_fd) return RAFTCS_ERR_INVALID_ARGUMENT;
    auto fd = queue->queue->open_fd(kind);
    if (!fd) return fd.status().code();
    *out_fd = *fd;
    return RAFTCS_OK;
  });
}

raftcs_status_t raftcs_queue_set_wakeup(raftcs_queue_t* queue, raftcs_wakeup_fn wakeup,
                                        uint64_t user_data) {
  return guard([&]() -> raftcs_status_t {
    if (auto bad = check_handle(queue)) return bad;
    queue->queue->set_wakeup(wakeup, user_data);
    return RAFTCS_OK;
  });
}

size_t raftcs_queue_length(raftcs_queue_t* queue) {
  return check_handle(queue) == RAFTCS_OK ? queue->queue->length() : 0;
}
