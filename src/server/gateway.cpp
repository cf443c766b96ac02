// gateway.cpp: what clients send and what they are answered (sessions begin in opening.cpp).
//
// Everything here is routing: a session's number is looked up by connection and channel, a
// command is copied once into the batch under construction, and replies find their way back
// by the session's present binding. What decides about exactly-once is the replicated machine
// (rsm/machine.hpp), never this file.
#include <algorithm>

#include "server/node_impl.hpp"

namespace raftcs::server {
namespace {

constexpr DurationNs kTouchSoonNs = 50 * kNsPerMs;  // who was found by a new leader
constexpr uint64_t kRetrySoonMs = 20;  // an election or the first apply is under way
constexpr size_t kAdminCallsPerTurn = 64;

const char* busy_text(Verdict verdict) {
  switch (verdict) {
    case Verdict::share:
      return "the cluster is overloaded and the session has its share of it under way";
    case Verdict::rate:
      return "the session sends more than limits.commands_per_second";
    case Verdict::window:
      return "the session has limits.requests_per_session requests under way";
    case Verdict::full:
    case Verdict::accepted:
      break;
  }
  return "the cluster is overloaded: it has as much accepted work as it gets done in time";
}

Admission::Asker asker_of(const QueryItem& item) {
  return item.session ? Admission::asker(item.session) : Admission::asker_of_connection(item.conn);
}

}  // namespace

// --- connections and bindings -----------------------------------------------------------

Connection& Node::Impl::connection(net::ConnId id) {
  Connection& c = connections_[id];
  c.id = id;
  return c;
}

void Node::Impl::mark_dirty(Connection& c) {
  if (c.dirty) return;
  c.dirty = true;
  dirty_.push_back(c.id);
}

void Node::Impl::send(Connection& c, const wire::ServerMessage& message) {
  c.out.add(message);
  mark_dirty(c);
}

void Node::Impl::reject(Connection& c, wire::Channel channel, uint64_t nonce,
                        wire::RejectReason reason, const std::string& text,
                        uint64_t retry_after_ms) {
  wire::SessionRejected m;
  m.channel = channel;
  m.nonce = nonce;
  m.reason = reason;
  m.text = text;
  if (reason == wire::RejectReason::not_leader) {
    m.leader = leader_hint();
    if (!m.leader.id) m.retry_after_ms = kRetrySoonMs;
  }
  if (retry_after_ms != 0) m.retry_after_ms = retry_after_ms;
  send(c, m);
}

Session* Node::Impl::session_of(Connection& c, wire::Channel channel) {
  auto it = c.channels.find(channel);
  if (it != c.channels.end()) return it->second;
  wire::SessionClosed m;
  m.channel = channel;
  m.reason = serving() ? wire::CloseReason::session_error : wire::CloseReason::not_leader;
  m.leader = leader_hint();
  send(c, m);
  return nullptr;
}

void Node::Impl::bind(Connection& c, wire::Channel channel, Session& s, PushId received, Mono now) {
  if (auto it = c.channels.find(channel); it != c.channels.end() && it->second != &s)
    unbind(*it->second);
  if (!(s.conn == c.id && s.channel == channel)) drop_binding(s, wire::CloseReason::taken_over);
  s.bound = true;
  s.conn = c.id;
  s.channel = channel;
  s.epoch = ++epochs_;
  s.inflight = 0;
  begin_pushes(s, received);
  s.closing = false;
  c.channels[channel] = &s;
  // One that was forgotten while nothing was said on it: its client has greeted, and waits for
  // news.
  if (!std::exchange(c.greeted, true)) send(c, wire::Topology{leader_hint(), member_infos()});
  heard_of(s, now);
  fetch_pushes(s);
}

// Tells the channel why, if there is one.
void Node::Impl::drop_binding(Session& s, wire::CloseReason reason) {
  if (!s.bound) return;
  if (auto old = connections_.find(s.conn); old != connections_.end()) {
    wire::SessionClosed m;
    m.channel = s.channel;
    m.reason = reason;
    send(old->second, m);
  }
  unbind(s);
}

void Node::Impl::unbind(Session& s) {
  if (!s.bound) return;
  s.bound = false;
  if (auto it = connections_.find(s.conn); it != connections_.end())
    it->second.channels.erase(s.channel);
}

void Node::Impl::heard_of(Session& s, Mono now) {
  s.last_heard = now;
  if (s.last_logged < serving_since_) touch_at_ = std::min(touch_at_, now + kTouchSoonNs);
  if (s.heard) return;
  s.heard = true;
  heard_.push_back(&s);
}

void Node::Impl::close_all(wire::CloseReason reason) {
  wire::SessionClosed m;
  m.reason = reason;
  m.leader = leader_hint();
  for (auto& [id, c] : connections_) {
    for (auto& [channel, s] : c.channels) {
      m.channel = channel;
      c.out.add(wire::ServerMessage(m));
      mark_dirty(c);
      s->bound = false;
    }
    c.channels.clear();
  }
}

// --- messages -------------------------------------------------------------------------------

void Node::Impl::on_message(Connection& c, wire::Hello&& m, Mono) {
  wire::Welcome w;
  uint32_t high = std::min(m.version_max, wire::kVersionMax);
  w.version = high >= std::max(m.version_min, wire::kVersionMin) ? high : 0;
  w.version_min = wire::kVersionMin;
  w.version_max = wire::kVersionMax;
  w.cluster = identity_.cluster;
  w.node = identity_.node;
  w.leader = leader_hint();
  w.members = member_infos();
  w.payload_bytes_max = options_.payload_bytes_max;
  w.requests_max = options_.requests_per_session_max;
  w.session_timeout_ms_min = options_.session_timeout_ms_min;
  w.session_timeout_ms_max = options_.session_timeout_ms_max;
  c.greeted = true;
  c.foreign = !m.cluster.is_zero() && m.cluster != identity_.cluster;
  send(c, w);
}

void Node::Impl::on_message(Connection& c, wire::KeepAlive&& m, Mono now) {
  Session* s = session_of(c, m.channel);
  if (s == nullptr) return;
  heard_of(*s, now);
  // Only a leader that knows itself followed vouches for the session (KAL-13).
  if (raft_.has_quorum_contact(now)) send(c, wire::KeepAliveReply{m.channel, m.timestamp});
}

void Node::Impl::on_message(Connection& c, wire::Request&& m, Mono now) {
  Session* s = session_of(c, m.channel);
  if (s == nullptr) return;
  heard_of(*s, now);
  ++counters_.requests;
  auto refuse = [&](raftcs_status_t status, uint64_t retry_after_ms, const char* text) {
    send(c, wire::RequestError{m.channel, m.id, status, retry_after_ms, text});
  };
  if (m.payload.size() > options_.payload_bytes_max) {
    ++counters_.too_large;
    return refuse(RAFTCS_ERR_TOO_LARGE, 0, "the command is larger than limits.payload_bytes");
  }
  auto service = services_.find(m.service);
  if (service == services_.end())
    return refuse(RAFTCS_ERR_NOT_FOUND, 0, "no service has this name; see: raftcs service list");
  const Decision admitted =
      admission_.command(Admission::asker(s->num), s->inflight, m.payload.size(), now);
  if (!admitted.accepted())
    return refuse(RAFTCS_ERR_BUSY, admitted.retry_after_ms, busy_text(admitted.verdict));
  ++s->inflight;
  s->last_logged = now;
  batch_.add_command(s->num, m.id, m.lowest_pending, service->second.num, m.payload.data(),
                     m.payload.size());
  count_op();
}

void Node::Impl::count_op() {
  ++batch_commands_;
  if (batch_.size() >= options_.batch_bytes_max || batch_commands_ >= options_.batch_commands_max)
    seal_batch();
}

void Node::Impl::on_message(Connection& c, wire::Query&& m, Mono now) {
  ++counters_.queries;
  QueryItem item;
  item.conn = c.id;
  item.channel = m.channel;
  item.correlation = m.correlation;
  item.payload = m.payload;
  if (auto it = c.channels.find(m.channel); it != c.channels.end()) {
    item.session = it->second->num;
    heard_of(*it->second, now);
  }
  bool stale = m.consistency == wire::Consistency::stale;
  if ((!stale || !failed_.is_ok()) && !serving())
    return query_failed(item, leader_ ? RAFTCS_ERR_NOT_LEADER : RAFTCS_ERR_NO_LEADER);
  // A binding that this server has lost: without a word the client would take the session for well.
  if (m.channel != 0 && !item.session && serving()) return void(session_of(c, m.channel));
  if (!standstill().is_ok()) return query_failed(item, who_may_answer_instead());
  auto service = services_.find(m.service);
  if (service == services_.end())
    return query_failed(item, applied_ < snapshot_index_ ? RAFTCS_ERR_NO_LEADER  // to be restored
                                                         : RAFTCS_ERR_NOT_FOUND);
  if (m.payload.size() > options_.payload_bytes_max) {
    ++counters_.too_large;
    return query_failed(item, RAFTCS_ERR_TOO_LARGE);
  }
  const Decision admitted = admission_.query(asker_of(item), m.payload.size(), now);
  if (!admitted.accepted()) return query_failed(item, RAFTCS_ERR_BUSY, admitted.retry_after_ms);
  item.since = now;
  item.service = service->second.num;
  if (stale)
    out_.apply.push_back(ApplyQueries{{std::move(item)}});
  else
    reads_.push_back(std::move(item));
}

// This node's state machine stands. Only where there is no other node that is the last word.
raftcs_status_t Node::Impl::who_may_answer_instead() const {
  if (leader_ && leader_ != identity_.node) return RAFTCS_ERR_NOT_LEADER;
  return best_successor(nullptr) ? RAFTCS_ERR_NO_LEADER : RAFTCS_ERR_PLUGIN_FAILED;
}

void Node::Impl::on_message(Connection& c, wire::CloseSession&& m, Mono now) {
  Session* s = session_of(c, m.channel);
  if (s == nullptr || std::exchange(s->closing, true)) return;
  write_acks(now);  // behind the close they would find the session gone
  batch_.add(rsm::CloseSession{s->num});
  count_op();
}

void Node::Impl::on_message(Connection& c, wire::Admin&& m, Mono now) {
  if (++admin_calls_ > kAdminCallsPerTurn) {
    ++counters_.admin_busy;
    return admin_reply({false, c.id, m.correlation},
                       {RAFTCS_ERR_BUSY, "too many administration calls at once"}, {});
  }
  admin({false, c.id, m.correlation}, m.verb, m.args, now);
}

void Node::Impl::on_message(Connection& c, wire::TopologyRequest&&, Mono) {
  send(c, wire::Topology{leader_hint(), member_infos()});
}

// --- answers --------------------------------------------------------------------------------

void Node::Impl::answer_replies(std::vector<rsm::Reply>& replies) {
  for (rsm::Reply& r : replies) {
    auto it = sessions_.find(r.session);
    if (it == sessions_.end()) continue;
    Session& s = it->second;
    if (r.kind == rsm::ReplyKind::applied) s.highest_request = std::max(s.highest_request, r.id);
    if (!s.bound) continue;
    auto conn = connections_.find(s.conn);
    if (conn == connections_.end()) continue;
    Connection& c = conn->second;
    if (s.inflight > 0) --s.inflight;
    ++counters_.replies;
    mark_dirty(c);
    wire::RequestError error{s.channel, r.id, RAFTCS_OK, 0, {}};
    switch (r.kind) {
      case rsm::ReplyKind::applied:
      case rsm::ReplyKind::duplicate:
        c.out.add_response(s.channel, r.id, r.app_code, r.data.data(), r.data.size(), r.index);
        continue;
      case rsm::ReplyKind::evicted:
        error.status = RAFTCS_ERR_EVICTED;
        error.text = "the reply was given up as collected; the command is not run again";
        break;
      case rsm::ReplyKind::unknown_session:
        error.status = RAFTCS_ERR_SESSION_EXPIRED;
        error.text = "the session had ended before the command";
        break;
      case rsm::ReplyKind::misuse:
        error.status = RAFTCS_ERR_MISUSE;
        error.text = "this request id came before with another payload";
        break;
      case rsm::ReplyKind::unknown_service:
        error.status = RAFTCS_ERR_NOT_FOUND;
        error.text = "no such service";
        break;
      case rsm::ReplyKind::too_many_replies:
        error.status = RAFTCS_ERR_RESOURCE_LIMIT;
        error.text = "the session holds too many uncollected replies";
        break;
    }
    send(c, error);
  }
}

// A client drops a connection that brings what it does not take.
Status Node::Impl::too_large(const char* what, size_t bytes) const {
  return {RAFTCS_ERR_TOO_LARGE, std::string(what) + " has " + std::to_string(bytes) +
                                    " bytes, which is larger than clients take: " +
                                    std::to_string(wire_limits_.payload_bytes_max)};
}

void Node::Impl::answer_queries(std::vector<QueryDone>& queries) {
  for (QueryDone& q : queries) {
    if (!failed_.is_ok()) {  // no answer any more (S21), also to what the lane had already
      fail_accepted(q.item, RAFTCS_ERR_NO_LEADER);
      continue;
    }
    settle(q.item);
    auto conn = connections_.find(q.item.conn);
    if (conn == connections_.end()) continue;
    if (q.result.status.is_ok() && q.result.data.size() > wire_limits_.payload_bytes_max)
      q.result.status = too_large("the result", q.result.data.size());
    wire::QueryResponse m;
    m.channel = q.item.channel;
    m.correlation = q.item.correlation;
    m.status = q.result.status.code();
    m.app_code = q.result.app_code;
    m.result = q.result.status.is_ok() ? q.result.data : Bytes::copy(q.result.status.text());
    m.index = q.applied;
    send(conn->second, m);
  }
}

void Node::Impl::settle(const QueryItem& item) {
  admission_.answered(asker_of(item), item.payload.size(), item.since, now_);
}

void Node::Impl::fail_accepted(const QueryItem& item, raftcs_status_t status) {
  settle(item);
  query_failed(item, status);
}

void Node::Impl::query_failed(const QueryItem& item, raftcs_status_t status,
                              uint64_t retry_after_ms) {
  auto conn = connections_.find(item.conn);
  if (conn == connections_.end()) return;
  wire::QueryResponse m;
  m.channel = item.channel;
  m.correlation = item.correlation;
  m.status = status;
  if (status == RAFTCS_ERR_NOT_LEADER) m.leader = leader_hint();
  if (status == RAFTCS_ERR_NOT_LEADER && !m.leader.id) m.status = RAFTCS_ERR_NO_LEADER;
  if (m.status == RAFTCS_ERR_NO_LEADER) m.retry_after_ms = kRetrySoonMs;
  if (m.status == RAFTCS_ERR_BUSY) m.retry_after_ms = retry_after_ms;
  send(conn->second, m);
}

// --- the mirror of sessions ---------------------------------------------------------------------

Session& Node::Impl::mirror(SessionNum num, const Uuid& id, const Uuid& proof,
                            uint64_t timeout_ms) {
  Session& s = sessions_[num];
  s.num = num;
  s.id = id;
  s.proof = proof;
  s.timeout_ms = timeout_ms;
  by_id_[id] = num;
  by_proof_[proof] = num;
  return s;
}

void Node::Impl::session_ended(const rsm::SessionEnded& ended) {
  auto it = sessions_.find(ended.num);
  if (it == sessions_.end()) return;
  Session& s = it->second;
  bool expired = ended.reason == RAFTCS_SESSION_END_EXPIRED;
  if (expired) ++counters_.sessions_expired;
  if (s.bound) {
    if (auto conn = connections_.find(s.conn); conn != connections_.end()) {
      wire::SessionClosed m;
      m.channel = s.channel;
      m.reason = expired ? wire::CloseReason::expired : wire::CloseReason::closed;
      send(conn->second, m);
    }
  }
  forget_session(s);
}

void Node::Impl::forget_session(Session& s) {
  unbind(s);
  refuse_takeover(s, wire::RejectReason::session_expired, "the session has ended");
  if (s.heard) std::erase(heard_, &s);
  if (s.ack_due) std::erase(acks_due_, &s);
  admission_.forget(Admission::asker(s.num));
  by_id_.erase(s.id);
  by_proof_.erase(s.proof);
  sessions_.erase(s.num);
}

void Node::Impl::restore_mirror(const Restored& restored) {
  close_all(wire::CloseReason::not_leader);
  refuse_takeovers();
  heard_.clear();
  acks_due_.clear();
  sessions_.clear();
  by_id_.clear();
  by_proof_.clear();
  services_.clear();
  for (const rsm::SessionInfo& info : restored.sessions) {
    Session& s = mirror(info.num, info.id, info.proof, info.timeout_ms);
    s.highest_request = info.highest_request;
    s.connected = info.connected;
    s.holder = info.holder;
  }
  for (const rsm::ServiceInfo& info : restored.services) services_[info.name] = info;
  snapshot_index_ = std::max(snapshot_index_, restored.meta.index);
}

// --- topology
// ---------------------------------------------------------------------------------------

wire::LeaderHint Node::Impl::leader_hint() const {
  wire::LeaderHint hint;
  if (!leader_ || !failed_.is_ok()) return hint;
  if (leader_ == identity_.node) {
    if (!serving() || stopping_) return hint;  // not yet, or not for long; ask again soon
    return {leader_, options_.client_advertise};
  }
  for (const raft::Member& m : membership_.members)
    if (m.id == leader_) return {leader_, m.client_address};
  return hint;
}

std::vector<wire::MemberInfo> Node::Impl::member_infos() const {
  std::vector<wire::MemberInfo> infos;
  for (const raft::Member& m : membership_.members)
    infos.push_back({m.id, m.id == identity_.node ? options_.client_advertise : m.client_address,
                     m.role == raft::MemberRole::voter});
  return infos;
}

void Node::Impl::announce_topology() {
  wire::Topology topology{leader_hint(), member_infos()};
  for (auto& [id, c] : connections_)
    if (c.greeted) send(c, topology);
}

}  // namespace raftcs::server
