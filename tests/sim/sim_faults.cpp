// sim_faults.cpp: what goes wrong, when.
//
// One fault after the other, each of a kind that is on in this seed. What cuts links is in
// sim_partitions.cpp, what befalls disks in sim_disk_faults.cpp and sim_rot.cpp, what frames meet
// on their way in sim_net.cpp, what befalls state machines in sim_plugin_faults.cpp.
#include <algorithm>
#include <cstring>
#include <utility>

#include "sim/sim_world.hpp"

namespace raftcs::sim {
namespace {

constexpr DurationNs kStopBoundNs = 2 * kNsPerSecond;  // above three election timeouts
constexpr uint64_t kJumpMsMax = 3'600'000;

}  // namespace

const std::vector<Cluster::FaultKind>& Cluster::fault_kinds() {
  static const std::vector<FaultKind> kinds = {
      {"a crash", &Profile::crashes, [](Cluster& w, SimNode& n) { w.crash(n, false); }},
      {"a crash in a write", &Profile::torn_writes,
       [](Cluster& w, SimNode& n) {
         if (n.up) n.disk.power_off_after(w.faults_.between(1, 6));
       }},
      {"a partition", &Profile::partitions, [](Cluster& w, SimNode& n) { w.partition(n); }},
      {"a pause", &Profile::pauses, [](Cluster& w, SimNode& n) { w.pause(n); }},
      {"cut connections", &Profile::client_cuts,
       [](Cluster& w, SimNode&) {
         for (auto& [key, link] : w.links_)
           if (link.alive && w.faults_.chance(0.5)) w.kill_link(key, w.delay(w.p_.delay_mean_ns));
       }},
      {"a transfer", &Profile::transfers,
       [](Cluster& w, SimNode& n) {
         const uint64_t to = w.faults_.between(1, w.p_.nodes);
         if (!n.up) return;
         ++w.report_.transfers;
         w.ask(n, "transfer", "{\"to\":" + std::to_string(to) + "}");
       }},
      {"a stop", &Profile::stops, [](Cluster& w, SimNode& n) { w.told_to_stop(n); }},
      {"a drain", &Profile::drains, [](Cluster& w, SimNode& n) { w.drain(n); }},
      {"a snapshot", &Profile::asked_snapshots,
       [](Cluster& w, SimNode& n) {
         if (n.up) w.ask(n, "snapshot", "");
       }},
      {"a jump of a clock", &Profile::clock_jumps,
       [](Cluster& w, SimNode& n) {
         const uint64_t most = kJumpMsMax >> w.faults_.below(20);
         if (n.up) w.jump_clock(n, static_cast<DurationNs>(w.faults_.between(1, most)) * kNsPerMs);
       }},
      {"a failing disk", &Profile::disk_errors, [](Cluster& w, SimNode& n) { w.disk_error(n); }},
      {"a full disk", &Profile::disk_full, [](Cluster& w, SimNode& n) { w.disk_full(n); }},
      {"a slow disk", &Profile::slow_disks, [](Cluster& w, SimNode& n) { w.disk_slow(n); }},
      {"a failing plugin", &Profile::plugin_faults,
       [](Cluster& w, SimNode& n) { w.plugin_fails(n); }},
      {"a power cut", &Profile::power_cuts,
       [](Cluster& w, SimNode&) {
         if (w.faults_.chance(0.5)) return;
         w.hit("all nodes lost power");
         for (auto& each : w.nodes_) w.crash(*each, false);
       }},
      {"a wipe", &Profile::wipes,
       [](Cluster& w, SimNode& n) {
         if (!std::exchange(w.wiping_, true)) w.wipe(n);
       }},
      {"the death of a client", &Profile::client_deaths,
       [](Cluster& w, SimNode&) {
         if (w.faults_.chance(0.5)) return w.client_dies(w.any_client());
         const uint32_t c = w.any_client();
         w.client_retires(c, static_cast<DurationNs>(w.faults_.between(1, 400)) * kNsPerMs);
       }},
      {"a takeover", &Profile::takeovers,
       [](Cluster& w, SimNode&) { w.client_taken_over(w.any_client()); }},
      {"a pause of a client", &Profile::client_pauses,
       [](Cluster& w, SimNode&) {
         const auto c = static_cast<uint32_t>(w.faults_.below(w.clients_.size()));
         w.client_pauses(c, static_cast<DurationNs>(w.faults_.between(50, 6000)) * kNsPerMs);
       }},
      {"the close of a session", &Profile::closes,
       [](Cluster& w, SimNode&) {
         const uint32_t c = w.any_client();
         w.close_session(c, w.clients_[c].sessions[w.faults_.below(w.p_.sessions)]);
       }},
  };
  return kinds;
}

// Each fault has a number, and draws from a generator of its own: when it comes, to whom and what
// does not depend on which of the others are left out.
void Cluster::schedule_faults() {
  if (!faulty_ || !report_.ok) return;
  const uint64_t number = ++report_.faults;
  Prng own(p_.seed << 20 ^ number ^ 0xfau);
  const auto gap = static_cast<DurationNs>(own.between(1, 2 * p_.fault_gap_ms)) * kNsPerMs;
  after(gap, [this, number, own]() mutable {
    if (!faulty_) return;
    if (now_ >= lull_until_ && !p_.skip.contains(number)) {
      std::swap(faults_, own);
      fault(number);
      std::swap(faults_, own);
    }
    schedule_faults();
  });
}

// It takes two faults, and those that decide whom these befall.
void Cluster::planted_failure() {
  if (!faulty_ || cuts_.empty()) return;
  for (const auto& n : nodes_)
    if (!n->up) fail("planted: node " + to_string(n->id) + " is down while the network is cut");
}

void Cluster::fault(uint64_t number) {
  std::vector<const FaultKind*> on;
  for (const FaultKind& kind : fault_kinds())
    if (p_.*kind.on) on.push_back(&kind);
  if (on.empty()) return;
  const FaultKind& kind = *on[faults_.below(on.size())];
  SimNode& n = any_node();
  note("fault " + std::to_string(number) + ": " + kind.name);
  kind.action(*this, n);
}

// One that runs, while there is one: little more can go wrong with the others.
SimNode& Cluster::any_node() {
  std::vector<SimNode*> running;
  for (auto& n : nodes_)
    if (n->up && n->paused_until <= now_) running.push_back(n.get());
  if (running.empty()) return *nodes_[faults_.below(nodes_.size())];
  return *running[faults_.below(running.size())];
}

void Cluster::pause(SimNode& n) {
  const auto length = static_cast<DurationNs>(faults_.between(50, 3000)) * kNsPerMs;
  if (!n.up || n.paused_until > now_) return;
  ++report_.pauses;
  n.paused_until = now_ + length;
  note("node " + to_string(n.id) + " pauses");
}

// As a service manager does it: the node hands leadership over, ends, and is started again.
void Cluster::told_to_stop(SimNode& n) {
  if (!n.up || n.paused_until > now_) return;
  note("node " + to_string(n.id) + " is told to stop");
  n.stopping = true;
  n.node->begin_stop(n.clock.local(now_));
  check_stopped(n, n.life, now_ + kStopBoundNs);
  drive(n);
}

void Cluster::check_stopped(SimNode& n, uint64_t life, Mono by) {
  at(by, [this, &n, life] {
    if (!n.up || n.life != life) return;
    if (n.paused_until == Mono::never()) return;  // until it thaws (seed 1220601)
    if (n.paused_until + kStopBoundNs > now_)
      return check_stopped(n, life, n.paused_until + kStopBoundNs);
    fail("node " + to_string(n.id) + " does not stop");
  });
}

void Cluster::stopped(SimNode& n) {
  hit("a node stopped when it was told");
  note("node " + to_string(n.id) + " has stopped");
  trace(0x57, n.id.value);
  n.log_lane->run(&n.log_jobs);  // what was posted is done
  stop_process(n);
  if (faults_.chance(0.5))
    n.disk.restart_process();
  else
    lose_power(n);
  come_back(n);
}

void Cluster::drain(SimNode& n) {
  const auto length = static_cast<DurationNs>(faults_.between(100, 5000)) * kNsPerMs;
  if (!n.up) return;
  ask(n, "drain", "{\"on\":true}");
  after(length, [this, &n, life = n.life] {
    with_node(n, life, [this, &n] { ask(n, "drain", "{\"on\":false}"); });
  });
}

void Cluster::jump_clock(SimNode& n, DurationNs by) {
  jumps_ = true;
  hit("a clock jumped");
  note("the clock of node " + to_string(n.id) + " jumps by " + std::to_string(by / kNsPerMs) +
       " ms");
  n.clock.offset_ns += by;
  n.timer_at = Mono::never();
  drive(n);
}

}  // namespace raftcs::sim
