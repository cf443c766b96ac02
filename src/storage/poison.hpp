// poison.hpp: the first storage error, remembered for good (PS-02).
//
// Shared by the log lane and the snapshot lane, hence lock-free: the first caller of set()
// wins and publishes its error; get() sees either nothing or the whole error. "No space"
// is not poison: it is found before anything is written.
#pragma once

#include <atomic>

#include "base/result.hpp"

namespace raftcs::storage {

class Poison {
 public:
  // Gives the error back, so that a caller can `return poison.set(status)`.
  Status set(Status error) {
    int expected = kClean;
    if (state_.compare_exchange_strong(expected, kSetting)) {
      error_ = error.with_context("storage has stopped");
      state_.store(kSet, std::memory_order_release);
    }
    return error;
  }
  // OK while nothing has failed.
  Status get() const {
    const int state = state_.load(std::memory_order_acquire);
    if (state == kClean) return Status::ok();
    if (state == kSet) return error_;
    return {RAFTCS_ERR_IO, "storage has stopped"};
  }

 private:
  static constexpr int kClean = 0, kSetting = 1, kSet = 2;
  std::atomic<int> state_{kClean};
  Status error_;
};

}  // namespace raftcs::storage
