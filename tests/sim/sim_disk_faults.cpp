// sim_disk_faults.cpp: disks that fail, are full or slow, at a start too, and one that is lost.
#include <algorithm>

#include "sim/sim_world.hpp"

namespace raftcs::sim {
namespace {

// What a running node asks of its disk, the most frequent first.
constexpr Call kCalls[] = {
    Call::sync,   Call::write,    Call::sync_directory, Call::rename, Call::open, Call::remove,
    Call::exists, Call::truncate, Call::read,           Call::size,   Call::list};
constexpr DurationNs kLullNs = 5 * kNsPerSecond;
constexpr int kFailedStartsMax = 4;                   // in a row
constexpr DurationNs kStallNsMax = 5 * kNsPerSecond;  // the mean of one call

}  // namespace

void Cluster::disk_error(SimNode& n) {
  const bool frequent = faults_.chance(0.5);
  const Call call = kCalls[faults_.below(frequent ? 2 : std::size(kCalls))];
  const uint64_t nth = faults_.between(1, frequent ? 4 : 2);
  if (!n.up) return;
  n.disk.fail_nth(call, nth, RAFTCS_ERR_IO);
  note("a call of node " + to_string(n.id) + "'s disk will fail");
}

void Cluster::disk_full(SimNode& n) {
  const uint64_t room = faults_.below(20'000);
  const auto length = static_cast<DurationNs>(faults_.between(500, 4000)) * kNsPerMs;
  if (!n.up) return;
  n.disk.set_capacity(n.disk.used_bytes() + room);
  note("the disk of node " + to_string(n.id) + " is full");
  after(length, [&n] { n.disk.set_capacity(std::nullopt); });
}

// One in ten is so slow that it seems to stand still.
void Cluster::disk_slow(SimNode& n) {
  const bool stalls = faults_.chance(0.1);
  n.slowness =
      stalls ? static_cast<uint64_t>(kStallNsMax / p_.disk_mean_ns) : faults_.between(5, 60);
  hit(stalls ? "a disk stalled" : "a disk was slow");
  after(static_cast<DurationNs>(faults_.between(200, 3000)) * kNsPerMs, [&n] { n.slowness = 1; });
}

// The start itself meets what befalls disks: it fails, and another follows.
void Cluster::spoil_start(SimNode& n) {
  if (n.failed_starts >= kFailedStartsMax || !faults_.chance(0.3)) return;
  const uint64_t kind = faults_.below(3);
  const Call call = kCalls[faults_.below(std::size(kCalls))];
  const uint64_t nth = faults_.between(1, 6), changes = faults_.below(12);
  note("a bad start of node " + to_string(n.id));
  n.spoiled = true;
  if (kind == 0 && p_.disk_errors)
    n.disk.fail_nth(call, nth, RAFTCS_ERR_IO);
  else if (kind == 1 && p_.disk_full)
    n.disk.set_capacity(n.disk.used_bytes() + faults_.below(1000));
  else
    n.disk.power_off_after(changes);
}

// An error is no damage: only what rotted may be called so.
void Cluster::not_started(SimNode& n, const Status& status) {
  const bool rots = n.rots || n.rotten;
  if (!n.spoiled || (status.code() == RAFTCS_ERR_CORRUPT && !rots))
    return fail("node " + to_string(n.id) + " does not start: " + status.text());
  hit("a start failed");
  note("node " + to_string(n.id) + " does not start: " + status.text());
  ++n.failed_starts;
  if (n.disk.powered_off() || faults_.chance(0.5))
    lose_power(n);
  else
    n.disk.restart_process();
  come_back(n);
}

// Whether every node knows every other by its disk: only then is a wiped one told apart.
// And every disk must hold everything, or the wipe could take the last copy of a quorum's.
bool Cluster::incarnations_bound() const {
  Index commit;
  for (const auto& n : nodes_)
    if (n->up) commit = std::max(commit, n->node->raft_status().commit);
  for (const auto& n : nodes_) {
    if (!n->up || n->broken || n->node->raft_status().durable < commit) return false;
    for (const raft::Member& m : n->node->raft().membership().members)
      if (m.incarnation.is_zero()) return false;
  }
  return true;
}

// If not, nothing more befalls nodes for a while, once in a run, so that it may become so.
bool Cluster::all_whole() {
  if (incarnations_bound()) return true;
  if (lull_until_ == Mono()) lull_until_ = now_ + kLullNs;
  return false;
}

// One disk of a seed.
void Cluster::wipe(SimNode& n) {
  if (!faulty_ || !report_.ok) return;
  if (!all_whole()) {
    after(100 * kNsPerMs, [this, &n] { wipe(n); });
    return;
  }
  hit("a disk was wiped");
  note("node " + to_string(n.id) + " loses its disk");
  n.lost_to = n.node->raft_status().durable;
  crash(n, false);
  n.disk.wipe();
  n.wiped = true;
  n.seen_term = Term();
}

}  // namespace raftcs::sim
