// core.hpp: the engine's inside: all sessions, links and calls, and the rules between them.
//
// The rules are in files by topic: connect.cpp (where sessions go and when), links_io.cpp
// (frames in, links up and down), commands.cpp, lookups.cpp (queries), admins.cpp,
// pushes.cpp, telling.cpp (states, topology) and ending.cpp (loss and close); engine.cpp is the
// dispatcher and the clockwork.
//
// What must hold after every input
//  - a session with something to send is in dirty_, once; take_effects empties it;
//  - every session and link is armed for its due();
//  - no function here loops over all sessions except where a link or a cluster changed.
#pragma once

#include "client/engine.hpp"
#include "client/session.hpp"
#include "client/timers.hpp"

namespace raftcs::client {

// The values of raftcs_outcome (raftcs.h).
enum Outcome : int32_t { kNone = 0, kApplied = 1, kNotApplied = 2, kUnknown = 3 };

// What may come is not for one welcome to say: results of queries are as large as the servers'
// limits.payload_bytes, which may be 64 MiB, and a stored reply may be older than their limit.
inline wire::Limits decode_limits() {
  wire::Limits limits;
  limits.payload_bytes_max = 64 << 20;
  limits.frame_bytes_max = limits.payload_bytes_max + (2 << 20);  // behind small messages
  return limits;
}

// What becomes of a session's channel when it leaves a link.
enum class Fate : uint8_t {
  released,   // the server does not know it (any more): may be used again
  abandoned,  // the server may still answer on it
};

class Core {
 public:
  explicit Core(const std::array<uint64_t, 4>& seed) : random_(seed) {}

  // engine.cpp
  SessionHandle add(const SessionOptions& options);
  void tick(Mono now);
  Mono next_deadline();
  Effects take_effects(Mono now);
  Session& session(SessionHandle handle) { return *sessions_[handle - 1]; }
  bool has(SessionHandle h) const { return h != 0 && h <= sessions_.size() && sessions_[h - 1]; }
  void forget(SessionHandle handle) { sessions_[handle - 1].reset(); }
  void mark(Session& s);  // dirty, and armed

  // connect.cpp
  void open(Session& s, Mono now);
  Status resume(Session& s, const Bytes& token, Mono now);
  Result<Bytes> export_session(Session& s);

  // commands.cpp
  void submit(Session& s, Engine::Call&& call, Mono now);
  bool cancel(Session& s, uint64_t op_id);

  // lookups.cpp, admins.cpp
  void query(Session& s, Engine::Call&& call);
  void admin(Session& s, Engine::Call&& call, const std::string& endpoint, Mono now);

  // pushes.cpp, ending.cpp
  void ack(Session& s, uint32_t life, PushId up_to);
  void close(Session& s, bool keep, Mono now);

  // links_io.cpp
  void receive(LinkId link, const Bytes& frame, Mono now);
  void drop_link(LinkId link, bool tell_transport, Mono now);

  uint64_t malformed = 0;

 private:
  // --- engine.cpp
  void on_session_timer(Session& s, Mono now);
  void on_link_timer(Link& link, Mono now);
  void expire_operations(Session& s, Mono now);
  void flush(Session& s, Mono now);
  void in_contact(Session& s, Mono now) {
    s.contact = now;
    s.warned = false;
  }
  void arm(Session& s) { timers_.arm(Timers::Owner::session, s.handle, s.due(), &s.armed); }
  void arm(Link& l) { timers_.arm(Timers::Owner::link, l.id, l.due(), &l.armed); }
  template <class M>
  void send(Link& link, M message) {
    link.frames.add(wire::ClientMessage(std::move(message)));
    touch(link);
  }
  void touch(Link& link) {
    if (!link.dirty) dirty_links_.push_back(link.id);
    link.dirty = true;
  }
  void expect(Link& link, Mono now) {
    if (link.expected++ == 0) {
      link.heard = now;
      link.probed = false;
      arm(link);
    }
  }
  void answered(Link& link) {
    RCS_CHECK(link.expected > 0);
    --link.expected;
  }

  // --- telling.cpp
  Event& emit(const Session& s, EventKind kind);
  void set_state(Session& s, SessionState state);
  Event& tell_state(Session& s);
  void warn(Session& s);
  void tell_topology();
  std::string late_text(const Session& s) const;

