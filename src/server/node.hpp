// node.hpp: a whole node as a value: consensus, sessions' routing, admission, lanes.
//
// Sits between the sockets and raft::Node. Takes decoded time, frames and lane results;
// gives back frames to send and jobs to run. No socket, disk, thread or clock in here, so
// the simulator runs this code with several nodes in one thread (decision D1).
//
// What must hold
//  - Only a leader that has applied an entry of its own term serves clients (LDR-09);
//    everyone else answers with the leader's address, or with a time to ask again (D3).
//  - Every request accepted is answered once, or its channel is told that this node does
//    not lead any more; the client then sends it again elsewhere under the same id.
//  - A reply leaves only after its command was applied, hence committed and durable (D7).
//  - Everything that can pile up is bounded: accepted requests (count per session, bytes in
//    all), pending creations, one batch under construction, connections.
//  - After a storage error this node emits no vote, append acknowledgement or reply (S21).
//
// Threads: none; the caller serialises.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "server/jobs.hpp"
#include "server/server.hpp"
#include "storage/healing.hpp"
#include "sys/random.hpp"
#include "wire/codec.hpp"

namespace raftcs::server {

struct PluginFile {  // for administration
  std::string file;
  std::string name;
  std::string version;
  std::vector<std::string> types;
  std::string error;  // refused, and why
};

struct NodeEnvironment {
  sys::RandomSource* random = nullptr;                    // session ids
  std::function<std::vector<PluginFile>()> list_plugins;  // may be empty
  std::optional<storage::Healing> healing;                // DataDir::healing()
};

struct NodeEffects {
  struct ClientFrame {
    net::ConnId conn;
    Bytes frame;
  };
  struct PeerFrame {
    NodeId peer;
    Bytes frame;
  };
  struct PeerAddress {  // connect, reconnect, or (empty) disconnect
    NodeId peer;
    std::string address;
  };
  struct LogLine {
    int level;
    std::string text;
  };
  struct LocalReply {  // to admin() with this token
    uint64_t token;
    AdminResult result;
  };
  std::vector<PeerAddress> peer_addresses;  // before the frames
  std::vector<ClientFrame> client_frames;
  std::vector<PeerFrame> peer_frames;
  std::vector<LogJob> log;
  std::vector<ApplyJob> apply;
  std::vector<SnapshotJob> snapshot;
  std::vector<LogLine> lines;
  std::vector<std::string> states;  // JSON, for the observer
  std::vector<LocalReply> local_replies;
  bool stopped = false;  // begin_stop is done; nothing more will come
};

class Node {
 public:
  Node(const Options& options, const storage::Identity& identity, raft::BootImage image,
       const NodeEnvironment& environment, Mono now);
  ~Node();

  void client_frame(net::ConnId conn, const Bytes& frame, Mono now);
  void client_gone(net::ConnId conn);  // a send to it failed
  void peer_frame(const Bytes& frame, Mono now);
  void log_done(const LogDone& done, Mono now);
  void apply_done(ApplyDone&& done, Mono now);
  void snapshot_done(SnapshotDone&& done, Mono now);
  void admin(uint64_t token, const std::string& verb, const std::string& args_json, Mono now);
  void begin_stop(Mono now);
  void tick(Mono now);

  NodeEffects take_effects(Mono now);
  Mono next_deadline() const;
  Info info() const;
  raft::NodeStatus raft_status() const;
  bool serving() const;
  const raft::Node& raft() const;        // for tests and simulators
  void set_invariant_checks(bool full, uint32_t scan_every = 1);  // see raft::Node

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace raftcs::server
