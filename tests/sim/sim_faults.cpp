// sim_faults.cpp: what goes wrong, when, and the healing.
#include <algorithm>
#include <cstring>

#include "sim/sim_world.hpp"

namespace raftcs::sim {

void Cluster::schedule_faults() {
  if (!faulty_ || !report_.ok) return;
  after(static_cast<DurationNs>(faults_.between(20, 900)) * kNsPerMs, [this] {
    if (!faulty_) return;
    fault();
    schedule_faults();
  });
}

void Cluster::fault() {
  SimNode& n = *nodes_[faults_.below(nodes_.size())];
  switch (faults_.below(6)) {
    case 0:
      if (p_.crashes) crash(n, false);
      break;
    case 1:
      if (p_.torn_writes && n.up) n.disk.power_off_after(faults_.between(1, 6));
      break;
    case 2: {
      if (!p_.partitions) break;
      ++report_.partitions;
      cuts_.clear();
      bool one_way = faults_.chance(0.3);
      for (auto& other : nodes_) {
        if (other->id == n.id || faults_.chance(0.2)) continue;
        cuts_.insert({n.id.value, other->id.value});
        if (!one_way) cuts_.insert({other->id.value, n.id.value});
      }
      note("node " + to_string(n.id) + (one_way ? " cannot send" : " is cut off"));
      after(static_cast<DurationNs>(faults_.between(200, 4000)) * kNsPerMs,
            [this] { cuts_.clear(); });
      break;
    }
    case 3:
      if (!p_.pauses || !n.up) break;
      ++report_.pauses;
      n.paused_until = now_ + static_cast<DurationNs>(faults_.between(50, 3000)) * kNsPerMs;
      note("node " + to_string(n.id) + " pauses");
      break;
    case 4:
      if (!p_.client_cuts) break;
      for (auto& [key, link] : links_)
        if (link.alive && faults_.chance(0.5)) kill_link(key, delay(p_.delay_mean_ns));
      break;
    case 5: {
      if (!p_.transfers || !n.up) break;
      uint64_t to = faults_.between(1, p_.nodes);
      ++report_.transfers;
      n.node->admin(1, "transfer", "{\"to\":" + std::to_string(to) + "}", n.clock.local(now_));
      drive(n);
      break;
    }
  }
}

void Cluster::heal() {
  faulty_ = false;
  cuts_.clear();
  note("healed");
  for (auto& n : nodes_) {
    n->paused_until = std::min(n->paused_until, now_);
    if (n->up && n->disk.powered_off()) crash(*n, true);
    n->disk.power_off_after(UINT64_MAX / 2);
    if (!n->up) start(*n);
  }
  // What is left to do must fit the bound even on the slowest network that a seed can have.
  for (SimClient& c : clients_)
    for (WorkSession& s : c.sessions) s.last = std::min(s.last, s.next + kOpsAfterHealing);
}

}  // namespace raftcs::sim
