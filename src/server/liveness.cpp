// liveness.cpp: who was heard of, and who is gone (decision D5).
//
// Keep-alives are not in the log. A few times per session timeout the leader writes one
// touch with the sessions it has heard of and not logged anything for since the last one;
// so every replica knows each session's last activity to within an eighth of a timeout, and
// a new leader starts from there. A session is proposed for expiry when it has been silent in
// the log for its timeout of cluster time, and this leader, having served long enough for a
// live client to find it, has not heard of it either. The proposal is decided in apply.
#include <algorithm>

#include "server/node_impl.hpp"

namespace raftcs::server {
namespace {
constexpr uint64_t kTouchesPerTimeout = 8;
constexpr DurationNs kIntervalMinNs = 50 * kNsPerMs;
constexpr DurationNs kIntervalMaxNs = 5 * kNsPerSecond;

DurationNs interval_of(uint64_t timeout_ms) {
  auto interval = static_cast<DurationNs>(timeout_ms / kTouchesPerTimeout) * kNsPerMs;
  return std::clamp(interval, kIntervalMinNs, kIntervalMaxNs);
}
}  // namespace

DurationNs Node::Impl::liveness_interval() const {
  uint64_t shortest_ms = options_.session_timeout_ms_max;
  for (const auto& [num, s] : sessions_) shortest_ms = std::min(shortest_ms, s.timeout_ms);
  return interval_of(shortest_ms);
}

// A session with a shorter timeout than those before wants to be looked at earlier.
void Node::Impl::watch(const Session& s, Mono now) {
  liveness_at_ = std::min(liveness_at_, now + interval_of(s.timeout_ms));
}

void Node::Impl::liveness_tick(Mono now) {
  liveness_at_ = now + liveness_interval();
  flush_touches(now);
  if (raft_.has_quorum_contact(now) && !sessions_.empty() && !std::exchange(finding_silent_, true))
    out_.apply.push_back(ApplyFindSilent{raft_.cluster_time(now)});
}

void Node::Impl::flush_touches(Mono now) {
  if (!sealed_.empty()) return;  // consensus takes nothing at the moment: one touch later will do
  rsm::Touch touch;
  for (Session* s : heard_) {
    s->heard = false;
    if (s->last_logged < last_touch_) touch.sessions.push_back(s->num);
  }
  heard_.clear();
  last_touch_ = now;
  // Cluster time is what the log has of it. An idle log would let a leader that falls take the age
  // of silent sessions with it, so time passes in the log while there are sessions (W-S7).
  const bool log_is_idle = !sessions_.empty() && now - last_proposed_ >= liveness_interval();
  if (touch.sessions.empty() && !log_is_idle) return;
  std::sort(touch.sessions.begin(), touch.sessions.end());
  batch_.add(std::move(touch));
}

void Node::Impl::expire_silent(const std::vector<SessionNum>& silent, Mono now) {
  if (!serving() || !raft_.has_quorum_contact(now)) return;
  rsm::Expire expire;
  for (SessionNum num : silent) {
    auto it = sessions_.find(num);
    if (it == sessions_.end()) continue;
    const Session& s = it->second;
    auto timeout = static_cast<DurationNs>(s.timeout_ms) * kNsPerMs;
    bool heard = s.last_heard >= serving_since_ && now - s.last_heard < timeout;
    bool in_grace = now - serving_since_ < timeout / 4;
    if (!heard && !in_grace) expire.sessions.push_back(num);
  }
  if (!expire.sessions.empty()) batch_.add(std::move(expire));
}

}  // namespace raftcs::server
