// read_index.cpp: linearizable reads without log entries (thesis 6.4), quorum contact and
// cluster time.
//
// A read is answered with the commit index of the moment it was asked, after a quorum has
// answered an append that was sent later (RD-02). Each flush with new reads starts a round
// with a number of its own; an answer confirms the round it was sent for and older ones,
// nothing else (RD-03). Before an entry of the own term is committed the commit index may
// be behind, so early reads wait for that (RD-01). Every accepted read ends once (RD-04).
//
// Cluster time (D5) goes on from the last entry's time by this leader's elapsed time, but
// never further than one election timeout past the last contact with a quorum.
#include <algorithm>
#include <utility>

#include "base/mutant.hpp"
#include "raft/node_impl.hpp"

namespace raftcs::raft {

void Node::Impl::read_index(uint64_t token) {
  Leader* lead = leading();
  if (!lead) {
    out_.reads_failed.push_back(token);
  } else if (!lead->ready && !RCS_MUTANT("RD-01")) {
    lead->reads_early.push_back(token);
  } else {
    lead->reads_new.push_back({token, commit_, 0});
  }
}

void Node::Impl::release_early_reads(Leader& lead) {
  for (uint64_t token : lead.reads_early) lead.reads_new.push_back({token, commit_, 0});
  lead.reads_early.clear();
}

void Node::Impl::start_round(Leader& lead) {
  if (lead.reads_new.empty()) return;
  ++lead.round;
  for (PendingRead& read : lead.reads_new) {
    read.round = lead.round;
    lead.reads_waiting.push_back(read);
  }
  lead.reads_new.clear();
  for (Progress& peer : lead.peers) {
    if (voters_.contains(peer.id)) peer.poke = true;
  }
  confirm_reads(lead);  // alone, nobody else has to agree
}

void Node::Impl::confirm_reads(Leader& lead) {
  if (lead.reads_waiting.empty()) return;
  const uint64_t confirmed = quorum_value<uint64_t>(voters_, [&](NodeId id) {
    if (id == options_.id) return lead.round;
    const Progress* p = lead.find(id);
    return p ? p->round_acked : 0;
  });
  while (!lead.reads_waiting.empty() && lead.reads_waiting.front().round <= confirmed) {
    const PendingRead& read = lead.reads_waiting.front();
    out_.reads_ready.push_back({read.token, read.index});
    lead.reads_waiting.pop_front();
  }
}

// --- quorum contact and time --------------------------------------------------------------

void Node::Impl::note_contact(Leader& lead, Progress& peer) {
  // Time up to here belongs to the contact before; a gap without a quorum is not counted.
  const LogTime clock = cluster_time(now_);
  peer.last_contact = now_;
  peer.heard = true;
  lead.clock = clock;
  lead.clock_at = now_;
  lead.quorum_contact = std::max(lead.quorum_contact, quorum_contact(lead, now_));
}

Mono Node::Impl::quorum_contact(const Leader& lead, Mono now) const {
  return quorum_value<Mono>(voters_, [&](NodeId id) {
    if (id == options_.id) return now;
    const Progress* p = lead.find(id);
    return p ? p->last_contact : Mono();
  });
}

bool Node::Impl::has_quorum_contact(Mono now) const {
  const Leader* lead = leading();
  if (!lead) return false;
  if (voters_.is_sole(options_.id)) return true;
  return now - quorum_contact(*lead, now) < options_.election_timeout_ns;
}

LogTime Node::Impl::cluster_time(Mono now) const {
  const Leader* lead = leading();
  if (!lead) return log_.last_time();
  Mono end = now;
  if (!voters_.is_sole(options_.id))
    end = std::min(end, lead->quorum_contact + options_.election_timeout_ns);
  const LogTime time = end > lead->clock_at ? lead->clock + (end - lead->clock_at) : lead->clock;
  return std::max(time, log_.last_time());
}

}  // namespace raftcs::raft
