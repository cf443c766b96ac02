// poller.cpp: an eventfd and ppoll.
#include "net/poller.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

#include "sys/clock.hpp"
#include "sys/descriptors.hpp"

namespace raftcs::net {

Waker::Waker() : fd_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)), error_(fd_ < 0 ? errno : 0) {}

Waker::~Waker() {
  if (fd_ >= 0) ::close(fd_);
}

Status Waker::status() const {
  if (fd_ >= 0) return Status::ok();
  return {RAFTCS_ERR_RESOURCE_LIMIT,
          "cannot make an eventfd: " + std::generic_category().message(error_) +
              sys::open_files_hint(error_)};
}

void Waker::wake() {
  if (pending_.exchange(true)) return;  // the poller has not drained the last one yet
  uint64_t one = 1;
  [[maybe_unused]] ssize_t n = write(fd_, &one, sizeof one);  // fails only when already readable
}

// When the read finds nothing, the write of the wake is still to come: it stays pending.
void Waker::drain() {
  uint64_t count;
  if (pending_.load() && read(fd_, &count, sizeof count) == sizeof count) pending_.store(false);
}

void Poller::add(int fd) { items_.push_back({fd, POLLIN, 0}); }

void Poller::wait(Mono deadline) {
  timespec timeout{};
  timespec* limit = nullptr;
  if (deadline != Mono::never()) {
    int64_t ns = std::max<int64_t>(deadline - sys::mono_now(), 0);
    timeout.tv_sec = ns / kNsPerSecond;
    timeout.tv_nsec = ns % kNsPerSecond;
    limit = &timeout;
  }
  if (ppoll(items_.data(), items_.size(), limit, nullptr) < 0)
    for (pollfd& item : items_) item.revents = POLLIN;  // a signal: look at everything
}

bool Poller::readable(size_t i) const { return items_[i].revents != 0; }

}  // namespace raftcs::net
