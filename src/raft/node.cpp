// node.cpp: the public face of Node: time, dispatch of messages, numbering of writes and
// the handing out of effects. It only dispatches; each topic file holds its transitions.
//
// Writes (D7). Decisions change memory at once; take_effects() gathers the difference to
// what the driver was given (hard state, first_unwritten_, truncate_, reset_log_) into one
// numbered write. A message that promises something names the write it waits for:
// hard_write() or log_write(index). Both can be computed before the write is handed out,
// because everything decided before the next take_effects() goes into write last_seq_ + 1.
//
// Entries are given to the state machine when they are committed, even if this node's own
// disk lags behind the quorum (CM-06): what is committed does not depend on this disk.
// Compaction, however, never passes what is durable here (snapshot.cpp).
//
// The hard state may become durable before entries of earlier writes (a full disk). That is as
// safe as a crash between the two: nobody was promised those entries, and a vote compares with
// the log in memory, which has at least everything that was acknowledged. No election is sought
// meanwhile: that asks for a durable log (EL-12).
#include <algorithm>
#include <utility>

#include "base/check.hpp"
#include "base/mutant.hpp"
#include "raft/invariants.hpp"
#include "raft/node_impl.hpp"

namespace raftcs::raft {

bool Effects::empty() const {
  return write_seq == 0 && messages.empty() && !restore && apply.empty() && reads_ready.empty() &&
         reads_failed.empty() && read_chunks.empty() && write_chunks.empty() && !compact_to &&
         !status_changed;
}

Progress* Leader::find(NodeId id) {
  auto it = std::find_if(peers.begin(), peers.end(), [&](const Progress& p) { return p.id == id; });
  return it == peers.end() ? nullptr : &*it;
}

const Progress* Leader::find(NodeId id) const { return const_cast<Leader*>(this)->find(id); }

Node::Impl::Impl(const Options& options, BootImage image, Mono now)
    : options_(options), prng_(options.seed ^ (options.id.value << 32)), now_(now) {
  hard_ = image.hard_state;
  if (image.snapshot) {
    snapshot_ = std::move(*image.snapshot);
    log_.reset({snapshot_.index, snapshot_.term, snapshot_.time});
  }
  for (Entry& e : image.entries) {
    if (e.index != log_.last().next()) {
      RCS_CHECK(!"boot entries follow each other and the snapshot");
      break;
    }
    append_entry(std::move(e));
  }
  // A log never holds a term its node has not seen; an image that says otherwise lost its
  // hard state, and then the higher term at least prevents going back (S3).
  RCS_CHECK(hard_.term >= log_.last_term());
  if (hard_.term < log_.last_term()) set_term(log_.last_term());
  commit_ = handed_out_ = applied_ = snapshot_.index;
  durable_ = log_.last();
  first_unwritten_ = log_.last().next();
  membership_changed();
  // A lone voter has nobody to wait for.
  if (voters_.is_sole(options_.id)) {
    election_at_ = now_;
  } else {
    arm_election();
  }
}

// --- time ---------------------------------------------------------------------------

void Node::Impl::tick() {
  if (Leader* lead = leading()) {
    leader_tick(*lead);
  } else if (now_ >= election_at_) {
    election_timeout();
  }
}

Mono Node::Impl::next_deadline() const {
  if (const Leader* lead = leading()) {
    Mono at = std::min(lead->heartbeat_at, lead->notice_at);
    if (lead->transfer) at = std::min(at, lead->transfer->give_up);
    return at;
  }
  return election_at_;
}

// --- messages ------------------------------------------------------------------------

void Node::Impl::send(NodeId to, MessageBody body, Await await) {
  send_in_term(to, hard_.term, std::move(body), await);
}

void Node::Impl::send_in_term(NodeId to, Term term, MessageBody body, Await await) {
  if (to == options_.id || !to) return;
  if (await.seq <= persisted_seq_) await = {};
  if (await.hard_state_only && await.seq <= hard_persisted_seq_) await = {};
  out_.messages.push_back(
      {{options_.id, to, term, std::move(body)}, await.seq, await.hard_state_only});
}

Await Node::Impl::hard_write() const {
  if (hard_dirty_) return {last_seq_ + 1, true};
  if (hard_seq_ <= std::max(persisted_seq_, hard_persisted_seq_)) return {};
  return {hard_seq_, true};
}

Await Node::Impl::log_write(Index index) const {
  const bool in_next = reset_log_ || (truncate_ && *truncate_ <= index) ||
                       (first_unwritten_ <= index && first_unwritten_ <= log_.last());
  if (in_next) return {last_seq_ + 1, false};
  const Await hard = hard_write();
  for (auto it = writes_.rbegin(); it != writes_.rend(); ++it) {
    if (it->first <= index) return {std::max(hard.seq, it->seq), false};
  }
  return hard;
}

void Node::Impl::receive(Message message) {
  if (message.to != options_.id || message.from == options_.id || !message.from) return;
  if (const auto* request = std::get_if<VoteRequest>(&message.body)) {
    if (ignores_vote_request(message, *request)) return;
    if (request->pre_vote) return on_pre_vote(message, *request);
  }
  if (const auto* response = std::get_if<VoteResponse>(&message.body)) {
    // A granted pre-vote carries the asked term, which is nobody's yet (EL-07).
    if (response->pre_vote && response->granted) return on_vote_response(message, *response);
  }
  if (auto* late = std::get_if<VoteResponse>(&message.body); RCS_MUTANT("EL-05") && late)
    message.term = late->asked_term = std::max(message.term, hard_.term);
  if (RCS_MUTANT("LR-03") && std::holds_alternative<AppendResponse>(message.body))
    message.term = std::max(message.term, hard_.term);
  if (message.term < hard_.term) return answer_stale(message);
  if (message.term > hard_.term) become_follower(message.term, NodeId());  // thesis 3.3, EL-15
  if (RCS_MUTANT("EL-14") && std::holds_alternative<VoteRequest>(message.body) && !hard_.vote)
    hard_.vote = message.from;
  dispatch_current(message);
}

// Requires: message.term == hard_.term.
void Node::Impl::dispatch_current(Message& message) {
  if (auto* m = std::get_if<AppendRequest>(&message.body)) return on_append(message, *m);
  if (auto* m = std::get_if<AppendResponse>(&message.body)) return on_append_response(message, *m);
  if (auto* m = std::get_if<VoteRequest>(&message.body)) return on_vote(message, *m);
  if (auto* m = std::get_if<VoteResponse>(&message.body)) return on_vote_response(message, *m);
  if (auto* m = std::get_if<SnapshotChunk>(&message.body)) return on_chunk(message, *m);
  if (auto* m = std::get_if<SnapshotChunkResponse>(&message.body))
    return on_chunk_response(message, *m);
  on_timeout_now(message);
}

// Someone lives in an older term: requests are answered so that it learns ours (thesis 3.3),
// even from a leader that hears nobody else (EL-19). Answers are void (LR-03).
void Node::Impl::answer_stale(const Message& message) {
  if (const auto* m = std::get_if<VoteRequest>(&message.body)) {
    send(message.from, VoteResponse{m->pre_vote, false, message.term}, hard_write());
  } else if (const auto* a = std::get_if<AppendRequest>(&message.body)) {
    send(message.from, AppendResponse{false, Index(), a->prev_index, Index(), Term(), 0},
         hard_write());
  } else if (const auto* c = std::get_if<SnapshotChunk>(&message.body)) {
    send(message.from, SnapshotChunkResponse{c->meta.index, false, 0}, hard_write());
  }
}

// --- completions --------------------------------------------------------------------------

void Node::Impl::persisted(uint64_t seq) {
  seq = std::min(seq, last_seq_);
  if (seq <= persisted_seq_) return;
  persisted_seq_ = seq;
  while (!writes_.empty() && writes_.front().seq <= seq) {
    durable_ = std::max(durable_, writes_.front().last);
    writes_.pop_front();
  }
  count_own_vote();
  leader_commit();
}

// --- effects ------------------------------------------------------------------------------

void Node::Impl::take_write(Effects* out) {
  const bool has_entries = first_unwritten_ <= log_.last();
  if (!hard_dirty_ && !truncate_ && !reset_log_ && !has_entries) return;
  PendingWrite write;
  write.seq = ++last_seq_;
  write.first = reset_log_ ? Index() : Index(UINT64_MAX);
  out->write_seq = write.seq;
  if (hard_dirty_) {
    out->hard_state = hard_;
    hard_dirty_ = false;
    hard_seq_ = write.seq;
  }
  if (truncate_) {
    write.first = std::min(write.first, *truncate_);
    out->truncate_from = std::exchange(truncate_, std::nullopt);
  }
  out->reset_log = std::exchange(reset_log_, std::nullopt);
  if (has_entries) {
    write.first = std::min(write.first, first_unwritten_);
    write.last = log_.last();
    out->append = log_.slice(first_unwritten_, log_.last(), UINT64_MAX);
    first_unwritten_ = log_.last().next();
  }
  writes_.push_back(write);
}

Effects Node::Impl::take_effects() {
  if (compaction_goal_ > log_.base().index) cut_log(true);
  if (leading()) replicate();
  Effects out = std::exchange(out_, Effects());
  take_write(&out);
  out.restore = std::exchange(restore_, std::nullopt);
  if (handed_out_ < commit_) {
    out.apply = log_.slice(handed_out_.next(), commit_, UINT64_MAX);
    handed_out_ = commit_;
  }
  return out;
}

NodeStatus Node::Impl::status() const {
  NodeStatus s;
  s.id = options_.id;
  s.role = role();
  s.term = hard_.term;
  s.vote = hard_.vote;
  s.leader = leader_;
  s.commit = commit_;
  s.first = log_.first();
  s.last = log_.last();
  s.durable = durable_;
  s.snapshot = snapshot_.index;
  s.membership_index = membership_index();
  s.membership_settled = membership_index() <= commit_ && !membership().joint;
  if (const Leader* lead = leading()) {
    s.leader_ready = lead->ready;
    if (lead->transfer) s.transfer_target = lead->transfer->target;
    for (const Progress& p : lead->peers) {
      PeerProgress out;
      out.id = p.id;
      out.match = p.match;
      out.next = p.next;
      out.recently_active = p.heard && now_ - p.last_contact < options_.election_timeout_ns;
      out.snapshotting = p.mode == Progress::Mode::snapshot;
      out.inflight = static_cast<uint32_t>(p.inflights.count());
      s.peers.push_back(out);
    }
  }
  return s;
}

// --- the public methods -------------------------------------------------------------------

Node::Node(const Options& options, BootImage image, Mono now)
    : impl_(std::make_unique<Impl>(options, std::move(image), now)) {}
Node::Node(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Node::~Node() = default;
Node::Node(Node&&) noexcept = default;
Node& Node::operator=(Node&&) noexcept = default;

void Node::tick(Mono now) {
  InvariantGuard guard(*impl_);
  impl_->see(now);
  impl_->tick();
}

void Node::receive(Message message, Mono now) {
  InvariantGuard guard(*impl_);
  impl_->see(now);
  impl_->receive(std::move(message));
}

Refusal Node::propose(Bytes payload, Mono now, Index* index, Term* term) {
  InvariantGuard guard(*impl_);
  impl_->see(now);
  return impl_->propose(EntryType::ops, std::move(payload), index, term);
}

Refusal Node::propose_membership(const Membership& membership, Mono now, Index* index,
                                 Term* term) {
  InvariantGuard guard(*impl_);
  impl_->see(now);
  return impl_->propose_membership(membership, index, term);
}

void Node::read_index(uint64_t token, Mono now) {
  InvariantGuard guard(*impl_);
  impl_->see(now);
  impl_->read_index(token);
}

Refusal Node::transfer_leadership(NodeId target, Mono now) {
  InvariantGuard guard(*impl_);
  impl_->see(now);
  return impl_->transfer_leadership(target);
}

void Node::set_passive(bool passive) {
  InvariantGuard guard(*impl_);
  impl_->passive_ = passive;
  const bool asks = impl_->role() == Role::pre_candidate || impl_->role() == Role::candidate;
  if (passive && asks) impl_->become_follower(impl_->hard_.term, NodeId());
}

void Node::set_last_choice(bool last_choice) {
  InvariantGuard guard(*impl_);
  impl_->last_choice_ = last_choice;
}

void Node::step_down(Mono now) {
  InvariantGuard guard(*impl_);
  impl_->see(now);
  if (impl_->leading()) impl_->become_follower(impl_->hard_.term, NodeId());
}

void Node::persisted(uint64_t write_seq, Mono now) {
  InvariantGuard guard(*impl_);
  impl_->see(now);
  impl_->persisted(write_seq);
}

void Node::hard_state_persisted(uint64_t write_seq) {
  InvariantGuard guard(*impl_);
  uint64_t& seq = impl_->hard_persisted_seq_;
  seq = std::max(seq, std::min(write_seq, impl_->last_seq_));
}

void Node::applied(Index index) {
  impl_->applied_ = std::max(impl_->applied_, std::min(index, impl_->handed_out_));
}

void Node::snapshot_taken(const SnapshotMeta& meta, Mono now) {
  InvariantGuard guard(*impl_);
  impl_->see(now);
  impl_->snapshot_taken(meta);
}

void Node::snapshot_chunk_read(NodeId peer, Index index, uint64_t offset, Bytes data, bool last,
                               Mono now) {
  InvariantGuard guard(*impl_);
  impl_->see(now);
  impl_->chunk_read(peer, index, offset, std::move(data), last);
}

void Node::snapshot_chunk_failed(NodeId peer, Index index, Mono now) {
  InvariantGuard guard(*impl_);
  impl_->see(now);
  impl_->chunk_failed(peer, index);
}

void Node::snapshot_chunk_written(NodeId from, const SnapshotMeta& meta, uint64_t next_offset,
                                  bool complete, Mono now) {
  InvariantGuard guard(*impl_);
  impl_->see(now);
  impl_->chunk_written(from, meta, next_offset, complete);
}

void Node::snapshot_chunk_lost(const SnapshotMeta& meta, Mono now) {
  InvariantGuard guard(*impl_);
  impl_->see(now);
  impl_->chunk_lost(meta);
}

Effects Node::take_effects(Mono now) {
  InvariantGuard guard(*impl_);
  impl_->see(now);
  return impl_->take_effects();
}

Mono Node::next_deadline() const { return impl_->next_deadline(); }
NodeStatus Node::status() const { return impl_->status(); }
Role Node::role() const { return impl_->role(); }
Term Node::term() const { return impl_->hard_.term; }
NodeId Node::leader() const { return impl_->leader_; }
bool Node::leader_ready() const {
  const Leader* lead = impl_->leading();
  return lead && lead->ready;
}
bool Node::has_quorum_contact(Mono now) const { return impl_->has_quorum_contact(now); }
Index Node::commit_index() const { return impl_->commit_; }
Index Node::last_index() const { return impl_->log_.last(); }
uint64_t Node::log_bytes() const { return impl_->log_.bytes(); }
const Membership& Node::membership() const { return impl_->membership(); }
bool Node::disk_is_named() const {
  const Options& self = impl_->options_;
  Uuid named;
  const bool is_member = impl_->any_membership([&](const Membership& m) {
    const Member* member = find_member(m, self.id);
    if (member != nullptr) named = member->incarnation;
    return member != nullptr;
  });
  return is_member && named == self.incarnation;
}
LogTime Node::cluster_time(Mono now) const { return impl_->cluster_time(now); }
Node Node::clone() const { return Node(std::make_unique<Impl>(*impl_)); }
uint64_t Node::hash64() const { return state_hash(*impl_); }
void Node::set_invariant_checks(bool full, uint32_t scan_every) {
  impl_->full_checks_ = full;
  impl_->scan_every_ = scan_every;
}
const Entry* Node::entry(Index index) const {
  return impl_->log_.holds(index) ? &impl_->log_.at(index) : nullptr;
}

}  // namespace raftcs::raft
