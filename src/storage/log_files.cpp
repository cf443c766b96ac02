// log_files.cpp: writing, rolling, preparing and compacting; see log_files.hpp.
#include "storage/log_files.hpp"

#include <algorithm>

#include "base/mutant.hpp"
#include "storage/write_encoder.hpp"

namespace raftcs::storage {
namespace {

constexpr uint32_t kIdleSkipsMax = 255;
alignas(4096) constexpr uint8_t kZeros[256 << 10] = {};

Status write_zeros(sys::File& file, uint64_t from, uint64_t to) {
  while (from < to) {
    const uint64_t size = std::min<uint64_t>(to - from, sizeof kZeros);
    RCS_TRY(file.write_at(from, kZeros, static_cast<size_t>(size)));
    from += size;
  }
  return file.sync_data();
}

// Room that only hard state may use, so that a node with a full disk can still vote.
uint64_t vote_reserve_bytes(const Options& options) {
  return std::min(kVoteReserveBytes, align_up(options.segment_bytes / 8, kSectorBytes));
}

}  // namespace

LogFiles::LogFiles(sys::FileSystem& fs, std::string directory, const Options& options,
                   const Uuid& incarnation, Poison& poison)
    : fs_(fs),
      directory_(std::move(directory)),
      options_(options),
      incarnation_(incarnation),
      poison_(poison) {}

// An empty write behind the last one: it proves at the next opening that the last one was
// durable, so that damage to it is told from a torn write. It needs no sync of its own.
LogFiles::~LogFiles() {
  if (!active_ || !wrote_ || !poison_.get()) return;
  const WriteBatch nothing;
  const uint64_t start = align_up(end_, kSectorBytes);
  if (start + kSectorBytes > segments_.back().file_bytes) return;
  const RecordSeed seed(incarnation_, segments_.back().number);
  const WriteEncoder encoder(buffer_, seed, {start, session_, false, end_, end_checksum_, nullptr},
                             nothing);
  (void)active_->write_pieces_at(start, encoder.pieces()).is_ok();
}

Status LogFiles::create_first(sys::FileSystem& fs, const std::string& path,
                              const Uuid& incarnation) {
  RCS_ASSIGN(file, fs.open(path, sys::OpenMode::create));
  SegmentStart start;
  start.number = 1;
  start.incarnation = incarnation;
  std::vector<uint8_t> buffer;
  const RecordSeed seed(incarnation, 1);
  const WriteEncoder encoder(buffer, seed, {0, 1, true, 0, 0, &start}, WriteBatch());
  RCS_TRY(file->write_pieces_at(0, encoder.pieces()));
  return file->sync_data();
}

Status LogFiles::absorb(Status status) {
  if (status.is_ok() || status.code() == RAFTCS_ERR_NO_SPACE) return status;
  return poison_.set(std::move(status));
}

Status LogFiles::write(const WriteBatch& batch) {
  RCS_TRY(poison_.get());
  if (!batch.hard_state && !batch.reset_log && !batch.truncate_from && batch.append.empty())
    return Status::ok();
  RCS_TRY(check(batch));
  RCS_TRY(check_space(batch));
  bool roll = false;
  RCS_TRY(absorb(make_room(batch, &roll)));
  RCS_TRY(commit(batch, false, roll));
  wrote_ = true;
  return Status::ok();
}

// What is refused here could not be recovered; it is a fault of the caller.
Status LogFiles::check(const WriteBatch& batch) const {
  raft::HardState hard_state = batch.hard_state.value_or(hard_state_);
  if (hard_state.term < hard_state_.term)
    return {RAFTCS_ERR_INTERNAL, "a write would set the term back"};
  Index last = last_;
  if (batch.reset_log) last = batch.reset_log->index;
  if (batch.truncate_from) {
    if (!*batch.truncate_from) return {RAFTCS_ERR_INTERNAL, "a write would remove entry 0"};
    last = std::min(last, batch.truncate_from->prev());
  }
  for (const raft::Entry& e : batch.append) {
    if (e.index != last.next())
      return {RAFTCS_ERR_INTERNAL,
              "entry " + to_string(e.index) + " was to be written after entry " + to_string(last)};
    if (e.term > hard_state.term)
      return {RAFTCS_ERR_INTERNAL,
              "entry " + to_string(e.index) + " has a later term than the node"};
    if (e.payload.size() > kRecordBytesMax)
      return {RAFTCS_ERR_TOO_LARGE, "entry " + to_string(e.index) + " is over 1 GiB"};
    last = e.index;
  }
  return Status::ok();
}

Status LogFiles::check_space(const WriteBatch& batch) const {
  if (options_.reserve_bytes == 0 || batch.append.empty()) return Status::ok();
  RCS_ASSIGN(free, fs_.free_bytes(directory_));
  if (free >= options_.reserve_bytes) return Status::ok();
  return {RAFTCS_ERR_NO_SPACE, directory_ + " has " + std::to_string(free) +
                                   " bytes free, below the " +
                                   std::to_string(options_.reserve_bytes) + " kept in reserve"};
}

Status LogFiles::make_room(const WriteBatch& batch, bool* roll) {
  const uint64_t reserve = batch.append.empty() ? 0 : vote_reserve_bytes(options_);
  SegmentInfo& active = segments_.back();
  const uint64_t need =
      align_up(end_, kSectorBytes) + align_up(write_bytes(batch, false), kSectorBytes) + reserve;
  *roll = need > std::max(options_.segment_bytes, active.file_bytes);
  if (!*roll)
    return need <= active.file_bytes ? Status::ok() : prepare(*active_, &active.file_bytes, need);
  return make_room_in_next(batch, reserve);
}

Status LogFiles::make_room_in_next(const WriteBatch& batch, uint64_t reserve) {
  if (spares_.empty()) RCS_TRY(add_spare());
  Spare& spare = spares_.front();
  const uint64_t need_there = align_up(write_bytes(batch, true), kSectorBytes) + reserve;
  return need_there <= spare.prepared ? Status::ok()
                                      : prepare(*spare.file, &spare.prepared, need_there);
}

// Writes zeros behind *prepared, at least to `up_to`, and makes them durable.
Status LogFiles::prepare(sys::File& file, uint64_t* prepared, uint64_t up_to) {
  const uint64_t step = std::min(*prepared + kPrepareBytes, options_.segment_bytes);
  const uint64_t target = align_up(std::max(up_to, step), kSectorBytes);
  RCS_TRY(write_zeros(file, *prepared, target));
  *prepared = target;
  count_bytes();
  return Status::ok();
}

Status LogFiles::add_spare() {
  Spare spare;
  spare.number = (spares_.empty() ? segments_.back().number : spares_.back().number) + 1;
  const std::string path = path_of(spare.number);
  RCS_ASSIGN(file, fs_.open(path, sys::OpenMode::create));
  spare.file = std::move(file);
  Status status = prepare(*spare.file, &spare.prepared, kSectorBytes);
  if (status.is_ok() && !RCS_MUTANT("PS-04")) status = fs_.sync_directory(directory_);
  if (!status.is_ok()) {
    spare.file.reset();
    // With the disk full this gives back what it took; else the next opening removes it.
    if (status.code() == RAFTCS_ERR_NO_SPACE) RCS_TRY(fs_.remove(path));
    return status;
  }
  spares_.push_back(std::move(spare));
  count_bytes();
  return Status::ok();
}

Status LogFiles::commit(const WriteBatch& batch, bool begins_session, bool roll) {
  SegmentStart start;
  if (roll) {
    start.number = spares_.front().number;
    start.incarnation = incarnation_;
    start.last = last_;
    start.last_term = last_term_;
    start.hard_state = hard_state_;
    if (RCS_MUTANT("EL-04")) start.hard_state.vote = NodeId();
  }
  const RecordSeed seed(incarnation_, roll ? start.number : segments_.back().number);
  const WriteEncoder::Place place{roll ? 0 : align_up(end_, kSectorBytes),
                                  session_,
                                  begins_session,
                                  end_,
                                  end_checksum_,
                                  roll ? &start : nullptr};
  const WriteEncoder encoder(buffer_, seed, place, batch);
  sys::File& file = roll ? *spares_.front().file : *active_;
  Status status = file.write_pieces_at(place.offset, encoder.pieces());
  if (status.is_ok()) status = file.sync_data();
  if (RCS_MUTANT("PS-02") && !status.is_ok()) status = file.sync_data();
  // Even "no space": parts of the write may be there, so nothing may follow it.
  if (!status.is_ok()) return poison_.set({RAFTCS_ERR_IO, status.text()});
  if (roll) {
    Spare& spare = spares_.front();
    segments_.back().end = end_;
    segments_.back().end_checksum = end_checksum_;
    segments_.push_back({spare.number, spare.prepared, Index(0), 0, 0});
    active_ = std::move(spare.file);
    spares_.pop_front();
  }
  end_ = encoder.end();
  end_checksum_ = encoder.end_checksum();
  account(batch);
  return Status::ok();
}

void LogFiles::account(const WriteBatch& batch) {
  if (batch.hard_state) hard_state_ = *batch.hard_state;
  if (batch.reset_log) {
    last_ = batch.reset_log->index;
    last_term_ = batch.reset_log->term;
    for (SegmentInfo& s : segments_) s.live_last = Index(0);
  }
  if (batch.truncate_from && *batch.truncate_from <= last_) {
    last_ = batch.truncate_from->prev();
    last_term_ = Term(0);  // unknown here; told to a new segment as such
    for (SegmentInfo& s : segments_) s.live_last = std::min(s.live_last, last_);
  }
  if (!batch.append.empty()) {
    last_ = batch.append.back().index;
    last_term_ = batch.append.back().term;
    segments_.back().live_last = last_;
  }
}

Status LogFiles::compact(Index up_to) {
  RCS_TRY(poison_.get());
  bool removed = false;
  while (segments_.size() > 1 && segments_.front().live_last <= up_to) {
    const SegmentInfo oldest = segments_.front();
    const Status gone = absorb(retire(oldest.number, oldest.file_bytes));
    if (gone.code() == RAFTCS_ERR_NO_SPACE) break;  // the next compaction tries again
    RCS_TRY(gone);
    std::erase(damaged_, oldest.number);
    segments_.erase(segments_.begin());
    removed = true;
  }
  count_bytes();
  if (!removed) return Status::ok();
  // Even "no space": it is not tried again, and a recycled segment has a name that may go.
  Status synced = fs_.sync_directory(directory_);
  return synced.is_ok() ? synced : poison_.set({RAFTCS_ERR_IO, synced.text()});
}

// Recycles a segment by giving it the next number, or removes it. The caller syncs the
// directory; until then a crash may leave the old name, which recovery passes over.
Status LogFiles::retire(uint64_t number, uint64_t file_bytes) {
  const bool damaged = std::find(damaged_.begin(), damaged_.end(), number) != damaged_.end();
  if (damaged || spares_.size() >= options_.spare_segments ||
      file_bytes > options_.segment_bytes || is_low_on_space())
    return fs_.remove(path_of(number));
  Spare spare;
  spare.number = (spares_.empty() ? segments_.back().number : spares_.back().number) + 1;
  const std::string path = path_of(spare.number);
  const Status renamed = fs_.rename(path_of(number), path);
  if (renamed.code() == RAFTCS_ERR_NO_SPACE) return fs_.remove(path_of(number));
  RCS_TRY(renamed);
  RCS_ASSIGN(file, fs_.open(path, sys::OpenMode::read_write));
  spare.file = std::move(file);
  spare.prepared = file_bytes;
  spares_.push_back(std::move(spare));
  return Status::ok();
}

// Then a segment does more good as space than as a spare.
bool LogFiles::is_low_on_space() const {
  if (options_.reserve_bytes == 0) return false;
  auto free = fs_.free_bytes(directory_);
  return free && *free < options_.reserve_bytes;
}

std::vector<ScrubTarget> LogFiles::segments() const {
  std::vector<ScrubTarget> out;
  for (const SegmentInfo& s : segments_) out.push_back({s.number, s.end, s.end_checksum, false});
  out.back() = {segments_.back().number, end_, end_checksum_, true};
  return out;
}

// The next segment begins with a write that holds nothing else, and says where this one ends.
Status LogFiles::leave(uint64_t number) {
  RCS_TRY(poison_.get());
  if (number < first_segment() || number > segments_.back().number) return Status::ok();
  if (number == segments_.back().number) {
    RCS_TRY(absorb(make_room_in_next(WriteBatch(), 0)));
    RCS_TRY(commit(WriteBatch(), false, true));
    wrote_ = true;
  }
  std::erase(damaged_, number);
  damaged_.push_back(number);
  return Status::ok();
}

bool LogFiles::prepare_ahead() {
  if (!poison_.get()) return false;
  // On a full disk each try writes up to 1 MiB for nothing, beside commands that have room still.
  if (idle_to_skip_ > 0) {
    --idle_to_skip_;
    return false;
  }
  if (options_.reserve_bytes > 0) {
    auto free = fs_.free_bytes(directory_);
    if (!free || *free < options_.reserve_bytes + kPrepareBytes) return false;
  }
  SegmentInfo& active = segments_.back();
  Status status;
  if (active.file_bytes < options_.segment_bytes)
    status = prepare(*active_, &active.file_bytes, active.file_bytes + kSectorBytes);
  else if (spares_.size() < options_.spare_segments)
    status = add_spare();
  else if (!spares_.empty() && spares_.back().prepared < options_.segment_bytes)
    status = prepare(*spares_.back().file, &spares_.back().prepared,
                     spares_.back().prepared + kSectorBytes);
  else
    return false;
  status = absorb(std::move(status));
  const bool full = status.code() == RAFTCS_ERR_NO_SPACE;
  idle_skipped_ = full ? std::min(2 * idle_skipped_ + 1, kIdleSkipsMax) : 0;
  idle_to_skip_ = idle_skipped_;
  return status.is_ok();
}

void LogFiles::count_bytes() {
  uint64_t total = 0;
  for (const SegmentInfo& s : segments_) total += s.file_bytes;
  for (const Spare& s : spares_) total += s.prepared;
  bytes_.store(total, std::memory_order_relaxed);
}

}  // namespace raftcs::storage
