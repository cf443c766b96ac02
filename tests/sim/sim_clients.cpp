// sim_clients.cpp: clients: what they ask, what they are told.
#include <algorithm>
#include <cstring>

#include "raftcs.h"
#include "sim/sim_world.hpp"

namespace raftcs::sim {

std::string address_of(uint64_t id) { return "tcp://10.0.0." + std::to_string(id) + ":7001"; }

void Cluster::make_clients() {
  clients_.resize(p_.clients + (p_.silent_deaths ? 1 : 0));
  uint32_t who = 0;
  for (uint32_t c = 0; c < clients_.size(); ++c) {
    SimClient& client = clients_[c];
    client.mute = c >= p_.clients;
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

void Cluster::open_session(uint32_t c, WorkSession& s) {
  client::SessionOptions o;
  for (uint64_t n = 1; n <= p_.nodes; ++n) o.endpoints.push_back(address_of(n));
  std::rotate(o.endpoints.begin(),
              o.endpoints.begin() + static_cast<ptrdiff_t>(rng_.below(p_.nodes)),
              o.endpoints.end());
  o.capabilities = {{"sim", "1"}};
  o.session_timeout_ms = clients_[c].mute ? kMuteTimeoutMs : 30'000;
  s.handle = clients_[c].engine->add(o);
  clients_[c].engine->open(s.handle, now_);
}

// A process ends and comes back with its tokens: it submits again what had no answer.
void Cluster::client_dies(uint32_t c) {
  SimClient& client = clients_[c];
  if (client.engine == nullptr || client.mute) return;
  for (const WorkSession& s : client.sessions)
    if (s.closing) return;
  hit("a client process died and resumed");
  auto next = std::make_unique<client::Engine>(
      std::array<uint64_t, 4>{rng_.next(), rng_.next(), rng_.next(), rng_.next()});
  for (auto& [key, link] : links_)
    if (link.client == c && link.alive) kill_link(key, -1);
  std::swap(client.engine, next);  // `next` is the process that died
  ++client.life;
  client.timer_at = Mono::never();
  for (WorkSession& s : client.sessions) {
    report_.resent += next->info(s.handle).resent;
    auto token = next->export_session(s.handle);
    client::SessionOptions o;
    for (uint64_t n = 1; n <= p_.nodes; ++n) o.endpoints.push_back(address_of(n));
    o.capabilities = {{"sim", "1"}};
    o.session_timeout_ms = 30'000;
    s.handle = client.engine->add(o);
    if (token) {
      Status status = client.engine->resume(s.handle, *token, now_);
      if (!status.is_ok()) return fail("a token is refused: " + status.text());
    } else {
      client.engine->open(s.handle, now_);
    }
    for (auto& [op, record] : std::exchange(s.open, {})) {
      client::Engine::Call call;
      call.session = s.handle;
      call.op_id = call.tag = ++next_op_;
      call.service = "ledger";
      s.open[call.op_id] = record;
      const OpRecord& r = records_[record];
      if (!r.is_query) call.payload = Bytes::copy(&r.op, sizeof r.op);
      if (r.is_query)
        client.engine->query(std::move(call), now_);
      else
        client.engine->submit(std::move(call), now_);
    }
  }
  drive_client(c);
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
  if (clients_[c].engine == nullptr || s.closing || clients_[c].mute) return;
  hit("a session was closed");
  s.closing = true;
  clients_[c].engine->close(s.handle, false, now_);
  drive_client(c);
}

void Cluster::submit_more(uint32_t c, WorkSession& s) {
  while (!s.lost && !s.closing && s.next < s.last && s.open.size() < p_.window) {
    client::Engine::Call call;
    call.session = s.handle;
    call.op_id = ++next_op_;
    call.tag = call.op_id;
    call.service = "ledger";
    OpRecord r;
    r.is_query = rng_.chance(0.25);
    r.begun = now_;
    r.op = {rng_.chance(0.2) ? 2u : 1u, s.who, s.next};
    if (s.next % 16 == 7) r.op.kind = 3;  // sets an alarm
    if (rng_.chance(0.05))
      call.deadline = now_ + static_cast<DurationNs>(rng_.between(5, 2000)) * kNsPerMs;
    if (!r.is_query) call.payload = Bytes::copy(&r.op, sizeof r.op);
    s.open[call.op_id] = records_.size();
    ++s.next;
    bool is_query = r.is_query;
    if (rng_.chance(0.03)) {
      uint64_t op = call.op_id, life = clients_[c].life;
      client::SessionHandle handle = s.handle;
      after(delay(p_.delay_mean_ns * 6), [this, c, op, life, handle] {
        if (clients_[c].engine == nullptr || clients_[c].life != life) return;
        if (clients_[c].engine->cancel(handle, op, now_)) hit("an operation was cancelled");
        drive_client(c);
      });
    }
    records_.push_back(r);
    if (is_query)
      clients_[c].engine->query(std::move(call), now_);
    else
      clients_[c].engine->submit(std::move(call), now_);
  }
}

void Cluster::end_op(uint32_t c, WorkSession& s, const client::Event& e) {
  auto it = s.open.find(e.op_id);
  if (it == s.open.end()) return fail("operation " + std::to_string(e.op_id) + " ended twice");
  OpRecord& r = records_[it->second];
  s.open.erase(it);
  r.ended = now_;
  r.outcome = e.outcome;
  if (e.status == RAFTCS_OK) {
    if (e.data.size() != 8 || e.app_code != 0) return fail("a reply that the ledger did not give");
    std::memcpy(&r.position, e.data.data(), 8);
  }
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
      uint64_t position = 0;
      if (e.data.size() == 8) std::memcpy(&position, e.data.data(), 8);
      if (e.op_id != s->pushes + 1)
        fail("pushes of session " + std::to_string(s->who) + " have a gap or a repeat");
      if (position <= s->last_push_position) fail("pushes out of order");
      s->pushes = e.op_id;
      s->last_push_position = position;
      ++report_.pushes;
      break;
    }
    case client::EventKind::closed:
      if (!s->closing || !s->open.empty()) return fail("a session closed with work outstanding");
      clients_[c].engine->forget(s->handle);
      s->closing = false;
      s->pushes = s->last_push_position = 0;
      open_session(c, *s);
      submit_more(c, *s);
      break;
    case client::EventKind::session_lost:
      if (s->closing) break;
      s->lost = true;
      if (clients_[c].mute) break;  // its timeout is short, and the faults are long
      fail("session " + std::to_string(s->who) + " was lost: " + e.text);
      break;
    default:
      break;
  }
}

void Cluster::drive_client(uint32_t c) {
  SimClient& client = clients_[c];
  if (client.engine == nullptr) return;
  client::Effects e = client.engine->take_effects(now_);
  while (!e.empty()) {
    for (const auto& open : e.open) open_link(c, open.link, open.endpoint);
    for (const auto& send : e.send) send_server(send.link, c, send.frame);
    for (client::LinkId link : e.close) kill_link(key_of(c, link), -1);
    for (const auto& event : e.events) on_event(c, event);
    e = client.engine->take_effects(now_);
  }
  Mono deadline = client.engine->next_deadline();
  if (deadline >= client.timer_at && client.timer_at > now_) return;
  client.timer_at = deadline;
  if (deadline == Mono::never()) return;
  at(deadline, [this, c, deadline] {
    if (clients_[c].engine == nullptr) return;
    if (clients_[c].timer_at == deadline) clients_[c].timer_at = Mono::never();
    clients_[c].engine->tick(now_);
    drive_client(c);
  });
}

}  // namespace raftcs::sim
