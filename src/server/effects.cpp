// effects.cpp: what follows from the inputs of a turn: consensus is turned, its wishes become jobs
// of the lanes and frames.
//
// Requests gathered since the last turn become one log entry; everything for one peer or one client
// leaves as one frame. What must hold: a message that waits for a write is held until the write is
// durable (D7).
#include <algorithm>

#include "base/check.hpp"
#include "raft/membership.hpp"
#include "server/node_impl.hpp"

namespace raftcs::server {
namespace {

// While this many of our entries are not committed, further commands gather in the batch
// (unless it is full): under load entries grow instead of multiplying.
constexpr size_t kPipelinedBatches = 2;
constexpr uint64_t kPeerFrameBytes = 1 << 20;  // a frame is ended when it has reached this

// About what a message takes in a frame.
uint64_t size_of(const raft::Message& message) {
  constexpr uint64_t kFieldsBytes = 64;
  uint64_t bytes = kFieldsBytes;
  if (auto* append = std::get_if<raft::AppendRequest>(&message.body))
    for (const raft::Entry& e : append->entries) bytes += kFieldsBytes + e.payload.size();
  if (auto* chunk = std::get_if<raft::SnapshotChunk>(&message.body)) bytes += chunk->data.size();
  return bytes;
}

}  // namespace

NodeEffects Node::Impl::take_effects(Mono now) {
  notice_turn(now);
  now_ = now;
  admin_calls_ = 0;
  if (!finished_) serve_bulk(now);
  if (can_take_part() && check_failures() != checks_failed_)
    fail({RAFTCS_ERR_INTERNAL,
          std::string("a check of raftcs itself failed: ") + first_check_failure()},
         now);
  if (can_take_part()) {
    roles_changed(now);  // before batches are proposed in a role that has ended
    flush_acks(now);
    flush_batch(now);
    flush_reads(now);
    run_raft(now);
    roles_changed(now);
    drive_member_op(now);
    drive_transfer_op(now);
    run_raft(now);
    decide_continues(now);
    ask_lane_for_hash();
    if (member_op_deadline(now) != Mono::never()) roles_changed(now);
  }
  ops_at_ = can_take_part() ? member_op_deadline(now) : Mono::never();
  if (stopping_ && !finished_) check_stopping(now);
  gather_peer_frames(now);
  for (net::ConnId id : dirty_) {
    auto it = connections_.find(id);
    if (it == connections_.end()) continue;
    it->second.dirty = false;
    for (Bytes& frame : it->second.out.take()) out_.client_frames.push_back({id, std::move(frame)});
  }
  dirty_.clear();
  return std::exchange(out_, {});
}

// One frame per peer and turn, unless that would be too large for one: then several.
void Node::Impl::gather_peer_frames(Mono now) {
  for (auto& [peer, messages] : peer_out_) {
    if (!takes_frames()) messages.clear();
    if (messages.empty()) continue;
    if (failed_.is_ok()) greet(peer, now);
    wire::PeerEnvelope envelope{identity_.cluster, identity_.node, peer, identity_.incarnation};
    std::vector<raft::Message> part;
    uint64_t bytes = 0;
    for (size_t i = 0; i < messages.size() && failed_.is_ok(); ++i) {
      bytes += size_of(messages[i]);
      part.push_back(std::move(messages[i]));
      if (i + 1 < messages.size() && bytes < kPeerFrameBytes) continue;
      out_.peer_frames.push_back({peer, wire::encode_peer_frame(envelope, part)});
      part.clear();
      bytes = 0;
    }
    messages.clear();
  }
}

void Node::Impl::run_raft(Mono now) {
  raft::Effects effects = raft_.take_effects(now);
  if (!effects.empty()) carry_out(std::move(effects));
  Index commit = raft_.commit_index();
  while (proposals_committed_ < proposals_.size() &&
         proposals_[proposals_committed_].index <= commit)
    ++proposals_committed_;
}

void Node::Impl::carry_out(raft::Effects&& e) {
  if (e.write_seq != 0 || e.compact_to) {
    LogJob job;
    job.write_seq = e.write_seq;
    job.batch.hard_state = e.hard_state;
    job.batch.reset_log = std::move(e.reset_log);
    job.batch.truncate_from = e.truncate_from;
    job.batch.append = std::move(e.append);
    job.compact_to = e.compact_to;
    out_.log.push_back(std::move(job));
  }
  for (raft::Outgoing& outgoing : e.messages) emit_message(std::move(outgoing));
  if (e.restore) {
    applied_membership_ = e.restore->membership;
    restoring_to_ = std::max(restoring_to_, e.restore->index);
    out_.apply.push_back(ApplyRestore{*e.restore});
  }
  if (!e.apply.empty()) {
    for (const raft::Entry& entry : e.apply) {
      if (entry.type != raft::EntryType::config) continue;
      if (auto membership = raft::decode_membership(entry.payload))
        applied_membership_ = std::move(*membership);
    }
    handed_to_lane(e.apply.back().index, now_);
    out_.apply.push_back(ApplyEntries{std::move(e.apply)});
    check_backlog(now_);
  }
  for (const raft::ReadReady& ready : e.reads_ready) {
    if (auto found = continues_waiting_.find(ready.token); found != continues_waiting_.end()) {
      continues_ready_.emplace_back(ready.index, std::move(found->second));
      continues_waiting_.erase(found);
    }
    auto it = reads_waiting_.find(ready.token);
    if (it == reads_waiting_.end()) continue;
    out_.apply.push_back(ApplyQueries{std::move(it->second)});
    reads_waiting_.erase(it);
  }
  for (uint64_t token : e.reads_failed) {
    if (auto found = continues_waiting_.find(token); found != continues_waiting_.end()) {
      refuse_continues(std::move(found->second));
      continues_waiting_.erase(found);
    }
    auto it = reads_waiting_.find(token);
    if (it == reads_waiting_.end()) continue;
    for (const QueryItem& item : it->second) fail_accepted(item, RAFTCS_ERR_NOT_LEADER);
    reads_waiting_.erase(it);
  }
  for (auto& read : e.read_chunks) out_.snapshot.push_back(SnapshotReadChunk{read});
  for (auto& write : e.write_chunks) out_.snapshot.push_back(SnapshotWriteChunk{std::move(write)});
}

void Node::Impl::emit_message(raft::Outgoing&& outgoing) {
  if (!is_durable(outgoing)) {
    held_.push_back(std::move(outgoing));
    return;
  }
  NodeId to = outgoing.message.to;
  peer_out_[to].push_back(std::move(outgoing.message));
}

void Node::Impl::seal_batch() {
  size_t size = batch_.size();
  sealed_.push_back({batch_.take(), admission_.take_bill()});
  batch_ = rsm::OpsWriter(std::min<size_t>(size * 2 + 256, options_.batch_bytes_max + 4096));
  batch_commands_ = 0;
}

void Node::Impl::flush_batch(Mono now) {
  while (true) {
    if (sealed_.empty()) {
      if (batch_.empty() || proposals_.size() - proposals_committed_ >= kPipelinedBatches) return;
      seal_batch();
    }
    Index index;
    Term term;
    raft::Refusal refusal = raft_.propose(sealed_.front().payload, now, &index, &term);
    if (refusal == raft::Refusal::not_leader) return drop_batch();
    if (refusal != raft::Refusal::none) return;  // transferring or too much uncommitted: keep
    last_proposed_ = now;
    proposals_.push_back({index, std::move(sealed_.front().bill)});
    sealed_.pop_front();
  }
}

// Never proposed, so never applied: clients are told that this node does not lead and send
// their requests again elsewhere.
void Node::Impl::drop_batch() {
  sealed_.clear();
  batch_ = rsm::OpsWriter();
  batch_commands_ = 0;
  admission_.lost();
}

void Node::Impl::flush_reads(Mono now) {
  if (reads_.empty() && continues_.empty()) return;
  uint64_t token = ++read_token_;
  if (!reads_.empty()) reads_waiting_[token] = std::exchange(reads_, {});
  if (!continues_.empty()) continues_waiting_[token] = std::exchange(continues_, {});
  raft_.read_index(token, now);
}

}  // namespace raftcs::server
