// snapshot.cpp: compaction, and bringing a peer up by a snapshot (thesis 5).
//
// Sending: one chunk is read and unanswered at a time. The peer's answer says where to go
// on; whatever it says is followed (resume, repeat, start again), so duplicates and losses
// only cost time. An unanswered chunk is read and sent again after an election timeout.
//
// Receiving: chunks are identified by the snapshot's whole description, checksum included,
// so that a new leader with the same snapshot continues where the old one stopped and a
// foreign chunk is never mixed in (SN-08). After a restart the transfer begins at 0 (SN-07).
//
// What must hold: nothing at or below the commit index is ever replaced (SN-01); if the log
// does not hold the snapshot's last entry, all of it goes (SN-02) and the configuration is
// the snapshot's (SN-05); the term and the vote are not touched (SN-06); entries are
// forgotten only if a durable snapshot covers them (SN-09) and they are durable here.
#include <algorithm>
#include <utility>

#include "base/check.hpp"
#include "base/mutant.hpp"
#include "raft/node_impl.hpp"

namespace raftcs::raft {
namespace {
constexpr uint32_t kChunkTriesMax = 20;  // an election timeout each
}

// --- own snapshots ----------------------------------------------------------------------

void Node::Impl::snapshot_taken(const SnapshotMeta& meta) {
  if (meta.index == snapshot_.index) return snapshot_rewritten(meta);
  if (meta.index < snapshot_.index) return;
  const bool fits = meta.index <= commit_ && log_.term(meta.index).is(meta.term);
  RCS_CHECK(fits);  // SN-03
  if (!fits) return;
  snapshot_ = meta;
  compact();
}

// The same state, written again because its file was damaged: the bytes may be others.
void Node::Impl::snapshot_rewritten(const SnapshotMeta& meta) {
  if (meta == snapshot_ || meta.term != snapshot_.term) return;
  snapshot_ = meta;
  Leader* lead = leading();
  if (lead == nullptr) return;
  for (Progress& p : lead->peers)
    if (p.mode == Progress::Mode::snapshot && p.snapshot.meta.index == meta.index)
      start_snapshot(p);  // what it has of it fits nothing any more
}

// Keeps trailing entries for followers that are only a little late.
void Node::Impl::compact() {
  Index to = snapshot_.index;
  uint64_t kept = 0, bytes = 0;
  while (to > log_.base().index && kept < options_.trailing_entries) {
    bytes += log_.at(to).payload.size();
    if (bytes > options_.trailing_bytes) break;
    ++kept;
    to = to.prev();
  }
  compaction_goal_ = to;
  cut_log(false);
}

// As far as can be now: what is durable here, and not what a peer will need right after the
// snapshot it is receiving. The rest goes as soon as nobody needs it, `later` and in one piece: a
// peer has the entries behind its snapshot then, or is silent, or the next snapshot asks anew.
void Node::Impl::cut_log(bool later) {
  Index to = std::min({compaction_goal_, durable_, handed_out_});
  if (const Leader* lead = leading()) {
    for (const Progress& p : lead->peers) {
      if (!p.heard || now_ - p.last_contact >= options_.election_timeout_ns) continue;
      if (p.mode == Progress::Mode::snapshot)
        to = std::min(to, p.snapshot.meta.index);
      else if (later)
        to = std::min(to, p.match);
    }
  }
  if (to <= log_.base().index || (later && to < compaction_goal_)) return;
  log_.compact_to(to);
  configs_.erase(configs_.begin(), std::find_if(configs_.begin(), configs_.end(),
                                                [&](const ConfigAt& c) { return c.index > to; }));
  out_.compact_to = to;
}

// --- sending ----------------------------------------------------------------------------

void Node::Impl::start_snapshot(Progress& peer) {
  RCS_CHECK(snapshot_.index >= log_.base().index && snapshot_.index > Index());
  peer.to_snapshot(snapshot_, now_);
  ask_for_chunk(peer);
}

void Node::Impl::ask_for_chunk(Progress& peer) {
  SnapshotSend& s = peer.snapshot;
  s.reading = true;
  s.retry_at = now_ + options_.election_timeout_ns;
  out_.read_chunks.push_back({peer.id, s.meta.index, s.offset, options_.snapshot_chunk_bytes});
}

void Node::Impl::retry_snapshot(Progress& peer) {
  if (peer.mode != Progress::Mode::snapshot || now_ < peer.snapshot.retry_at) return;
  // A read that is under way ends. To ask again of a disk that is slow for many peers makes the
  // line longer each time, and no chunk ever leaves (simulator seed 630366).
  if (peer.snapshot.reading) return;
  // A disk may take longer for one chunk than it takes until the next snapshot is there: to begin
  // with that one at every lost or late answer would never end. The newest is sent if this one does
  // not move at all.
  SnapshotSend& s = peer.snapshot;
  if (s.meta.index != snapshot_.index && ++s.unanswered >= kChunkTriesMax)
    return start_snapshot(peer);
  ask_for_chunk(peer);
}

void Node::Impl::chunk_read(NodeId to, Index index, uint64_t offset, Bytes data, bool last) {
  Leader* lead = leading();
  Progress* peer = lead ? lead->find(to) : nullptr;
  if (!peer || peer->mode != Progress::Mode::snapshot) return;
  SnapshotSend& s = peer->snapshot;
  if (!s.reading || s.meta.index != index || s.offset != offset) return;
  s.reading = false;
  s.retry_at = now_ + options_.election_timeout_ns;
  send(to, SnapshotChunk{s.meta, offset, std::move(data), last});
}

void Node::Impl::chunk_failed(NodeId to, Index index) {
  Leader* lead = leading();
  Progress* peer = lead ? lead->find(to) : nullptr;
  if (!peer || peer->mode != Progress::Mode::snapshot) return;
  if (peer->snapshot.meta.index != index) return;
  if (snapshot_.index > index) return start_snapshot(*peer);
  peer->snapshot.reading = false;  // tried again at retry_at
}

void Node::Impl::on_chunk_response(const Message& message, const SnapshotChunkResponse& response) {
  Leader* lead = leading();
  Progress* peer = lead ? lead->find(message.from) : nullptr;
  if (!peer) return;
  note_contact(*lead, *peer);
  if (response.installed) {
    if (response.index > log_.last()) return;
    const bool moved = peer->on_success(response.index);
    const bool sending = peer->mode == Progress::Mode::snapshot;
    if (sending && peer->match >= log_.base().index) {
      peer->next = peer->match.next();
      peer->to_replicate();
    } else if (sending && peer->match >= peer->snapshot.meta.index) {
      start_snapshot(*peer);  // it was silent, and what follows that one is gone
    }
    if (moved) leader_commit();
    return;
  }
  if (peer->mode != Progress::Mode::snapshot) return;
  SnapshotSend& s = peer->snapshot;
  if (s.meta.index != response.index) return;
  s.unanswered = 0;
  if (s.reading) return;
  // It has nothing of it (any more): the newest then, which may be the one that is not damaged.
  if (response.next_offset == 0 && s.meta.index != snapshot_.index) return start_snapshot(*peer);
  s.offset = std::min(response.next_offset, s.meta.size);
  ask_for_chunk(*peer);
}

// --- receiving --------------------------------------------------------------------------

// Requires: message.term == hard_.term.
void Node::Impl::on_chunk(const Message& message, SnapshotChunk& chunk) {
  if (leading()) {
    RCS_CHECK(!"two leaders in one term");
    return;
  }
  follow(message.from);
  const SnapshotMeta& meta = chunk.meta;
  if (meta.index > commit_ && log_.term(meta.index).is(meta.term)) commit_to(meta.index);
  // Everything in it is here already (SN-01).
  if (meta.index <= commit_ && !RCS_MUTANT("SN-01")) {
    receiving_.reset();
    const SnapshotChunkResponse have{meta.index, true, 0};
    const bool safe = meta.index <= durable_ || meta.index <= snapshot_.index;
    return send(message.from, have, safe ? hard_write() : log_write(meta.index));
  }
  if (!receiving_ || receiving_->meta != meta) {
    if (chunk.offset != 0)
      return send(message.from, SnapshotChunkResponse{meta.index, false, 0}, hard_write());
    receiving_ = SnapshotReceive{meta, 0, false};
  }
  if (receiving_->writing) return;  // answered when it is written
  if (chunk.offset != receiving_->next_offset) {
    const SnapshotChunkResponse resume{meta.index, false, receiving_->next_offset};
    return send(message.from, resume, hard_write());
  }
  receiving_->writing = true;
  out_.write_chunks.push_back({message.from, std::move(chunk)});
}

void Node::Impl::chunk_written(NodeId from, const SnapshotMeta& meta, uint64_t next_offset,
                               bool complete) {
  if (complete) {
    // The file is published, whoever leads now: what it covers was committed once.
    install(meta);
    send(from, SnapshotChunkResponse{meta.index, true, next_offset}, log_write(meta.index));
    return;
  }
  if (!receiving_ || receiving_->meta != meta) return;
  receiving_->writing = false;
  receiving_->next_offset = next_offset;
  send(from, SnapshotChunkResponse{meta.index, false, next_offset}, hard_write());
}

// Not answered: the sender's own pause paces the next try, also while a disk stays full.
void Node::Impl::chunk_lost(const SnapshotMeta& meta) {
  if (receiving_ && receiving_->meta == meta) receiving_.reset();
}

void Node::Impl::install(const SnapshotMeta& meta) {
  if (receiving_ && receiving_->meta.index <= meta.index) receiving_.reset();
  if (meta.index > commit_ && log_.term(meta.index).is(meta.term)) commit_to(meta.index);
  if (meta.index <= commit_ && !RCS_MUTANT("SN-01"))
    return snapshot_taken(meta);  // the log goes on as it is
  snapshot_ = meta;
  log_.reset({meta.index, meta.term, meta.time});
  if (!RCS_MUTANT("SN-05")) configs_.clear();
  commit_ = handed_out_ = meta.index;
  durable_ = meta.index;
  first_unwritten_ = meta.index.next();
  truncate_.reset();
  for (PendingWrite& w : writes_) w.last = Index();
  if (!RCS_MUTANT("SN-02")) reset_log_ = meta;
  out_.compact_to = meta.index;  // a full disk may have no room to write more until this is done
  restore_ = meta;
  membership_changed();
}

}  // namespace raftcs::raft
