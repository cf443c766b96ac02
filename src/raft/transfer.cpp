// transfer.cpp: handing leadership to a chosen voter (thesis 3.10).
//
// Proposals pause; when the target holds the whole log durably (match, not next: LT-01) it
// is told to campaign at once. Its request says that it is a transfer: that passes
// stickiness and pre-vote, never the comparison of logs (LT-04). After one election timeout
// the leader goes on as before (LT-02). Both sides look again at every step (LT-03).
//
// There are no read leases, so nothing has to be revoked (LT-05): reads are confirmed by
// rounds, which an elector of the target no longer answers in the old term.
#include "base/mutant.hpp"
#include "raft/node_impl.hpp"

namespace raftcs::raft {

Refusal Node::Impl::transfer_leadership(NodeId target) {
  Leader* lead = leading();
  if (!lead || lead->leaving) return Refusal::not_leader;
  if (lead->transfer)
    return lead->transfer->target == target ? Refusal::none : Refusal::transferring;
  if (target == options_.id || !voters_.contains(target)) return Refusal::invalid;
  lead->transfer = Transfer{target, now_ + options_.election_timeout_ns, false};
  if (Progress* p = lead->find(target)) p->poke = true;
  out_.status_changed = true;
  return Refusal::none;
}

void Node::Impl::drive_transfer(Leader& lead) {
  if (!lead.transfer || lead.transfer->sent) return;
  const Progress* p = lead.find(lead.transfer->target);
  if (!p || p->match != log_.last()) return;
  send(p->id, TimeoutNow{});
  lead.transfer->sent = true;
}

// Requires: message.term == hard_.term.
void Node::Impl::on_timeout_now(const Message& message) {
  if (message.from != leader_ || leading() || !is_voter() || passive_ || last_choice_) return;
  if (durable_ != log_.last() && !RCS_MUTANT("EL-12")) return;
  if (receiving_ && !RCS_MUTANT("EL-13")) return;
  campaign(true);
}

}  // namespace raftcs::raft
