// scrub.cpp: see scrub.hpp.
//
// The page cache is dropped before a closed file is read: what it holds says nothing of the disk.
// Of the segment that is written to it is kept: the log lane would have to read every page again.
#include "storage/scrub.hpp"

#include <algorithm>

#include "base/crc32c.hpp"

namespace raftcs::storage {
namespace {

constexpr size_t kBufferBytes = 64 << 10;

}  // namespace

Scrubber::Scrubber(sys::FileSystem& fs, std::string directory, const Uuid& incarnation,
                   SnapshotFiles& snapshots, const Poison& poison)
    : fs_(fs),
      directory_(std::move(directory)),
      incarnation_(incarnation),
      snapshots_(snapshots),
      poison_(poison) {}

ScrubSlice Scrubber::read(const ScrubTarget& target, uint64_t bytes_max) {
  ScrubSlice nothing;
  nothing.done = true;
  if (!poison_.get()) return nothing;  // that is told already
  if (target != target_) forget();
  target_ = target;
  buffer_.resize(kBufferBytes);
  ScrubSlice slice =
      target.segment != 0 ? read_segment(target, bytes_max) : read_snapshot(bytes_max);
  if (slice.done) forget();
  return slice;
}

void Scrubber::forget() {
  file_.reset();
  walk_.reset();
  snapshot_.reset();
  target_ = {};
}

// The words are those of opening (log_replay.cpp).
ScrubSlice Scrubber::segment_finding(const ScrubTarget& target, const std::string& what) {
  ScrubFinding found;
  found.segment = target.segment;
  found.file = join_path(directory_, segment_name(target.segment));
  found.offset = walk_ ? walk_->good_end() : 0;
  found.last_good = walk_ ? walk_->last_good() : Index();
  found.text = found.file + " at offset " + std::to_string(found.offset) + ": " + what;
  // Before its first record nothing is known of the log before the segment.
  if (found.offset != 0)
    found.text += " (the last good entry is " + to_string(found.last_good) + ")";
  ScrubSlice slice;
  slice.done = true;
  slice.found = std::move(found);
  return slice;
}

ScrubSlice Scrubber::read_segment(const ScrubTarget& target, uint64_t bytes_max) {
  if (!walk_) {
    auto file = fs_.open(join_path(directory_, segment_name(target.segment)), sys::OpenMode::read);
    if (!file) return segment_finding(target, "it cannot be read: " + file.status().text());
    file_ = std::move(*file);
    walk_.emplace(incarnation_, target.segment, target.end, target.end_checksum);
  }
  if (!target.open) (void)file_->drop_cache().is_ok();
  ScrubSlice slice;
  while (slice.bytes < bytes_max && !walk_->done()) {
    const uint64_t at = walk_->position();
    const uint64_t want =
        std::min({uint64_t{kBufferBytes}, bytes_max - slice.bytes, target.end - at});
    auto got = file_->read_at(at, buffer_.data(), static_cast<size_t>(want));
    if (!got) return segment_finding(target, "it cannot be read: " + got.status().text());
    if (*got == 0) return segment_finding(target, "the file is too short");
    slice.bytes += *got;
    if (!walk_->feed(buffer_.data(), *got)) return segment_finding(target, "a record is damaged");
  }
  slice.done = walk_->done();
  return slice;
}

ScrubSlice Scrubber::read_snapshot(uint64_t bytes_max) {
  ScrubSlice slice;
  const std::optional<raft::SnapshotMeta> latest = snapshots_.latest();
  if (!latest) {
    slice.done = true;
    return slice;
  }
  const auto found = [&](const Status& status, uint64_t offset) {
    ScrubFinding finding;
    finding.snapshot = latest->index;
    finding.file = join_path(directory_, snapshot_name(latest->index));
    finding.offset = offset;
    finding.text = status.text();
    if (finding.text.find(finding.file) == std::string::npos)
      finding.text = finding.file + ": " + finding.text;
    ScrubSlice out;
    out.done = true;
    out.found = std::move(finding);
    return out;
  };
  if (publication_ != snapshots_.publications()) snapshot_.reset();  // there is another one now
  publication_ = snapshots_.publications();
  if (!snapshot_) {
    auto opened = open_snapshot_file(fs_, join_path(directory_, snapshot_name(latest->index)),
                                     latest->index);
    if (!opened) return found(opened.status(), 0);
    if (opened->meta != *latest)
      return found({RAFTCS_ERR_CORRUPT, "the header of the snapshot is another one's"}, 0);
    snapshot_ = std::move(*opened);
    snapshot_at_ = 0;
    snapshot_crc_ = 0;
  }
  (void)snapshot_->file->drop_cache().is_ok();
  while (slice.bytes < bytes_max && snapshot_at_ < snapshot_->meta.size) {
    const auto n = static_cast<size_t>(std::min(
        {uint64_t{kBufferBytes}, bytes_max - slice.bytes, snapshot_->meta.size - snapshot_at_}));
    const Status status = read_snapshot_body(*snapshot_, snapshot_at_, buffer_.data(), n);
    if (!status.is_ok()) return found(status, snapshot_->body_offset + snapshot_at_);
    snapshot_crc_ = crc32c(snapshot_crc_, buffer_.data(), n);
    snapshot_at_ += n;
    slice.bytes += n;
  }
  slice.done = snapshot_at_ == snapshot_->meta.size;
  if (slice.done && snapshot_crc_ != snapshot_->meta.checksum)
    return found(damaged_body(*snapshot_), snapshot_->body_offset);
  return slice;
}

}  // namespace raftcs::storage
