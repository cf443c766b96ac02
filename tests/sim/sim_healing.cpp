// sim_healing.cpp: what went wrong goes right again: for a majority first, then for all.
//
// In half of the seeds that allow it some nodes, fewer than half, stay as no node should be: down,
// paused, with a slow disk, cut off, cut off one way, or unable to apply anything. The others are
// enough, so everything must end without these (docs/testing.md, L1-L8). Then they thaw, and all
// must be equal.
#include <algorithm>

#include "sim/sim_world.hpp"

namespace raftcs::sim {
namespace {

// What is left to do must fit the bound even on the slowest network that a seed can have.
constexpr uint32_t kOpsLeastAfterHealing = 8, kOpsMostAfterHealing = 40, kOpsAfterThaw = 3;

constexpr const char* kFrozenHits[] = {
    "",
    "healed without a node that was down",
    "healed without a node that paused",
    "healed without a node with a slow disk",
    "healed without a node that was cut off",
    "healed without a node that was not heard",
    "healed without a node that heard nothing",
    "healed without a node whose state machine stood",
};

}  // namespace

void Cluster::heal() {
  faulty_ = false;
  healed_ = true;
  mend_all();
  while (!held_.empty()) release_late(held_.size() - 1);
  note("healed");
  check_durable();
  for (auto& n : nodes_) {
    // A pause ends by itself: cut short, it would let later frames pass those it keeps.
    if (n->up && n->disk.powered_off()) crash(*n, true);
    n->disk.clear_faults();
    n->disk.set_capacity(std::nullopt);
    n->slowness = 1;
    if (n->broken || n->in_doubt) crash(*n, false);
    if (!n->up) start(*n);
    if (n->up) n->types->faults() = {.piece = p_.piece_bytes};
    // Nodes that all drain hand leadership round.
    if (p_.drains && n->up)
      with_node(*n, n->life, [this, one = n.get()] { ask(*one, "drain", "{\"on\":false}"); });
  }
  for (uint32_t c = 0; c < clients_.size(); ++c)
    if (clients_[c].mute) client_mute(c);
  if (can_freeze() && faults_.chance(0.5)) freeze_some();
  ask_more(kOpsLeastAfterHealing, kOpsMostAfterHealing);
  expect_an_end();
}

// All voters are there, and stay: a majority of them is enough, whichever it is.
bool Cluster::can_freeze() const {
  if (p_.churn || p_.nodes < 3 || anybody_rots()) return false;
  return std::none_of(nodes_.begin(), nodes_.end(), [](const auto& n) { return n->wiped; });
}

void Cluster::freeze_some() {
  for (uint64_t left = faults_.between(1, (p_.nodes - 1) / 2); left > 0;) {
    SimNode& n = *nodes_[faults_.below(p_.nodes)];
    const auto how = static_cast<Frozen>(faults_.between(1, std::size(kFrozenHits) - 1));
    if (n.frozen != Frozen::no || (how == Frozen::stands && !p_.plugin_faults)) continue;
    freeze(n, how);
    --left;
  }
}

void Cluster::freeze(SimNode& n, Frozen how) {
  n.frozen = how;
  hit(kFrozenHits[static_cast<size_t>(how)]);
  note("without node " + to_string(n.id) + ": " + kFrozenHits[static_cast<size_t>(how)]);
  if (how == Frozen::down) {
    crash(n, false);
    ++n.life;  // nobody starts it again
  }
  if (how == Frozen::stands && n.up)
    n.types->faults().applies = n.types->faults().hooks = UINT32_MAX;
  if (how == Frozen::paused)  // what an earlier pause has kept is handled first
    at(n.paused_until, [&n] {
      if (n.frozen == Frozen::paused) n.paused_until = Mono::never();
    });
}

bool Cluster::anybody_frozen() const {
  return std::any_of(nodes_.begin(), nodes_.end(),
                     [](const auto& n) { return n->frozen != Frozen::no; });
}

bool Cluster::cut(NodeId a, NodeId b) const {
  const Frozen from = nodes_[a.value - 1]->frozen, to = nodes_[b.value - 1]->frozen;
  const auto it = cuts_.lower_bound({a.value, b.value, 0});
  const bool severed = it != cuts_.end() && (*it)[0] == a.value && (*it)[1] == b.value;
  return severed || from == Frozen::cut || from == Frozen::unheard ||
         to == Frozen::cut || to == Frozen::deaf;
}

void Cluster::thaw() {
  note("thawed");
  for (auto& n : nodes_) {
    const Frozen was = std::exchange(n->frozen, Frozen::no);
    if (was == Frozen::stands) crash(*n, false);
    if (was == Frozen::down || was == Frozen::stands) start(*n);
    if (n->paused_until != Mono::never()) continue;
    n->paused_until = now_;
    for (auto& what : std::exchange(n->kept, {})) at(now_, std::move(what));
  }
  mend_all();
  ask_more(kOpsAfterThaw, kOpsAfterThaw);
  expect_an_end();
}

void Cluster::ask_more(uint32_t least, uint32_t most) {
  for (uint32_t c = 0; c < clients_.size(); ++c) {
    if (clients_[c].zombie) continue;
    for (WorkSession& s : clients_[c].sessions)
      s.last = std::clamp(s.last, s.next + least, s.next + most);
    with_client(c, clients_[c].life, [this, c] {
      for (WorkSession& s : clients_[c].sessions) submit_more(c, s);
    });
  }
}

}  // namespace raftcs::sim
