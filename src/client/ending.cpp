// ending.cpp: loss of a session, and closing one.
//
// Both end every operation with one event (SE-11): what may have left as UNKNOWN, the rest as
// NOT_APPLIED. With renew_on_expiry the rest waits for the new session instead.
// Closing tells the cluster within a bounded time, also when the session is just then
// looking for a server: the attempt goes on and close_session follows it (SES-21, W-C7).
#include "client/core.hpp"

namespace raftcs::client {

// With `keep_unapplied` what was surely not applied goes back to the queue, in order.
void Core::end_commands(Session& s, raftcs_status_t status, const char* text,
                        bool keep_unapplied) {
  CommandRing kept{1};
  for (CommandRing* ring : {&s.pending.old, &s.pending.sent, &s.pending.queue}) {
    while (!ring->empty()) {
      Command c = withdraw(s, *ring, ring->base());
      if (c.slot != Command::Slot::live) continue;  // reserved by a token, never claimed
      const bool not_applied = c.unsettled == 0;
      if (keep_unapplied && not_applied) {
        c.resend = false;
        c.epoch = 0;
        kept.push(std::move(c));
      } else {
        end_command(s, std::move(c), status, not_applied ? kNotApplied : kUnknown, text);
      }
    }
  }
  s.pending.queue = std::move(kept);
  s.reserved = 0;
  s.claim_until = Mono::never();
}

void Core::lose(Session& s, raftcs_status_t status, const std::string& text, Fate fate, Mono now) {
  if (s.closing) {  // it is gone, which is what closing wants
    finish_close(s, fate, now);
    return;
  }
  const bool renew = s.options.renew_on_expiry && status == RAFTCS_ERR_SESSION_EXPIRED;
  detach(s, fate, now);
  s.phase = Phase::lost;
  s.lost_status = status;
  s.attempt_until = s.wake_at = s.hold_until = s.queries_hold_until = Mono::never();
  end_commands(s, status, text.c_str(), renew);
  if (!renew) end_calls(s, status, text.c_str(), false);
  s.pending.old.restart(1);
  s.pending.sent.restart(1);
  s.fresh_gap = false;
  s.refused.clear();
  s.foreign_since = Mono::never();
  ++s.counters.sessions_lost;
  s.attempt = s.unanswered = 0;
  note_trouble(s, RAFTCS_OK, {});
  Event& e = emit(s, EventKind::session_lost);
  e.status = status;
  e.text = text;
  if (!renew) {
    set_state(s, SessionState::disconnected);
    return;
  }
  start_new(s);
  set_state(s, SessionState::connecting_new);
  s.hint_credit = false;  // a cluster that expires sessions at once is met with backoff
  retry(s, {}, 0, now);
  mark(s);
}

void Core::close(Session& s, bool keep, Mono now) {
  if (s.closing || s.phase == Phase::closed) return;
  if (s.bound()) flush_ack(s, now);
  s.closing = true;
  end_commands(s, RAFTCS_ERR_CLOSED, "the client was closed", false);
  end_calls(s, RAFTCS_ERR_CLOSED, "the client was closed", true);
  const bool known = !s.id.is_zero() || s.asked_create;
  if (keep || !known || s.phase == Phase::idle || s.phase == Phase::lost) {
    finish_close(s, s.phase == Phase::linking ? Fate::released : Fate::abandoned, now);
    return;
  }
  s.close_until = now + kCloseWaitNs;
  if (s.bound()) send(*s.link, wire::CloseSession{s.channel});
  mark(s);
}

void Core::finish_close(Session& s, Fate fate, Mono now) {
  detach(s, fate, now);
  s.phase = Phase::closed;
  s.closing = true;
  s.wake_at = s.attempt_until = s.deadline_at = s.hold_until = s.queries_hold_until = Mono::never();
  s.admins_at = s.claim_until = s.close_until = Mono::never();
  s.pending = Pending{};
  s.ready = {};
  s.options.capabilities.clear();
  set_state(s, SessionState::disconnected);
  emit(s, EventKind::closed);
}

}  // namespace raftcs::client
