// telling.cpp: what callers are told of a session: its state, the search for a server, topology.
//
// A state event carries the state as a number, why the session is not connected as a status with a
// sentence, and the particulars as JSON (CLI-02, CLI-13). Attempts are told when they are a power
// of two, so that a cluster that is away for days fills no queue.
#include "client/core.hpp"
#include "client/json.hpp"

namespace raftcs::client {
namespace {

const char* name_of(SessionState state) {
  switch (state) {
    case SessionState::disconnected:
      return "disconnected";
    case SessionState::connecting_new:
      return "connecting_new";
    case SessionState::connecting_existing:
      return "connecting_existing";
    case SessionState::connected:
      return "connected";
  }
  return "";
}

}  // namespace

Event& Core::emit(const Session& s, EventKind kind) {
  Event& e = effects_.events.emplace_back();
  e.session = s.handle;
  e.kind = kind;
  return e;
}

void Core::set_state(Session& s, SessionState state) {
  if (s.shown == state) return;
  s.shown = state;
  tell_state(s);
}

Event& Core::tell_state(Session& s) {
  const bool connected = s.shown == SessionState::connected;
  const bool none = s.shown == SessionState::disconnected;
  std::string json = "{\"state\":\"" + std::string(name_of(s.shown)) + "\",\"endpoint\":";
  append_json_text(&json, none ? std::string() : s.route.last);
  json += ",\"attempt\":" + std::to_string(s.attempt);
  json += ",\"session\":\"" + (s.id.is_zero() ? std::string() : s.id.hex()) + "\"";
  if (connected) json += ",\"session_timeout_ms\":" + std::to_string(s.timeout_ms);
  json += s.warned ? ",\"at_risk\":true}" : ",\"at_risk\":false}";
  Event& e = emit(s, EventKind::state);
  e.app_code = static_cast<int32_t>(s.shown);
  if (!connected && !none) {
    e.status = s.trouble;
    e.text = s.trouble_text;
  }
  e.data = Bytes::adopt(std::move(json));
  return e;
}

// Most of the session's time is over since the cluster was last heard of (KAL-08).
void Core::warn(Session& s) {
  s.warned = true;
  Event& e = tell_state(s);
  if (e.status != RAFTCS_OK) return;
  e.status = RAFTCS_ERR_UNREACHABLE;
  e.text = s.route.last + " has not answered for most of the session's timeout";
}

void Core::tell_topology() {
  topology_dirty_ = false;
  for (auto& s : sessions_) {
    if (!s || !s->bound() || s->cluster == nullptr) continue;
    if (s->topology_told == s->cluster->version) continue;
    s->topology_told = s->cluster->version;
    emit(*s, EventKind::topology).data = s->cluster->json();
  }
}

// Why an operation has no answer yet.
std::string Core::late_text(const Session& s) const {
  std::string text = "the deadline has passed; ";
  if (s.bound()) return text + "no answer came from " + s.route.last;
  if (s.phase == Phase::idle) return text + "the client was never opened";
  if (s.trouble != RAFTCS_OK) return text + s.trouble_text;
  return text + "no session with the cluster was established in time";
}

}  // namespace raftcs::client
