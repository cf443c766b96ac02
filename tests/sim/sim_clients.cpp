// sim_clients.cpp: clients: what they ask, what they are told.
#include <algorithm>

#include "raftcs.h"
#include "sim/sim_world.hpp"

namespace raftcs::sim {

std::string address_of(uint64_t id) { return "tcp://10.0.0." + std::to_string(id) + ":7001"; }

void Cluster::make_clients() {
  clients_.resize(p_.clients + (p_.silent_deaths ? 1 : 0) + (p_.frail ? 1 : 0));
  uint32_t who = 0;
  for (uint32_t c = 0; c < clients_.size(); ++c) {
    SimClient& client = clients_[c];
    client.mute = p_.silent_deaths && c == p_.clients;
    client.frail = p_.frail && c + 1 == clients_.size();
    client.clock.offset_ns = static_cast<int64_t>(rng_.below(1'000'000'000));
    if (p_.client_skew)
      client.clock.rate = 0.7 + 0.6 * static_cast<double>(rng_.below(1000)) / 1000.0;
    client.engine = std::make_unique<client::Engine>(
        std::array<uint64_t, 4>{rng_.next(), rng_.next(), rng_.next(), rng_.next()});
    for (uint32_t i = 0; i < p_.sessions; ++i) {
      WorkSession s;
      s.who = ++who;
      s.last = p_.ops;
      client.sessions.push_back(s);
      open_session(c, client.sessions.back());
    }
    for (WorkSession& s : client.sessions) submit_more(c, s);
    drive_client(c);
    if (client.mute)
      after(static_cast<DurationNs>(faults_.between(500, 5000)) * kNsPerMs,
            [this, c] { client_mute(c); });
  }
}

client::SessionOptions Cluster::options_of(const SimClient& client) const {
  client::SessionOptions o;
  for (uint64_t n = 1; n <= p_.nodes; ++n) o.endpoints.push_back(address_of(n));
  o.capabilities = {{"sim", "1"}};
  if (plugin_ != nullptr)
    for (const auto& capability : plugin_->options().capabilities)
      o.capabilities.push_back(capability);
  o.session_timeout_ms = client.mute ? kMuteTimeoutMs : client.frail ? p_.frail_timeout_ms : 30'000;
  o.renew_on_expiry = client.frail;
  return o;
}

void Cluster::open_session(uint32_t c, WorkSession& s) {
  client::SessionOptions o = options_of(clients_[c]);
  std::rotate(o.endpoints.begin(),
              o.endpoints.begin() + static_cast<ptrdiff_t>(rng_.below(p_.nodes)),
              o.endpoints.end());
  s.handle = clients_[c].engine->add(o);
  clients_[c].engine->open(s.handle, time_of(c));
}

void Cluster::with_client(uint32_t c, uint64_t life, std::function<void()> what) {
  SimClient& client = clients_[c];
  if (client.engine == nullptr || client.life != life || !report_.ok) return;
  if (client.paused_until > now_) {
    at(client.paused_until,
       [this, c, life, what = std::move(what)] { with_client(c, life, what); });
    return;
  }
  what();
  drive_client(c);
}

void Cluster::client_pauses(uint32_t c, DurationNs pause) {
  if (clients_[c].engine == nullptr || clients_[c].paused_until > now_) return;
  clients_[c].paused_until = now_ + pause;
  hit("a client paused");
  note("client " + std::to_string(c) + " pauses");
}

// What a process keeps of a session, to be resumed with. False: a token could not tell all, and
// nobody should die then.
bool Cluster::write_token(uint32_t c, WorkSession& s) {
  auto token = clients_[c].engine->export_session(s.handle);
  if (!token && token.status().code() == RAFTCS_ERR_RESOURCE_LIMIT) {
    hit("a token could not tell all");
    return false;
  }
  if (!token && token.status().code() == RAFTCS_ERR_BUSY) {
    hit("a token had to wait for the connection");
    return false;
  }
  s.token = token ? *token : Bytes();  // empty: there is no session yet, and nothing has left
  s.token_session = clients_[c].engine->info(s.handle).session_id;
  s.token_pushes = s.pushes;
  s.token_push_position = s.last_push_position;
  return true;
}

bool Cluster::write_tokens(uint32_t c) {
  for (WorkSession& s : clients_[c].sessions)
    if (s.closing || !write_token(c, s)) return false;
  return true;
}

// Whether what was exported is still what the process has, but for what got its answer.
bool Cluster::is_as_exported(uint32_t c) const {
  for (const WorkSession& s : clients_[c].sessions)
    if (s.closing || s.lost || s.token.empty() ||
        clients_[c].engine->info(s.handle).session_id != s.token_session)
      return false;
  return true;
}

// The tokens of the engine before are resumed; what had no answer is submitted again.
void Cluster::resume_all(uint32_t c, const client::Engine& before) {
  SimClient& client = clients_[c];
  for (WorkSession& s : client.sessions) {
    report_.resent += before.info(s.handle).resent;
    s.handle = client.engine->add(options_of(client));
    if (!s.token.empty()) {
      s.pushes = s.token_pushes;
      s.last_push_position = s.token_push_position;
      Status status = client.engine->resume(s.handle, s.token, time_of(c));
      if (!status.is_ok()) return fail("a token is refused: " + status.text());
    } else {
      client.engine->open(s.handle, time_of(c));
    }
    for (auto& [op, record] : std::exchange(s.open, {})) {
      const OpRecord& r = records_[record];
      client::Engine::Call call = call_of(s, r);
      s.open[call.op_id] = record;
      if (r.is_query)
        client.engine->query(std::move(call), time_of(c));
      else
        client.engine->submit(std::move(call), time_of(c));
    }
  }
  drive_client(c);
}

// A process ends and comes back with its tokens.
void Cluster::client_dies(uint32_t c) {
  const SimClient& client = clients_[c];
  if (client.engine == nullptr || client.mute || client.zombie || client.retires) return;
  if (!write_tokens(c)) return;
  hit("a client process died and resumed");
  replace_process(c);
}

// As client_dies, but the tokens were written some time before, while commands waited or were
// under way: a program that ends in order, or saves its session from time to time.
void Cluster::client_retires(uint32_t c, DurationNs wait) {
  SimClient& client = clients_[c];
  if (client.engine == nullptr || client.mute || client.zombie || client.retires) return;
  if (!write_tokens(c) || !is_as_exported(c)) return;
  client.retires = true;
  drive_client(c);
  after(wait, [this, c, life = client.life] {
    SimClient& retired = clients_[c];
    if (retired.life != life || !report_.ok) return;
    retired.retires = false;
    if (is_as_exported(c)) {
      hit("a client process died some time after it had exported");
      replace_process(c);
    }
    for (WorkSession& s : clients_[c].sessions) submit_more(c, s);
    drive_client(c);
  });
}

void Cluster::replace_process(uint32_t c) {
  SimClient& client = clients_[c];
  auto before = std::make_unique<client::Engine>(
      std::array<uint64_t, 4>{rng_.next(), rng_.next(), rng_.next(), rng_.next()});
  for (auto& [key, link] : links_)
    if (link.client == c && link.alive) kill_link(key, -1);
  std::swap(client.engine, before);  // `before` is the process that died
  ++client.life;
  client.timer_at = Mono::never();
  client.paused_until = Mono();
  resume_all(c, *before);
}

// Another process resumes the tokens while the one that wrote them lives on as a zombie: the
// older holder must be told once, stop, and not come back.
void Cluster::client_taken_over(uint32_t c) {
  if (clients_.size() > p_.clients + 4) return;
  const SimClient& client = clients_[c];
  if (client.engine == nullptr || client.mute || client.zombie || client.retires) return;
  // Not while it is resuming itself: of two that resume at once either may be the last.
  for (const WorkSession& s : client.sessions)
    if (s.lost || client.engine->info(s.handle).state != client::SessionState::connected) return;
  if (!write_tokens(c)) return;
  hit("a session was resumed twice");
  SimClient fresh;
  fresh.clock = clients_[c].clock;
  fresh.frail = clients_[c].frail;
  fresh.sessions = clients_[c].sessions;
  fresh.engine = std::make_unique<client::Engine>(
      std::array<uint64_t, 4>{rng_.next(), rng_.next(), rng_.next(), rng_.next()});
  clients_[c].zombie = true;
  for (WorkSession& s : clients_[c].sessions) s.last = s.next;
  clients_.push_back(std::move(fresh));
  resume_all(static_cast<uint32_t>(clients_.size() - 1), *clients_[c].engine);
  // It keeps the sessions and drops the work: until it hears of the other, both would do it.
  for (const WorkSession& s : clients_[c].sessions)
    for (const auto& [op, record] : s.open) clients_[c].engine->cancel(s.handle, op, time_of(c));
}

void Cluster::client_mute(uint32_t c) {
  SimClient& client = clients_[c];
  if (client.engine == nullptr) return;
  hit("a client died silently");
  for (auto& [key, link] : links_)
    if (link.client == c && link.alive) kill_link(key, -1);
  client.engine.reset();
  ++client.life;
}

void Cluster::close_session(uint32_t c, WorkSession& s) {
  const SimClient& client = clients_[c];
  if (client.engine == nullptr || s.closing || client.mute || client.zombie || client.retires)
    return;
  if (client.paused_until > now_) return;
  hit("a session was closed");
  s.closing = true;
  client.engine->close(s.handle, false, time_of(c));
  drive_client(c);
}

void Cluster::submit_more(uint32_t c, WorkSession& s) {
  if (clients_[c].retires) return;
  while (!s.lost && !s.closing && s.next < s.last && s.open.size() < p_.window) {
    OpRecord r;
    r.is_query = rng_.chance(0.25);
    r.begun = now_;
    r.op = {rng_.chance(0.2) ? 2u : 1u, s.who, s.next};
    if (s.next % 16 == 7) r.op.kind = 3;  // sets an alarm
    if (plugin_ != nullptr) for_plugin(&r);
    draw_load(&r);
    r.known = told_;
    client::Engine::Call call = call_of(s, r);
    if (rng_.chance(0.05))
      call.deadline = time_of(c) + static_cast<DurationNs>(rng_.between(5, 2000)) * kNsPerMs;
    s.open[call.op_id] = records_.size();
    ++s.next;
    bool is_query = r.is_query;
    if (rng_.chance(0.03)) {
      uint64_t op = call.op_id, life = clients_[c].life;
      client::SessionHandle handle = s.handle;
      after(delay(p_.delay_mean_ns * 6), [this, c, op, life, handle] {
        with_client(c, life, [this, c, op, handle] {
          if (clients_[c].engine->cancel(handle, op, time_of(c))) hit("an operation was cancelled");
        });
      });
    }
    records_.push_back(r);
    if (is_query)
      clients_[c].engine->query(std::move(call), time_of(c));
    else
      clients_[c].engine->submit(std::move(call), time_of(c));
  }
}

void Cluster::end_op(uint32_t c, WorkSession& s, const client::Event& e) {
  auto it = s.open.find(e.op_id);
  if (it == s.open.end()) return fail("operation " + std::to_string(e.op_id) + " ended twice");
  OpRecord& r = records_[it->second];
  s.open.erase(it);
  if (clients_[c].zombie) return;  // its successor's word counts
  r.ended = now_;
  r.outcome = e.outcome;
  if (r.plugin) {
    plugin_replied(r, e);
  } else {
    ledger_replied(&r, e);
  }
  if (e.status != RAFTCS_OK)
    note("client " + std::to_string(c) + " session " + std::to_string(s.who) + " operation " +
         std::to_string(r.op.what) + ": outcome " + std::to_string(e.outcome) + ", " + e.text);
  if (r.is_query && e.status == RAFTCS_OK) ++report_.queries;
  if (!r.is_query && e.outcome == RAFTCS_OUTCOME_APPLIED) ++report_.ops_applied;
  if (!r.is_query && e.outcome == RAFTCS_OUTCOME_UNKNOWN) ++report_.ops_unknown;
  if (!r.is_query && e.outcome == RAFTCS_OUTCOME_NOT_APPLIED) ++report_.ops_not_applied;
  submit_more(c, s);
}

void Cluster::on_event(uint32_t c, const client::Event& e) {
  WorkSession* s = nullptr;
  for (WorkSession& candidate : clients_[c].sessions)
    if (candidate.handle == e.session) s = &candidate;
  if (s == nullptr) return fail("an event of a session that is not there");
  trace(static_cast<uint64_t>(e.kind), e.op_id);
  switch (e.kind) {
    case client::EventKind::reply:
    case client::EventKind::query_reply: {
      end_op(c, *s, e);
      break;
    }
    case client::EventKind::push: {
      const auto pushed = decode_answer(e.data.data(), e.data.size());
      if (!pushed && plugin_ == nullptr) fail("a push that the ledger did not send");
      const uint64_t position = pushed.value_or(0);
      if (e.op_id != s->pushes + 1)
        fail("pushes of session " + std::to_string(s->who) + " have a gap or a repeat");
      if (position <= s->last_push_position && plugin_ == nullptr) fail("pushes out of order");
      s->pushes = e.op_id;
      s->last_push_position = position;
      ++report_.pushes;
      break;
    }
    case client::EventKind::pushes_gone:  // another holder has had them: said, not skipped
      if (!p_.takeovers && !p_.client_deaths) fail("pushes are gone and nobody took them");
      if (e.op_id != s->pushes + 1 || e.index < e.op_id)
        fail("session " + std::to_string(s->who) + " is told of other pushes than it lacks");
      s->pushes = e.index;
      hit("pushes were gone");
      break;
    case client::EventKind::closed:
      if (!s->closing || !s->open.empty()) return fail("a session closed with work outstanding");
      clients_[c].engine->forget(s->handle);
      s->closing = false;
      s->pushes = s->last_push_position = 0;
      open_session(c, *s);
      submit_more(c, *s);
      break;
    case client::EventKind::session_lost:
      if (!s->closing) session_lost(c, *s, e);
      break;
    case client::EventKind::state:
      if (e.app_code == static_cast<int32_t>(client::SessionState::connected))
        s->id = clients_[c].engine->info(s->handle).session_id;
      break;
    default:
      break;
  }
}

// Who may be told that a session is gone, and when: expired only after the log said so, taken
// over only if somebody did, and a live client with a long timeout never (X8).
void Cluster::session_lost(uint32_t c, WorkSession& s, const client::Event& e) {
  const SimClient& client = clients_[c];
  const std::string who = "session " + std::to_string(s.who);
  if (s.lost) return fail(who + " was lost twice");
  // What was begun on hearing of these ends is refused next.
  for (const auto& [op, record] : s.open)
    if (records_[record].begun < now_ && !client.frail)
      return fail(who + " was lost with work outstanding");
  if (client.zombie) {
    s.lost = true;
    if (e.status == RAFTCS_ERR_SESSION_TAKEN) hit("a session was taken over");
    return;
  }
  if (e.status == RAFTCS_ERR_SESSION_EXPIRED && !s.id.is_zero() && !model_.has_ended(s.id))
    return fail(who + " was reported as expired and had not ended");
  s.lost = client.mute;
  if (client.mute) return;
  s.id = Uuid();
  s.pushes = s.last_push_position = 0;
  if (!client.frail || e.status != RAFTCS_ERR_SESSION_EXPIRED)
    return fail(who + " was lost: " + e.text);
  hit("a session expired and was renewed");
}

void Cluster::drive_client(uint32_t c) {
  if (clients_[c].engine == nullptr || clients_[c].paused_until > now_) return;
  client::Effects e = clients_[c].engine->take_effects(time_of(c));
  while (!e.empty()) {
    for (const auto& open : e.open) open_link(c, open.link, open.endpoint);
    for (const auto& send : e.send) send_server(send.link, c, send.frame);
    for (client::LinkId link : e.close) kill_link(key_of(c, link), -1);
    for (const auto& event : e.events) on_event(c, event);
    e = clients_[c].engine->take_effects(time_of(c));
  }
  SimClient& client = clients_[c];
  Mono deadline = client.clock.global(client.engine->next_deadline());
  if (deadline >= client.timer_at && client.timer_at > now_) return;
  client.timer_at = deadline;
  if (deadline == Mono::never()) return;
  uint64_t life = client.life;
  at(deadline, [this, c, deadline, life] {
    with_client(c, life, [this, c, deadline] {
      if (clients_[c].timer_at <= std::max(deadline, now_)) clients_[c].timer_at = Mono::never();
      clients_[c].engine->tick(time_of(c));
    });
  });
}

}  // namespace raftcs::sim
