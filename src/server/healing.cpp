// healing.cpp: a node whose data was damaged is taken in again, by itself (damage.hpp).
//
//   the node                                     the leader
//   heal  ------------------------------------>  is it the member with another disk, and is the
//                                                old one silent? then a change of members: the
//                                                same id, a learner, with the new incarnation
//   heal  ------------------------------------>  the configuration names it so:
//         <------------------------------------  admitted
//   follows: gets log or snapshot                gives it its vote back once it is caught up
//
// That it had a vote and is to get it back is in the configuration (raft::Member::returning), so
// each leader knows, whatever restarts meanwhile.
//
// What must hold
//  - Until it is admitted such a node says and takes nothing of consensus. So nothing that its id
//    had promised, votes and entries, is missing from any count: the others find a majority among
//    themselves for the change, or it waits.
//  - It votes, and seeks election, only while the configuration in its log names it with its own
//    incarnation (voting.cpp).
//  - It follows from the directory: a node that restarts before it is named asks again.
//  - It asks until a committed configuration names it, whatever it was told: what admitted it may
//    be cut from the log again. The note of a healing stays, so one that was removed asks too.
#include <algorithm>

#include "raft/membership.hpp"
#include "server/node_impl.hpp"

namespace raftcs::server {
namespace {

constexpr DurationNs kHealAskAgainNs = 1 * kNsPerSecond;
constexpr DurationNs kOpPauseNs = 5 * kNsPerSecond;
constexpr DurationNs kOpPatienceNs = 60 * kNsPerSecond;
constexpr DurationNs kReturnLookNs = 1 * kNsPerSecond;
constexpr uint64_t kReturnLagMax = 4096;  // entries that any disk writes within a round

}  // namespace

// --- the node itself ----------------------------------------------------------------------------

void Node::Impl::ask_to_heal(NodeId peer) {
  send_contact(peer, peer,
               {options_.peer_advertise, wire::ContactReason::heal, Index(),
                environment_.healing->damage});
}

void Node::Impl::heal_admitted(const wire::PeerEnvelope& e) {
  if (e.cluster != identity_.cluster || !is_healing() || heal_admitted_) return;
  heal_admitted_ = true;
  log_line(RAFTCS_LOG_INFO, "node " + to_string(e.from) +
                                " has taken this node in again; the data comes from the leader");
  update_standing();
}

void Node::Impl::heal_tick(Mono now) {
  heal_at_ = can_take_part() ? now + kHealAskAgainNs : Mono::never();
  if (!is_healing() && raft_.status().membership_settled) return;
  for (const auto& [peer, address] : peer_addresses_) ask_to_heal(peer);
}

std::string Node::Impl::healing_text() const {
  std::string text = "the data of this node was damaged (" + environment_.healing->damage +
                     ") and is set aside; ";
  if (heal_admitted_) return text + "it is taken in again and gets its data from the leader";
  text +=
      "it counts for nothing until the leader takes it in again, which needs a majority of the "
      "voters without it";
  return refused_text_.empty() ? text : text + ". " + refused_text_;
}

// --- the leader ---------------------------------------------------------------------------------

void Node::Impl::heal_asked(const wire::PeerEnvelope& e, const wire::PeerContact& c, Mono now) {
  if (!serving() || stopping_) return;
  const auto tell = [&](wire::ContactReason reason, const std::string& text) {
    send_contact(e.from, e.from,
                 {options_.peer_advertise, reason, raft_.status().membership_index, text});
  };
  const raft::Member* member = raft::find_member(raft_.membership(), e.from);
  if (member == nullptr)
    return refuse_peer(e, c.address, wire::ContactReason::not_member,
                       "node " + to_string(e.from) + " is no member of the cluster", now);
  if (member->incarnation == e.incarnation) return tell(wire::ContactReason::admitted, "");
  if (member->incarnation.is_zero() && member->role == raft::MemberRole::learner) {
    has_known_disk(e, now);  // an operator readmits it already: this binds its disk
    return;
  }
  if (auto heard = peer_heard_.find(e.from);
      heard != peer_heard_.end() && now - heard->second < options_.election_timeout_ns)
    return tell(wire::ContactReason::other_disk,
                "member " + to_string(e.from) + " is at work with the disk that the cluster knows; "
                "only one process may run under an id");
  if (member_op_ && !member_op_->ended()) return;  // it asks again
  if (now < heal_op_again_) {
    if (member_op_ && member_op_->heals == e.from && member_op_->stage == MemberOp::Stage::failed)
      tell(wire::ContactReason::other_disk, "it cannot be taken in yet: " + member_op_->text);
    return;
  }
  log_line(RAFTCS_LOG_WARNING, "the data of member " + to_string(e.from) +
                                   " was damaged and it begins anew (" + c.text +
                                   "); it is taken in again");
  // As the first step of `raftcs member replace ID ID`, asked for by the member itself.
  MemberChange readmit;
  readmit.verb = MemberVerb::readmit;
  readmit.id = e.from;
  readmit.incarnation = e.incarnation;
  begin_heal_op(readmit, now);
}

// The second step of it. An operation is begun only where it will not take long: meanwhile no
// operator could change members.
void Node::Impl::return_votes(Mono now) {
  // A leader whose apply lane stands looks again: it may apply again, and still lead.
  return_votes_at_ = role_ == raft::Role::leader ? now + kReturnLookNs : Mono::never();
  if (!serving() || stopping_) return;
  return_votes_at_ = Mono::never();
  for (const raft::Member& m : raft_.membership().members) {
    if (!m.returning) continue;
    return_votes_at_ = now + kReturnLookNs;
    if (member_op_ && !member_op_->ended()) return;
    if (member_op_ && member_op_->stage == MemberOp::Stage::failed && now < heal_op_again_) return;
    const raft::NodeStatus status = raft_.status();
    const auto p = std::find_if(status.peers.begin(), status.peers.end(),
                                [&](const raft::PeerProgress& each) { return each.id == m.id; });
    if (p == status.peers.end() || !p->recently_active || p->snapshotting ||
        p->match + kReturnLagMax < status.last)
      continue;
    MemberChange promote;
    promote.verb = MemberVerb::promote;
    promote.id = m.id;
    return begin_heal_op(promote, now);
  }
}

void Node::Impl::begin_heal_op(const MemberChange& change, Mono now) {
  heal_op_again_ = now + kOpPauseNs;
  MemberOp op;
  op.heals = change.id;
  op.steps.push_back({change});
  op.deadline = now + kOpPatienceNs;
  op.number = ++member_ops_;
  op.text = "it begins";
  member_op_ = std::move(op);
  drive_member_op(now);
}

}  // namespace raftcs::server
