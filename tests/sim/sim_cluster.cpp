// sim_cluster.cpp: processes and the event loop.
//
// Lanes are in sim_lanes.cpp; what must hold is in oracles*.cpp.
#include "sim/sim_cluster.hpp"

#include <algorithm>

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
    if (p_.payload_max > 0 && (i % 2 == 1 || !p_.uneven_limits))
      n->options.payload_bytes_max = p_.payload_max;
    if (p_.inflight_bytes > 0)
      n->options.inflight_bytes_max = n->options.uncommitted_bytes_max = p_.inflight_bytes;
    if (p_.snapshot_log_bytes > 0) n->options.snapshot_log_bytes = p_.snapshot_log_bytes;
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
  n.disk.clear_faults();
  n.disk.set_capacity(std::nullopt);
  n.spoiled = false;
  if (faulty_ && p_.bad_starts && n.life > 0) spoil_start(n);
  std::vector<std::string> notes;
  const Uuid before = n.incarnation;
  auto dir = server::open_data_dir(n.disk, n.options, *n.random, &notes);
  if (!dir) return not_started(n, dir.status().with_context("opening the directory"));
  auto image = server::boot_image(**dir, n.options);
  if (!image) return not_started(n, image.status().with_context("the boot image"));
  if (n.disk.powered_off()) return not_started(n, {RAFTCS_ERR_IO, "the machine is off"});
  if (n.spoiled) {
    n.disk.clear_faults();
    n.disk.set_capacity(std::nullopt);
  }
  n.failed_starts = 0;
  n.dir = std::move(*dir);
  n.incarnation = n.dir->identity().incarnation;
  if (!before.is_zero() && n.incarnation != before && !n.wiped && !n.rots)
    return fail("node " + to_string(n.id) + " began anew without damage");
  opened_rotten(n, before);
  for (const auto& line : notes) check_line(n, line);
  n.types = make_types();
  if (faulty_ && p_.plugin_faults && n.life > 0 && faults_.chance(0.2))
    n.types->faults().restores = static_cast<uint32_t>(faults_.between(1, 3));
  n.log_lane = std::make_unique<server::LogLane>(*n.dir);
  n.apply_lane =
      std::make_unique<server::ApplyLane>(*n.dir, *n.types, limits_of(p_), p_.result_bytes);
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
  n.unreported = 0;
  n.stalled_until = Mono();
  n.timer_at = Mono::never();
  n.seen_commit = n.seen_applied = n.seen_snapshot = n.seen_durable = n.seen_config = Index();
  n.led_term = Term();
  n.log_terms.clear();
  n.configs.clear();
  n.segment_of.clear();
  n.broken = n.in_doubt = n.stopping = false;
  note("node " + to_string(n.id) + " started");
  drive(n);
}

void Cluster::crash(SimNode& n, bool torn) {
  if (!n.up) return;
  ++report_.crashes;
  if (torn) ++report_.torn;
  if (n.unreported > 0) hit("a crash came between work and its report");
  note("node " + to_string(n.id) + " crashes" + (torn ? " in a write" : ""));
  trace(0xc0, n.id.value);
  stop_process(n);
  if (n.restart_only && !torn)
    n.disk.restart_process();
  else
    lose_power(n);
  n.restart_only = false;
  if (oracle_.chance(0.05)) check_durable();
  come_back(n);
}

void Cluster::lose_power(SimNode& n) {
  CrashProfile profile;
  profile.ordered_metadata = p_.ordered_metadata;
  n.disk.crash(faults_, profile);
}

void Cluster::come_back(SimNode& n) {
  const uint64_t most = faulty_ && faults_.chance(0.1) ? 30'000 : 3'000;
  after(static_cast<DurationNs>(faults_.below(most)) * kNsPerMs, [this, &n, life = n.life] {
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
  if (n.paused_until == Mono::never()) {
    n.kept.push_back([this, &n, life, what = std::move(what)] { with_node(n, life, what); });
    return;
  }
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
  if (e.stopped) return stopped(n);
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
  if (p_.planted) planted_failure();
  return true;
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
  if (p_.client_islands) schedule_islands();
  schedule_faults();
  heal_at_ = now_ + p_.fault_phase_ns;
  bool done = false;
  while (!done && step()) {
    if (!healed_ && (now_ >= heal_at_ || clients_done())) heal();
    if (!healed_) continue;
    look_for_leader();
    if ((report_.events & 63) != 0) continue;
    done = leader_at_ != Mono::never() && clients_done() && replicas_equal() && operations_done();
    told_too_late();
    if (!done) continue;
    phase_ended();
    if (!anybody_frozen()) break;
    thaw();
    done = false;
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
