// state_hash.cpp: one number for everything that decides what a node does next.
//
// An explorer takes two nodes of equal hash for one (tests/explore), so the rule is: what a
// transition reads is in here. Times count by what is left or gone of them, not as readings of
// a clock, and only while somebody looks at them; numbers of writes count backwards from the
// last one. Left out on purpose: the source of election timeouts (when a timeout comes is the
// driver's to choose) and what only status() shows.
//
// What must hold: equal hashes, equal futures. tests/explore checks it: it feeds nodes that were
// reached in different ways and hash alike with the same inputs, and compares the effects.
#include <algorithm>

#include "raft/invariants.hpp"

namespace raftcs::raft {
namespace {

class Hasher {
 public:
  void add(uint64_t v) {
    h_ = (h_ ^ v) * 0x9E3779B97F4A7C15ull;
    h_ ^= h_ >> 29;
  }
  template <class Tag>
  void add(StrongId<Tag> id) {
    add(id.value);
  }
  void add(const Bytes& b) {
    add(b.size());
    for (uint8_t c : b) add(c);
  }
  void add(const SnapshotMeta& m) {
    add(m.index);
    add(m.term);
    add(static_cast<uint64_t>(m.time.ns));
    add(m.size);
    add(m.checksum);
    add(encode_membership(m.membership));
  }
  void add(const Entry& e) {
    add(e.term);
    add(static_cast<uint64_t>(e.type));
    add(static_cast<uint64_t>(e.time.ns));
    add(e.payload);
  }
  void add(const std::vector<NodeId>& ids) {  // as a set
    std::vector<NodeId> sorted = ids;
    std::sort(sorted.begin(), sorted.end());
    add(sorted.size());
    for (NodeId id : sorted) add(id);
  }
  uint64_t value() const { return h_; }

