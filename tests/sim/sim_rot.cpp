// sim_rot.cpp: a byte of one node's log goes bad, and the node must be healed by the others.
//
// The atlas of this fault: one node of a seed, of an odd number, at a moment when every disk holds
// everything that is committed. So no entry is damaged on all copies, and a majority is left
// without the node. From then on it is to the oracles what a wiped one is (no lead, no vote that
// counts) until it is a voter again under its new incarnation, which must come before the end.
#include "raft/membership.hpp"
#include "sim/sim_world.hpp"
#include "storage/inspect.hpp"

namespace raftcs::sim {
namespace {

constexpr int kTries = 400;

}  // namespace

void Cluster::rot() {
  if (!faulty_ || !report_.ok) return;
  SimNode& n = *nodes_[faults_.below(p_.nodes)];
  if (!incarnations_bound() || n.paused_until > now_) {
    after(100 * kNsPerMs, [this] { rot(); });
    return;
  }
  crash(n, false);
  if (!flip_something(n)) return;
  hit("a byte rotted");
  n.wiped = n.rotten = true;
  n.seen_term = Term();
  std::erase_if(votes_, [&](const auto& vote) { return vote.first.first == n.id.value; });
}

// Something durable, with other durable things behind it: what verifying calls damage.
bool Cluster::flip_something(SimNode& n) {
  std::vector<std::string> segments;
  for (const std::string& path : n.disk.files())
    if (path.find("/log-") != std::string::npos && path.find("/damaged/") == std::string::npos)
      segments.push_back(path);
  for (int i = 0; i < kTries && !segments.empty(); ++i) {
    const std::string& path = segments[faults_.below(segments.size())];
    const uint64_t size = n.disk.contents(path)->size();
    const uint64_t at = faults_.below(std::max<uint64_t>(size, 1));
    const auto mask = static_cast<uint8_t>(1u << faults_.below(8));
    if (!n.disk.flip(path, at, mask)) continue;
    auto findings = storage::verify_directory(n.disk, n.options.data_dir);
    for (size_t f = 0; findings && f < findings->size(); ++f) {
      if (!(*findings)[f].damage) continue;
      note("a bit of node " + to_string(n.id) + " rots: " + path + " at " + std::to_string(at));
      return true;
    }
    n.disk.flip(path, at, mask);  // slack
  }
  return false;
}

void Cluster::look_for_healed(SimNode& n) {
  if (!n.rotten) return;
  const raft::Member* self = raft::find_member(n.node->raft().membership(), n.id);
  if (self == nullptr || self->role != raft::MemberRole::voter ||
      self->incarnation != n.dir->identity().incarnation)
    return;
  hit("a rotten disk was healed");
  note("node " + to_string(n.id) + " is healed");
  n.wiped = n.rotten = false;
  n.seen_term = n.node->raft_status().term;
}

// Replicas are equal here, whatever is broken: whoever says otherwise is wrong.
void Cluster::check_line(SimNode& n, const std::string& line) {
  note("node " + to_string(n.id) + ": " + line);
  if (line.find("the state of node") != std::string::npos)
    fail("node " + to_string(n.id) + " believes that replicas differ: " + line);
}

}  // namespace raftcs::sim
