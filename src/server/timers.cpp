// timers.cpp: proposals because of time and of clients that come and go.
//
// Both only give the log a reason to look: what happens is decided in apply. A Tick is
// proposed when cluster time has reached the earliest time a state machine asked for, one at a
// time and not more often than every 10 ms (decision 0018). Presence is proposed when a session
// has been without its client for longer than a moment, or has it again, and only while a state
// machine asks for it (decision 0019).
#include <algorithm>

#include "server/node_impl.hpp"

namespace raftcs::server {
namespace {
constexpr DurationNs kTickSpacingNs = 10 * kNsPerMs;
constexpr DurationNs kTimerWaitMaxNs = 3600 * kNsPerSecond;
constexpr DurationNs kPresenceIntervalNs = 200 * kNsPerMs;
constexpr DurationNs kPresenceManyNs = kNsPerSecond;  // with so many sessions that a walk costs
constexpr size_t kManySessions = 10'000;
constexpr size_t kPresenceMax = 4096;                // sessions of one proposal
constexpr DurationNs kGoneAfterNs = 500 * kNsPerMs;  // shorter absences do not show
constexpr DurationNs kProbeAfterNs = kNsPerSecond;   // of silence of a connection
}  // namespace

void Node::Impl::arm_timer(Mono now) {
  timer_at_ = Mono::never();
  if (next_timer_ == LogTime::never() || tick_asked_ || !serving()) return;
  const DurationNs wait = next_timer_ - raft_.cluster_time(now);
  timer_at_ = std::max(now + std::clamp<DurationNs>(wait, 0, kTimerWaitMaxNs),
                       tick_proposed_at_ + kTickSpacingNs);
}

void Node::Impl::timer_tick(Mono now) {
  timer_at_ = Mono::never();
  if (!serving() || tick_asked_) return;
  const DurationNs wait = next_timer_ - raft_.cluster_time(now);
  if (wait > 0) {  // cluster time stands without a majority
    timer_at_ = now + std::clamp(wait, kTickSpacingNs, kTimerWaitMaxNs);
    return;
  }
  tick_asked_ = true;
  tick_proposed_at_ = now;
  ++counters_.ticks;
  batch_.add(rsm::Tick{});
  count_op();
}

// A new leader has nobody bound yet: it starts to count absence now, and gives clients a quarter
// of their session timeout to find it.
void Node::Impl::presence_begins(Mono now) {
  presence_at_ = now;
  for (auto& [num, s] : sessions_) {
    s.here = s.bound;
    s.here_since = now;
    s.presence_asked = false;
  }
}

void Node::Impl::presence_tick(Mono now) {
  presence_at_ = now + (sessions_.size() > kManySessions ? kPresenceManyNs : kPresenceIntervalNs);
  if (!raft_.has_quorum_contact(now)) return;
  rsm::Presence op;
  for (auto& [num, s] : sessions_) {
    const auto timeout = static_cast<DurationNs>(s.timeout_ms) * kNsPerMs;
    const bool here = s.bound && now - s.last_heard < timeout / 4 * 3;
    if (here != s.here) {
      s.here = here;
      s.here_since = now;
    }
    if (here && now - s.last_heard >= kProbeAfterNs) probe(s.conn, now);
    if (here == s.connected || s.presence_asked) continue;
    if (op.connected.size() + op.gone.size() >= kPresenceMax) continue;  // the rest next time
    const bool in_grace = now - serving_since_ < std::max(timeout / 4, kGoneAfterNs);
    if (!here && (in_grace || now - s.here_since < kGoneAfterNs)) continue;
    s.presence_asked = true;
    (here ? op.connected : op.gone).push_back(num);
  }
  if (op.connected.empty() && op.gone.empty()) return;
  std::sort(op.connected.begin(), op.connected.end());
  std::sort(op.gone.begin(), op.gone.end());
  batch_.add(std::move(op));
  count_op();
}

// A connection that has died shows when something is sent to it. The topology does no harm.
void Node::Impl::probe(net::ConnId id, Mono now) {
  auto it = connections_.find(id);
  if (it == connections_.end() || !it->second.greeted) return;
  Connection& c = it->second;
  if (now - c.last_frame < kProbeAfterNs || now - c.probed < kProbeAfterNs) return;
  c.probed = now;
  send(c, wire::Topology{leader_hint(), member_infos()});
}

void Node::Impl::presence_changed(const rsm::PresenceChanged& change) {
  auto it = sessions_.find(change.num);
  if (it == sessions_.end()) return;
  it->second.connected = change.connected;
  it->second.presence_asked = false;
}

}  // namespace raftcs::server
