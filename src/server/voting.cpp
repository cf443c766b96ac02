// voting.cpp: when a node may vote and seek election, and when a founder may found.
//
// A directory says whether it was made to found a cluster or for one that was there (joined, or
// after damage: Identity::joined). The second kind has no past of its own, but its id may have
// one: it votes only where a configuration in its log names it with its own incarnation. Before,
// an older configuration, on its way to the one that admits it, may take it for the voter it was.
// A removal takes that away only when it is known to be committed.
//
// A founder has the first configuration and nothing else. So has a member whose disk was lost and
// that was started again as it was the first time; two of those are a majority of three, and would
// found an empty cluster beside the data of the third. So a founder asks first
// (docs/decisions/0047-founders-ask.md): it greets the others, and takes part when each has been
// heard, or after some time. A member that knows its id with another disk refuses it
// (contacts.cpp), and then it founds nothing.
//
// What must hold
//  - No vote and no election without may_vote().
//  - A founder is one only until the log has a second entry; a single member waits for nobody.
//  - Being told of another disk can stop only a node that no configuration it has names as it is.
#include <algorithm>

#include "raft/membership.hpp"
#include "server/node_impl.hpp"

namespace raftcs::server {
namespace {

constexpr DurationNs kFounderAsksNs = 100 * kNsPerMs;
constexpr DurationNs kFounderPatienceNs = 2 * kNsPerSecond;  // then who is silent is not up

}  // namespace

bool Node::Impl::may_vote() const {
  if (identity_.joined || told_other_disk_) return raft_.disk_is_named();
  if (founder_asks_at_ != Mono::never()) return false;
  const raft::Member* self = raft::find_member(raft_.membership(), identity_.node);
  return self == nullptr || self->incarnation.is_zero() ||
         self->incarnation == identity_.incarnation;
}

void Node::Impl::update_passive() {
  raft_.set_passive(!may_vote());
  raft_.set_last_choice(should_not_lead());
}

void Node::Impl::drop_what_is_not_for_now(std::vector<raft::Message>* messages) const {
  std::erase_if(*messages, [](const raft::Message& m) {
    return std::holds_alternative<raft::VoteRequest>(m.body) ||
           std::holds_alternative<raft::TimeoutNow>(m.body);
  });
}

// --- founders -----------------------------------------------------------------------------------

void Node::Impl::begin_as_founder(Mono now) {
  const raft::Member* self = raft::find_member(raft_.membership(), identity_.node);
  if (identity_.joined || raft_.status().last != Index(1)) return;
  if (self == nullptr || !self->incarnation.is_zero()) return;  // it is known here
  for (const raft::Member& m : raft_.membership().members)
    if (m.id != identity_.node) founder_waits_for_.insert(m.id);
  if (founder_waits_for_.empty()) return;
  founder_asks_at_ = now;
  founder_until_ = now + kFounderPatienceNs;
}

void Node::Impl::founder_tick(Mono now) {
  founder_asks_at_ = now + kFounderAsksNs;
  if (founder_waits_for_.empty() || told_other_disk_ || now >= founder_until_ ||
      raft_.status().last != Index(1)) {
    founder_waits_for_.clear();
    founder_asks_at_ = Mono::never();
    update_passive();
    return;
  }
  for (NodeId peer : founder_waits_for_)
    send_contact(peer, peer, {options_.peer_advertise, wire::ContactReason::hello, Index(), ""});
}

void Node::Impl::founder_heard(NodeId peer, Mono now) {
  if (founder_waits_for_.erase(peer) > 0 && founder_waits_for_.empty()) founder_asks_at_ = now;
}

}  // namespace raftcs::server
