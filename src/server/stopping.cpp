// stopping.cpp: leaving: handing leadership over, draining, stopping, failing.
//
// A node that leads and should not (it drains, its apply lane stands or its state is wrong, it
// stops) hands over to the best voter (best_successor), again and again while it leads: to others
// before it is one's turn again, and with time between for the proposals that wait during an
// attempt. It accepts no leadership (voting.cpp), so two such nodes do not hand it to and fro while
// a third waits; where all are such, who leads stays. Its clients are served until the moment it
// stops leading and are then told where to go: their commands are sent again under the same ids, so
// nothing fails. A node that stops stays until the new leader is known (its vote may be needed, and
// clients are told the address) or until its time is over.
#include "raft/membership.hpp"
#include "server/node_impl.hpp"

namespace raftcs::server {
namespace {
constexpr DurationNs kHandOverAgainNs = kNsPerSecond;
constexpr DurationNs kDrainWaitNs = 10 * kNsPerSecond;
constexpr size_t kDrainsMax = 256;
}  // namespace

// True while a transfer is under way.
bool Node::Impl::hand_over(Mono now) {
  if (!can_take_part() || role_ != raft::Role::leader) return false;
  if (raft_.status().transfer_target) return true;
  const NodeId to = best_successor(nullptr);
  if (!to) return false;
  if (!handed_to_.insert(to).second) handed_to_ = {to};  // all were tried: another round
  transfer_again_ = now + 2 * options_.election_timeout_ns;
  return raft_.transfer_leadership(to, now) == raft::Refusal::none;
}

bool Node::Impl::should_not_lead() const {
  return draining_ || !halted_.is_ok() || !stalled_.is_ok() || !quarantined_.is_ok();
}

void Node::Impl::keep_handing_over(Mono now) {
  const bool wanted = should_not_lead();
  hand_over_at_ = wanted ? now + kHandOverAgainNs : Mono::never();
  if (!wanted) handed_to_.clear();
  if (wanted && now >= transfer_again_) hand_over(now);
  if (now < drains_until_) return;
  answer_drains({RAFTCS_ERR_TIMED_OUT,
                 "nobody else has taken over the leadership yet; this node keeps trying and serves "
                 "until then"});
}

// --- draining -----------------------------------------------------------------------------------

void Node::Impl::admin_drain(const AdminOrigin& origin, bool on, Mono now) {
  if (!on) {
    draining_ = false;
    update_passive();
    answer_drains({RAFTCS_ERR_CANCELLED, "the node was told to drain no more"});
    return admin_reply(origin, Status::ok(), "{\"draining\":false}");
  }
  const bool leads = can_take_part() && role_ == raft::Role::leader;
  if (leads && !best_successor(nullptr))
    return admin_reply(origin,
                       {RAFTCS_ERR_BAD_STATE,
                        "no other voting member is there to lead: the node would serve nobody and "
                        "nobody else could; see: raftcs status"},
                       {});
  if (drains_.size() >= kDrainsMax)
    return admin_reply(origin, {RAFTCS_ERR_BUSY, "too many drain calls wait already"}, {});
  draining_ = true;
  update_passive();
  drains_.push_back(origin);
  if (!leads) return answer_drains(Status::ok());
  drains_until_ = now + kDrainWaitNs;
  keep_handing_over(now);
}

void Node::Impl::answer_drains(const Status& status) {
  drains_until_ = Mono::never();
  for (const AdminOrigin& origin : std::exchange(drains_, {}))
    admin_reply(origin, status, "{\"draining\":true,\"leads\":false}");
}

// --- stopping -----------------------------------------------------------------------------------

void Node::Impl::begin_stop(Mono now) {
  if (stopping_) return;
  stopping_ = true;
  stop_deadline_ = now + 2 * options_.election_timeout_ns;
  handing_over_ = hand_over(now);
}

// Done when another leader is known, or when there is nobody to take over in time.
void Node::Impl::check_stopping(Mono now) {
  if (handing_over_ && can_take_part() && now < stop_deadline_) {
    if (raft_.role() == raft::Role::leader) {
      hand_over(now);  // a transfer that failed is tried again, perhaps with another node
      return;
    }
    if (!raft_.leader()) return;
  }
  close_all(wire::CloseReason::shutdown);
  fail_everything({RAFTCS_ERR_CLOSED, "the server is stopping"}, now);
  finished_ = true;
  out_.stopped = true;
}

// Every accepted request, creation, query and admin call that still waits gets its end.
void Node::Impl::fail_everything(const Status& status, Mono now) {
  answer_drains(status);
  lost_leadership(now);
  for (auto& [token, continues] : std::exchange(continues_waiting_, {}))
    refuse_continues(std::move(continues));
  for (auto& [token, items] : std::exchange(reads_waiting_, {}))
    for (const QueryItem& item : items) fail_accepted(item, RAFTCS_ERR_NO_LEADER);
  for (const AdminOrigin& origin : std::exchange(admin_snapshots_, {}))
    admin_reply(origin, status, {});
  for (const auto& [token, origin] : std::exchange(reseeds_, {}))
    admin_reply(origin, status, {});
  for (auto* lists : {&admin_lists_, &admin_plugins_})
    for (const auto& [token, origin] : std::exchange(*lists, {})) admin_reply(origin, status, {});
  if (member_op_ && !member_op_->ended()) end_member_op(status);
  if (transfer_op_) end_transfer_op(status);
}

void Node::Impl::fail(const Status& status, Mono now) {
  failed_ = status;
  log_line(RAFTCS_LOG_ERROR, "this node takes no part until it is restarted: " + status.text());
  held_.clear();
  peer_out_.clear();
  founder_asks_at_ = heal_at_ = return_votes_at_ = check_at_ = Mono::never();  // nothing to peers
  leader_ready_ = false;
  fail_everything(status, now);
  update_health();
  role_ = raft::Role::follower;
  leader_ = NodeId();
}

}  // namespace raftcs::server
