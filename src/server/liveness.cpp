// liveness.cpp: who was heard of, and who is gone (decision D5).
//
// Keep-alives are not in the log. A few times per session timeout the leader writes one
// touch with the sessions it has heard of and not logged anything for since; so every replica
// knows each session's last activity to within an eighth of a timeout, and a new leader starts
// from there. Who finds a new leader is touched at once: were it only after an eighth, leaders
// that last for less would never say who lives.
//
// A session is proposed for expiry when it has been silent in the log for its timeout of cluster
// time, and this leader, having listened long enough for a live client to find it, has not
// heard of it either. Long enough is a quarter of the timeout, and less and less the longer the
// session is silent: nothing at two timeouts. So however often leaders change, the dead are
// gone by then. A leader that was asleep begins to listen anew: what clients said meanwhile
// waits in its sockets. The proposal is decided in apply.
//
// What must hold: a session heard of within its timeout is not proposed; without contact with a
// quorum nothing is.
#include <algorithm>

#include "server/node_impl.hpp"

namespace raftcs::server {
namespace {
constexpr int64_t kTouchesPerTimeout = 8;
constexpr DurationNs kIntervalMinNs = 50 * kNsPerMs;
constexpr DurationNs kIntervalMaxNs = 5 * kNsPerSecond;
constexpr DurationNs kSoonNs = 100 * kNsPerMs;
constexpr DurationNs kAsleepMinNs = 50 * kNsPerMs;

DurationNs timeout_ns(const Session& s) { return static_cast<DurationNs>(s.timeout_ms) * kNsPerMs; }

DurationNs interval_of(uint64_t timeout_ms) {
  auto interval = static_cast<DurationNs>(timeout_ms) * kNsPerMs / kTouchesPerTimeout;
  return std::clamp(interval, kIntervalMinNs, kIntervalMaxNs);
}
}  // namespace

// The driver comes at least once per heartbeat while this node leads. When it did not, the
// process stood still, and whoever spoke meanwhile has not been heard yet.
void Node::Impl::notice_turn(Mono now) {
  const DurationNs asleep = options_.heartbeat_ns + std::max(options_.heartbeat_ns, kAsleepMinNs);
  if (now - last_turn_ > asleep) attentive_since_ = now;
  last_turn_ = std::max(last_turn_, now);
}

void Node::Impl::begin_liveness(Mono now) {
  serving_since_ = attentive_since_ = now;
  const DurationNs soon = std::min(liveness_interval(), kSoonNs);
  touch_at_ = now + liveness_interval();
  liveness_at_ = now + soon;
}

DurationNs Node::Impl::liveness_interval() const {
  uint64_t shortest_ms = options_.session_timeout_ms_max;
  for (const auto& [num, s] : sessions_) shortest_ms = std::min(shortest_ms, s.timeout_ms);
  return interval_of(shortest_ms);
}

// A session with a shorter timeout than those before wants to be looked at earlier.
void Node::Impl::watch(const Session& s, Mono now) {
  touch_at_ = std::min(touch_at_, now + interval_of(s.timeout_ms));
  liveness_at_ = std::min(liveness_at_, now + interval_of(s.timeout_ms));
}

void Node::Impl::liveness_tick(Mono now) {
  if (now >= touch_at_) flush_touches(now);
  if (now < liveness_at_) return;
  liveness_at_ = now + liveness_interval();
  if (raft_.has_quorum_contact(now) && !sessions_.empty() && !std::exchange(finding_silent_, true))
    out_.apply.push_back(ApplyFindSilent{raft_.cluster_time(now)});
}

// Whose last entry is younger than an eighth of its timeout waits: one session with a short
// timeout does not make touches frequent for all.
void Node::Impl::flush_touches(Mono now) {
  touch_at_ = now + liveness_interval();
  if (!sealed_.empty()) return;  // consensus takes nothing at the moment: one touch later will do
  rsm::Touch touch;
  std::erase_if(heard_, [&](Session* s) {
    const bool logged = s->last_logged >= serving_since_;  // by this leader
    const bool news = !logged || s->last_logged < s->last_heard;
    if (news && logged && now - s->last_logged < timeout_ns(*s) / kTouchesPerTimeout) return false;
    s->heard = false;
    if (!news) return true;
    s->last_logged = now;
    touch.sessions.push_back(s->num);
    return true;
  });
  // Cluster time is what the log has of it. An idle log would let a leader that falls take the age
  // of silent sessions with it, so time passes in the log while there are sessions (W-S7).
  const bool log_is_idle = !sessions_.empty() && now - last_proposed_ >= liveness_interval();
  if (touch.sessions.empty() && !log_is_idle) return;
  std::sort(touch.sessions.begin(), touch.sessions.end());
  batch_.add(std::move(touch));
}

bool Node::Impl::may_expire(const Session& s, DurationNs silent_ns, Mono now) const {
  const DurationNs timeout = timeout_ns(s);
  const bool heard = s.last_heard >= serving_since_ && now - s.last_heard < timeout;
  const DurationNs grace = std::max<DurationNs>((2 * timeout - silent_ns) / 4, 0);
  return !heard && now - attentive_since_ >= grace;
}

void Node::Impl::expire_silent(const std::vector<rsm::SilentSession>& silent, Mono now) {
  if (!serving() || !raft_.has_quorum_contact(now)) return;
  rsm::Expire expire;
  for (const rsm::SilentSession& each : silent) {
    auto it = sessions_.find(each.num);
    if (it != sessions_.end() && may_expire(it->second, each.silent_ns, now))
      expire.sessions.push_back(each.num);
  }
  if (!expire.sessions.empty()) batch_.add(std::move(expire));
}

}  // namespace raftcs::server
