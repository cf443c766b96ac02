// server_sockets.cpp: two ROUTERs and a DEALER per peer.
#include "net/server_sockets.hpp"

#include <zmq.h>

#include <map>

#include "net/context.hpp"
#include "net/poller.hpp"
#include "sys/clock.hpp"

namespace raftcs::net {
namespace {

constexpr int kClientLingerMs = 300;  // lets a goodbye leave
constexpr int kReconnectMs = 20;
constexpr int kReconnectMaxMs = 200;
constexpr int kPeerConnectTimeoutMs = 1000;
constexpr DurationNs kPeerSocketRetryNs = 200 * kNsPerMs;
constexpr size_t kDrainFramesMax = 4096;    // per socket and poll
constexpr size_t kDrainBytesMax = 4 << 20;  // likewise: a turn of the core loop must be short
constexpr size_t kIdentityBytes = 5;      // what a ROUTER makes: a zero and a 32-bit number

// The sockets are dual-stack, so a bound IPv4 address is told as an IPv4-mapped one, in
// brackets; people and other programs expect the plain form.
std::string plain(const std::string& endpoint) {
  const std::string mapped = "tcp://[::ffff:";
  size_t end = endpoint.find(']');
  if (!endpoint.starts_with(mapped) || end == std::string::npos) return endpoint;
  std::string host = endpoint.substr(mapped.size(), end - mapped.size());
  if (host.find('.') == std::string::npos) return endpoint;
  return "tcp://" + host + endpoint.substr(end + 1);
}

struct Peer {
  std::string address;
  Socket socket;
  Status status;  // not OK: there is no socket
  Mono tried;
};

class ZmqServerSockets final : public ServerSockets {
 public:
  Status bind_all(const Options& options) {
    frame_bytes_max_ = options.frame_bytes_max;
    RCS_ASSIGN(clients, Socket::open(ZMQ_ROUTER));
    RCS_TRY(set_common_options(clients, frame_bytes_max_, kClientLingerMs));
    RCS_TRY(clients.set(ZMQ_ROUTER_MANDATORY, 1));
    RCS_TRY(clients.set(ZMQ_BACKLOG, 1024));
    RCS_ASSIGN(peers, Socket::open(ZMQ_ROUTER));
    RCS_TRY(set_common_options(peers, frame_bytes_max_, 0));
    RCS_TRY(clients.bind(options.client_listen).with_context("client socket"));
    RCS_TRY(peers.bind(options.peer_listen).with_context("peer socket"));
    clients_ = std::move(clients);
    peers_in_ = std::move(peers);
    clients_fd_ = clients_.event_fd();
    peers_fd_ = peers_in_.event_fd();
    return waker_.status();
  }

  std::string client_address() const override { return plain(clients_.last_endpoint()); }
  std::string peer_address() const override { return plain(peers_in_.last_endpoint()); }

  void set_peer(NodeId peer, const std::string& address) override {
    auto it = peers_.find(peer);
    if (it != peers_.end()) {
      if (it->second.address == address) return;
      peers_.erase(it);
    }
    if (!address.empty()) connect_peer(peers_[peer] = Peer{address, {}, {}, {}});
    find_peer_trouble();
  }

  bool send_peer(NodeId peer, const Bytes& frame) override {
    auto it = peers_.find(peer);
    if (it == peers_.end()) return false;
    Peer& to = it->second;
    if (!to.status.is_ok()) {
      if (sys::mono_now() - to.tried < kPeerSocketRetryNs) return false;
      connect_peer(to);
      find_peer_trouble();
    }
    return to.status.is_ok() && send_part(to.socket.handle(), frame, false) == Sent::ok;
  }

  const std::string& peer_trouble() const override { return peer_trouble_; }

  bool send_client(ConnId conn, const Bytes& frame) override {
    clients_dirty_ = true;
    uint8_t identity[kIdentityBytes] = {0};
    std::memcpy(identity + 1, &conn, sizeof conn);
    if (send_part(clients_.handle(), Bytes::borrow(identity, sizeof identity), true) != Sent::ok)
      return false;
    return send_part(clients_.handle(), frame, false) == Sent::ok;
  }

