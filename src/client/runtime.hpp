// runtime.hpp: the one thread of this process on which all client sessions live.
//
// It owns the sockets (net::ClientLinks) and turns the engine's wheel: drain the inbox of
// calls, feed the frames that came, let time pass, carry out the effects, hand the events
// over. Calls that need an answer at once (info, export, cancel) take the engine's lock
// instead of a turn; they drain the inbox first, so that all calls of a thread keep their order.
//
// The runtime starts with the first holder and ends with the last; a process can start
// it again as often as it likes. After fork the child gets a new one; the parent's is never
// touched there.
//
// What must hold
//  - Events are delivered by one thread at a time, in the engine's order, and outside of the
//    locks that calls take.
//  - A sleeping thread is woken once, however many calls arrive meanwhile.
//  - Each call runs once and each event is delivered once, also when memory runs out in between:
//    an operation that there is no memory for ends with NO_MEMORY.
//
// Threads: all functions [any]; deliver is called on the runtime's thread (rcs-client, all
// signals blocked) or on a thread that drives, and must not block.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "client/engine.hpp"

namespace raftcs::client {

// Whoever a session's events are for.
class Receiver {
 public:
  virtual ~Receiver() = default;
};

struct Delivery {
  std::shared_ptr<Receiver> receiver;
  Event event;
};

// The events of a turn, in order. Takes out, from the front, what it delivers; what there is no
// memory for stays for the next time. Throws nothing.
using Deliver = void (*)(std::vector<Delivery>& deliveries);

class Runtime {
 public:
  // The process's runtime, started if there is none. `deliver` must be the same for all.
  static Result<std::shared_ptr<Runtime>> acquire(Deliver deliver);
  virtual ~Runtime() = default;

  // The receiver is held until its `closed` event has been delivered.
  virtual SessionHandle add(const SessionOptions& options, std::shared_ptr<Receiver> receiver) = 0;

  // Queued; the engine sees them in order. Without memory to queue them ack and close run at once.
  virtual void open(SessionHandle session) = 0;
  virtual void submit(Engine::Call call) = 0;
  virtual void query(Engine::Call call) = 0;
  virtual void admin(Engine::Call call, std::string endpoint) = 0;
  virtual void ack(SessionHandle session, uint32_t life, PushId up_to) = 0;
  virtual void close(SessionHandle session, bool keep) = 0;

  // A thread that waits for the end of its own operation turns the wheel itself meanwhile: the
  // operation is posted between the two, and saves the hand-offs there and back. False: another
  // thread turns it; post and wait. After true drive_until must follow.
  virtual bool begin_drive() = 0;
  virtual void drive_until(const std::function<bool()>& ended) = 0;

  // Answered at once.
  virtual Status resume(SessionHandle session, const Bytes& token) = 0;
  virtual bool cancel(SessionHandle session, uint64_t op_id) = 0;
  virtual SessionInfo info(SessionHandle session) = 0;
  virtual Result<Bytes> export_session(SessionHandle session) = 0;
  // Forgets a closed session; nothing else may be called with it any more.
  virtual void forget(SessionHandle session) = 0;
};

}  // namespace raftcs::client
