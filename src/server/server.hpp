// server.hpp: a node of a cluster inside this process: threads, sockets and disk around
// the pure node (node.hpp).
//
// start() gives back when the node's sockets are bound and its threads run; begin_stop()
// hands leadership over, tells clients and stops; join() waits. Errors of the environment
// never end the process: the node stops taking part and says why in info().health and to
// the observer.
//
// Threads: all functions [any]. The observer is called from the node's threads, must not
// block and must not call back except info().
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "base/strong_id.hpp"
#include "base/time.hpp"
#include "base/uuid.hpp"
#include "raftcs_plugin.h"

namespace raftcs::server {

struct ClusterMember {
  NodeId id;
  std::string peer_address;
  std::string client_address;
};

struct Options {
  NodeId id;
  std::string data_dir;
  std::string client_listen = "tcp://127.0.0.1:7001";  // port 0 or * picks a free one
  std::string peer_listen = "tcp://127.0.0.1:7101";
  std::string client_advertise;  // what clients are told; empty: as in cluster, else what was bound
  std::string peer_advertise;
  std::string plugins_dir;              // empty: no plugins
  std::string cluster_name = "raftcs";  // part of a new cluster's identity
  std::vector<ClusterMember> cluster;   // empty on a virgin directory: a one-node cluster
  std::vector<std::string> join;        // client addresses of the cluster a new node is to join
  Uuid join_cluster;                    // its id, once it is known (join.hpp)

  DurationNs heartbeat_ns = 50 * kNsPerMs;
  DurationNs election_timeout_ns = 500 * kNsPerMs;
  uint64_t append_bytes_max = 1 << 20;
  uint64_t batch_bytes_max = 1 << 20;  // commands gathered into one entry
  uint32_t batch_commands_max = 4096;
  uint64_t uncommitted_bytes_max = 64 << 20;
  uint64_t segment_bytes = 64 << 20;
  uint64_t disk_reserve_bytes = 32 << 20;   // below this much free space writes are refused
  bool heal_damage = true;  // damaged data: begin anew, from the others; false: refuse to start
  uint64_t scrub_bytes_per_second = 1 << 20;  // files are read again so fast; 0: never
  DurationNs scrub_period_ns = 3600 * kNsPerSecond;  // from pass to pass
  bool reseed = false;      // as if the data were damaged: for a node whose state is wrong
  uint64_t snapshot_entries = 100'000;      // snapshot after this many entries ...
  uint64_t snapshot_log_bytes = 256 << 20;  // ... or this much log
  uint64_t trailing_entries = 1'024;
  uint32_t inflight_appends_max = 64;          // to a peer, unanswered; no setting: for tests
  uint64_t snapshot_chunk_bytes = 256 << 10;  // no setting: for tests
  uint64_t payload_bytes_max = 1 << 20;
  uint64_t frame_bytes_max = 64 << 20;
  uint32_t sessions_max = 100'000;
  uint32_t requests_per_session_max = 1'024;  // outstanding
  uint64_t inflight_bytes_max = 64 << 20;     // requests accepted and not yet answered
  DurationNs queue_delay_ns = 250 * kNsPerMs;  // accepted work may wait about so long; 0: any time
  uint32_t commands_per_second_max = 0;        // of one session; 0: any number
  uint32_t queries_per_second_max = 0;         // of one session; 0: any number
  uint32_t sessions_per_second_max = 0;        // opened at this node; 0: any number
  uint64_t session_timeout_ms_min = 1'000;
  uint64_t session_timeout_ms_max = 600'000;
  bool auto_services = true;  // a new cluster gets one service per state machine type found
};

struct Info {
  bool running = false;
  NodeId id;
  NodeId leader;
  Term term;
  Index commit, applied;
  bool leads = false;
  Status health;
  std::string client_address;  // bound
  std::string peer_address;
};

class Observer {
 public:
  virtual ~Observer() = default;
  virtual void state_changed(const std::string& json) = 0;
  virtual void log(int level, const std::string& line) = 0;
  virtual void stopped() = 0;  // last call
};

struct AdminResult {
  Status status;
  std::string json;
};

class Server {
 public:
  static Result<std::unique_ptr<Server>> start(const Options& options,
                                               const std::vector<const raftcs_sm_type_t*>& types,
                                               Observer* observer);
  virtual ~Server() = default;  // stops and joins
  virtual void begin_stop() = 0;
  virtual void join() = 0;
  virtual Info info() const = 0;
  virtual void admin(const std::string& verb, const std::string& args_json,
                     std::function<void(AdminResult)> done) = 0;
};

}  // namespace raftcs::server
