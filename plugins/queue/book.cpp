// book.cpp: the book as bytes, and their hash. One walk for both, so neither forgets a field.
#include "book.hpp"

namespace queue {
namespace {

struct HashOut {
  void u64(uint64_t v) {
    h = (h ^ v) * 0x9E3779B97F4A7C15ull;
    h ^= h >> 29;
  }
  void bytes(std::string_view s) {
    u64(s.size());
    for (char c : s) h = (h ^ static_cast<uint8_t>(c)) * 0x100000001b3ull;
  }
  uint64_t h = 0xcbf29ce484222325ull;
};

uint64_t number(int64_t v) { return static_cast<uint64_t>(v); }

template <class Out>
void walk(const Queue& q, Out& out) {
  const Settings& s = q.settings;
  const Counters& c = q.counters;
  for (uint64_t v : {static_cast<uint64_t>(s.policy), number(s.visibility_ms), number(s.grace_ms),
                     uint64_t{s.attempts_max}, s.jobs_max, uint64_t{q.paused}, q.last_worker,
                     c.enqueued, c.done, c.failed, c.timed_out, c.moved, c.died, c.purged})
    out.u64(v);
}

template <class Out>
void walk(const Job& j, Out& out) {
  out.bytes(j.queue);
  for (uint64_t v : {static_cast<uint64_t>(j.state), uint64_t{j.priority}, j.attempts, j.forgiven,
                     j.worker, j.avoid, number(j.enqueued_ns), number(j.due_ns)})
    out.u64(v);
  out.bytes(*j.payload);
  out.bytes(j.reason);
}

template <class Out>
void walk(const Worker& w, Out& out) {
  out.u64(w.all);
  out.u64(w.queues.size());
  for (const std::string& name : w.queues) out.bytes(name);
  for (uint64_t v : {uint64_t{w.capacity}, uint64_t{w.connected}, number(w.gone_since_ns),
                     number(w.blocked_until_ns)})
    out.u64(v);
}

template <class Out>
void walk(const Book& book, Out& out) {
  out.u64(book.last_job);
  out.bytes(book.last_queue);
  out.u64(book.queues.size());
  for (const auto& [name, q] : book.queues) {
    out.bytes(name);
    walk(q, out);
  }
  out.u64(book.workers.size());
  for (const auto& [session, w] : book.workers) {
    out.u64(session);
    walk(w, out);
  }
  out.u64(book.jobs.size());
  for (const auto& [id, j] : book.jobs) {
    out.u64(id);
    walk(j, out);
  }
}

void expect(bool good, const char* what) {
  if (!good) throw raftcs_sm::Error(RAFTCS_ERR_CORRUPT, what);
}

uint64_t up_to(raftcs_sm::Reader& in, uint64_t most) {
  const uint64_t v = in.u64();
  expect(v <= most, "a number is out of range");
  return v;
}
int64_t duration(raftcs_sm::Reader& in) { return static_cast<int64_t>(up_to(in, kDurationMsMax)); }
// Times are added to durations: half the range leaves room.
int64_t time(raftcs_sm::Reader& in) { return static_cast<int64_t>(up_to(in, INT64_MAX / 2)); }

Queue load_queue(raftcs_sm::Reader& in) {
  Queue q;
  q.settings.policy = static_cast<Policy>(up_to(in, 1));
  q.settings.visibility_ms = duration(in);
  q.settings.grace_ms = duration(in);
  q.settings.attempts_max = static_cast<uint32_t>(up_to(in, UINT32_MAX));
  q.settings.jobs_max = up_to(in, kJobsMaxLimit);
  q.paused = up_to(in, 1) != 0;
  q.last_worker = in.u64();
  Counters& c = q.counters;
  for (uint64_t* v : {&c.enqueued, &c.done, &c.failed, &c.timed_out, &c.moved, &c.died, &c.purged})
    *v = in.u64();
  return q;
}

Worker load_worker(raftcs_sm::Reader& in) {
  Worker w;
  w.all = up_to(in, 1) != 0;
  for (uint64_t n = up_to(in, kQueuesMax); n > 0; --n) {
    w.queues.push_back(in.bytes());
    expect(w.queues.size() < 2 || w.queues[w.queues.size() - 2] < w.queues.back(),
           "a worker's queues are not in order");
  }
  w.capacity = static_cast<uint32_t>(up_to(in, kCapacityMax));
  w.connected = up_to(in, 1) != 0;
  w.gone_since_ns = time(in);
  w.blocked_until_ns = time(in);
  return w;
}

Job load_job(const Book& book, raftcs_sm::Reader& in) {
  Job j;
  j.queue = in.bytes();
  expect(book.queues.count(j.queue) == 1, "a job is of no queue");
  j.state = static_cast<State>(up_to(in, kStates - 1));
  j.priority = static_cast<uint32_t>(up_to(in, kPriorityMax));
  j.attempts = up_to(in, INT64_MAX);
  j.forgiven = up_to(in, j.attempts);
  j.worker = in.u64();
  expect(j.state == State::assigned ? book.workers.count(j.worker) == 1 : j.worker == 0,
         "a job's worker is not there");
  j.avoid = in.u64();
  j.enqueued_ns = time(in);
  j.due_ns = time(in);
  j.payload = std::make_shared<const std::string>(in.bytes());
  j.reason = in.bytes();
  return j;
}

}  // namespace

uint64_t Book::digest() const {
  HashOut out;
  walk(*this, out);
  return out.h;
}

void save(const Book& book, raftcs_sm::Writer& out) { walk(book, out); }

Book load(raftcs_sm::Reader& in) {
  Book book;
  book.last_job = in.u64();
  book.last_queue = in.bytes();
  for (uint64_t n = up_to(in, kQueuesMax); n > 0; --n) {
    std::string name = in.bytes();
    expect(book.queues.empty() || book.queues.rbegin()->first < name, "queues are not in order");
    book.queues.emplace_hint(book.queues.end(), std::move(name), load_queue(in));
  }
  for (uint64_t n = in.u64(), last = 0; n > 0; --n) {
    const uint64_t session = in.u64();
    expect(session > last, "workers are not in order");
    book.workers.emplace(last = session, load_worker(in));
  }
  for (uint64_t n = in.u64(), last = 0; n > 0; --n) {
    const uint64_t id = in.u64();
    expect(id > last && id <= book.last_job, "jobs are not in order");
    book.jobs.emplace(last = id, load_job(book, in));
  }
  return book;
}

}  // namespace queue
