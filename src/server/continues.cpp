// continues.cpp: sessions that are continued.
//
// Known and proven: bound at once, without the log. Not known here: denied only after a read
// round, because a leader that was cut off or asleep does not know what another has opened
// since, and a client believes a denial (RD-02).
//
// What must hold: every continue is answered once, or its channel's connection is gone.
#include <algorithm>

#include "server/node_impl.hpp"

namespace raftcs::server {
namespace {

constexpr size_t kPendingContinuesMax = 10'000;  // in one turn
constexpr uint64_t kRetryMs = 50;

}  // namespace

void Node::Impl::on_message(Connection& c, wire::ContinueSession&& m, Mono now) {
  using wire::RejectReason;
  if (c.foreign)
    return reject(c, m.channel, m.nonce, RejectReason::wrong_cluster,
                  "this server belongs to cluster " + identity_.cluster.hex());
  if (!serving())
    return reject(c, m.channel, m.nonce, RejectReason::not_leader, "this server does not lead");
  if (m.nonce == 0)
    return reject(c, m.channel, m.nonce, RejectReason::invalid, "nonce must not be zero");
  continue_session(c, m, false, now);
}

// sure: everything committed when the question came has been applied here. Without that a
// leader that was cut off or asleep could deny a session that another has opened since.
void Node::Impl::continue_session(Connection& c, const wire::ContinueSession& m, bool sure,
                                  Mono now) {
  using wire::RejectReason;
  auto it = by_id_.find(m.session);
  if (it == by_id_.end() && !sure) {
    if (continues_.size() >= kPendingContinuesMax)
      return reject(c, m.channel, m.nonce, RejectReason::overloaded,
                    "too many sessions are being continued", kRetryMs);
    return continues_.push_back({c.id, m});
  }
  if (it == by_id_.end())
    return reject(c, m.channel, m.nonce, RejectReason::session_expired,
                  "the cluster has no such session");
  Session& s = sessions_.at(it->second);
  if (s.proof != m.proof)
    return reject(c, m.channel, m.nonce, RejectReason::wrong_proof,
                  "the proof is not this session's");
  // Meanwhile somebody came who knew more; perhaps the same client on another channel, that
  // an answer on this one must not push out.
  if (sure && s.bound)
    return reject(c, m.channel, m.nonce, RejectReason::not_leader, "asked too long ago");
  bind(c, m.channel, s, m.received_push, now);
  send(c, wire::SessionContinued{m.channel, m.nonce, s.timeout_ms, s.highest_request});
}

void Node::Impl::decide_continues(Mono now) {
  std::erase_if(continues_ready_, [&](auto& item) {
    if (item.first > applied_) return false;
    for (const PendingContinue& p : item.second) {
      auto conn = connections_.find(p.conn);
      if (conn != connections_.end()) continue_session(conn->second, p.message, true, now);
    }
    return true;
  });
}

void Node::Impl::refuse_continues(std::vector<PendingContinue>&& continues) {
  for (const PendingContinue& p : continues) {
    auto conn = connections_.find(p.conn);
    if (conn == connections_.end()) continue;
    reject(conn->second, p.message.channel, p.message.nonce, wire::RejectReason::not_leader,
           "leadership was lost");
  }
}

}  // namespace raftcs::server
