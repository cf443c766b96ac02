// descriptors.cpp: see descriptors.hpp.
#include "sys/descriptors.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace raftcs::sys {

Descriptor::~Descriptor() { reset(-1); }

void Descriptor::reset(int fd) {
  if (fd_ >= 0) ::close(fd_);
  fd_ = fd;
}

std::string open_files_hint(int error) {
  if (error == EMFILE) return " (the process has too many: raise its limit, ulimit -n)";
  if (error == ENFILE) return " (all processes have too many: raise fs.file-max)";
  return {};
}

int open_retry(const std::string& path, int flags) {
  for (;;) {
    const int fd = ::open(path.c_str(), flags | O_CLOEXEC, 0640);
    if (fd >= 0 || errno != EINTR) return fd;
  }
}

void KeptDescriptors::begin() {
  {
    std::lock_guard hold(mutex_);
    ++users_;
  }
  fill();
}

void KeptDescriptors::end() {
  std::lock_guard hold(mutex_);
  if (--users_ == 0) drop();
}

void KeptDescriptors::drop() {
  while (spare_count_ > 0) ::close(spares_[--spare_count_]);
  directories_.clear();
}

// Each an open file of its own: ENFILE counts those.
void KeptDescriptors::fill() {
  std::lock_guard hold(mutex_);
  while (users_ > 0 && spare_count_ < kSparesMax) {
    const int fd = open_retry("/", O_PATH);
    if (fd < 0) return;
    spares_[spare_count_++] = fd;
  }
}

bool KeptDescriptors::give_up_one() {
  std::lock_guard hold(mutex_);
  if (spare_count_ == 0) return false;
  ::close(spares_[--spare_count_]);
  return true;
}

int KeptDescriptors::open_existing(const std::string& path, int flags) {
  for (;;) {
    const int fd = open_retry(path, flags);
    if (fd >= 0) return fd;
    const int error = errno;
    if ((error == EMFILE || error == ENFILE) && give_up_one()) continue;
    errno = error;
    return fd;
  }
}

std::shared_ptr<Descriptor> KeptDescriptors::directory(const std::string& path) {
  {
    std::lock_guard hold(mutex_);
    auto it = std::find_if(directories_.begin(), directories_.end(),
                           [&](const Directory& d) { return d.path == path; });
    if (it != directories_.end()) {
      // While it is open no other file gets its number.
      struct stat named, kept;
      if (::stat(path.c_str(), &named) == 0 && ::fstat(it->descriptor->get(), &kept) == 0 &&
          named.st_dev == kept.st_dev && named.st_ino == kept.st_ino)
        return it->descriptor;
      directories_.erase(it);
    }
  }
  const int fd = open_existing(path, O_RDONLY | O_DIRECTORY);
  if (fd < 0) return nullptr;
  auto opened = std::make_shared<Descriptor>(fd);
  std::lock_guard hold(mutex_);
  if (users_ > 0) {
    if (directories_.size() == kDirectoriesMax) directories_.erase(directories_.begin());
    directories_.push_back({path, opened});
  }
  return opened;
}

}  // namespace raftcs::sys
