// membership_change.cpp: configurations in the log (thesis 4).
//
// The configuration in force is the last one in the log, committed or not, else the
// snapshot's (S16). One change at a time, and none before an entry of the own term is
// committed (4.1 and its correction: MB-01); one predicate for every kind (MB-04).
//
// A joint configuration is left by whoever leads when it is committed, exactly once per
// leadership: the leave entry is appended by the node itself (MB-05), so no joint
// configuration outlives a working leader. Callers propose only the way in.
//
// What a leader knows of a peer's log is knowledge of one disk. When the configuration says
// that the member has another disk than before, or is there again after it was removed, the
// leader begins anew with it: else copies that are lost would count (MB-08).
//
// A removed peer is still served until it holds the entry that removed it, or for a few
// election timeouts (MB-07). A leader that removes itself stays until that is committed,
// tells the others, hands over and steps down (4.2.2; MB-11).
#include <algorithm>
#include <utility>

#include "base/check.hpp"
#include "base/mutant.hpp"
#include "raft/node_impl.hpp"

namespace raftcs::raft {
namespace {
constexpr int kDepartingElectionTimeouts = 10;
constexpr int kElectionRankMax = 3;

// How many levels of priority among the voters are above this node's.
int election_rank(const Membership& membership, NodeId id) {
  const Member* self = find_member(membership, id);
  if (!self) return 0;
  std::vector<uint8_t> above;
  for (const Member& m : membership.members) {
    if (m.role != MemberRole::voter || m.priority <= self->priority) continue;
    if (std::find(above.begin(), above.end(), m.priority) == above.end())
      above.push_back(m.priority);
  }
  return std::min(static_cast<int>(above.size()), kElectionRankMax);
}
}  // namespace

Refusal Node::Impl::propose_membership(const Membership& membership_wanted, Index* index,
                                       Term* term) {
  Leader* lead = leading();
  if (!lead || lead->leaving) return Refusal::not_leader;
  if (lead->transfer) return Refusal::transferring;
  const bool ready = lead->ready || RCS_MUTANT("MB-01");
  if (!ready || membership_index() > commit_ || membership().joint)
    return Refusal::membership_pending;
  if (!is_valid_change(membership(), membership_wanted)) return Refusal::invalid;
  Bytes payload = encode_membership(membership_wanted);
  if (!decode_membership(payload).is_ok()) return Refusal::invalid;
  append_as_leader(*lead, EntryType::config, std::move(payload));
  if (index) *index = log_.last();
  if (term) *term = hard_.term;
  leader_commit();  // a smaller quorum may commit what waited (CM-08)
  return Refusal::none;
}

void Node::Impl::membership_changed() {
  voters_ = voter_sets(membership());
  election_rank_ = election_rank(membership(), options_.id);
  out_.status_changed = true;
  Leader* lead = leading();
  if (lead == nullptr) return;
  sync_peers(*lead);
  confirm_reads(*lead);  // who has answered may be a majority now
}

void Node::Impl::sync_peers(Leader& lead) {
  for (Progress& p : lead.peers) {
    const Member* member = find_member(membership(), p.id);
    if (member && (p.departing || member->incarnation != p.incarnation))
      p.forget_log(log_.last().next());
    if (member) p.incarnation = member->incarnation;
    if (!member && !p.departing) {
      p.departing_at = membership_index();
      p.departing_until = now_ + kDepartingElectionTimeouts * options_.election_timeout_ns;
    }
    p.departing = member == nullptr;
  }
  for (const Member& m : membership().members) {
    if (m.id == options_.id || lead.find(m.id)) continue;
    Progress p;
    p.id = m.id;
    p.incarnation = m.incarnation;
    p.next = log_.last().next();
    p.last_contact = now_;
    const auto at = std::find_if(lead.peers.begin(), lead.peers.end(),
                                 [&](const Progress& other) { return other.id > m.id; });
    lead.peers.insert(at, std::move(p));
  }
  if (lead.transfer && !voters_.contains(lead.transfer->target)) lead.transfer.reset();  // LT-03
}

void Node::Impl::drop_departed(Leader& lead) {
  std::erase_if(lead.peers, [&](const Progress& p) {
    const bool told = p.match >= p.departing_at && p.commit_sent >= p.departing_at;
    return p.departing && (told || now_ >= p.departing_until);
  });
}

// Called whenever the commit index moved while leading.
void Node::Impl::on_config_committed(Leader& lead) {
  if (membership_index() > commit_ || !lead.ready) return;
  if (membership().joint) {
    append_as_leader(lead, EntryType::config, encode_membership(leave_joint(membership())));
    return;
  }
  if (!is_voter() && !lead.leaving) lead.leaving = true;
}

// After the appends of this flush, which carry the commit index to the others.
void Node::Impl::leave_if_removed() {
  Leader* lead = leading();
  if (!lead || !lead->leaving) return;
  const Progress* best = nullptr;
  int best_priority = -1;
  for (const Progress& p : lead->peers) {
    const Member* m = find_member(membership(), p.id);
    if (!m || !voters_.contains(p.id) || p.match != log_.last()) continue;
    if (m->priority > best_priority) best = &p, best_priority = m->priority;
  }
  if (best) send(best->id, TimeoutNow{});
  become_follower(hard_.term, NodeId());
}

}  // namespace raftcs::raft
