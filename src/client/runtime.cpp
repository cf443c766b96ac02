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
// and its calls and receivers, `inbox_lock_` the calls waiting for it and who sleeps where.
//
// Memory may run out in the middle of a turn. Then whatever was under way to or from the servers is
// lost, as with its connection; calls and events are not (call_runner.hpp), and the turn is taken
// again.
#include "client/runtime.hpp"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <new>
#include <thread>

#include "client/call_runner.hpp"
#include "net/client_links.hpp"
#include "net/poller.hpp"
#include "sys/clock.hpp"
#include "sys/random.hpp"

namespace raftcs::client {
namespace {

constexpr uint64_t kFrameBytesMax = uint64_t{1} << 30;  // servers say less in their welcome
constexpr DurationNs kStandByNs = kNsPerMs;
constexpr DurationNs kMemoryWaitNs = kNsPerMs;  // before memory is asked for again

// The thread's part. The thread holds a share, so that it may outlive the last Runtime when
// that one is let go on the thread itself.
class Loop : public std::enable_shared_from_this<Loop> {
 public:
  Loop(std::unique_ptr<net::ClientLinks> links, const std::array<uint64_t, 4>& seed,
       Deliver deliver)
      : links_(std::move(links)), calls_(seed), deliver_(deliver) {}

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
    if (is_operation) calls_.posted();
    wake_locked();
  }

  SessionHandle add(const SessionOptions& options, std::shared_ptr<Receiver> receiver) {
    std::lock_guard hold(engine_lock_);
    return calls_.add(options, std::move(receiver));
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
    return f(calls_.engine(), now);
  }

  // Without memory for the inbox it runs at once, after all that was posted before.
  void post_or_run(QueuedCall&& call) {
    try {
      post(std::move(call));
    } catch (const std::bad_alloc&) {
      with_engine([&](Engine&, Mono now) {
        calls_.run_one(call, now);
        return 0;
      });
    }
  }

  // No call of a closed session is waiting that would do anything; so this needs no memory.
  void forget(SessionHandle session) {
    std::lock_guard hold(engine_lock_);
    calls_.engine().forget(session);
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
    bool more = calls_.under_way() || !inputs_.empty() || !links_->drained() || has_work();
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
      calls_.address(&deliveries_);  // left by a turn that memory ran out in
      Mono now = sys::mono_now();
      drain_inbox(now);
      for (const net::LinkInput& in : inputs) {
        if (in.down) {
          calls_.engine().link_down(in.link, now);
        } else {
          calls_.engine().receive(in.link, in.frame, now);
        }
      }
      if (calls_.engine().next_deadline() <= now) calls_.engine().tick(now);
      effects = calls_.engine().take_effects(now);
      calls_.collect(&effects.events);
      calls_.address(&deliveries_);
    }
    carry_out(effects);
    std::lock_guard hold(engine_lock_);
    return calls_.engine().next_deadline();
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
    calls_.run(now);
    {
      std::lock_guard hold(inbox_lock_);
      calls_.take(&inbox_);
      has_effects_ = false;
    }
    calls_.run(now);
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
  std::mutex engine_lock_;
  CallRunner calls_;
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
