// session_ops.cpp: every operation but commands.
//
// What each does when its subject is unknown is part of the contract: closing, touching,
// acknowledging or expiring a session that is gone has no effect, leaves nothing behind
// and calls no hook (T-M22). Pushes to a session that is ending go nowhere: it has left
// the table when its hooks run (W-M8).
#include "rsm/applier.hpp"

namespace raftcs::rsm {

Status Applier::on(const CreateSession& op, uint64_t* outcome) {
  SessionStarted started;
  started.id = op.id;
  started.proof = op.proof;
  started.timeout_ms = op.timeout_ms;
  if (Session* known = s_.sessions.find_by_proof(op.proof);
      known != nullptr && !op.proof.is_zero()) {  // SE-08: asked again, or asked twice
    known->last_active = now_;
    started.num = known->num;
    started.id = known->id;
    started.timeout_ms = known->timeout_ms;
    started.existed = true;
    *outcome = known->num.value;
    out_->sessions_started.push_back(std::move(started));
    return Status::ok();
  }
  started.refused = refusal_of(op);
  if (started.refused.empty() && s_.sessions.has_id(op.id))
    started.refused = "another session has this id";
  if (started.refused.empty() && s_.sessions.size() >= s_.limits.sessions_max)
    started.refused = "the cluster has as many sessions as it allows";
  if (!started.refused.empty()) {
    out_->sessions_started.push_back(std::move(started));
    return Status::ok();
  }
  auto fresh = std::make_unique<Session>();
  fresh->id = op.id;
  fresh->proof = op.proof;
  fresh->timeout_ms = op.timeout_ms;
  fresh->created = now_;
  fresh->last_active = now_;
  fresh->capabilities = op.capabilities;
  const Session* session = s_.sessions.create(std::move(fresh));
  started.num = session->num;
  *outcome = session->num.value;
  for (const auto& service : s_.services)
    RCS_TRY(session_hook(service.get(), "session_started", service->type->session_started, *session,
                         0));
  out_->sessions_started.push_back(std::move(started));
  return Status::ok();
}

Status Applier::end_session(SessionNum num, int32_t reason) {
  const std::unique_ptr<Session> session = s_.sessions.remove(num);
  for (const auto& service : s_.services)
    RCS_TRY(session_hook(service.get(), "session_ended", service->type->session_ended, *session,
                         reason));
  out_->sessions_ended.push_back({num, reason});
  return Status::ok();
}

Status Applier::on(const CloseSession& op, uint64_t* outcome) {
  if (s_.sessions.find(op.session) == nullptr) return Status::ok();
  *outcome = 1;
  return end_session(op.session, RAFTCS_SESSION_END_CLOSED);
}

Status Applier::on(const Acknowledge& op, uint64_t* outcome) {
  Session* session = s_.sessions.find(op.session);
  if (session == nullptr) return Status::ok();
  session->last_active = now_;
  session->acknowledge(op.up_to);
  *outcome = session->acked_push.value;
  return Status::ok();
}

Status Applier::on(const Touch& op, uint64_t* outcome) {
  for (SessionNum num : op.sessions) {
    Session* session = s_.sessions.find(num);
    if (session == nullptr) continue;
    session->last_active = now_;
    ++*outcome;
  }
  return Status::ok();
}

Status Applier::on(const Expire& op, uint64_t* outcome) {
  for (SessionNum num : op.sessions) {
    const Session* session = s_.sessions.find(num);
    if (session == nullptr || !session->silent_at(now_)) continue;  // D5, SE-03
    RCS_TRY(end_session(num, RAFTCS_SESSION_END_EXPIRED));
    *outcome = mix(*outcome, num.value);
  }
  return Status::ok();
}

Status Applier::on(const CreateService& op, uint64_t* outcome) {
  ServiceCreated created;
  created.name = op.name;
  created.type = op.type;
  const Service* taken = nullptr;
  for (const auto& s : s_.services)
    if (s->name == op.name) taken = s.get();
  if (taken != nullptr && taken->type_id == op.type) {  // asked again
    created.num = taken->num;
    created.existed = true;
  } else if (taken != nullptr) {
    created.refused = "service '" + op.name + "' exists and is of type '" + taken->type_id + "'";
  } else if (!is_service_name(op.name)) {
    created.refused = "a service's name is 1 to 128 of A-Z a-z 0-9 . - _";
  } else if (!is_type_id(op.type)) {
    created.refused = "a type's id is 1 to 128 of a-z 0-9 . - _";
  } else if (s_.services.size() >= kServicesMax) {
    created.refused = "the cluster has as many services as it allows";
  }
  if (created.refused.empty() && !created.existed) {
    RCS_ASSIGN(service, open_service(types_, op.name, op.type, op.apply_version));
    service->num = ServiceNum(s_.services.size() + 1);
    created.num = service->num;
    s_.services.push_back(service);
    // Beginning and end come in pairs for every service: it hears of those already there.
    for (const Session* session : s_.sessions.sorted())
      RCS_TRY(session_hook(service.get(), "session_started", service->type->session_started,
                           *session, 0));
  }
  *outcome = created.num.value;
  out_->services_created.push_back(std::move(created));
  return Status::ok();
}

// A timer runs once at an entry, and only when the entry's time has reached what the state
// machine wanted: the proposal alone decides nothing.
Status Applier::on(const Tick&, uint64_t* outcome) {
  ++out_->ticks;
  for (const auto& service : s_.services) {
    RCS_ASSIGN(due, timer_is_due(*service));
    if (!due) continue;
    RCS_TRY(run_timer(service.get()));
    *outcome = mix(*outcome, service->num.value);
  }
  return Status::ok();
}

Status Applier::on(const Presence& op, uint64_t* outcome) {
  for (SessionNum num : op.connected) RCS_TRY(set_connected(num, true, outcome));
  for (SessionNum num : op.gone) RCS_TRY(set_connected(num, false, outcome));
  return Status::ok();
}

Status Applier::set_connected(SessionNum num, bool connected, uint64_t* outcome) {
  Session* session = s_.sessions.find(num);
  if (session == nullptr || session->connected == connected) return Status::ok();
  session->connected = connected;
  *outcome = mix(*outcome, num.value);
  for (const auto& service : s_.services) {
    const auto hook = function_of(*service->type, &raftcs_sm_type_t::session_presence);
    RCS_TRY(session_hook(service.get(), "session_presence", hook, *session, 0));
  }
  out_->presence.push_back({num, connected});
  return Status::ok();
}

Status Applier::on(const RaiseVersion& op, uint64_t* outcome) {
  Service* service = s_.service(op.service);
  if (service == nullptr || op.apply_version <= service->apply_version) return Status::ok();
  RCS_TRY(check_version(*service->type, service->name, op.apply_version));
  service->apply_version = op.apply_version;
  *outcome = op.apply_version;
  return Status::ok();
}

Status Applier::on(const TakeOver& op, uint64_t* outcome) {
  Session* session = s_.sessions.find(op.session);
  if (session == nullptr) return Status::ok();
  if (supersedes(op.holder, session->holder)) {
    session->holder = op.holder;
    session->last_active = now_;
  }
  *outcome = session->holder.value;
  out_->takeovers.push_back({session->num, session->holder});
  return Status::ok();
}

}  // namespace raftcs::rsm
