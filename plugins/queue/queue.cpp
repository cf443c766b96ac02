// queue.cpp: work dispatch: the commands and queries of the queue service (docs/queue.md).
//
// Jobs are put into named queues; sessions that opened with the capability queue.worker get
// them as server requests and answer with commands. This file reads and writes bytes; the rules
// are in dispatcher.hpp. A payload that is not exactly a command is refused and changes nothing.
#include <algorithm>

#include "../common/msgpack_lite.hpp"
#include "dispatcher.hpp"

namespace queue {
namespace {

using msgpack_lite::Reader;
using msgpack_lite::Writer;
using raftcs_sm::Answer;

constexpr char kWorkerCapability[] = "queue.worker";
constexpr char kCapacityCapability[] = "queue.capacity";
constexpr size_t kRowsMax = 1000;
constexpr size_t kRowsBytesMax = 4 << 20;

int64_t number(uint64_t v) { return static_cast<int64_t>(v); }

// A number from least to most; nil is `otherwise`.
bool read(Reader& in, int64_t least, int64_t most, int64_t otherwise, int64_t* out) {
  *out = otherwise;
  if (in.nil()) return true;
  *out = in.integer();
  return !in.failed() && *out >= least && *out <= most;
}

bool read_settings(Reader& in, Settings* s) {
  const Settings normal;
  if (!in.nil()) {
    const std::string_view policy = in.bytes();
    if (policy != "round_robin" && policy != "least_loaded") return false;
    s->policy = policy == "least_loaded" ? Policy::least_loaded : Policy::round_robin;
  }
  int64_t attempts = 0, jobs = 0;
  if (!read(in, 1, kDurationMsMax, normal.visibility_ms, &s->visibility_ms) ||
      !read(in, 0, kDurationMsMax, normal.grace_ms, &s->grace_ms) ||
      !read(in, 1, UINT32_MAX - 1, normal.attempts_max, &attempts) ||
      !read(in, 1, number(kJobsMaxLimit), number(normal.jobs_max), &jobs))
    return false;
  s->attempts_max = static_cast<uint32_t>(attempts);
  s->jobs_max = static_cast<uint64_t>(jobs);
  return true;
}

// "a+b+c" or "*": a capability's value has no comma in it. What can be no queue is left out, and
// what is more than there can be queues: load() takes no more.
Worker worker_of(std::string_view names) {
  Worker w;
  while (!names.empty()) {
    const size_t end = std::min(names.find('+'), names.size());
    const std::string_view name = names.substr(0, end);
    if (name == "*")
      w.all = true;
    else if (is_queue_name(name))
      w.queues.emplace_back(name);
    names.remove_prefix(std::min(end + 1, names.size()));
  }
  if (w.all) w.queues.clear();
  std::sort(w.queues.begin(), w.queues.end());
  w.queues.erase(std::unique(w.queues.begin(), w.queues.end()), w.queues.end());
  if (w.queues.size() > kQueuesMax) w.queues.resize(kQueuesMax);
  return w;
}

uint32_t capacity_of(std::string_view text) {
  uint32_t n = 0;
  for (char c : text) {
    if (c < '0' || c > '9' || n > kCapacityMax) return 1;
    n = n * 10 + static_cast<uint32_t>(c - '0');
  }
  return std::clamp<uint32_t>(n, 1, kCapacityMax);
}

const char* name_of(State s) {
  constexpr const char* kNames[kStates] = {"waiting", "delayed", "assigned", "dead"};
  return kNames[static_cast<size_t>(s)];
}

class BookSnapshot : public raftcs_sm::Snapshot {
 public:
  explicit BookSnapshot(Book book) : book_(std::move(book)) {}
  void write(raftcs_sm::Writer& out) override { save(book_, out); }

 private:
  Book book_;
};

class QueueService : public raftcs_sm::StateMachine {
 public:
  static constexpr raftcs_sm::Type kType{
      .id = "org.raftcs.queue",
      .flags = RAFTCS_SM_CONCURRENT_SNAPSHOT | RAFTCS_SM_HAS_DIGEST,
      .timers = true,
      .presence = true,
      .host_minor_required = 1};

  void apply(const raftcs_sm::Command& c, Answer& answer) override {
    Reader in(c.data);
    const uint32_t size = in.array();
    const std::string_view op = in.bytes();
    const Now now{c.time_ns, answer};
    if (op == "done" || op == "fail" || op == "extend")
      return answer.reply(finish(op, size, c.session, in, now));
    const std::string_view name = in.bytes();
    if (in.failed()) return answer.reply(kMalformed);
    if (op == "put" && size == 5) return put(name, in, now);
    if ((op == "create" || op == "configure") && size == 7) {
      Settings s;
      if (!read_settings(in, &s) || !in.done()) return answer.reply(kMalformed);
      return answer.reply(op == "create" ? work_.create(name, s) : work_.configure(name, s, now));
    }
    if (op == "requeue" && size == 3) {
      int64_t id = 0;
      if (!read(in, 1, INT64_MAX, 0, &id) || !in.done()) return answer.reply(kMalformed);
      uint64_t count = 0;
      const Code code = work_.requeue(name, static_cast<uint64_t>(id), now, &count);
      return counted(code, count, answer);
    }
    if (size != 2 || !in.done()) return answer.reply(kMalformed);
    if (op == "remove") return answer.reply(work_.remove(name));
    if (op == "pause" || op == "resume") return answer.reply(work_.pause(name, op == "pause", now));
    if (op == "purge" || op == "purge_dead") {
      uint64_t count = 0;
      const Code code = work_.purge(name, op == "purge_dead", &count);
      return counted(code, count, answer);
    }
    answer.reply(kMalformed);
  }

