// node.cpp: what comes in, from clients, peers, lanes and the clock, and the public face.
//
// One turn of the loop is: any number of inputs, then take_effects() (effects.cpp).
#include <algorithm>

#include "base/check.hpp"
#include "base/mutant.hpp"
#include "raft/membership.hpp"
#include "server/node_impl.hpp"

namespace raftcs::server {
namespace {

constexpr uint64_t kTermMax = uint64_t{1} << 62;  // no real term gets there; a forged one might
constexpr size_t kConnectionsMax = 50'000;
constexpr DurationNs kCommitNoticeDelayNs = 3 * kNsPerMs;
constexpr DurationNs kSnapshotRetryNs = 10 * kNsPerSecond;
constexpr DurationNs kIdleSweepNs = 10 * kNsPerSecond;
constexpr DurationNs kIdleConnectionNs = 30 * kNsPerSecond;  // without a session; it may come again

Admission::Limits admission_limits(const Options& o) {
  Admission::Limits a;
  a.inflight_bytes_max = o.inflight_bytes_max;
  a.requests_per_session_max = o.requests_per_session_max;
  a.delay_target = o.queue_delay_ns;
  a.commands_per_second = o.commands_per_second_max;
  a.queries_per_second = o.queries_per_second_max;
  a.sessions_per_second = o.sessions_per_second_max;
  return a;
}

// These cost next to nothing and keep sessions alive and operators informed: they are served
// before whatever else came in the same turn.
bool is_urgent(const Bytes& frame) {
  using enum wire::MessageType;
  const uint32_t type = wire::peek_client_type(frame);
  for (wire::MessageType urgent : {hello, keep_alive, admin, topology_request})
    if (type == static_cast<uint32_t>(urgent)) return true;
  return false;
}

raft::Options raft_options(const Options& o, const storage::Identity& identity) {
  raft::Options r;
  r.id = identity.node;
  r.incarnation = identity.incarnation;
  r.joined = identity.joined;
  r.heartbeat_ns = o.heartbeat_ns;
  r.election_timeout_ns = o.election_timeout_ns;
  r.append_bytes_max = o.append_bytes_max;
  r.uncommitted_bytes_max = o.uncommitted_bytes_max;
  r.trailing_entries = o.trailing_entries;
  r.inflight_appends_max = o.inflight_appends_max;
  r.snapshot_chunk_bytes = o.snapshot_chunk_bytes;
  r.commit_notice_delay_ns = kCommitNoticeDelayNs;
  uint64_t a, b;
  std::memcpy(&a, identity.incarnation.bytes.data(), 8);
  std::memcpy(&b, identity.incarnation.bytes.data() + 8, 8);
  r.seed = a ^ b ^ identity.node.value;
  return r;
}

}  // namespace

// Whatever a state machine answers can be read by every client.
static_assert(rsm::kAnswerBytesMax <= wire::Limits().payload_bytes_max);

Node::Impl::Impl(const Options& options, const storage::Identity& identity, raft::BootImage image,
                 const NodeEnvironment& environment, Mono now)
    : options_(options),
      identity_(identity),
      environment_(environment),
      raft_(raft_options(options, identity), image, now),
      scrub_(options.scrub_bytes_per_second, options.scrub_period_ns, now),
      admission_(admission_limits(options)),
      now_(now) {
  wire_limits_.frame_bytes_max = options.frame_bytes_max;
  wire_limits_.payload_bytes_max =
      std::max<uint64_t>(options.payload_bytes_max, wire_limits_.payload_bytes_max);
  incarnations_[identity.node] = identity.incarnation;
  // Told from a node that has only begun to get the log.
  was_member_ = image.snapshot && raft::find_member(image.snapshot->membership, identity.node);
  for (const raft::Entry& e : image.entries) {
    if (was_member_ || e.type != raft::EntryType::config) continue;
    auto membership = raft::decode_membership(e.payload);
    was_member_ = membership && raft::find_member(*membership, identity.node) != nullptr;
  }
  if (image.snapshot) {
    snapshot_index_ = image.snapshot->index;
    applied_membership_ = image.snapshot->membership;
    out_.apply.push_back(ApplyRestore{*image.snapshot});
  }
  log_bytes_at_snapshot_ = 0;
  snapshot_retry_at_ = touch_at_ = liveness_at_ = idle_sweep_at_ = serving_since_ = now;
  attentive_since_ = last_turn_ = now;
  if (environment_.healing) heal_at_ = now;
  begin_as_founder(now);
  term_ = raft_.term();
  checks_failed_ = check_failures();
  membership_changed(now);
}

void Node::Impl::log_line(int level, std::string text) {
  out_.lines.push_back({level, std::move(text)});
}

bool Node::Impl::serving() const {
  return can_take_part() && leader_ready_ && applied_ >= serve_after_ && halted_.is_ok() &&
         quarantined_.is_ok() && raft_.role() == raft::Role::leader && raft_.term() == term_;
}

// --- inputs -----------------------------------------------------------------------------

void Node::Impl::client_frame(net::ConnId conn, const Bytes& frame, Mono now) {
  if (finished_) return;
  notice_turn(now);
  now_ = now;
  if (connections_.size() >= kConnectionsMax && !connections_.contains(conn)) {
    ++counters_.connections_refused;
    return;
  }
  if (is_urgent(frame)) return serve_frame(conn, frame, now);
  connection(conn).last_frame = now;
  bulk_.emplace_back(conn, frame);
}

// Requests, queries, sessions that come and go: in their order, after what is urgent.
void Node::Impl::serve_bulk(Mono now) {
  for (const auto& [conn, frame] : std::exchange(bulk_, {}))
    if (connections_.contains(conn)) serve_frame(conn, frame, now);
}

void Node::Impl::serve_frame(net::ConnId conn, const Bytes& frame, Mono now) {
  Connection& c = connection(conn);
  c.last_frame = now;
  decoded_.clear();
  wire::DecodeError error;
  if (!wire::decode_client_frame(frame, wire_limits_, &decoded_, &error)) {
    ++counters_.malformed_client;
    if (error.kind == wire::DecodeError::Kind::unknown_type ||
        error.kind == wire::DecodeError::Kind::version)
      send(c, wire::Unsupported{error.version, error.type});
    return;
  }
  for (wire::ClientMessage& message : decoded_)
    std::visit([&](auto& m) { on_message(c, std::move(m), now); }, message);
}

void Node::Impl::client_gone(net::ConnId conn) {
  auto it = connections_.find(conn);
  if (it == connections_.end()) return;
  ++counters_.dropped_frames;
  while (!it->second.channels.empty()) unbind(*it->second.channels.begin()->second);
  connections_.erase(it);
}

void Node::Impl::peer_frame(const Bytes& frame, Mono now) {
  if (!can_take_part()) return;
  notice_turn(now);
  wire::PeerEnvelope envelope;
  std::vector<raft::Message> messages;
  wire::DecodeError error;
  if (!wire::decode_peer_frame(frame, wire_limits_, &envelope, &messages, &error)) {
    wire::PeerContact contact;
    if (error.kind == wire::DecodeError::Kind::unknown_type &&
        error.type == wire::kPeerContactType &&
        wire::decode_peer_contact(frame, wire_limits_, &envelope, &contact, &error))
      return peer_contact(envelope, contact, now);
    wire::PeerCheck check;
    if (error.kind == wire::DecodeError::Kind::unknown_type && error.type == wire::kPeerCheckType &&
        wire::decode_peer_check(frame, wire_limits_, &envelope, &check, &error)) {
      if (takes_frames() && admits(envelope, now)) peer_check(envelope, check, now);
      return;
    }
    ++counters_.malformed_peer;
    return;
  }
  if (!takes_frames() || !admits(envelope, now)) return;
  if (!may_vote()) drop_what_is_not_for_now(&messages);
  for (raft::Message& m : messages) {
    if (m.from != envelope.from || m.to != identity_.node || m.term.value > kTermMax) continue;
    raft_.receive(std::move(m), now);
  }
}

void Node::Impl::log_done(const LogDone& done, Mono now) {
  if (!can_take_part()) return;
  if (done.log_file_bytes != 0) log_file_bytes_ = done.log_file_bytes;
  if (done.status.code() == RAFTCS_ERR_NO_SPACE) {
    // Nothing was written; the lane tries again. Meanwhile somebody else should lead.
    if (no_space_.is_ok()) log_line(RAFTCS_LOG_ERROR, done.status.text());
    no_space_ = done.status;
    update_health();
    raft_.step_down(now);
    hard_durable_seq_ = std::max(hard_durable_seq_, done.hard_seq);
    raft_.hard_state_persisted(hard_durable_seq_);
    release_held();  // votes go on
    return;
  }
  if (!done.status.is_ok()) return fail(done.status, now);
  if (!no_space_.is_ok()) {
    log_line(RAFTCS_LOG_INFO, "there is disk space again");
    no_space_ = Status::ok();
    update_health();
  }
  scrub_log_done(done, now);
  if (done.write_seq == 0) return;
  durable_seq_ = std::max(durable_seq_, done.write_seq);
  raft_.persisted(done.write_seq, now);
  release_held();
}

bool Node::Impl::is_durable(const raft::Outgoing& o) const {
  if (o.after_write <= durable_seq_) return true;
  return o.hard_state_only && o.after_write <= hard_durable_seq_;
}

void Node::Impl::release_held() {
  std::deque<raft::Outgoing> still;
  while (!held_.empty() && (held_.front().after_write <= durable_seq_ || !no_space_.is_ok())) {
    raft::Outgoing& o = held_.front();
    if (is_durable(o)) {
      NodeId to = o.message.to;
      peer_out_[to].push_back(std::move(o.message));
    } else {
      still.push_back(std::move(o));
    }
    held_.pop_front();
  }
  if (!still.empty()) held_ = std::move(still);  // then all of it was looked at
}

void Node::Impl::apply_done(ApplyDone&& done, Mono now) {
  if (finished_) return;
  notice_turn(now);
  now_ = now;
  if (done.restored) restore_mirror(*done.restored);
  if (done.silent_found) finding_silent_ = false;
  if (done.applied > applied_) {
    counters_.entries_applied += done.applied - applied_;
    applied_ = done.applied;
    raft_.applied(applied_);
  }
  state_hash_ = done.state_hash;
  while (!proposals_.empty() && proposals_.front().index <= applied_) {
    admission_.applied(proposals_.front().bill, now);
    proposals_.pop_front();
    if (proposals_committed_ > 0) --proposals_committed_;
  }
  for (const auto& started : done.output.sessions_started) session_started(started, now);
  for (const auto& taken : done.output.takeovers) session_taken(taken, now);
  answer_replies(done.output.replies);
  for (auto& push : done.output.pushes) deliver(push);
  for (auto& fetched : done.pushes_fetched) deliver_fetched(fetched);
  for (const auto& ended : done.output.sessions_ended) session_ended(ended);
  for (const auto& created : done.output.services_created) service_created(created);
  for (const auto& change : done.output.presence) presence_changed(change);
  answer_queries(done.queries);
  for (const auto& listed : done.listed) admin_listed(listed);
  for (ServicesTried& tried : done.services_tried) services_tried(std::move(tried));
  for (const HashFound& found : done.hashes) hash_found(found, now);
  if (!done.silent.empty()) expire_silent(done.silent, now);
  decide_continues(now);
  if (!done.snapshot_failed.is_ok()) {
    SnapshotWritten none;
    none.status = done.snapshot_failed;
    none.meta.index = done.applied;
    snapshot_done(std::move(none), now);
  }
  if (done.snapshot)
    out_.snapshot.push_back(SnapshotWrite{std::move(done.snapshot), done.snapshot_meta});
  lane_progressed(done.halted, now);
  if (done.output.ticks > 0) tick_asked_ = false;
  next_timer_ = done.next_timer;
  counters_.pushes_dropped = done.pushes_dropped;
  if (done.wants_presence && !wants_presence_) presence_begins(now);
  wants_presence_ = done.wants_presence;
  arm_timer(now);
  maybe_snapshot(now);
}

void Node::Impl::snapshot_done(SnapshotDone&& done, Mono now) {
  if (auto* marked = std::get_if<ReseedMarked>(&done)) return reseed_marked(*marked);
  if (!can_take_part()) return;
  if (auto* written = std::get_if<SnapshotWritten>(&done)) {
    snapshotting_ = false;
    const bool taken = written->status.is_ok();
    // One that came from the leader meanwhile covers more: nothing failed, no reason to wait. (The
    // apply lane cancels one that it has not begun yet then.)
    const bool overtaken = !taken && (written->status.code() == RAFTCS_ERR_CANCELLED ||
                                      written->meta.index < snapshot_index_);
    snapshot_retry_at_ = now + (taken || overtaken ? 0 : kSnapshotRetryNs);
    snapshot_again_ = taken || overtaken ? Mono::never() : snapshot_retry_at_;
    if (taken) {
      snapshot_index_ = std::max(snapshot_index_, written->meta.index);
      raft_.snapshot_taken(written->meta, now);
      log_bytes_at_snapshot_ = raft_.log_bytes();
    } else if (!overtaken) {
      log_line(RAFTCS_LOG_WARNING, "no snapshot was taken: " + written->status.text());
    }
    std::string json = "{\"index\":" + to_string(written->meta.index) +
                       ",\"size\":" + std::to_string(written->meta.size) + "}";
    for (const AdminOrigin& origin : std::exchange(admin_snapshots_, {}))
      admin_reply(origin, written->status, json);
    if (!written->storage.is_ok()) return fail(written->storage, now);
    const bool long_log = applied_ - snapshot_index_ > 2 * options_.snapshot_entries ||
                          log_bytes_since_snapshot() > 2 * options_.snapshot_log_bytes;
    no_snapshot_ = taken || overtaken || !long_log
                       ? Status::ok()
                       : written->status.with_context("no snapshot can be taken, so the log grows");
    update_health();
    if (taken) scrub_snapshot_published(written->meta.index, true, now);
    if (taken) maybe_snapshot(now);  // it may have taken long, and nothing more come to be applied
  } else if (auto* slice = std::get_if<Scrubbed>(&done)) {
    scrubbed(*slice, now);
  } else if (auto* read = std::get_if<SnapshotChunkRead>(&done)) {
    if (read->status.is_ok())
      return raft_.snapshot_chunk_read(read->read.peer, read->read.index, read->read.offset,
                                       std::move(read->chunk.data), read->chunk.last, now);
    if (read->status.code() != RAFTCS_ERR_NOT_FOUND)  // else there is a newer one by now
      log_line(RAFTCS_LOG_WARNING, "a chunk of the snapshot for node " +
                                       to_string(read->read.peer) +
                                       " cannot be read: " + read->status.text());
    raft_.snapshot_chunk_failed(read->read.peer, read->read.index, now);
  } else if (auto* chunk = std::get_if<SnapshotChunkWritten>(&done)) {
    if (!chunk->status.is_ok()) {
      log_line(RAFTCS_LOG_WARNING,
               "a chunk of a received snapshot was not stored: " + chunk->status.text());
      if (!chunk->storage.is_ok()) return fail(chunk->storage, now);
      return raft_.snapshot_chunk_lost(chunk->meta, now);  // the sender tries again
    }
    if (chunk->written.complete) {
      snapshot_index_ = std::max(snapshot_index_, chunk->meta.index);
      no_snapshot_ = Status::ok();  // it is one, and cuts the log
      update_health();
    }
    raft_.snapshot_chunk_written(chunk->from, chunk->meta, chunk->written.next_offset,
                                 chunk->written.complete, now);
    if (chunk->written.complete) scrub_snapshot_published(chunk->meta.index, false, now);
  }
}

uint64_t Node::Impl::log_bytes_since_snapshot() const {
  return raft_.log_bytes() - std::min(raft_.log_bytes(), log_bytes_at_snapshot_);
}

void Node::Impl::maybe_snapshot(Mono now) {
  const bool mends = wants_mending_snapshot();
  if (snapshotting_ || !can_take_part() || !halted_.is_ok() || applied_ < snapshot_index_) return;
  if (!mends && applied_ == snapshot_index_) return;
  if (applied_ > raft_.commit_index()) return;  // restored from one that we have yet to hear of
  if (now < snapshot_retry_at_) return;
  uint64_t entries = applied_ - snapshot_index_;
  bool due = entries >= options_.snapshot_entries ||
             log_bytes_since_snapshot() >= options_.snapshot_log_bytes ||
             !admin_snapshots_.empty() || mends;
  if (!due) return;
  snapshotting_ = true;
  out_.apply.push_back(
      ApplyBeginSnapshot{RCS_MUTANT("SN-04") ? raft_.membership() : applied_membership_});
}

void Node::Impl::tick(Mono now) {
  if (finished_) return;
  notice_turn(now);
  if (can_take_part() && now >= raft_.next_deadline()) raft_.tick(now);
  if (serving()) liveness_tick(now);
  if (now >= timer_at_) timer_tick(now);
  if (serving() && wants_presence_ && now >= presence_at_) presence_tick(now);
  if (now >= bind_incarnations_at_) bind_incarnations(now);
  if (now >= prefer_leader_at_) prefer_leader(now);
  if (now >= hand_over_at_) keep_handing_over(now);
  if (now >= founder_asks_at_) founder_tick(now);
  if (now >= heal_at_) heal_tick(now);
  if (now >= return_votes_at_) return_votes(now);
  if (now >= check_at_) check_tick(now);
  if (now >= scrub_deadline()) scrub_tick(now);
  if (now >= stall_at_) stall_tick(now);
  if (now >= snapshot_again_) {  // nothing need be applied meanwhile
    snapshot_again_ = Mono::never();
    maybe_snapshot(now);
  }
  if (now >= idle_sweep_at_) {
    idle_sweep_at_ = now + kIdleSweepNs;
    sweep_contacts(now);
    std::erase_if(connections_, [&](auto& item) {
      return item.second.channels.empty() && !item.second.dirty &&
             now - item.second.last_frame > kIdleConnectionNs;
    });
  }
}

Mono Node::Impl::next_deadline() const {
  if (finished_) return Mono::never();
  Mono at = idle_sweep_at_;
  if (can_take_part()) at = std::min(at, raft_.next_deadline());
  if (serving()) at = std::min({at, liveness_at_, touch_at_, timer_at_});
  if (serving() && wants_presence_) at = std::min(at, presence_at_);
  if (!acks_due_.empty()) at = std::min(at, ack_at_);
  if (stopping_) at = std::min(at, stop_deadline_);
  at = std::min({at, founder_asks_at_, heal_at_, return_votes_at_, check_at_, ops_at_});
  at = std::min({at, scrub_deadline(), snapshot_again_});
  return std::min({at, bind_incarnations_at_, hand_over_at_, prefer_leader_at_, stall_at_});
}

// --- what others see -------------------------------------------------------------------------

// The worst of what is the case: a failed disk, a halted lane, a wrong state, a full disk, a log
// that grows.
void Node::Impl::update_health() {
  const Status& worst = !failed_.is_ok()        ? failed_
                        : !halted_.is_ok()      ? halted_
                        : !stalled_.is_ok()     ? stalled_
                        : !quarantined_.is_ok() ? quarantined_
                        : !damaged_.is_ok()     ? damaged_
                        : !no_space_.is_ok()    ? no_space_
                        : !no_snapshot_.is_ok() ? no_snapshot_
                                                : standing_health_;
  if (worst.code() == health_.code() && worst.text() == health_.text()) return;
  health_ = worst;
  publish_state();
}

void Node::Impl::publish_state() { out_.states.push_back(state_json()); }

// --- the public face --------------------------------------------------------------------------

Node::Node(const Options& options, const storage::Identity& identity, raft::BootImage image,
           const NodeEnvironment& environment, Mono now)
    : impl_(std::make_unique<Impl>(options, identity, std::move(image), environment, now)) {}
Node::~Node() = default;

void Node::client_frame(net::ConnId conn, const Bytes& frame, Mono now) {
  impl_->client_frame(conn, frame, now);
}
void Node::client_gone(net::ConnId conn) { impl_->client_gone(conn); }
void Node::peer_frame(const Bytes& frame, Mono now) { impl_->peer_frame(frame, now); }
void Node::log_done(const LogDone& done, Mono now) { impl_->log_done(done, now); }
void Node::apply_done(ApplyDone&& done, Mono now) { impl_->apply_done(std::move(done), now); }
void Node::snapshot_done(SnapshotDone&& done, Mono now) {
  impl_->snapshot_done(std::move(done), now);
}
void Node::admin(uint64_t token, const std::string& verb, const std::string& args_json, Mono now) {
  impl_->admin({true, 0, token}, verb, args_json, now);
}
void Node::begin_stop(Mono now) { impl_->begin_stop(now); }
void Node::tick(Mono now) { impl_->tick(now); }
NodeEffects Node::take_effects(Mono now) { return impl_->take_effects(now); }
Mono Node::next_deadline() const { return impl_->next_deadline(); }
raft::NodeStatus Node::raft_status() const { return impl_->raft_.status(); }
bool Node::serving() const { return impl_->serving(); }
const raft::Node& Node::raft() const { return impl_->raft_; }
void Node::set_invariant_checks(bool full, uint32_t scan_every) {
  impl_->raft_.set_invariant_checks(full, scan_every);
}

Info Node::info() const {
  Info info;
  info.running = !impl_->finished_;
  info.id = impl_->identity_.node;
  info.leader = impl_->failed_.is_ok() ? impl_->leader_ : NodeId();
  info.term = impl_->term_;
  info.commit = impl_->raft_.commit_index();
  info.applied = impl_->applied_;
  info.leads = impl_->serving();
  info.health = impl_->health_;
  return info;
}

}  // namespace raftcs::server
