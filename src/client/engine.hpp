// engine.hpp: the client side of sessions, as a value.
//
// One Engine holds all client sessions of a process and the links they share: one link
// per server, on which sessions are multiplexed by channel (decision D9). It decides who
// leads, what is sent when, what is sent again, and how each operation ends; it opens no
// socket and reads no clock. Inputs are method calls, what must be done comes back from
// take_effects(); the runtime (runtime.hpp) and the simulator drive the same code.
//
// What must hold
//  - Every operation accepted ends with exactly one event, also on close, loss of the
//    session, cancellation and deadline.
//  - Request ids of a session start at 1, are consecutive, and belong to their payload for
//    ever. While a session lives an unanswered command is sent again under its own id, in
//    id order, after every reconnection; a deadline ends the waiting, not the command
//    (outcome unknown once it may have left).
//  - lowest_pending of a frame is the lowest id without an answer delivered or given up.
//  - A reply counts only from the link its session is bound to at the time (epoch fence).
//  - Server-started requests are delivered 1, 2, 3 ... without a gap or a repeat.
//  - Nothing is retried in a tight loop, whatever hints servers give: attempts are spaced by
//    backoff with jitter; a usable hint is followed at once, but not twice in a row without a
//    welcome or an answer in between.
//
// Threads: none; the caller serialises.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "base/time.hpp"
#include "base/uuid.hpp"
#include "wire/client_messages.hpp"

namespace raftcs::client {

struct SessionOptions {
  std::vector<std::string> endpoints;  // tcp://host:port of some or all servers
  Uuid cluster;                        // zero: take the first one met
  std::string name;
  std::vector<std::pair<std::string, std::string>> capabilities;  // sorted; may not be empty
  uint64_t session_timeout_ms = 10'000;
  DurationNs keep_alive_ns = 0;        // 0: a third of the session timeout in force
  DurationNs connect_timeout_ns = 2 * kNsPerSecond;  // per server, hello to bound session
  DurationNs backoff_min_ns = 20 * kNsPerMs;
  DurationNs backoff_max_ns = 1 * kNsPerSecond;
  uint32_t outstanding_max = 10'000;   // operations without an event; more are refused BUSY
  uint32_t window_max = 1'024;         // requests sent and unanswered (welcome may say less)
  bool manual_ack = false;             // of server-started requests
  bool renew_on_expiry = false;        // open a new session instead of staying lost
  uint32_t unacked_pushes_max = 10'000;  // manual mode: undelivered + unacknowledged
};

using SessionHandle = uint32_t;  // within one Engine; never reused
using LinkId = uint32_t;         // one physical connection attempt; never reused

enum class EventKind : uint8_t {
  reply, query_reply, admin_reply, push, state, session_lost, topology, closed,
  pushes_gone,
};
enum class SessionState : uint8_t {
  disconnected = 1,
  connecting_new = 2,
  connecting_existing = 3,
  connected = 4
};

struct Event {
  SessionHandle session = 0;
  EventKind kind = EventKind::reply;
  raftcs_status_t status = RAFTCS_OK;
  int32_t outcome = 0;         // raftcs_outcome
  int32_t app_code = 0;        // state events: the new SessionState
  int32_t retry_after_ms = 0;
  uint32_t life = 0;           // pushes: which of the handle's sessions, from 1
  uint64_t tag = 0;
  uint64_t op_id = 0;          // pushes: the push id; pushes_gone: the first of them ...
  uint64_t index = 0;          // ... and the last
  Bytes data;
  std::string text;
};

struct Effects {
  struct Open {
    LinkId link;
    std::string endpoint;
  };
  struct Send {
    LinkId link;
    Bytes frame;
  };
  std::vector<Open> open;      // then
  std::vector<Send> send;      // then
  std::vector<LinkId> close;   // (what was sent before is flushed within a bounded linger)
  std::vector<Event> events;
  bool empty() const { return open.empty() && send.empty() && close.empty() && events.empty(); }
};

struct SessionInfo {
  SessionState state = SessionState::disconnected;
  Uuid session_id;
  NodeId leader;
  uint64_t outstanding = 0, submitted = 0, completed = 0, resent = 0, reconnects = 0, pushes = 0;
  int64_t rtt_us = -1;           // of the last keep-alive
  int64_t rtt_smoothed_us = -1;  // over about the last eight
  int64_t latency_us = -1;       // of commands, smoothed: sent to answered
  uint64_t session_timeout_ms = 0;  // in force; 0: no session yet
  uint64_t attempts = 0;         // to open or to continue the session
  uint64_t late_replies = 0;     // answers that nobody waited for any more
  uint64_t busy = 0;             // refusals after which an operation waited and was sent again
  uint64_t sessions_lost = 0;
  uint64_t malformed_frames = 0; // of all sessions of the engine
  raftcs_status_t trouble = RAFTCS_OK;  // why it is not connected
};

class Engine {
 public:
  // `seed` feeds jitter, nonces and proofs; it must be unpredictable outside tests. 32 bytes.
  Engine(const std::array<uint64_t, 4>& seed);
  ~Engine();

  // --- sessions ---------------------------------------------------------------------
  SessionHandle add(const SessionOptions& options);  // Requires: endpoints not empty
  void open(SessionHandle session, Mono now);
  // Opens with an exported token. MALFORMED when it is none; nothing has changed then.
  Status resume(SessionHandle session, const Bytes& token, Mono now);
  // Each ends with exactly one event; op ids are the caller's, unique per session.
  struct Call {
    SessionHandle session = 0;
    uint64_t op_id = 0;
    uint64_t tag = 0;
    std::string service;
    Bytes payload;
    Mono deadline = Mono::never();
    wire::Consistency consistency = wire::Consistency::linearizable;
  };
  void submit(Call call, Mono now);
  void query(Call call, Mono now);
  // service is the verb, payload the JSON; endpoint empty: the leader.
  void admin(Call call, const std::string& endpoint, Mono now);
  bool cancel(SessionHandle session, uint64_t op_id, Mono now);  // false: it has ended
  // Nothing happens if `life`, as of the push's event, is over: its numbers begin anew in the next.
  void ack(SessionHandle session, uint32_t life, PushId up_to, Mono now);
  // Ends everything outstanding with CLOSED; `closed` is the last event of the handle. Without
  // keep, the cluster is told and its answer awaited for a bounded time first.
  void close(SessionHandle session, bool keep, Mono now);
  // Gives back the memory of a session whose `closed` was emitted; the handle is dead then.
  void forget(SessionHandle session);
  SessionInfo info(SessionHandle session) const;
  Result<Bytes> export_session(SessionHandle session);

  // --- links ------------------------------------------------------------------------
  void receive(LinkId link, const Bytes& frame, Mono now);
  void link_down(LinkId link, Mono now);  // the transport says the connection is gone

  // --- time and outputs ---------------------------------------------------------------
  void tick(Mono now);
  Mono next_deadline() const;
  Effects take_effects(Mono now);  // builds the frames; clears
  uint64_t malformed_frames() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace raftcs::client