  void poll(Mono deadline, std::vector<ServerInput>* out) override {
    // Clients' socket was sent on since it was drained; the peers' one is never sent on.
    if (peers_dirty_) drain_peers(out);
    if (clients_dirty_) drain_clients(out);
    if (!out->empty()) {
      peers_dirty_ = true;  // busy clients never keep peers waiting for more than a turn
      return;
    }
    poller_.clear();
    poller_.add(waker_.fd());
    poller_.add(clients_fd_);
    poller_.add(peers_fd_);
    poller_.wait(deadline);
    waker_.drain();
    if (poller_.readable(2)) drain_peers(out);
    if (poller_.readable(1)) drain_clients(out);
  }

  void wake() override { waker_.wake(); }
  void close() override {
    peers_.clear();
    clients_.close();
    peers_in_.close();
    clients_dirty_ = peers_dirty_ = false;
  }
  uint64_t foreign_frames() const override { return foreign_frames_; }

 private:
  void connect_peer(Peer& peer) {
    peer.tried = sys::mono_now();
    auto socket = peer_socket(peer.address);
    peer.status = socket.status();
    if (socket) peer.socket = std::move(*socket);
  }

  void find_peer_trouble() {
    peer_trouble_.clear();
    for (const auto& [id, peer] : peers_)
      if (peer_trouble_.empty() && !peer.status.is_ok())
        peer_trouble_ = "node " + to_string(id) + " at '" + peer.address +
                        "' cannot be connected: " + peer.status.text();
  }

  Result<Socket> peer_socket(const std::string& address) {
    RCS_ASSIGN(socket, Socket::open(ZMQ_DEALER));
    RCS_TRY(set_common_options(socket, frame_bytes_max_, 0));
    RCS_TRY(socket.set(ZMQ_IMMEDIATE, 1));
    RCS_TRY(socket.set(ZMQ_RECONNECT_IVL, kReconnectMs));
    RCS_TRY(socket.set(ZMQ_RECONNECT_IVL_MAX, kReconnectMaxMs));
    RCS_TRY(socket.set(ZMQ_CONNECT_TIMEOUT, kPeerConnectTimeoutMs));
    RCS_TRY(socket.connect(address));
    return socket;
  }

  // Dirty stays what was not drained to its end.
  void drain_clients(std::vector<ServerInput>* out) {
    clients_dirty_ = !drain_socket(clients_.handle(), false, out);
  }
  void drain_peers(std::vector<ServerInput>* out) {
    peers_dirty_ = !drain_socket(peers_in_.handle(), true, out);
  }

  // True when the socket gave nothing more.
  bool drain_socket(void* socket, bool from_peer, std::vector<ServerInput>* out) {
    size_t bytes = 0;
    for (size_t n = 0; n < kDrainFramesMax && bytes < kDrainBytesMax; ++n) {
      Bytes identity, frame;
      bool more = false;
      if (receive_part(socket, &identity, &more) != Received::frame) return true;
      bool good = more && identity.size() == kIdentityBytes && identity[0] == 0;
      if (more && receive_part(socket, &frame, &more) != Received::frame) return true;
      while (more) {  // several parts: not ours
        good = false;
        Bytes rest;
        if (receive_part(socket, &rest, &more) != Received::frame) return true;
      }
      if (!good) {
        ++foreign_frames_;
        continue;
      }
      ConnId conn;
      std::memcpy(&conn, identity.data() + 1, sizeof conn);
      bytes += frame.size();
      out->push_back({from_peer, conn, std::move(frame)});
    }
    return false;
  }

  uint64_t frame_bytes_max_ = 0;
  Waker waker_;
  Socket clients_;
  Socket peers_in_;
  std::map<NodeId, Peer> peers_;
  std::string peer_trouble_;
  int clients_fd_ = -1;
  int peers_fd_ = -1;
  bool clients_dirty_ = true;
  bool peers_dirty_ = true;
  Poller poller_;
  uint64_t foreign_frames_ = 0;
};

}  // namespace

Result<std::unique_ptr<ServerSockets>> ServerSockets::bind(const Options& options) {
  auto sockets = std::make_unique<ZmqServerSockets>();
  RCS_TRY(sockets->bind_all(options));
  return std::unique_ptr<ServerSockets>(std::move(sockets));
}

}  // namespace raftcs::net
