// posix_file_system.cpp: the file operations of storage on Linux.
//
// Every transfer is a loop: a system call may be interrupted or move less than asked
// (PS-12). Nothing else is repeated; in particular a failed fdatasync is reported once and
// for all (PS-02). Descriptors are O_CLOEXEC, so that a program started by a plugin does
// not keep the directory locked. An error names the call, the path and the errno text;
// "no space" and "quota exceeded" become RAFTCS_ERR_NO_SPACE, an unreadable sector
// RAFTCS_ERR_CORRUPT, all else RAFTCS_ERR_IO. Opening for want of descriptors or memory does
// nothing and may succeed the next time, as with a full disk: NO_SPACE too, with the cause in the
// text. Only where something is opened for writing that was there, a step came before that is not
// done twice (LogFiles::retire): that stays RAFTCS_ERR_IO, and has the kept descriptors against it.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "sys/descriptors.hpp"
#include "sys/file_system.hpp"

namespace raftcs::sys {
namespace {

constexpr size_t kTransferBytesMax = size_t{1} << 30;  // Linux moves below 2 GiB per call
constexpr size_t kPiecesMax = 512;                     // of one call; the kernel allows 1024

Status failure(int error, const char* call, const std::string& path) {
  const bool full = error == ENOSPC || error == EDQUOT;
  char text[128];
  // The GNU strerror_r gives back the text, in `text` or elsewhere.
  const char* what = ::strerror_r(error, text, sizeof text);
  return {full ? RAFTCS_ERR_NO_SPACE : RAFTCS_ERR_IO, std::string(call) + " " + path + ": " + what};
}

Status failed_open(int error, const char* call, const std::string& path) {
  const Status status = failure(error, call, path);
  const bool wanting = error == EMFILE || error == ENFILE || error == ENOMEM;
  return wanting ? Status(RAFTCS_ERR_NO_SPACE, status.text() + open_files_hint(error)) : status;
}

// What ext4, xfs and btrfs say of a sector or a checksum that is bad.
Status failed_read(int error, const std::string& path) {
  const Status status = failure(error, "reading", path);
  const bool lost = error == EIO || error == EBADMSG || error == EUCLEAN;
  return lost ? Status(RAFTCS_ERR_CORRUPT, status.text()) : status;
}

class PosixFile final : public File {
 public:
  PosixFile(int fd, std::string path) : fd_(fd), path_(std::move(path)) {}

  Result<size_t> read_at(uint64_t offset, void* out, size_t size) override {
    auto* at = static_cast<uint8_t*>(out);
    size_t done = 0;
    while (done < size) {
      const ssize_t n = ::pread(fd_.get(), at + done, std::min(size - done, kTransferBytesMax),
                                static_cast<off_t>(offset + done));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return failed_read(errno, path_);
      if (n == 0) break;
      done += static_cast<size_t>(n);
    }
    return done;
  }

  Status write_at(uint64_t offset, const void* data, size_t size) override {
    const auto* at = static_cast<const uint8_t*>(data);
    size_t done = 0;
    while (done < size) {
      const ssize_t n = ::pwrite(fd_.get(), at + done, std::min(size - done, kTransferBytesMax),
                                 static_cast<off_t>(offset + done));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return failure(errno, "writing", path_);
      if (n == 0) return failure(EIO, "writing", path_);
      done += static_cast<size_t>(n);
    }
    return Status::ok();
  }

  Status write_pieces_at(uint64_t offset, const std::vector<Piece>& pieces) override {
    iovec io[kPiecesMax];
    size_t piece = 0, within = 0;  // the first byte not yet written
    while (piece < pieces.size()) {
      size_t count = 0, bytes = 0;
      for (size_t i = piece; i < pieces.size() && count < kPiecesMax; ++i) {
        const size_t skip = i == piece ? within : 0;
        const size_t size = std::min(pieces[i].size - skip, kTransferBytesMax - bytes);
        if (size == 0 && bytes == kTransferBytesMax) break;
        io[count++] = {const_cast<uint8_t*>(static_cast<const uint8_t*>(pieces[i].data)) + skip,
                       size};
        bytes += size;
      }
      ssize_t n = 0;
      if (bytes > 0)
        n = ::pwritev(fd_.get(), io, static_cast<int>(count), static_cast<off_t>(offset));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return failure(errno, "writing", path_);
      if (n == 0 && bytes > 0) return failure(EIO, "writing", path_);
      offset += static_cast<uint64_t>(n);
      size_t left = static_cast<size_t>(n);
      while (piece < pieces.size() && left >= pieces[piece].size - within) {
        left -= pieces[piece++].size - within;
        within = 0;
      }
      within += left;
    }
    return Status::ok();
  }

  Status sync_data() override {
    for (;;) {
      if (::fdatasync(fd_.get()) == 0) return Status::ok();
      if (errno != EINTR) return failure(errno, "syncing", path_);
    }
  }

  Status truncate(uint64_t size) override {
    for (;;) {
      if (::ftruncate(fd_.get(), static_cast<off_t>(size)) == 0) return Status::ok();
      if (errno != EINTR) return failure(errno, "resizing", path_);
    }
  }

  Result<uint64_t> size() override {
    struct stat info;
    if (::fstat(fd_.get(), &info) != 0) return failure(errno, "examining", path_);
    return static_cast<uint64_t>(info.st_size);
  }

  Status drop_cache() override {
    const int error = ::posix_fadvise(fd_.get(), 0, 0, POSIX_FADV_DONTNEED);
    // Advice that a file system does not know is no error of the disk.
    if (error != 0 && error != EINVAL && error != ENOSYS) return failure(error, "rereading", path_);
    return Status::ok();
  }

