// sim_disk.cpp: see sim_disk.hpp.
#include "tests/support/sim_disk.hpp"

#include <algorithm>
#include <cstring>

namespace raftcs::sim {

using Sector = std::array<uint8_t, kSimSectorBytes>;

struct SimDisk::Inode {
  uint64_t id = 0;
  std::vector<uint8_t> durable;
  uint64_t size = 0;                   // as the process sees it
  std::map<uint64_t, Sector> pending;  // by sector number
  std::map<uint64_t, Sector> lost;     // clean after a failed sync, not on the disk
  bool size_lost = false;

  Sector durable_sector(uint64_t number) const {
    Sector s{};
    const uint64_t at = number * kSimSectorBytes;
    if (at < durable.size())
      std::memcpy(s.data(), durable.data() + at,
                  std::min<uint64_t>(kSimSectorBytes, durable.size() - at));
    return s;
  }
  Sector sector(uint64_t number) const {
    if (auto it = pending.find(number); it != pending.end()) return it->second;
    if (auto it = lost.find(number); it != lost.end()) return it->second;
    return durable_sector(number);
  }
  void put_durable(uint64_t number, const Sector& s, uint64_t size_max) {
    const uint64_t at = number * kSimSectorBytes;
    if (at >= size_max) return;
    const uint64_t end = std::min(size_max, at + kSimSectorBytes);
    if (durable.size() < end) durable.resize(static_cast<size_t>(end), 0);
    std::memcpy(durable.data() + at, s.data(), static_cast<size_t>(end - at));
  }
  void sync() {
    for (const auto& [number, s] : pending) put_durable(number, s, size);
    durable.resize(static_cast<size_t>(size), 0);
    pending.clear();
    size_lost = false;
  }
  bool size_pending() const { return size != durable.size() && !size_lost; }
};

struct SimDisk::State {
  SimDisk* disk = nullptr;  // null when it is gone
  uint64_t epoch = 0;       // handles of an older one are dead
};

class SimDisk::Handle final : public sys::File {
 public:
  Handle(std::shared_ptr<State> state, InodePtr inode, std::string path, bool writable)
      : state_(std::move(state)),
        epoch_(state_->epoch),
        inode_(std::move(inode)),
        path_(std::move(path)),
        writable_(writable) {}

  Result<size_t> read_at(uint64_t offset, void* out, size_t size) override {
    RCS_TRY(enter(Call::read, false));
    if (offset >= inode_->size) return size_t{0};
    const auto n = static_cast<size_t>(std::min<uint64_t>(size, inode_->size - offset));
    auto* to = static_cast<uint8_t*>(out);
    for (size_t done = 0; done < n;) {
      const uint64_t at = offset + done, within = at % kSimSectorBytes;
      const auto part = static_cast<size_t>(std::min<uint64_t>(n - done, kSimSectorBytes - within));
      const Sector s = inode_->sector(at / kSimSectorBytes);
      std::memcpy(to + done, s.data() + within, part);
      done += part;
    }
    return n;
  }
  Status write_at(uint64_t offset, const void* data, size_t size) override {
    return write_pieces_at(offset, {{data, size}});
  }
  Status write_pieces_at(uint64_t offset, const std::vector<Piece>& pieces) override {
    RCS_TRY(enter(Call::write, true));
    if (!writable_) return {RAFTCS_ERR_IO, "writing " + path_ + ": opened for reading"};
    uint64_t total = 0;
    for (const Piece& p : pieces) total += p.size;
    const uint64_t end = std::max(inode_->size, offset + total);
    const SimDisk& disk = *state_->disk;
    if (disk.capacity_bytes_ && end > inode_->size &&
        disk.used_bytes() + (end - inode_->size) > *disk.capacity_bytes_)
      return {RAFTCS_ERR_NO_SPACE, "writing " + path_ + ": the simulated disk is full"};
    for (const Piece& p : pieces) {
      put(offset, static_cast<const uint8_t*>(p.data), p.size);
      offset += p.size;
    }
    if (end > inode_->size) inode_->size_lost = false;
    inode_->size = end;
    return Status::ok();
  }
  Status sync_data() override {
    const Status status = enter(Call::sync, true);
    if (!status.is_ok()) {
      if (alive() && !state_->disk->powered_off_) forget_pending();
      return status;
    }
    inode_->sync();
    return Status::ok();
  }
  Status truncate(uint64_t size) override {
    RCS_TRY(enter(Call::truncate, true));
    const uint64_t sectors = (size + kSimSectorBytes - 1) / kSimSectorBytes;
    inode_->pending.erase(inode_->pending.lower_bound(sectors), inode_->pending.end());
    inode_->size = size;
    return Status::ok();
  }
  Result<uint64_t> size() override {
    RCS_TRY(enter(Call::size, false));
    return inode_->size;
  }
  Status drop_cache() override {
    RCS_TRY(enter(Call::drop_cache, false));
    inode_->lost.clear();
    return Status::ok();
  }

