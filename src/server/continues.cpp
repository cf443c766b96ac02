// continues.cpp: sessions that are continued and not known here.
//
// Denied only after a read round, because a leader that was cut off or asleep does not know what
// another has opened since, and a client believes a denial (RD-02). Contact with a majority is
// not enough to know: answers of peers that waited in the sockets of a sleeper look fresh.
//
// What must hold: every continue is answered once, or its channel's connection is gone.
#include <algorithm>

#include "server/node_impl.hpp"

namespace raftcs::server {
namespace {

constexpr size_t kPendingContinuesMax = 10'000;  // in one turn
constexpr uint64_t kContinueRetryMs = 50;

}  // namespace

void Node::Impl::ask_first(Connection& c, const wire::ContinueSession& m) {
  if (continues_.size() >= kPendingContinuesMax)
    return reject(c, m.channel, m.nonce, wire::RejectReason::overloaded,
                  "too many sessions are being continued", kContinueRetryMs);
  continues_.push_back({c.id, m});
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
