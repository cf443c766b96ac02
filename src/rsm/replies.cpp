// replies.cpp: see replies.hpp for the invariants.
#include "rsm/replies.hpp"

#include "base/check.hpp"

namespace raftcs::rsm {

void ReplyCache::enter(Index now) {
  if (entry_ == now) return;
  entry_ = now;
  old_bytes_ = bytes_;
  made_ = counted_ = 0;
  uncounted_ = 0;
}

void ReplyCache::raise_floor(RequestId lowest) {
  if (lowest <= floor_) return;
  while (floor_ < lowest && !ring_.empty()) {
    const CachedReply& gone = ring_[0];
    if (gone.state != CachedReply::State::empty) --count_;
    if (gone.state == CachedReply::State::applied) {
      bytes_ -= gone.data.size();
      if (gone.index < entry_) old_bytes_ -= gone.data.size();
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

void ReplyCache::begin(RequestId id) {
  reserve(id)->state = CachedReply::State::running;
  ++uncounted_;
  ++running_;
}

void ReplyCache::end(RequestId id, CachedReply reply) {
  --running_;
  made_ += reply.data.size();
  store(id, std::move(reply));
}

void ReplyCache::count() {
  RCS_CHECK(running_ == 0);
  counted_ = made_;
  uncounted_ = 0;
}

bool ReplyCache::has_room(RequestId id, uint64_t bytes_max) const {
  if (counted_ >= bytes_max) return false;
  return id == floor_ || old_bytes_ + counted_ < bytes_max;
}

}  // namespace raftcs::rsm
