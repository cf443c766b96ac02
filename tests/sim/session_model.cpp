// session_model.cpp: the rules of sessions, once more and naively.
#include "sim/session_model.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "rsm/ops.hpp"
#include "rsm/replies.hpp"

namespace raftcs::sim {
namespace {

uint64_t fnv(uint64_t h, uint64_t v) {
  for (int i = 0; i < 8; ++i, v >>= 8) h = (h ^ (v & 0xff)) * 0x100000001b3ull;
  return h;
}
uint64_t fnv(uint64_t h, const Uuid& id) {
  for (uint8_t b : id.bytes) h = (h ^ b) * 0x100000001b3ull;
  return h;
}

Bytes bytes_of(const std::vector<uint8_t>& bytes) {
  return Bytes::copy(bytes.data(), bytes.size());
}

uint64_t add(uint64_t h, const rsm::SessionInfo& s) {
  h = fnv(fnv(fnv(h, s.num.value), s.id), s.proof);
  h = fnv(fnv(h, s.timeout_ms), static_cast<uint64_t>(s.created.ns));
  h = fnv(fnv(h, static_cast<uint64_t>(s.last_active.ns)), s.highest_request.value);
  h = fnv(fnv(h, s.last_push.value), s.acked_push.value);
  return fnv(fnv(h, s.replies_cached), s.holder.value);
}

}  // namespace

SessionModel::SessionModel(const rsm::Limits& limits)
    : limits_(limits), ledger_at_(1), expected_(1), digests_{digest_of({})} {}

uint64_t SessionModel::digest_of(const std::vector<rsm::SessionInfo>& sessions) {
  uint64_t h = 0xcbf29ce484222325ull;
  for (const rsm::SessionInfo& s : sessions) h = add(h, s);
  return h;
}

SessionModel::Session* SessionModel::find(SessionNum num) {
  auto it = sessions_.find(num.value);
  return it == sessions_.end() ? nullptr : &it->second;
}

void SessionModel::heard(Session& s) {
  s.info.last_active = now_;
  s.heard_in = term_;
}

bool SessionModel::is_live(const Uuid& id) const {
  for (const auto& [num, s] : sessions_)
    if (s.info.id == id) return true;
  return false;
}

std::string SessionModel::apply(const raft::Entry& entry, const rsm::ApplyOutput* truth) {
  truth_ = truth;
  index_ = entry.index;
  if (index_ != applied().next()) return "the model was given index " + to_string(index_);
  if (entry.time < now_) return "cluster time fell at index " + to_string(index_);
  // D5: time without a leader does not count. A leader's first entry goes on where its log ended.
  if (entry.term != term_ && index_.value > 1 && entry.time != now_)
    return "cluster time went on between two leaders, at index " + to_string(index_);
  now_ = entry.time;
  term_ = entry.term;
  expected_.emplace_back();
  if (entry.type == raft::EntryType::ops) {
    rsm::OpsReader reader(entry.payload);
    rsm::Op op;
    while (reader.next(&op)) std::visit([this](const auto& o) { on(o); }, op);
    if (reader.failed()) return "entry " + to_string(index_) + " does not decode";
  }
  if (truth_ != nullptr) take_pushes(truth_->pushes);
  uint64_t h = 0xcbf29ce484222325ull;
  for (const auto& [num, s] : sessions_) h = add(h, s.info);
  digests_.push_back(h);
  ledger_at_.push_back(ledger_.size());
  return std::exchange(broken_, {});
}

void SessionModel::on(const rsm::CreateSession& op) {
  for (auto& [num, s] : sessions_) {
    if (s.info.id == op.id && s.info.proof != op.proof) broken_ = "two sessions with one id";
    if (s.info.proof != op.proof) continue;  // X9
    heard(s);
    ++kinds_["a session was asked for twice"];
    expected_.back().started.push_back({s.info.num, s.info.id, true});
    return;
  }
  if (ended_.contains(op.id)) broken_ = "the id of a session that ended came again";
  Session s;
  s.info.num = SessionNum(next_num_++);
  s.info.id = op.id;
  s.info.proof = op.proof;
  s.info.timeout_ms = op.timeout_ms;
  s.info.created = now_;
  heard(s);
  expected_.back().started.push_back({s.info.num, op.id, false});
  sessions_[s.info.num.value] = std::move(s);
}

void SessionModel::on(const rsm::CloseSession& op) {
  if (find(op.session) != nullptr) end(op.session.value, RAFTCS_SESSION_END_CLOSED);
}

void SessionModel::on(const rsm::Acknowledge& op) {
  Session* s = find(op.session);
  if (s == nullptr) return;
  heard(*s);
  s->info.acked_push = std::max(s->info.acked_push, std::min(op.up_to, s->info.last_push));
  s->push_bytes.erase(s->push_bytes.begin(), s->push_bytes.upper_bound(s->info.acked_push));
}

void SessionModel::on(const rsm::Touch& op) {
  for (SessionNum num : op.sessions)
    if (Session* s = find(num)) heard(*s);
}

// X8: a proposal ends only who was silent in the log for the whole timeout of cluster time.
void SessionModel::on(const rsm::Expire& op) {
  for (SessionNum num : op.sessions) {
    Session* s = find(num);
    if (s == nullptr) continue;
    if (now_ - s->info.last_active < static_cast<int64_t>(s->info.timeout_ms) * kNsPerMs) {
      ++kinds_["a proposed expiry came too late"];
      continue;
    }
    ++expired_;
    if (s->heard_in != term_) ++kinds_["a session expired in another term than it was heard in"];
    end(num.value, RAFTCS_SESSION_END_EXPIRED);
  }
}

void SessionModel::end(uint64_t num, int32_t reason) {
  ended_.insert(sessions_[num].info.id);
  sessions_.erase(num);
  expected_.back().ended.push_back({SessionNum(num), reason});
}

void SessionModel::on(const rsm::TakeOver& op) {
  Session* s = find(op.session);
  if (s == nullptr) return;
  if (generation_of(op.holder) > generation_of(s->info.holder)) {
    s->info.holder = op.holder;
    heard(*s);
    ++kinds_["a new holder took a session"];
  } else {
    ++kinds_["a holder came too late"];
  }
  expected_.back().takeovers.push_back({op.session, s->info.holder});
}

void SessionModel::on(const rsm::CreateService& op) {
  if (std::find(services_.begin(), services_.end(), op.name) == services_.end())
    services_.push_back(op.name);
}

// The ledger's timers and what it makes of presence answer nothing.
void SessionModel::on(const rsm::Tick&) {}
void SessionModel::on(const rsm::Presence&) {}

void SessionModel::on(const rsm::Command& op) {
  rsm::Reply reply;
  if (Session* s = find(op.session))
    reply = decide(*s, op);
  else
    reply.kind = rsm::ReplyKind::unknown_session;  // X5
  reply.session = op.session;
  reply.id = op.id;
  if (!reply.index) reply.index = index_;
  constexpr const char* kNames[] = {
      "",
      "",
      "a duplicate got its reply",
      "a command was evicted",
      "a command of no session",
      "an id came with another payload",
      "a command for no service",
      "a session held too many replies",
  };
  const char* name = kNames[static_cast<size_t>(reply.kind)];
  if (*name != '\0') ++kinds_[name];
  expected_.back().replies.push_back(std::move(reply));
}

// What earlier entries left takes the room, but from the lowest id, which frees it; and what the
// entry at hand has made, counted after every so many commands (rsm/replies.hpp).
bool SessionModel::has_place(Session& s, RequestId id) {
  if (std::exchange(s.made_in, index_) != index_) s.made = s.counted = s.uncounted = 0;
  if (s.uncounted >= rsm::kUncountedMax) {
    s.counted = s.made;
    s.uncounted = 0;
  }
  uint64_t held = s.counted;
  for (const auto& [other, cached] : s.replies)
    if (cached.reply.index < index_) held += cached.reply.data.size();
  if (id.value - s.floor >= limits_.replies_max || s.counted >= limits_.reply_bytes_max)
    return false;
  return id.value == s.floor || held < limits_.reply_bytes_max;
}

rsm::Reply SessionModel::decide(Session& s, const rsm::Command& op) {
  rsm::Reply reply;
  heard(s);
  s.floor = std::max(s.floor, std::min(op.lowest_pending, op.id).value);  // W-M6
  s.replies.erase(s.replies.begin(), s.replies.lower_bound(s.floor));
  s.info.replies_cached = s.replies.size();
  if (op.id.value < s.floor) {  // X4
    reply.kind = rsm::ReplyKind::evicted;
    return reply;
  }
  std::string payload = to_string(op.service) + "/" + op.payload.str();
  if (auto it = s.replies.find(op.id.value); it != s.replies.end()) {
    if (it->second.payload != payload) {  // X12
      reply.kind = rsm::ReplyKind::misuse;
      return reply;
    }
    reply = it->second.reply;  // X2
    if (reply.kind == rsm::ReplyKind::applied) reply.kind = rsm::ReplyKind::duplicate;
    return reply;
  }
  if (!has_place(s, op.id)) {
    reply.kind = rsm::ReplyKind::too_many_replies;
    return reply;
  }
  reply.index = index_;
  if (op.service.value == 0 || op.service.value > services_.size()) {
    reply.kind = rsm::ReplyKind::unknown_service;
  } else {
    if (!ran_.insert({op.session.value, op.id.value}).second) broken_ = "an id ran twice";  // X1
    s.info.highest_request = std::max(s.info.highest_request, op.id);
    const size_t at = expected_.back().replies.size();
    if (services_[op.service.value - 1] == "ledger") {
      run_ledger(s, op, &reply);
    } else if (truth_ != nullptr && at < truth_->replies.size()) {
      reply.app_code = truth_->replies[at].app_code;
      reply.data = truth_->replies[at].data;
    }
    ++s.uncounted;
    s.made += reply.data.size();
  }
  s.replies[op.id.value] = {std::move(payload), reply};
  s.info.replies_cached = s.replies.size();
  return reply;
}

void SessionModel::run_ledger(Session& s, const rsm::Command& op, rsm::Reply* reply) {
  const auto command = decode_command(op.payload.data(), op.payload.size());
  if (!command) {
    broken_ = "a command was committed that nobody sent";
    return;
  }
  const auto& [line, load] = *command;
  ledger_.push_back(line);
  const uint64_t position = ledger_.size();
  if (load.reply > limits_.reply_bytes_max) ++kinds_["a reply was too large"];
  reply->app_code = app_code_of(line);
  reply->data =
      bytes_of(answer_of(position, load.reply > limits_.reply_bytes_max ? 0 : load.reply));
  if ((line.kind != 2 && line.kind != 4) || truth_ != nullptr) return;
  const Bytes push = bytes_of(answer_of(position, line.kind == 4 ? kLargePush : load.push));
  uint64_t held = push.size();
  for (const auto& [id, size] : s.push_bytes) held += size;
  if (held > limits_.push_bytes_max) {
    ++kinds_["a push found no room"];
    return;
  }
  ++s.info.last_push;  // X10
  s.push_bytes[s.info.last_push] = push.size();
  expected_.back().pushes.push_back({op.session, s.info.last_push, push, now_});
}

void SessionModel::take_pushes(const std::vector<rsm::Push>& pushes) {
  expected_.back().pushes = pushes;
  for (const rsm::Push& p : pushes)
    if (Session* s = find(p.session); s != nullptr && p.id != ++s->info.last_push)
      broken_ = "pushes have a gap or a repeat";  // X10
}

std::string SessionModel::compare(const rsm::ApplyOutput& output, Index from, Index to) const {
  if (to > applied()) return "a node applied index " + to_string(to) + ", which nobody committed";
  size_t reply = 0, ended = 0, started = 0, push = 0, taken = 0;
  for (uint64_t i = from.value + 1; i <= to.value; ++i) {
    const Expected& e = expected_[i];
    const std::string where = " at index " + std::to_string(i);
    for (const rsm::Reply& r : e.replies) {
      if (reply == output.replies.size()) return "a reply is missing" + where;
      const rsm::Reply& o = output.replies[reply++];
      if (o.session != r.session || o.id != r.id || o.kind != r.kind || o.index != r.index ||
          o.app_code != r.app_code || o.data.str() != r.data.str())
        return "session " + to_string(r.session) + " request " + to_string(r.id) +
               " has another reply" + where;
    }
    for (const rsm::SessionEnded& r : e.ended) {
      if (ended == output.sessions_ended.size()) return "a session did not end" + where;
      const rsm::SessionEnded& o = output.sessions_ended[ended++];
      if (o.num != r.num || o.reason != r.reason) return "another session ended" + where;
    }
    for (const Expected::Started& r : e.started) {
      if (started == output.sessions_started.size()) return "a session did not begin" + where;
      const rsm::SessionStarted& o = output.sessions_started[started++];
      if (o.num != r.num || o.id != r.id || o.existed != r.existed)
        return "another session began" + where;
    }
    for (const rsm::TakenOver& r : e.takeovers) {
      if (taken == output.takeovers.size()) return "a session was not taken over" + where;
      const rsm::TakenOver& o = output.takeovers[taken++];
      if (o.session != r.session || o.holder != r.holder)
        return "another holder has a session" + where;
    }
    for (const rsm::Push& r : e.pushes) {
      if (push == output.pushes.size()) return "a push is missing" + where;
      const rsm::Push& o = output.pushes[push++];
      if (o.session != r.session || o.id != r.id || o.payload.str() != r.payload.str())
        return "another push" + where;
    }
  }
  if (reply != output.replies.size() || ended != output.sessions_ended.size() ||
      started != output.sessions_started.size() || taken != output.takeovers.size() ||
      push != output.pushes.size())
    return "more came of the entries up to index " + to_string(to) + " than they say";
  return {};
}

}  // namespace raftcs::sim
