// runtime.cpp: the turn of the wheel, and who starts and stops it.
//
// Somebody turns the wheel at any time, or nobody: whoever holds `drive_lock_`, to whom the links
// belong and who delivers. Normally that is the runtime's thread, which lets go of the lock to
// sleep. A thread that waits for the end of its own operation takes the wheel while the other one
// sleeps: its request then leaves and its answer arrives without a hand-off to another thread,
// each of which costs as much as the codec of a hundred requests. When it leaves and nothing else
// is under way, the runtime's thread takes over only after kStandByNs, for the next call of the
// same kind is likely to come at once; calls of other threads wake it earlier.
//
// Locks, in this order where two are held: drive, engine, inbox. `engine_lock_` guards the engine
// and the table of receivers, `inbox_lock_` the calls waiting for it and who sleeps where.
//
// Memory may run out in the middle of a turn. Then whatever was under way to or from the servers is
// lost, as with its connection; calls and events are not: each leaves its list only when there is
// nothing more about it that could fail, and the turn is taken again. (Not so inside the engine: an
// operation that it is about to end has no event when there is no memory for that.)
#include "client/runtime.hpp"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <new>
#include <thread>
#include <unordered_map>

#include "client/core.hpp"
#include "net/client_links.hpp"
#include "net/poller.hpp"
#include "sys/clock.hpp"
#include "sys/random.hpp"

namespace raftcs::client {
namespace {

constexpr uint64_t kFrameBytesMax = uint64_t{1} << 30;  // servers say less in their welcome
constexpr DurationNs kStandByNs = kNsPerMs;
constexpr DurationNs kMemoryWaitNs = kNsPerMs;  // before memory is asked for again

bool ends_operation(EventKind kind) {
  return kind == EventKind::reply || kind == EventKind::query_reply ||
         kind == EventKind::admin_reply;
}

// An operation that there was no memory for; `alone`: the engine has no event for it either.
struct Failed {
  SessionHandle session = 0;
  EventKind kind = EventKind::reply;
  uint64_t op_id = 0, tag = 0;
  bool alone = false;
};

struct QueuedCall {
  enum class Kind : uint8_t { open, submit, query, admin, ack, close };
  Kind kind = Kind::open;
  bool keep = false;
  Engine::Call call;  // `session` is used by all kinds
  std::string endpoint;
  uint32_t life = 0;  // ack: these two
  PushId up_to;

  bool is_operation() const {
    return kind == Kind::submit || kind == Kind::query || kind == Kind::admin;
  }
  EventKind end_kind() const {
    return kind == Kind::submit  ? EventKind::reply
           : kind == Kind::query ? EventKind::query_reply
                                 : EventKind::admin_reply;
  }
};

// The thread's part. The thread holds a share, so that it may outlive the last Runtime when
// that one is let go on the thread itself.
class Loop : public std::enable_shared_from_this<Loop> {
 public:
  Loop(std::unique_ptr<net::ClientLinks> links, const std::array<uint64_t, 4>& seed,
       Deliver deliver)
      : links_(std::move(links)), engine_(seed), deliver_(deliver) {}

  Status start() {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);  // the new thread inherits the mask
    Status status;
    try {
      thread_ = std::thread([self = shared_from_this()] { self->run(); });
      pthread_setname_np(thread_.native_handle(), "rcs-client");
    } catch (const std::system_error&) {
      status = {RAFTCS_ERR_RESOURCE_LIMIT, "the client thread cannot be started"};
    }
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    return status;
  }

  void stop() {
    {
      std::lock_guard hold(inbox_lock_);
      stopping_ = true;
      wake_locked();
    }
    if (!thread_.joinable()) return;
    if (thread_.get_id() == std::this_thread::get_id()) {
      thread_.detach();
    } else {
      thread_.join();
    }
  }

  void post(QueuedCall&& call) {
    std::lock_guard hold(inbox_lock_);
    const bool is_operation = call.is_operation();
    inbox_.push_back(std::move(call));
    if (is_operation) ++open_ops_;
    wake_locked();
  }

  SessionHandle add(const SessionOptions& options, std::shared_ptr<Receiver> receiver) {
    std::lock_guard hold(engine_lock_);
    SessionHandle session = engine_.add(options);
    receivers_[session] = std::move(receiver);
    return session;
  }

