// sim_disk.hpp: a disk in memory that loses, tears and refuses, after the model of a real
// one (docs/storage-format.md names what storage assumes).
//
// A file has durable bytes and, above them, sectors of 512 bytes that were written and not
// yet synced. A directory has durable entries and pending operations. sync_data() makes a
// file's sectors and size durable, sync_directory() the entries. A crash decides for every
// pending sector, size and directory operation what became of it; then only durable things
// are left, and every open handle is dead. Deterministic; no threads, no clock.
//
// A failed sync leaves its sectors readable but clean: a later sync succeeds without them,
// and a crash or drop_cache() shows that they never arrived (PS-02).
#pragma once

#include <array>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/prng.hpp"
#include "sys/file_system.hpp"

namespace raftcs::sim {

constexpr uint64_t kSimSectorBytes = 512;

enum class Call : uint8_t {
  open,
  read,
  write,
  sync,
  truncate,
  size,
  exists,
  mkdir,
  list,
  rename,
  remove,
  sync_directory,
  free_bytes,
  lock,
  drop_cache
};
constexpr size_t kCallKinds = 15;

// What a crash makes of one pending thing. Sizes and directory operations know kept and
// lost only; the others count as lost.
enum class Fate : uint8_t { lost, kept, half, garbage };

struct CrashProfile {
  double hurt = 0.8;              // of the pending sectors are not simply kept
  bool ordered_metadata = false;  // directory operations survive as a prefix
};

class SimDisk final : public sys::FileSystem {
 public:
  SimDisk();
  ~SimDisk() override;
  std::unique_ptr<SimDisk> clone() const;  // contents and pending things; no handles, no faults

  // --- crash -----------------------------------------------------------------------
  size_t pending_count() const;
  size_t pending_sectors() const;
  // One fate for each pending thing, in a fixed order; what is missing is lost.
  void crash(const std::vector<Fate>& fates, uint64_t garbage_seed = 1);
  void crash(Prng& prng, const CrashProfile& profile = {});
  // The process ends, the machine goes on: handles and locks die, nothing is lost.
  void restart_process();

  // --- faults ------------------------------------------------------------------------
  // From now, 1 is the next; once. Without a code what a disk says: an unreadable sector for a
  // read, else an I/O error.
  void fail_nth(Call call, uint64_t nth, raftcs_status_t code = RAFTCS_OK);
  void power_off_after(uint64_t changes);  // calls that change something; then all fail
  void clear_faults();                     // of those two; what is off stays off
  bool powered_off() const { return powered_off_; }
  void set_capacity(std::optional<uint64_t> bytes) { capacity_bytes_ = bytes; }
  // Changes one durable byte; false when there is none.
  bool flip(const std::string& path, uint64_t offset, uint8_t mask);
  void wipe();

  // --- observation ---------------------------------------------------------------------
  uint64_t calls(Call call) const { return calls_[static_cast<size_t>(call)]; }
  uint64_t changes() const { return changes_; }
  uint64_t used_bytes() const;
  std::vector<std::string> files() const;
  std::optional<std::vector<uint8_t>> contents(const std::string& path) const;

  // --- sys::FileSystem -------------------------------------------------------------------
  Result<std::unique_ptr<sys::File>> open(const std::string& path, sys::OpenMode mode) override;
  Result<bool> exists(const std::string& path) override;
  Status make_directories(const std::string& path) override;
  Result<std::vector<std::string>> list(const std::string& directory) override;
  Status rename(const std::string& from, const std::string& to) override;
  Status remove(const std::string& path) override;
  Status sync_directory(const std::string& path) override;
  Result<uint64_t> free_bytes(const std::string& path) override;
  Result<std::unique_ptr<Lock>> lock(const std::string& directory) override;

 private:
  struct Inode;
  struct State;  // shared with handles, so that these may outlive the disk
  class Handle;
  class LockHandle;
  using InodePtr = std::shared_ptr<Inode>;
  struct DirectoryChange {
    std::string directory;
    std::string removed;  // name that goes, or empty
    std::string added;    // name that comes, or empty
    InodePtr inode;
  };

  // Counts the call and gives the injected error, if any.
  Status enter(Call call, const std::string& path, bool change);
  void kill_handles();
  std::vector<InodePtr> inodes() const;
  void apply_change(const DirectoryChange& change);

  std::shared_ptr<State> state_;
  std::map<std::string, InodePtr> current_, durable_;
  std::vector<DirectoryChange> changes_pending_;
  std::set<std::string> directories_;
  std::set<std::string> locked_;
  std::array<uint64_t, kCallKinds> calls_{};
  struct Fault {
    uint64_t at = 0;
    raftcs_status_t code = RAFTCS_OK;
  };
  std::map<Call, Fault> fail_at_;
  uint64_t changes_ = 0;
  std::optional<uint64_t> changes_max_;
  bool powered_off_ = false;
  std::optional<uint64_t> capacity_bytes_;
  uint64_t next_inode_ = 1;
};

}  // namespace raftcs::sim