 private:
  bool alive() const { return state_->disk != nullptr && state_->epoch == epoch_; }
  Status enter(Call call, bool change) {
    if (!alive()) return {RAFTCS_ERR_IO, path_ + ": the handle died with its process"};
    return state_->disk->enter(call, path_, change);
  }
  void put(uint64_t offset, const uint8_t* data, uint64_t size) {
    for (uint64_t done = 0; done < size;) {
      const uint64_t at = offset + done, number = at / kSimSectorBytes,
                     within = at % kSimSectorBytes;
      const uint64_t part = std::min(size - done, kSimSectorBytes - within);
      Sector s = inode_->sector(number);
      std::memcpy(s.data() + within, data + done, static_cast<size_t>(part));
      inode_->pending[number] = s;
      inode_->lost.erase(number);
      done += part;
    }
  }
  void forget_pending() {
    for (auto& [number, s] : inode_->pending) inode_->lost[number] = s;
    inode_->pending.clear();
    inode_->size_lost = inode_->size != inode_->durable.size();
  }

  std::shared_ptr<State> state_;
  const uint64_t epoch_;
  InodePtr inode_;
  const std::string path_;
  const bool writable_;
};

class SimDisk::LockHandle final : public sys::FileSystem::Lock {
 public:
  LockHandle(std::shared_ptr<State> state, std::string directory)
      : state_(std::move(state)), epoch_(state_->epoch), directory_(std::move(directory)) {}
  ~LockHandle() override {
    if (state_->disk != nullptr && state_->epoch == epoch_) state_->disk->locked_.erase(directory_);
  }

