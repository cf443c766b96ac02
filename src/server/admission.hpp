// admission.hpp: what may come in: how much work may wait, for whom, how fast.
//
// Work that is accepted is answered; so the queue of accepted work must be short, or every
// answer comes late. A Meter sizes it: it learns how much work ends per second and lets in
// what ends within `delay_target` (Little's law), between a floor and the setting
// limits.inflight_bytes. What does not fit is refused at once, with a time to come back.
//
// What must hold
//  - Keep-alives, continuations and administration are never subject to this (they cost next to
//    nothing, and a session must not die of overload). Commands and queries have a meter each,
//    so neither starves the other; new sessions come last: none while commands fill theirs.
//  - Under pressure no session holds more than its share (budget over sessions that have
//    work in it), and a last part of the budget is for sessions that have none: a greedy session
//    makes others wait for one answer, not for all of its own.
//  - Nothing is kept out for its size: half of that last part is room enough to get in; from
//    then on all of it counts.
//
// A value: time is an argument. Threads: none; the caller serialises.
#pragma once

#include <array>
#include <cstdint>
#include <unordered_map>
#include <vector>

#include "base/strong_id.hpp"
#include "base/time.hpp"

namespace raftcs::server {

// Why something was let in or not. Counted per class; the names are in status.
enum class Verdict : uint8_t { accepted, full, share, rate, window };
constexpr size_t kVerdicts = 5;
const char* verdict_name(Verdict verdict);

struct Decision {
  Verdict verdict = Verdict::accepted;
  uint64_t retry_after_ms = 0;
  bool accepted() const { return verdict == Verdict::accepted; }
};

// So many a second, with what was saved in one second at most. State is one point in time.
class RateLimit {
 public:
  DurationNs wait(uint32_t per_second, Mono now) const;  // 0: take() may be called
  void take(uint32_t per_second, Mono now);
  bool idle(Mono now) const { return full_at_ <= now; }

 private:
  Mono full_at_;  // when all of a second's worth is saved again
};

// One class of work: how much is in, how fast it ends.
class Meter {
 public:
  struct Limits {
    uint64_t cost_min = 1 << 20;    // let in however slow it goes
    uint64_t cost_start = 8 << 20;  // before anything was measured
    uint64_t cost_max = 64 << 20;
    DurationNs delay_target = 0;  // 0: no measuring, cost_max is the budget
  };
  explicit Meter(const Limits& limits);

  uint64_t budget() const { return budget_; }
  uint64_t used() const { return used_; }
  void accepted(uint64_t cost) { used_ += cost; }
  void refused(uint64_t cost, Mono now);
  void done(uint64_t cost, Mono since, Mono now);
  void cancelled(uint64_t cost) { used_ -= cost < used_ ? cost : used_; }
  void clear() { used_ = 0; }
  // When there may be room for what is being refused.
  uint64_t retry_after_ms() const;

 private:
  void roll(Mono now);
  void resize();

  Limits limits_;
  uint64_t used_ = 0;
  uint64_t budget_ = 0;
  double rate_ = 0;  // cost per second, while there is enough to do
  Mono window_;      // began
  uint64_t window_done_ = 0, window_refused_ = 0, refused_before_ = 0;
  DurationNs longest_ = 0;  // from acceptance to end, in this window
};

class Admission {
 public:
  struct Limits {
    uint64_t inflight_bytes_max = 64 << 20;
    uint32_t requests_per_session_max = 1024;
    DurationNs delay_target = 250 * kNsPerMs;  // 0: off
    uint32_t commands_per_second = 0;          // per session; 0: off
    uint32_t queries_per_second = 0;           // per session; 0: off
    uint32_t sessions_per_second = 0;          // opened at this node; 0: off
    uint32_t pending_sessions_max = 10'000;
  };
  // Who asks: a session, or a connection for queries outside of sessions.
  using Asker = uint64_t;
  static Asker asker(SessionNum session) { return session.value; }
  static Asker asker_of_connection(uint32_t conn) { return uint64_t{1} << 63 | conn; }

  // The commands of one batch, as they were let in.
  struct Bill {
    Mono since;  // the first of them
    std::vector<std::pair<Asker, uint64_t>> items;
  };
  using Counts = std::array<uint64_t, kVerdicts>;

  explicit Admission(const Limits& limits);

  // Counted as in flight when accepted. `open`: requests of the session without an answer.
  Decision command(Asker who, uint32_t open, uint64_t bytes, Mono now);
  Bill take_bill();  // of the commands since the last one
  void applied(const Bill& bill, Mono now);
  void lost();  // leadership: no accepted command will end here

  Decision query(Asker who, uint64_t bytes, Mono now);
  void answered(Asker who, uint64_t bytes, Mono since, Mono now);  // an accepted query has ended

  Decision session(size_t pending, Mono now);
  void forget(Asker who);  // the session has ended

  const Meter& commands() const { return commands_; }
  const Meter& queries() const { return queries_; }
  const Counts& command_counts() const { return command_counts_; }
  const Counts& query_counts() const { return query_counts_; }
  const Counts& session_counts() const { return session_counts_; }
  size_t active() const { return commands_active_; }
  size_t askers() const { return loads_.size(); }

 private:
  struct Load {
    uint64_t commands = 0, queries = 0;  // cost in flight
    RateLimit command_rate, query_rate;
  };
  static Decision check(const Meter& meter, uint64_t mine, size_t active, uint64_t cost);
  void release(Asker who, uint64_t Load::*part, size_t& active, uint64_t cost, Mono now);
  void sweep(Mono now);

  Limits limits_;
  Meter commands_, queries_;
  size_t commands_active_ = 0, queries_active_ = 0;  // askers with any in flight
  std::unordered_map<Asker, Load> loads_;
  RateLimit session_rate_;
  Bill bill_;
  Mono swept_;
  Counts command_counts_{}, query_counts_{}, session_counts_{};
};

}  // namespace raftcs::server
