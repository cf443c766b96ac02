// roles.cpp: this node begins to lead, serves, and leads no more.
//
// What must hold: whatever was accepted and cannot end here any more is answered when leadership is
// lost, once; clients are served only after an entry of the own term (LDR-09).
#include <algorithm>

#include "server/node_impl.hpp"

namespace raftcs::server {
namespace {

constexpr DurationNs kBindIncarnationsNs = 200 * kNsPerMs;
constexpr DurationNs kPreferLeaderNs = 5 * kNsPerSecond;

}  // namespace

void Node::Impl::roles_changed(Mono now) {
  raft::Role role = raft_.role();
  Term term = raft_.term();
  NodeId leader = raft_.leader();
  bool ready = raft_.leader_ready();
  bool was_leader = role_ == raft::Role::leader;
  bool changed = role != role_ || term != term_ || leader != leader_;
  bool new_members = !(raft_.membership() == membership_);
  bool lost = was_leader && (role != raft::Role::leader || term != term_);
  role_ = role;
  term_ = term;
  leader_ = leader;
  if (lost) {
    leader_ready_ = served_ = false;
    lost_leadership(now);
  }
  if (ready && !leader_ready_) {
    leader_ready_ = true;
    serve_after_ = raft_.commit_index();
  }
  if (new_members) membership_changed(now);
  if (serving() && !served_) began_serving(now);
  if (changed && !refused_text_.empty()) update_standing();
  if (changed || new_members) {
    announce_topology();
    publish_state();
  }
}

void Node::Impl::lost_leadership(Mono) {
  handed_to_.clear();
  transfer_again_ = Mono();
  drop_batch();
  proposals_.clear();
  proposals_committed_ = 0;
  close_all(wire::CloseReason::not_leader);
  for (const auto& [proof, create] : std::exchange(creates_, {})) {
    auto it = connections_.find(create.conn);
    if (it != connections_.end())
      reject(it->second, create.channel, create.nonce, wire::RejectReason::not_leader,
             "leadership was lost");
  }
  refuse_takeovers();
  for (const QueryItem& item : std::exchange(reads_, {}))
    fail_accepted(item, RAFTCS_ERR_NOT_LEADER);
  refuse_continues(std::exchange(continues_, {}));
  for (auto& [index, continues] : std::exchange(continues_ready_, {}))
    refuse_continues(std::move(continues));
  fail_admin_waiters(
      {RAFTCS_ERR_DROPPED, "the node stopped leading before the change was applied"});
  drop_acks();
  tick_asked_ = false;
  timer_at_ = Mono::never();
  heard_.clear();
  for (auto& [num, s] : sessions_) s.heard = false;
  bind_incarnations_at_ = prefer_leader_at_ = check_at_ = return_votes_at_ = Mono::never();
  check_.reset();
  answer_drains(Status::ok());
}

void Node::Impl::began_serving(Mono now) {
  served_ = true;
  begin_liveness(now);
  check_begins(now);
  if (draining_) hand_over_at_ = now;
  bind_incarnations_at_ = now + kBindIncarnationsNs;
  prefer_leader_at_ = now + kPreferLeaderNs;
  return_votes_at_ = now;
  presence_begins(now);
  arm_timer(now);
  publish_state();
  try_auto_services();
}

// Members of a bootstrapped cluster do not know one another's incarnations. The leader writes
// those it has heard into the configuration; from then on a node whose disk was wiped or
// swapped is told apart (MB-08).
void Node::Impl::bind_incarnations(Mono now) {
  const Mono again = now + 5 * kBindIncarnationsNs;
  bind_incarnations_at_ = role_ == raft::Role::leader ? again : Mono::never();  // the lane stands
  if (!serving() || stopping_) return;
  bind_incarnations_at_ = Mono::never();
  raft::Membership m = raft_.membership();
  bool unknown = false, fresh = false;
  for (raft::Member& member : m.members) {
    if (!member.incarnation.is_zero()) continue;
    auto it = incarnations_.find(member.id);
    if (it == incarnations_.end()) {
      unknown = true;
      continue;
    }
    member.incarnation = it->second;
    fresh = true;
  }
  Index index;
  Term term;
  raft::Refusal refusal = raft::Refusal::none;
  if (fresh) refusal = raft_.propose_membership(m, now, &index, &term);
  if (unknown || refusal != raft::Refusal::none) bind_incarnations_at_ = again;
}

}  // namespace raftcs::server
