// admins.cpp: administration calls, to one named server or to whoever leads.
//
// They need no session. A call that may have been received is never sent again, except when
// the reply itself said that a member without leadership did nothing; so a link lost while
// waiting ends it as UNKNOWN. A call for a named server takes that server's answer as it is.
// Others begin at the server that the session is bound to, and go back to it every other time.
#include <utility>

#include "client/core.hpp"

namespace raftcs::client {

using Stage = PendingCall::Stage;

void Core::admin(Session& s, Engine::Call&& call, const std::string& endpoint, Mono now) {
  if (const raftcs_status_t status = admission(s); status != RAFTCS_OK) {
    const bool busy = status == RAFTCS_ERR_BUSY;
    refuse(s, EventKind::admin_reply, call, status,
           busy ? "too many operations are outstanding" : "the client is closed");
    return;
  }
  ++s.counters.submitted;
  ++s.counters.outstanding;
  PendingCall c;
  c.admin = true;
  c.session = s.handle;
  c.op_id = call.op_id;
  c.tag = call.tag;
  c.deadline = call.deadline;
  c.backoff_ns = s.backoff.shortest();
  c.service = std::move(call.service);
  c.payload = std::move(call.payload);
  c.endpoint = endpoint;
  c.route = std::make_unique<Route>();
  c.route->turn = s.admin_turn++;
  s.deadline_at = std::min(s.deadline_at, c.deadline);
  start_admin(calls_.add(&s.calls, std::move(c)), now);
  arm(s);
}

void Core::start_admin(uint32_t slot, Mono now) {
  PendingCall& c = calls_.at(slot);
  Session& s = session(c.session);
  if (!c.endpoint.empty()) c.route->target = c.endpoint;
  const std::string to = choose_endpoint(s, *c.route);
  Link* link = acquire(to, s, now);
  link->admins.push_back(calls_.correlation(slot));
  c.link = link->id;
  c.stage = Stage::linking;
  c.attempt_until = now + std::max(s.options.connect_timeout_ns, kNsPerMs);
  s.admins_at = std::min(s.admins_at, c.attempt_until);
  if (link->ready) send_admin(slot, now);
  arm(s);
}

// Requires: linking, the link welcomed.
void Core::send_admin(uint32_t slot, Mono now) {
  PendingCall& c = calls_.at(slot);
  Session& s = session(c.session);
  Link& link = *links_.find(c.link);
  const bool foreign = !s.cluster_id.is_zero() && s.cluster_id != link.welcome.cluster;
  if (!link.usable || foreign) {
    cannot_ask(c);
    if (c.endpoint.empty()) {
      release_admin(c, now);
      retry_admin(slot, {}, now);
    } else {
      end_call(s, slot, foreign ? RAFTCS_ERR_WRONG_CLUSTER : RAFTCS_ERR_VERSION_MISMATCH,
               kNotApplied,
               foreign ? "the server belongs to another cluster" : "no protocol version in common");
    }
    return;
  }
  if (s.cluster == nullptr) s.cluster = link.cluster;
  const bool serves = s.bound() && s.link == &link;  // so it knows better than others
  if (c.endpoint.empty() && c.hint_credit && !serves) {
    if (const std::string to = redirect_of(link); !to.empty()) {
      release_admin(c, now);
      retry_admin(slot, to, now);
      return;
    }
  }
  if (too_large(link, c.payload)) {  // as in flush_queries
    end_call(s, slot, RAFTCS_ERR_TOO_LARGE, kNotApplied,
             "the arguments are over the servers' limit");
    return;
  }
  send(link, wire::Admin{calls_.correlation(slot), c.service, c.payload.str()});
  c.stage = Stage::sent;
  expect(link, now);
}

void Core::release_admin(PendingCall& c, Mono now) {
  if (c.stage != Stage::linking && c.stage != Stage::sent) return;
  Link* link = links_.find(c.link);
  if (link != nullptr) {
    if (c.stage == Stage::sent) answered(*link);
    const uint64_t correlation = calls_.correlation(static_cast<uint32_t>(&c - &calls_.at(0)));
    std::erase(link->admins, correlation);
    unuse(*link, std::max(now, link->heard));
  }
  c.stage = Stage::waiting;
}

// Requires: released.
void Core::retry_admin(uint32_t slot, const std::string& hint, Mono now) {
  PendingCall& c = calls_.at(slot);
  Session& s = session(c.session);
  c.route->target = hint;
  if (!hint.empty() && c.hint_credit) {
    c.hint_credit = false;
    start_admin(slot, now);
    return;
  }
  c.hint_credit = true;
  c.retry_at = now + random_.around(c.backoff_ns);
  c.backoff_ns = std::min(c.backoff_ns * 2, s.backoff.longest());
  s.admins_at = std::min(s.admins_at, c.retry_at);
  arm(s);
}

void Core::look_at_admins(Session& s, Mono now) {
  s.admins_at = Mono::never();
  for (uint32_t slot = s.calls.first; slot != 0;) {
    const uint32_t after = calls_.at(slot).after;
    PendingCall& c = calls_.at(slot);
    if (c.admin && c.stage == Stage::waiting) {
      if (c.retry_at <= now) {
        start_admin(slot, now);
      } else {
        s.admins_at = std::min(s.admins_at, c.retry_at);
      }
    } else if (c.admin && c.stage == Stage::linking) {
      if (c.attempt_until <= now) {
        cannot_ask(c);
        release_admin(c, now);
        retry_admin(slot, {}, now);
      } else {
        s.admins_at = std::min(s.admins_at, c.attempt_until);
      }
    }
    slot = after;
  }
}

void Core::admin_link_lost(uint32_t slot, Mono now) {
  PendingCall& c = calls_.at(slot);
  const bool sent = c.stage == Stage::sent;
  c.stage = Stage::waiting;
  if (sent) {
    end_call(session(c.session), slot, RAFTCS_ERR_UNREACHABLE, kUnknown,
             "the connection was lost before the answer");
  } else {
    cannot_ask(c);
    retry_admin(slot, {}, now);
  }
}

// Nobody is there who takes the call. If that one was said to lead, others are asked again, as
// in no_answer.
void Core::cannot_ask(const PendingCall& c) {
  Session& s = session(c.session);
  if (s.cluster != nullptr) s.cluster->doubt(c.route->last);
}

namespace {
// As the table of raftcs_status_outcome has it: a server that failed may have begun.
int32_t outcome_of(raftcs_status_t status) {
  switch (status) {
    case RAFTCS_OK:
      return kApplied;
    case RAFTCS_ERR_TIMED_OUT:
    case RAFTCS_ERR_DROPPED:
    case RAFTCS_ERR_CLOSED:
    case RAFTCS_ERR_IO:
    case RAFTCS_ERR_INTERNAL:
    case RAFTCS_ERR_PLUGIN_FAILED:
      return kUnknown;
    default:
      return kNotApplied;
  }
}
}  // namespace

void Core::on_admin_reply(Link& link, wire::AdminReply& m, Mono now) {
  const uint32_t slot = calls_.find(m.correlation);
  if (slot == 0) return;
  PendingCall& c = calls_.at(slot);
  if (!c.admin || c.stage != Stage::sent || c.link != link.id) return;
  Session& s = session(c.session);
  const bool elsewhere = m.status == RAFTCS_ERR_NOT_LEADER || m.status == RAFTCS_ERR_NO_LEADER;
  if (elsewhere) link.cluster->doubt(link.welcome.node);
  if (elsewhere && c.endpoint.empty()) {
    link.cluster->advise(m.leader);
    std::string hint = link.cluster->address_of(m.leader);
    if (hint == link.endpoint) hint.clear();
    release_admin(c, now);
    retry_admin(slot, hint, now);
    return;
  }
  end_call(s, slot, m.status, outcome_of(m.status), std::move(m.text));
  effects_.events.back().data = Bytes::adopt(std::move(m.json));
}

// It names a type of message. Nothing in frames of that type counted, whichever of them it answers.
// What else it may name times out like anything without an answer; admin calls need not.
void Core::on_unsupported(Link& link, const wire::Unsupported& m) {
  if (m.type != static_cast<uint32_t>(wire::MessageType::admin)) return;
  for (uint64_t correlation : std::vector<uint64_t>(link.admins)) {
    const uint32_t slot = calls_.find(correlation);
    if (slot == 0 || calls_.at(slot).link != link.id) continue;
    const PendingCall& c = calls_.at(slot);
    if (c.stage == Stage::sent)
      end_call(session(c.session), slot, RAFTCS_ERR_UNSUPPORTED, kNotApplied,
               "the server does not take administration calls");
  }
}

}  // namespace raftcs::client
