// context.hpp: the process's ZeroMQ context and the few ways raftcs touches sockets.
//
// All of <zmq.h> stays inside src/net. Sockets are plain RAII handles; frames arrive as
// Bytes that own their ZeroMQ message, and leave either copied (small) or shared (large),
// so a payload is never copied for the sake of the transport.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "base/time.hpp"

namespace raftcs::net {

// The shared context; made with its first user, ended with its last. Its I/O thread blocks
// signals like every thread of the library.
class Context {
 public:
  static Result<std::shared_ptr<Context>> get();
  ~Context();
  void* handle() const { return handle_; }

 private:
  explicit Context(void* handle);
  void* handle_;
  const int owner_;  // the process
};

class Socket {
 public:
  Socket() = default;
  Socket(std::shared_ptr<Context> context, void* handle)
      : context_(std::move(context)), handle_(handle) {}
  Socket(Socket&& o) noexcept
      : context_(std::move(o.context_)), handle_(std::exchange(o.handle_, nullptr)) {}
  Socket& operator=(Socket&& o) noexcept {
    close();
    context_ = std::move(o.context_);
    handle_ = std::exchange(o.handle_, nullptr);
    return *this;
  }
  ~Socket() { close(); }
  static Result<Socket> open(int type);

  void* handle() const { return handle_; }
  void close();
  Status set(int option, int value);
  Status set64(int option, int64_t value);
  Status bind(const std::string& address);  // the sentence names the address
  Status connect(const std::string& address);
  std::string last_endpoint() const;
  // Readable when the socket may have something (see Poller); -1 when closed.
  int event_fd() const;

 private:
  std::shared_ptr<Context> context_;
  void* handle_ = nullptr;
};

enum class Received { frame, nothing, failed };
// One part, without waiting. `more`: further parts of the same message follow.
Received receive_part(void* socket, Bytes* out, bool* more);
enum class Sent { ok, full, unreachable, failed };
Sent send_part(void* socket, const Bytes& data, bool more);

// The options that every socket of raftcs shares: heartbeats, limits, no lingering.
Status set_common_options(Socket& socket, uint64_t frame_bytes_max, int linger_ms);

std::string zmq_error_text();  // of the last failed call in this thread

}  // namespace raftcs::net
