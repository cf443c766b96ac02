// worker.hpp: a lane's thread: takes all queued jobs at once, runs them, hands on results.
//
// The queue is a vector under a mutex that is swapped, not popped: the more work waits, the
// larger the batch. Bounded by what the node keeps in flight (raft's windows, admission), and what
// waits for a state machine that stands by Node::Impl::check_backlog.
#pragma once

#include <pthread.h>

#include <chrono>
#include <condition_variable>
#include <csignal>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace raftcs::server {

// All threads of the library block all signals: they belong to the application.
inline void prepare_thread(const char* name) {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, nullptr);
  pthread_setname_np(pthread_self(), name);
}

template <class Job>
class Worker {
 public:
  // `run` works on the front of the jobs and removes what is done; when some remain it is
  // called again with them after `retry_ms`, or earlier when more arrive if `retry_early`.
  using Run = std::function<void(std::vector<Job>*)>;
  // Work for quiet moments, in small steps; true while there is more of it.
  using Idle = std::function<bool()>;

  Worker(const char* name, int retry_ms, bool retry_early, Run run, Idle idle = nullptr)
      : name_(name),
        retry_ms_(retry_ms),
        retry_early_(retry_early),
        run_(std::move(run)),
        idle_(std::move(idle)),
        thread_([this] { loop(); }) {}
  ~Worker() { stop(); }

  void post(std::vector<Job>&& jobs) {
    if (jobs.empty()) return;
    {
      std::lock_guard lock(mutex_);
      for (Job& job : jobs) queue_.push_back(std::move(job));
    }
    ready_.notify_one();
  }
  // Runs what was posted, once, then ends the thread.
  void stop() {
    {
      std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    ready_.notify_one();
    if (thread_.joinable()) thread_.join();
  }

 private:
  void loop() {
    prepare_thread(name_);
    std::vector<Job> jobs;
    bool idle_work = idle_ != nullptr;
    while (true) {
      bool last;
      {
        std::unique_lock lock(mutex_);
        auto wanted = [&] { return stopping_ || !queue_.empty(); };
        if (jobs.empty() && idle_work) {
          if (!ready_.wait_for(lock, kQuiet, wanted)) {
            lock.unlock();
            idle_work = idle_();
            continue;
          }
        } else if (jobs.empty()) {
          ready_.wait(lock, wanted);
        } else {
          ready_.wait_for(lock, std::chrono::milliseconds(retry_ms_),
                          [&] { return stopping_ || (retry_early_ && !queue_.empty()); });
        }
        last = stopping_;
        for (Job& job : queue_) jobs.push_back(std::move(job));
        queue_.clear();
      }
      if (!jobs.empty()) {
        run_(&jobs);
        idle_work = idle_ != nullptr;
      }
      if (last) return;
    }
  }

  static constexpr auto kQuiet = std::chrono::milliseconds(3);

  const char* name_;
  const int retry_ms_;
  const bool retry_early_;
  Run run_;
  Idle idle_;
  std::mutex mutex_;
  std::condition_variable ready_;
  std::vector<Job> queue_;
  bool stopping_ = false;
  std::thread thread_;  // last: starts when everything is there
};

}  // namespace raftcs::server
