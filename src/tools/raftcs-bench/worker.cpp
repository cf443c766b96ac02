// worker.cpp: see worker.hpp.
//
// One queue for all sessions of the process, taken from in batches; on each reply the next
// operation of the same session is submitted, so every session keeps its number in flight. A single
// session with a single operation in flight uses the calls that wait.
// An operation that fails is counted and its place rests for 10 ms: a generator that
// hammers a cluster in trouble measures nothing.
#include "raftcs-bench/worker.hpp"

#include <cstdio>
#include <deque>
#include <iostream>
#include <nlohmann/json.hpp>

#include "common/api.hpp"
#include "common/kv.hpp"
#include "raftcs-bench/histogram.hpp"
#include "raftcs-bench/process.hpp"

namespace tools {

namespace {

class Worker {
 public:
  explicit Worker(const WorkerOptions& options) : options_(options), queue_(make_queue()) {
    random_ = 0x9E3779B97F4A7C15ull * (options.number + 1);
    for (uint32_t i = 0; i < kKeys; ++i) {
      std::string key = key_of(i);
      payloads_.push_back(is_put() ? kv::put(key, value_of(i)) : kv::get(key));
    }
  }

  void connect() {
    ConfigPtr config = make_config();
    set(config.get(), "client.endpoints", join(options_.endpoints, ","));
    for (const std::string& pair : options_.settings) set_pair(config.get(), pair);
    for (uint32_t i = 0; i < options_.workload.sessions; ++i) {
      raftcs_client_t* client = nullptr;
      raftcs_error_t* error = nullptr;
      raftcs_status_t status = raftcs_client_create(config.get(), queue_.get(), i, &client, &error);
      if (status != RAFTCS_OK) throw Failure(kUsage, take_error(error, status));
      clients_.emplace_back(client);
      status = raftcs_client_open(client);
      if (status != RAFTCS_OK) throw Failure(kFailed, describe(status));
    }
    for (ClientPtr& client : clients_) {
      raftcs_status_t status = raftcs_client_wait_connected(client.get(), 30'000);
      if (status != RAFTCS_OK) throw Failure(kUnavailable, "no session: " + describe(status));
    }
  }

  void preload() {
    uint32_t next = 0, waiting = 0;
    while (next < kKeys || waiting > 0) {
      while (next < kKeys && waiting < 256) {
        submit_to(0, payloads_[next], next);
        ++next, ++waiting;
      }
      for (const Ended& one : take(1'000)) {
        if (!one.good) throw Failure(kFailed, "loading the keys: " + one.error);
        --waiting;
      }
    }
  }

  void measure(uint64_t begin_ns, uint64_t end_ns) {
    begin_ns_ = begin_ns, end_ns_ = end_ns;
    if (options_.workload.sessions == 1 && options_.workload.window == 1) return in_sequence();
    slots_.resize(static_cast<size_t>(clients_.size()) * options_.workload.window);
    for (size_t slot = 0; slot < slots_.size(); ++slot) start(slot);
    bool cpu_taken = false;
    for (uint64_t now = mono_ns(); now < end_ns_; now = mono_ns()) {
      if (!cpu_taken && now >= begin_ns_) cpu_taken = true, cpu_begin_ = cpu_seconds_self();
      while (!resting_.empty() && resting_.front().second <= now) {
        start(resting_.front().first);
        resting_.pop_front();
      }
      for (const Ended& one : take(resting_.empty() ? 50 : 5)) ended(one);
    }
    cpu_end_ = cpu_seconds_self();
  }

  // Arrivals by the clock, to the sessions in turn.
  void measure_open(uint64_t begin_ns, uint64_t end_ns) {
    begin_ns_ = begin_ns, end_ns_ = end_ns;
    open_.resize(clients_.size());
    const uint64_t start_ns = mono_ns();
    uint64_t arrived = 0;
    bool cpu_taken = false;
    for (uint64_t now = start_ns; now < end_ns_; now = mono_ns()) {
      if (!cpu_taken && now >= begin_ns_) cpu_taken = true, cpu_begin_ = cpu_seconds_self();
      const double due = static_cast<double>(now - start_ns) * options_.rate / 1e9;
      for (; arrived < static_cast<uint64_t>(due); ++arrived) arrive(arrived % open_.size(), now);
      for (const Ended& one : take(1)) ended_open(one);
    }
    cpu_end_ = cpu_seconds_self();
  }

  // One operation at a time is what the waiting calls are for.
  void in_sequence() {
    auto call = is_put() ? raftcs_client_submit_wait : raftcs_client_query_wait;
    bool cpu_taken = false;
    for (uint64_t now = mono_ns(); now < end_ns_;) {
      if (!cpu_taken && now >= begin_ns_) cpu_taken = true, cpu_begin_ = cpu_seconds_self();
      const std::string& payload = payloads_[next_key()];
      raftcs_event_t* event = nullptr;
      raftcs_status_t status =
          call(clients_[0].get(), "kv", payload.data(), payload.size(), nullptr, &event);
      if (status != RAFTCS_OK) throw Failure(kFailed, "refused: " + describe(status));
      Ended one = read(event);
      raftcs_event_destroy(event);
      uint64_t begun = now;
      now = mono_ns();
      if (begun < begin_ns_ || now >= end_ns_) continue;
      if (one.good)
        histogram_.add(now - begun);
      else
        ++errors_, first_error_ = one.error;
    }
    cpu_end_ = cpu_seconds_self();
  }

  // Closes all sessions, so that the next run does not meet their expiry; bounded.
  void close(int64_t timeout_ms) {
    for (ClientPtr& client : clients_) raftcs_client_close(client.get(), 0);
    size_t open = clients_.size();
    int64_t deadline = mono_ms() + timeout_ms;
    while (open > 0 && mono_ms() < deadline) {
      raftcs_event_t* event = nullptr;
      if (raftcs_queue_next(queue_.get(), 100, &event) != RAFTCS_OK) return;
      if (event == nullptr) continue;
      if (raftcs_event_kind(event) == RAFTCS_EVENT_CLOSED) --open;
      raftcs_event_destroy(event);
    }
  }

  nlohmann::json result() const {
    nlohmann::json buckets = nlohmann::json::array();
    for (size_t i = 0; i < histogram_.counts().size(); ++i) {
      if (histogram_.counts()[i] > 0) buckets.push_back({i, histogram_.counts()[i]});
    }
    return {{"done", histogram_.total()}, {"errors", errors_},  {"error", first_error_},
            {"max_ns", histogram_.max()}, {"buckets", buckets}, {"cpu", cpu_end_ - cpu_begin_},
            {"offered", offered_},        {"shed", shed_},      {"lost", lost_}};
  }

 private:
  struct Ended {
    uint64_t tag = 0;
    bool good = false;
    std::string error;
  };

  bool is_put() const { return options_.preload || options_.workload.kind == "put"; }

  void submit_to(size_t client, const std::string& payload, uint64_t tag) {
    auto call = is_put() ? raftcs_client_submit : raftcs_client_query;
    uint64_t op_id = 0;
    raftcs_status_t status =
        call(clients_[client].get(), "kv", tag, payload.data(), payload.size(), nullptr, &op_id);
    if (status != RAFTCS_OK) throw Failure(kFailed, "refused: " + describe(status));
  }

  static Ended read(const raftcs_event_t* event) {
    raftcs_status_t outcome = raftcs_event_status(event);
    int32_t app_code = raftcs_event_app_code(event);
    Ended one{raftcs_event_tag(event), outcome == RAFTCS_OK && app_code == 0, {}};
    if (one.good) return one;
    one.error = outcome == RAFTCS_OK ? kv::app_code_text(app_code)
                                     : describe(outcome, raftcs_event_text(event));
    return one;
  }

  uint32_t next_key() {
    random_ ^= random_ << 13, random_ ^= random_ >> 7, random_ ^= random_ << 17;
    return static_cast<uint32_t>(random_ % kKeys);
  }

  void start(size_t slot) {
    slots_[slot] = mono_ns();
    submit_to(slot / options_.workload.window, payloads_[next_key()], slot);
  }

  void ended(const Ended& one) {
    uint64_t now = mono_ns();
    if (one.good) {
      if (now >= begin_ns_ && now < end_ns_) histogram_.add(now - slots_[one.tag]);
      start(one.tag);
      return;
    }
    if (now >= begin_ns_ && now < end_ns_) ++errors_;
    if (first_error_.empty()) first_error_ = one.error;
    resting_.emplace_back(one.tag, now + 10'000'000);
  }

  void arrive(size_t session, uint64_t now) {
    const bool counts = now >= begin_ns_;
    offered_ += counts;
    if (open_[session] >= kOpenOutstandingMax) {
      shed_ += counts;
      return;
    }
    if (free_slots_.empty()) {
      free_slots_.push_back(slots_.size());
      slots_.push_back(0);
      slot_session_.push_back(0);
    }
    const size_t slot = free_slots_.back();
    free_slots_.pop_back();
    slots_[slot] = now;
    slot_session_[slot] = session;
    ++open_[session];
    submit_to(session, payloads_[next_key()], slot);
  }

  void ended_open(const Ended& one) {
    const uint64_t now = mono_ns();
    const bool counts = now >= begin_ns_ && now < end_ns_;
    if (one.good && counts) histogram_.add(now - slots_[one.tag]);
    if (!one.good && counts) ++errors_;
    if (!one.good && first_error_.empty()) first_error_ = one.error;
    --open_[slot_session_[one.tag]];
    free_slots_.push_back(one.tag);
  }

  std::vector<Ended>& take(int64_t timeout_ms) {
    constexpr size_t kBatch = 512;
    raftcs_event_t* events[kBatch];
    size_t count = 0;
    raftcs_status_t status =
        raftcs_queue_next_batch(queue_.get(), timeout_ms, events, kBatch, &count);
    if (status != RAFTCS_OK) throw Failure(kFailed, "reading events: " + describe(status));
    taken_.clear();
    for (size_t i = 0; i < count; ++i) {
      int32_t kind = raftcs_event_kind(events[i]);
      lost_ += kind == RAFTCS_EVENT_SESSION_LOST;
      if (kind == RAFTCS_EVENT_REPLY || kind == RAFTCS_EVENT_QUERY_REPLY)
        taken_.push_back(read(events[i]));
    }
    raftcs_event_destroy_batch(events, count);
    return taken_;
  }

  WorkerOptions options_;
  QueuePtr queue_;
  std::vector<ClientPtr> clients_;
  std::vector<std::string> payloads_;
  std::vector<uint64_t> slots_;  // when each place's operation was submitted
  std::deque<std::pair<size_t, uint64_t>> resting_;
  std::vector<uint32_t> open_;        // open loop: unanswered, of each session
  std::vector<size_t> slot_session_;  // of each slot
  std::vector<size_t> free_slots_;
  uint64_t offered_ = 0, shed_ = 0, lost_ = 0;
  std::vector<Ended> taken_;
  uint64_t random_ = 1;
  uint64_t begin_ns_ = 0, end_ns_ = 0;
  Histogram histogram_;
  uint64_t errors_ = 0;
  std::string first_error_;
  double cpu_begin_ = 0, cpu_end_ = 0;
};

}  // namespace

int run_worker(const WorkerOptions& options) {
  Worker worker(options);
  worker.connect();
  std::cout << "ready" << std::endl;
  if (options.preload) {
    worker.preload();
    std::cout << "{}" << std::endl;
    worker.close(2'000);
    return kDone;
  }
  uint64_t begin_ns = 0, end_ns = 0;
  if (!(std::cin >> begin_ns >> end_ns)) return kFailed;
  if (options.rate > 0)
    worker.measure_open(begin_ns, end_ns);
  else
    worker.measure(begin_ns, end_ns);
  std::cout << worker.result().dump() << std::endl;
  worker.close(2'000);
  return kDone;
}

}  // namespace tools