 private:
  std::shared_ptr<State> state_;
  const uint64_t epoch_;
  const std::string directory_;
};

namespace {

std::string directory_of(const std::string& path) {
  const size_t slash = path.find_last_of('/');
  return slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
}

}  // namespace

SimDisk::SimDisk() : state_(std::make_shared<State>()) { state_->disk = this; }
SimDisk::~SimDisk() { state_->disk = nullptr; }

std::unique_ptr<SimDisk> SimDisk::clone() const {
  auto copy = std::make_unique<SimDisk>();
  std::map<const Inode*, InodePtr> copies;
  const auto copy_of = [&](const InodePtr& inode) {
    if (!inode) return InodePtr();
    InodePtr& mine = copies[inode.get()];
    if (!mine) mine = std::make_shared<Inode>(*inode);
    return mine;
  };
  for (const auto& [path, inode] : current_) copy->current_[path] = copy_of(inode);
  for (const auto& [path, inode] : durable_) copy->durable_[path] = copy_of(inode);
  copy->changes_pending_ = changes_pending_;
  for (DirectoryChange& change : copy->changes_pending_) change.inode = copy_of(change.inode);
  copy->directories_ = directories_;
  copy->capacity_bytes_ = capacity_bytes_;
  copy->next_inode_ = next_inode_;
  return copy;
}

std::vector<SimDisk::InodePtr> SimDisk::inodes() const {
  std::map<uint64_t, InodePtr> all;
  for (const auto& [path, inode] : current_) all[inode->id] = inode;
  for (const auto& [path, inode] : durable_) all[inode->id] = inode;
  for (const DirectoryChange& change : changes_pending_)
    if (change.inode) all[change.inode->id] = change.inode;
  std::vector<InodePtr> out;
  for (auto& [id, inode] : all) out.push_back(inode);
  return out;
}

size_t SimDisk::pending_sectors() const {
  size_t count = 0;
  for (const InodePtr& inode : inodes()) count += inode->pending.size();
  return count;
}

size_t SimDisk::pending_count() const {
  size_t count = changes_pending_.size() + pending_sectors();
  for (const InodePtr& inode : inodes()) count += inode->size_pending() ? 1 : 0;
  return count;
}

void SimDisk::apply_change(const DirectoryChange& change) {
  if (!change.removed.empty()) {
    auto it = durable_.find(change.removed);
    if (it != durable_.end() && (!change.inode || it->second == change.inode)) durable_.erase(it);
  }
  if (!change.added.empty()) durable_[change.added] = change.inode;
}

void SimDisk::crash(const std::vector<Fate>& fates, uint64_t garbage_seed) {
  Prng garbage(garbage_seed);
  size_t next = 0;
  const auto fate = [&] { return next < fates.size() ? fates[next++] : Fate::lost; };
  const std::vector<InodePtr> all = inodes();
  for (const DirectoryChange& change : changes_pending_)
    if (fate() == Fate::kept) apply_change(change);
  changes_pending_.clear();
  for (const InodePtr& inode : all) {
    if (inode->size_pending() && fate() == Fate::kept)
      inode->durable.resize(static_cast<size_t>(inode->size), 0);
    for (auto& [number, written] : inode->pending) {
      Sector s = inode->durable_sector(number);
      switch (fate()) {
        case Fate::lost:
          continue;
        case Fate::kept:
          s = written;
          break;
        case Fate::half:
          std::memcpy(s.data(), written.data(), kSimSectorBytes / 2);
          break;
        case Fate::garbage:
          for (uint8_t& b : s) b = static_cast<uint8_t>(garbage.next());
          break;
      }
      inode->put_durable(number, s, std::max<uint64_t>(inode->size, inode->durable.size()));
    }
    inode->pending.clear();
    inode->lost.clear();
    inode->size_lost = false;
    inode->size = inode->durable.size();
  }
  current_ = durable_;
  kill_handles();
}

void SimDisk::crash(Prng& prng, const CrashProfile& profile) {
  std::vector<Fate> fates;
  const size_t ordered = static_cast<size_t>(prng.between(0, changes_pending_.size()));
  for (size_t i = 0; i < changes_pending_.size(); ++i)
    fates.push_back((profile.ordered_metadata ? i < ordered : prng.chance(0.5)) ? Fate::kept
                                                                                : Fate::lost);
  static constexpr Fate kHurt[] = {Fate::lost, Fate::half, Fate::garbage};
  while (fates.size() < pending_count())
    fates.push_back(prng.chance(profile.hurt) ? kHurt[prng.below(3)] : Fate::kept);
  crash(fates, prng.next());
}

void SimDisk::restart_process() { kill_handles(); }

void SimDisk::kill_handles() {
  ++state_->epoch;
  locked_.clear();
  powered_off_ = false;
  clear_faults();
}

void SimDisk::fail_nth(Call call, uint64_t nth, raftcs_status_t code) {
  if (code == RAFTCS_OK) code = call == Call::read ? RAFTCS_ERR_CORRUPT : RAFTCS_ERR_IO;
  fail_at_[call] = {calls(call) + nth, code};
}

void SimDisk::power_off_after(uint64_t changes) { changes_max_ = changes_ + changes; }

void SimDisk::clear_faults() {
  changes_max_.reset();
  fail_at_.clear();
}

bool SimDisk::flip(const std::string& path, uint64_t offset, uint8_t mask) {
  auto it = durable_.find(path);
  if (it == durable_.end() || offset >= it->second->durable.size()) return false;
  it->second->durable[static_cast<size_t>(offset)] ^= mask;
  return true;
}

void SimDisk::wipe() {
  current_.clear();
  durable_.clear();
  changes_pending_.clear();
  directories_.clear();
  kill_handles();
}

uint64_t SimDisk::used_bytes() const {
  uint64_t used = 0;
  for (const auto& [path, inode] : current_) used += inode->size;
  return used;
}

std::vector<std::string> SimDisk::files() const {
  std::vector<std::string> out;
  for (const auto& [path, inode] : current_) out.push_back(path);
  return out;
}

std::optional<std::vector<uint8_t>> SimDisk::contents(const std::string& path) const {
  auto it = current_.find(path);
  if (it == current_.end()) return std::nullopt;
  std::vector<uint8_t> out(static_cast<size_t>(it->second->size));
  for (size_t at = 0; at < out.size(); at += kSimSectorBytes) {
    const Sector s = it->second->sector(at / kSimSectorBytes);
    std::memcpy(out.data() + at, s.data(), std::min<size_t>(kSimSectorBytes, out.size() - at));
  }
  return out;
}

Status SimDisk::enter(Call call, const std::string& path, bool change) {
  const uint64_t count = ++calls_[static_cast<size_t>(call)];
  if (change && changes_max_ && changes_ >= *changes_max_) powered_off_ = true;
  if (powered_off_) return {RAFTCS_ERR_IO, path + ": the simulated machine is off"};
  if (change) ++changes_;
  auto it = fail_at_.find(call);
  if (it == fail_at_.end() || it->second.at != count) return Status::ok();
  const raftcs_status_t code = it->second.code;
  fail_at_.erase(it);
  return {code, path + ": injected input/output error"};
}

Result<std::unique_ptr<sys::File>> SimDisk::open(const std::string& path, sys::OpenMode mode) {
  const bool create = mode == sys::OpenMode::create;
  RCS_TRY(enter(Call::open, path, create));
  auto it = current_.find(path);
  if (create) {
    if (it != current_.end()) return {RAFTCS_ERR_IO, "creating " + path + ": it exists"};
    if (directories_.count(directory_of(path)) == 0)
      return {RAFTCS_ERR_IO, "creating " + path + ": no directory"};
    auto inode = std::make_shared<Inode>();
    inode->id = next_inode_++;
    it = current_.emplace(path, inode).first;
    changes_pending_.push_back({directory_of(path), "", path, inode});
  }
  if (it == current_.end()) return {RAFTCS_ERR_IO, "opening " + path + ": no such file"};
  return std::unique_ptr<sys::File>(
      std::make_unique<Handle>(state_, it->second, path, mode != sys::OpenMode::read));
}

Result<bool> SimDisk::exists(const std::string& path) {
  RCS_TRY(enter(Call::exists, path, false));
  return current_.count(path) + directories_.count(path) > 0;
}

// Directories are durable at once: storage makes one, before anything is in it.
Status SimDisk::make_directories(const std::string& path) {
  RCS_TRY(enter(Call::mkdir, path, true));
  for (size_t at = 1; at <= path.size(); ++at)
    if (at == path.size() || path[at] == '/') directories_.insert(path.substr(0, at));
  return Status::ok();
}

Result<std::vector<std::string>> SimDisk::list(const std::string& directory) {
  RCS_TRY(enter(Call::list, directory, false));
  if (directories_.count(directory) == 0)
    return {RAFTCS_ERR_IO, "listing " + directory + ": no such directory"};
  std::vector<std::string> names;
  for (const auto& [path, inode] : current_)
    if (directory_of(path) == directory) names.push_back(path.substr(path.find_last_of('/') + 1));
  std::sort(names.begin(), names.end());
  return names;
}

Status SimDisk::rename(const std::string& from, const std::string& to) {
  RCS_TRY(enter(Call::rename, from, true));
  auto it = current_.find(from);
  if (it == current_.end()) return {RAFTCS_ERR_IO, "renaming " + from + ": no such file"};
  const InodePtr inode = it->second;
  current_.erase(it);
  current_[to] = inode;
  changes_pending_.push_back({directory_of(from), from, to, inode});
  return Status::ok();
}

Status SimDisk::remove(const std::string& path) {
  RCS_TRY(enter(Call::remove, path, true));
  auto it = current_.find(path);
  if (it == current_.end()) return {RAFTCS_ERR_IO, "removing " + path + ": no such file"};
  changes_pending_.push_back({directory_of(path), path, "", it->second});
  current_.erase(it);
  return Status::ok();
}

Status SimDisk::sync_directory(const std::string& path) {
  RCS_TRY(enter(Call::sync_directory, path, true));
  std::vector<DirectoryChange> rest;
  for (const DirectoryChange& change : changes_pending_) {
    if (change.directory == path)
      apply_change(change);
    else
      rest.push_back(change);
  }
  changes_pending_ = std::move(rest);
  return Status::ok();
}

Result<uint64_t> SimDisk::free_bytes(const std::string& path) {
  RCS_TRY(enter(Call::free_bytes, path, false));
  if (!capacity_bytes_) return uint64_t{1} << 50;
  const uint64_t used = used_bytes();
  return used < *capacity_bytes_ ? *capacity_bytes_ - used : 0;
}

Result<std::unique_ptr<sys::FileSystem::Lock>> SimDisk::lock(const std::string& directory) {
  RCS_TRY(enter(Call::lock, directory, false));
  if (!locked_.insert(directory).second)
    return {RAFTCS_ERR_BAD_STATE, "the directory " + directory + " is in use by another node"};
  return std::unique_ptr<Lock>(std::make_unique<LockHandle>(state_, directory));
}

}  // namespace raftcs::sim
