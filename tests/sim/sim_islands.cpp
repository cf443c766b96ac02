// sim_islands.cpp: clients that reach some of the nodes only, for a while.
//
// Nodes may reach each other meanwhile or not: a client may be alone with a leader that was cut
// off. What is sent across comes when the client is back, as TCP sends again until it is there;
// of the connections that were there half are broken.
#include <algorithm>

#include "sim/sim_world.hpp"

namespace raftcs::sim {

void Cluster::schedule_islands() {
  if (!faulty_ || !report_.ok) return;
  after(static_cast<DurationNs>(islands_.between(300, 5000)) * kNsPerMs, [this] {
    if (!faulty_) return;
    strand(static_cast<uint32_t>(islands_.below(clients_.size())));
    schedule_islands();
  });
}

// Of two that lead the one with the lower term: nobody follows it any more.
const SimNode* Cluster::oldest_leader() const {
  const SimNode* found = nullptr;
  for (const auto& n : nodes_)
    if (n->up && n->node->raft_status().role == raft::Role::leader &&
        (found == nullptr || n->node->raft_status().term < found->node->raft_status().term))
      found = n.get();
  return found;
}

void Cluster::strand(uint32_t c) {
  SimClient& client = clients_[c];
  if (client.engine == nullptr || client.stranded_until > now_) return;
  constexpr const char* kShapes[] = {"one node", "the leader", "all but the leader", "some nodes"};
  const uint64_t shape = islands_.below(std::size(kShapes));
  const uint64_t one = islands_.between(1, nodes_.size());
  const SimNode* leader = oldest_leader();
  if (leader == nullptr && (shape == 1 || shape == 2)) return;
  client.beyond.clear();
  for (const auto& n : nodes_) {
    const bool reached = shape == 0   ? n->id.value == one
                         : shape == 3 ? islands_.chance(0.5)
                                      : (n.get() == leader) == (shape == 1);
    if (!reached) client.beyond.insert(n->id);
  }
  if (client.beyond.empty()) return;
  hit((std::string("a client reached only ") + kShapes[shape]).c_str());
  note("client " + std::to_string(c) + " reaches only " + kShapes[shape]);
  client.stranded_until = now_ + static_cast<DurationNs>(islands_.between(1000, 5000)) * kNsPerMs;
  for (auto& [key, link] : links_)
    if (link.client == c && link.alive && client.beyond.contains(link.node) && islands_.chance(0.5))
      kill_link(key, delay(p_.delay_mean_ns));
}

// When what is sent now between a client and a node sets out.
Mono Cluster::sets_out(uint32_t c, NodeId node) const {
  const SimClient& client = clients_[c];
  const bool stranded = client.stranded_until > now_ && client.beyond.contains(node);
  return stranded ? client.stranded_until : now_;
}

}  // namespace raftcs::sim
