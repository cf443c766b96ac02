// file_system.hpp: every file operation that storage needs, as an interface.
//
// Two implementations: PosixFileSystem (posix_file_system.cpp) and the simulated disk
// of tests/sim, which loses, tears and refuses. All calls are synchronous and block;
// they are made from the log thread and the snapshot worker, never from the core loop.
// A call that fails reports the errno text and the path. Nothing is retried here: a
// failed sync is final for the file (PS-02); the caller poisons itself. RAFTCS_ERR_NO_SPACE:
// nothing was done, for want of space, or of descriptors or memory to open a file.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace raftcs::sys {

class File {
 public:
  virtual ~File() = default;  // closes; a close error after a successful sync is of no interest
  // Reads up to `size` bytes; fewer only at the end of the file. RAFTCS_ERR_CORRUPT: the disk
  // does not give back what it was given (EIO and the like), which is damage as any other.
  virtual Result<size_t> read_at(uint64_t offset, void* out, size_t size) = 0;
  // Writes all of it (short writes are continued).
  virtual Status write_at(uint64_t offset, const void* data, size_t size) = 0;
  // One system call for many pieces where the platform has it.
  struct Piece {
    const void* data;
    size_t size;
  };
  virtual Status write_pieces_at(uint64_t offset, const std::vector<Piece>& pieces) = 0;
  virtual Status sync_data() = 0;  // fdatasync: contents and size are durable on return
  virtual Status truncate(uint64_t size) = 0;
  virtual Result<uint64_t> size() = 0;
  // Makes later reads come from the disk. After a failed sync the kernel marks the pages
  // clean though they never arrived, so that they can still be read until a crash (PS-02);
  // recovery syncs, drops them and believes only what is left.
  virtual Status drop_cache() { return Status::ok(); }
};

enum class OpenMode {
  read,           // must exist
  read_write,     // must exist
  create,         // must not exist; read and write
};

class FileSystem {
 public:
  virtual ~FileSystem() = default;
  virtual Result<std::unique_ptr<File>> open(const std::string& path, OpenMode mode) = 0;
  virtual Result<bool> exists(const std::string& path) = 0;
  virtual Status make_directories(const std::string& path) = 0;
  virtual Result<std::vector<std::string>> list(const std::string& directory) = 0;  // names, sorted
  virtual Status rename(const std::string& from, const std::string& to) = 0;  // atomic, replaces
  virtual Status remove(const std::string& path) = 0;
  virtual Status sync_directory(const std::string& path) = 0;  // entries are durable on return
  virtual Result<uint64_t> free_bytes(const std::string& path) = 0;
  // Holds an exclusive lock on the directory until the handle goes; a second holder in any
  // process gets RAFTCS_ERR_BAD_STATE and a sentence that names the directory.
  class Lock {
   public:
    virtual ~Lock() = default;
  };
  virtual Result<std::unique_ptr<Lock>> lock(const std::string& directory) = 0;
};

std::unique_ptr<FileSystem> posix_file_system();

}  // namespace raftcs::sys
