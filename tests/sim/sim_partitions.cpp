// sim_partitions.cpp: links between nodes are cut, and mended.
//
// Whoever cuts links gets a number, and mends what is cut under it: of two partitions at once
// neither ends the other.
#include <algorithm>

#include "sim/sim_world.hpp"

namespace raftcs::sim {

void Cluster::partition(SimNode& n) {
  const uint64_t shape = faults_.below(7);
  if (shape == 6) return swizzle();
  const uint64_t owner = ++next_cut_;
  const size_t count = nodes_.size(), before = cuts_.size();
  auto one = [&](uint64_t a, uint64_t b) { cuts_.insert({a, b, owner}); };
  auto both = [&](uint64_t a, uint64_t b) { one(a, b), one(b, a); };
  for (uint64_t a = 1; a <= count; ++a)
    for (uint64_t b = 1; b <= count; ++b) {
      if (a == b) continue;
      bool alone = a == n.id.value && !faults_.chance(0.2);
      bool neighbours = (a % count) + 1 == b || (b % count) + 1 == a;
      if (shape <= 1 && alone) both(a, b);                             // cut off
      if (shape == 2 && alone) one(a, b);                              // cannot send
      if (shape == 3 && a < n.id.value && b > n.id.value) both(a, b);  // a bridge
      if (shape == 4 && !neighbours) one(a, b);                        // a ring
      if (shape == 5 && a <= count / 2 && b > count / 2) both(a, b);   // two halves
    }
  const DurationNs length = partition_length();
  if (cuts_.size() == before) return;
  constexpr const char* kShapes[] = {"cut off",  "cut off", "one way",
                                     "a bridge", "a ring",  "two halves"};
  ++report_.partitions;
  hit((std::string("partition: ") + kShapes[shape]).c_str());
  if (before > 0) hit("two partitions at once");
  note("partition around node " + to_string(n.id) + ": " + kShapes[shape] + ", for " +
       std::to_string(length / kNsPerMs) + " ms");
  after(length, [this, owner] { mend(owner); });
}

// One in ten is long: logs are cut, sessions and patience end meanwhile.
DurationNs Cluster::partition_length() {
  const bool is_long = faults_.chance(0.1);
  return static_cast<DurationNs>(is_long ? faults_.between(5'000, 15'000)
                                         : faults_.between(200, 4'000)) *
         kNsPerMs;
}

void Cluster::cut_off(NodeId id, uint64_t owner, bool one_way) {
  for (auto& other : nodes_) {
    if (other->id == id) continue;
    cuts_.insert({id.value, other->id.value, owner});
    if (!one_way) cuts_.insert({other->id.value, id.value, owner});
  }
}

// Nodes are cut off one after another, and come back in another order.
void Cluster::swizzle() {
  if (nodes_.size() < 2) return;
  ++report_.partitions;
  hit("partition: one after another");
  note("nodes are cut off one after another");
  for (auto& n : nodes_) {
    if (faults_.chance(0.3)) continue;
    const NodeId id = n->id;
    const uint64_t owner = ++next_cut_;
    const auto begin = static_cast<DurationNs>(faults_.below(1500)) * kNsPerMs;
    const auto end = static_cast<DurationNs>(faults_.between(1500, 4000)) * kNsPerMs;
    after(begin, [this, id, owner] {
      if (faulty_) cut_off(id, owner, false);
    });
    after(end, [this, owner] { mend(owner); });
  }
}

// From its peers only; who was isolated before comes back.
uint64_t Cluster::isolate(NodeId id, bool one_way) {
  mend(isolation_);
  if (nodes_.size() < 2) return 0;
  isolation_ = ++next_cut_;
  cut_off(id, isolation_, one_way);
  return isolation_;
}

// Leadership goes round faster than logs are mended: whoever begins to lead is cut off soon, and
// who was before comes back with what it had appended for nobody.
void Cluster::hop(SimNode& n) {
  if (!faults_.chance(0.7)) return;
  const uint64_t e = p_.election_ms;
  const NodeId id = n.id;
  const bool one_way = faults_.chance(0.3);
  const auto begin = static_cast<DurationNs>(faults_.below(3 * e)) * kNsPerMs;
  const auto end = static_cast<DurationNs>(faults_.between(4 * e, 10 * e)) * kNsPerMs;
  note("a new leader is cut off");
  after(begin, [this, id, one_way, length = end - begin] {
    if (!faulty_) return;
    const uint64_t owner = isolate(id, one_way);
    if (owner == 0) return;
    hit("a new leader was cut off");
    after(length, [this, owner] { mend(owner); });
  });
}

// A leader that proposes a configuration is cut off before anybody has it, and ends when its own
// disk may have it: who needs its vote for the entry to be kept or cut?
void Cluster::leave_alone_with_a_change(SimNode& n) {
  const raft::NodeStatus s = n.node->raft_status();
  if (s.role != raft::Role::leader || n.led_term != s.term || s.membership_index <= n.led_config ||
      !faults_.chance(0.2))
    return;
  const uint64_t e = p_.election_ms;
  const auto lives = static_cast<DurationNs>(faults_.between(1, e)) * kNsPerMs;
  const auto length = static_cast<DurationNs>(faults_.between(e, 10 * e)) * kNsPerMs;
  note("a leader is alone with a change of members");
  const uint64_t owner = isolate(n.id, false);
  if (owner == 0) return;
  hit("a leader was alone with a change of members");
  after(lives, [this, &n, life = n.life] {
    if (faulty_ && p_.crashes && n.life == life) crash(n, false);
  });
  after(length, [this, owner] { mend(owner); });
}

void Cluster::mend_all() {
  cuts_.clear();
  mend(0);
}

// What was sent meanwhile into links that are whole now arrives.
void Cluster::mend(uint64_t owner) {
  std::erase_if(cuts_, [owner](const auto& c) { return c[2] == owner; });
  std::vector<Late> still;
  for (Late& late : std::exchange(stale_, {})) {
    if (cut(late.from, late.to)) {
      still.push_back(std::move(late));
      continue;
    }
    hit("a stale queue was flushed");
    put_peer(late.from, late.to, late.frame, now_ + delay(p_.delay_mean_ns));
  }
  stale_ = std::move(still);
}

}  // namespace raftcs::sim
