// backoff.hpp: the spacing of attempts: exponential, bounded, with jitter (CLI-10, W-C3).
#pragma once

#include "base/time.hpp"
#include "client/random.hpp"

namespace raftcs::client {

class Backoff {
 public:
  void configure(DurationNs shortest, DurationNs longest) {
    shortest_ = shortest < kNsPerMs ? kNsPerMs : shortest;  // never a tight loop
    longest_ = longest < shortest_ ? shortest_ : longest;
    reset();
  }
  void reset() { current_ = shortest_; }
  // How long to wait before the next attempt; each call doubles the one after.
  DurationNs next(Random& random) {
    const DurationNs wait = random.around(current_);
    current_ = current_ > longest_ / 2 ? longest_ : current_ * 2;
    return wait;
  }
  DurationNs shortest() const { return shortest_; }
  DurationNs longest() const { return longest_; }

 private:
  DurationNs shortest_ = 20 * kNsPerMs;
  DurationNs longest_ = kNsPerSecond;
  DurationNs current_ = 20 * kNsPerMs;
};

}  // namespace raftcs::client
