// opening.cpp: how sessions begin, go on and change hands.
//
// Create goes through the log and is answered when applied; continue is answered from the mirror
// (SES-08). A process that resumed from a token takes the session over: that goes through the log
// too, because every later leader must know who holds it (decision 0021).
//
// What must hold
//  - A session is bound to one channel at most; who had it before is told taken_over.
//  - Nothing late takes a session back: neither a message of an older holder (its holder is
//  refused)
//    nor an earlier attempt of the same one (its nonce is lower than the one that was bound).
//  - Only a leader in contact with a majority binds: one that was asleep would keep a client
//  waiting.
#include <algorithm>

#include "server/node_impl.hpp"

namespace raftcs::server {
namespace {

constexpr uint64_t kOpeningRetryMs = 20;   // somebody else leads soon
constexpr uint64_t kRetryLimitMs = 1'000;  // sessions must end before there is room
constexpr uint64_t kDefaultSessionTimeoutMs = 10'000;

bool is_name_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '-' || c == '.';
}

// Requires: sorted.
bool good_capabilities(const std::vector<std::pair<std::string, std::string>>& capabilities) {
  if (capabilities.empty()) return false;
  const auto twice = std::adjacent_find(capabilities.begin(), capabilities.end(),
                                        [](auto& a, auto& b) { return a.first == b.first; });
  if (twice != capabilities.end()) return false;
  for (const auto& [name, value] : capabilities) {
    if (name.empty() || value.empty() || name.size() > wire::kCapabilityBytesMax ||
        value.size() > wire::kCapabilityBytesMax)
      return false;
    if (!std::all_of(name.begin(), name.end(), is_name_char)) return false;
    if (value.find('\0') != std::string::npos) return false;
  }
  return true;
}

}  // namespace

void Node::Impl::reject_taken(Connection& c, wire::Channel channel, uint64_t nonce,
                              HolderId holder) {
  wire::SessionRejected m;
  m.channel = channel;
  m.nonce = nonce;
  m.reason = wire::RejectReason::taken_over;
  m.text = "a newer holder or a newer attempt has the session";
  m.holder = holder;
  send(c, m);
}

// --- create -------------------------------------------------------------------------------

void Node::Impl::on_message(Connection& c, wire::CreateSession&& m, Mono now) {
  using wire::RejectReason;
  if (c.foreign)
    return reject(c, m.channel, m.nonce, RejectReason::wrong_cluster,
                  "this server belongs to cluster " + identity_.cluster.hex());
  if (!serving())
    return reject(c, m.channel, m.nonce, RejectReason::not_leader, "this server does not lead");
  if (stopping_ || (draining_ && best_successor(nullptr)))
    return reject(c, m.channel, m.nonce, RejectReason::draining,
                  "the server hands leadership over; ask again soon", kOpeningRetryMs);
  if (m.nonce == 0 || m.proof.is_zero())
    return reject(c, m.channel, m.nonce, RejectReason::invalid, "nonce and proof must not be zero");
  std::sort(m.capabilities.begin(), m.capabilities.end());
  if (!good_capabilities(m.capabilities))
    return reject(c, m.channel, m.nonce, RejectReason::invalid,
                  "capabilities need at least one name=value, each name once; names are letters, "
                  "digits, '_', '-', '.'; both have 1 to 255 bytes");
  if (auto it = by_proof_.find(m.proof); it != by_proof_.end())
    return create_known(c, m, sessions_.at(it->second), now);
  if (auto pending = creates_.find(m.proof); pending != creates_.end()) {
    if (m.nonce >= pending->second.nonce) pending->second = {c.id, m.channel, m.nonce};
    return;
  }
  if (sessions_.size() + creates_.size() >= options_.sessions_max) {
    ++counters_.sessions_limit;
    return reject(c, m.channel, m.nonce, RejectReason::limit,
                  "the cluster has as many sessions as limits.sessions allows", kRetryLimitMs);
  }
  const Decision admitted = admission_.session(creates_.size(), now);
  if (!admitted.accepted())
    return reject(c, m.channel, m.nonce, RejectReason::overloaded,
                  admitted.verdict == Verdict::rate
                      ? "more sessions are opened than limits.sessions_per_second"
                      : "the cluster is overloaded: no new sessions at the moment",
                  admitted.retry_after_ms);
  rsm::CreateSession op;
  op.id = environment_.random->uuid();
  op.proof = m.proof;
  uint64_t wished = m.timeout_ms == 0 ? kDefaultSessionTimeoutMs : m.timeout_ms;
  op.timeout_ms =
      std::clamp(wished, options_.session_timeout_ms_min, options_.session_timeout_ms_max);
  op.capabilities = std::move(m.capabilities);
  creates_[m.proof] = {c.id, m.channel, m.nonce};
  batch_.add(std::move(op));
  count_op();
}

// Asked again after a lost answer (SES-16); or a late copy, when its sender has gone on since.
void Node::Impl::create_known(Connection& c, const wire::CreateSession& m, Session& s, Mono now) {
  if (!raft_.has_quorum_contact(now))
    return reject(c, m.channel, m.nonce, wire::RejectReason::not_leader, "leadership is in doubt");
  if (s.holder || m.nonce < s.nonce) return reject_taken(c, m.channel, m.nonce, s.holder);
  s.nonce = m.nonce;
  bind(c, m.channel, s, PushId(), now);
  send(c, wire::SessionCreated{m.channel, m.nonce, s.id, s.timeout_ms});
}

