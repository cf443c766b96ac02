// lookups.cpp: queries. They change nothing, so the engine sends one again whenever an answer
// may not come: on another link, or after NOT_LEADER, NO_LEADER and BUSY (QRY-05, QRY-06).
// Linearizable ones need the bound session; stale ones go on any welcomed link of the
// session (channel 0 while it is not bound), so they work without a leader.
#include <utility>

#include "client/core.hpp"

namespace raftcs::client {

using Stage = PendingCall::Stage;

void Core::query(Session& s, Engine::Call&& call) {
  if (const raftcs_status_t status = admission(s); status != RAFTCS_OK) {
    const bool busy = status == RAFTCS_ERR_BUSY;
    refuse(s, EventKind::query_reply, call, status,
           busy ? "too many operations are outstanding" : "the client is closed");
    return;
  }
  if (s.phase == Phase::lost) {
    refuse(s, EventKind::query_reply, call, s.lost_status, "the session is lost");
    return;
  }
  ++s.counters.submitted;
  ++s.counters.outstanding;
  PendingCall c;
  c.session = s.handle;
  c.op_id = call.op_id;
  c.tag = call.tag;
  c.deadline = call.deadline;
  c.consistency = call.consistency;
  c.service = std::move(call.service);
  c.payload = std::move(call.payload);
  s.deadline_at = std::min(s.deadline_at, c.deadline);
  s.ready.push_back(calls_.correlation(calls_.add(&s.calls, std::move(c))));
  mark(s);
}

void Core::flush_queries(Session& s, Mono now) {
  if (s.ready.empty() || s.queries_hold_until != Mono::never()) return;
  Link& link = *s.link;
  size_t kept = 0;
  for (uint64_t correlation : s.ready) {
    const uint32_t slot = calls_.find(correlation);
    if (slot == 0 || calls_.at(slot).stage != Stage::waiting) continue;
    PendingCall& c = calls_.at(slot);
    if (!s.bound() && c.consistency != wire::Consistency::stale) {
      s.ready[kept++] = correlation;
      continue;
    }
    if (too_large(link, c.payload)) {  // a frame over what a server reads gets no answer at all
      end_call(s, slot, RAFTCS_ERR_TOO_LARGE, kNotApplied,
               "the payload is over the servers' limit");
      continue;
    }
    send(link,
         wire::Query{s.bound() ? s.channel : 0, correlation, c.service, c.payload, c.consistency});
    c.stage = Stage::sent;
    c.link = link.id;
    if (s.queries_out++ == 0) s.query_answered_at = now;
    expect(link, now);
    if (s.bound()) s.last_sent = now;
  }
  s.ready.resize(kept);
}

void Core::ready_queries(Session& s) {
  s.ready.clear();
  for (uint32_t slot = s.calls.first; slot != 0; slot = calls_.at(slot).after) {
    const PendingCall& c = calls_.at(slot);
    if (!c.admin && c.stage == Stage::waiting) s.ready.push_back(calls_.correlation(slot));
  }
}

void Core::requeue_queries(Session& s) {
  for (uint32_t slot = s.calls.first; slot != 0; slot = calls_.at(slot).after) {
    PendingCall& c = calls_.at(slot);
    if (c.admin || c.stage != Stage::sent) continue;
    answered(*s.link);  // of no interest any more
    c.stage = Stage::waiting;
  }
  s.queries_out = 0;
  if (s.calls.first != 0) ready_queries(s);
}

void Core::end_call(Session& s, uint32_t slot, raftcs_status_t status, int32_t outcome,
                    std::string text) {
  PendingCall& open = calls_.at(slot);
  if (open.admin) {
    release_admin(open, {});
  } else if (open.stage == Stage::sent) {
    answered(*s.link);
    --s.queries_out;
  }
  const PendingCall c = calls_.take(&s.calls, slot);
  --s.counters.outstanding;
  ++s.counters.completed;
  Event& e = emit(s, c.admin ? EventKind::admin_reply : EventKind::query_reply);
  e.status = status;
  e.outcome = outcome;
  e.tag = c.tag;
  e.op_id = c.op_id;
  e.text = std::move(text);
}

void Core::end_calls(Session& s, raftcs_status_t status, const char* text, bool admins_too) {
  for (uint32_t slot = s.calls.first; slot != 0;) {
    const PendingCall& c = calls_.at(slot);
    const uint32_t after = c.after;
    const bool unknown = c.admin && c.stage == Stage::sent;
    if (!c.admin || admins_too) end_call(s, slot, status, unknown ? kUnknown : kNotApplied, text);
    slot = after;
  }
  s.ready.clear();
}

void Core::expire_calls(Session& s, Mono now, Mono* earliest) {
  for (uint32_t slot = s.calls.first; slot != 0;) {
    const PendingCall& c = calls_.at(slot);
    const uint32_t after = c.after;
    if (c.deadline > now) {
      *earliest = std::min(*earliest, c.deadline);
    } else {
      const bool unknown = c.admin && c.stage == Stage::sent;
      end_call(s, slot, RAFTCS_ERR_TIMED_OUT, unknown ? kUnknown : kNotApplied, late_text(s));
    }
    slot = after;
  }
}

void Core::on_query_response(Link& link, wire::QueryResponse& m, Mono now) {
  const uint32_t slot = calls_.find(m.correlation);
  if (slot == 0) return;
  PendingCall& c = calls_.at(slot);
  if (c.admin || c.link != link.id) return;
  const bool here = c.stage == Stage::sent;
  // A member that cannot bind the session says so first, and its link is left. What it has applied
  // is an answer to a stale query all the same; without a leader it is the only one there is.
  const bool late = c.stage == Stage::waiting && c.consistency == wire::Consistency::stale;
  if (!here && !(late && m.status == RAFTCS_OK)) return;
  Session& s = session(c.session);
  if (here) s.query_answered_at = now;
  switch (m.status) {
    case RAFTCS_ERR_NOT_LEADER:
      if (s.bound() && c.consistency != wire::Consistency::stale) {  // so it serves nobody here
        s.cluster->doubt(link.welcome.node);
        leave(s, usable_hint(s, m.leader, link.endpoint), Fate::abandoned, now);
        return;
      }
      [[fallthrough]];
    case RAFTCS_ERR_NO_LEADER:
    case RAFTCS_ERR_BUSY:
    case RAFTCS_ERR_DROPPED:
      if (s.cluster != nullptr) s.cluster->advise(m.leader);
      answered(link);
      --s.queries_out;
      c.stage = Stage::waiting;
      s.ready.push_back(m.correlation);
      hold(s, &s.queries_hold_until, m.retry_after_ms, now);
      return;
    case RAFTCS_ERR_SESSION_EXPIRED:
      if (!s.bound()) break;
      lose(s, RAFTCS_ERR_SESSION_EXPIRED, "the session has expired or was closed", Fate::abandoned,
           now);
      return;
    default:
      break;
  }
  const bool ok = m.status == RAFTCS_OK;
  if (ok) s.pause.reset();
  end_call(s, slot, m.status, ok ? kApplied : kNotApplied, ok ? "" : "the query was refused");
  Event& e = effects_.events.back();
  e.app_code = m.app_code;
  e.index = m.index.value;
  e.data = std::move(m.result);
  if (ok && here && s.bound()) {
    s.progressed = true;
    in_contact(s, now);
  }
}

}  // namespace raftcs::client
