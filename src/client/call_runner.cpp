// call_runner.cpp: see call_runner.hpp.
#include "client/call_runner.hpp"

#include <algorithm>
#include <new>
#include <utility>

#include "client/core.hpp"

namespace raftcs::client {
namespace {

bool ends_operation(EventKind kind) {
  return kind == EventKind::reply || kind == EventKind::query_reply ||
         kind == EventKind::admin_reply;
}

}  // namespace

SessionHandle CallRunner::add(const SessionOptions& options, std::shared_ptr<Receiver> receiver) {
  SessionHandle session = engine_.add(options);
  receivers_[session] = std::move(receiver);
  return session;
}

void CallRunner::run(Mono now) {
  while (next_call_ < taken_.size()) {
    QueuedCall& call = taken_[next_call_];
    if (call.is_operation()) {
      make_room_to_fail();
      ++next_call_;
      run_operation(call, now);
    } else {
      run_one(call, now);  // once more does no harm
      ++next_call_;
    }
  }
  taken_.clear();
  next_call_ = 0;
}

void CallRunner::make_room_to_fail() {
  if (failed_.size() == failed_.capacity()) failed_.reserve(2 * failed_.size() + 8);
}

// Requires: room in failed_.
void CallRunner::run_operation(QueuedCall& c, Mono now) {
  Failed op{c.call.session, c.end_kind(), c.call.op_id, c.call.tag};
  try {
    run_one(c, now);
  } catch (const std::bad_alloc&) {
    failed_.push_back(op);
    try {  // it may be under way all the same
      engine_.cancel(op.session, op.op_id, now);
    } catch (const std::bad_alloc&) {  // it was, and is no more
    }
  }
}

void CallRunner::run_one(QueuedCall& c, Mono now) {
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

void CallRunner::collect(std::vector<Event>* events) {
  events_.swap(*events);
  settle_failed();
}

// An operation that failed in the engine may have got as far as having an event.
void CallRunner::settle_failed() {
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

void CallRunner::address(std::vector<Delivery>* deliveries) {
  deliveries->reserve(deliveries->size() + failed_.size() + events_.size());
  for (const Failed& op : failed_) {
    if (!op.alone) continue;
    Event event;
    event.session = op.session;
    event.kind = op.kind;
    event.status = RAFTCS_ERR_NO_MEMORY;
    event.outcome = kNotApplied;
    event.tag = op.tag;
    event.op_id = op.op_id;
    address_one(std::move(event), deliveries);
  }
  failed_.erase(
      std::remove_if(failed_.begin(), failed_.end(), [](const Failed& op) { return op.alone; }),
      failed_.end());
  for (Event& event : events_) address_one(std::move(event), deliveries);
  events_.clear();
}

// Requires: room in deliveries.
void CallRunner::address_one(Event&& event, std::vector<Delivery>* deliveries) {
  if (ends_operation(event.kind)) --open_ops_;
  auto it = receivers_.find(event.session);
  if (it == receivers_.end()) return;
  const bool last = event.kind == EventKind::closed;
  deliveries->push_back({it->second, std::move(event)});
  if (last) receivers_.erase(it);
}

}  // namespace raftcs::client
