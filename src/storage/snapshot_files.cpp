// snapshot_files.cpp: see snapshot_files.hpp.
#include "storage/snapshot_files.hpp"

#include <algorithm>
#include <cstring>

#include "base/crc32c.hpp"
#include "base/mutant.hpp"
#include "storage/record.hpp"

namespace raftcs::storage {
namespace {

constexpr char kTakenSuffix[] = ".taken";        // being written here
constexpr char kReceivedSuffix[] = ".received";  // coming from another node
constexpr char kDamagedSuffix[] = ".damaged";    // passed over: the log holds what it covers
// Synced every so often, so that the last sync does not hold up the log's for seconds.
constexpr uint64_t kSyncEveryBytes = 4 << 20;
// A replaced one that is still open takes its space. Who is evicted begins again with the newest,
// which is open then.
constexpr size_t kSendingMax = 4;
constexpr uint64_t kIdlePublications = 16;  // more than a slow chunk may see go by

bool has_suffix(const std::string& name, const std::string& suffix) {
  return name.size() > suffix.size() &&
         name.compare(name.size() - suffix.size(), suffix.size(), suffix) == 0;
}

}  // namespace

// The file behind a snapshot in the making; removed unless published.
class SnapshotFiles::Writer final : public SnapshotWriter {
 public:
  Writer(SnapshotFiles& owner, const raft::SnapshotMeta& meta, std::string path)
      : owner_(owner),
        meta_(meta),
        path_(std::move(path)),
        body_offset_(encode_snapshot_header(meta).size()) {}

  ~Writer() override {
    if (!file_) return;
    file_.reset();
    // Nothing reaches the disk any more once storage has stopped; the next opening cleans up.
    if (!published_ && owner_.poison_.get()) (void)owner_.fs_.remove(path_).is_ok();
  }

  Status open() {
    RCS_ASSIGN(there, owner_.fs_.exists(path_));
    if (there) RCS_TRY(owner_.fs_.remove(path_));
    RCS_ASSIGN(file, owner_.fs_.open(path_, sys::OpenMode::create));
    file_ = std::move(file);
    return Status::ok();
  }

  Status write(const void* data, size_t size) override {
    RCS_TRY(owner_.poison_.get());
    if (failed_) return {RAFTCS_ERR_BAD_STATE, "writing " + path_ + " has failed before"};
    Status status = file_->write_at(body_offset_ + size_, data, size);
    if (status.is_ok()) {
      crc_ = crc32c(crc_, data, size);
      size_ += size;
      unsynced_ += size;
      if (unsynced_ >= kSyncEveryBytes) {
        status = file_->sync_data();
        unsynced_ = 0;
      }
    }
    failed_ = !status.is_ok();
    return owner_.absorb(std::move(status));
  }

  Result<raft::SnapshotMeta> publish() override {
    RCS_TRY(owner_.poison_.get());
    if (failed_ || published_) return {RAFTCS_ERR_BAD_STATE, path_ + " cannot be published"};
    meta_.size = size_;
    meta_.checksum = crc_;
    const Status status = owner_.absorb(seal());
    failed_ = !status.is_ok();
    RCS_TRY(status);
    published_ = true;  // renamed or not, the name is no longer this object's
    RCS_TRY(owner_.publish(path_, meta_));
    return meta_;
  }

  const raft::SnapshotMeta& meta() const { return meta_; }
  uint64_t size() const { return size_; }
  uint32_t checksum() const { return crc_; }

 private:
  Status seal() {
    const Bytes header = encode_snapshot_header(meta_);
    const Bytes trailer = encode_snapshot_trailer(meta_);
    RCS_TRY(file_->write_at(body_offset_ + size_, trailer.data(), trailer.size()));
    RCS_TRY(file_->write_at(0, header.data(), header.size()));
    return RCS_MUTANT("SN-09") ? Status::ok() : file_->sync_data();
  }

  SnapshotFiles& owner_;
  raft::SnapshotMeta meta_;
  const std::string path_;
  const uint64_t body_offset_;
  std::unique_ptr<sys::File> file_;
  uint64_t size_ = 0, unsynced_ = 0;
  uint32_t crc_ = 0;
  bool failed_ = false, published_ = false;
};

class SnapshotFiles::Reader final : public SnapshotReader {
 public:
  explicit Reader(SnapshotFile snapshot) : snapshot_(std::move(snapshot)) {}
  Result<size_t> read(void* out, size_t size) override {
    const auto n = static_cast<size_t>(std::min<uint64_t>(size, snapshot_.meta.size - at_));
    RCS_TRY(read_snapshot_body(snapshot_, at_, out, n));
    at_ += n;
    return n;
  }
  const raft::SnapshotMeta& meta() const override { return snapshot_.meta; }

