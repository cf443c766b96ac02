// pushes.cpp: delivery of server-started requests, and their acknowledgements.
//
// The replicated machine keeps what is not acknowledged; this file only sends it to the client
// that is bound here: in order, without a gap, within a window of requests and bytes. What
// does not fit is read again from the machine when there is room. A client whose token is older
// than what was acknowledged since is told so (push_reset) before it gets what follows: never
// a silent gap. Acknowledgements of one turn, and of a few milliseconds when nothing else is
// written, become one operation per session (SRQ-07, W-M4).
#include <algorithm>

#include "server/node_impl.hpp"

namespace raftcs::server {
namespace {
constexpr size_t kPushWindow = 1024;            // delivered and not acknowledged, per session
constexpr uint64_t kPushWindowBytes = 8 << 20;  // likewise; one always fits
constexpr DurationNs kAckDelayNs = 5 * kNsPerMs;
}  // namespace

// Delivery to a new binding starts after what its client has.
void Node::Impl::begin_pushes(Session& s, PushId received) {
  s.sent_push = s.push_base = received;
  s.acked_push = PushId();  // the client says it again; the fetch shows whether it was logged
  s.behind = false;
  s.unacked_sizes = {};
  s.unacked_bytes = 0;
}

bool Node::Impl::push_room(const Session& s) const {
  return s.unacked_sizes.empty() ||
         (s.unacked_sizes.size() < kPushWindow && s.unacked_bytes < kPushWindowBytes);
}

// One at a time for each session, however often its client continues it.
void Node::Impl::fetch_pushes(Session& s) {
  if (s.fetch_epoch != 0) return;
  s.fetch_epoch = s.epoch;
  s.behind = false;
  out_.apply.push_back(ApplyFetchPushes{s.num, s.sent_push, s.epoch});
}

void Node::Impl::deliver(rsm::Push& push) {
  auto it = sessions_.find(push.session);
  if (it == sessions_.end() || !it->second.bound) return;
  Session& s = it->second;
  if (push.id <= s.sent_push) return;
  if (s.fetch_epoch != 0) {  // it may be newer than what the fetch saw
    s.behind = true;
    return;
  }
  if (push.id != s.sent_push.next() || !push_room(s)) {
    s.behind = true;
    if (push_room(s)) fetch_pushes(s);
    return;
  }
  auto conn = connections_.find(s.conn);
  if (conn == connections_.end()) return;
  s.sent_push = push.id;
  s.unacked_sizes.push_back(static_cast<uint32_t>(push.payload.size()));
  s.unacked_bytes += push.payload.size();
  ++counters_.pushes;
  send(conn->second, wire::Push{s.channel, push.id, std::move(push.payload),
                                static_cast<uint64_t>(push.created.ns)});
}

// An earlier holder of the session acknowledged what this client never had.
void Node::Impl::skip_acknowledged(Session& s, PushId acked) {
  if (acked <= s.sent_push) return;
  if (auto conn = connections_.find(s.conn); conn != connections_.end()) {
    ++counters_.push_resets;
    send(conn->second, wire::PushReset{s.channel, s.sent_push.next(), acked});
  }
  s.sent_push = s.push_base = acked;
  s.unacked_sizes = {};
  s.unacked_bytes = 0;
}

// It takes no place in the window any more, and saying it again is nothing new.
void Node::Impl::acknowledged(Session& s, PushId up_to) {
  if (up_to <= s.acked_push) return;
  for (PushId id = std::max(s.acked_push, s.push_base); id < up_to; ++id) {
    s.unacked_bytes -= s.unacked_sizes[0];
    s.unacked_sizes.pop_front();
  }
  s.acked_push = up_to;
}

void Node::Impl::deliver_fetched(PushesFetched& fetched) {
  auto it = sessions_.find(fetched.session);
  if (it == sessions_.end() || it->second.fetch_epoch != fetched.epoch) return;
  Session& s = it->second;
  s.fetch_epoch = 0;
  if (!s.bound) return;
  if (s.epoch != fetched.epoch) return fetch_pushes(s);  // it was bound anew meanwhile
  const bool was_behind = std::exchange(s.behind, false);
  const bool more = was_behind || !fetched.pushes.empty();
  skip_acknowledged(s, fetched.acked);
  acknowledged(s, fetched.acked);
  for (rsm::Push& push : fetched.pushes) {
    deliver(push);
    if (s.fetch_epoch != 0) return;
    if (s.behind) break;
  }
  // A fetch is bounded, and newer ones may have come since: look again until it is empty.
  if (more && !s.behind && push_room(s)) fetch_pushes(s);
  s.behind = s.behind || (more && s.fetch_epoch == 0);
}

void Node::Impl::on_message(Connection& c, wire::PushAck&& m, Mono now) {
  Session* s = session_of(c, m.channel);
  if (s == nullptr) return;
  heard_of(*s, now);
  if (m.up_to <= s->acked_push || m.up_to > s->sent_push) return;  // old, or never sent
  acknowledged(*s, m.up_to);
  s->ack_to = std::max(s->ack_to, m.up_to);
  if (!s->ack_due) {
    if (acks_due_.empty()) ack_at_ = now + kAckDelayNs;
    s->ack_due = true;
    acks_due_.push_back(s);
  }
  if (s->behind && push_room(*s)) fetch_pushes(*s);
}

// Rides with whatever is written anyway; alone it may wait a little for others.
void Node::Impl::flush_acks(Mono now) {
  if (acks_due_.empty() || (batch_.empty() && sealed_.empty() && now < ack_at_)) return;
  write_acks(now);
}

void Node::Impl::write_acks(Mono now) {
  for (Session* s : std::exchange(acks_due_, {})) {
    s->ack_due = false;
    s->last_logged = now;
    batch_.add(rsm::Acknowledge{s->num, s->ack_to});
    count_op();
  }
}

void Node::Impl::drop_acks() {
  for (Session* s : std::exchange(acks_due_, {})) s->ack_due = false;
}

}  // namespace raftcs::server
