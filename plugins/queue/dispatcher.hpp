// dispatcher.hpp: who gets which job, and what becomes of it.
//
// What must hold
//  1 A job has at most one holder: it is assigned to one session, and only that session's answer
//    with the number of its present attempt counts (an answer after the visibility timeout is
//    refused, so nothing is finished twice). No two attempts of a job have the same number.
//  2 A job ends once: done, purged, or dead after attempts_max attempts; a dead one can be put
//    back, and has as many again.
//  3 Nothing waits while a connected worker of its queue has room, unless the queue is paused or
//    the worker's push window is full (looked at again after kBlockedNs).
//  4 A worker that is gone loses its jobs: at once when its session ends, after the queue's
//    grace when it is only disconnected. New jobs go to connected workers only.
//  5 Every choice is a function of the book and the entry: indexes are ordered by numbers.
#pragma once

#include <array>
#include <optional>
#include <set>
#include <utility>

#include "book.hpp"

namespace queue {

constexpr int64_t kBlockedNs = 100 * kNsPerMs;
constexpr size_t kDuePerTimer = 1000;  // jobs handled by one timer; the rest by the next

enum Code : int32_t {
  kOk = 0,
  kNotFound = 1,  // no such queue or job
  kExists = 2,    // the queue exists with other settings
  kNotHeld = 3,   // the session does not hold this job in this attempt (any more)
  kMalformed = 4,
  kTooLarge = 5,
  kFull = 6,  // the queue, or the service, is at its limit
  kNotEmpty = 7,
};

bool is_queue_name(std::string_view name);  // A-Z a-z 0-9 . - _

// Where a call comes from.
struct Now {
  int64_t ns;
  raftcs_sm::Answer& answer;
};

class Dispatcher {
 public:
  Dispatcher() = default;
  explicit Dispatcher(Book book);  // makes the indexes
  const Book& book() const { return book_; }

  Code create(std::string_view name, const Settings& settings);
  Code configure(std::string_view name, const Settings& settings, const Now& now);
  Code remove(std::string_view name);
  Code pause(std::string_view name, bool paused, const Now& now);
  Code put(std::string_view name, std::string_view payload, uint32_t priority, int64_t delay_ms,
           const Now& now, uint64_t* id);
  // `attempt` none: whoever asks, whoever holds it (an operator's word).
  Code done(uint64_t session, uint64_t id, std::optional<uint64_t> attempt, const Now& now);
  Code fail(uint64_t session, uint64_t id, std::optional<uint64_t> attempt, std::string_view reason,
            int64_t retry_ms, const Now& now);
  // `ms` none: the queue's visibility time.
  Code extend(uint64_t session, uint64_t id, std::optional<uint64_t> attempt,
              std::optional<int64_t> ms, const Now& now);
  Code purge(std::string_view name, bool dead, uint64_t* count);
  Code requeue(std::string_view name, uint64_t id, const Now& now, uint64_t* count);  // 0: all

  void worker_started(uint64_t session, Worker worker, const Now& now);
  // `unread`: jobs whose request the worker never acknowledged; these attempts are forgiven.
  void worker_ended(uint64_t session, const std::set<std::pair<uint64_t, uint64_t>>& unread,
                    const Now& now);
  void worker_presence(uint64_t session, bool connected, const Now& now);
  int64_t next_timer_ns() const;
  void timer(const Now& now);

  // For inspection. (0 or minus the priority, id), ordered.
  using Listing = std::set<std::pair<int64_t, uint64_t>>;
  const Listing& jobs(const std::string& name, State state) const {
    return indexes_.at(name).jobs[static_cast<size_t>(state)];
  }
  size_t load(uint64_t session) const { return assigned_.at(session).size(); }

 private:
  struct Index {
    std::array<Listing, kStates> jobs;
    std::set<std::pair<uint64_t, uint64_t>> free;  // (load or 0, session): who may get a job
    uint64_t bytes = 0;                            // of payloads
  };
  using Names = std::set<std::string>;

  Queue* queue(std::string_view name);
  bool serves(const Worker& w, const std::string& name) const;
  Names names_of(const Worker& w) const;
  static uint64_t free_key(const Queue& q, uint64_t load);
  void refresh(uint64_t session);
  void set_free(uint64_t session, std::optional<uint64_t> load);
  Job* held(uint64_t session, uint64_t id, std::optional<uint64_t> attempt);
  void index(uint64_t id, const Job& job, bool add);
  void move(uint64_t id, Job& job, State to);
  int64_t due_of(const Job& job) const;
  void erase(uint64_t id, Job& job);
  void give_back(uint64_t id, Job& job, std::string_view reason, int64_t retry_ms, int64_t now_ns);
  uint64_t choose(const Queue& q, const Index& index, const Job& job) const;
  bool offer(uint64_t id, Job& job, uint64_t session, const Now& now);
  void dispatch(const std::string& name, const Now& now);
  void dispatch(const Names& names, const Now& now);

  Book book_;
  std::map<std::string, Index, std::less<>> indexes_;       // as book_.queues
  std::map<uint64_t, std::set<uint64_t>> assigned_;         // jobs by session
  std::map<uint64_t, std::optional<uint64_t>> free_loads_;  // as in Index::free, by session
  std::set<std::pair<int64_t, uint64_t>> due_;              // (time, job)
  std::set<std::pair<int64_t, uint64_t>> blocked_;          // (time, session)
};

}  // namespace queue