 private:
  SnapshotFile snapshot_;
  uint64_t at_ = 0;
};

SnapshotFiles::SnapshotFiles(sys::FileSystem& fs, std::string directory, Poison& poison)
    : fs_(fs), directory_(std::move(directory)), poison_(poison) {}
SnapshotFiles::~SnapshotFiles() = default;

std::string SnapshotFiles::path_of(Index index) const {
  return join_path(directory_, snapshot_name(index));
}

Status SnapshotFiles::absorb(Status status) {
  if (status.is_ok() || status.code() == RAFTCS_ERR_NO_SPACE) return status;
  return poison_.set(std::move(status));
}

Status SnapshotFiles::open(std::vector<std::string>* notes) {
  RCS_ASSIGN(names, fs_.list(directory_));
  std::vector<Index> found;
  for (const std::string& name : names) {
    Index index;
    if (parse_snapshot_name(name, &index)) found.push_back(index);
  }
  std::sort(found.begin(), found.end());
  while (!found.empty() && !latest_) {
    const Index index = found.back();
    RCS_ASSIGN(header, open_snapshot_header(fs_, path_of(index), index));
    auto file = open_snapshot_file(fs_, path_of(index), index);
    Status status = file ? verify_snapshot_body(*file) : file.status();
    if (status.code() == RAFTCS_ERR_CORRUPT && !damaged_) {
      damaged_ = Damaged{header.meta, std::move(status)};
      found.pop_back();
      continue;
    }
    RCS_TRY(status);
    // A killed process may have renamed it without the directory's sync.
    RCS_TRY(fs_.sync_directory(directory_));
    latest_ = file->meta;
    published_.store(index.value, std::memory_order_release);
    found.pop_back();
  }
  if (latest_ && !damaged_) {
    for (const Index old : found) {
      RCS_TRY(fs_.remove(path_of(old)));
      notes->push_back("removed " + path_of(old) + ", replaced by a later snapshot");
    }
  }
  return tidy_up(names, notes);
}

// Leftovers of snapshots in the making, and a damaged one that is not needed any more.
Status SnapshotFiles::tidy_up(const std::vector<std::string>& names,
                              std::vector<std::string>* notes) {
  for (const std::string& name : names) {
    const std::string path = join_path(directory_, name);
    Index index;
    if (has_suffix(name, kDamagedSuffix) && latest_ &&
        parse_snapshot_name(name.substr(0, name.size() - std::strlen(kDamagedSuffix)), &index) &&
        index <= latest_->index) {
      RCS_TRY(fs_.remove(path));
      notes->push_back("removed " + path + ", a damaged snapshot, replaced by a later one");
    }
    if (!has_suffix(name, kTakenSuffix) && !has_suffix(name, kReceivedSuffix)) continue;
    RCS_TRY(fs_.remove(path));
    notes->push_back("removed " + path + ", an unfinished snapshot");
  }
  return Status::ok();
}

Status SnapshotFiles::set_damaged_aside(std::vector<std::string>* notes) {
  const std::string path = path_of(damaged_->meta.index);
  RCS_TRY(fs_.rename(path, path + kDamagedSuffix));
  RCS_TRY(fs_.sync_directory(directory_));
  notes->push_back(damaged_->status.text() +
                   "; the log holds all that it covers, so it is not needed: it was renamed to " +
                   path + kDamagedSuffix);
  damaged_.reset();
  return Status::ok();
}

Status SnapshotFiles::publish(const std::string& temporary, const raft::SnapshotMeta& meta) {
  ++publications_;
  // What is left of a transfer that this one makes needless.
  if (receiving_ && receiving_->meta().index <= meta.index) receiving_.reset();
  RCS_TRY(absorb(fs_.rename(temporary, path_of(meta.index))));
  Status synced = RCS_MUTANT("PS-04") ? Status::ok() : fs_.sync_directory(directory_);
  if (!synced) return poison_.set({RAFTCS_ERR_IO, synced.text()});
  std::optional<raft::SnapshotMeta> before;
  {
    std::lock_guard lock(latest_lock_);
    before = std::exchange(latest_, meta);
  }
  published_.store(meta.index.value, std::memory_order_release);
  // Nobody tells when a transfer is over, and an open file keeps its space.
  std::erase_if(sending_,
                [&](const Sending& s) { return publications_ - s.read_at > kIdlePublications; });
  // An open handle of the one before still reads it: a transfer under way can finish.
  if (before && before->index < meta.index) return absorb(fs_.remove(path_of(before->index)));
  return Status::ok();
}

Result<std::unique_ptr<SnapshotWriter>> SnapshotFiles::begin(const raft::SnapshotMeta& meta) {
  RCS_TRY(poison_.get());
  if (latest_ && meta.index < latest_->index)
    return {RAFTCS_ERR_BAD_STATE, "there is a snapshot at entry " + to_string(latest_->index) +
                                      " already, later than " + to_string(meta.index)};
  auto writer = std::make_unique<Writer>(*this, meta, path_of(meta.index) + kTakenSuffix);
  RCS_TRY(absorb(writer->open()));
  return std::unique_ptr<SnapshotWriter>(std::move(writer));
}

Result<std::unique_ptr<SnapshotReader>> SnapshotFiles::read(Index index) {
  const std::optional<raft::SnapshotMeta> latest_now = latest();
  if (!latest_now || latest_now->index != index)
    return {RAFTCS_ERR_NOT_FOUND, "there is no snapshot at entry " + to_string(index)};
  RCS_ASSIGN(snapshot, open_snapshot_file(fs_, path_of(index), index));
  RCS_TRY(verify_snapshot_body(snapshot));
  return std::unique_ptr<SnapshotReader>(std::make_unique<Reader>(std::move(snapshot)));
}

// Several peers may be sent different ones: a peer that does not answer begins again with the
// newest, and must not end the transfer of one that does (simulator seed 629671).
Result<SnapshotFile*> SnapshotFiles::file_to_send(Index index) {
  const bool is_latest = latest_ && latest_->index == index;
  // One that was made again in its place is another file: the one before may be damaged.
  std::erase_if(sending_, [&](const Sending& s) {
    return s.file.meta.index == index && is_latest && s.publication != publications_;
  });
  auto it = std::find_if(sending_.begin(), sending_.end(),
                         [&](const Sending& s) { return s.file.meta.index == index; });
  if (it != sending_.end()) {
    std::rotate(it, it + 1, sending_.end());
    sending_.back().read_at = publications_;
    return &sending_.back().file;
  }
  if (!is_latest)
    return {RAFTCS_ERR_NOT_FOUND, "there is no snapshot at entry " + to_string(index)};
  RCS_ASSIGN(snapshot, open_snapshot_file(fs_, path_of(index), index));
  RCS_TRY(verify_snapshot_body(snapshot));
  if (sending_.size() == kSendingMax) sending_.erase(sending_.begin());
  sending_.push_back({std::move(snapshot), publications_, publications_});
  return &sending_.back().file;
}

Result<DataDir::Chunk> SnapshotFiles::read_chunk(Index index, uint64_t offset, uint64_t size_max) {
  RCS_ASSIGN(file, file_to_send(index));
  if (offset > file->meta.size)
    return {RAFTCS_ERR_INVALID_ARGUMENT,
            "offset " + std::to_string(offset) + " is behind the snapshot"};
  std::vector<uint8_t> data(static_cast<size_t>(std::min(size_max, file->meta.size - offset)));
  const Status read = read_snapshot_body(*file, offset, data.data(), data.size());
  if (!read.is_ok()) sending_.pop_back();
  RCS_TRY(read);
  DataDir::Chunk chunk;
  chunk.last = offset + data.size() == file->meta.size;
  chunk.data = Bytes::adopt(std::move(data));
  return chunk;
}

Result<DataDir::ChunkWritten> SnapshotFiles::write_chunk(const raft::SnapshotMeta& meta,
                                                         uint64_t offset, const Bytes& data,
                                                         bool last) {
  RCS_TRY(poison_.get());
  if (latest_ && *latest_ == meta) return DataDir::ChunkWritten{meta.size, true};
  if (latest_ && meta.index < latest_->index) return DataDir::ChunkWritten{0, false};
  if (!receiving_ || receiving_->meta() != meta) {
    if (offset != 0) return DataDir::ChunkWritten{0, false};
    receiving_.reset();
    auto writer = std::make_unique<Writer>(*this, meta, path_of(meta.index) + kReceivedSuffix);
    RCS_TRY(absorb(writer->open()));
    receiving_ = std::move(writer);
  }
  if (offset == receiving_->size()) {
    const bool too_much = data.size() > meta.size - offset;
    const bool wrong_end = last != (offset + data.size() == meta.size);
    if (too_much || wrong_end) {
      receiving_.reset();
      return DataDir::ChunkWritten{0, false};
    }
    const Status status = receiving_->write(data.data(), data.size());
    if (!status.is_ok()) {
      receiving_.reset();
      return status;
    }
  }
  if (receiving_->size() != meta.size) return DataDir::ChunkWritten{receiving_->size(), false};
  const Status status = finish_receiving();
  if (status.code() == RAFTCS_ERR_CHECKSUM) return DataDir::ChunkWritten{0, false};
  RCS_TRY(status);
  return DataDir::ChunkWritten{meta.size, true};
}

// All bytes are there: verify, then publish.
Status SnapshotFiles::finish_receiving() {
  const std::unique_ptr<Writer> writer = std::move(receiving_);
  if (writer->checksum() != writer->meta().checksum)
    return {RAFTCS_ERR_CHECKSUM, "the snapshot received does not have the checksum announced"};
  RCS_ASSIGN(published, writer->publish());
  (void)published;
  return Status::ok();
}

}  // namespace raftcs::storage
