// commands.cpp: the way of a command through the engine.
//
// submit -> queue -> (window open) id, frame -> answer -> event. An export gives ids earlier
// (number_waiting). A BUSY answer settles that sending and pauses the session's commands, so that
// nothing overtakes what was refused by more than what is on the wire already. Outcomes (SE-09):
// NOT_APPLIED needs proof, which is never having left or having been refused each time it was sent.
#include <optional>
#include <utility>

#include "client/core.hpp"

namespace raftcs::client {
namespace {

constexpr uint64_t kSpanFactor = 16;  // ids open at once, per window: bounds reply caches (W-M3)

constexpr uint32_t kAllowedMin = 4;  // in flight after any number of BUSY

int32_t outcome_of(const Command& c) { return c.unsettled == 0 ? kNotApplied : kUnknown; }

// Refusals after which the command is sent again.
bool is_retriable(raftcs_status_t status) {
  return status == RAFTCS_ERR_BUSY || status == RAFTCS_ERR_NO_LEADER ||
         status == RAFTCS_ERR_NOT_LEADER || status == RAFTCS_ERR_NO_SPACE ||
         status == RAFTCS_ERR_DROPPED ||
         status == RAFTCS_ERR_RESOURCE_LIMIT;  // once older replies are collected there is room
}

}  // namespace

// --- in -----------------------------------------------------------------------------------

raftcs_status_t Core::admission(const Session& s) const {
  if (s.closing || s.phase == Phase::closed) return RAFTCS_ERR_CLOSED;
  if (s.counters.outstanding >= s.options.outstanding_max) return RAFTCS_ERR_BUSY;
  return RAFTCS_OK;
}

void Core::refuse(Session& s, EventKind kind, const Engine::Call& call, raftcs_status_t status,
                  const char* text) {
  ++s.counters.submitted;
  ++s.counters.completed;
  Event& e = emit(s, kind);
  e.status = status;
  e.outcome = kNotApplied;
  e.tag = call.tag;
  e.op_id = call.op_id;
  e.text = text;
  if (status == RAFTCS_ERR_BUSY) e.retry_after_ms = 10;
}

void Core::submit(Session& s, Engine::Call&& call, Mono now) {
  if (const raftcs_status_t status = admission(s); status != RAFTCS_OK) {
    const bool busy = status == RAFTCS_ERR_BUSY;
    refuse(s, EventKind::reply, call, status,
           busy ? "too many operations are outstanding" : "the client is closed");
    return;
  }
  if (s.phase == Phase::lost) {
    refuse(s, EventKind::reply, call, s.lost_status, "the session is lost");
    return;
  }
  ++s.counters.submitted;
  ++s.counters.outstanding;
  Command c;
  c.slot = Command::Slot::live;
  c.op_id = call.op_id;
  c.tag = call.tag;
  c.deadline = call.deadline;
  c.service = std::move(call.service);
  c.payload = std::move(call.payload);
  s.deadline_at = std::min(s.deadline_at, c.deadline);
  if (s.reserved == 0) {
    s.pending.queue.push(std::move(c));
  } else {
    const bool claimed = claim(s, c);
    if (!claimed) s.pending.queue.push(std::move(c));
    if (claimed || s.claim_until == Mono::never()) s.claim_until = now + claim_wait_ns(s);
  }
  mark(s);
}

DurationNs Core::claim_wait_ns(const Session& s) const {
  return static_cast<DurationNs>(std::max<uint64_t>(s.timeout_ms, 1'000)) * kNsPerMs;
}

// Whoever resumes may be long in coming to what was asked before: it begins when it likes, and may
// wait for one answer before it submits the next. From its first command on, ids are given up when
// for a session timeout none was claimed and none that was claimed waits or got its answer
// (decision 0048).
void Core::look_at_reserved(Session& s, Mono now) {
  const CommandRing& old = s.pending.old;
  std::optional<Mono> from;
  if (std::exchange(s.claim_answered, false)) from = s.answered_at;
  for (uint64_t id = old.base(); id < old.end(); ++id)
    if (old.slot(id).slot == Command::Slot::live) from = now;
  // The servers keep the replies from the lowest unanswered id on: an id that nobody claims may be
  // what keeps the others from running.
  const bool block = std::exchange(s.reserved_block, false);
  if (s.reserved > 0 && !block && from && *from + claim_wait_ns(s) > now) {
    s.claim_until = *from + claim_wait_ns(s);
    return;
  }
  give_up_reserved(s);
  mark(s);  // higher ids may be open now
}

// A command that the token lists as unanswered goes under its old id. Equal contents match
// in id order; the caller may submit in another order, or new commands in between.
bool Core::claim(Session& s, Command& command) {
  CommandRing& old = s.pending.old;
  const uint64_t digest = command_digest(command.service, command.payload);
  const uint64_t begin = old.base(), count = old.end() - begin;
  const uint64_t start = std::max(s.claim_from, begin) - begin;
  for (int pass = 0; pass < 2; ++pass) {
    const uint64_t from = pass == 0 ? start : 0, to = pass == 0 ? count : start;
    for (uint64_t i = from; i < to; ++i) {
      Command& c = old.slot(begin + i);
      if (c.slot != Command::Slot::reserved || c.tag != digest) continue;
      c = std::move(command);
      c.unsettled = 1;  // the process before may have sent it
      c.resend = true;
      --s.reserved;
      s.claim_from = begin + i + 1;
      s.cursor = std::min(s.cursor, begin + i);
      return true;
    }
  }
  return false;
}

void Core::give_up_reserved(Session& s) {
  s.claim_until = Mono::never();
  CommandRing& old = s.pending.old;
  for (uint64_t id = old.base(); s.reserved > 0 && id < old.end(); ++id) {
    if (old.slot(id).slot != Command::Slot::reserved) continue;
    old.take(id);
    --s.reserved;
  }
}

// --- out ----------------------------------------------------------------------------------

void Core::flush_commands(Session& s, Mono now) {
  if (s.hold_until != Mono::never()) return;
  const uint64_t server_max = s.link->welcome.requests_max;
  uint64_t wide = std::max<uint64_t>(s.options.window_max, 1);
  if (server_max != 0) wide = std::min(wide, server_max);
  const auto window = static_cast<uint32_t>(std::min<uint64_t>(wide, s.allowed));
  const uint64_t span = wide * kSpanFactor;
  if (!send_ring(s, s.pending.old, window, span, now) ||
      !send_ring(s, s.pending.sent, window, span, now))
    return;
  CommandRing& queue = s.pending.queue;
  CommandRing& sent = s.pending.sent;
  while (!queue.empty() && s.inflight < window && sent.end() - sent.base() < span &&
         s.pending.is_open(sent.end())) {
    Command c = queue.take(queue.base());
    if (too_large(*s.link, c.payload)) {
      end_too_large(s, std::move(c));
      continue;
    }
    const uint64_t id = sent.push(std::move(c));
    send_command(s, id, sent.slot(id), now);
    s.cursor = id + 1;
  }
}

// Sends the commands of the ring that are not on the wire, in id order. False: window full.
bool Core::send_ring(Session& s, CommandRing& ring, uint32_t window, uint64_t span, Mono now) {
  uint64_t id = std::max(s.cursor, ring.base());
  for (; id < ring.end(); ++id) {
    Command* c = ring.find(id);
    if (c == nullptr || c->epoch == s.epoch) continue;
    const bool never_left = c->unsettled == 0 && !c->resend;
    if (never_left && too_large(*s.link, c->payload)) {
      end_too_large(s, ring.take(id));
      continue;
    }
    if (s.inflight >= window || (never_left && id - ring.base() >= span) ||
        !s.pending.is_open(id)) {
      s.cursor = id;
      return false;
    }
    send_command(s, id, *c, now);
  }
  s.cursor = std::max(s.cursor, ring.end());
  return true;
}

bool Core::too_large(const Link& link, const Bytes& payload) const {
  const uint64_t payload_max = link.welcome.payload_bytes_max;
  return payload_max != 0 && payload.size() > payload_max;
}

void Core::end_too_large(Session& s, Command&& c) {
  end_command(s, std::move(c), RAFTCS_ERR_TOO_LARGE, kNotApplied,
              "the payload is over the servers' limit");
}

void Core::send_command(Session& s, uint64_t id, Command& c, Mono now) {
  Link& link = *s.link;
  link.frames.add_request(s.channel, RequestId(id), RequestId(s.pending.lowest()), c.service,
                          c.payload.data(), c.payload.size());
  touch(link);
  expect(link, now);
  c.epoch = s.epoch;
  // At its most it stays there, or one below: each refusal is of one sending, and the next counts.
  if (c.unsettled < UINT8_MAX) ++c.unsettled;
  if (c.resend) ++s.counters.resent;
  c.resend = true;
  if (s.inflight++ == 0) s.answered_at = now;
  if (s.timed_id == 0) {
    s.timed_id = id;
    s.timed_at = now;
  }
  s.last_sent = now;
}

// --- ends ---------------------------------------------------------------------------------

Command Core::withdraw(Session& s, CommandRing& ring, uint64_t id) {
  Command c = ring.take(id);
  if (&ring == &s.pending.old) {
    s.claim_answered = true;
    s.reserved_block = false;  // something moves
  }
  if (s.timed_id == id && &ring != &s.pending.queue) s.timed_id = 0;
  if (s.bound() && c.epoch != 0 && c.epoch == s.epoch) {
    --s.inflight;
    answered(*s.link);
  }
  return c;
}

void Core::end_command(Session& s, Command&& c, raftcs_status_t status, int32_t outcome,
                       std::string text) {
  --s.counters.outstanding;
  ++s.counters.completed;
  Event& e = emit(s, EventKind::reply);
  e.status = status;
  e.outcome = outcome;
  e.tag = c.tag;
  e.op_id = c.op_id;
  e.text = std::move(text);
}

void Core::on_response(Session& s, wire::Response& m, Mono now) {
  if (!s.bound()) return;
  CommandRing& ring = s.pending.ring_of(m.id.value);
  const Command* c = ring.find(m.id.value);
  in_contact(s, now);
  if (c == nullptr || c->epoch != s.epoch) {  // given up, answered, or not sent here
    ++s.counters.late_replies;
    return;
  }
  if (s.timed_id == m.id.value) smooth(&s.counters.latency_us, (now - s.timed_at) / 1'000);
  const Command ended = withdraw(s, ring, m.id.value);
  s.progressed = true;
  s.answered_at = now;
  s.pause.reset();
  widen(s);
  --s.counters.outstanding;
  ++s.counters.completed;
  Event& e = emit(s, EventKind::reply);
  e.outcome = kApplied;
  e.app_code = m.app_code;
  e.tag = ended.tag;
  e.op_id = ended.op_id;
  e.index = m.index.value;
  e.data = std::move(m.result);
  if (!s.pending.queue.empty() || s.cursor < s.pending.sent.end()) mark(s);
}

void Core::on_request_error(Session& s, const wire::RequestError& m, Mono now) {
  if (!s.bound()) return;
  CommandRing& ring = s.pending.ring_of(m.id.value);
  Command* c = ring.find(m.id.value);
  in_contact(s, now);
  if (c == nullptr || c->epoch != s.epoch) {
    ++s.counters.late_replies;
    return;
  }
  if (m.status == RAFTCS_ERR_SESSION_EXPIRED) {
    lose(s, RAFTCS_ERR_SESSION_EXPIRED, "the session has expired or was closed", Fate::abandoned,
         now);
    return;
  }
  if (is_retriable(m.status)) {
    c->epoch = 0;
    if (c->unsettled > 0 && m.status != RAFTCS_ERR_DROPPED) --c->unsettled;
    --s.inflight;
    answered(*s.link);
    s.cursor = std::min(s.cursor, m.id.value);
    if (m.status == RAFTCS_ERR_BUSY && s.hold_until == Mono::never()) narrow(s);
    if (m.status == RAFTCS_ERR_RESOURCE_LIMIT && s.reserved > 0) {
      s.reserved_block = true;
      if (s.claim_until == Mono::never()) s.claim_until = now + claim_wait_ns(s);
    }
    hold(s, &s.hold_until, m.retry_after_ms, now);
    return;
  }
  int32_t outcome = kNotApplied;
  if (m.status == RAFTCS_ERR_EVICTED) {
    outcome = kUnknown;  // applied once, long ago, or given up: the reply is gone (CMD-10)
  } else {
    if (c->unsettled > 0) --c->unsettled;  // an earlier sending of it may still be applied
    outcome = outcome_of(*c);
  }
  end_command(s, withdraw(s, ring, m.id.value), m.status, outcome, m.text);
  if (!s.pending.queue.empty() || s.cursor < s.pending.sent.end()) mark(s);
}

// What is refused costs the cluster almost as much as what is done. So a session that is told
// BUSY keeps half as much in flight, and more again as answers come (as TCP does, RFC 5681).
void Core::narrow(Session& s) {
  s.allowed = std::max(kAllowedMin, std::min(s.allowed, s.inflight + 1) / 2);
  s.allowed_quickly = s.allowed;
  s.allowed_answers = 0;
}

void Core::widen(Session& s) {
  if (s.allowed >= s.options.window_max) return;
  if (s.allowed >= s.allowed_quickly && ++s.allowed_answers < s.allowed) return;
  s.allowed_answers = 0;
  ++s.allowed;
}

// Pauses until the server's time or the backoff's, whichever is later.
void Core::hold(Session& s, Mono* until, uint64_t retry_after_ms, Mono now) {
  ++s.counters.busy;
  const auto told = static_cast<DurationNs>(std::min<uint64_t>(retry_after_ms, 60'000)) * kNsPerMs;
  if (*until == Mono::never()) {
    *until = now + std::max(s.pause.next(random_), random_.at_least(told));
  } else {
    *until = std::max(*until, now + told);  // one of a batch of refusals
  }
  arm(s);
}

void Core::expire_commands(Session& s, Mono now, Mono* earliest) {
  for (CommandRing* ring : {&s.pending.old, &s.pending.sent, &s.pending.queue}) {
    for (uint64_t id = ring->base(); id < ring->end(); ++id) {
      const Command* c = ring->find(id);
      if (c == nullptr) continue;
      if (c->deadline > now) {
        *earliest = std::min(*earliest, c->deadline);
        continue;
      }
      const int32_t outcome = outcome_of(*c);
      end_command(s, withdraw(s, *ring, id), RAFTCS_ERR_TIMED_OUT, outcome, late_text(s));
    }
  }
  mark(s);  // the window may have opened
}

bool Core::cancel(Session& s, uint64_t op_id) {
  for (CommandRing* ring : {&s.pending.old, &s.pending.sent, &s.pending.queue}) {
    for (uint64_t id = ring->base(); id < ring->end(); ++id) {
      const Command* c = ring->find(id);
      if (c == nullptr || c->op_id != op_id) continue;
      const int32_t outcome = outcome_of(*c);
      end_command(s, withdraw(s, *ring, id), RAFTCS_ERR_CANCELLED, outcome,
                  "cancelled by the caller");
      mark(s);
      return true;
    }
  }
  for (uint32_t slot = s.calls.first; slot != 0; slot = calls_.at(slot).after) {
    const PendingCall& c = calls_.at(slot);
    if (c.op_id != op_id) continue;
    const bool unknown = c.admin && c.stage == PendingCall::Stage::sent;
    end_call(s, slot, RAFTCS_ERR_CANCELLED, unknown ? kUnknown : kNotApplied,
             "cancelled by the caller");
    return true;
  }
  return false;
}

}  // namespace raftcs::client
