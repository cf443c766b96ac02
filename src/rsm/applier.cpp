// applier.cpp: entries and operations to their handlers; the running hash.
#include "rsm/applier.hpp"

#include <algorithm>

#include "base/check.hpp"
#include "base/mutant.hpp"

namespace raftcs::rsm {

void Applier::reset() {
  failed_ = Status::ok();
  resume_at_ = 0;
}

Status Applier::apply(const raft::Entry& entry, ApplyOutput* out) {
  if (!failed_.is_ok()) return failed_;
  if (entry.index != s_.applied.next()) {
    RCS_CHECK(!"entries are applied in order");
    return Status(RAFTCS_ERR_INTERNAL, "entry " + to_string(entry.index) + " came after entry " +
                                           to_string(s_.applied));
  }
  index_ = entry.index;
  now_ = std::max(s_.time, entry.time);  // a fault of a leader must not turn time back
  out_ = out;
  if (RCS_MUTANT("PS-11")) s_.applied = index_;
  if (entry.type == raft::EntryType::ops) {
    RCS_TRY(apply_ops(entry));
  } else if (entry.type != raft::EntryType::noop && entry.type != raft::EntryType::config) {
    return Status(RAFTCS_ERR_VERSION_MISMATCH,
                  "entry " + to_string(index_) + " is of type " +
                      std::to_string(static_cast<unsigned>(entry.type)) +
                      ", which this version does not know");
  }
  s_.ops_hash = mix(mix(s_.ops_hash, index_.value), entry.term.value);
  s_.ops_hash = mix(s_.ops_hash, static_cast<uint64_t>(now_.ns));
  s_.applied = index_;
  s_.term = entry.term;
  s_.time = now_;
  resume_at_ = 0;
  return Status::ok();
}

Status Applier::apply_ops(const raft::Entry& entry) {
  replies_hashed_ = out_->replies.size();
  reply_digests_.clear();
  OpsReader reader(entry.payload, resume_at_);
  Op op;
  size_t at = resume_at_;
  while (reader.next(&op)) {
    const size_t end = reader.position();
    Status status = apply_op(op, entry.payload.data() + at, end - at);
    if (!status.is_ok()) {
      resume_at_ = at;
      return status;
    }
    at = end;
  }
  RCS_TRY(flush());
  if (reader.failed()) {  // RC-08: never guess
    resume_at_ = reader.position();
    return Status(RAFTCS_ERR_VERSION_MISMATCH,
                  "entry " + to_string(index_) + " has an operation at byte " +
                      std::to_string(resume_at_) + " that this version does not understand");
  }
  return Status::ok();
}

Status Applier::apply_op(Op& op, const uint8_t* bytes, size_t size) {
  if (const auto* c = std::get_if<Command>(&op)) return command(*c);
  RCS_TRY(flush());
  uint64_t outcome = 0;
  RCS_TRY(std::visit([&](const auto& o) { return on(o, &outcome); }, op));
  hash_op(bytes, size, outcome);
  return Status::ok();
}

void Applier::hash_op(const uint8_t* bytes, size_t size, uint64_t outcome) {
  s_.ops_hash = mix(hash64(s_.ops_hash, bytes, size), outcome);
}

void Applier::hash_replies() {
  for (size_t i = 0; i < reply_digests_.size(); ++i) {
    const Reply& r = out_->replies[replies_hashed_ + i];
    uint64_t h = mix(s_.ops_hash, reply_digests_[i]);
    h = mix(h, r.session.value);
    h = mix(h, r.id.value);
    h = mix(h, (static_cast<uint64_t>(r.kind) << 32) | static_cast<uint32_t>(r.app_code));
    s_.ops_hash = hash64(h, r.data.data(), r.data.size());
  }
  replies_hashed_ = out_->replies.size();
  reply_digests_.clear();
}

}  // namespace raftcs::rsm