  void query(const raftcs_sm::Query& q, Answer& answer) override {
    Reader in(q.data);
    const uint32_t size = in.array();
    const std::string_view op = in.bytes();
    if (op == "queues" && size == 2) return queues(in, answer);
    if (op == "workers" && size == 3) return workers(in, answer);
    if (op == "jobs" && size == 6) return jobs(in, answer);
    if (op == "job" && size == 2) return job(in, answer);
    answer.reply(kMalformed);
  }

  void session_started(const raftcs_sm::SessionEvent& e, Answer& answer) override {
    const std::string_view* names = nullptr;
    uint32_t capacity = 1;
    for (const auto& [name, value] : e.capabilities) {
      if (name == kWorkerCapability) names = &value;
      if (name == kCapacityCapability) capacity = capacity_of(value);
    }
    if (names == nullptr) return;
    Worker w = worker_of(*names);
    w.capacity = capacity;
    w.connected = e.connected;
    w.gone_since_ns = e.connected ? 0 : e.time_ns;
    work_.worker_started(e.session, std::move(w), {e.time_ns, answer});
  }
  void session_ended(const raftcs_sm::SessionEvent& e, Answer& answer) override {
    std::set<std::pair<uint64_t, uint64_t>> unread;
    for (std::string_view letter : e.undelivered) {
      Reader in(letter);
      in.array();
      in.bytes();
      in.bytes();
      const auto id = static_cast<uint64_t>(in.integer());
      unread.insert({id, static_cast<uint64_t>(in.integer())});
    }
    work_.worker_ended(e.session, unread, {e.time_ns, answer});
  }
  void session_presence(const raftcs_sm::SessionEvent& e, Answer& answer) override {
    work_.worker_presence(e.session, e.connected, {e.time_ns, answer});
  }
  int64_t next_timer_ns() override { return work_.next_timer_ns(); }
  void timer(const raftcs_sm::Timer& t, Answer& answer) override {
    work_.timer({t.time_ns, answer});
  }

  std::unique_ptr<raftcs_sm::Snapshot> snapshot() override {
    return std::make_unique<BookSnapshot>(work_.book());
  }
  void restore(uint32_t, raftcs_sm::Reader& in) override {
    Book book = load(in);
    in.end();
    work_ = Dispatcher(std::move(book));
  }
  uint64_t digest() override { return work_.book().digest(); }

 private:
  static void counted(Code code, uint64_t count, Answer& answer) {
    if (code != kOk) return answer.reply(code);
    answer.reply(kOk, Writer().array(1).integer(number(count)).str());
  }

  void put(std::string_view name, Reader& in, const Now& now) {
    const std::string_view payload = in.bytes();
    int64_t priority = 0, delay_ms = 0;
    if (!read(in, 0, kPriorityMax, 0, &priority) || !read(in, 0, kDurationMsMax, 0, &delay_ms) ||
        !in.done())
      return now.answer.reply(kMalformed);
    uint64_t id = 0;
    const Code code = work_.put(name, payload, static_cast<uint32_t>(priority), delay_ms, now, &id);
    counted(code, id, now.answer);
  }

  // ["done", job, attempt], ["fail", job, attempt, reason, retry_ms], ["extend", job, attempt, ms]
  Code finish(std::string_view op, uint32_t size, uint64_t session, Reader& in, const Now& now) {
    int64_t id = 0, attempt = 0, ms = 0;
    if (!read(in, 1, INT64_MAX, 0, &id) || !read(in, 1, INT64_MAX, 0, &attempt)) return kMalformed;
    std::optional<uint64_t> of;
    if (attempt != 0) of = static_cast<uint64_t>(attempt);
    const auto job = static_cast<uint64_t>(id);
    if (op == "done" && size == 3)
      return in.done() ? work_.done(session, job, of, now) : kMalformed;
    if (op == "extend" && size == 4)
      return read(in, 1, kDurationMsMax, 0, &ms) && in.done()
                 ? work_.extend(session, job, of, ms == 0 ? std::nullopt : std::optional(ms), now)
                 : kMalformed;
    const std::string_view reason = in.bytes();
    if (op != "fail" || size != 5 || !read(in, 0, kDurationMsMax, 0, &ms) || !in.done())
      return kMalformed;
    return work_.fail(session, job, of, reason, ms, now);
  }

