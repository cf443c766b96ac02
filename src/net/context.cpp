// context.cpp: sockets, parts and the waker.
#include "net/context.hpp"

#include <pthread.h>
#include <unistd.h>
#include <zmq.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <mutex>

#include "net/poller.hpp"
#include "sys/descriptors.hpp"

namespace raftcs::net {
namespace {

// Frames up to this size are copied into the message: cheaper than an allocation for the
// share and a free callback on the I/O thread.
constexpr size_t kCopyBytesMax = 1024;

// libzmq waits with these for a whole message: a frame that takes longer on its line ends the line,
// each time that it is sent again. A mebibyte in a minute is a slow line; libzmq keeps no more than
// 65 s. What is noticed as late as that is a line whose other end is up and forwards nothing.
constexpr int kHeartbeatIntervalMs = 1000;
constexpr int kHeartbeatTimeoutMs = 60'000;
// TCP gives a line up on which nothing was acknowledged for so long, in the kernel of the other
// side; with the heartbeats there always is something to acknowledge. So lines to machines that are
// gone, or cut, end soon, and the next connection does not wait for the repetitions of the last.
constexpr int kDeadLineMs = 4000;
constexpr int kQueueFramesMax = 20'000;
constexpr int kInterruptionsMax = 1000;
constexpr size_t kDescriptorsForContext = 16;  // libzmq takes six, other threads may take some

struct OwnedMessage {
  zmq_msg_t msg;
  OwnedMessage() { zmq_msg_init(&msg); }
  ~OwnedMessage() { zmq_msg_close(&msg); }
  OwnedMessage(const OwnedMessage&) = delete;
  OwnedMessage& operator=(const OwnedMessage&) = delete;
};

void release_shared(void*, void* hint) { delete static_cast<Bytes*>(hint); }

// A signal may interrupt any call before it does anything, also one that does not wait. In a
// forked child libzmq reports interruptions for ever, hence the bound.
template <class Call>
int uninterrupted(Call call) {
  int result = call();
  for (int n = 0; n < kInterruptionsMax && result < 0 && zmq_errno() == EINTR; ++n) result = call();
  return result;
}

}  // namespace

std::string zmq_error_text() {
  const int error = zmq_errno();
  return zmq_strerror(error) + sys::open_files_hint(error);
}

Result<std::shared_ptr<Context>> Context::get() {
  static std::mutex mutex;
  static std::weak_ptr<Context> shared;
  static pid_t owner = 0;
  std::lock_guard lock(mutex);
  if (owner != getpid()) shared.reset();  // a forked child makes its own
  if (auto existing = shared.lock()) return existing;

  // A libzmq whose threads find no descriptor ends the process.
  {
    const std::array<Waker, kDescriptorsForContext> probe;
    for (const Waker& each : probe) RCS_TRY(each.status());
  }

  // The I/O thread inherits the signal mask of its creator.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  void* handle = zmq_ctx_new();
  if (handle != nullptr) {
    zmq_ctx_set(handle, ZMQ_IO_THREADS, 1);
    zmq_ctx_set(handle, ZMQ_MAX_SOCKETS, 4096);
    zmq_ctx_set(handle, ZMQ_THREAD_NAME_PREFIX, 0);
    void* probe = zmq_socket(handle, ZMQ_PAIR);  // starts the threads now, under this mask
    if (probe != nullptr) {
      zmq_close(probe);
    } else {
      const int error = zmq_errno();
      zmq_ctx_term(handle);
      handle = nullptr;
      errno = error;
    }
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (handle == nullptr)
    return {RAFTCS_ERR_RESOURCE_LIMIT, "cannot make a ZeroMQ context: " + zmq_error_text()};
  std::shared_ptr<Context> context(new Context(handle));
  shared = context;
  owner = getpid();
  return context;
}

Context::Context(void* handle) : handle_(handle), owner_(getpid()) {}

// Waits for what lingers. An interrupted wait has ended nothing: left at that, the threads and
// their descriptors would stay for good. In a forked child they are the parent's.
Context::~Context() {
  if (owner_ != getpid()) return;
  while (zmq_ctx_term(handle_) != 0 && zmq_errno() == EINTR) {
  }
}

Result<Socket> Socket::open(int type) {
  auto context = Context::get();
  if (!context) return context.status();
  void* handle = zmq_socket((*context)->handle(), type);
  if (handle == nullptr)
    return {RAFTCS_ERR_RESOURCE_LIMIT, "cannot make a ZeroMQ socket: " + zmq_error_text()};
  return Socket(std::move(*context), handle);
}

void Socket::close() {
  if (handle_ != nullptr) zmq_close(handle_);
  handle_ = nullptr;
  context_.reset();
}

Status Socket::set(int option, int value) {
  if (zmq_setsockopt(handle_, option, &value, sizeof value) == 0) return Status::ok();
  return {RAFTCS_ERR_INTERNAL, "ZeroMQ option " + std::to_string(option) + ": " + zmq_error_text()};
}

Status Socket::set64(int option, int64_t value) {
  if (zmq_setsockopt(handle_, option, &value, sizeof value) == 0) return Status::ok();
  return {RAFTCS_ERR_INTERNAL, "ZeroMQ option " + std::to_string(option) + ": " + zmq_error_text()};
}

Status Socket::bind(const std::string& address) {
  if (uninterrupted([&] { return zmq_bind(handle_, address.c_str()); }) == 0) return Status::ok();
  return {RAFTCS_ERR_IO,
          "cannot listen on '" + address + "': " + zmq_error_text() +
              " (expected tcp://HOST:PORT with an address of this machine and a free port)"};
}

Status Socket::connect(const std::string& address) {
  if (uninterrupted([&] { return zmq_connect(handle_, address.c_str()); }) == 0)
    return Status::ok();
  return {RAFTCS_ERR_IO, "cannot connect to '" + address + "': " + zmq_error_text()};
}

std::string Socket::last_endpoint() const {
  char text[512];
  size_t size = sizeof text;
  if (zmq_getsockopt(handle_, ZMQ_LAST_ENDPOINT, text, &size) != 0 || size == 0) return {};
  return std::string(text, size - 1);
}

Received receive_part(void* socket, Bytes* out, bool* more) {
  auto owned = std::make_shared<OwnedMessage>();
  // "Nothing" ends the draining of a socket and cuts a message between its parts: not for a signal.
  int size = uninterrupted([&] { return zmq_msg_recv(&owned->msg, socket, ZMQ_DONTWAIT); });
  if (size < 0)
    return zmq_errno() == EAGAIN || zmq_errno() == EINTR ? Received::nothing : Received::failed;
  *more = zmq_msg_more(&owned->msg) != 0;
  const void* data = zmq_msg_data(&owned->msg);
  *out = Bytes(std::move(owned), data, static_cast<size_t>(size));
  return Received::frame;
}

Sent send_part(void* socket, const Bytes& data, bool more) {
  zmq_msg_t msg;
  if (data.size() <= kCopyBytesMax || !data.owner()) {
    if (zmq_msg_init_size(&msg, data.size()) != 0) return Sent::failed;
    if (!data.empty()) std::memcpy(zmq_msg_data(&msg), data.data(), data.size());
  } else {
    auto* share = new Bytes(data);
    if (zmq_msg_init_data(&msg, const_cast<uint8_t*>(data.data()), data.size(), release_shared,
                          share) != 0) {
      delete share;
      return Sent::failed;
    }
  }
  const int flags = ZMQ_DONTWAIT | (more ? ZMQ_SNDMORE : 0);
  if (uninterrupted([&] { return zmq_msg_send(&msg, socket, flags); }) >= 0) return Sent::ok;
  int error = zmq_errno();
  zmq_msg_close(&msg);
  return error == EAGAIN ? Sent::full : error == EHOSTUNREACH ? Sent::unreachable : Sent::failed;
}

Status set_common_options(Socket& socket, uint64_t frame_bytes_max, int linger_ms) {
  RCS_TRY(socket.set(ZMQ_LINGER, linger_ms));
  RCS_TRY(socket.set(ZMQ_SNDHWM, kQueueFramesMax));
  RCS_TRY(socket.set(ZMQ_RCVHWM, kQueueFramesMax));
  RCS_TRY(socket.set64(ZMQ_MAXMSGSIZE, static_cast<int64_t>(frame_bytes_max)));
  RCS_TRY(socket.set(ZMQ_HEARTBEAT_IVL, kHeartbeatIntervalMs));
  RCS_TRY(socket.set(ZMQ_HEARTBEAT_TIMEOUT, kHeartbeatTimeoutMs));
  RCS_TRY(socket.set(ZMQ_HEARTBEAT_TTL, kHeartbeatTimeoutMs));
  RCS_TRY(socket.set(ZMQ_TCP_MAXRT, kDeadLineMs));
  return socket.set(ZMQ_IPV6, 1);
}

int Socket::event_fd() const {
  int fd = -1;
  size_t size = sizeof fd;
  if (handle_ == nullptr || zmq_getsockopt(handle_, ZMQ_FD, &fd, &size) != 0) return -1;
  return fd;
}

}  // namespace raftcs::net
