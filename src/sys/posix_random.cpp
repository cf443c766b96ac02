// posix_random.cpp: getrandom(2) behind a small buffer.
//
// Identities (session ids, proofs, incarnations) must differ between processes, so what a
// process buffered is thrown away in its child after fork: otherwise both would hand out
// the same bits. A pthread_atfork handler counts forks; the buffer remembers the count it
// was filled at. What must hold: no value is given out twice, in whatever process.
#include <errno.h>
#include <pthread.h>
#include <sys/random.h>

#include <array>
#include <atomic>
#include <mutex>

#include "base/check.hpp"
#include "sys/random.hpp"

namespace raftcs::sys {
namespace {

std::atomic<uint64_t> fork_count{0};

// In the child the lock below may be held by a thread that does not exist there; the
// parent's handlers take it around fork so that both sides find it free.
class OsRandom final : public RandomSource {
 public:
  uint64_t next_u64() override {
    std::lock_guard<std::mutex> hold(mutex_);
    const uint64_t forks = fork_count.load(std::memory_order_relaxed);
    if (used_ == buffer_.size() || forks != filled_at_) {
      fill();
      filled_at_ = forks;
    }
    const uint64_t value = buffer_[used_];
    buffer_[used_++] = 0;
    return value;
  }

  std::mutex& mutex() { return mutex_; }

 private:
  void fill() {
    auto* at = reinterpret_cast<uint8_t*>(buffer_.data());
    size_t missing = sizeof buffer_;
    while (missing > 0) {
      const ssize_t got = ::getrandom(at, missing, 0);
      if (got < 0) {
        RCS_CHECK(errno == EINTR);  // no other error is possible for this call
        continue;
      }
      at += got;
      missing -= static_cast<size_t>(got);
    }
    used_ = 0;
  }

  std::mutex mutex_;
  std::array<uint64_t, 64> buffer_{};
  size_t used_ = 64;
  uint64_t filled_at_ = 0;
};

OsRandom& instance() {
  static auto* random = new OsRandom;  // never destroyed: used until the process is gone
  return *random;
}

void before_fork() { instance().mutex().lock(); }
void after_fork_parent() { instance().mutex().unlock(); }
void after_fork_child() {
  fork_count.fetch_add(1, std::memory_order_relaxed);
  instance().mutex().unlock();
}

}  // namespace

RandomSource& os_random() {
  static const int registered =
      ::pthread_atfork(before_fork, after_fork_parent, after_fork_child);
  RCS_CHECK(registered == 0);
  return instance();
}

}  // namespace raftcs::sys
