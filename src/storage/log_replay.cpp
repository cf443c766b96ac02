// log_replay.cpp: see log_replay.hpp for the rules.
#include "storage/log_replay.hpp"

#include <algorithm>

namespace raftcs::storage {

Status LogReplay::corrupt(uint64_t number, uint64_t offset, const std::string& what) const {
  return {RAFTCS_ERR_CORRUPT, join_path(directory_, segment_name(number)) + " at offset " +
                                  std::to_string(offset) + ": " + what +
                                  " (the last good entry is " + to_string(state_.last()) + ")"};
}

Status LogReplay::add(const SegmentScan& scan) {
  if (scan.damaged) {
    if (scan.begun) RCS_TRY(replay(scan));  // so that the last good entry is known
    return corrupt(scan.number, scan.end,
                   "a record is damaged, and a later durable write begins at offset " +
                       std::to_string(scan.proof_offset));
  }
  if (!scan.begun) {
    state_.prepared.push_back(scan.number);
    return Status::ok();
  }
  if (!state_.prepared.empty())
    return corrupt(state_.prepared.front(), 0,
                   "the segment holds no log, but " + segment_name(scan.number) + " after it does");
  RCS_TRY(replay(scan));
  state_.segments.back().end = scan.end;
  state_.segments.back().end_checksum = scan.end_checksum;
  state_.end = scan.end;
  state_.end_checksum = scan.end_checksum;
  state_.session = scan.session;
  state_.torn = scan.torn;
  return Status::ok();
}

Status LogReplay::replay(const SegmentScan& scan) {
  RCS_TRY(begin_segment(scan));
  for (const ScannedRecord& record : scan.records) RCS_TRY(apply(scan, record));
  return Status::ok();
}

Status LogReplay::begin_segment(const SegmentScan& scan) {
  const RecordHeader& head = scan.records.front().header;
  const bool follows = !state_.segments.empty() && state_.segments.back().number + 1 == scan.number;
  if (follows) {
    const uint64_t before = state_.segments.back().number;
    if (head.a != state_.end || head.b != state_.end_checksum)
      return corrupt(before, std::min(state_.end, head.a),
                     "the segment was closed at offset " + std::to_string(head.a) +
                         ", but its records end at " + std::to_string(state_.end));
    if (scan.start.last != state_.last() || scan.start.hard_state != state_.hard_state)
      return corrupt(scan.number, 0, "the segment does not continue the one before");
  } else {
    for (const SegmentInfo& left : state_.segments) state_.obsolete.push_back(left.number);
    state_.segments.clear();
    state_.entries.clear();
    state_.base = scan.start.last;
    state_.base_term = scan.start.last_term;
    state_.hard_state = scan.start.hard_state;
  }
  state_.segments.push_back({scan.number, scan.file_bytes, Index(0), 0, 0});
  return Status::ok();
}

Status LogReplay::apply(const SegmentScan& scan, const ScannedRecord& record) {
  const RecordHeader& h = record.header;
  switch (h.kind) {
    case RecordKind::write:
    case RecordKind::segment:
      return Status::ok();
    case RecordKind::hard_state: {
      if (Term(h.b) < state_.hard_state.term)
        return corrupt(scan.number, record.offset, "the term goes back to " + std::to_string(h.b));
      state_.hard_state = {Term(h.b), NodeId(h.c)};
      return Status::ok();
    }
    case RecordKind::reset:
      reset(Index(h.a), Term(h.b));
      return Status::ok();
    case RecordKind::truncate:
      truncate(Index(h.a));
      return Status::ok();
    case RecordKind::entry:
      return apply_entry(scan, record);
  }
  return corrupt(scan.number, record.offset, "a record of unknown kind");
}

Status LogReplay::apply_entry(const SegmentScan& scan, const ScannedRecord& record) {
  const RecordHeader& h = record.header;
  if (Index(h.a) != state_.last().next())
    return corrupt(scan.number, record.offset,
                   "entry " + std::to_string(h.a) + " does not follow its predecessor");
  if (h.detail < 1 || h.detail > 3)
    return {RAFTCS_ERR_VERSION_MISMATCH, join_path(directory_, segment_name(scan.number)) +
                                             " at offset " + std::to_string(record.offset) +
                                             ": entry " + std::to_string(h.a) +
                                             " has unknown type " + std::to_string(h.detail)};
  raft::Entry entry;
  entry.index = Index(h.a);
  entry.term = Term(h.b);
  entry.time = LogTime{static_cast<int64_t>(h.c)};
  entry.type = static_cast<raft::EntryType>(h.detail);
  entry.payload = Bytes::copy(record.payload.data(), record.payload.size());
  state_.entries.push_back(std::move(entry));
  state_.segments.back().live_last = Index(h.a);
  return Status::ok();
}

void LogReplay::truncate(Index from) {
  if (from > state_.last()) return;
  if (from > state_.base) {
    state_.entries.resize(static_cast<size_t>(from - state_.base.next()));
  } else {
    // The entries below were in a segment that has been compacted away.
    state_.entries.clear();
    state_.base = from.prev();
    state_.base_term = Term(0);
  }
  for (SegmentInfo& s : state_.segments) s.live_last = std::min(s.live_last, from.prev());
}

void LogReplay::reset(Index index, Term term) {
  state_.entries.clear();
  state_.base = index;
  state_.base_term = term;
  for (SegmentInfo& s : state_.segments) s.live_last = Index(0);
}

Result<LogState> LogReplay::finish(const std::optional<raft::SnapshotMeta>& snapshot,
                                   bool* needs_reset) {
  *needs_reset = false;
  if (state_.segments.empty())
    return {RAFTCS_ERR_CORRUPT, "the directory " + directory_ +
                                    " holds no log: its segments, with term and vote, are gone"};
  const Index covered = snapshot ? snapshot->index : Index(0);
  if (state_.base > covered)
    return {RAFTCS_ERR_CORRUPT,
            join_path(directory_, segment_name(state_.segments.front().number)) +
                ": the log begins behind entry " + to_string(state_.base) + ", but the snapshot " +
                (snapshot ? "covers only entries up to " + to_string(covered) : "is missing")};
  if (!state_.entries.empty() && state_.last_term() > state_.hard_state.term)
    return {RAFTCS_ERR_CORRUPT, "the log in " + directory_ + " has term " +
                                    to_string(state_.last_term()) + ", but the stored term is " +
                                    to_string(state_.hard_state.term)};
  if (snapshot) {
    const bool short_of = state_.last() < covered;
    Term at_covered;
    if (!short_of)
      at_covered = covered == state_.base
                       ? state_.base_term
                       : state_.entries[static_cast<size_t>(covered - state_.base.next())].term;
    *needs_reset = short_of || (at_covered && at_covered != snapshot->term);
    if (*needs_reset) {
      reset(snapshot->index, snapshot->term);
    } else {
      const auto drop = static_cast<ptrdiff_t>(covered - state_.base);
      state_.entries.erase(state_.entries.begin(), state_.entries.begin() + drop);
      state_.base = covered;
      state_.base_term = snapshot->term;
    }
  }
  return std::move(state_);
}

Result<LogState> recover_log(sys::FileSystem& fs, const std::string& directory,
                             const Uuid& incarnation,
                             const std::optional<raft::SnapshotMeta>& snapshot, bool* needs_reset) {
  RCS_ASSIGN(names, fs.list(directory));
  LogReplay replay(directory);
  for (const std::string& name : names) {
    uint64_t number = 0;
    if (!parse_segment_name(name, &number)) continue;
    const std::string path = join_path(directory, name);
    RCS_ASSIGN(file, fs.open(path, sys::OpenMode::read));
    auto scan = scan_segment(*file, number, incarnation, replay.session());
    if (!scan) return scan.status().with_context(path);
    RCS_TRY(replay.add(*scan));
  }
  return replay.finish(snapshot, needs_reset);
}

}  // namespace raftcs::storage