  // Runs `f(engine, now)` after all calls posted before.
  template <class F>
  auto with_engine(F&& f) {
    std::lock_guard hold(engine_lock_);
    struct AskForTurn {
      Loop& loop;
      ~AskForTurn() { loop.ask_for_turn(); }
    } ask_for_turn{*this};
    Mono now = sys::mono_now();
    drain_inbox(now);
    return f(engine_, now);
  }

  // Without memory for the inbox it runs at once, after all that was posted before.
  void post_or_run(QueuedCall&& call) {
    try {
      post(std::move(call));
    } catch (const std::bad_alloc&) {
      with_engine([&](Engine&, Mono now) {
        run_call(call, now);
        return 0;
      });
    }
  }

  // No call of a closed session is waiting that would do anything; so this needs no memory.
  void forget(SessionHandle session) {
    std::lock_guard hold(engine_lock_);
    engine_.forget(session);
  }

  // The calling thread turns the wheel if nobody does: from begin_drive, over the posting of its
  // own operation, until `ended`.
  bool begin_drive() {
    if (!drive_lock_.try_lock()) return false;
    std::lock_guard hold(inbox_lock_);
    if (stopping_) {
      drive_lock_.unlock();
      return false;
    }
    caller_drives_ = true;
    began_at_ = sys::mono_now();
    sleeping_ = false;
    return true;
  }

  void drive_until(const std::function<bool()>& ended) {
    // Given back on every way out: else no client of this process would ever go on.
    struct GiveBack {
      Loop& loop;
      ~GiveBack() { loop.end_drive(); }
    } give_back{*this};
    while (true) {
      spin();
      if (ended()) break;
      if (!falling_asleep(&caller_poller_)) continue;
      caller_poller_.wait(deadline_);
      std::lock_guard hold(inbox_lock_);
      sleeping_ = false;
    }
  }

 private:
  void end_drive() {
    std::lock_guard hold(inbox_lock_);
    caller_drives_ = false;
    left_at_ = sys::mono_now();
    sleeping_ = true;  // the thread does, on its sockets or standing by
    bool more = open_ops_ > 0 || !inputs_.empty() || !links_->drained() || has_work();
    bool thread_waits_long = left_at_ - began_at_ > kStandByNs;
    if (more) left_at_ = Mono{};
    if (more || !standing_by_ || thread_waits_long) wake_locked();
    drive_lock_.unlock();
  }

  void ask_for_turn() {
    std::lock_guard hold(inbox_lock_);
    has_effects_ = true;
    wake_locked();
  }

  // Requires: inbox_lock_.
  void wake_locked() {
    if (!sleeping_) return;
    sleeping_ = false;
    if (standing_by_ && !caller_drives_) {
      left_at_ = Mono{};
      stand_by_.notify_one();
    } else {
      links_->wake();
    }
  }

  // The runtime's thread.
  void run() {
    while (stand_by()) {
      {
        std::lock_guard drive(drive_lock_);
        spin();
        if (!falling_asleep(&poller_)) continue;
        sleep_until_ = deadline_;
      }
      poller_.wait(sleep_until_);
    }
  }

  // Waits while a caller drives or has just left; false at the end.
  bool stand_by() {
    std::unique_lock hold(inbox_lock_);
    standing_by_ = true;
    while (!stopping_) {
      Mono now = sys::mono_now();
      if (caller_drives_) {
        // A caller that stays for long says when it leaves; the others need not.
        if (now - began_at_ > 2 * kStandByNs)
          stand_by_.wait(hold);
        else
          stand_by_.wait_for(hold, std::chrono::nanoseconds(kStandByNs));
        continue;
      }
      DurationNs left = left_at_ == Mono{} ? 0 : left_at_ + kStandByNs - now;
      if (left <= 0) break;
      stand_by_.wait_for(hold, std::chrono::nanoseconds(left));
    }
    standing_by_ = false;
    left_at_ = Mono{};
    sleeping_ = false;
    return !stopping_;
  }

