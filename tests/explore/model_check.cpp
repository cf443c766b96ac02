// model_check.cpp: the invariants that take more than one process. See model.hpp.
#include <algorithm>
#include <bit>

#include "tests/explore/model.hpp"

namespace raftcs::explore {
namespace {

// The hash of entries 1..index on this disk; 0: not (or no longer) there.
uint64_t disk_chain(const Disk& d, Index index) {
  if (index == d.base) return d.base_chain;
  if (d.snapshot && index == d.snapshot->index) return d.snapshot_chain;
  if (index < d.base || index > d.last()) return 0;
  return d.chains[static_cast<size_t>(index - d.base - 1)];
}

bool disk_covers(const Disk& d, Index index) {
  return index < d.base || (d.snapshot && index < d.snapshot->index);
}

uint64_t memory_chain(const Process& p, Index index) {
  if (index < p.memory_base || index >= p.memory_base + p.memory_chains.size()) return 0;
  return p.memory_chains[static_cast<size_t>(index - p.memory_base)];
}

// Counted here on purpose, without the core's own arithmetic.
struct Halves {
  uint32_t incoming = 0, outgoing = 0;
  bool joint = false;

  explicit Halves(const Membership& m) : joint(m.joint) {
    for (const Member& member : m.members) {
      const uint32_t bit = 1u << (member.id.value - 1);
      if (member.role == MemberRole::voter) incoming |= bit;
      if (member.outgoing_voter) outgoing |= bit;
    }
  }
  bool has_quorum(uint32_t who) const {
    const auto most = [&](uint32_t half) {
      return 2 * std::popcount(half & who) > std::popcount(half);
    };
    return most(incoming) && (!joint || most(outgoing));
  }
  bool has_voter(unsigned node) const { return (incoming | outgoing) >> node & 1; }
};

}  // namespace

void Model::fail(const std::string& text) {
  if (error_.empty()) error_ = text;
}

const Model::Committed* Model::committed(uint32_t ledger, Index index) const {
  while (ledger != 0 && ledger_[ledger].length > index.value) ledger = ledger_[ledger].parent;
  return ledger != 0 && ledger_[ledger].length == index.value ? &ledger_[ledger] : nullptr;
}

bool Model::quorum_holds(const State& s, const Membership& m, Index index, uint64_t chain) const {
  uint32_t who = 0;
  for (unsigned i = 0; i < plan_.nodes; ++i) {
    const Disk& d = process(s, i).disk;
    if (disk_covers(d, index) || disk_chain(d, index) == chain) who |= 1u << i;
  }
  return Halves(m).has_quorum(who);
}

// S7, S8: what was applied is the ledger, or makes it longer.
void Model::note_applied(State* s, unsigned node, const Step& step) {
  const Process& p = process(*s, node);
  bool grown = false;
  for (const Applied& a : step.applied) {
    ++checks_;
    if (const Committed* c = committed(s->ledger, a.index)) {
      if (!(c->entry == a))
        fail("S7: node " + std::to_string(node + 1) + " commits another entry at " +
             to_string(a.index));
      continue;
    }
    grown = true;
    const uint64_t key = mix(mix(mix(s->ledger, a.chain), p.node.term().value), a.membership);
    const auto at = static_cast<uint32_t>(ledger_.size());
    const auto [id, fresh] = ledger_at_.insert(key, at);
    if (fresh) {
      ledger_.push_back({s->ledger, static_cast<uint32_t>(a.index.value), a, p.node.term()});
      if (ledger_[s->ledger].length + 1 != a.index.value) fail("S7: the ledger has a hole");
    }
    marks_.commits += 1;
    if (a.membership != ledger_[s->ledger].entry.membership) {
      ++marks_.configurations;
      const auto learns = [](const Member& m) {
        return m.role == MemberRole::learner && !m.outgoing_voter;
      };
      const auto& members = p.membership.members;
      marks_.learners += std::any_of(members.begin(), members.end(), learns);
    }
    s->ledger = id;
  }
  if (!grown) return;
  const Applied& last = step.applied.back();
  if (p.node.role() == Role::leader && last.term != p.node.term())
    fail("S8: an entry of an older term is committed by counting (CM-01)");
  if (!quorum_holds(*s, p.node.membership(), last.index, last.chain))
    fail("S8: " + to_string(last.index) + " is committed but not durable on a quorum");
}

void Model::check(State* s, unsigned node) {
  if (!error_.empty()) return;
  const Process& p = process(*s, node);
  ++checks_;
  for (unsigned i = 0; i < plan_.nodes; ++i) {
    if (i != node) check_pair(p, process(*s, i));
  }
  for (unsigned i = 0; i < plan_.nodes; ++i) {
    if (processes_[s->process[i]].leads) check_leader(s, i);
  }
  if (const auto& snapshot = p.disk.snapshot) {
    const Committed* c = committed(s->ledger, snapshot->index);
    if (!c || c->entry.term != snapshot->term || c->entry.chain != p.disk.snapshot_chain ||
        c->entry.membership != hash_of(snapshot->membership))
      fail("S13: a snapshot is not of what was committed");
  }
  const Committed& end = ledger_[s->ledger];
  if (plan_.quorum_stays && !quorum_holds(*s, plan_.setup.first, end.entry.index, end.entry.chain))
    fail("S9: a committed entry is no longer durable on a quorum");
}

// S5: where index and term agree, everything up to there does.
void Model::check_pair(const Process& a, const Process& b) {
  ++checks_;
  const Index top = std::min(a.node.last_index(), b.node.last_index());
  for (Index i = top; i > std::max(a.memory_base, b.memory_base); i = i.prev()) {
    if (a.node.entry(i)->term != b.node.entry(i)->term) continue;
    if (memory_chain(a, i) != memory_chain(b, i)) fail("S5: the logs differ below " + to_string(i));
    return;
  }
}

// EL-18: a term is led once. (A leader of a term steps down before it leads another.) S17: one that
// is a learner by its log may lead while that is not known to be committed.
void Model::check_begins_to_lead(const State& s, unsigned node) {
  const Process& p = process(s, node);
  const Term term = p.node.term();
  ++checks_;
  if (!Halves(p.node.membership()).has_voter(node) && !Halves(p.membership).has_voter(node))
    fail("S17: leads term " + to_string(term) + " without being a voter");
  if (term.value + 1 < kTermsMax && s.leader_of[term.value] == node + 1)
    fail("EL-18: leads term " + to_string(term) + " a second time");
}

void Model::check_leader(State* s, unsigned node) {
  const Process& p = process(*s, node);
  const Term term = p.node.term();
  ++checks_;
  uint8_t& before = s->leader_of[std::min<size_t>(term.value, kTermsMax - 1)];
  if (before != 0 && before != node + 1) return fail("S1: two leaders in term " + to_string(term));
  if (before == 0) {
    before = static_cast<uint8_t>(node + 1);
    ++marks_.leaders;
    uint32_t votes = 1u << node;  // durable, says process.cpp
    for (unsigned i = 0; i < plan_.nodes; ++i) {
      for (const Grant& g : process(*s, i).grants)
        if (g.term == term && g.to == p.id) votes |= 1u << i;
    }
    if (!Halves(p.node.membership()).has_quorum(votes))
      fail("S17: leads without a quorum of votes in term " + to_string(term));
  }
  // S6: of the ledger, the part committed in older terms.
  uint32_t at = s->ledger;
  while (at != 0 && ledger_[at].committed_in >= term) at = ledger_[at].parent;
  const Committed& c = ledger_[at];
  if (at != 0 && c.entry.index >= p.memory_base && memory_chain(p, c.entry.index) != c.entry.chain)
    fail("S6: the leader of term " + to_string(term) + " lacks " + to_string(c.entry.index));
  // S12, unless the peer already follows a later leader.
  for (const PeerProgress& peer : processes_[s->process[node]].peers) {
    if (peer.id.value > plan_.nodes || !peer.match) continue;
    const Process& q = process(*s, static_cast<unsigned>(peer.id.value - 1));
    if (q.node.term() > term || disk_covers(q.disk, peer.match)) continue;
    const uint64_t chain = memory_chain(p, peer.match);
    if (chain != 0 && chain != disk_chain(q.disk, peer.match))
      fail("S12: the leader believes what is not on the disk of " + to_string(peer.id));
  }
}

}  // namespace raftcs::explore
