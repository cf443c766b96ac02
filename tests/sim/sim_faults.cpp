// sim_faults.cpp: what goes wrong, and when.
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
  switch (faults_.below(14)) {
    case 0:
      if (p_.crashes) crash(n, false);
      break;
    case 1:
      if (p_.torn_writes && n.up) n.disk.power_off_after(faults_.between(1, 6));
      break;
    case 2:
      if (p_.partitions) partition(n);
      break;
    case 3:
      if (!p_.pauses || !n.up || n.paused_until > now_) break;
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
      ask(n, "transfer", "{\"to\":" + std::to_string(to) + "}");
      break;
    }
    default:
      more_fault(n);
  }
}

void Cluster::more_fault(SimNode& n) {
  switch (faults_.below(9)) {
    case 0:
      if (p_.disk_errors && n.up) disk_error(n);
      break;
    case 1:
      if (p_.disk_full && n.up) disk_full(n);
      break;
    case 2:
      if (!p_.slow_disks) break;
      n.slowness = faults_.between(5, 60);
      hit("a disk was slow");
      after(static_cast<DurationNs>(faults_.between(200, 3000)) * kNsPerMs,
            [&n] { n.slowness = 1; });
      break;
    case 3:
      if (!p_.power_cuts || faults_.chance(0.5)) break;
      hit("all nodes lost power");
      for (auto& each : nodes_) crash(*each, false);
      break;
    case 4:
      if (p_.wipes && report_.hits["a disk was wiped"] == 0 && incarnations_bound()) wipe(n);
      break;
    case 5:
      if (!p_.client_deaths) break;
      if (faults_.chance(0.5))
        client_dies(static_cast<uint32_t>(faults_.below(p_.clients)));
      else
        client_retires(static_cast<uint32_t>(faults_.below(p_.clients)),
                       static_cast<DurationNs>(faults_.between(1, 400)) * kNsPerMs);
      break;
    case 6:
      if (p_.takeovers) client_taken_over(static_cast<uint32_t>(faults_.below(p_.clients)));
      break;
    case 7:
      if (!p_.client_pauses) break;
      client_pauses(static_cast<uint32_t>(faults_.below(clients_.size())),
                    static_cast<DurationNs>(faults_.between(50, 6000)) * kNsPerMs);
      break;
    case 8: {
      if (!p_.closes) break;
      auto c = static_cast<uint32_t>(faults_.below(p_.clients));
      close_session(c, clients_[c].sessions[faults_.below(p_.sessions)]);
      break;
    }
    default:
      break;
  }
}

void Cluster::disk_error(SimNode& n) {
  n.disk.fail_nth(faults_.chance(0.5) ? Call::sync : Call::write, faults_.between(1, 4));
  note("a call of node " + to_string(n.id) + "'s disk will fail");
}

void Cluster::disk_full(SimNode& n) {
  n.disk.set_capacity(n.disk.used_bytes() + faults_.below(20'000));
  note("the disk of node " + to_string(n.id) + " is full");
  after(static_cast<DurationNs>(faults_.between(500, 4000)) * kNsPerMs,
        [&n] { n.disk.set_capacity(std::nullopt); });
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

void Cluster::wipe(SimNode& n) {
  hit("a disk was wiped");
  note("node " + to_string(n.id) + " loses its disk");
  n.lost_to = n.node->raft_status().durable;
  crash(n, false);
  n.disk.wipe();
  n.wiped = true;
  n.seen_term = Term();
}

void Cluster::partition(SimNode& n) {
  ++report_.partitions;
  cuts_.clear();
  uint64_t shape = faults_.below(7);
  if (shape == 6) return swizzle();
  size_t count = nodes_.size();
  auto both = [&](uint64_t a, uint64_t b) { cuts_.insert({a, b}), cuts_.insert({b, a}); };
  for (uint64_t a = 1; a <= count; ++a)
    for (uint64_t b = 1; b <= count; ++b) {
      if (a == b) continue;
      bool alone = a == n.id.value && !faults_.chance(0.2);
      bool neighbours = (a % count) + 1 == b || (b % count) + 1 == a;
      if (shape <= 1 && alone) both(a, b);                             // cut off
      if (shape == 2 && alone) cuts_.insert({a, b});                   // cannot send
      if (shape == 3 && a < n.id.value && b > n.id.value) both(a, b);  // a bridge
      if (shape == 4 && !neighbours) cuts_.insert({a, b});             // a ring
      if (shape == 5 && a <= count / 2 && b > count / 2) both(a, b);   // two halves
    }
  constexpr const char* kShapes[] = {"cut off",  "cut off", "one way",
                                     "a bridge", "a ring",  "two halves"};
  hit((std::string("partition: ") + kShapes[shape]).c_str());
  note("partition around node " + to_string(n.id) + ": " + kShapes[shape]);
  after(static_cast<DurationNs>(faults_.between(200, 4000)) * kNsPerMs, [this] { mend(); });
}

// Nodes are cut off one after another, and come back in another order.
void Cluster::swizzle() {
  hit("partition: one after another");
  note("nodes are cut off one after another");
  for (auto& n : nodes_) {
    if (faults_.chance(0.3)) continue;
    const NodeId id = n->id;
    const auto begin = static_cast<DurationNs>(faults_.below(1500)) * kNsPerMs;
    const auto end = static_cast<DurationNs>(faults_.between(1500, 4000)) * kNsPerMs;
    after(begin, [this, id] {
      for (auto& other : nodes_)
        if (faulty_ && other->id != id)
          cuts_.insert({id.value, other->id.value}), cuts_.insert({other->id.value, id.value});
    });
    after(end, [this, id] {
      std::erase_if(cuts_, [&](const auto& cut) {
        return cut.first == id.value || cut.second == id.value;
      });
    });
  }
}

// Leadership goes round faster than logs are mended: whoever begins to lead is cut off soon, from
// its peers only, and who was before comes back with what it had appended for nobody.
// A leader that proposes a configuration is cut off before anybody has it, and ends when its own
// disk may have it: who needs its vote for the entry to be kept or cut?
void Cluster::leave_alone_with_a_change(SimNode& n) {
  const raft::NodeStatus s = n.node->raft_status();
  if (s.role != raft::Role::leader || n.led_term != s.term || s.membership_index <= n.led_config ||
      !faults_.chance(0.2))
    return;
  hit("a leader was alone with a change of members");
  isolate(n.id, false);
  const uint64_t e = p_.election_ms;
  after(static_cast<DurationNs>(faults_.between(1, e)) * kNsPerMs, [this, &n, life = n.life] {
    if (faulty_ && p_.crashes && n.life == life) crash(n, false);
  });
  after(static_cast<DurationNs>(faults_.between(e, 10 * e)) * kNsPerMs, [this] { mend(); });
}

void Cluster::isolate(NodeId id, bool one_way) {
  cuts_.clear();
  for (auto& other : nodes_) {
    if (other->id == id) continue;
    cuts_.insert({id.value, other->id.value});
    if (!one_way) cuts_.insert({other->id.value, id.value});
  }
}

void Cluster::hop(SimNode& n) {
  if (!faults_.chance(0.7)) return;
  const uint64_t e = p_.election_ms;
  const NodeId id = n.id;
  const bool one_way = faults_.chance(0.3);
  after(static_cast<DurationNs>(faults_.below(3 * e)) * kNsPerMs, [this, id, one_way] {
    if (!faulty_) return;
    hit("a new leader was cut off");
    isolate(id, one_way);
  });
  after(static_cast<DurationNs>(faults_.between(4 * e, 10 * e)) * kNsPerMs, [this] { mend(); });
}

}  // namespace raftcs::sim
