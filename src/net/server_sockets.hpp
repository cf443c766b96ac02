// server_sockets.hpp: the sockets of a node.
//
// Clients come in on one ROUTER; each connection has an identity that the ROUTER makes (a
// connection that brings its own is dropped and counted: identities that clients choose can
// collide and be taken over, catalogue TR-02). Peers come in on a second ROUTER and are sent
// to over one DEALER each, so that each direction of a pair is a connection of its own and a
// peer that restarts meets a fresh one. ZMQ_IMMEDIATE towards peers: nothing is queued for
// one that is away (TR-03). Sending never blocks; what cannot be sent is told to the caller.
//
// Threads: one; wake() may be called from any.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "base/strong_id.hpp"
#include "base/time.hpp"

namespace raftcs::net {

using ConnId = uint32_t;  // a client connection; not reused soon

struct ServerInput {
  bool from_peer = false;
  ConnId conn = 0;  // clients
  Bytes frame;
};

class ServerSockets {
 public:
  struct Options {
    std::string client_listen;
    std::string peer_listen;
    uint64_t frame_bytes_max = 64 << 20;
  };
  static Result<std::unique_ptr<ServerSockets>> bind(const Options& options);
  virtual ~ServerSockets() = default;

  virtual std::string client_address() const = 0;  // with the real port
  virtual std::string peer_address() const = 0;

  // Connects (anew when the address changed); an empty address disconnects.
  virtual void set_peer(NodeId peer, const std::string& address) = 0;
  virtual bool send_peer(NodeId peer, const Bytes& frame) = 0;  // false: away or its pipe is full
  // Why a peer has no socket; empty while all have one. send_peer tries to make it again.
  virtual const std::string& peer_trouble() const = 0;
  virtual bool send_client(ConnId conn, const Bytes& frame) = 0;  // false: gone or not reading
  // Appends what has arrived, waiting until `deadline` at most when there is nothing.
  virtual void poll(Mono deadline, std::vector<ServerInput>* out) = 0;
  virtual void wake() = 0;
  virtual void close() = 0;  // frees the addresses; only wake() may be called afterwards
  virtual uint64_t foreign_frames() const = 0;  // dropped: own identity, several parts
};

}  // namespace raftcs::net