  // Requires: drive_lock_. What was to be sent when memory ran out is lost, as with a connection,
  // and comes again like that: all connections are taken for lost.
  void spin() {
    try {
      if (links_lost_) {
        inputs_.clear();
        links_->abandon(&inputs_);
        links_lost_ = false;
      }
      one_turn();
    } catch (const std::bad_alloc&) {
      links_lost_ = true;
      wait_for_memory();
    }
  }

  void wait_for_memory() {
    ask_for_turn();
    std::this_thread::sleep_for(std::chrono::nanoseconds(kMemoryWaitNs));
  }

  // What came in, what goes out, events.
  void one_turn() {
    links_->collect(&inputs_);
    deadline_ = turn(inputs_);
    for (const net::LinkInput& in : inputs_)
      if (in.down) links_->close(in.link);  // the engine has let go of it: so do its sockets
    inputs_.clear();
    if (!deliveries_.empty()) deliver_(deliveries_);
    if (!deliveries_.empty()) wait_for_memory();
    inputs_.insert(inputs_.end(), down_.begin(), down_.end());
    down_.clear();
  }

  // Requires: inbox_lock_.
  bool has_work() const { return !inbox_.empty() || has_effects_ || stopping_; }

  // False: there is something to do already. Requires: drive_lock_.
  bool falling_asleep(net::Poller* poller) {
    try {
      if (!links_->drained()) links_->collect(&inputs_);
      if (!inputs_.empty() || !links_->drained()) return false;
      links_->watch(poller);
    } catch (const std::bad_alloc&) {
      links_lost_ = true;
      wait_for_memory();
      return false;
    }
    std::lock_guard hold(inbox_lock_);
    if (has_work()) return false;
    sleeping_ = true;
    return true;
  }

  Mono turn(const std::vector<net::LinkInput>& inputs) {
    Effects effects;
    {
      std::lock_guard hold(engine_lock_);
      address_events();  // left by a turn that memory ran out in
      Mono now = sys::mono_now();
      drain_inbox(now);
      for (const net::LinkInput& in : inputs) {
        if (in.down) {
          engine_.link_down(in.link, now);
        } else {
          engine_.receive(in.link, in.frame, now);
        }
      }
      if (engine_.next_deadline() <= now) engine_.tick(now);
      effects = engine_.take_effects(now);
      events_.swap(effects.events);
      settle_failed();
      address_events();
    }
    carry_out(effects);
    std::lock_guard hold(engine_lock_);
    return engine_.next_deadline();
  }

  // An operation that failed in the engine may have got as far as having an event.
  void settle_failed() {
    const auto settled = [this](const Failed& op) {
      if (op.alone) return false;
      const auto event = std::find_if(events_.begin(), events_.end(), [&](const Event& e) {
        return e.session == op.session && e.op_id == op.op_id && ends_operation(e.kind);
      });
      if (event == events_.end()) return false;
      if (event->status == RAFTCS_ERR_CANCELLED) {  // by run_operation
        event->status = RAFTCS_ERR_NO_MEMORY;
        event->text.clear();
      }
      return true;
    };
    failed_.erase(std::remove_if(failed_.begin(), failed_.end(), settled), failed_.end());
    for (Failed& op : failed_) op.alone = true;
  }

  // All or none.
  void address_events() {
    deliveries_.reserve(deliveries_.size() + failed_.size() + events_.size());
    for (const Failed& op : failed_) {
      if (!op.alone) continue;
      Event event;
      event.session = op.session;
      event.kind = op.kind;
      event.status = RAFTCS_ERR_NO_MEMORY;
      event.outcome = kNotApplied;
      event.tag = op.tag;
      event.op_id = op.op_id;
      address(std::move(event));
    }
    failed_.erase(std::remove_if(failed_.begin(), failed_.end(),
                                 [](const Failed& op) { return op.alone; }),
                  failed_.end());
    for (Event& event : events_) address(std::move(event));
    events_.clear();
  }

  // Requires: room in deliveries_.
  void address(Event&& event) {
    if (ends_operation(event.kind)) --open_ops_;
    auto it = receivers_.find(event.session);
    if (it == receivers_.end()) return;
    const bool last = event.kind == EventKind::closed;
    deliveries_.push_back({it->second, std::move(event)});
    if (last) receivers_.erase(it);
  }