 private:
  uint64_t h_ = 0xCBF29CE484222325ull;
};

// How long ago, as far as anybody asks: after `limit` it makes no difference.
uint64_t age(Mono now, Mono then, DurationNs limit) {
  return static_cast<uint64_t>(std::min(now - then, limit));
}
// What is left until a deadline; all that is over is equal.
uint64_t left(Mono now, Mono at) {
  if (at == Mono::never()) return UINT64_MAX;
  return static_cast<uint64_t>(std::max<DurationNs>(at - now, 0));
}

void hash_peer(const Node::Impl& n, const Progress& p, Hasher* h) {
  const DurationNs timeout = n.options_.election_timeout_ns;
  h->add(p.id);
  h->add(static_cast<uint64_t>(p.mode));
  h->add(p.match);
  h->add(p.next);
  p.inflights.for_each([&](Index last, uint64_t bytes) {
    h->add(last);
    h->add(bytes);
  });
  h->add(p.commit_sent);
  h->add(p.round_acked);
  h->add(static_cast<uint64_t>(p.probe_sent) | static_cast<uint64_t>(p.poke) << 1 |
         static_cast<uint64_t>(p.notice_sent) << 2 | static_cast<uint64_t>(p.departing) << 3 |
         static_cast<uint64_t>(p.heard) << 4);
  h->add(age(n.now_, p.last_contact, timeout));
  if (p.departing) {
    h->add(p.departing_at);
    h->add(left(n.now_, p.departing_until));
  }
  if (p.mode != Progress::Mode::snapshot) return;
  h->add(p.snapshot.meta);
  h->add(p.snapshot.offset);
  h->add(p.snapshot.reading);
  h->add(p.snapshot.unanswered);
  h->add(left(n.now_, p.snapshot.retry_at));
}

void hash_leader(const Node::Impl& n, const Leader& lead, Hasher* h) {
  const DurationNs timeout = n.options_.election_timeout_ns;
  h->add(lead.first_own);
  h->add(lead.ready);
  h->add(lead.uncommitted_bytes);
  h->add(lead.round);
  h->add(lead.leaving);
  h->add(left(n.now_, lead.heartbeat_at));
  h->add(left(n.now_, lead.notice_at));
  h->add(static_cast<uint64_t>(n.cluster_time(n.now_).ns));
  h->add(age(n.now_, lead.quorum_contact, timeout));
  h->add(lead.reads_early.size());
  for (uint64_t token : lead.reads_early) h->add(token);
  h->add(lead.reads_new.size());
  for (const PendingRead& r : lead.reads_new) {
    h->add(r.token);
    h->add(r.index);
  }
  h->add(lead.reads_waiting.size());
  for (const PendingRead& r : lead.reads_waiting) {
    h->add(r.token);
    h->add(r.index);
    h->add(r.round);
  }
  if (lead.transfer) {
    h->add(lead.transfer->target);
    h->add(lead.transfer->sent);
    h->add(left(n.now_, lead.transfer->give_up));
  }
  for (const Progress& p : lead.peers) hash_peer(n, p, h);
}

void hash_log(const Node::Impl& n, Hasher* h) {
  h->add(n.snapshot_);
  h->add(n.log_.base().index);
  h->add(n.log_.base().term);
  h->add(static_cast<uint64_t>(n.log_.base().time.ns));
  h->add(n.log_.last());
  for (Index i = n.log_.first(); i <= n.log_.last(); ++i) h->add(n.log_.at(i));
}

// What was handed out to be written and is not durable, and what will be handed out next.
void hash_writes(const Node::Impl& n, Hasher* h) {
  h->add(n.hard_dirty_);
  h->add(n.hard_seq_ > n.persisted_seq_ ? n.last_seq_ - n.hard_seq_ + 1 : 0);
  h->add(n.hard_persisted_seq_ > n.persisted_seq_ ? n.last_seq_ - n.hard_persisted_seq_ + 1 : 0);
  h->add(n.durable_);
  h->add(n.first_unwritten_);
  h->add(n.truncate_ ? n.truncate_->value : 0);
  h->add(n.reset_log_.has_value());
  if (n.reset_log_) h->add(*n.reset_log_);
  h->add(n.last_seq_ - n.persisted_seq_);
  h->add(n.writes_.size());
  for (const PendingWrite& w : n.writes_) {
    h->add(n.last_seq_ - w.seq);
    h->add(w.first);
    h->add(w.last);
  }
}

void hash_role(const Node::Impl& n, Hasher* h) {
  h->add(static_cast<uint64_t>(n.role()));
  if (const auto* pre = std::get_if<PreCandidate>(&n.role_)) {
    h->add(pre->asked);
    h->add(pre->grants);
  }
  if (const auto* candidate = std::get_if<Candidate>(&n.role_)) {
    h->add(candidate->grants);
    const uint64_t own = candidate->own_vote_seq;
    h->add(own > n.persisted_seq_ ? n.last_seq_ + 1 - own : UINT64_MAX);
  }
  if (const Leader* lead = n.leading()) {
    hash_leader(n, *lead, h);
  } else {
    h->add(left(n.now_, n.election_at_));
  }
}

}  // namespace

uint64_t state_hash(const Node::Impl& n) {
  Hasher h;
  h.add(n.hard_.term);
  h.add(n.hard_.vote);
  h.add(n.commit_);
  h.add(n.handed_out_);
  h.add(n.passive_);
  h.add(n.last_choice_);
  h.add(std::max(n.compaction_goal_, n.log_.base().index));
  hash_log(n, &h);
  hash_writes(n, &h);
  h.add(n.leader_);
  if (n.leader_ && !n.leading())
    h.add(age(n.now_, n.leader_contact_, n.options_.election_timeout_ns));
  hash_role(n, &h);
  h.add(n.receiving_.has_value());
  if (n.receiving_) {
    h.add(n.receiving_->meta);
    h.add(n.receiving_->next_offset);
    h.add(n.receiving_->writing);
  }
  return h.value();
}

}  // namespace raftcs::raft
