// oracles_durable.cpp: what would be left if the power went now.
//
// A copy of a disk loses all that is not synced and is opened as a start would open it. What a node
// says and believes of its own disk or of another one is held against that, not against what a node
// believes: what is committed (S9), what a vote and an acknowledgement promise when they leave (S2,
// S11), what a leader counts (S12). Opening a copy costs, so most of it is sampled; votes are few.
#include <algorithm>

#include "raft/membership.hpp"
#include "sim/sim_world.hpp"

namespace raftcs::sim {

struct Left {  // of a disk
  Uuid disk;
  raft::BootImage image;
  bool holds(Index index, uint64_t term) const {
    if (image.snapshot && image.snapshot->index >= index) return true;
    return std::any_of(image.entries.begin(), image.entries.end(), [&](const raft::Entry& e) {
      return e.index == index && e.term.value == term;
    });
  }
};

namespace {

std::optional<Left> left_of(const SimNode& n) {
  const std::unique_ptr<SimDisk> disk = n.disk.clone();
  disk->crash(std::vector<Fate>{});
  disk->set_capacity(std::nullopt);  // asked is what is there, not whether there is room to start
  storage::Options options;
  options.segment_bytes = n.options.segment_bytes;
  auto dir = storage::DataDir::open(*disk, n.options.data_dir, options, nullptr);
  if (!dir) return std::nullopt;
  return Left{(*dir)->identity().incarnation, (*dir)->take_boot_image()};
}

}  // namespace

// S9: whatever is committed is durable on a quorum of the last committed configuration; what stands
// behind that one may have been counted by the next, which is in force before it is committed
// (CM-08). And what the nodes believe of disks is so.
void Cluster::check_durable() {
  if (configs_.empty() || anybody_rots()) return;  // a copy less, until it is mended
  std::map<NodeId, Left> left;
  for (const auto& n : nodes_)
    if (auto found = left_of(*n)) left.emplace(n->id, std::move(*found));
  hit("durability was checked");
  const Index highest = model_.applied();
  for (const Index index : {highest, Index(oracle_.between(1, highest.value))})
    check_committed_there(index, left);
  for (const auto& n : nodes_)
    if (n->up && !n->wiped) check_believed(*n, left);
}

void Cluster::check_committed_there(Index index, const std::map<NodeId, Left>& left) {
  for (const auto& n : nodes_)
    if (index <= n->lost_to) return;  // its answer may have counted, and came before the damage
  const uint64_t term = committed_[index.value];
  size_t holders = 0;
  const auto durable = [&](const raft::Membership& members) {
    return majority_of(members, [&](NodeId id) {
      const auto it = left.find(id);
      const bool holds = it != left.end() && names_disk(members, id, it->second.disk) &&
                         it->second.holds(index, term);
      holders += holds ? 1 : 0;
      return holds;
    });
  };
  const raft::Membership& last = configs_.rbegin()->second;
  if (last.joint) hit("durability was checked in a joint configuration");
  if (durable(last)) return;
  const auto next = counted_by_.lower_bound(index);
  if (next != counted_by_.end() && durable(next->second)) return;
  fail("index " + to_string(index) + " is committed and durable on " + std::to_string(holders) +
       " nodes only");
}

// S12, and what a node believes of its own disk.
void Cluster::check_believed(const SimNode& n, const std::map<NodeId, Left>& left) {
  const raft::NodeStatus s = n.node->raft_status();
  const auto lacks = [&](NodeId id, Index index) {
    const raft::Entry* e = n.node->raft().entry(index);
    if (e == nullptr || index <= node(id).lost_to) return false;
    const auto it = left.find(id);
    if (it == left.end()) return true;
    // A later leader may have cut it, if it is not committed.
    return it->second.image.hard_state.term <= s.term && !it->second.holds(index, e->term.value);
  };
  if (lacks(n.id, s.durable))
    fail("node " + to_string(n.id) + " believes its log durable up to index " +
         to_string(s.durable) + ", which its disk has not");
  for (const raft::PeerProgress& p : s.peers)
    if (lacks(p.id, p.match))
      fail("leader " + to_string(n.id) + " counts index " + to_string(p.match) +
           ", which the disk of node " + to_string(p.id) + " has not");
}

// S2: a vote that leaves is on the disk, or a later term is.
void Cluster::check_vote_durable(const SimNode& n, Term term, NodeId to) {
  if (anybody_rots()) return;
  const std::optional<Left> left = left_of(n);
  hit("a vote was held against its disk");
  if (!left || left->image.hard_state.term < term ||
      (left->image.hard_state.term == term && left->image.hard_state.vote != to))
    fail("node " + to_string(n.id) + " votes in term " + to_string(term) +
         " before its disk has the vote");
}

// S11. Requires: the node is in the term of the acknowledgement still.
void Cluster::check_ack_durable(const SimNode& n, Index match) {
  const raft::Entry* e = n.node->raft().entry(match);
  if (e == nullptr || anybody_rots() || !oracle_.chance(0.005)) return;
  const std::optional<Left> left = left_of(n);
  hit("an acknowledgement was held against its disk");
  if (!left || !left->holds(match, e->term.value))
    fail("node " + to_string(n.id) + " acknowledges index " + to_string(match) +
         ", which its disk has not");
}

}  // namespace raftcs::sim
