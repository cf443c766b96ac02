// descriptors.hpp: a process that has used up its file descriptors, for as long as this lives.
//
// The limit is lowered for the time, so that few have to be taken. Not beside other threads that
// open files.
#pragma once

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <vector>

namespace raftcs::test {

class Descriptors {
 public:
  explicit Descriptors(size_t free) {
    ::getrlimit(RLIMIT_NOFILE, &before_);
    const rlimit low{kLimit, before_.rlim_max};
    ::setrlimit(RLIMIT_NOFILE, &low);
    for (int fd; (fd = ::open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0;) taken_.push_back(fd);
    give(free);
  }
  ~Descriptors() {
    give(taken_.size());
    ::setrlimit(RLIMIT_NOFILE, &before_);
  }
  Descriptors(const Descriptors&) = delete;
  Descriptors& operator=(const Descriptors&) = delete;

  void give(size_t count) {
    for (; count > 0 && !taken_.empty(); --count) {
      ::close(taken_.back());
      taken_.pop_back();
    }
  }

 private:
  static constexpr rlim_t kLimit = 128;
  rlimit before_{};
  std::vector<int> taken_;
};

}  // namespace raftcs::test
