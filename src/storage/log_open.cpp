// log_open.cpp: LogFiles::open, the way from a directory to a writable log.
//
// Order: make what a killed process left in the page cache durable and drop the cache, so
// that only what the disk has is believed (PS-02); replay; remove leftovers; begin a
// session. The session start is one durable write behind the end. It fences: a record that
// a torn write left further on names an older session and can never become valid again. It
// also proves, for later openings, that all before it was durable.
#include <algorithm>

#include "storage/log_files.hpp"

namespace raftcs::storage {
namespace {

// The entry at the snapshot's end is in the log, and everything before it that is not in
// `state.base`. A snapshot that came from another node may be ahead of the log, and what it
// covers was acknowledged: then the log alone is not enough.
bool holds(const LogState& state, const raft::SnapshotMeta& covered) {
  if (covered.index <= state.base || covered.index > state.last()) return false;
  return state.entries[static_cast<size_t>(covered.index - state.base.next())].term ==
         covered.term;
}

}  // namespace

Status LogFiles::open(const std::optional<raft::SnapshotMeta>& snapshot,
                      const std::optional<SnapshotFiles::Damaged>& instead_of,
                      std::vector<std::string>* notes, raft::BootImage* image) {
  RCS_TRY(reread_segments());
  bool needs_reset = false;
  auto recovered = recover_log(fs_, directory_, incarnation_, snapshot, &needs_reset);
  if (instead_of && (!recovered || needs_reset || !holds(*recovered, instead_of->meta)))
    return instead_of->status;
  RCS_TRY(recovered.status());
  LogState& state = *recovered;
  RCS_TRY(adopt(state, notes));
  // The node asks for it when it takes the next snapshot, which may never fit.
  if (snapshot && is_low_on_space()) RCS_TRY(compact(snapshot->index));
  if (state.torn)
    notes->push_back("the last write to " + path_of(segments_.back().number) +
                     " was cut at offset " + std::to_string(end_) + ", after entry " +
                     to_string(last_) + ": it was not finished when the machine stopped");
  if (needs_reset)
    notes->push_back("the log was replaced by the snapshot at entry " + to_string(snapshot->index));
  // The snapshot may have become durable before the term it came with (RC-01).
  const bool raise_term = snapshot && snapshot->term > hard_state_.term;
  if (raise_term) hard_state_ = {snapshot->term, NodeId()};
  RCS_TRY(begin_session(needs_reset ? snapshot : std::nullopt, raise_term));
  image->hard_state = hard_state_;
  image->snapshot = snapshot;
  image->entries = std::move(state.entries);
  return Status::ok();
}

Status LogFiles::reread_segments() {
  RCS_TRY(fs_.sync_directory(directory_));
  RCS_ASSIGN(names, fs_.list(directory_));
  for (const std::string& name : names) {
    uint64_t number = 0;
    if (!parse_segment_name(name, &number)) continue;
    RCS_ASSIGN(file, fs_.open(path_of(number), sys::OpenMode::read_write));
    RCS_TRY(file->sync_data());
    RCS_TRY(file->drop_cache());
  }
  return Status::ok();
}

Status LogFiles::adopt(LogState& state, std::vector<std::string>* notes) {
  segments_ = std::move(state.segments);
  end_ = state.end;
  end_checksum_ = state.end_checksum;
  session_ = state.session;
  hard_state_ = state.hard_state;
  last_ = state.last();
  last_term_ = state.last_term();
  for (const uint64_t number : state.obsolete) {
    RCS_TRY(fs_.remove(path_of(number)));
    notes->push_back("removed " + path_of(number) + ", left over from a compaction");
  }
  SegmentInfo& active = segments_.back();
  RCS_ASSIGN(file, fs_.open(path_of(active.number), sys::OpenMode::read_write));
  active_ = std::move(file);
  active.file_bytes =
      std::max(active.file_bytes / kSectorBytes * kSectorBytes, align_up(end_, kSectorBytes));
  for (const uint64_t number : state.prepared) {
    const uint64_t next = active.number + spares_.size() + 1;
    if (number != next || spares_.size() >= options_.spare_segments) {
      RCS_TRY(fs_.remove(path_of(number)));
      continue;
    }
    Spare spare;
    spare.number = number;
    RCS_ASSIGN(spare_file, fs_.open(path_of(number), sys::OpenMode::read_write));
    RCS_ASSIGN(size, spare_file->size());
    spare.file = std::move(spare_file);
    spare.prepared = size / kSectorBytes * kSectorBytes;
    spares_.push_back(std::move(spare));
  }
  RCS_TRY(fs_.sync_directory(directory_));
  count_bytes();
  return Status::ok();
}

// In the last segment even when that is full: a session start is one sector.
Status LogFiles::begin_session(const std::optional<raft::SnapshotMeta>& reset,
                               bool write_hard_state) {
  ++session_;
  WriteBatch batch;
  batch.reset_log = reset;
  if (write_hard_state) batch.hard_state = hard_state_;
  SegmentInfo& active = segments_.back();
  const uint64_t need = align_up(end_, kSectorBytes) + kSectorBytes;
  if (need > active.file_bytes) RCS_TRY(absorb(prepare(*active_, &active.file_bytes, need)));
  return commit(batch, true, false);
}

}  // namespace raftcs::storage
