// follower.cpp: the receiving side of the log (thesis 3.5).
//
// The rules that differ from a naive reading of the paper:
//   - everything at or below the commit index matches by definition (LR-07): it is neither
//     compared nor touched, and nothing there is ever removed;
//   - the log is cut only at the first entry that contradicts the request, never because
//     the request is shorter (LR-01);
//   - an answer claims prev + n of the request it answers at most (LR-02), and waits for the
//     write that makes exactly that durable. An empty append is answered at once with the
//     part of prev that is durable already: heartbeats and read rounds do not wait for disks;
//   - the commit index moves to min(leader's, prev + n), never back (CM-03, CM-04).
#include <algorithm>
#include <utility>

#include "base/check.hpp"
#include "base/mutant.hpp"
#include "raft/node_impl.hpp"

namespace raftcs::raft {

// Checked on receipt as well as when built (LR-09): a hole or a falling term is dropped.
bool Node::Impl::is_well_formed(const Message& message, const AppendRequest& request) const {
  if (request.prev_index.value > UINT64_MAX - request.entries.size()) return false;
  Index index = request.prev_index;
  Term term = request.prev_term;
  if (index.value == 0 && term.value != 0) return false;
  for (const Entry& e : request.entries) {
    if (e.index != index.next() || e.term < term || e.term > message.term) return false;
    if (e.type == EntryType::config && !decode_membership(e.payload).is_ok()) return false;
    index = e.index;
    term = e.term;
  }
  return true;
}

// Requires: message.term == hard_.term.
void Node::Impl::on_append(const Message& message, AppendRequest& request) {
  if (!is_well_formed(message, request)) return;
  if (leading()) {
    RCS_CHECK(!"two leaders in one term");
    return;
  }
  follow(message.from);
  const Index prev = request.prev_index;
  if ((prev > commit_ || RCS_MUTANT("LR-07")) && !log_.term(prev).is(request.prev_term))
    return refuse_append(message, request);
  const Index end = prev + request.entries.size();
  const bool heartbeat = request.entries.empty();
  if (!store(request)) return;
  if (RCS_MUTANT("LR-01") && !heartbeat && end >= commit_ && end < log_.last())
    truncate_log(end.next());
  commit_to(std::min(request.commit, RCS_MUTANT("CM-03") ? log_.last() : end));
  AppendResponse response;
  response.success = true;
  response.match = heartbeat ? std::min(end, durable_) : end;
  if (RCS_MUTANT("LR-02")) response.match = heartbeat ? durable_ : log_.last();
  response.round = request.round;
  if (RCS_MUTANT("PS-01")) return send(message.from, response);
  send(message.from, response, end <= durable_ || heartbeat ? hard_write() : log_write(end));
}

// The hint (thesis 3.5, last paragraph): the last entry here that is not behind prev and not
// of a later term than prev's. The leader skips a whole term per round.
void Node::Impl::refuse_append(const Message& message, const AppendRequest& request) {
  const LogPosition hint = log_.last_at_or_below(request.prev_index, request.prev_term);
  AppendResponse response;
  response.rejected = request.prev_index;
  response.hint_index = std::max(hint.index, commit_);
  response.hint_term = hint.index >= commit_ ? hint.term : log_.term(commit_).term;
  if (RCS_MUTANT("LR-08")) response.hint_index = request.prev_index;
  if (RCS_MUTANT("LR-08")) response.hint_term = request.prev_term;
  response.round = request.round;
  send(message.from, response, hard_write());
}

// False: the request contradicts what is committed; its sender cannot be a leader.
bool Node::Impl::store(AppendRequest& request) {
  for (Entry& e : request.entries) {
    if (e.index <= commit_) {
      const TermAt ours = log_.term(e.index);
      if (ours.kind == TermAt::Kind::known && ours.term != e.term) {
        RCS_CHECK(!"a leader disagrees with a committed entry");
        return false;
      }
      continue;
    }
    if (e.index <= log_.last()) {
      if (log_.term(e.index).is(e.term)) continue;
      truncate_log(e.index);
    }
    if (!append_entry(std::move(e))) return false;
  }
  return true;
}

void Node::Impl::truncate_log(Index from) {
  RCS_CHECK(from > commit_);
  if (from <= commit_) return;
  log_.truncate_from(from);
  durable_ = std::min(durable_, from.prev());
  // Writes under way no longer prove anything about the removed part (LR-11).
  for (PendingWrite& w : writes_)
    if (!RCS_MUTANT("LR-11")) w.last = std::min(w.last, from.prev());
  if (from < first_unwritten_) {
    truncate_ = truncate_ ? std::min(*truncate_, from) : from;
    first_unwritten_ = from;
  }
  // A configuration counts from the moment it is in the log, and only as long (thesis 4.1).
  const size_t before = configs_.size();
  while (!configs_.empty() && configs_.back().index >= from && !RCS_MUTANT("MB-02"))
    configs_.pop_back();
  if (configs_.size() != before) membership_changed();
}

bool Node::Impl::append_entry(Entry entry) {
  if (entry.type == EntryType::config) {
    auto membership = decode_membership(entry.payload);
    RCS_CHECK(membership.is_ok());
    if (!membership.is_ok()) return false;
    configs_.push_back({entry.index, std::move(*membership)});
    log_.append(std::move(entry));
    membership_changed();
    return true;
  }
  log_.append(std::move(entry));
  return true;
}

}  // namespace raftcs::raft