  void carry_out(const Effects& effects) {
    for (const Effects::Open& open : effects.open) {
      if (!links_->open(open.link, open.endpoint)) mark_down(open.link);
    }
    for (const Effects::Send& send : effects.send) {
      if (!links_->send(send.link, send.frame)) mark_down(send.link);
    }
    for (LinkId link : effects.close) links_->close(link);
  }

  // The engine hears of it at the next turn, as of any other lost link.
  void mark_down(LinkId link) { down_.push_back({link, true, {}}); }

  // Requires: engine_lock_ is held. What is left when this throws comes first the next time.
  void drain_inbox(Mono now) {
    run_drained(now);
    {
      std::lock_guard hold(inbox_lock_);
      draining_.swap(inbox_);
      has_effects_ = false;
    }
    run_drained(now);
  }

  void run_drained(Mono now) {
    while (next_call_ < draining_.size()) {
      QueuedCall& call = draining_[next_call_];
      if (call.is_operation()) {
        make_room_to_fail();
        ++next_call_;
        run_operation(call, now);
      } else {
        run_call(call, now);  // once more does no harm
        ++next_call_;
      }
    }
    draining_.clear();
    next_call_ = 0;
  }

  void make_room_to_fail() {
    if (failed_.size() == failed_.capacity()) failed_.reserve(2 * failed_.size() + 8);
  }

  // Requires: room in failed_.
  void run_operation(QueuedCall& c, Mono now) {
    Failed op{c.call.session, c.end_kind(), c.call.op_id, c.call.tag};
    try {
      run_call(c, now);
    } catch (const std::bad_alloc&) {
      failed_.push_back(op);
      try {  // it may be under way all the same
        engine_.cancel(op.session, op.op_id, now);
      } catch (const std::bad_alloc&) {  // it was, and is no more
      }
    }
  }

  void run_call(QueuedCall& c, Mono now) {
    switch (c.kind) {
      case QueuedCall::Kind::open:
        engine_.open(c.call.session, now);
        break;
      case QueuedCall::Kind::submit:
        engine_.submit(std::move(c.call), now);
        break;
      case QueuedCall::Kind::query:
        engine_.query(std::move(c.call), now);
        break;
      case QueuedCall::Kind::admin:
        engine_.admin(std::move(c.call), c.endpoint, now);
        break;
      case QueuedCall::Kind::ack:
        engine_.ack(c.call.session, c.life, c.up_to, now);
        break;
      case QueuedCall::Kind::close:
        engine_.close(c.call.session, c.keep, now);
        break;
    }
  }

  std::mutex drive_lock_;                    // for these:
  std::unique_ptr<net::ClientLinks> links_;  // (but wake())
  std::vector<net::LinkInput> inputs_, down_;
  bool links_lost_ = false;  // all of them are to be given up
  std::vector<Delivery> deliveries_;
  Mono deadline_;
  net::Poller caller_poller_;
  net::Poller poller_;  // these two are the thread's
  Mono sleep_until_;
  std::atomic<int64_t> open_ops_{0};  // posted and without their event
  std::mutex engine_lock_;
  Engine engine_;
  std::unordered_map<SessionHandle, std::shared_ptr<Receiver>> receivers_;
  std::vector<QueuedCall> draining_;  // capacity kept; with the engine, as these
  size_t next_call_ = 0;              // of draining_; those before have run
  std::vector<Failed> failed_;
  std::vector<Event> events_;  // taken from the engine
  std::mutex inbox_lock_;
  std::vector<QueuedCall> inbox_;
  bool sleeping_ = false;  // whoever should hear of a post does
  bool stopping_ = false;
  bool caller_drives_ = false;
  bool standing_by_ = false;  // the thread
  Mono began_at_, left_at_;   // the last caller; zero: no reason to stand by
  std::condition_variable stand_by_;
  bool has_effects_ = false;  // a call with an answer left work for the thread
  Deliver deliver_;
  std::thread thread_;
};

// Counts holders; replaced as a whole in a forked child, where the old locks mean nothing.
struct Registry {
  explicit Registry(pid_t p) : pid(p) {}
  const pid_t pid;
  std::mutex lock;
  size_t holders = 0;
  std::shared_ptr<Loop> loop;
};

Registry& registry() {
  static std::atomic<Registry*> current{nullptr};
  pid_t pid = getpid();
  Registry* r = current.load(std::memory_order_acquire);
  if (r && r->pid == pid) return *r;
  Registry* fresh = new Registry(pid);  // one per process, never freed
  while (!current.compare_exchange_strong(r, fresh, std::memory_order_acq_rel)) {
    if (r && r->pid == pid) {
      delete fresh;
      return *r;
    }
  }
  return *fresh;
}

class Holder final : public Runtime {
 public:
  Holder(Registry& owner, std::shared_ptr<Loop> loop) : owner_(owner), loop_(std::move(loop)) {}
  ~Holder() override {
    if (owner_.pid != getpid()) {  // in a forked child: the thread is not here
      new std::shared_ptr<Loop>(std::move(loop_));
      return;
    }
    std::lock_guard hold(owner_.lock);
    if (--owner_.holders > 0) return;
    owner_.loop.reset();
    loop_->stop();
  }

