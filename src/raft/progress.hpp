// progress.hpp: what a leader believes about one peer, and how much it may send to it.
//
//             success                      log compacted past next
//   probe ------------> replicate       probe, replicate ------------> snapshot
//         <------------                 snapshot --installed / match reaches the log--> replicate
//            refusal
//
// probe: one append unanswered at a time (a heartbeat may repeat it, empty).
// replicate: a pipeline; `next` moves when a message is sent. The window is counted in
//   messages and in bytes. A full window never silences a peer: heartbeats are sent anyway
//   at prev = next - 1, and their answers (a match, or a refusal if something got lost)
//   open it again (LR-12).
// snapshot: a stream of chunks, one unanswered at a time.
//
// What must hold: match < next; match never decreases in one leadership (S12, LR-04).
#pragma once

#include <cstdint>
#include <deque>

#include "raft/types.hpp"

namespace raftcs::raft {

class Inflights {
 public:
  void add(Index last, uint64_t bytes) {
    queue_.push_back({last, bytes});
    bytes_ += bytes;
  }
  // Everything up to `match` is answered.
  void free_to(Index match) {
    while (!queue_.empty() && queue_.front().last <= match) {
      bytes_ -= queue_.front().bytes;
      queue_.pop_front();
    }
  }
  void clear() {
    queue_.clear();
    bytes_ = 0;
  }
  bool has_room(uint32_t count_max, uint64_t bytes_max) const {
    return queue_.empty() || (queue_.size() < count_max && bytes_ < bytes_max);
  }
  size_t count() const { return queue_.size(); }
  uint64_t bytes() const { return bytes_; }
  template <class Visit>
  void for_each(const Visit& visit) const {
    for (const Sent& s : queue_) visit(s.last, s.bytes);
  }

 private:
  struct Sent {
    Index last;
    uint64_t bytes;
  };
  std::deque<Sent> queue_;
  uint64_t bytes_ = 0;
};

struct SnapshotSend {
  SnapshotMeta meta;
  uint64_t offset = 0;      // of the chunk being read or unanswered
  bool reading = false;     // the driver was asked for it
  Mono retry_at;            // ask again then if nothing came back
  uint32_t unanswered = 0;  // tries since the last answer, while there is a newer snapshot
};

struct Progress {
  enum class Mode : uint8_t { probe, replicate, snapshot };

  NodeId id;
  Uuid incarnation;  // of the disk that `match` speaks of; zero: not known yet
  Mode mode = Mode::probe;
  Index match;
  Index next;
  Inflights inflights;
  bool probe_sent = false;   // probe: an append is unanswered
  bool poke = false;         // send something at the next flush even if there is nothing new
  bool notice_sent = false;  // a pure commit notification is unanswered
  Index commit_sent;         // highest commit index told in this mode
  uint64_t round_acked = 0;  // highest read round answered (RD-03)
  bool heard = false;        // answered in this leadership
  Mono last_contact;
  SnapshotSend snapshot;  // only in mode snapshot
  // A member that was removed is served until it has the entry that removes it (MB-07).
  bool departing = false;
  Index departing_at;
  Mono departing_until;

  // Nothing is known of this peer's log any more; contact with it stays.
  void forget_log(Index next_index);
  void to_probe(Index next_index);
  void to_replicate();
  void to_snapshot(const SnapshotMeta& meta, Mono now);

  // A success: returns true if match moved.
  bool on_success(Index acked);
  // A refusal of prev == rejected; `retry_next` is where the hint leads. False: stale (LR-03).
  bool on_refusal(Index rejected, Index retry_next);
};

}  // namespace raftcs::raft
