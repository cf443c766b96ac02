// sim_lanes.cpp: the three lanes of a node, in virtual time.
//
// As in a real server a lane and the loop do not wait for each other: a lane works at one moment,
// its result is told later, in the order of its work, and meanwhile it takes what has come since.
// So a crash may find work that is done and that nobody has heard of.
#include <algorithm>

#include "raftcs.h"
#include "sim/sim_world.hpp"

namespace raftcs::sim {
namespace {

constexpr uint64_t kFrozenSlowness = 60;

// What a result tells the node of its storage; not all do.
Status storage_told(const server::SnapshotDone& done) {
  return std::visit(
      [](const auto& d) {
        if constexpr (requires { d.storage; })
          return d.storage;
        else
          return Status::ok();
      },
      done);
}

}  // namespace

void Cluster::run_lanes(SimNode& n) {
  if (!n.log_busy && !n.log_jobs.empty()) run_log_lane(n);
  if (!n.apply_busy && !n.apply_jobs.empty()) run_apply_lane(n);
  if (!n.snapshot_busy && !n.snapshot_jobs.empty()) run_snapshot_lane(n);
}

// How long a lane works, `mean` on a good disk; while there are faults it sometimes stands still.
DurationNs Cluster::lane_time(SimNode& n, DurationNs mean, const Stall& stall) {
  const uint64_t slowness = n.frozen == Frozen::slow_disk ? kFrozenSlowness : n.slowness;
  const DurationNs time = delay(mean * static_cast<DurationNs>(slowness));
  if (faulty_ && slowness > 1) n.stalled_until = std::max(n.stalled_until, now_ + time);
  if (!faulty_ || !faults_.chance(stall.chance)) return time;
  const auto still = static_cast<DurationNs>(faults_.between(stall.least_ms, stall.most_ms));
  n.stalled_until = std::max(n.stalled_until, now_ + time + still * kNsPerMs);
  return time + still * kNsPerMs;
}

void Cluster::report(SimNode& n, Mono* told, std::function<void()> what) {
  DurationNs late = delay(p_.disk_mean_ns / 4);
  if (faulty_ && faults_.chance(0.003))
    late += static_cast<DurationNs>(faults_.between(20, 500)) * kNsPerMs;
  *told = std::max(*told, now_ + late);
  ++n.unreported;
  const uint64_t life = n.life;
  at(*told, [this, &n, life, what = std::move(what)] {
    with_node(n, life, [&n, what] {
      --n.unreported;
      what();
    });
  });
  if (faulty_ && p_.crashes && faults_.chance(0.0003))
    after(late / 2, [this, &n, life] {
      if (n.life == life) crash(n, false);
    });
  if (n.paused_until <= now_) run_lanes(n);
}

void Cluster::run_log_lane(SimNode& n) {
  if (n.broken) return;
  const uint64_t life = n.life;
  n.log_busy = true;
  after(lane_time(n, p_.disk_mean_ns, {0.002, 300, 300}), [this, &n, life] {
    if (!n.up || n.life != life) return;
    std::vector<server::LogDone> done = n.log_lane->run(&n.log_jobs);
    if (n.disk.powered_off()) return crash(n, true);
    const raftcs_status_t end = done.empty() ? RAFTCS_OK : done.back().status.code();
    n.log_busy = end != RAFTCS_OK;
    if (end == RAFTCS_ERR_NO_SPACE)  // the lane waits before it tries again
      after(50 * kNsPerMs, [this, &n, life] { with_node(n, life, [&n] { n.log_busy = false; }); });
    else if (end != RAFTCS_OK)
      n.log_jobs.clear();  // nothing more reaches the disk (PS-02)
    report(n, &n.log_told, [this, &n, done = std::move(done)] { log_lane_done(n, done); });
  });
}

void Cluster::log_lane_done(SimNode& n, const std::vector<server::LogDone>& done) {
  for (const server::LogDone& d : done) {
    n.node->log_done(d, n.clock.local(now_));
    if (d.status.is_ok()) continue;
    if (d.status.code() == RAFTCS_ERR_NO_SPACE) {
      hit("no space for a write");
      continue;
    }
    if (!p_.disk_errors) fail("node " + to_string(n.id) + ": " + d.status.text());
    hit("a write failed");
    storage_stopped(n);
  }
}

// From here on the node must be silent. Somebody restarts it after a while.
void Cluster::storage_stopped(SimNode& n) {
  if (n.broken) return;
  n.broken = true;
  n.restart_only = faults_.chance(0.5);
  const uint64_t life = n.life;
  after(static_cast<DurationNs>(faults_.between(500, 4000)) * kNsPerMs, [this, &n, life] {
    if (n.up && n.life == life) crash(n, false);
  });
}

void Cluster::run_apply_lane(SimNode& n) {
  const uint64_t life = n.life;
  n.apply_busy = true;
  after(lane_time(n, p_.disk_mean_ns / 4 + 1000, {0.0003, 1000, 5000}), [this, &n, life] {
    if (!n.up || n.life != life) return;
    auto done = std::make_shared<server::ApplyDone>();
    n.apply_lane->run(&n.apply_jobs, done.get());
    if (plugin_ != nullptr) check_plugin(n, *done);
    // A snapshot that could not be read is tried again.
    if (done->restored) n.in_doubt = false;
    if (!done->halted.is_ok() && !plugin_failed(n, done->halted)) {
      if (!p_.disk_errors)
        return fail("node " + to_string(n.id) + " halted: " + done->halted.text());
      hit("a state machine stood still");
    }
    no_snapshot(n, done->snapshot_failed);
    if (!n.apply_jobs.empty() && done->halted.is_ok()) hit("results were handed over in parts");
    check_applied(n, *done);
    if (done->restored) hit("a state was restored");
    n.apply_busy = false;
    report(n, &n.apply_told,
           [this, &n, done] { n.node->apply_done(std::move(*done), n.clock.local(now_)); });
  });
}

void Cluster::run_snapshot_lane(SimNode& n) {
  const uint64_t life = n.life;
  n.snapshot_busy = true;
  after(lane_time(n, p_.disk_mean_ns * 2, {0.002, 300, 300}), [this, &n, life] {
    if (!n.up || n.life != life) return;
    server::SnapshotJob job = std::move(n.snapshot_jobs.front());
    n.snapshot_jobs.pop_front();
    auto done =
        std::make_shared<server::SnapshotDone>(n.snapshot_lane->run(job, [] { return false; }));
    if (n.disk.powered_off()) return crash(n, true);
    note_chunk(n, *done);
    if (const auto* written = std::get_if<server::SnapshotWritten>(done.get()))
      no_snapshot(n, written->status);
    n.snapshot_busy = false;
    report(n, &n.snapshot_told, [this, &n, done] {
      if (!storage_told(*done).is_ok()) {
        hit("storage stopped in a snapshot");
        storage_stopped(n);
      }
      n.node->snapshot_done(std::move(*done), n.clock.local(now_));
    });
  });
}

}  // namespace raftcs::sim
