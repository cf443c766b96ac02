// sim_node.hpp: one simulated machine: disk, process, clock, lanes.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "sim/sim_cluster.hpp"

namespace raftcs::sim {

class SeededRandom final : public sys::RandomSource {
 public:
  explicit SeededRandom(uint64_t seed) : prng_(seed) {}
  uint64_t next_u64() override { return prng_.next(); }

 private:
  Prng prng_;
};

// A process's view of time: its own start and rate.
struct SimClock {
  int64_t offset_ns = 0;
  double rate = 1.0;
  Mono local(Mono global) const {
    return Mono{offset_ns + static_cast<int64_t>(static_cast<double>(global.ns) * rate)};
  }
  Mono global(Mono local_time) const {
    if (local_time == Mono::never()) return local_time;
    return Mono{static_cast<int64_t>(static_cast<double>(local_time.ns - offset_ns) / rate) + 1};
  }
};

// What keeps a node from the others' work while a majority has healed (sim_healing.cpp).
enum class Frozen : uint8_t { no, down, paused, slow_disk, cut, unheard, deaf, stands };

struct SimNode {
  NodeId id;
  server::Options options;
  SimDisk disk;
  SimClock clock;
  std::unique_ptr<SeededRandom> random;

  // The process; gone while crashed.
  bool up = false;
  Uuid incarnation;   // of the directory when it was opened last
  uint64_t life = 0;  // fences what belonged to an earlier process
  Mono paused_until;  // global; handles nothing before; never: keeps all until it thaws
  std::vector<std::function<void()>> kept;
  std::unique_ptr<storage::DataDir> dir;
  std::unique_ptr<LedgerTypes> types;
  std::unique_ptr<server::LogLane> log_lane;
  std::unique_ptr<server::ApplyLane> apply_lane;
  std::unique_ptr<server::SnapshotLane> snapshot_lane;
  std::unique_ptr<server::Node> node;
  std::vector<server::LogJob> log_jobs;
  std::vector<server::ApplyJob> apply_jobs;
  std::deque<server::SnapshotJob> snapshot_jobs;
  bool log_busy = false, apply_busy = false, snapshot_busy = false;
  Mono log_told, apply_told, snapshot_told;  // when the last result of the lane arrives
  size_t unreported = 0;                     // results that are on their way to the process
  Mono stalled_until;                        // a lane stands still
  Mono timer_at = Mono::never();  // global, of the earliest scheduled tick
  bool halting_disk = false;      // a power cut was armed: the next failing write is the crash

  bool broken = false;        // a write failed: it must be silent until it is restarted
  bool in_doubt = false;      // its state machine failed in the middle of something
  Mono no_snapshot_until;     // global; its state machine failed in one
  bool wiped = false;         // out of the cluster for good
  Index lost_to;              // its disk held entries up to here when it was lost or damaged
  bool rotten = false;        // its data was damaged: as wiped, until it is a voter again
  bool rots = false;          // its disk is damaged, and it runs or will begin anew
  std::string rot_path;       // what is damaged
  bool restart_only = false;  // the next end is one of the process, not of the machine
  int failed_starts = 0;      // since it was up
  bool stopping = false;      // it was told to
  bool spoiled = false;       // its start was made to fail
  uint64_t slowness = 1;      // of its disk
  Frozen frozen = Frozen::no;

  // What was seen of it.
  Term seen_term;  // over restarts: leading, or in a frame that left
  Index seen_commit;
  Index seen_snapshot;  // of this process
  Index seen_durable;   // of this process
  Index seen_config;    // the configuration in force when it was looked at last
  Index seen_applied;  // by the apply lane of this process
  Term asked_term;     // it asked for votes in this term
  Term voted_term;     // its vote when it was looked at last
  NodeId voted_for;
  Uuid voted_disk;
  Term led_term;       // it led this term when it was looked at last
  Index led_last;      // and its log ended here (S4)
  Index led_config;    // and its configuration was this one
  std::map<NodeId, Index> led_match;  // and it counted this of its peers (LR-04)
  std::map<Index, Term> log_terms;  // of this process
  std::set<Index> configs;               // those of them that are configurations
  std::map<Index, uint64_t> segment_of;  // the durable ones
  struct Receiving {                     // a snapshot from a peer
    raft::SnapshotMeta meta;
    NodeId from;
    uint64_t life = 0;
    uint32_t chunks = 0;
  } receiving;
  bool from_snapshot = false;  // it came, and the member has had no vote since
};

}  // namespace raftcs::sim
