// dispatcher.cpp: see dispatcher.hpp for what must hold.
#include "dispatcher.hpp"

#include <algorithm>

#include "../common/msgpack_lite.hpp"

namespace queue {

Dispatcher::Dispatcher(Book book) : book_(std::move(book)) {
  for (const auto& [name, q] : book_.queues) indexes_[name];
  for (const auto& [session, w] : book_.workers) {
    assigned_[session];
    if (w.blocked_until_ns != 0) blocked_.insert({w.blocked_until_ns, session});
  }
  for (const auto& [id, job] : book_.jobs) {
    index(id, job, true);
    indexes_.find(job.queue)->second.bytes += job.payload->size();
  }
  for (const auto& [session, w] : book_.workers) refresh(session);
}

bool is_queue_name(std::string_view name) {
  return !name.empty() && name.size() <= kNameBytesMax &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '.' || c == '-' || c == '_';
         });
}

// --- queues -----------------------------------------------------------------------------

Queue* Dispatcher::queue(std::string_view name) {
  const auto it = book_.queues.find(name);
  return it == book_.queues.end() ? nullptr : &it->second;
}

Code Dispatcher::create(std::string_view name, const Settings& settings) {
  if (const Queue* q = queue(name)) return q->settings == settings ? kOk : kExists;
  if (!is_queue_name(name)) return kMalformed;
  if (book_.queues.size() >= kQueuesMax) return kFull;
  const std::string key(name);
  book_.queues[key].settings = settings;
  indexes_[key];
  for (const auto& [session, load] : free_loads_)
    if (load && serves(book_.workers.at(session), key))
      indexes_[key].free.insert({free_key(book_.queues[key], *load), session});
  return kOk;
}

Code Dispatcher::configure(std::string_view name, const Settings& settings, const Now& now) {
  Queue* q = queue(name);
  if (q == nullptr) return kNotFound;
  Index& at = indexes_.find(name)->second;
  const std::string key(name);
  for (const auto& [order, id] : at.jobs[static_cast<size_t>(State::assigned)])
    due_.erase({due_of(book_.jobs.at(id)), id});
  q->settings = settings;
  for (const auto& [order, id] : at.jobs[static_cast<size_t>(State::assigned)])
    due_.insert({due_of(book_.jobs.at(id)), id});  // the grace may be another
  at.free.clear();
  for (const auto& [session, load] : free_loads_)
    if (load && serves(book_.workers.at(session), key))
      at.free.insert({free_key(*q, *load), session});
  dispatch(key, now);
  return kOk;
}

Code Dispatcher::remove(std::string_view name) {
  if (queue(name) == nullptr) return kNotFound;
  const auto at = indexes_.find(name);
  for (const Listing& l : at->second.jobs)
    if (!l.empty()) return kNotEmpty;
  indexes_.erase(at);
  book_.queues.erase(book_.queues.find(name));
  return kOk;
}

Code Dispatcher::pause(std::string_view name, bool paused, const Now& now) {
  Queue* q = queue(name);
  if (q == nullptr) return kNotFound;
  q->paused = paused;
  dispatch(std::string(name), now);
  return kOk;
}

Code Dispatcher::put(std::string_view name, std::string_view payload, uint32_t priority,
                     int64_t delay_ms, const Now& now, uint64_t* id) {
  Queue* q = queue(name);
  if (q == nullptr) return kNotFound;
  if (payload.size() > kPayloadBytesMax) return kTooLarge;
  Index& at = indexes_.find(name)->second;
  size_t jobs = 0;
  for (const Listing& l : at.jobs) jobs += l.size();
  if (jobs >= q->settings.jobs_max || at.bytes + payload.size() > kQueueBytesMax) return kFull;
  *id = ++book_.last_job;
  Job& job = book_.jobs[*id];
  job.queue = name;
  job.priority = priority;
  job.enqueued_ns = now.ns;
  job.payload = std::make_shared<const std::string>(payload);
  if (delay_ms > 0) {
    job.state = State::delayed;
    job.due_ns = now.ns + delay_ms * kNsPerMs;
  }
  at.bytes += payload.size();
  ++q->counters.enqueued;
  index(*id, job, true);
  dispatch(job.queue, now);
  return kOk;
}

