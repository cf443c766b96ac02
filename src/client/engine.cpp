// engine.cpp: the public face, the clockwork and the outputs. The rules are in the files
// that core.hpp names.
#include "client/engine.hpp"

#include "client/core.hpp"

namespace raftcs::client {

// --- clockwork ------------------------------------------------------------------------

SessionHandle Core::add(const SessionOptions& options) {
  RCS_CHECK(!options.endpoints.empty());
  auto s = std::make_unique<Session>();
  s->handle = static_cast<SessionHandle>(sessions_.size() + 1);
  s->options = options;
  s->cluster_id = options.cluster;
  s->backoff.configure(options.backoff_min_ns, options.backoff_max_ns);
  s->pause.configure(options.backoff_min_ns, options.backoff_max_ns);
  // Not everyone to the first (W-C15).
  s->route.turn = s->admin_turn = random_.below(options.endpoints.size());
  s->timeout_ms = options.session_timeout_ms;
  start_new(*s);
  sessions_.push_back(std::move(s));
  return sessions_.back()->handle;
}

void Core::mark(Session& s) {
  if (!s.dirty) dirty_.push_back(s.handle);
  s.dirty = true;
  arm(s);
}

void Core::tick(Mono now) {
  while (!timers_.empty() && timers_.top().at <= now) {
    const Timers::Entry e = timers_.pop();
    if (e.owner == Timers::Owner::session) {
      if (!has(e.id) || session(e.id).armed != e.at) continue;
      session(e.id).armed = Mono::never();
      on_session_timer(session(e.id), now);
      arm(session(e.id));
    } else {
      Link* link = links_.find(e.id);
      if (link == nullptr || link->armed != e.at) continue;
      link->armed = Mono::never();
      on_link_timer(*link, now);
    }
  }
}

Mono Core::next_deadline() {
  while (!timers_.empty()) {
    const Timers::Entry& e = timers_.top();
    Link* link = e.owner == Timers::Owner::link ? links_.find(e.id) : nullptr;
    const bool live = e.owner == Timers::Owner::session ? has(e.id) && session(e.id).armed == e.at
                                                        : link != nullptr && link->armed == e.at;
    if (live) return e.at;
    timers_.pop();
  }
  return Mono::never();
}

void Core::on_session_timer(Session& s, Mono now) {
  if (s.phase == Phase::closed) return;
  if (s.deadline_at <= now) expire_operations(s, now);
  if (s.close_until <= now) {
    finish_close(s, Fate::abandoned, now);
    return;
  }
  if (s.claim_until <= now) look_at_reserved(s, now);
  if (s.hold_until <= now) {
    s.hold_until = Mono::never();
    mark(s);
  }
  if (s.queries_hold_until <= now) {
    s.queries_hold_until = Mono::never();
    mark(s);
  }
  if (s.admins_at <= now) look_at_admins(s, now);
  if (s.phase == Phase::waiting && s.wake_at <= now) {
    begin_attempt(s, now);
  } else if ((s.phase == Phase::linking || s.phase == Phase::asking) && s.attempt_until <= now) {
    attempt_timed_out(s, now);
  } else if (s.bound() && s.stalled(now)) {
    leave(s, {}, Fate::abandoned, now);
  } else if (s.bound() && s.fetch_dropped_at() <= now) {
    fetch_dropped(s, now);
  } else if (s.bound()) {
    look_at_keep_alive(s, now);
  }
  if (!s.warned && !s.id.is_zero() && s.contact + s.risk_ns() <= now &&
      (s.searching() || s.bound()))
    warn(s);
}

void Core::on_link_timer(Link& link, Mono now) {
  if (link.users == 0 && link.idle_since + kLinkGraceNs <= now) {
    drop_link(link.id, true, now);
    return;
  }
  if (link.expected > 0) {
    const DurationNs silent = now - link.heard;
    if (silent >= link.silence_ns) {
      drop_link(link.id, true, now);
      return;
    }
    if (link.ready && !link.probed && silent >= link.silence_ns / 2) {
      link.probed = true;
      send(link, wire::TopologyRequest{});
    }
  }
  arm(link);
}

void Core::expire_operations(Session& s, Mono now) {
  Mono earliest = Mono::never();
  expire_commands(s, now, &earliest);
  expire_calls(s, now, &earliest);
  s.deadline_at = earliest;
}

// --- outputs ----------------------------------------------------------------------------

void Core::flush(Session& s, Mono now) {
  s.dirty = false;
  if (s.link == nullptr || !s.link->ready || s.closing) return;
  if (s.bound()) {
    flush_ack(s, now);
    flush_commands(s, now);
  }
  flush_queries(s, now);
}

Effects Core::take_effects(Mono now) {
  for (size_t i = 0; i < dirty_.size(); ++i) {
    if (!has(dirty_[i])) continue;
    Session& s = session(dirty_[i]);
    flush(s, now);
    arm(s);
  }
  dirty_.clear();
  if (topology_dirty_) tell_topology();
  for (LinkId id : dirty_links_) {
    Link* link = links_.find(id);
    if (link == nullptr) continue;
    link->dirty = false;
    for (Bytes& frame : link->frames.take()) effects_.send.push_back({id, std::move(frame)});
  }
  dirty_links_.clear();
  Effects out = std::move(effects_);
  effects_ = Effects{};
  return out;
}

// --- the public face --------------------------------------------------------------------

struct Engine::Impl : Core {
  using Core::Core;
};

Engine::Engine(const std::array<uint64_t, 4>& seed) : impl_(std::make_unique<Impl>(seed)) {}
Engine::~Engine() = default;

SessionHandle Engine::add(const SessionOptions& options) { return impl_->add(options); }

void Engine::open(SessionHandle h, Mono now) {
  if (impl_->has(h)) impl_->open(impl_->session(h), now);
}

Status Engine::resume(SessionHandle h, const Bytes& token, Mono now) {
  if (!impl_->has(h)) return Status(RAFTCS_ERR_BAD_HANDLE, "no such session");
  return impl_->resume(impl_->session(h), token, now);
}

void Engine::submit(Call call, Mono now) {
  if (!impl_->has(call.session)) return;
  Session& s = impl_->session(call.session);
  impl_->submit(s, std::move(call), now);
}

void Engine::query(Call call, Mono) {
  if (!impl_->has(call.session)) return;
  Session& s = impl_->session(call.session);
  impl_->query(s, std::move(call));
}

void Engine::admin(Call call, const std::string& endpoint, Mono now) {
  if (!impl_->has(call.session)) return;
  Session& s = impl_->session(call.session);
  impl_->admin(s, std::move(call), endpoint, now);
}

bool Engine::cancel(SessionHandle h, uint64_t op_id, Mono) {
  return impl_->has(h) && impl_->cancel(impl_->session(h), op_id);
}

void Engine::ack(SessionHandle h, uint32_t life, PushId up_to, Mono) {
  if (impl_->has(h)) impl_->ack(impl_->session(h), life, up_to);
}

void Engine::close(SessionHandle h, bool keep, Mono now) {
  if (impl_->has(h)) impl_->close(impl_->session(h), keep, now);
}

void Engine::forget(SessionHandle h) {
  if (impl_->has(h) && impl_->session(h).phase == Phase::closed) impl_->forget(h);
}

SessionInfo Engine::info(SessionHandle h) const {
  if (!impl_->has(h)) return {};
  const Session& s = impl_->session(h);
  SessionInfo info = s.counters;
  info.state = s.shown;
  info.session_id = s.id;
  if (s.cluster != nullptr) info.leader = s.cluster->leader.id;
  if (!s.id.is_zero()) info.session_timeout_ms = s.timeout_ms;
  info.trouble = s.trouble;
  info.malformed_frames = impl_->malformed;
  return info;
}

Result<Bytes> Engine::export_session(SessionHandle h) {
  if (!impl_->has(h)) return Status(RAFTCS_ERR_BAD_HANDLE, "no such session");
  return impl_->export_session(impl_->session(h));
}

void Engine::receive(LinkId link, const Bytes& frame, Mono now) {
  impl_->receive(link, frame, now);
}
void Engine::link_down(LinkId link, Mono now) { impl_->drop_link(link, false, now); }
void Engine::tick(Mono now) { impl_->tick(now); }
Mono Engine::next_deadline() const { return impl_->next_deadline(); }
Effects Engine::take_effects(Mono now) { return impl_->take_effects(now); }
uint64_t Engine::malformed_frames() const { return impl_->malformed; }

}  // namespace raftcs::client