void Node::Impl::session_started(const rsm::SessionStarted& started, Mono now) {
  auto pending = creates_.find(started.proof);
  std::optional<PendingCreate> waiting;
  if (pending != creates_.end()) {
    waiting = pending->second;
    creates_.erase(pending);
  }
  auto conn = waiting ? connections_.find(waiting->conn) : connections_.end();
  if (!started.num) {
    if (conn != connections_.end())
      reject(conn->second, waiting->channel, waiting->nonce, wire::RejectReason::limit,
             started.refused);
    return;
  }
  Session& s = mirror(started.num, started.id, started.proof, started.timeout_ms);
  s.last_heard = s.last_logged = now;  // its entry is as young as that
  watch(s, now);
  if (conn == connections_.end()) return;
  s.nonce = waiting->nonce;
  bind(conn->second, waiting->channel, s, PushId(), now);
  send(conn->second, wire::SessionCreated{waiting->channel, waiting->nonce, s.id, s.timeout_ms});
}

// --- continue -----------------------------------------------------------------------------

void Node::Impl::on_message(Connection& c, wire::ContinueSession&& m, Mono now) {
  using wire::RejectReason;
  if (c.foreign)
    return reject(c, m.channel, m.nonce, RejectReason::wrong_cluster,
                  "this server belongs to cluster " + identity_.cluster.hex());
  if (!serving())
    return reject(c, m.channel, m.nonce, RejectReason::not_leader, "this server does not lead");
  if (m.nonce == 0)
    return reject(c, m.channel, m.nonce, RejectReason::invalid, "nonce must not be zero");
  // A leader that was cut off or asleep may not know what others have done since.
  if (!raft_.has_quorum_contact(now))
    return reject(c, m.channel, m.nonce, RejectReason::not_leader, "leadership is in doubt");
  continue_session(c, m, false, now);
}

// sure: everything committed when the question came has been applied here.
void Node::Impl::continue_session(Connection& c, const wire::ContinueSession& m, bool sure,
                                  Mono now) {
  using wire::RejectReason;
  auto it = by_id_.find(m.session);
  if (it == by_id_.end() && !sure) return ask_first(c, m);
  if (it == by_id_.end())
    return reject(c, m.channel, m.nonce, RejectReason::session_expired,
                  "the cluster has no such session");
  Session& s = sessions_.at(it->second);
  if (s.proof != m.proof)
    return reject(c, m.channel, m.nonce, RejectReason::wrong_proof,
                  "the proof is not this session's");
  if (m.holder != s.holder) return take_over(c, m, s);
  if (m.nonce < s.nonce) return reject_taken(c, m.channel, m.nonce, s.holder);
  s.nonce = m.nonce;
  bind(c, m.channel, s, m.received_push, now);
  send(c, wire::SessionContinued{m.channel, m.nonce, s.timeout_ms, s.highest_request});
}

// --- taking over --------------------------------------------------------------------------

void Node::Impl::take_over(Connection& c, const wire::ContinueSession& m, Session& s) {
  auto pending = takeovers_.find(s.num);
  const HolderId newest = pending != takeovers_.end() ? pending->second.holder : s.holder;
  const bool again = pending != takeovers_.end() && m.holder == newest;
  if (!again && !supersedes(m.holder, newest)) return reject_taken(c, m.channel, m.nonce, newest);
  if (again && m.nonce < pending->second.nonce) return reject_taken(c, m.channel, m.nonce, newest);
  if (!again) {
    refuse_takeover(s, wire::RejectReason::taken_over, "a newer holder takes the session");
    batch_.add(rsm::TakeOver{s.num, m.holder});
    count_op();
  }
  takeovers_[s.num] = {c.id, m.channel, m.nonce, m.holder, m.received_push};
}

void Node::Impl::session_taken(const rsm::TakenOver& taken, Mono now) {
  auto it = sessions_.find(taken.session);
  if (it == sessions_.end()) return;
  Session& s = it->second;
  if (s.holder != taken.holder) {
    drop_binding(s, wire::CloseReason::taken_over);
    s.nonce = 0;
    s.holder = taken.holder;
  }
  auto pending = takeovers_.find(s.num);
  // One that waits for an entry further behind is answered by that.
  if (pending == takeovers_.end() || supersedes(pending->second.holder, s.holder)) return;
  const PendingTakeover waiting = pending->second;
  takeovers_.erase(pending);
  auto conn = connections_.find(waiting.conn);
  if (conn == connections_.end()) return;
  if (waiting.holder != s.holder)
    return reject_taken(conn->second, waiting.channel, waiting.nonce, s.holder);
  s.nonce = waiting.nonce;
  bind(conn->second, waiting.channel, s, waiting.received_push, now);
  send(conn->second,
       wire::SessionContinued{waiting.channel, waiting.nonce, s.timeout_ms, s.highest_request});
}

void Node::Impl::refuse_takeover(Session& s, wire::RejectReason reason, const char* text) {
  auto it = takeovers_.find(s.num);
  if (it == takeovers_.end()) return;
  const PendingTakeover waiting = it->second;
  takeovers_.erase(it);
  auto conn = connections_.find(waiting.conn);
  if (conn == connections_.end()) return;
  if (reason == wire::RejectReason::taken_over)
    return reject_taken(conn->second, waiting.channel, waiting.nonce, s.holder);
  reject(conn->second, waiting.channel, waiting.nonce, reason, text);
}

void Node::Impl::refuse_takeovers() {
  for (const auto& [num, waiting] : std::exchange(takeovers_, {})) {
    auto conn = connections_.find(waiting.conn);
    if (conn != connections_.end())
      reject(conn->second, waiting.channel, waiting.nonce, wire::RejectReason::not_leader,
             "leadership was lost");
  }
}

}  // namespace raftcs::server
