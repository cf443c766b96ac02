// replies.cpp: see replies.hpp for the invariants.
#include "rsm/replies.hpp"

#include "base/check.hpp"

namespace raftcs::rsm {

uint64_t ReplyCache::old_bytes(Index now) {
  if (old_as_of_ != now) {
    old_as_of_ = now;
    old_bytes_ = bytes_;
  }
  return old_bytes_;
}

void ReplyCache::raise_floor(RequestId lowest, Index now) {
  if (lowest <= floor_) return;
  old_bytes(now);
  while (floor_ < lowest && !ring_.empty()) {
    const CachedReply& gone = ring_[0];
    if (gone.state != CachedReply::State::empty) --count_;
    if (gone.state == CachedReply::State::applied) {
      bytes_ -= gone.data.size();
      if (gone.index < now) old_bytes_ -= gone.data.size();
    }
    ring_.pop_front();
    ++floor_;
  }
  floor_ = lowest;
}

CachedReply* ReplyCache::find(RequestId id) {
  const uint64_t at = id - floor_;
  if (at >= ring_.size() || ring_[at].state == CachedReply::State::empty) return nullptr;
  return &ring_[at];
}

CachedReply* ReplyCache::reserve(RequestId id) {
  RCS_CHECK(id >= floor_);
  const uint64_t at = id - floor_;
  while (ring_.size() <= at) ring_.push_back({});
  ++count_;
  return &ring_[at];
}

bool ReplyCache::store(RequestId id, CachedReply reply) {
  if (id < floor_) return false;
  bytes_ += reply.data.size();
  ring_[id - floor_] = std::move(reply);
  return true;
}

}  // namespace raftcs::rsm
