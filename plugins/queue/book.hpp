// book.hpp: all that the queue service knows: queues, jobs and workers.
//
// This is the replicated state; indexes over it belong to the dispatcher and are made anew from
// it. Payloads are shared and never changed, so that a snapshot copies pointers. A job that is
// done leaves no trace but a counter; a dead one stays until it is purged or put back.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "raftcs_plugin.hpp"

namespace queue {

constexpr int64_t kNsPerMs = 1'000'000;
constexpr int64_t kDurationMsMax = 7ll * 24 * 3600 * 1000;
constexpr size_t kQueuesMax = 1000;
constexpr size_t kNameBytesMax = 128;
constexpr size_t kPayloadBytesMax = 1 << 20;
constexpr size_t kReasonBytesMax = 1024;
constexpr uint64_t kQueueBytesMax = 256 << 20;  // of payloads
constexpr uint64_t kJobsMaxLimit = 1'000'000;
constexpr uint32_t kPriorityMax = 9;
constexpr uint32_t kCapacityMax = 10'000;

enum class Policy : uint8_t { round_robin = 0, least_loaded = 1 };  // stored: do not renumber

struct Settings {
  Policy policy = Policy::round_robin;
  int64_t visibility_ms = 30'000;  // a job not finished by then goes to another worker
  int64_t grace_ms = 5'000;        // likewise when its worker is disconnected for so long
  uint32_t attempts_max = 5;       // then it is a dead letter
  uint64_t jobs_max = 100'000;     // waiting, delayed, assigned and dead
  bool operator==(const Settings&) const = default;
};

struct Counters {
  uint64_t enqueued = 0, done = 0, failed = 0, timed_out = 0, moved = 0, died = 0, purged = 0;
};

struct Queue {
  Settings settings;
  bool paused = false;
  uint64_t last_worker = 0;  // who got a job last: the next in turn comes after
  Counters counters;
};

enum class State : uint8_t { waiting = 0, delayed = 1, assigned = 2, dead = 3 };  // stored
constexpr size_t kStates = 4;

struct Job {
  std::string queue;
  State state = State::waiting;
  uint32_t priority = 0;  // higher ones first
  uint64_t attempts = 0;  // how often it was given to a worker; fences late answers: never falls
  uint64_t forgiven = 0;  // of these, those that do not count towards attempts_max (any more)
  uint64_t worker = 0;    // assigned: the session that has it
  uint64_t avoid = 0;     // the session it was taken from: another one is preferred
  int64_t enqueued_ns = 0;
  int64_t due_ns = 0;  // delayed: when it waits again; assigned: visibility ends; dead: since
  std::shared_ptr<const std::string> payload;
  std::string reason;  // why it was given back or died
};

struct Worker {
  bool all = false;                 // "*"
  std::vector<std::string> queues;  // sorted
  uint32_t capacity = 1;            // jobs at once
  bool connected = true;
  int64_t gone_since_ns = 0;     // while not connected
  int64_t blocked_until_ns = 0;  // its push window was full; 0: it was not
};

struct Book {
  std::map<std::string, Queue, std::less<>> queues;
  std::map<uint64_t, Job> jobs;
  std::map<uint64_t, Worker> workers;  // by session
  uint64_t last_job = 0;
  std::string last_queue;  // which gave a job last: the next in turn comes after

  uint64_t digest() const;
};

void save(const Book& book, raftcs_sm::Writer& out);
// Throws raftcs_sm::Error for bytes that are no state this service can be in.
Book load(raftcs_sm::Reader& in);

}  // namespace queue
