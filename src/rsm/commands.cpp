// commands.cpp: exactly once: which command runs, and in which batch.
//
// The order of the checks is the contract (D6, SE-05, SE-07, SE-12):
//   1. unknown session        refused, leaves nothing behind
//   2. last activity and floor move, whatever becomes of the command
//   3. below the floor        evicted, never run
//   4. the id is cached       the cached reply, or misuse if the payload is another
//   5. no place               too_many_replies; no final answer: the id may come again. There
//                             is place for the lowest id, in this entry or the next one
//   6. unknown service        refused, and remembered like a reply: "not applied" stays true
//                             even if the service exists when a copy of the request arrives
//   7. run
#include <algorithm>

#include "base/mutant.hpp"
#include "rsm/applier.hpp"

namespace raftcs::rsm {

Status Applier::command(const Command& op) {
  const uint64_t digest = hash64(op.service.value, op.payload.data(), op.payload.size());
  Session* session = s_.sessions.find(op.session);
  if (session == nullptr) {
    add_reply(op, digest, ReplyKind::unknown_session, 0, {}, index_);
    return Status::ok();
  }
  session->last_active = now_;
  ReplyCache& replies = session->replies;
  replies.enter(index_);
  replies.raise_floor(RCS_MUTANT("SE-07") ? op.id : std::min(op.lowest_pending, op.id));
  if (op.id < replies.floor()) {
    add_reply(op, digest, ReplyKind::evicted, 0, {}, index_);
    return Status::ok();
  }
  const CachedReply* cached = RCS_MUTANT("SE-05") ? nullptr : replies.find(op.id);
  if (cached != nullptr && cached->state == CachedReply::State::running) {
    RCS_TRY(flush());  // a second copy in one entry: its answer must be known first
    cached = replies.find(op.id);
  }
  if (cached != nullptr) {
    if (cached->digest != digest)
      add_reply(op, digest, ReplyKind::misuse, 0, {}, index_);
    else if (cached->state == CachedReply::State::unknown_service)
      add_reply(op, digest, ReplyKind::unknown_service, 0, {}, cached->index);
    else
      add_reply(op, digest, ReplyKind::duplicate, cached->app_code, cached->data, cached->index);
    return Status::ok();
  }
  RCS_TRY(count(replies));
  if (op.id - replies.floor() >= s_.limits.replies_max ||
      !replies.has_room(op.id, s_.limits.reply_bytes_max)) {
    add_reply(op, digest, ReplyKind::too_many_replies, 0, {}, index_);
    return Status::ok();
  }
  Service* service = s_.service(op.service);
  if (service == nullptr) {
    CachedReply* place = replies.reserve(op.id);
    place->state = CachedReply::State::unknown_service;
    place->digest = digest;
    place->index = index_;
    add_reply(op, digest, ReplyKind::unknown_service, 0, {}, index_);
    return Status::ok();
  }
  return enqueue(op, session, service, digest);
}

// What the session's commands answered must be known first.
Status Applier::count(ReplyCache& replies) {
  if (!replies.count_is_due()) return Status::ok();
  if (replies.running() > 0) RCS_TRY(flush());
  replies.count();
  return Status::ok();
}

void Applier::add_reply(const Command& op, uint64_t digest, ReplyKind kind, int32_t app_code,
                        Bytes data, Index index) {
  out_->replies.push_back({op.session, op.id, kind, app_code, std::move(data), index});
  reply_digests_.push_back(digest);
}

Status Applier::enqueue(const Command& op, Session* session, Service* service, uint64_t digest) {
  if (batch_service_ != service) RCS_TRY(flush());
  if (batch_service_ == nullptr) {
    batch_service_ = service;
    batch_reply_first_ = out_->replies.size();
  }
  session->highest_request = std::max(session->highest_request, op.id);
  session->replies.begin(op.id);
  waiting_.push_back({session, op.id, digest, out_->replies.size()});
  // The payload's bytes belong to the entry, which lives until apply returns.
  commands_.push_back({index_.value, op.session.value, op.payload.data(), op.payload.size()});
  add_reply(op, digest, ReplyKind::applied, 0, {}, index_);
  return Status::ok();
}

Status Applier::flush() {
  if (batch_service_ == nullptr) {
    hash_replies();
    return Status::ok();
  }
  Service* service = batch_service_;
  batch_push_first_ = out_->pushes.size();
  replied_.assign(commands_.size(), 0);
  raftcs_apply_batch_t batch{};
  batch.struct_size = sizeof batch;
  batch.entry_stride = sizeof(raftcs_command_t);
  batch.count = static_cast<uint32_t>(commands_.size());
  batch.apply_version = service->apply_version;
  batch.cluster_time_ns = now_.ns;
  batch.commands = commands_.data();
  Call call(this, service, true);
  std::string what;
  raftcs_status_t status =
      guarded(&what, [&] { return service->type->apply(service->sm, &batch, &call.sink); });
  if (call.out_of_memory) status = RAFTCS_ERR_NO_MEMORY;
  if (status != RAFTCS_OK) {
    failed_ = service->failure("apply", index_, status, what);
    out_->replies.resize(batch_reply_first_);  // nothing of a failing batch leaves
    drop_pushes_from(batch_push_first_);
    reply_digests_.clear();
  } else {
    publish_batch();
  }
  batch_service_ = nullptr;
  waiting_.clear();
  commands_.clear();
  return failed_;
}

void Applier::publish_batch() {
  for (const Waiting& w : waiting_) {
    const Reply& reply = out_->replies[w.reply_at];
    w.session->replies.end(
        w.id, {CachedReply::State::applied, reply.app_code, w.digest, index_, reply.data});
  }
  hash_pushes_from(batch_push_first_);
  hash_replies();
}

}  // namespace raftcs::rsm
