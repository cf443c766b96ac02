// pushes.cpp: server-started requests, and keep-alives.
//
// Pushes are delivered 1, 2, 3 ...: the next one is delivered, an old one is acknowledged
// again, one after a gap is ignored, because the server sends it again (SRQ-04, SRQ-05,
// X10). What another holder of the session acknowledged comes no more, and an event says so.
// Acknowledgements are cumulative, one per flush (SRQ-07), the last one said again at every
// continue. In manual mode they follow the caller's ack(), and no more than unacked_pushes_max
// are delivered ahead of it (W-C8). One over that is dropped, and what a binding has brought once
// does not come again on it: so when there is room again, the session is continued where it is.
#include "client/core.hpp"

namespace raftcs::client {

void Core::on_push(Session& s, wire::Push& m) {
  if (!s.bound() || s.closing) return;
  if (m.id.value <= s.received_push) {
    s.ack_due = s.acked_push > 0;
    mark(s);
    return;
  }
  if (m.id.value != s.received_push + 1) return;
  if (s.options.manual_ack && !s.push_room()) {
    s.push_dropped = true;
    return;
  }
  s.received_push = m.id.value;
  s.progressed = true;
  ++s.counters.pushes;
  Event& e = emit(s, EventKind::push);
  e.op_id = m.id.value;
  e.life = s.life;
  e.data = std::move(m.payload);
  if (!s.options.manual_ack) {
    s.acked_push = s.received_push;
    s.ack_due = true;
    mark(s);
  }
}

// Another holder of the session acknowledged what this one never had: said, not skipped.
void Core::on_push_reset(Session& s, const wire::PushReset& m) {
  if (!s.bound() || s.closing || m.last.value <= s.received_push) return;
  Event& e = emit(s, EventKind::pushes_gone);
  e.op_id = s.received_push + 1;
  e.index = m.last.value;
  e.data = Bytes::copy("{\"first\":" + std::to_string(s.received_push + 1) +
                       ",\"last\":" + to_string(m.last) + "}");
  s.received_push = s.acked_push = m.last.value;
}

void Core::ack(Session& s, uint32_t life, PushId up_to) {
  if (life != s.life) return;
  const uint64_t id = std::min(up_to.value, s.received_push);
  if (id <= s.acked_push) return;
  s.acked_push = id;
  s.ack_due = true;
  mark(s);
}

// Requires: bound. The server begins again after what was received.
void Core::fetch_dropped(Session& s, Mono now) {
  const std::string here = s.link->endpoint;
  leave(s, here, Fate::abandoned, now);
}

void Core::flush_ack(Session& s, Mono now) {
  if (!s.ack_due) return;
  s.ack_due = false;
  send(*s.link, wire::PushAck{s.channel, PushId(s.acked_push)});
  s.last_sent = now;
}

// Requires: none is unanswered. Sent when nothing else was for an interval, any traffic being life
// (KAL-09), or when nothing was answered for one.
void Core::send_keep_alive(Session& s, Mono now) {
  const uint64_t timestamp = now.ns > 0 ? static_cast<uint64_t>(now.ns) : 1;
  send(*s.link, wire::KeepAlive{s.channel, timestamp});
  expect(*s.link, now);
  s.keep_alive_sent = timestamp;
  s.last_sent = s.keep_alive_at = now;
}

// Requires: bound. A server that answers nothing else may still be there, without a majority: only
// the echo of a keep-alive says that it keeps the session (KAL-13).
void Core::look_at_keep_alive(Session& s, Mono now) {
  if (s.keep_alive_sent != 0) {
    if (s.keep_alive_at + s.keep_alive_wait_ns() > now) return;
    note_trouble(s, RAFTCS_ERR_UNREACHABLE, s.route.last + " answers no keep-alive");
    s.cluster->doubt(s.link->welcome.node);
    leave(s, {}, Fate::abandoned, now);
    return;
  }
  const bool silent =
      s.inflight > 0 && std::max(s.answered_at, s.keep_alive_at) + s.keep_alive_ns() <= now;
  if (silent || s.last_sent + s.keep_alive_ns() <= now) send_keep_alive(s, now);
}

void Core::on_keep_alive_reply(Session& s, const wire::KeepAliveReply& m, Mono now) {
  if (!s.bound() || s.keep_alive_sent == 0 || m.timestamp != s.keep_alive_sent) return;  // KAL-06
  answered(*s.link);
  s.keep_alive_sent = 0;
  in_contact(s, now);
  const int64_t rtt_us = (now.ns - static_cast<int64_t>(m.timestamp)) / 1'000;
  s.counters.rtt_us = rtt_us;
  smooth(&s.counters.rtt_smoothed_us, rtt_us);
}

}  // namespace raftcs::client
