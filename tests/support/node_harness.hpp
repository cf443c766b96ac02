// node_harness.hpp: real server::Node values in virtual time, for unit tests.
//
// Nodes with their lanes on disks in memory; no thread, socket or clock. Time passes only in
// run() and run_until(): lanes finish at once (unless held), a frame between nodes takes a
// millisecond, a client's frame takes no time. For faults by chance see tests/sim; this is for
// tests that want one exact situation. The state machine is the simulator's ledger.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/prng.hpp"
#include "server/bootstrap.hpp"
#include "server/lanes.hpp"
#include "server/node.hpp"
#include "sim/ledger_machine.hpp"
#include "support/sim_disk.hpp"

namespace raftcs::test {

constexpr DurationNs kMs = kNsPerMs;

class SeededRandom final : public sys::RandomSource {
 public:
  explicit SeededRandom(uint64_t seed) : prng_(seed) {}
  uint64_t next_u64() override { return prng_.next(); }

 private:
  Prng prng_;
};

class NodeHarness {
 public:
  using Adjust = std::function<void(server::Options&)>;
  using Types = std::vector<const raftcs_sm_type_t*>;
  // Nodes 1..count, started. `adjust` changes the options of each; `types` are offered beside the
  // ledger.
  explicit NodeHarness(uint64_t count = 1, const Adjust& adjust = nullptr, Types types = {});
  ~NodeHarness();

  // --- time -----------------------------------------------------------------------------
  Mono now() const { return now_; }
  void run(DurationNs time);
  // True as soon as `condition` holds; false when it does not within `time`.
  bool run_until(const std::function<bool()>& condition, DurationNs time);
  // The node that serves clients and is followed by a majority; 0: none in ten seconds.
  uint64_t wait_for_leader();
  // Carries out what was decided, without any time passing.
  void settle();

  // --- nodes ------------------------------------------------------------------------------
  uint64_t size() const { return machines_.size(); }
  server::Node& node(uint64_t id) { return *at(id).node; }
  sim::SimDisk& disk(uint64_t id) { return at(id).disk; }
  const sim::Ledger& ledger(uint64_t id) { return *at(id).types->ledger(); }
  void lie(uint64_t id, uint64_t by) { at(id).types->lie(by); }  // its replies are wrong
  sim::LedgerFaults& faults(uint64_t id) { return at(id).types->faults(); }
  bool up(uint64_t id) { return at(id).node != nullptr; }
  void kill(uint64_t id);  // the process ends; the disk keeps what was written
  void start(uint64_t id);
  server::Options& options(uint64_t id) { return at(id).options; }  // for the next start
  void wipe(uint64_t id);   // the disk is empty then; requires: killed
  uint64_t start_joiner();  // one more node, with an empty log, that waits to be added
  void isolate(uint64_t id, bool on = true);   // no frame to or from other nodes
  void hold_log(uint64_t id, bool on = true);  // the lane stands: jobs gather
  void hold_apply(uint64_t id, bool on = true);
  size_t held_apply_jobs(uint64_t id) { return at(id).apply.size(); }
  uint64_t peer_frames(uint64_t id) { return at(id).peer_frames; }  // that it has sent, to anybody
  bool stopped(uint64_t id) { return at(id).stopped; }              // begin_stop is done
  const std::vector<std::string>& lines(uint64_t id) { return at(id).lines; }
  // A local admin call; its answer, waiting five seconds at most.
  server::AdminResult admin(uint64_t id, const std::string& verb, const std::string& args = {});

  // --- clients (TestClient is more convenient) ---------------------------------------------
  net::ConnId connect(uint64_t id);
  void send(uint64_t id, net::ConnId conn, const Bytes& frame);
  std::vector<wire::ServerMessage> take(net::ConnId conn);
  // Rising over all clients: a server takes a lower one of a session for a late attempt.
  uint64_t next_nonce() { return ++nonces_; }

 private:
  struct Machine {
    server::Options options;
    sim::SimDisk disk;
    std::unique_ptr<SeededRandom> random;
    std::unique_ptr<storage::DataDir> dir;
    std::unique_ptr<sim::LedgerTypes> types;
    std::unique_ptr<server::LogLane> log_lane;
    std::unique_ptr<server::ApplyLane> apply_lane;
    std::unique_ptr<server::SnapshotLane> snapshot_lane;
    std::unique_ptr<server::Node> node;
    std::vector<server::LogJob> log;
    std::vector<server::ApplyJob> apply;
    std::deque<server::SnapshotJob> snapshot;
    Mono log_retry_at;
    bool hold_log = false, hold_apply = false, isolated = false, stopped = false;
    uint64_t peer_frames = 0;
    std::vector<std::string> lines;
    std::map<uint64_t, server::AdminResult> admin_replies;
  };
  struct PeerFrame {
    Mono at;
    uint64_t from = 0, to = 0;
    Bytes frame;
  };

  Machine& at(uint64_t id) { return *machines_.at(id - 1); }
  bool drive(uint64_t id);  // true when something was done
  bool run_lanes(Machine& m);
  void take_effects(uint64_t id);
  void deliver_due();
  Mono next_event();

  Mono now_{kNsPerSecond};
  const Types more_types_;
  std::vector<std::unique_ptr<Machine>> machines_;
  std::deque<PeerFrame> wire_;
  std::map<net::ConnId, std::vector<wire::ServerMessage>> inboxes_;
  net::ConnId conns_ = 0;
  uint64_t nonces_ = 0;
  uint64_t admin_tokens_ = 0;
};

// A client that says exactly what it is told to, and remembers all it is answered.
class TestClient {
 public:
  TestClient(NodeHarness& cluster, uint64_t node)
      : cluster_(cluster), node_(node), conn_(cluster.connect(node)) {}

  void send(const wire::ClientMessage& message);
  void send(const std::vector<wire::ClientMessage>& messages);  // in one frame while types agree
  // Opens a session and waits for it; the proof is made of `secret`.
  bool create(wire::Channel channel, uint64_t secret, uint64_t timeout_ms = 10'000);
  void ask_create(wire::Channel channel, uint64_t secret, uint64_t timeout_ms = 10'000);
  bool resume(wire::Channel channel, const Uuid& session, uint64_t secret);
  void command(wire::Channel channel, uint64_t id, size_t bytes = 16);

  // All answers of a type so far, oldest first.
  template <class M>
  std::vector<M> all() {
    collect();
    std::vector<M> found;
    for (const wire::ServerMessage& m : received_)
      if (const M* one = std::get_if<M>(&m)) found.push_back(*one);
    return found;
  }
  template <class M>
  std::optional<M> last() {
    std::vector<M> found = all<M>();
    return found.empty() ? std::optional<M>() : std::optional<M>(found.back());
  }
  void clear() {
    collect();
    received_.clear();
  }
  Uuid session(wire::Channel channel) const;  // zero: none was opened there
  net::ConnId conn() const { return conn_; }
  static Uuid proof_of(uint64_t secret);

 private:
  void collect();

  NodeHarness& cluster_;
  uint64_t node_;
  net::ConnId conn_;
  std::map<wire::Channel, Uuid> sessions_;
  std::vector<wire::ServerMessage> received_;
};

}  // namespace raftcs::test