  SessionHandle add(const SessionOptions& options, std::shared_ptr<Receiver> receiver) override {
    return loop_->add(options, std::move(receiver));
  }
  void open(SessionHandle session) override { post(QueuedCall::Kind::open, session); }
  void submit(Engine::Call call) override { post(QueuedCall::Kind::submit, std::move(call)); }
  void query(Engine::Call call) override { post(QueuedCall::Kind::query, std::move(call)); }
  void admin(Engine::Call call, std::string endpoint) override {
    QueuedCall c;
    c.kind = QueuedCall::Kind::admin;
    c.call = std::move(call);
    c.endpoint = std::move(endpoint);
    loop_->post(std::move(c));
  }
  void ack(SessionHandle session, uint32_t life, PushId up_to) override {
    QueuedCall c;
    c.kind = QueuedCall::Kind::ack;
    c.call.session = session;
    c.life = life;
    c.up_to = up_to;
    loop_->post_or_run(std::move(c));
  }
  void close(SessionHandle session, bool keep) override {
    QueuedCall c;
    c.kind = QueuedCall::Kind::close;
    c.call.session = session;
    c.keep = keep;
    loop_->post_or_run(std::move(c));
  }

  bool begin_drive() override { return loop_->begin_drive(); }
  void drive_until(const std::function<bool()>& ended) override { loop_->drive_until(ended); }

  Status resume(SessionHandle session, const Bytes& token) override {
    return loop_->with_engine([&](Engine& e, Mono now) { return e.resume(session, token, now); });
  }
  bool cancel(SessionHandle session, uint64_t op_id) override {
    return loop_->with_engine([&](Engine& e, Mono now) { return e.cancel(session, op_id, now); });
  }
  SessionInfo info(SessionHandle session) override {
    return loop_->with_engine([&](Engine& e, Mono) { return e.info(session); });
  }
  Result<Bytes> export_session(SessionHandle session) override {
    return loop_->with_engine([&](Engine& e, Mono) { return e.export_session(session); });
  }
  void forget(SessionHandle session) override { loop_->forget(session); }

 private:
  void post(QueuedCall::Kind kind, SessionHandle session) {
    QueuedCall c;
    c.kind = kind;
    c.call.session = session;
    loop_->post(std::move(c));
  }
  void post(QueuedCall::Kind kind, Engine::Call&& call) {
    QueuedCall c;
    c.kind = kind;
    c.call = std::move(call);
    loop_->post(std::move(c));
  }

  Registry& owner_;
  std::shared_ptr<Loop> loop_;
};

}  // namespace

Result<std::shared_ptr<Runtime>> Runtime::acquire(Deliver deliver) {
  Registry& r = registry();
  std::lock_guard hold(r.lock);
  if (!r.loop) {
    RCS_ASSIGN(links, net::ClientLinks::create(kFrameBytesMax));
    std::array<uint64_t, 4> seed;
    for (uint64_t& word : seed) word = sys::os_random().next_u64();
    auto loop = std::make_shared<Loop>(std::move(links), seed, deliver);
    RCS_TRY(loop->start());
    r.loop = std::move(loop);
  }
  ++r.holders;
  return std::shared_ptr<Runtime>(std::make_shared<Holder>(r, r.loop));
}

}  // namespace raftcs::client
