// admin_transfer.cpp: handing leadership over, with an outcome, and by priority.
//
// Consensus gives one attempt an election timeout, in which proposals wait (LT-02). An operation
// has a deadline of its own: between attempts the leader works on, so that a target that lags can
// catch up. It is answered when another node is known to lead, or when the deadline is over.
#include <algorithm>
#include <tuple>

#include "server/admin_json.hpp"
#include "server/node_impl.hpp"

namespace raftcs::server {
namespace {

using nlohmann::json;

constexpr uint64_t kTransferTimeoutMsMax = 3'600'000;
constexpr DurationNs kTimeoutNs = 5 * kNsPerSecond;
constexpr DurationNs kPreferNs = 5 * kNsPerSecond;
constexpr DurationNs kPreferMaxNs = 300 * kNsPerSecond;

}  // namespace

// The voter to hand over to: one that was not tried in vain, that follows (a full disk does not),
// of the highest priority, with the longest log; 0: nobody.
NodeId Node::Impl::best_successor(const raft::Member** member) const {
  const raft::Member* best = nullptr;
  std::tuple<bool, bool, uint8_t, Index> best_key;
  for (const raft::PeerProgress& p : raft_.status().peers) {
    const raft::Member* m = raft::find_member(raft_.membership(), p.id);
    if (m == nullptr || m->role != raft::MemberRole::voter || !p.recently_active) continue;
    if (is_out_of_service(p.id)) continue;
    const std::tuple key(!handed_to_.contains(p.id), p.match >= raft_.commit_index(), m->priority,
                         p.match);
    if (best != nullptr && key <= best_key) continue;
    best = m;
    best_key = key;
  }
  if (member != nullptr) *member = best;
  return best ? best->id : NodeId();
}

void Node::Impl::admin_transfer(const AdminOrigin& origin, const json& args, Mono now) {
  auto refuse = [&](Status status) { admin_reply(origin, std::move(status), {}); };
  NodeId to(number_arg(args, "to"));
  if (!args.contains("to")) to = best_successor(nullptr);
  if (!to && !args.contains("to"))
    return refuse({RAFTCS_ERR_NOT_FOUND, "no other voter is up to take leadership"});
  const raft::Member* m = raft::find_member(membership_, to);
  if (m == nullptr || m->role != raft::MemberRole::voter)
    return refuse({RAFTCS_ERR_NOT_MEMBER,
                   "no voting member has the id " + to_string(to) + "; see: raftcs member list"});
  if (m->id == identity_.node)
    return admin_reply(origin, Status::ok(),
                       text_of(json{{"leader", to.value}, {"note", "it leads already"}}));
  if (transfer_op_ && transfer_op_->to != to)
    return refuse({RAFTCS_ERR_CONFIG_IN_PROGRESS,
                   "a transfer to " + to_string(transfer_op_->to) + " is under way already"});
  if (transfer_op_) {
    if (transfer_op_->origins.size() >= 64)
      return refuse({RAFTCS_ERR_BUSY, "too many wait for this transfer"});
    transfer_op_->origins.push_back(origin);
    return;
  }
  TransferOp op;
  op.to = to;
  op.term = term_;
  op.origins.push_back(origin);
  const uint64_t timeout_ms = std::min(number_arg(args, "timeout_ms"), kTransferTimeoutMsMax);
  op.deadline = now + (timeout_ms ? static_cast<DurationNs>(timeout_ms) * kNsPerMs
                                  : std::max(kTimeoutNs, 4 * options_.election_timeout_ns));
  transfer_op_ = std::move(op);
  drive_transfer_op(now);
}

void Node::Impl::drive_transfer_op(Mono now) {
  if (!transfer_op_) return;
  TransferOp& op = *transfer_op_;
  const bool leads = role_ == raft::Role::leader && term_ == op.term && can_take_part();
  if (!leads) {
    if (leader_ == op.to) return end_transfer_op(Status::ok());
    if (leader_)
      return end_transfer_op({RAFTCS_ERR_BAD_STATE, "node " + to_string(leader_) +
                                                        " leads now, "
                                                        "not " +
                                                        to_string(op.to)});
    if (now >= op.deadline)
      end_transfer_op({RAFTCS_ERR_TIMED_OUT,
                       "this node does not lead any more, and who does is "
                       "not known yet"});
    return;
  }
  const bool attempt_runs = static_cast<bool>(raft_.status().transfer_target);
  if (now >= op.deadline && !attempt_runs) {
    std::string why = "it is not heard of";
    for (const raft::PeerProgress& p : raft_.status().peers)
      if (p.id == op.to && p.recently_active)
        why = p.match < raft_.last_index()
                  ? "it is " + std::to_string(raft_.last_index() - p.match) + " entries behind"
                  : "it does not take it: it drains or is out of service, see its status";
    return end_transfer_op(
        {RAFTCS_ERR_BAD_STATE, "node " + to_string(op.to) + " did not take over in time (" + why +
                                   "); node " + to_string(identity_.node) + " leads on"});
  }
  if (attempt_runs || now < transfer_again_ || now >= op.deadline) return;
  const raft::Refusal refusal = raft_.transfer_leadership(op.to, now);
  if (refusal == raft::Refusal::invalid)
    return end_transfer_op(
        {RAFTCS_ERR_NOT_MEMBER, "node " + to_string(op.to) + " does not vote any more"});
  transfer_again_ = now + 2 * options_.election_timeout_ns;
}

void Node::Impl::end_transfer_op(const Status& status) {
  const TransferOp op = *std::exchange(transfer_op_, std::nullopt);
  const std::string reply =
      text_of(json{{"leader", leader_.value}, {"transferring_to", op.to.value}});
  for (const AdminOrigin& origin : op.origins) admin_reply(origin, status, reply);
}

// A voter of a higher priority that is up and has the log should lead. Looked at now and then
// only, and more and more seldom: one that gives leadership back (it drains, it comes and goes)
// costs an election each time.
void Node::Impl::prefer_leader(Mono now) {
  prefer_leader_at_ = now + kPreferNs;
  if (!serving() || stopping_ || draining_ || now < preferred_until_ || transfer_op_ ||
      (member_op_ && !member_op_->ended()))
    return;
  const raft::Member* self = raft::find_member(raft_.membership(), identity_.node);
  const raft::Member* best = nullptr;
  best_successor(&best);
  if (self == nullptr || best == nullptr || best->priority <= self->priority) return;
  for (const raft::PeerProgress& p : raft_.status().peers)
    if (p.id == best->id && p.match < raft_.commit_index()) return;
  log_line(RAFTCS_LOG_INFO, "node " + to_string(best->id) +
                                " has a higher priority and is given "
                                "leadership");
  prefer_pause_ns_ = std::clamp(2 * prefer_pause_ns_, kPreferNs, kPreferMaxNs);
  preferred_until_ = now + prefer_pause_ns_;
  raft_.transfer_leadership(best->id, now);
}

}  // namespace raftcs::server