  void queues(Reader& in, Answer& answer) const {
    const bool all = in.nil();
    const std::string_view one = all ? std::string_view() : in.bytes();
    if (!in.done()) return answer.reply(kMalformed);
    const auto& list = work_.book().queues;
    if (!all && list.count(one) == 0) return answer.reply(kNotFound);
    Writer rows;
    rows.array(all ? static_cast<uint32_t>(list.size()) : 1);
    for (const auto& [name, q] : list) {
      if (!all && name != one) continue;
      const Settings& s = q.settings;
      const Counters& c = q.counters;
      rows.array(18).bytes(name).text(s.policy == Policy::round_robin ? "round_robin"
                                                                      : "least_loaded");
      for (int64_t v : {s.visibility_ms, s.grace_ms, int64_t{s.attempts_max}, number(s.jobs_max)})
        rows.integer(v);
      rows.boolean(q.paused);
      for (size_t state = 0; state < kStates; ++state)
        rows.integer(number(work_.jobs(name, static_cast<State>(state)).size()));
      for (uint64_t v : {c.enqueued, c.done, c.failed, c.timed_out, c.moved, c.died, c.purged})
        rows.integer(number(v));
    }
    answer.reply(kOk, rows.str());
  }

  void workers(Reader& in, Answer& answer) const {
    int64_t after = 0, limit = 0;
    if (!read(in, 0, INT64_MAX, 0, &after) ||
        !read(in, 1, number(kRowsMax), number(kRowsMax), &limit) || !in.done())
      return answer.reply(kMalformed);
    const auto& list = work_.book().workers;
    Writer rows;
    int64_t count = 0;
    auto it = list.upper_bound(static_cast<uint64_t>(after));
    for (; it != list.end() && count < limit && rows.str().size() < kRowsBytesMax; ++it, ++count) {
      const Worker& w = it->second;
      rows.array(6).integer(number(it->first)).boolean(w.connected).integer(w.capacity);
      rows.integer(number(work_.load(it->first))).boolean(w.blocked_until_ns != 0);
      rows.array(w.all ? 1 : static_cast<uint32_t>(w.queues.size()));
      if (w.all) rows.text("*");
      for (const std::string& name : w.queues) rows.bytes(name);
    }
    Writer head;
    head.array(2).boolean(it != list.end()).array(static_cast<uint32_t>(count));
    answer.reply(kOk, head.str() + rows.str());
  }

  // [id, state, priority, attempts, worker, enqueued_ns, due_ns, size, reason, payload or nil]
  static void row(uint64_t id, const Job& j, bool payload, Writer* out) {
    out->array(10).integer(number(id)).text(name_of(j.state)).integer(j.priority);
    out->integer(number(j.attempts)).integer(number(j.worker)).integer(j.enqueued_ns);
    out->integer(j.due_ns).integer(number(j.payload->size())).bytes(j.reason);
    payload ? out->bytes(*j.payload) : out->nil();
  }

  // ["jobs", queue, state, after, limit, payloads]; in the order of ids
  void jobs(Reader& in, Answer& answer) const {
    const std::string name(in.bytes());
    const std::string_view state = in.bytes();
    int64_t after = 0, limit = 0;
    if (!read(in, 0, INT64_MAX, 0, &after) ||
        !read(in, 1, number(kRowsMax), number(kRowsMax), &limit))
      return answer.reply(kMalformed);
    const bool payloads = in.boolean();
    size_t which = 0;
    while (which < kStates && state != name_of(static_cast<State>(which))) ++which;
    if (!in.done() || which == kStates) return answer.reply(kMalformed);
    if (work_.book().queues.count(name) == 0) return answer.reply(kNotFound);
    const auto& listing = work_.jobs(name, static_cast<State>(which));
    std::vector<uint64_t> ids;  // waiting ones are listed by priority: here by id, for `after`
    for (const auto& [order, id] : listing)
      if (id > static_cast<uint64_t>(after)) ids.push_back(id);
    std::sort(ids.begin(), ids.end());
    Writer rows;
    size_t count = 0;
    for (; count < ids.size() && count < static_cast<size_t>(limit) &&
           rows.str().size() < kRowsBytesMax;
         ++count)
      row(ids[count], work_.book().jobs.at(ids[count]), payloads, &rows);
    Writer head;
    head.array(2).boolean(count < ids.size()).array(static_cast<uint32_t>(count));
    answer.reply(kOk, head.str() + rows.str());
  }

  void job(Reader& in, Answer& answer) const {
    int64_t id = 0;
    if (!read(in, 1, INT64_MAX, 0, &id) || !in.done()) return answer.reply(kMalformed);
    const auto it = work_.book().jobs.find(static_cast<uint64_t>(id));
    if (it == work_.book().jobs.end()) return answer.reply(kNotFound);
    Writer out;
    out.array(2).bytes(it->second.queue);
    row(it->first, it->second, true, &out);
    answer.reply(kOk, out.str());
  }

  Dispatcher work_;
};

}  // namespace
}  // namespace queue

RAFTCS_PLUGIN("queue", "1.0.0", "raftcs", "same as raftcs", queue::QueueService)
