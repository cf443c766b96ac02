// replication.cpp: the leader's side of the log (thesis 3.5, 3.6.2, 10.2).
//
// Messages to peers are made only in replicate(), which take_effects() calls: whatever was
// proposed, answered or persisted since the last call leaves as one append per peer (more
// only while a window lets a peer that lags catch up).
//
// Telling followers about commitment. A commit index travels with every append. If there is
// nothing to append for commit_notice_delay_ns, a follower that is in step gets an empty
// append, so that it applies without waiting for a heartbeat; at most one such notice is
// unanswered per peer. The delay is what one client writing one command after another costs
// or saves: without it every command is three messages per follower, with it one.
//
// The leader writes its own disk in parallel (10.2.1): its own copy counts at durable_.
//
// What must hold: only entries of the own term are committed by counting (3.6.2, CM-01);
// match only rises on answers of this term (LR-03, LR-04).
#include <algorithm>
#include <utility>

#include "base/check.hpp"
#include "base/mutant.hpp"
#include "raft/node_impl.hpp"

namespace raftcs::raft {

Refusal Node::Impl::propose(EntryType type, Bytes payload, Index* index, Term* term) {
  Leader* lead = leading();
  if (!lead || lead->leaving) return Refusal::not_leader;
  if (lead->transfer) return Refusal::transferring;  // LT-02
  // An entry alone is always let in, however large: otherwise it could never be.
  const uint64_t bytes = lead->uncommitted_bytes + payload.size();
  if (lead->uncommitted_bytes > 0 && bytes > options_.uncommitted_bytes_max)
    return Refusal::too_much_uncommitted;
  append_as_leader(*lead, type, std::move(payload));
  if (index) *index = log_.last();
  if (term) *term = hard_.term;
  return Refusal::none;
}

void Node::Impl::append_as_leader(Leader& lead, EntryType type, Bytes payload) {
  Entry e;
  e.index = log_.last().next();
  e.term = hard_.term;
  e.type = type;
  e.time = cluster_time(now_);
  e.payload = std::move(payload);
  lead.uncommitted_bytes += e.payload.size();
  append_entry(std::move(e));
}

void Node::Impl::replicate() {
  Leader* lead = leading();
  start_round(*lead);
  drive_transfer(*lead);
  for (Progress& peer : lead->peers) replicate_to(*lead, peer);
  if (now_ >= lead->notice_at) lead->notice_at = Mono::never();
  drop_departed(*lead);
  leave_if_removed();
}

void Node::Impl::replicate_to(Leader& lead, Progress& peer) {
  switch (peer.mode) {
    case Progress::Mode::snapshot:
      if (peer.poke) send_bare_heartbeat(lead, peer);
      break;
    case Progress::Mode::probe:
      if (!peer.probe_sent) {
        peer.probe_sent = send_append(lead, peer, true);
      } else if (peer.poke) {
        send_append(lead, peer, false);
      }
      break;
    case Progress::Mode::replicate: {
      bool sent = false;
      while (peer.mode == Progress::Mode::replicate && peer.next <= log_.last() &&
             peer.inflights.has_room(options_.inflight_appends_max, options_.inflight_bytes_max)) {
        if (!send_append(lead, peer, true)) break;
        sent = true;
      }
      if (sent || peer.mode != Progress::Mode::replicate) break;
      const bool notice =
          commit_ > peer.commit_sent && !peer.notice_sent && now_ >= lead.notice_at;
      if (!peer.poke && !notice) break;
      if (send_append(lead, peer, false)) peer.notice_sent = true;
      break;
    }
  }
  peer.poke = false;
}

// False: the term before `next` is compacted (LR-06); the peer then gets a snapshot.
bool Node::Impl::send_append(Leader& lead, Progress& peer, bool with_entries) {
  const Index prev = peer.next.prev();
  TermAt prev_term = log_.term(prev);
  if (RCS_MUTANT("LR-05") && prev_term.kind == TermAt::Kind::compacted)
    prev_term = {TermAt::Kind::known, Term()};
  if (prev_term.kind != TermAt::Kind::known) {
    RCS_CHECK(prev_term.kind == TermAt::Kind::compacted);
    start_snapshot(peer);
    send_bare_heartbeat(lead, peer);
    return false;
  }
  AppendRequest request;
  request.prev_index = prev;
  request.prev_term = prev_term.term;
  request.commit = commit_;
  request.round = lead.round;
  if (with_entries) request.entries = log_.slice(peer.next, log_.last(), options_.append_bytes_max);
  peer.commit_sent = commit_;
  if (!request.entries.empty() && peer.mode == Progress::Mode::replicate) {
    uint64_t bytes = 0;
    for (const Entry& e : request.entries) bytes += e.payload.size();
    peer.next = request.entries.back().index.next();
    peer.inflights.add(request.entries.back().index, bytes);
  }
  send(peer.id, std::move(request));
  return true;
}

// To a peer that waits for a snapshot: it says who leads and carries the round, and states
// nothing about the log. prev 0 is the empty log before every log; commit 0 commits nothing.
void Node::Impl::send_bare_heartbeat(Leader& lead, Progress& peer) {
  AppendRequest request;
  request.round = lead.round;
  send(peer.id, std::move(request));
}

void Node::Impl::on_append_response(const Message& message, const AppendResponse& response) {
  Leader* lead = leading();
  Progress* peer = lead ? lead->find(message.from) : nullptr;
  if (!peer) return;
  note_contact(*lead, *peer);
  peer->notice_sent = false;
  if (commit_ > peer->commit_sent && lead->notice_at == Mono::never())
    lead->notice_at = now_ + options_.commit_notice_delay_ns;
  if (RCS_MUTANT("RD-03")) peer->round_acked = lead->round, confirm_reads(*lead);
  if (response.round > peer->round_acked && response.round <= lead->round) {
    peer->round_acked = response.round;
    confirm_reads(*lead);
  }
  if (!response.success) {
    // Where could the logs still agree? At the last entry here that is neither behind the
    // hinted index nor of a later term than the hinted one (thesis 3.5; LR-08).
    const LogPosition agree = log_.last_at_or_below(response.hint_index, response.hint_term);
    const Index retry =
        response.hint_index < log_.base().index ? response.hint_index : agree.index;
    if (peer->on_refusal(response.rejected, retry.next())) peer->poke = true;
    return;
  }
  if (response.match > log_.last()) return;  // nobody can have what was never sent
  const bool moved = peer->on_success(response.match);
  switch (peer->mode) {
    case Progress::Mode::probe:
      peer->to_replicate();
      break;
    case Progress::Mode::snapshot:
      // Whatever brought it within the log ends the transfer (SN-11).
      if (response.match >= log_.base().index && response.match > Index()) {
        peer->next = response.match.next();
        peer->to_replicate();
      }
      break;
    case Progress::Mode::replicate:
      break;
  }
  if (moved) leader_commit();
}

// Thesis 3.6.2: the highest index that a quorum holds durably, if it is of this term.
void Node::Impl::leader_commit() {
  Leader* lead = leading();
  if (!lead) return;
  const Index agreed = quorum_value<Index>(voters_, [&](NodeId id) {
    if (id == options_.id) return RCS_MUTANT("CM-05") ? log_.last() : durable_;
    const Progress* p = lead->find(id);
    return p ? p->match : Index();
  });
  if (agreed > commit_ && (log_.term(agreed).is(hard_.term) || RCS_MUTANT("CM-01")))
    commit_to(agreed);
}

void Node::Impl::commit_to(Index index) {
  if (index <= commit_) return;  // never back (CM-04)
  RCS_CHECK(index <= log_.last());
  Leader* lead = leading();
  if (lead) {
    for (Index i = commit_.next(); i <= index; ++i)
      lead->uncommitted_bytes -= log_.at(i).payload.size();
  }
  commit_ = index;
  if (receiving_ && receiving_->meta.index <= commit_) receiving_.reset();
  if (!lead) return;
  if (lead->notice_at == Mono::never()) lead->notice_at = now_ + options_.commit_notice_delay_ns;
  if (!lead->ready && commit_ >= lead->first_own) {
    lead->ready = true;
    out_.status_changed = true;
    release_early_reads(*lead);
  }
  on_config_committed(*lead);
}

void Node::Impl::leader_tick(Leader& lead) {
  if (lead.transfer && now_ >= lead.transfer->give_up) {  // LT-02
    lead.transfer.reset();
    out_.status_changed = true;
  }
  if (now_ < lead.heartbeat_at) return;
  lead.heartbeat_at = now_ + options_.heartbeat_ns;
  // Check-quorum (thesis 6.2): who reaches no quorum serves nobody.
  if (!has_quorum_contact(now_)) return become_follower(hard_.term, NodeId());
  for (Progress& peer : lead.peers) {
    peer.poke = true;
    retry_snapshot(peer);
  }
  if (lead.transfer) lead.transfer->sent = false;  // a lost TimeoutNow is sent again (LT-01)
}

}  // namespace raftcs::raft
