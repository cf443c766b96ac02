// connect.cpp: where a session goes, and when.
//
// The next server is, in this order: a hint of the last answer; the leader that other
// sessions of the cluster have found (every other time); round robin over configured
// endpoints and known members (CLI-12, D3). Every attempt but one waits for the backoff; the
// one is following a hint while `hint_credit` lasts. Waiting earns the credit back, and so
// does a binding that lasted; so servers that point at one another cost two attempts per
// backoff and no more (W-C3, LDR-04).
#include <utility>

#include "client/core.hpp"

namespace raftcs::client {
namespace {

constexpr uint64_t kRetryAfterMsMax = 60'000;  // whatever a server says
constexpr uint64_t kFreshGap = 16'384;         // behind ids that a stale token does not know
constexpr size_t kTriedMax = 256;              // then a round ends, whatever it has left out

DurationNs retry_after(uint64_t ms) {
  return static_cast<DurationNs>(std::min(ms, kRetryAfterMsMax)) * kNsPerMs;
}

bool contains(const std::vector<std::string>& list, const std::string& item) {
  return std::find(list.begin(), list.end(), item) != list.end();
}

}  // namespace

// --- beginning ----------------------------------------------------------------------------

void Core::start_new(Session& s) {
  ++s.life;
  s.id = Uuid{};
  s.proof = random_.uuid();
  s.holder = HolderId();
  s.nonce = random_.non_zero() >> 2;  // room to rise
  s.asked_create = false;
  s.received_push = s.acked_push = 0;
  s.ack_due = false;
}

void Core::open(Session& s, Mono now) {
  if (s.closing || (s.phase != Phase::idle && s.phase != Phase::lost)) return;
  if (s.phase == Phase::lost) {  // the client object stays usable (CLI-08)
    // All there is belongs to another cluster, as after disaster recovery: then to that one.
    if (s.lost_status == RAFTCS_ERR_WRONG_CLUSTER) s.cluster_id = s.options.cluster;
    start_new(s);
  }
  s.phase = Phase::waiting;
  s.contact = now;
  s.warned = false;
  begin_attempt(s, now);
  mark(s);
}

Status Core::resume(Session& s, const Bytes& bytes, Mono now) {
  if (s.phase != Phase::idle || s.closing || s.counters.submitted > 0) {
    return Status(RAFTCS_ERR_BAD_STATE, "resume comes before open and before the first command");
  }
  RCS_ASSIGN(token, decode_token(bytes));
  if (!s.options.cluster.is_zero() && !token.cluster.is_zero() &&
      s.options.cluster != token.cluster) {
    return Status(RAFTCS_ERR_WRONG_CLUSTER, "the token belongs to another cluster");
  }
  s.id = token.session;
  s.proof = token.proof;
  s.holder = successor_of(token.holder, random_.next());
  if (!token.cluster.is_zero()) s.cluster_id = token.cluster;
  if (token.timeout_ms != 0) s.timeout_ms = token.timeout_ms;
  s.received_push = s.acked_push = token.received_push;
  s.pending.sent.restart(token.next_id);
  s.fresh_gap = true;
  if (!token.unanswered.empty()) {
    CommandRing& old = s.pending.old;
    old.restart(token.unanswered.front().id);
    for (const Token::Entry& e : token.unanswered) {
      while (old.end() < e.id) old.push(Command{});
      Command c;
      c.slot = Command::Slot::reserved;
      c.tag = e.digest;
      old.push(std::move(c));
    }
    s.reserved = static_cast<uint32_t>(token.unanswered.size());
    s.claim_from = old.base();
  }
  open(s, now);
  return Status::ok();
}

// A token names every command that may reach the cluster later: one that leaves without having
// been named would be run again by whoever resumes. So those that wait get their ids now.
Status Core::number_waiting(Session& s) {
  CommandRing& queue = s.pending.queue;
  if (queue.empty()) return Status::ok();
  if (s.fresh_gap)  // where fresh ids begin is told by the server (on_continued)
    return Status(RAFTCS_ERR_BUSY,
                  "commands wait for a resumed session that is not connected yet; export it then");
  const uint64_t waiting = queue.end() - queue.base();
  if (s.pending.sent.end() + waiting - s.pending.lowest() > kTokenSpanMax)
    return Status(RAFTCS_ERR_RESOURCE_LIMIT,
                  "more commands are unanswered than a token can tell; wait for their answers");
  while (!queue.empty()) s.pending.sent.push(queue.take(queue.base()));
  mark(s);
  return Status::ok();
}

Result<Bytes> Core::export_session(Session& s) {
  if (s.id.is_zero() || s.ended()) return Status(RAFTCS_ERR_BAD_STATE, "there is no open session");
  RCS_TRY(number_waiting(s));
  Token token;
  token.session = s.id;
  token.proof = s.proof;
  token.cluster = s.cluster_id;
  token.holder = s.holder;
  token.next_id = s.pending.sent.end();
  // What was delivered but not acknowledged by a manual caller is asked for again (W-C8).
  token.received_push = s.options.manual_ack ? s.acked_push : s.received_push;
  token.timeout_ms = s.timeout_ms;
  const uint64_t first = token.next_id > kTokenSpanMax ? token.next_id - kTokenSpanMax : 1;
  for (const CommandRing* ring : {&s.pending.old, &s.pending.sent}) {
    // An id left out would be run again under a new one by whoever resumes.
    if (!ring->empty() && ring->base() < first)
      return Status(RAFTCS_ERR_RESOURCE_LIMIT,
                    "unanswered commands of several resumed processes are further apart than a "
                    "token can tell; wait for their answers");
    for (uint64_t id = std::max(ring->base(), first); id < ring->end(); ++id) {
      const Command& c = ring->slot(id);
      if (c.slot == Command::Slot::empty) continue;
      const bool reserved = c.slot == Command::Slot::reserved;
      token.unanswered.push_back({id, reserved ? c.tag : command_digest(c.service, c.payload)});
    }
  }
  return encode_token(token);
}

// --- attempts -----------------------------------------------------------------------------

// Configured, and those of members and of former ones; each once, unless configured twice.
std::vector<const std::string*> Core::addresses(const Session& s) const {
  std::vector<const std::string*> all;
  for (const std::string& e : s.options.endpoints) all.push_back(&e);
  if (s.cluster != nullptr) {
    for (const wire::MemberInfo& m : s.cluster->members) {
      const bool known =
          m.client_address.empty() || contains(s.options.endpoints, m.client_address);
      if (!known) all.push_back(&m.client_address);
    }
    for (const std::string& address : s.cluster->former)
      if (!contains(s.options.endpoints, address)) all.push_back(&address);
  }
  return all;
}

// While the session is bound (then it is an admin call that asks), whoever serves it is the leader,
// at the address that it was reached at: the one its servers tell need not be reachable from here.
std::string Core::choose_endpoint(const Session& s, Route& r) {
  if (!r.target.empty()) return r.last = std::exchange(r.target, {});
  const std::string* leader = s.cluster != nullptr ? &s.cluster->leader.client_address : nullptr;
  if (s.bound()) leader = &s.link->endpoint;
  r.leader_next = !r.leader_next;
  if (!r.leader_next && leader != nullptr && !leader->empty() && *leader != r.last)
    return r.last = *leader;
  const std::vector<const std::string*> all = addresses(s);
  // Each gets its turn before one gets a second: what one server says may change the list, and
  // between two lists a turn alone can pass over an address for ever (simulator seed 434221).
  const auto at = [&](size_t turn) -> const std::string& { return *all[turn % all.size()]; };
  size_t turn = r.turn;
  while (turn < r.turn + all.size() && (at(turn) == r.last || contains(r.tried, at(turn)))) ++turn;
  if (turn == r.turn + all.size()) {
    r.tried.clear();
    turn = r.turn;
    if (at(turn) == r.last) ++turn;
  }
  r.turn = turn + 1;
  if (r.tried.size() >= kTriedMax) r.tried.clear();
  r.tried.push_back(at(turn));
  return r.last = at(turn);
}

Link* Core::acquire(const std::string& endpoint, const Session& s, Mono now) {
  Link* link = links_.find(endpoint);
  if (link == nullptr) {
    link = links_.add(endpoint);
    link->idle_since = link->heard = now;
    effects_.open.push_back({link->id, endpoint});
    wire::Hello hello;
    hello.client_name = s.options.name;
    send(*link, std::move(hello));
    link->silence_ns = std::max(kLinkSilenceNs, s.options.connect_timeout_ns);
    expect(*link, now);
  }
  ++link->users;
  return link;
}

void Core::attach(Session& s, Link* link, Mono now) {
  s.link = link;
  s.channel = link->allocate(s.handle, now);
}

void Core::unuse(Link& link, Mono now) {
  if (--link.users == 0) {
    link.idle_since = now;
    arm(link);
  }
}

void Core::detach(Session& s, Fate fate, Mono now) {
  if (s.link == nullptr) return;
  Link& link = *s.link;
  for (; s.inflight > 0; --s.inflight) answered(link);
  if (s.phase == Phase::asking) answered(link);
  if (s.keep_alive_sent != 0) answered(link);
  s.keep_alive_sent = s.timed_id = 0;
  requeue_queries(s);
  // Nothing was said on the channel before the welcome.
  if (fate == Fate::released || s.phase == Phase::linking) {
    link.release(s.channel, s.phase == Phase::linking ? Mono() : now);
  } else {
    link.abandon(s.channel);
  }
  s.link = nullptr;
  s.channel = 0;
  unuse(link, now);
}

void Core::begin_attempt(Session& s, Mono now) {
  s.wake_at = Mono::never();
  const std::string endpoint = choose_endpoint(s, s.route);
  std::erase(s.refused, endpoint);  // its last word is what counts
  ++s.attempt;
  ++s.counters.attempts;
  const SessionState state =
      s.id.is_zero() ? SessionState::connecting_new : SessionState::connecting_existing;
  // Told on change and on attempts 2, 4, 8, ...: enough to follow, and bounded (CLI-13).
  const bool told = s.attempt > 1 && (s.attempt & (s.attempt - 1)) == 0;
  if (s.shown != state) {
    set_state(s, state);
  } else if (told) {
    tell_state(s);
  }
  attach(s, acquire(endpoint, s, now), now);
  s.phase = Phase::linking;
  s.attempt_until = now + s.attempt_ns();
  if (s.link->ready) ask(s, now);
  arm(s);
}

std::string Core::redirect_of(const Link& link) const {
  const wire::LeaderHint& leader = link.cluster->leader;
  if (!leader.id || leader.id == link.welcome.node) return {};
  const std::string address = link.cluster->address_of(leader);
  return address == link.endpoint ? std::string{} : address;
}

// Requires: phase linking, the link welcomed.
void Core::ask(Session& s, Mono now) {
  Link& link = *s.link;
  if (!link.usable) {
    refuse_server(s, RAFTCS_ERR_VERSION_MISMATCH, "no protocol version in common with the servers",
                  now);
    return;
  }
  if (!s.cluster_id.is_zero() && s.cluster_id != link.welcome.cluster) {
    refuse_server(s, RAFTCS_ERR_WRONG_CLUSTER, "the servers belong to another cluster", now);
    return;
  }
  s.cluster_id = link.welcome.cluster;
  s.cluster = link.cluster;
  s.foreign_since = Mono::never();
  if (const std::string to = redirect_of(link); !to.empty() && s.hint_credit) {
    detach(s, Fate::released, now);
    retry(s, to, 0, now);
    return;
  }
  ++s.nonce;
  if (s.id.is_zero()) {
    s.asked_create = true;
    send(link, wire::CreateSession{s.channel, s.nonce, s.proof, s.options.session_timeout_ms,
                                   s.options.capabilities});
  } else {
    send(link, wire::ContinueSession{s.channel, s.nonce, s.id, s.proof, PushId(s.received_push),
                                     s.holder});
  }
  s.phase = Phase::asking;
  s.last_sent = now;
  expect(link, now);
  mark(s);
}

// Requires: detached.
void Core::retry(Session& s, const std::string& hint, DurationNs not_before, Mono now) {
  s.phase = Phase::waiting;
  s.attempt_until = Mono::never();
  s.route.target = hint;
  if (!hint.empty() && s.hint_credit) {
    s.hint_credit = false;
    begin_attempt(s, now);
    return;
  }
  s.hint_credit = true;
  DurationNs pause = s.backoff.next(random_);
  if (!s.id.is_zero()) pause = std::min(pause, std::max(s.timeout_ns() / 8, s.backoff.shortest()));
  s.wake_at = now + std::max(pause, random_.at_least(not_before));
  arm(s);
}

// A binding ended while the session lives on.
void Core::leave(Session& s, const std::string& hint, Fate fate, Mono now) {
  const DurationNs lasted = now - s.bound_since;
  const bool settled =
      lasted >= s.backoff.longest() || (s.progressed && lasted >= s.backoff.shortest());
  s.hint_credit = settled;
  if (settled) s.backoff.reset();
  detach(s, fate, now);
  set_state(s, SessionState::connecting_existing);
  retry(s, hint, 0, now);
}

// The server that is being asked gave no answer. If it was said to lead, others are asked again: a
// server that knows better may have forgotten this client, so its news need not come by itself.
void Core::no_answer(Session& s) {
  if (s.cluster != nullptr) s.cluster->doubt(s.route.last);
  const size_t known =
      s.options.endpoints.size() + (s.cluster != nullptr ? s.cluster->members.size() : 0);
  // One silent server is not the whole cluster: what others said counts, until none answers.
  if (++s.unanswered < known && s.trouble != RAFTCS_OK) return;
  note_trouble(s, RAFTCS_ERR_UNREACHABLE, s.route.last + " does not answer");
}

void Core::note_trouble(Session& s, raftcs_status_t status, std::string text) {
  s.trouble = status;
  s.trouble_text = std::move(text);
}

// This server can never serve the session. It ends when that is the last word of every known one:
// one without a leader may be the one that keeps it. The silent are waited for as long as a session
// would last; after a disaster recovery they are gone for good.
void Core::refuse_server(Session& s, raftcs_status_t status, const char* text, Mono now) {
  if (s.cluster != nullptr) s.cluster->doubt(s.route.last);  // or others lead back here, unasked
  s.unanswered = 0;
  s.foreign_since = std::min(s.foreign_since, now);
  s.refused.push_back(s.route.last);
  const std::vector<const std::string*> all = addresses(s);
  std::erase_if(s.refused, [&](const std::string& refused) {  // not known any more
    return std::none_of(all.begin(), all.end(), [&](auto* known) { return *known == refused; });
  });
  const auto has_refused = [&](auto* known) { return contains(s.refused, *known); };
  if (std::all_of(all.begin(), all.end(), has_refused) ||
      now - s.foreign_since >= s.foreign_only_ns()) {
    lose(s, status, text, Fate::released, now);
    return;
  }
  note_trouble(s, status, s.route.last + " does not serve this session: " + text);
  detach(s, Fate::released, now);
  retry(s, {}, 0, now);
}

void Core::attempt_timed_out(Session& s, Mono now) {
  no_answer(s);
  detach(s, Fate::abandoned, now);
  retry(s, {}, 0, now);
}

// --- answers ------------------------------------------------------------------------------

void Core::bind(Session& s, uint64_t timeout_ms, Mono now) {
  Link& link = *s.link;
  answered(link);
  s.phase = Phase::bound;
  s.attempt_until = Mono::never();
  s.bound_since = now;
  s.progressed = s.push_dropped = false;
  s.attempt = s.unanswered = 0;
  note_trouble(s, RAFTCS_OK, {});
  s.contact = now;
  s.warned = false;
  s.hint_credit = true;
  s.route.leader_next = true;
  s.refused.clear();
  s.foreign_since = Mono::never();
  s.route.target.clear();
  if (timeout_ms != 0) s.timeout_ms = timeout_ms;
  if (++s.epoch == 0) s.epoch = 1;
  s.cursor = s.pending.lowest();
  s.hold_until = s.queries_hold_until = Mono::never();
  if (s.was_bound) ++s.counters.reconnects;
  s.was_bound = true;
  wire::LeaderHint leader{link.welcome.node, {}};
  if (link.cluster->address_of(leader).empty()) leader.client_address = link.endpoint;
  if (link.cluster->learn(leader, {})) topology_dirty_ = true;
  if (s.topology_told != link.cluster->version) topology_dirty_ = true;
  set_state(s, SessionState::connected);
  if (s.closing) {
    send(link, wire::CloseSession{s.channel});
  } else {
    ready_queries(s);
  }
  mark(s);
}

void Core::on_created(Session& s, const wire::SessionCreated& m, Mono now) {
  if (s.phase != Phase::asking || m.nonce != s.nonce || !s.id.is_zero() || m.session.is_zero())
    return;
  s.id = m.session;
  bind(s, m.timeout_ms, now);
}

void Core::on_continued(Session& s, const wire::SessionContinued& m, Mono now) {
  if (s.phase != Phase::asking || m.nonce != s.nonce || s.id.is_zero()) return;
  if (s.fresh_gap) {
    // The process that wrote the token may have sent more after it: its ids are never ours. The
    // gap covers what it may have in flight, of which highest_request knows nothing.
    s.fresh_gap = false;
    const uint64_t applied = std::min(m.highest_request.value, UINT64_MAX / 2);
    s.pending.sent.restart(std::max(s.pending.sent.end(), applied + 1) + kFreshGap);
  }
  // The server before may have dropped the acknowledgement unlogged, or never had it.
  if (s.acked_push > 0) s.ack_due = true;
  bind(s, m.timeout_ms, now);
}

std::string Core::usable_hint(Session& s, const wire::LeaderHint& hint, const std::string& here) {
  if (s.cluster == nullptr || !hint.id) return {};
  s.cluster->advise(hint);
  std::string address = s.cluster->address_of(hint);
  return address == here ? std::string{} : address;
}

// Answers that end the session, or this session's way to be created. True: dealt with.
bool Core::proof_refused(Session& s, const wire::SessionRejected& m, Mono now) {
  const std::string text = m.text.empty() ? "the cluster refused the session" : m.text;
  switch (m.reason) {
    case wire::RejectReason::session_expired:
      if (s.id.is_zero()) {  // the session of this proof has come and gone: ask for another
        s.proof = random_.uuid();
        return false;
      }
      lose(s, RAFTCS_ERR_SESSION_EXPIRED, "the session has expired or was closed", Fate::released,
           now);
      return true;
    case wire::RejectReason::invalid:
    case wire::RejectReason::wrong_proof:
      lose(s, RAFTCS_ERR_SESSION_REJECTED, text, Fate::released, now);
      return true;
    case wire::RejectReason::wrong_cluster:
      refuse_server(s, RAFTCS_ERR_WRONG_CLUSTER, "the servers belong to another cluster", now);
      return true;
    case wire::RejectReason::not_leader:
    case wire::RejectReason::overloaded:
    case wire::RejectReason::limit:
    case wire::RejectReason::draining:
    case wire::RejectReason::taken_over:
      return false;
  }
  return false;
}

void Core::on_rejected(Session& s, const wire::SessionRejected& m, Mono now) {
  if (s.phase != Phase::asking || m.nonce != s.nonce) return;
  s.unanswered = 0;
  if (proof_refused(s, m, now) || taken_from(s, m, now)) return;
  using enum wire::RejectReason;
  if (m.reason == not_leader || m.reason == draining) s.cluster->doubt(s.link->welcome.node);
  const std::string hint = usable_hint(s, m.leader, s.link->endpoint);
  note_rejection(s, m, hint);
  detach(s, Fate::released, now);
  retry(s, hint, retry_after(m.retry_after_ms), now);
}

void Core::note_rejection(Session& s, const wire::SessionRejected& m, const std::string& hint) {
  using enum wire::RejectReason;
  const std::string& here = s.link->endpoint;
  if (m.reason == overloaded) note_trouble(s, RAFTCS_ERR_BUSY, here + " is overloaded");
  if (m.reason == limit)
    note_trouble(s, RAFTCS_ERR_RESOURCE_LIMIT, m.text.empty() ? "too many sessions" : m.text);
  if ((m.reason == not_leader || m.reason == draining) && hint.empty())
    note_trouble(s, RAFTCS_ERR_NO_LEADER, here + " knows of no leader");
}

// Another process holds the session. One that has just resumed asks again as the successor of
// whoever is told to hold it; one that had it stops (SES-11). So nobody takes it back and forth.
bool Core::taken_from(Session& s, const wire::SessionRejected& m, Mono now) {
  if (m.reason != wire::RejectReason::taken_over) return false;
  if (s.id.is_zero()) {  // a session of this proof went to somebody else
    s.proof = random_.uuid();
    return false;
  }
  if (!s.fresh_gap || generation_of(m.holder) >= UINT32_MAX - 1) {
    lose(s, RAFTCS_ERR_SESSION_TAKEN, "another client continued this session", Fate::released, now);
    return true;
  }
  s.holder = successor_of(m.holder, random_.next());
  const std::string here = s.link->endpoint;
  detach(s, Fate::released, now);
  retry(s, here, 0, now);
  return true;
}

void Core::on_closed(Session& s, const wire::SessionClosed& m, Mono now) {
  if (s.phase != Phase::asking && s.phase != Phase::bound) return;
  const bool leads =
      m.reason != wire::CloseReason::not_leader && m.reason != wire::CloseReason::shutdown;
  if (!leads) s.cluster->doubt(s.link->welcome.node);
  const std::string hint = usable_hint(s, m.leader, s.link->endpoint);
  switch (m.reason) {
    case wire::CloseReason::taken_over:
      lose(s, RAFTCS_ERR_SESSION_TAKEN, "another client continued this session", Fate::released,
           now);
      return;
    case wire::CloseReason::expired:
    case wire::CloseReason::closed:
      if (s.phase != Phase::bound && s.id.is_zero()) break;
      lose(s, RAFTCS_ERR_SESSION_EXPIRED, "the session has expired or was closed", Fate::released,
           now);
      return;
    case wire::CloseReason::shutdown:
    case wire::CloseReason::not_leader:
    case wire::CloseReason::session_error:
      break;
  }
  if (s.bound()) {
    if (!leads && hint.empty())
      note_trouble(s, RAFTCS_ERR_NO_LEADER, s.link->endpoint + " does not lead any more");
    leave(s, hint, Fate::released, now);
  } else {  // instead of an answer (W-C10)
    s.unanswered = 0;
    detach(s, Fate::released, now);
    retry(s, hint, 0, now);
  }
}

}  // namespace raftcs::client