Code Dispatcher::purge(std::string_view name, bool dead, uint64_t* count) {
  Queue* q = queue(name);
  if (q == nullptr) return kNotFound;
  std::vector<uint64_t> ids;
  for (State s : {State::waiting, State::delayed, State::dead})
    for (const auto& [order, id] : jobs(std::string(name), s))
      if (dead == (s == State::dead)) ids.push_back(id);
  for (uint64_t id : ids) erase(id, book_.jobs.at(id));
  q->counters.purged += ids.size();
  *count = ids.size();
  return kOk;
}

Code Dispatcher::requeue(std::string_view name, uint64_t one, const Now& now, uint64_t* count) {
  if (queue(name) == nullptr) return kNotFound;
  std::vector<uint64_t> ids;
  for (const auto& [order, id] : jobs(std::string(name), State::dead))
    if (one == 0 || one == id) ids.push_back(id);
  if (one != 0 && ids.empty()) return kNotFound;
  for (uint64_t id : ids) {
    Job& job = book_.jobs.at(id);
    job.forgiven = job.attempts;
    job.avoid = 0;
    move(id, job, State::waiting);
  }
  *count = ids.size();
  dispatch(std::string(name), now);
  return kOk;
}

// --- what workers answer ----------------------------------------------------------------------

Job* Dispatcher::held(uint64_t session, uint64_t id, std::optional<uint64_t> attempt) {
  const auto it = book_.jobs.find(id);
  if (it == book_.jobs.end() || it->second.state != State::assigned) return nullptr;
  Job& job = it->second;
  if (attempt && (job.worker != session || job.attempts != *attempt)) return nullptr;
  return &job;
}

Code Dispatcher::done(uint64_t session, uint64_t id, std::optional<uint64_t> attempt,
                      const Now& now) {
  Job* job = held(session, id, attempt);
  if (job == nullptr && !attempt) {  // an operator may also end what waits or is dead
    const auto it = book_.jobs.find(id);
    if (it == book_.jobs.end()) return kNotFound;
    job = &it->second;
  }
  if (job == nullptr) return kNotHeld;
  const Names touched = job->worker != 0 ? names_of(book_.workers.at(job->worker)) : Names();
  ++queue(job->queue)->counters.done;
  erase(id, *job);
  dispatch(touched, now);
  return kOk;
}

Code Dispatcher::fail(uint64_t session, uint64_t id, std::optional<uint64_t> attempt,
                      std::string_view reason, int64_t retry_ms, const Now& now) {
  if (reason.size() > kReasonBytesMax) return kTooLarge;
  Job* job = held(session, id, attempt);
  if (job == nullptr) return kNotHeld;
  const Names touched = names_of(book_.workers.at(job->worker));
  ++queue(job->queue)->counters.failed;
  give_back(id, *job, reason, retry_ms, now.ns);
  dispatch(touched, now);
  return kOk;
}

Code Dispatcher::extend(uint64_t session, uint64_t id, std::optional<uint64_t> attempt,
                        std::optional<int64_t> ms, const Now& now) {
  Job* job = held(session, id, attempt);
  if (job == nullptr) return kNotHeld;
  index(id, *job, false);
  job->due_ns = now.ns + ms.value_or(queue(job->queue)->settings.visibility_ms) * kNsPerMs;
  index(id, *job, true);
  return kOk;
}

// --- jobs on their way --------------------------------------------------------------------------

// When time alone ends the present state of a job.
int64_t Dispatcher::due_of(const Job& job) const {
  if (job.state != State::assigned) return job.due_ns;
  const Worker& w = book_.workers.at(job.worker);
  if (w.connected) return job.due_ns;
  const int64_t grace_ns = book_.queues.at(job.queue).settings.grace_ms * kNsPerMs;
  return std::min(job.due_ns, w.gone_since_ns + grace_ns);
}

void Dispatcher::index(uint64_t id, const Job& job, bool add) {
  Listing& list = indexes_.find(job.queue)->second.jobs[static_cast<size_t>(job.state)];
  const int64_t order = job.state == State::waiting ? -static_cast<int64_t>(job.priority) : 0;
  const bool timed = job.state == State::delayed || job.state == State::assigned;
  if (add) {
    list.insert({order, id});
    if (timed) due_.insert({due_of(job), id});
    if (job.state == State::assigned) assigned_[job.worker].insert(id);
  } else {
    list.erase({order, id});
    if (timed) due_.erase({due_of(job), id});
    if (job.state == State::assigned) assigned_[job.worker].erase(id);
  }
}

