// sim_cluster.cpp: processes, lanes and the event loop.
//
// What must hold is in oracles.cpp (while it runs) and oracles_end.cpp.
#include "sim/sim_cluster.hpp"

#include <algorithm>
#include <sstream>

#include "base/check.hpp"
#include "raftcs.h"
#include "sim/sim_world.hpp"

namespace raftcs::sim {

void Cluster::make_nodes() {
  std::vector<server::ClusterMember> members;
  for (uint64_t i = 1; i <= p_.nodes; ++i)
    members.push_back({NodeId(i), "tcp://10.0.0." + std::to_string(i) + ":7101", address_of(i)});
  for (uint64_t i = 1; i <= p_.nodes; ++i) {
    auto n = std::make_unique<SimNode>();
    n->id = NodeId(i);
    n->options.id = n->id;
    n->options.data_dir = "/data";
    n->options.cluster = members;
    n->options.client_advertise = address_of(i);
    n->options.peer_advertise = members[i - 1].peer_address;
    n->options.segment_bytes = p_.segment_bytes;
    n->options.disk_reserve_bytes = 0;
    n->options.snapshot_entries = p_.snapshot_entries;
    n->options.trailing_entries = p_.trailing_entries;
    n->options.election_timeout_ns = p_.election_ms * kNsPerMs;
    n->options.heartbeat_ns = n->options.election_timeout_ns / 10;
    n->options.inflight_appends_max = p_.appends_max;
    n->options.snapshot_chunk_bytes = p_.chunk_bytes;
    n->options.batch_bytes_max = p_.batch_bytes;
    n->options.append_bytes_max = p_.append_bytes;
    n->options.requests_per_session_max = p_.requests_max;
    n->options.auto_services = true;
    n->options.scrub_bytes_per_second = p_.live_rot ? 16 << 20 : 0;
    n->options.scrub_period_ns = 300 * kNsPerMs;
    n->options.session_timeout_ms_min = 100;
    n->random = std::make_unique<SeededRandom>(p_.seed * 1000 + i);
    if (p_.skewed_clocks)
      n->clock.rate = 0.9 + 0.2 * static_cast<double>(rng_.below(1000)) / 1000.0;
    n->clock.offset_ns = static_cast<int64_t>(rng_.below(1'000'000'000'000));
    nodes_.push_back(std::move(n));
  }
  for (auto& n : nodes_) start(*n);
  if (p_.churn) make_spares();
}

void Cluster::start(SimNode& n) {
  n.disk.fail_nth(Call::sync, UINT64_MAX / 2);
  n.disk.fail_nth(Call::write, UINT64_MAX / 2);
  n.disk.set_capacity(std::nullopt);
  std::vector<std::string> notes;
  const Uuid before = n.incarnation;
  auto dir = server::open_data_dir(n.disk, n.options, *n.random, &notes);
  if (!dir)
    return fail("node " + to_string(n.id) + " does not open its directory: " + dir.status().text());
  n.dir = std::move(*dir);
  n.incarnation = n.dir->identity().incarnation;
  opened_rotten(n, before);
  auto image = server::boot_image(*n.dir, n.options);
  if (!image)
    return fail("node " + to_string(n.id) + " has no boot image: " + image.status().text());
  for (const auto& line : notes) check_line(n, line);
  n.types = make_types();
  n.log_lane = std::make_unique<server::LogLane>(*n.dir);
  n.apply_lane =
      std::make_unique<server::ApplyLane>(*n.dir, *n.types, rsm::Limits{}, p_.result_bytes);
  n.snapshot_lane = std::make_unique<server::SnapshotLane>(*n.dir);
  server::NodeEnvironment environment;
  environment.random = n.random.get();
  environment.list_plugins = [this] { return plugin_files(); };
  if (n.dir->healing() != nullptr) environment.healing = *n.dir->healing();
  n.node = std::make_unique<server::Node>(n.options, n.dir->identity(), std::move(*image),
                                          environment, n.clock.local(now_));
  // Scanning the log after each input takes more than half of a run.
  n.node->set_invariant_checks(true, p_.seed % 16 == 3 ? 1 : 32);
  n.up = true;
  ++n.life;
  n.log_busy = n.apply_busy = n.snapshot_busy = n.halting_disk = false;
  n.timer_at = Mono::never();
  n.seen_commit = n.seen_applied = n.seen_snapshot = Index();
  n.led_term = Term();
  n.log_terms.clear();
  n.broken = false;
  note("node " + to_string(n.id) + " started");
  drive(n);
}

void Cluster::crash(SimNode& n, bool torn) {
  if (!n.up) return;
  ++report_.crashes;
  if (torn) ++report_.torn;
  note("node " + to_string(n.id) + " crashes" + (torn ? " in a write" : ""));
  trace(0xc0, n.id.value);
  stop_process(n);
  if (n.restart_only && !torn)
    n.disk.restart_process();
  else
    n.disk.crash(faults_);
  n.restart_only = false;
  uint64_t life = n.life;
  DurationNs down = static_cast<DurationNs>(faults_.below(3000)) * kNsPerMs;
  after(down, [this, &n, life] {
    if (!n.up && n.life == life) start(n);
  });
}

void Cluster::stop_process(SimNode& n) {
  n.node.reset();
  n.snapshot_lane.reset();
  n.apply_lane.reset();
  n.log_lane.reset();
  n.types.reset();
  n.dir.reset();
  n.log_jobs.clear();
  n.apply_jobs.clear();
  n.snapshot_jobs.clear();
  n.up = false;
  ++n.life;
  for (auto& [key, link] : links_)
    if (link.alive && link.node == n.id) kill_link(key, delay(p_.delay_mean_ns * 4));
}

void Cluster::with_node(SimNode& n, uint64_t life, std::function<void()> what) {
  if (!n.up || n.life != life || !report_.ok) return;
  if (n.paused_until > now_) {
    at(n.paused_until, [this, &n, life, what = std::move(what)] { with_node(n, life, what); });
    return;
  }
  what();
  drive(n);
}

void Cluster::drive(SimNode& n) {
  if (!n.up) return;
  Mono local = n.clock.local(now_);
  server::NodeEffects e = n.node->take_effects(local);
  for (auto& job : e.log) n.log_jobs.push_back(std::move(job));
  for (auto& job : e.apply) n.apply_jobs.push_back(std::move(job));
  for (auto& job : e.snapshot) n.snapshot_jobs.push_back(std::move(job));
  if (p_.churn && faulty_) leave_alone_with_a_change(n);
  if (n.broken && !e.peer_frames.empty())
    fail("node " + to_string(n.id) + " talks to peers after its disk failed");
  for (const auto& f : e.peer_frames) send_peer(n, f.peer, f.frame);
  for (const auto& f : e.client_frames) send_client(n, f.conn, f.frame);
  for (const auto& line : e.lines) check_line(n, line.text);
  for (const auto& reply : e.local_replies) operation_ended(reply.token, reply.result);
  if (p_.churn) note_membership(n);
  check_node(n);
  run_lanes(n);
  Mono deadline = n.clock.global(n.node->next_deadline());
  if (deadline < n.timer_at || n.timer_at <= now_) {
    n.timer_at = deadline;
    uint64_t life = n.life;
    if (deadline != Mono::never())
      at(deadline, [this, &n, life] {
        if (n.life == life) n.timer_at = Mono::never();
        with_node(n, life, [this, &n] {
          Mono t = n.clock.local(now_);
          if (t >= n.node->next_deadline()) n.node->tick(t);
        });
      });
  }
}

void Cluster::run_lanes(SimNode& n) {
  if (!n.log_busy && !n.log_jobs.empty()) run_log_lane(n);
  if (!n.apply_busy && !n.apply_jobs.empty()) run_apply_lane(n);
  if (!n.snapshot_busy && !n.snapshot_jobs.empty()) run_snapshot_lane(n);
}

void Cluster::run_log_lane(SimNode& n) {
  if (n.broken) return;
  uint64_t life = n.life;
  n.log_busy = true;
  DurationNs stall = faults_.chance(0.002) && faulty_ ? 300 * kNsPerMs : 0;
  DurationNs mean = p_.disk_mean_ns * static_cast<DurationNs>(n.slowness);
  after(delay(mean) + stall, [this, &n, life] {
    if (!n.up || n.life != life) return;
    std::vector<server::LogDone> done = n.log_lane->run(&n.log_jobs);
    if (n.disk.powered_off()) return crash(n, true);
    with_node(n, life, [this, &n, done = std::move(done)] { log_lane_done(n, done); });
  });
}

void Cluster::log_lane_done(SimNode& n, const std::vector<server::LogDone>& done) {
  n.log_busy = false;
  for (const server::LogDone& d : done) {
    n.node->log_done(d, n.clock.local(now_));
    if (d.status.is_ok()) continue;
    if (d.status.code() == RAFTCS_ERR_NO_SPACE) {
      hit("no space for a write");
      n.log_busy = true;  // the lane waits before it tries again
      uint64_t life = n.life;
      after(50 * kNsPerMs, [this, &n, life] { with_node(n, life, [&n] { n.log_busy = false; }); });
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
  uint64_t life = n.life;
  after(static_cast<DurationNs>(faults_.between(500, 4000)) * kNsPerMs, [this, &n, life] {
    if (n.up && n.life == life) crash(n, false);
  });
}

void Cluster::run_apply_lane(SimNode& n) {
  uint64_t life = n.life;
  n.apply_busy = true;
  after(delay(p_.disk_mean_ns / 4 + 1000), [this, &n, life] {
    if (!n.up || n.life != life) return;
    auto done = std::make_shared<server::ApplyDone>();
    n.apply_lane->run(&n.apply_jobs, done.get());
    if (plugin_ != nullptr) check_plugin(n, *done);
    if (!done->halted.is_ok())
      return fail("node " + to_string(n.id) + " halted: " + done->halted.text());
    if (!n.apply_jobs.empty()) hit("results were handed over in parts");
    check_applied(n, *done);
    if (done->restored) ++report_.snapshots_installed;
    with_node(n, life, [this, &n, done] {
      n.apply_busy = false;
      n.node->apply_done(std::move(*done), n.clock.local(now_));
    });
  });
}

void Cluster::run_snapshot_lane(SimNode& n) {
  uint64_t life = n.life;
  n.snapshot_busy = true;
  after(delay(p_.disk_mean_ns * 2 * static_cast<DurationNs>(n.slowness)), [this, &n, life] {
    if (!n.up || n.life != life) return;
    server::SnapshotJob job = std::move(n.snapshot_jobs.front());
    n.snapshot_jobs.pop_front();
    auto done =
        std::make_shared<server::SnapshotDone>(n.snapshot_lane->run(job, [] { return false; }));
    if (n.disk.powered_off()) return crash(n, true);
    with_node(n, life, [this, &n, done] {
      n.snapshot_busy = false;
      if (!n.dir->stopped().is_ok()) {
        hit("storage stopped in a snapshot");
        storage_stopped(n);
      }
      n.node->snapshot_done(std::move(*done), n.clock.local(now_));
    });
  });
}

void Cluster::begin() {
  g_check = nullptr;
  make_nodes();
  if (report_.ok) make_clients();
  if (p_.bit_rot)
    after(static_cast<DurationNs>(faults_.between(1'000, 4'000)) * kNsPerMs, [this] { rot(); });
}

bool Cluster::step() {
  if (!report_.ok || queue_.empty()) return false;
  Item item = queue_.top();
  queue_.pop();
  now_ = item.at;
  ++report_.events;
  item.what();
  return true;
}

// Called from time to time after healing; `done`: clients and replicas.
void Cluster::told_too_late(bool done) {
  check_operations();
  const Mono bound = heal_at_ + kLeaderBoundNs;
  if (!done && now_ > bound && now_ < bound + kNsPerSecond && !leader_known())
    fail("no leader that all know of 20 s after healing");  // L1
  if (now_ <= give_up_) return;
  std::ostringstream why;  // L2, L3
  why << "no end " << kHealBoundNs / kNsPerSecond << " s after healing: clients "
      << (clients_done() ? "done" : "not done") << ", operations "
      << (operations_done() ? "done" : "not done") << ";";
  for (auto& n : nodes_)
    if (n->up) {
      server::Info i = n->node->info();
      why << " node " << n->id.value << " term " << i.term.value << " commit " << i.commit.value
          << " applied " << i.applied.value << (i.leads ? " leads" : "") << ";";
    }
  fail(why.str());
}

void Cluster::finish() {
  if (report_.ok) final_checks();
  for (const SimClient& c : clients_)
    for (const WorkSession& s : c.sessions)
      if (c.engine && !c.zombie) report_.resent += c.engine->info(s.handle).resent;
  for (const auto& [kind, times] : model_.kinds()) report_.hits[kind] += times;
  if (model_.expired() > 0) report_.hits["a session expired"] += model_.expired();
  report_.trace_hash = hash_;
}

Report Cluster::run() {
  CheckHandler before = set_check_handler(remember_check);
  begin();
  if (p_.hostile) make_hostile();
  schedule_faults();
  heal_at_ = now_ + p_.fault_phase_ns;
  bool done = false;
  while (!done && step()) {
    if (!healed_ && (now_ >= heal_at_ || clients_done())) heal();
    if (!healed_ || (report_.events & 63) != 0) continue;
    done = clients_done() && replicas_equal() && operations_done();
    told_too_late(done);
  }
  if (report_.ok && !done) fail("the simulation ran dry");
  if (report_.ok && p_.seed % 4 == 1 && plugin_ == nullptr) stay_calm();
  finish();
  set_check_handler(before);
  return report_;
}

Report run_seed(const Profile& profile, bool verbose, PluginUnderTest* plugin) {
  return Cluster(profile, verbose, plugin).run();
}

}  // namespace raftcs::sim
