// sim_cluster.hpp: whole nodes and whole clients in one thread, in virtual time.
//
// Everything but libzmq and dlopen is the real code: server::Node with its lanes, storage on
// a simulated disk, frames through the real codec, client::Engine. The seed decides all:
// delays, faults, crashes. A failing seed replays exactly (sim_main --seed N --verbose).
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <queue>
#include <set>
#include <string>
#include <vector>

#include "base/prng.hpp"
#include "client/engine.hpp"
#include "server/bootstrap.hpp"
#include "server/lanes.hpp"
#include "server/node.hpp"
#include "sim/ledger_machine.hpp"
#include "support/sim_disk.hpp"

namespace raftcs::sim {

// What a seed runs; drawn from the seed by profile_of().
struct Profile {
  uint64_t seed = 1;
  uint32_t nodes = 3;
  uint32_t clients = 2;   // engines
  uint32_t sessions = 2;  // per engine
  uint32_t ops = 60;      // per session
  uint32_t window = 2;    // outstanding per session
  DurationNs fault_phase_ns = 20 * kNsPerSecond;
  DurationNs delay_mean_ns = 2 * kNsPerMs;
  DurationNs disk_mean_ns = 1 * kNsPerMs;
  uint64_t fault_gap_ms = 500;  // between two faults, on average
  double loss = 0;  // of peer frames
  double duplicate = 0;
  bool reorder = false;  // peer frames do not keep their order
  bool crashes = false;
  bool torn_writes = false;  // crashes hit in the middle of a write
  bool partitions = false;
  bool pauses = false;
  bool skewed_clocks = false;  // rates 0.9 .. 1.1
  bool client_cuts = false;
  bool transfers = false;
  bool stops = false;        // nodes are told to stop, and are started again
  bool drains = false;       // nodes are told to hand over leadership, and not any more
  bool asked_snapshots = false;
  bool clock_jumps = false;  // a node's clock is ahead all at once
  bool disk_errors = false;  // a call of a disk fails once
  bool disk_full = false;    // for a while
  bool bad_starts = false;   // starts meet what may befall this seed's disks
  bool plugin_faults = false;     // calls into one node's state machine fail
  bool ordered_metadata = false;  // of what names and removes files a crash leaves a prefix
  bool slow_disks = false;
  bool corruption = false;     // of peer frames
  bool foreigners = false;     // frames of another cluster arrive
  bool holds = false;          // messages of one kind are kept, and come when they hurt
  bool vote_storms = false;    // votes, and requests for them, are late by elections or lost
  bool leader_hops = false;    // whoever begins to lead is soon cut off for a while
  bool stale_queues = false;   // what was sent into a cut arrives when it is mended
  bool power_cuts = false;     // all nodes at once
  bool wipes = false;          // one node comes back with an empty disk
  bool bit_rot = false;        // a byte of one node's log is wrong when it starts
  bool live_rot = false;       // or of a log or snapshot, while it runs: scrubbing finds it
  bool churn = false;          // members are added, promoted, removed, replaced
  uint32_t spares = 0;         // nodes that wait to be added
  bool client_deaths = false;  // processes that come back with their tokens
  bool silent_deaths = false;  // and such that do not
  bool closes = false;         // of sessions, before their time
  bool takeovers = false;      // tokens resumed while the process that wrote them lives on
  bool client_pauses = false;
  bool client_skew = false;    // clocks of clients run at 0.7 .. 1.3
  bool frail = false;          // one client has a short session timeout and renews its session
  bool hostile = false;        // somebody misuses ids, proofs and channels
  uint64_t frail_timeout_ms = 2000;
  uint64_t batch_bytes = 1 << 20, append_bytes = 1 << 20;
  uint32_t requests_max = 1024;
  uint32_t election_ms = 500;
  uint32_t appends_max = 64;           // unanswered by a peer
  uint64_t chunk_bytes = 256 << 10;    // of a snapshot on its way
  uint64_t trailing_entries = 8;       // that stay behind a snapshot
  uint64_t snapshot_entries = 100'000;
  uint64_t segment_bytes = 64 << 10;
  std::set<uint64_t> skip;  // numbers of faults that are left out
  bool planted = false;     // for the test of shrinking: see planted_failure()
  bool payloads = false;        // commands, replies, pushes and results of all sizes
  bool stale_queries = false;   // half of the queries
  bool client_islands = false;  // clients reach some of the nodes only, for a while
  // Limits, where they are not the usual ones.
  uint64_t payload_max = 0;         // of a command
  bool uneven_limits = false;       // that one on nodes with an odd id only
  uint64_t reply_bytes = 0;         // that a session holds
  uint64_t push_bytes = 0;          // likewise
  uint64_t inflight_bytes = 0;      // let in and unanswered, and uncommitted
  uint64_t snapshot_log_bytes = 0;  // after which a snapshot is written
  uint64_t ballast_bytes = 0;       // of a snapshot
  uint64_t result_bytes = 32 << 20;    // after which a run of the apply lane ends
  uint64_t piece_bytes = 0;            // at once, of a snapshot between machine and server; 0: many
  std::string describe() const;
};
Profile profile_of(uint64_t seed);
rsm::Limits limits_of(const Profile& profile);
// Sets one field by its name, as printed by describe_fields(); false: no such field.
bool set_field(Profile* profile, const std::string& name, const std::string& value);
// Every field as name=value.
std::vector<std::pair<std::string, std::string>> fields_of(const Profile& profile);

struct Report {
  bool ok = true;
  std::string failure;
  uint64_t trace_hash = 0;  // of everything that happened: equal for equal seeds
  uint64_t events = 0, ops_applied = 0, ops_unknown = 0, ops_not_applied = 0, queries = 0,
           pushes = 0;
  uint64_t leaders = 0, crashes = 0, torn = 0, partitions = 0, snapshots_installed = 0, resent = 0;
  std::map<std::string, uint64_t> hits;  // named events, see sim_main.cpp
  // After healing, as shares of what is allowed: until all knew a leader, until all had ended.
  double leader_share = 0, end_share = 0;
  uint64_t truncations = 0, reconnects = 0, transfers = 0, pauses = 0;
  uint64_t faults = 0;  // that have a number; those that are left out too
  // With a plugin: its commands, those it refused, states of replicas compared, restores tried.
  uint64_t plugin_ran = 0, plugin_refused = 0, plugin_states = 0, plugin_restores = 0;
};

class PluginUnderTest;
// With a plugin the clients' work is mostly for a service of its type (plugin_under_test.hpp).
Report run_seed(const Profile& profile, bool verbose, PluginUnderTest* plugin = nullptr);

}  // namespace raftcs::sim