void Dispatcher::move(uint64_t id, Job& job, State to) {
  index(id, job, false);
  const uint64_t worker = job.state == State::assigned ? job.worker : 0;
  job.state = to;
  if (to != State::assigned) job.worker = 0;
  index(id, job, true);
  if (worker != 0) refresh(worker);
}

void Dispatcher::erase(uint64_t id, Job& job) {
  index(id, job, false);
  const uint64_t worker = job.state == State::assigned ? job.worker : 0;
  indexes_.find(job.queue)->second.bytes -= job.payload->size();
  book_.jobs.erase(id);
  if (worker != 0) refresh(worker);
}

// From a worker back to the queue, or to the dead letters.
void Dispatcher::give_back(uint64_t id, Job& job, std::string_view reason, int64_t retry_ms,
                           int64_t now_ns) {
  Queue& q = *queue(job.queue);
  const bool dead = job.attempts - job.forgiven >= q.settings.attempts_max;
  index(id, job, false);
  const uint64_t worker = job.worker;
  job.avoid = worker;
  job.worker = 0;
  job.reason = reason;
  job.state = dead ? State::dead : retry_ms > 0 ? State::delayed : State::waiting;
  job.due_ns = dead ? now_ns : now_ns + retry_ms * kNsPerMs;
  if (dead) ++q.counters.died;
  index(id, job, true);
  refresh(worker);
}

// --- workers ------------------------------------------------------------------------------------

bool Dispatcher::serves(const Worker& w, const std::string& name) const {
  return w.all || std::binary_search(w.queues.begin(), w.queues.end(), name);
}

Dispatcher::Names Dispatcher::names_of(const Worker& w) const {
  Names names;
  for (const std::string& name : w.queues)
    if (book_.queues.count(name) != 0) names.insert(name);
  if (w.all)
    for (const auto& [name, q] : book_.queues) names.insert(name);
  return names;
}

uint64_t Dispatcher::free_key(const Queue& q, uint64_t load) {
  return q.settings.policy == Policy::least_loaded ? load : 0;
}

// Brings the lists of free workers in line with the worker.
void Dispatcher::refresh(uint64_t session) {
  const Worker& w = book_.workers.at(session);
  const size_t load = assigned_[session].size();
  const bool free = w.connected && w.blocked_until_ns == 0 && load < w.capacity;
  set_free(session, free ? std::optional<uint64_t>(load) : std::nullopt);
}

void Dispatcher::set_free(uint64_t session, std::optional<uint64_t> load) {
  std::optional<uint64_t>& before = free_loads_[session];
  if (before == load) return;
  const Worker& w = book_.workers.at(session);
  const auto change = [&](const std::string& name, Index& at) {
    const Queue& q = book_.queues.at(name);
    if (before) at.free.erase({free_key(q, *before), session});
    if (load) at.free.insert({free_key(q, *load), session});
  };
  if (w.all)
    for (auto& [name, at] : indexes_) change(name, at);
  else
    for (const std::string& name : w.queues)
      if (const auto it = indexes_.find(name); it != indexes_.end()) change(name, it->second);
  before = load;
}

void Dispatcher::worker_started(uint64_t session, Worker worker, const Now& now) {
  const Names touched = names_of(worker);
  book_.workers[session] = std::move(worker);
  assigned_[session];
  refresh(session);
  dispatch(touched, now);
}

void Dispatcher::worker_ended(uint64_t session,
                              const std::set<std::pair<uint64_t, uint64_t>>& unread,
                              const Now& now) {
  const auto it = book_.workers.find(session);
  if (it == book_.workers.end()) return;
  Names touched;
  const std::set<uint64_t> jobs = assigned_[session];
  for (uint64_t id : jobs) {
    Job& job = book_.jobs.at(id);
    if (unread.count({id, job.attempts}) != 0) ++job.forgiven;
    ++queue(job.queue)->counters.moved;
    give_back(id, job, "its worker's session ended", 0, now.ns);
    touched.insert(job.queue);
  }
  set_free(session, std::nullopt);
  blocked_.erase({it->second.blocked_until_ns, session});
  free_loads_.erase(session);
  assigned_.erase(session);
  book_.workers.erase(it);
  dispatch(touched, now);
}

