// session.hpp: the state of one client session.
//
// Phases:
//
//   idle --open--> waiting <--> linking --> asking --> bound --> (lost | closed)
//                     ^            |           |          |
//                     +------------+-----------+----------+   rejected, silent, link lost
//
// waiting: until wake_at. linking: on a link without welcome. asking: create or continue is
// sent. bound: the server serves the session on (link, channel). `shown` is what callers see.
//
// What must hold
//  1 link is null exactly in idle, waiting, lost and closed; channel belongs to it.
//  2 epoch rises with every binding; a command counts as on the wire only if its epoch is
//    this one, and a reply counts only then (TR epoch fence, W-C9).
//  3 inflight is the number of commands of this epoch without an answer.
//  4 armed <= due() after every input.
#pragma once

#include <algorithm>

#include "client/backoff.hpp"
#include "client/calls.hpp"
#include "client/links.hpp"
#include "client/pending.hpp"
#include "client/route.hpp"
#include "client/token.hpp"

namespace raftcs::client {

constexpr DurationNs kCloseWaitNs = 2 * kNsPerSecond;  // for the answer to close_session
constexpr DurationNs kForeignOnlyMinNs = 10 * kNsPerSecond;
constexpr DurationNs kKeepAliveWaitMinNs = 50 * kNsPerMs;
constexpr DurationNs kAttemptMinNs = 100 * kNsPerMs;

enum class Phase : uint8_t { idle, waiting, linking, asking, bound, lost, closed };

// The weight of RFC 6298; the first sample counts whole.
inline void smooth(int64_t* average_us, int64_t sample_us) {
  *average_us = *average_us < 0 ? sample_us : *average_us + (sample_us - *average_us) / 8;
}

struct Session {
  SessionHandle handle = 0;
  SessionOptions options;
  Phase phase = Phase::idle;
  SessionState shown = SessionState::disconnected;
  bool closing = false;
  raftcs_status_t lost_status = RAFTCS_OK;

  // identity
  uint32_t life = 0;  // counts the sessions of this handle
  Uuid id;            // zero: not created yet
  Uuid proof;
  Uuid cluster_id;  // zero: the first met
  HolderId holder;  // this process, among those that have held the session
  Cluster* cluster = nullptr;
  uint64_t topology_told = 0;
  uint64_t timeout_ms = 0;    // in force
  bool asked_create = false;  // a create may have reached a server

  // connecting
  Link* link = nullptr;
  wire::Channel channel = 0;
  uint64_t nonce = 0;  // of the last attempt; rises, so that the server can tell late ones
  Backoff backoff;
  bool hint_credit = true;              // a hint may be followed at once
  Route route;                          // of the attempts
  std::vector<std::string> refused;     // addresses whose last word was: never this session
  Mono foreign_since = Mono::never();   // only such words have been heard since
  uint32_t attempt = 0;                 // of the present search for a server, from 1
  uint32_t unanswered = 0;              // attempts in a row without any answer
  raftcs_status_t trouble = RAFTCS_OK;  // why the search goes on
  std::string trouble_text;
  Mono bound_since;
  bool progressed = false;  // a response or a push came during this binding
  bool was_bound = false;

  // times; never() when not due
  Mono wake_at = Mono::never();             // waiting
  Mono attempt_until = Mono::never();       // linking, asking
  Mono deadline_at = Mono::never();         // no operation's deadline is earlier
  Mono hold_until = Mono::never();          // commands pause after BUSY
  Mono queries_hold_until = Mono::never();  // queries pause likewise
  Mono admins_at = Mono::never();           // no admin call is to be looked at earlier
  Mono claim_until = Mono::never();         // reserved ids are looked at then, and given up
  Mono close_until = Mono::never();
  Mono armed = Mono::never();
  Mono answered_at;     // last answer to a command, or when inflight left 0
  Mono last_sent;       // on the channel: any traffic is life (KAL-09)
  Mono contact;         // when the cluster last showed that it keeps the session
  bool warned = false;  // that most of the session's time is over since then (KAL-08)

  // commands
  Pending pending;
  uint32_t epoch = 0;
  uint64_t cursor = 0;  // every id below is on the wire
  uint32_t inflight = 0;
  uint32_t allowed = UINT32_MAX;  // in flight: halved by BUSY, grows with answers
  uint32_t allowed_quickly = 0;   // below, every answer counts; above, a window of them
  uint32_t allowed_answers = 0;   // counted towards the next one
  uint32_t reserved = 0;          // ids of a token not claimed yet
  uint64_t claim_from = 0;        // claims are in order: the next is searched from here
  bool reserved_block = false;    // servers keep too much for these, and refuse what is claimed
  bool claim_answered = false;    // one that was claimed has ended since claims were looked at
  bool fresh_gap = false;         // resumed: fresh ids start behind a gap
  bool dirty = false;

