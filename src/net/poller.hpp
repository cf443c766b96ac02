// poller.hpp: sleeping until a descriptor is readable or another thread says so.
//
// Threads: a Waker [any], but drain() by one at a time; a Poller one.
#pragma once

#include <poll.h>

#include <atomic>
#include <cstddef>
#include <vector>

#include "base/result.hpp"
#include "base/time.hpp"

namespace raftcs::net {

// An eventfd that ends a poll from another thread; many wakes before a poll cost one write.
class Waker {
 public:
  Waker();
  ~Waker();
  Status status() const;  // no descriptor: it wakes nobody and must not be used
  int fd() const { return fd_; }
  void wake();
  void drain();  // by whoever was woken, before it looks at what for; cheap when there was no wake

 private:
  int fd_;
  const int error_;
  std::atomic<bool> pending_{false};  // written and not drained yet
};

// Sleeps until a descriptor is readable, `deadline`, or a signal; marks what is readable.
//
// Sockets are waited for by their event descriptors and not by zmq_poll, which asks every
// socket twice per call and each time by system calls. The descriptor is edge-triggered and
// sending takes its edge away, so two rules hold: a socket is drained until it gives nothing
// after its descriptor was readable, and once more before sleeping if it was sent on since.
class Poller {
 public:
  void clear() { items_.clear(); }
  void add(int fd);  // in the order that readable() counts
  void wait(Mono deadline);
  bool readable(size_t i) const;

 private:
  std::vector<pollfd> items_;
};

}  // namespace raftcs::net
