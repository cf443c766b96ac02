// client_core.hpp: what lives behind a client handle.
//
// The core receives the events of its session on the runtime's thread and sorts them: to
// a thread that waits for just this one, or to the queue. It is shared by the handle and the
// runtime and ends when both have let go; the runtime does after the CLOSED event.
//
// What must hold
//  - An operation counts as outstanding from submit until its event is taken, not until it
//    is there: that bounds the queue however slowly it is emptied.
//  - A server-started request is acknowledged when it is taken (setting client.push.ack "auto"),
//    so that a client that does not empty its queue is not sent more than one window.
//  - Nothing is posted after close: `gate_` orders submits against it.
//
// Threads: [any], each function as said.
#pragma once

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <unordered_map>

#include "capi/event.hpp"
#include "capi/queue.hpp"
#include "client/runtime.hpp"

namespace raftcs::capi {

// What events keep of their client: the count of untaken operations and the way to acknowledge.
// The caller acknowledges by number, and the numbers begin anew with each session of the client. So
// an acknowledgement is one of the session whose request was taken last, up to that request.
class Account final : public Origin {
 public:
  explicit Account(bool acks_when_taken) : acks_when_taken_(acks_when_taken) {}
  void bind(std::weak_ptr<client::Runtime> runtime, client::SessionHandle session);
  bool reserve(uint64_t limit);  // one more operation, unless there are `limit` already
  void release() { untaken_.fetch_sub(1, std::memory_order_relaxed); }
  void taken(const raftcs_event& event) override;
  void ack(client::Runtime& runtime, PushId up_to);

 private:
  const bool acks_when_taken_;
  std::atomic<uint64_t> untaken_{0};
  std::weak_ptr<client::Runtime> runtime_;
  client::SessionHandle session_ = 0;
  std::mutex lock_;
  uint32_t life_ = 0;  // of the request taken last; takers may come here in any order
  PushId taken_;
};

struct ClientLimits {
  uint64_t outstanding_max = 0;
  uint64_t payload_bytes_max = 0;
  int64_t timeout_ms = 0;  // of calls that do not say; <= 0: none
};

enum class OpKind : uint8_t { submit, query, admin };

struct Operation {
  OpKind kind = OpKind::submit;
  std::string endpoint;  // admin
  client::Engine::Call call;
};

class ClientCore final : public client::Receiver {
 public:
  ClientCore(std::shared_ptr<Queue> queue, uint64_t tag, const ClientLimits& limits,
             bool acks_when_taken);

  const ClientLimits& limits() const { return limits_; }
  bool has_queue() const { return queue_ != nullptr; }
  void bind(const std::shared_ptr<client::Runtime>& runtime, client::SessionHandle session);

  raftcs_status_t open(client::Runtime& runtime);
  raftcs_status_t resume(client::Runtime& runtime, const Bytes& token);
  raftcs_status_t post(client::Runtime& runtime, Operation&& op, uint64_t* out_op_id);
  // Waits for the operation's own event.
  raftcs_status_t post_and_wait(client::Runtime& runtime, Operation&& op, raftcs_event** out_event);
  raftcs_status_t ack(client::Runtime& runtime, uint64_t id);
  raftcs_status_t wait_connected(client::Runtime& runtime, int64_t timeout_ms);
  void close(client::Runtime& runtime, bool keep);
  void wait_closed();
  // The runtime stays until CLOSED, without anybody waiting for it; then it forgets the session.
  void forget_when_closed(std::shared_ptr<client::Runtime> runtime);
  client::SessionInfo info(client::Runtime& runtime);
  client::SessionHandle session() const { return session_; }

  // [rcs-client] Fills the event and gives it back for the queue; null when it went elsewhere.
  std::unique_ptr<raftcs_event> receive(std::unique_ptr<raftcs_event> e, client::Event&& event);
  const std::shared_ptr<Queue>& queue() const { return queue_; }

  static void deliver(std::vector<client::Delivery>& deliveries);

 private:
  struct Waiter {
    std::condition_variable done;
    std::unique_ptr<raftcs_event> event;
  };

  raftcs_status_t admit(Operation* op);
  void post_admitted(client::Runtime& runtime, Operation&& op);
  void note(const client::Event& event);
  void closed();
  bool give_to_waiter(std::unique_ptr<raftcs_event>& event);

  const std::shared_ptr<Queue> queue_;  // null: waiting calls only
  const uint64_t tag_;
  const ClientLimits limits_;
  const std::shared_ptr<Account> account_;
  client::SessionHandle session_ = 0;

  std::mutex gate_;  // orders open, resume, submit and close
  bool opened_ = false;
  bool closing_ = false;
  uint64_t next_op_id_ = 1;

  std::mutex lock_;  // what receive() changes and others wait for
  std::condition_variable changed_;
  client::SessionState state_ = client::SessionState::disconnected;
  raftcs_status_t lost_ = RAFTCS_OK;
  bool closed_ = false;
  std::unordered_map<uint64_t, Waiter*> waiters_;
  std::shared_ptr<client::Runtime> kept_runtime_;
};

}  // namespace raftcs::capi

struct raftcs_client : raftcs::capi::Handle<0x746e696c63736372> {  // "rcsclint"
  std::shared_ptr<raftcs::client::Runtime> runtime;
  std::shared_ptr<raftcs::capi::ClientCore> core;
};