  // --- connect.cpp
  void start_new(Session& s);
  Status number_waiting(Session& s);
  void begin_attempt(Session& s, Mono now);
  std::vector<const std::string*> addresses(const Session& s) const;
  std::string choose_endpoint(const Session& s, Route& r);
  Link* acquire(const std::string& endpoint, const Session& s, Mono now);
  void attach(Session& s, Link* link, Mono now);
  void detach(Session& s, Fate fate, Mono now);
  void unuse(Link& link, Mono now);
  void ask(Session& s, Mono now);
  std::string redirect_of(const Link& link) const;
  void retry(Session& s, const std::string& hint, DurationNs not_before, Mono now);
  void leave(Session& s, const std::string& hint, Fate fate, Mono now);
  void refuse_server(Session& s, raftcs_status_t status, const char* text, Mono now);
  void bind(Session& s, uint64_t timeout_ms, Mono now);
  void attempt_timed_out(Session& s, Mono now);
  void no_answer(Session& s);
  void note_trouble(Session& s, raftcs_status_t status, std::string text);
  void note_rejection(Session& s, const wire::SessionRejected& m, const std::string& hint);
  bool taken_from(Session& s, const wire::SessionRejected& m, Mono now);
  void on_created(Session& s, const wire::SessionCreated& m, Mono now);
  void on_continued(Session& s, const wire::SessionContinued& m, Mono now);
  void on_rejected(Session& s, const wire::SessionRejected& m, Mono now);
  void on_closed(Session& s, const wire::SessionClosed& m, Mono now);
  std::string usable_hint(Session& s, const wire::LeaderHint& hint, const std::string& here);
  bool proof_refused(Session& s, const wire::SessionRejected& m, Mono now);

  // --- commands.cpp
  void refuse(Session& s, EventKind kind, const Engine::Call& call, raftcs_status_t status,
              const char* text);
  raftcs_status_t admission(const Session& s) const;
  bool claim(Session& s, Command& command);
  DurationNs claim_wait_ns(const Session& s) const;
  void look_at_reserved(Session& s, Mono now);
  void flush_commands(Session& s, Mono now);
  bool send_ring(Session& s, CommandRing& ring, uint32_t window, uint64_t span, Mono now);
  bool too_large(const Link& link, const Bytes& payload) const;
  void end_too_large(Session& s, Command&& c);
  void send_command(Session& s, uint64_t id, Command& c, Mono now);
  Command withdraw(Session& s, CommandRing& ring, uint64_t id);
  void end_command(Session& s, Command&& c, raftcs_status_t status, int32_t outcome,
                   std::string text);
  void expire_commands(Session& s, Mono now, Mono* earliest);
  void give_up_reserved(Session& s);
  void on_response(Session& s, wire::Response& m, Mono now);
  void on_request_error(Session& s, const wire::RequestError& m, Mono now);
  void narrow(Session& s);
  void widen(Session& s);
  void hold(Session& s, Mono* until, uint64_t retry_after_ms, Mono now);

  // --- lookups.cpp
  void flush_queries(Session& s, Mono now);
  void ready_queries(Session& s);    // all waiting ones, in order
  void requeue_queries(Session& s);  // those sent on the link being left
  void end_call(Session& s, uint32_t slot, raftcs_status_t status, int32_t outcome,
                std::string text);
  void end_calls(Session& s, raftcs_status_t status, const char* text, bool admins_too);
  void expire_calls(Session& s, Mono now, Mono* earliest);
  void on_query_response(Link& link, wire::QueryResponse& m, Mono now);

  // --- admins.cpp
  void start_admin(uint32_t slot, Mono now);
  void send_admin(uint32_t slot, Mono now);
  void release_admin(PendingCall& c, Mono now);
  void retry_admin(uint32_t slot, const std::string& hint, Mono now);
  void look_at_admins(Session& s, Mono now);
  void admin_link_lost(uint32_t slot, Mono now);
  void cannot_ask(const PendingCall& c);
  void on_admin_reply(Link& link, wire::AdminReply& m, Mono now);
  void on_unsupported(Link& link, const wire::Unsupported& m);

  // --- pushes.cpp
  void on_push(Session& s, wire::Push& m);
  void on_push_reset(Session& s, const wire::PushReset& m);
  void fetch_dropped(Session& s, Mono now);
  void flush_ack(Session& s, Mono now);
  void send_keep_alive(Session& s, Mono now);
  void look_at_keep_alive(Session& s, Mono now);
  void on_keep_alive_reply(Session& s, const wire::KeepAliveReply& m, Mono now);

  // --- ending.cpp
  void lose(Session& s, raftcs_status_t status, const std::string& text, Fate fate, Mono now);
  void end_commands(Session& s, raftcs_status_t status, const char* text, bool keep_unapplied);
  void finish_close(Session& s, Fate fate, Mono now);

  // --- links_io.cpp
  void dispatch(Link& link, wire::ServerMessage& message, Mono now);
  void on_welcome(Link& link, wire::Welcome& m, Mono now);
  Session* session_on(Link& link, wire::Channel channel);

  Random random_;
  Timers timers_;
  Directory directory_;
  Links links_;
  Calls calls_;
  std::vector<std::unique_ptr<Session>> sessions_;  // [handle - 1]
  std::vector<SessionHandle> dirty_;
  std::vector<LinkId> dirty_links_;
  bool topology_dirty_ = false;
  Effects effects_;
  const wire::Limits limits_ = decode_limits();
  wire::ServerSink inbox_;
};

}  // namespace raftcs::client