 private:
  Descriptor fd_;
  std::string path_;
};

class DirectoryLock final : public FileSystem::Lock {
 public:
  explicit DirectoryLock(std::shared_ptr<KeptDescriptors> kept) : kept_(std::move(kept)) {
    kept_->begin();
  }
  // The lock belongs to the open file, which a forked child holds as well: closing would leave it
  // locked for as long as the child lives, and unlocking in the child would end the parent's.
  ~DirectoryLock() override {
    if (fd_.get() >= 0 && owner_ == ::getpid()) (void)::flock(fd_.get(), LOCK_UN);
    kept_->end();
  }
  Descriptor& descriptor() { return fd_; }

 private:
  const pid_t owner_ = ::getpid();
  Descriptor fd_{-1};
  const std::shared_ptr<KeptDescriptors> kept_;
};

class PosixFileSystem final : public FileSystem {
 public:
  Result<std::unique_ptr<File>> open(const std::string& path, OpenMode mode) override {
    const int flags = mode == OpenMode::read         ? O_RDONLY
                      : mode == OpenMode::read_write ? O_RDWR
                                                     : O_RDWR | O_CREAT | O_EXCL;
    kept_->fill();
    const bool create = mode == OpenMode::create;
    const int fd = create ? open_retry(path, flags) : kept_->open_existing(path, flags);
    if (fd < 0) {
      const Status status = failed_open(errno, create ? "creating" : "opening", path);
      return mode == OpenMode::read_write ? Status(RAFTCS_ERR_IO, status.text()) : status;
    }
    return std::unique_ptr<File>(std::make_unique<PosixFile>(fd, path));
  }

  Result<bool> exists(const std::string& path) override {
    struct stat info;
    if (::stat(path.c_str(), &info) == 0) return true;
    if (errno == ENOENT || errno == ENOTDIR) return false;
    return failure(errno, "examining", path);
  }

  Status make_directories(const std::string& path) override {
    for (size_t at = 1; at <= path.size(); ++at) {
      if (at != path.size() && path[at] != '/') continue;
      const std::string part = path.substr(0, at);
      if (::mkdir(part.c_str(), 0750) == 0) {
        RCS_TRY(sync_directory(parent_of(part)));
      } else if (errno != EEXIST) {
        return failure(errno, "making directory", part);
      }
    }
    struct stat info;
    if (::stat(path.c_str(), &info) != 0) return failure(errno, "examining", path);
    if (!S_ISDIR(info.st_mode)) return failure(ENOTDIR, "making directory", path);
    return Status::ok();
  }

  Result<std::vector<std::string>> list(const std::string& directory) override {
    DIR* stream = ::opendir(directory.c_str());
    if (stream == nullptr) return failed_open(errno, "listing", directory);
    std::vector<std::string> names;
    errno = 0;
    while (const dirent* entry = ::readdir(stream)) {
      const std::string name = entry->d_name;
      if (name != "." && name != "..") names.push_back(name);
      errno = 0;
    }
    const int error = errno;
    ::closedir(stream);
    if (error != 0) return failure(error, "listing", directory);
    std::sort(names.begin(), names.end());
    return names;
  }

  Status rename(const std::string& from, const std::string& to) override {
    if (::rename(from.c_str(), to.c_str()) != 0)
      return failure(errno, "renaming", from + " to " + to);
    return Status::ok();
  }

  Status remove(const std::string& path) override {
    if (::unlink(path.c_str()) != 0) return failure(errno, "removing", path);
    return Status::ok();
  }

  Status sync_directory(const std::string& path) override {
    kept_->fill();
    const auto fd = kept_->directory(path);
    if (!fd) return failed_open(errno, "opening directory", path);
    for (;;) {
      if (::fsync(fd->get()) == 0) return Status::ok();
      if (errno != EINTR) return failure(errno, "syncing directory", path);
    }
  }

  Result<uint64_t> free_bytes(const std::string& path) override {
    struct statvfs info;
    for (;;) {
      if (::statvfs(path.c_str(), &info) == 0) break;
      if (errno != EINTR) return failure(errno, "asking for the free space of", path);
    }
    return static_cast<uint64_t>(info.f_bavail) * info.f_frsize;
  }

  // On the directory itself: there is no lock file that could be copied or left behind.
  Result<std::unique_ptr<Lock>> lock(const std::string& directory) override {
    // Made first: what has no memory for it locks nothing.
    auto lock = std::make_unique<DirectoryLock>(kept_);
    Descriptor& fd = lock->descriptor();
    fd.reset(open_retry(directory, O_RDONLY | O_DIRECTORY));
    if (fd.get() < 0) return failed_open(errno, "opening directory", directory);
    for (;;) {
      if (::flock(fd.get(), LOCK_EX | LOCK_NB) == 0) return std::unique_ptr<Lock>(std::move(lock));
      if (errno == EWOULDBLOCK)
        return {RAFTCS_ERR_BAD_STATE, "the directory " + directory + " is in use by another node"};
      if (errno != EINTR) return failure(errno, "locking", directory);
    }
  }

 private:
  const std::shared_ptr<KeptDescriptors> kept_ = std::make_shared<KeptDescriptors>();

  static std::string parent_of(const std::string& path) {
    const size_t slash = path.find_last_of('/');
    if (slash == std::string::npos) return ".";
    return slash == 0 ? "/" : path.substr(0, slash);
  }
};

}  // namespace

std::unique_ptr<FileSystem> posix_file_system() { return std::make_unique<PosixFileSystem>(); }

}  // namespace raftcs::sys
