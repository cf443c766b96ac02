// sim_marks.cpp: rare things that a campaign must have met, where no oracle sees them by the way.
//
// What is counted here fails nothing. That it never happened in many seeds does (sim_main.cpp):
// then the faults do not reach the code.
#include "sim/sim_world.hpp"

namespace raftcs::sim {

// Which segment the entries are in that have become durable, to tell what a cut goes through.
// (What one group commit wrote counts as in its last segment.)
void Cluster::note_written(SimNode& n, const raft::NodeStatus& s) {
  if (s.durable > n.seen_durable) {
    const uint64_t segment = n.dir->segments().back().segment;
    for (Index i = n.seen_durable.next(); i <= s.durable; ++i) n.segment_of[i] = segment;
    n.segment_of.erase(n.segment_of.begin(), n.segment_of.lower_bound(s.first));
  }
  n.seen_durable = s.durable;
}

void Cluster::note_cut(SimNode& n, Index from) {
  const auto first = n.segment_of.lower_bound(from);
  if (first == n.segment_of.end()) return;
  if (first->second != n.segment_of.rbegin()->second) hit("a log was cut through two segments");
  n.segment_of.erase(first, n.segment_of.end());
}

// A snapshot from a peer, chunk by chunk. Requires: n has not been told yet.
void Cluster::note_chunk(SimNode& n, const server::SnapshotDone& done) {
  const auto* chunk = std::get_if<server::SnapshotChunkWritten>(&done);
  if (chunk == nullptr || !chunk->status.is_ok()) return;
  SimNode::Receiving& r = n.receiving;
  if (r.life != n.life || r.meta != chunk->meta) {
    if (r.life == n.life && r.chunks > 0) hit("a snapshot on its way was replaced by another");
    r = {chunk->meta, chunk->from, n.life, 0};
  }
  if (r.from != chunk->from) hit("a snapshot on its way went on with another leader");
  r.from = chunk->from;
  ++r.chunks;
  if (!chunk->written.complete) return;
  ++report_.snapshots_installed;
  hit(r.chunks > 1 ? "a snapshot came in several chunks" : "a snapshot came in one chunk");
  r = {};
  n.from_snapshot = true;
  const raft::NodeStatus s = n.node->raft_status();
  for (Index i = s.commit.next(); i <= s.last; ++i) {
    const raft::Entry* e = n.node->raft().entry(i);
    const auto truth = committed_.find(i.value);
    if (e == nullptr || truth == committed_.end() || truth->second == e->term.value) continue;
    return hit("a snapshot came over a log that had gone another way");
  }
}

}  // namespace raftcs::sim
