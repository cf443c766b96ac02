// client_links.hpp: the sockets of a client process: one DEALER per link.
//
// A link is one connection attempt to one endpoint; closing it and opening another is how
// a client gets a fresh connection epoch. Stable socket types only (decision D2). The
// transport is lossy by contract (TR-01): a frame may vanish with its link, never silently
// twice. A lost connection is reported as down (socket monitor) and the link is then dead:
// libzmq's own reconnection is off, because the engine decides where to go next.
//
// Threads: one at a time; wake() may be called from any.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "base/time.hpp"

namespace raftcs::net {

class Context;  // one ZeroMQ context of the process (context.hpp)
class Poller;

struct LinkInput {
  uint32_t link = 0;
  bool down = false;  // else: a frame
  Bytes frame;
};

class ClientLinks {
 public:
  static Result<std::unique_ptr<ClientLinks>> create(uint64_t frame_bytes_max);
  virtual ~ClientLinks() = default;

  virtual Status open(uint32_t link, const std::string& endpoint) = 0;
  // A link that was reported down keeps its sockets until it is closed.
  virtual void close(uint32_t link) = 0;
  // Appends that all links are down, and they are.
  virtual void abandon(std::vector<LinkInput>* out) = 0;
  // Never blocks. False: the pipe is full or the link is gone; the caller treats the link as down.
  virtual bool send(uint32_t link, const Bytes& frame) = 0;
  // Appends what has arrived. Never waits.
  virtual void collect(std::vector<LinkInput>* out) = 0;
  // Nothing has arrived or been sent since that collect cannot have seen: one may sleep.
  virtual bool drained() const = 0;
  // Sets the descriptors to sleep on; requires drained(). Whoever slept collects again, and may
  // find that another thread has done so.
  virtual void watch(Poller* poller) = 0;
  virtual void wake() = 0;
};

}  // namespace raftcs::net
