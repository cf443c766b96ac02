// client_core.cpp: operations on their way in, events on their way out.
#include "capi/client_core.hpp"

#include <algorithm>
#include <chrono>
#include <new>
#include <utility>

#include "capi/guard.hpp"
#include "sys/clock.hpp"

namespace raftcs::capi {
namespace {

constexpr int64_t kTimeoutMsMax = int64_t{1} << 40;

int32_t public_kind(client::EventKind kind) {
  switch (kind) {
    case client::EventKind::reply:
      return RAFTCS_EVENT_REPLY;
    case client::EventKind::query_reply:
      return RAFTCS_EVENT_QUERY_REPLY;
    case client::EventKind::admin_reply:
      return RAFTCS_EVENT_ADMIN_REPLY;
    case client::EventKind::push:
      return RAFTCS_EVENT_SERVER_REQUEST;
    case client::EventKind::state:
      return RAFTCS_EVENT_CLIENT_STATE;
    case client::EventKind::session_lost:
      return RAFTCS_EVENT_SESSION_LOST;
    case client::EventKind::topology:
      return RAFTCS_EVENT_TOPOLOGY;
    case client::EventKind::closed:
      return RAFTCS_EVENT_CLOSED;
    case client::EventKind::pushes_gone:
      return RAFTCS_EVENT_REQUESTS_GONE;
  }
  return 0;
}

bool ends_operation(int32_t kind) {
  return kind == RAFTCS_EVENT_REPLY || kind == RAFTCS_EVENT_QUERY_REPLY ||
         kind == RAFTCS_EVENT_ADMIN_REPLY;
}

}  // namespace

// ---- Account ----------------------------------------------------------------------------

void Account::bind(std::weak_ptr<client::Runtime> runtime, client::SessionHandle session) {
  runtime_ = std::move(runtime);
  session_ = session;
}

bool Account::reserve(uint64_t limit) {
  if (untaken_.fetch_add(1, std::memory_order_relaxed) < limit) return true;
  release();
  return false;
}

void Account::taken(const raftcs_event& event) {
  if (ends_operation(event.kind)) release();
  if (event.kind != RAFTCS_EVENT_SERVER_REQUEST) return;
  {
    std::lock_guard hold(lock_);
    if (event.life > life_) taken_ = PushId();
    if (event.life >= life_) taken_ = std::max(taken_, PushId(event.op_id));
    life_ = std::max(life_, event.life);
  }
  if (!acks_when_taken_) return;
  if (auto runtime = runtime_.lock()) runtime->ack(session_, event.life, PushId(event.op_id));
}

void Account::ack(client::Runtime& runtime, PushId up_to) {
  std::lock_guard hold(lock_);
  if (life_ != 0) runtime.ack(session_, life_, std::min(up_to, taken_));
}

// ---- operations ----------------------------------------------------------------------

ClientCore::ClientCore(std::shared_ptr<Queue> queue, uint64_t tag, const ClientLimits& limits,
                       bool acks_when_taken)
    : queue_(std::move(queue)),
      tag_(tag),
      limits_(limits),
      account_(std::make_shared<Account>(acks_when_taken)) {}

void ClientCore::bind(const std::shared_ptr<client::Runtime>& runtime,
                      client::SessionHandle session) {
  session_ = session;
  account_->bind(runtime, session);
}

raftcs_status_t ClientCore::open(client::Runtime& runtime) {
  std::lock_guard hold(gate_);
  if (closing_) return RAFTCS_ERR_CLOSED;
  raftcs_status_t lost = RAFTCS_OK;
  {
    std::lock_guard hold_state(lock_);
    if (opened_ && lost_ == RAFTCS_OK) return RAFTCS_OK;
    lost = std::exchange(lost_, RAFTCS_OK);  // a lost session is replaced by a new one (CLI-08)
  }
  try {
    runtime.open(session_);
  } catch (...) {  // out of memory: nothing was posted
    std::lock_guard hold_state(lock_);
    lost_ = lost;
    throw;
  }
  opened_ = true;
  return RAFTCS_OK;
}

raftcs_status_t ClientCore::resume(client::Runtime& runtime, const Bytes& token) {
  std::lock_guard hold(gate_);
  if (closing_) return RAFTCS_ERR_CLOSED;
  if (opened_) return RAFTCS_ERR_BAD_STATE;
  Status status = runtime.resume(session_, token);
  if (status.is_ok()) opened_ = true;
  return status.code();
}

// Requires: gate_ is held.
raftcs_status_t ClientCore::admit(Operation* op) {
  if (closing_) return RAFTCS_ERR_CLOSED;
  if (!account_->reserve(limits_.outstanding_max)) return RAFTCS_ERR_BUSY;
  op->call.session = session_;
  op->call.op_id = next_op_id_++;
  return RAFTCS_OK;
}

// Requires: gate_ is held; admitted.
void ClientCore::post_admitted(client::Runtime& runtime, Operation&& op) {
  switch (op.kind) {
    case OpKind::submit:
      runtime.submit(std::move(op.call));
      break;
    case OpKind::query:
      runtime.query(std::move(op.call));
      break;
    case OpKind::admin:
      runtime.admin(std::move(op.call), std::move(op.endpoint));
      break;
  }
}

raftcs_status_t ClientCore::post(client::Runtime& runtime, Operation&& op, uint64_t* out_op_id) {
  std::lock_guard hold(gate_);
  if (raftcs_status_t bad = admit(&op)) return bad;
  uint64_t op_id = op.call.op_id;
  try {
    post_admitted(runtime, std::move(op));
  } catch (...) {  // out of memory: nothing was posted
    account_->release();
    throw;
  }
  if (out_op_id) *out_op_id = op_id;
  return RAFTCS_OK;
}

raftcs_status_t ClientCore::post_and_wait(client::Runtime& runtime, Operation&& op,
                                          raftcs_event** out_event) {
  Waiter waiter;
  bool drives;
  {
    std::lock_guard hold(gate_);
    if (raftcs_status_t bad = admit(&op)) return bad;
    uint64_t op_id = op.call.op_id;
    drives = false;
    try {
      {
        std::lock_guard hold_state(lock_);
        waiters_[op_id] = &waiter;
      }
      drives = runtime.begin_drive();
      post_admitted(runtime, std::move(op));
    } catch (...) {  // out of memory: nothing was posted
      if (drives) runtime.drive_until([] { return true; });
      std::lock_guard hold_state(lock_);
      waiters_.erase(op_id);
      account_->release();
      throw;
    }
  }
  auto ended = [&] {
    std::lock_guard hold(lock_);
    return waiter.event != nullptr;
  };
  if (drives) runtime.drive_until(ended);
  std::unique_lock hold(lock_);
  waiter.done.wait(hold, [&] { return waiter.event != nullptr; });
  account_->release();
  *out_event = waiter.event.release();
  return RAFTCS_OK;
}

raftcs_status_t ClientCore::ack(client::Runtime& runtime, uint64_t id) {
  std::lock_guard hold(gate_);
  if (closing_) return RAFTCS_ERR_CLOSED;
  account_->ack(runtime, PushId(id));
  return RAFTCS_OK;
}

raftcs_status_t ClientCore::wait_connected(client::Runtime& runtime, int64_t timeout_ms) {
  {
    std::lock_guard hold(gate_);
    if (closing_) return RAFTCS_ERR_CLOSED;
    if (!opened_) return RAFTCS_ERR_BAD_STATE;
  }
  Mono deadline = Mono::never();
  if (timeout_ms >= 0) deadline = sys::mono_now() + std::min(timeout_ms, kTimeoutMsMax) * kNsPerMs;
  std::unique_lock hold(lock_);
  while (true) {
    if (state_ == client::SessionState::connected) return RAFTCS_OK;
    if (closed_) return RAFTCS_ERR_CLOSED;
    if (lost_ != RAFTCS_OK) return lost_;
    if (deadline == Mono::never()) {
      changed_.wait(hold);
      continue;
    }
    DurationNs left = deadline - sys::mono_now();
    if (left <= 0) {
      hold.unlock();
      const client::SessionInfo now = info(runtime);
      if (now.state == client::SessionState::connected) return RAFTCS_OK;
      return now.trouble != RAFTCS_OK ? now.trouble : RAFTCS_ERR_TIMED_OUT;
    }
    changed_.wait_for(hold, std::chrono::nanoseconds(left));
  }
}

void ClientCore::close(client::Runtime& runtime, bool keep) {
  std::lock_guard hold(gate_);
  if (closing_) return;
  runtime.close(session_, keep);
  closing_ = true;  // if nothing was thrown
}

void ClientCore::wait_closed() {
  std::unique_lock hold(lock_);
  changed_.wait(hold, [&] { return closed_; });
}

void ClientCore::forget_when_closed(std::shared_ptr<client::Runtime> runtime) {
  {
    std::lock_guard hold(lock_);
    if (!closed_) {
      kept_runtime_ = std::move(runtime);
      return;
    }
  }
  runtime->forget(session_);
}

client::SessionInfo ClientCore::info(client::Runtime& runtime) { return runtime.info(session_); }

// ---- events --------------------------------------------------------------------------

std::unique_ptr<raftcs_event> ClientCore::receive(std::unique_ptr<raftcs_event> e,
                                                  client::Event&& event) {
  note(event);
  e->kind = public_kind(event.kind);
  e->status = event.status;
  e->outcome = event.outcome;
  e->app_code = event.app_code;
  e->retry_after_ms = event.retry_after_ms;
  e->life = event.life;
  e->op_id = event.op_id;
  e->index = event.index;
  e->data = std::move(event.data);
  e->text = std::move(event.text);
  bool is_operation = ends_operation(e->kind);
  e->tag = is_operation ? event.tag : tag_;
  if (is_operation && give_to_waiter(e)) return nullptr;
  if (!queue_) {
    account_->taken(*e);
    return nullptr;
  }
  if (is_operation || e->kind == RAFTCS_EVENT_SERVER_REQUEST) e->origin = account_;
  return e;
}

// What wait_connected looks at.
void ClientCore::note(const client::Event& event) {
  if (event.kind != client::EventKind::state && event.kind != client::EventKind::session_lost)
    return;
  std::lock_guard hold(lock_);
  if (event.kind == client::EventKind::session_lost) {
    lost_ = event.status;
    state_ = client::SessionState::disconnected;
  } else {
    state_ = static_cast<client::SessionState>(event.app_code);
    if (state_ != client::SessionState::disconnected) lost_ = RAFTCS_OK;
  }
  changed_.notify_all();
}

bool ClientCore::give_to_waiter(std::unique_ptr<raftcs_event>& event) {
  std::lock_guard hold(lock_);
  auto it = waiters_.find(event->op_id);
  if (it == waiters_.end()) return false;
  Waiter* waiter = it->second;
  waiters_.erase(it);
  waiter->event = std::move(event);
  waiter->done.notify_one();  // under the lock: the waiter ends as soon as it has it
  return true;
}

// One lock and one wake for each queue, however many clients and events there are. The only thing
// that may fail is to make an event; then it and those behind it stay.
void ClientCore::deliver(std::vector<client::Delivery>& deliveries) {
  Queue* first = nullptr;
  Queue** end = &first;
  auto d = deliveries.begin();
  for (; d != deliveries.end(); ++d) {
    std::unique_ptr<raftcs_event> event(new (std::nothrow) raftcs_event);
    if (!event) break;
    auto* core = static_cast<ClientCore*>(d->receiver.get());
    event = core->receive(std::move(event), std::move(d->event));
    if (!event) continue;
    Queue* queue = core->queue().get();
    if (queue->gathered.empty()) {
      *end = queue;
      end = &queue->gathered_next;
    }
    queue->gathered.add(std::move(event));
  }
  while (first) {
    Queue* queue = std::exchange(first, std::exchange(first->gathered_next, nullptr));
    queue->push(&queue->gathered);
  }
  // Only now: whoever waits for CLOSED finds the events in the queue.
  for (auto c = deliveries.begin(); c != d; ++c)
    if (c->event.kind == client::EventKind::closed)
      static_cast<ClientCore*>(c->receiver.get())->closed();
  deliveries.erase(deliveries.begin(), d);
}

void ClientCore::closed() {
  std::shared_ptr<client::Runtime> runtime;
  {
    std::lock_guard hold(lock_);
    closed_ = true;
    changed_.notify_all();
    runtime = kept_runtime_;  // its last holder may be the core, which ends later
  }
  if (runtime) runtime->forget(session_);
}

}  // namespace raftcs::capi
