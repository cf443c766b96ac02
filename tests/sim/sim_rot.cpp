// sim_rot.cpp: a byte of one node's files goes bad, and the node must be whole again.
//
// Either it is found at the start, and the others heal the node; or under the running node, where
// scrubbing must find it and the node mends it alone, unless it crashes before (live_rot).
//
// The atlas of this fault: one node of a seed, of an odd number, at a moment when every disk holds
// everything that is committed. So no entry is damaged on all copies, and a majority is left
// without the node. From then on it is to the oracles what a wiped one is (no lead, no vote that
// counts) until it is a voter again under its new incarnation, which must come before the end.
#include <algorithm>

#include "raft/membership.hpp"
#include "sim/sim_world.hpp"
#include "storage/inspect.hpp"

namespace raftcs::sim {
namespace {

constexpr int kTries = 400;
constexpr int kLiveRotsMax = 3;

}  // namespace

void Cluster::rot() {
  if (!faulty_ || !report_.ok) return;
  SimNode& n = *nodes_[faults_.below(p_.nodes)];
  if (p_.live_rot) return rot_under(n);
  if (!all_whole() || n.paused_until > now_) {
    after(100 * kNsPerMs, [this] { rot(); });
    return;
  }
  const Index durable = n.node->raft_status().durable;
  crash(n, false);
  if (!flip_something(n)) return;
  n.lost_to = durable;
  hit("a byte rotted");
  n.wiped = n.rotten = true;
  n.seen_term = Term();
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

// One byte at a time, of one node at a time, and not beside one that begins anew.
void Cluster::rot_under(SimNode& n) {
  if (live_rots_ >= kLiveRotsMax) return;
  after(static_cast<DurationNs>(faults_.between(500, 2'000)) * kNsPerMs, [this] { rot(); });
  if (!all_whole() || n.paused_until > now_ || anybody_rots()) return;
  if (report_.hits.contains("rot was found at a start")) return;
  if (!flip_durable(n)) return;
  ++live_rots_;
  hit("a byte rotted under a running node");
  n.rots = true;
}

// Whatever a crash would leave now is damaged: the proof that it is no torn write is durable too.
bool Cluster::flip_durable(SimNode& n) {
  const std::unique_ptr<SimDisk> left = n.disk.clone();
  left->crash(std::vector<Fate>{});
  const auto is_damaged = [&] {
    auto findings = storage::verify_directory(*left, n.options.data_dir);
    return findings && std::any_of(findings->begin(), findings->end(),
                                   [](const storage::Finding& f) { return f.damage; });
  };
  if (is_damaged()) return false;  // what was mended is not gone for good yet
  std::vector<std::string> paths;
  for (const std::string& path : n.disk.files())
    if (left->contents(path) && path.find("/damaged/") == std::string::npos &&
        (path.find("/log-") != std::string::npos ||
         (path.find("/snapshot-") != std::string::npos && path.find('.') == std::string::npos)))
      paths.push_back(path);
  for (int i = 0; i < kTries && !paths.empty(); ++i) {
    const std::string& path = paths[faults_.below(paths.size())];
    const uint64_t at = faults_.below(std::max<uint64_t>(left->contents(path)->size(), 1));
    const auto mask = static_cast<uint8_t>(1u << faults_.below(8));
    if (!left->flip(path, at, mask)) continue;
    if (is_damaged() && n.disk.flip(path, at, mask)) {
      n.rot_path = path;
      note("a bit under node " + to_string(n.id) + " rots: " + path + " at " + std::to_string(at));
      return true;
    }
    left->flip(path, at, mask);  // slack
  }
  return false;
}

bool Cluster::anybody_rots() const {
  for (const auto& n : nodes_)
    if (n->rots || (p_.live_rot && n->rotten)) return true;
  return false;
}

// What scrubbing did not get done before a crash is found here, or was done and not told yet.
void Cluster::opened_rotten(SimNode& n, const Uuid& before) {
  if (!n.rots) return;
  n.rots = false;
  if (n.incarnation == before) return;
  hit("rot was found at a start");
  n.lost_to = std::max(n.lost_to, n.seen_durable);
  n.wiped = n.rotten = true;
  n.seen_term = Term();
}

void Cluster::rot_line(SimNode& n, const std::string& line) {
  if (line.find("scrubbing found") != std::string::npos) {
    if (line.find("injected") != std::string::npos) return;  // it cannot be read, this time
    // It may be told when the file has gone already (seed 1452566).
    const bool rotted = !n.rot_path.empty() && line.find(n.rot_path) != std::string::npos;
    if (!n.rots && !rotted) fail("node " + to_string(n.id) + " gives a false alarm: " + line);
    hit("scrubbing found a rotten record");
  }
  if (line.find("is made good") == std::string::npos) return;
  hit("a rotten record was written anew");
  n.rots = false;
}

void Cluster::check_disks_whole() {
  for (auto& n : nodes_) {
    if (!p_.live_rot || !n->up || n->wiped) continue;
    auto findings = storage::verify_directory(n->disk, n->options.data_dir);
    for (size_t f = 0; findings && f < findings->size(); ++f)
      if ((*findings)[f].damage)
        fail("node " + to_string(n->id) + " has damage at the end: " + (*findings)[f].file + ": " +
             (*findings)[f].text);
  }
}

void Cluster::look_for_healed(SimNode& n) {
  if (n.rots && n.up) {
    if (auto there = n.disk.exists(n.rot_path); there && !*there) {
      hit("a rotten record went before it was found");  // cut or replaced as all are in time
      n.rots = false;
    }
  }
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
  rot_line(n, line);
  if (line.find("it was not finished when") != std::string::npos)
    hit("a torn write was cut at a start");
  if (line.find("the state of node") != std::string::npos)
    fail("node " + to_string(n.id) + " believes that replicas differ: " + line);
}

}  // namespace raftcs::sim
