// client_links.cpp: DEALER sockets with a monitor each.
//
// Reconnection by libzmq is off (ZMQ_RECONNECT_IVL -1): a link lives as long as its TCP
// connection, so that everything received on it belongs to one epoch.
#include "net/client_links.hpp"

#include <zmq.h>

#include <map>

#include "net/context.hpp"
#include "net/poller.hpp"

namespace raftcs::net {
namespace {

constexpr int kLingerMs = 300;  // lets a close_session leave
constexpr int kConnectTimeoutMs = 2000;
constexpr size_t kPollFramesMax = 4096;  // so that timers get their turn

struct Link {
  Socket socket;
  Socket monitor;
  int fd = -1;
  int monitor_fd = -1;
  bool dead = false;  // reported down; nothing more comes of it
};

class ZmqClientLinks final : public ClientLinks {
 public:
  explicit ZmqClientLinks(std::shared_ptr<Context> context, uint64_t frame_bytes_max)
      : context_(std::move(context)), frame_bytes_max_(frame_bytes_max) {}

  Status status() const { return waker_.status(); }

  Status open(uint32_t id, const std::string& endpoint) override {
    RCS_ASSIGN(socket, Socket::open(ZMQ_DEALER));
    RCS_TRY(set_common_options(socket, frame_bytes_max_, kLingerMs));
    RCS_TRY(socket.set(ZMQ_RECONNECT_IVL, -1));
    RCS_TRY(socket.set(ZMQ_CONNECT_TIMEOUT, kConnectTimeoutMs));
    std::string monitor_address = "inproc://raftcs-link-" +
                                  std::to_string(reinterpret_cast<uintptr_t>(this)) + "-" +
                                  std::to_string(id);
    int events = ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_CLOSED | ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL |
                 ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH;
    if (zmq_socket_monitor(socket.handle(), monitor_address.c_str(), events) != 0)
      return {RAFTCS_ERR_RESOURCE_LIMIT, "cannot watch a connection: " + zmq_error_text()};
    RCS_ASSIGN(monitor, Socket::open(ZMQ_PAIR));
    RCS_TRY(monitor.set(ZMQ_LINGER, 0));
    RCS_TRY(monitor.connect(monitor_address));
    RCS_TRY(socket.connect(endpoint));
    Link link;
    link.fd = socket.event_fd();
    link.monitor_fd = monitor.event_fd();
    link.socket = std::move(socket);
    link.monitor = std::move(monitor);
    links_[id] = std::move(link);
    drained_ = false;
    return Status::ok();
  }

  void close(uint32_t id) override {
    auto it = links_.find(id);
    if (it == links_.end()) return;
    zmq_socket_monitor(it->second.socket.handle(), nullptr, 0);
    links_.erase(it);
  }

  void abandon(std::vector<LinkInput>* out) override {
    for (auto& [id, link] : links_) {
      link.dead = true;
      out->push_back({id, true, {}});
    }
  }

  bool send(uint32_t id, const Bytes& frame) override {
    auto it = links_.find(id);
    if (it == links_.end() || it->second.dead) return false;
    drained_ = false;
    return send_part(it->second.socket.handle(), frame, false) == Sent::ok;
  }

  void collect(std::vector<LinkInput>* out) override {
    waker_.drain();
    drained_ = true;
    for (auto& [id, link] : links_) {
      if (link.dead) continue;
      // Frames first: what arrived before the connection went is still good.
      if (!drain_frames(id, link, out)) drained_ = false;
      drain_monitor(id, link, out);
    }
  }

  bool drained() const override { return drained_; }

  void watch(Poller* poller) override {
    poller->clear();
    poller->add(waker_.fd());
    for (auto& [id, link] : links_) {
      if (link.dead) continue;
      poller->add(link.fd);
      poller->add(link.monitor_fd);
    }
  }

  void wake() override { waker_.wake(); }

 private:
  // True when the socket gave nothing more.
  bool drain_frames(uint32_t id, Link& link, std::vector<LinkInput>* out) {
    for (size_t n = 0; n < kPollFramesMax; ++n) {
      Bytes frame;
      bool more = false;
      if (receive_part(link.socket.handle(), &frame, &more) != Received::frame) return true;
      // One part per message; what claims more is foreign and its parts are dropped by the codec.
      out->push_back({id, false, std::move(frame)});
    }
    return false;
  }

  void drain_monitor(uint32_t id, Link& link, std::vector<LinkInput>* out) {
    Bytes part;
    bool more = false;
    while (receive_part(link.monitor.handle(), &part, &more) == Received::frame) {
      while (more && receive_part(link.monitor.handle(), &part, &more) == Received::frame) {
      }
      if (link.dead) continue;
      link.dead = true;  // every event asked for means the connection is gone
      out->push_back({id, true, {}});
    }
  }

  std::shared_ptr<Context> context_;
  uint64_t frame_bytes_max_;
  Waker waker_;
  std::map<uint32_t, Link> links_;
  bool drained_ = true;  // else: sent on, or not drained to the end: look before sleeping
};

}  // namespace

Result<std::unique_ptr<ClientLinks>> ClientLinks::create(uint64_t frame_bytes_max) {
  RCS_ASSIGN(context, Context::get());
  auto links = std::make_unique<ZmqClientLinks>(std::move(context), frame_bytes_max);
  RCS_TRY(links->status());
  return std::unique_ptr<ClientLinks>(std::move(links));
}

}  // namespace raftcs::net