void Dispatcher::worker_presence(uint64_t session, bool connected, const Now& now) {
  const auto it = book_.workers.find(session);
  if (it == book_.workers.end() || it->second.connected == connected) return;
  const std::set<uint64_t> jobs = assigned_[session];
  for (uint64_t id : jobs) due_.erase({due_of(book_.jobs.at(id)), id});
  it->second.connected = connected;
  it->second.gone_since_ns = connected ? 0 : now.ns;
  for (uint64_t id : jobs) due_.insert({due_of(book_.jobs.at(id)), id});
  refresh(session);
  if (connected) dispatch(names_of(it->second), now);
}

// --- time ---------------------------------------------------------------------------------------

int64_t Dispatcher::next_timer_ns() const {
  int64_t at = INT64_MAX;
  if (!due_.empty()) at = std::min(at, due_.begin()->first);
  if (!blocked_.empty()) at = std::min(at, blocked_.begin()->first);
  return at;
}

void Dispatcher::timer(const Now& now) {
  Names touched;
  for (size_t n = 0; n < kDuePerTimer && !due_.empty() && due_.begin()->first <= now.ns; ++n) {
    const uint64_t id = due_.begin()->second;
    Job& job = book_.jobs.at(id);
    touched.insert(job.queue);
    if (job.state == State::delayed) {
      move(id, job, State::waiting);
    } else {
      const bool late = job.due_ns <= now.ns;
      Counters& c = queue(job.queue)->counters;
      ++(late ? c.timed_out : c.moved);
      touched.merge(names_of(book_.workers.at(job.worker)));
      give_back(id, job, late ? "visibility timeout" : "its worker was disconnected", 0, now.ns);
    }
  }
  while (!blocked_.empty() && blocked_.begin()->first <= now.ns) {
    const uint64_t session = blocked_.begin()->second;
    blocked_.erase(blocked_.begin());
    book_.workers.at(session).blocked_until_ns = 0;
    refresh(session);
    touched.merge(names_of(book_.workers.at(session)));
  }
  dispatch(touched, now);
}

// --- dispatch -----------------------------------------------------------------------------------

// The least loaded (all count alike in a queue of turns), and among those the next in turn. A
// worker that lost this very job gets it again only if there is no other.
uint64_t Dispatcher::choose(const Queue& q, const Index& at, const Job& job) const {
  const auto next = [&](uint64_t after) {
    const uint64_t least = at.free.begin()->first;
    auto it = at.free.upper_bound({least, after});
    if (it == at.free.end() || it->first != least) it = at.free.begin();
    return it->second;
  };
  const uint64_t session = next(q.last_worker);
  if (session != job.avoid || at.free.size() == 1) return session;
  const uint64_t other = next(session);
  return other != session ? other : std::next(at.free.begin())->second;
}

bool Dispatcher::offer(uint64_t id, Job& job, uint64_t session, const Now& now) {
  msgpack_lite::Writer request;
  request.array(6).text("job").bytes(job.queue).integer(static_cast<int64_t>(id));
  request.integer(static_cast<int64_t>(job.attempts + 1)).bytes(*job.payload);
  request.integer(queue(job.queue)->settings.visibility_ms);
  if (now.answer.push(session, request.str())) return true;
  Worker& w = book_.workers.at(session);
  w.blocked_until_ns = now.ns + kBlockedNs;
  blocked_.insert({w.blocked_until_ns, session});
  refresh(session);
  return false;
}

void Dispatcher::dispatch(const std::string& name, const Now& now) {
  Queue& q = *queue(name);
  Index& at = indexes_.find(name)->second;
  const Listing& waiting = at.jobs[static_cast<size_t>(State::waiting)];
  while (!q.paused && !waiting.empty() && !at.free.empty()) {
    const uint64_t id = waiting.begin()->second;
    Job& job = book_.jobs.at(id);
    const uint64_t session = choose(q, at, job);
    if (!offer(id, job, session, now)) continue;
    q.last_worker = session;
    book_.last_queue = name;
    index(id, job, false);
    job.state = State::assigned;
    job.worker = session;
    ++job.attempts;
    job.due_ns = now.ns + q.settings.visibility_ms * kNsPerMs;
    index(id, job, true);
    refresh(session);
  }
}

// Queues take turns too: a worker of several is not kept by the first one.
void Dispatcher::dispatch(const Names& names, const Now& now) {
  const std::string last = book_.last_queue;
  for (auto it = names.upper_bound(last); it != names.end(); ++it) dispatch(*it, now);
  for (auto it = names.begin(); it != names.end() && *it <= last; ++it) dispatch(*it, now);
}

}  // namespace queue
