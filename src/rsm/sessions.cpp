// sessions.cpp: the session table; see sessions.hpp for what must hold.
#include "rsm/sessions.hpp"

#include <algorithm>

#include "base/check.hpp"

namespace raftcs::rsm {
namespace {

bool has_nul(const std::string& s) { return s.find('\0') != std::string::npos; }

}  // namespace

std::string refusal_of(const CreateSession& op) {
  if (op.id.is_zero() || op.proof.is_zero()) return "a session needs an id and a proof";
  if (op.timeout_ms == 0) return "a session needs a timeout";
  if (op.timeout_ms > kTimeoutMsMax) return "the session timeout is over 366 days";
  if (op.capabilities.size() > kCapabilitiesMax) return "more than 64 capabilities";
  const std::string* before = nullptr;
  for (const auto& [name, value] : op.capabilities) {
    if (name.empty()) return "a capability needs a name";
    if (name.size() > kCapabilityBytesMax || value.size() > kCapabilityBytesMax)
      return "a capability is longer than 4096 bytes";
    // State machines get them as C strings.
    if (has_nul(name) || has_nul(value)) return "a capability contains a zero byte";
    if (before != nullptr && !(*before < name)) return "capabilities are not in order";
    before = &name;
  }
  return {};
}

bool Session::silent_at(LogTime now) const {
  return now - last_active >= static_cast<int64_t>(timeout_ms) * kNsPerMs;
}

bool Session::has_capability(std::string_view name, const char* value) const {
  for (const auto& [n, v] : capabilities)
    if (n == name) return value == nullptr || v == value;
  return false;
}

void Session::acknowledge(PushId up_to) {
  while (acked_push < up_to && !pushes.empty()) {
    push_bytes -= pushes[0].payload.size();
    pushes.pop_front();
    ++acked_push;
  }
}

SessionInfo Session::info() const {
  SessionInfo i;
  i.num = num;
  i.id = id;
  i.proof = proof;
  i.holder = holder;
  i.timeout_ms = timeout_ms;
  i.created = created;
  i.last_active = last_active;
  i.connected = connected;
  i.highest_request = highest_request;
  i.last_push = last_push();
  i.acked_push = acked_push;
  i.replies_cached = replies.count();
  i.capabilities = capabilities;
  return i;
}

Session* SessionTable::find_by_proof(const Uuid& proof) const {
  const auto it = by_proof_.find(proof);
  return it == by_proof_.end() ? nullptr : find(it->second);
}

Session* SessionTable::create(std::unique_ptr<Session> session) {
  session->num = next_;
  ++next_;
  Session* raw = session.get();
  RCS_CHECK(insert(std::move(session)));
  return raw;
}

bool SessionTable::insert(std::unique_ptr<Session> session) {
  const SessionNum num = session->num;
  if (!num || find(num) != nullptr || by_id_.count(session->id) != 0 ||
      by_proof_.count(session->proof) != 0)
    return false;
  by_id_.emplace(session->id, num);
  by_proof_.emplace(session->proof, num);
  if (!ordered_.empty() && ordered_.back()->num < num)
    ordered_.push_back(session.get());
  else
    ordered_.clear();
  sessions_.insert(num.value, std::move(session));
  return true;
}

std::unique_ptr<Session> SessionTable::remove(SessionNum num) {
  std::unique_ptr<Session> session = sessions_.take(num.value);
  if (session != nullptr) {
    by_id_.erase(session->id);
    by_proof_.erase(session->proof);
    ordered_.clear();
  }
  return session;
}

const Session* SessionTable::next_after(SessionNum after) {
  if (ordered_.empty()) ordered_ = sessions_.sorted();
  const auto it = std::upper_bound(ordered_.begin(), ordered_.end(), after,
                                   [](SessionNum n, const Session* s) { return n < s->num; });
  return it == ordered_.end() ? nullptr : *it;
}

}  // namespace raftcs::rsm
