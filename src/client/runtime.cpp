// runtime.cpp: the turn of the wheel, and who starts and stops it.
//
// Two locks, never held together except engine before inbox: `engine_lock_` guards the engine
// and the table of receivers, `inbox_lock_` the calls waiting for it and the thread's sleep. The
// links belong to the thread alone; only wake() is called from elsewhere.
#include "client/runtime.hpp"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <mutex>
#include <thread>
#include <unordered_map>

#include "net/client_links.hpp"
#include "sys/clock.hpp"
#include "sys/random.hpp"

namespace raftcs::client {
namespace {

constexpr uint64_t kFrameBytesMax = uint64_t{1} << 30;  // servers say less in their welcome

struct QueuedCall {
  enum class Kind : uint8_t { open, submit, query, admin, ack, close };
  Kind kind = Kind::open;
  bool keep = false;
  Engine::Call call;  // `session` is used by all kinds
  std::string endpoint;
  PushId up_to;
};

// The thread's part. The thread holds a share, so that it may outlive the last Runtime when
// that one is let go on the thread itself.
class Loop : public std::enable_shared_from_this<Loop> {
 public:
  Loop(std::unique_ptr<net::ClientLinks> links, const std::array<uint64_t, 4>& seed, Deliver deliver)
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
    inbox_.push_back(std::move(call));
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
    Mono now = sys::mono_now();
    drain_inbox(now);
    auto result = f(engine_, now);
    std::lock_guard hold_inbox(inbox_lock_);
    has_effects_ = true;
    wake_locked();
    return result;
  }

 private:
  void wake_locked() {
    if (!sleeping_) return;
    sleeping_ = false;
    links_->wake();
  }

  void run() {
    std::vector<net::LinkInput> inputs;
    std::vector<Delivery> deliveries;
    while (true) {
      Mono deadline = turn(inputs, &deliveries);
      inputs.clear();
      if (!deliveries.empty()) {
        deliver_(deliveries);
        deliveries.clear();  // receivers may end here
      }
      bool stop = false;
      links_->poll(before_sleep(deadline, &stop), &inputs);
      inputs.insert(inputs.end(), down_.begin(), down_.end());
      down_.clear();
      std::lock_guard hold(inbox_lock_);
      sleeping_ = false;
      if (stop) return;
    }
  }

  // Until when to sleep: not at all when something waits already.
  Mono before_sleep(Mono deadline, bool* stop) {
    std::lock_guard hold(inbox_lock_);
    *stop = stopping_;
    if (!inbox_.empty() || has_effects_ || stopping_ || !down_.empty()) return Mono{};
    sleeping_ = true;
    return deadline;
  }

  Mono turn(const std::vector<net::LinkInput>& inputs, std::vector<Delivery>* deliveries) {
    Effects effects;
    {
      std::lock_guard hold(engine_lock_);
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
      for (Event& event : effects.events) {
        auto it = receivers_.find(event.session);
        if (it == receivers_.end()) continue;
        bool last = event.kind == EventKind::closed;
        deliveries->push_back({it->second, std::move(event)});
        if (last) receivers_.erase(it);
      }
    }
    carry_out(effects);
    std::lock_guard hold(engine_lock_);
    return engine_.next_deadline();
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

  // Requires: engine_lock_ is held.
  void drain_inbox(Mono now) {
    {
      std::lock_guard hold(inbox_lock_);
      draining_.swap(inbox_);
      has_effects_ = false;
    }
    for (QueuedCall& c : draining_) {
      switch (c.kind) {
        case QueuedCall::Kind::open: engine_.open(c.call.session, now); break;
        case QueuedCall::Kind::submit: engine_.submit(std::move(c.call), now); break;
        case QueuedCall::Kind::query: engine_.query(std::move(c.call), now); break;
        case QueuedCall::Kind::admin: engine_.admin(std::move(c.call), c.endpoint, now); break;
        case QueuedCall::Kind::ack: engine_.ack(c.call.session, c.up_to, now); break;
        case QueuedCall::Kind::close: engine_.close(c.call.session, c.keep, now); break;
      }
    }
    draining_.clear();
  }

  std::unique_ptr<net::ClientLinks> links_;  // the thread's, except wake()
  std::vector<net::LinkInput> down_;         // the thread's
  std::mutex engine_lock_;
  Engine engine_;
  std::unordered_map<SessionHandle, std::shared_ptr<Receiver>> receivers_;
  std::vector<QueuedCall> draining_;  // capacity kept; with the engine
  std::mutex inbox_lock_;
  std::vector<QueuedCall> inbox_;
  bool sleeping_ = false;
  bool stopping_ = false;
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
  void ack(SessionHandle session, PushId up_to) override {
    QueuedCall c;
    c.kind = QueuedCall::Kind::ack;
    c.call.session = session;
    c.up_to = up_to;
    loop_->post(std::move(c));
  }
  void close(SessionHandle session, bool keep) override {
    QueuedCall c;
    c.kind = QueuedCall::Kind::close;
    c.call.session = session;
    c.keep = keep;
    loop_->post(std::move(c));
  }

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