  // queries and admin calls
  CallList calls;
  uint64_t admin_turn = 0;      // where the next admin call begins its round
  std::vector<uint64_t> ready;  // correlations of queries to send; may be stale
  Backoff pause;                // after BUSY and NO_LEADER
  uint32_t queries_out = 0;     // sent and not answered
  Mono query_answered_at;       // last answer to a query, or when queries_out left 0

  // pushes
  uint64_t received_push = 0;
  uint64_t acked_push = 0;
  bool ack_due = false;
  bool push_dropped = false;  // during this binding, for want of room

  uint64_t keep_alive_sent = 0;  // timestamp awaiting its echo; 0: none
  Mono keep_alive_at;            // when it was sent
  uint64_t timed_id = 0;         // command whose answer is timed; 0: none
  Mono timed_at;
  SessionInfo counters;

  DurationNs keep_alive_ns() const {
    if (options.keep_alive_ns > 0) return options.keep_alive_ns;
    return std::max(timeout_ns() / 3, kNsPerMs);
  }
  DurationNs timeout_ns() const {
    return static_cast<DurationNs>(std::min<uint64_t>(timeout_ms, UINT32_MAX)) * kNsPerMs;
  }
  // Nobody but servers that can never serve it has answered for so long: its own are gone.
  DurationNs foreign_only_ns() const { return std::max(timeout_ns(), kForeignOnlyMinNs); }
  // A keep-alive unanswered for so long means that this server does not keep the session: time is
  // left to find the one that does, whatever the timeout is (KAL-05).
  DurationNs keep_alive_wait_ns() const { return std::max(timeout_ns() / 3, kKeepAliveWaitMinNs); }
  DurationNs risk_ns() const { return timeout_ns() / 100 * 85; }
  // For one server, hello to bound. Short while a session runs out of time; longer from attempt to
  // attempt, so that a slow network is no obstacle.
  DurationNs attempt_ns() const {
    const DurationNs full = std::max(options.connect_timeout_ns, kNsPerMs);
    if (id.is_zero()) return full;
    return std::min(full, std::max(timeout_ns() / 4, kAttemptMinNs) * std::max(attempt, 1u));
  }
  // A command or query unanswered for this long on a link that lives was lost on the way: the
  // session is continued anew, which sends it again (CLI-09). Long, so that slow ones are left
  // alone (CMD-21).
  DurationNs stall_ns() const { return std::max(6 * keep_alive_ns(), 10 * kNsPerSecond); }
  bool stalled(Mono now) const {
    return (inflight > 0 && answered_at + stall_ns() <= now) ||
           (queries_out > 0 && query_answered_at + stall_ns() <= now);
  }
  uint64_t unacked_pushes() const { return received_push - acked_push; }
  bool push_room() const { return unacked_pushes() < options.unacked_pushes_max; }
  // When pushes that were dropped are asked for again. Soon if half of the room is free, so that
  // it is worth while; more slowly for a caller that always keeps more unacknowledged. Never
  // before the binding counts as settled, so the server is not left for a time (Core::leave).
  Mono fetch_dropped_at() const {
    if (!push_dropped || !push_room() || closing) return Mono::never();
    const bool soon = progressed && unacked_pushes() <= options.unacked_pushes_max / 2;
    return bound_since + (soon ? backoff.shortest() : backoff.longest());
  }
  bool bound() const { return phase == Phase::bound; }
  bool searching() const {
    return phase == Phase::waiting || phase == Phase::linking || phase == Phase::asking;
  }
  bool ended() const { return phase == Phase::lost || phase == Phase::closed; }
  Mono due() const {
    Mono at = std::min(
        {deadline_at, hold_until, queries_hold_until, admins_at, claim_until, close_until});
    if (phase == Phase::waiting) at = std::min(at, wake_at);
    if (phase == Phase::linking || phase == Phase::asking) at = std::min(at, attempt_until);
    if (searching() || bound()) {
      if (!id.is_zero() && !warned) at = std::min(at, contact + risk_ns());
    }
    if (!bound()) return at;
    at = std::min(at, fetch_dropped_at());
    if (inflight > 0) at = std::min(at, answered_at + stall_ns());
    if (queries_out > 0) at = std::min(at, query_answered_at + stall_ns());
    if (keep_alive_sent != 0) return std::min(at, keep_alive_at + keep_alive_wait_ns());
    at = std::min(at, last_sent + keep_alive_ns());
    if (inflight > 0) at = std::min(at, std::max(answered_at, keep_alive_at) + keep_alive_ns());
    return at;
  }
};

}  // namespace raftcs::client
