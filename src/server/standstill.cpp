// standstill.cpp: the state machine does not get on: what this node does meanwhile.
//
// The apply lane stands at an entry that it cannot apply (halted_), or has been in one call for
// long (stalled_): a plugin that waits for something, or loops. The others may be well, so
//  - the node hands leadership over, accepts none, and seeks election after all others
//    (stopping.cpp, voting.cpp); where all stand, the leader stays;
//  - what waits for the lane and is no client's gets its end; clients are sent elsewhere;
//  - the log cannot be cut, so it grows, and what is committed waits in memory. That has a bound:
//    then the node takes no part any more.
// The log lane goes on: entries are stored and acknowledged, votes are given.
#include <algorithm>

#include "server/node_impl.hpp"

namespace raftcs::server {
namespace {

constexpr DurationNs kStallNs = 10 * kNsPerSecond;  // of one entry, query or snapshot's beginning
constexpr uint64_t kLogsOfBacklog = 4;              // each as long as one between two snapshots
constexpr uint64_t kBacklogBytesMin = 64 << 20, kBacklogEntriesMin = 1'000'000;

}  // namespace

// Jobs were handed to the lane. Requires: what it is to apply ends at `last`.
void Node::Impl::handed_to_lane(Index last, Mono now) {
  if (handed_ <= applied_) progressed_at_ = now;
  handed_ = std::max(handed_, last);
  stall_at_ = std::min(stall_at_, now + stall_bound());
}

DurationNs Node::Impl::stall_bound() const {
  return std::max(kStallNs, 4 * options_.election_timeout_ns);
}

// The lane has told of what it did.
void Node::Impl::lane_progressed(const Status& halted, Mono now) {
  progressed_at_ = now;
  if (!stalled_.is_ok()) {
    log_line(RAFTCS_LOG_INFO, "the state machine gets on again");
    stalled_ = Status::ok();
    standstill_changed(now);
  }
  if (halted.code() == cause_of_halt_.code() && halted.text() == cause_of_halt_.text()) return;
  cause_of_halt_ = halted_ = halted;
  if (halted_.code() == RAFTCS_ERR_PLUGIN_FAILED)
    halted_ = {halted.code(), halted.text() +
                                  "; replace the plugin and restart this node, or take its state "
                                  "from the others: raftcs member reseed " +
                                  to_string(identity_.node)};
  log_line(halted_.is_ok() ? RAFTCS_LOG_INFO : RAFTCS_LOG_ERROR,
           halted_.is_ok() ? "applying again" : "applying stands still: " + halted_.text());
  if (!halted_.is_ok()) end_what_waits_for_lane(halted_);
  standstill_changed(now);
}

void Node::Impl::standstill_changed(Mono now) {
  update_health();
  update_passive();
  hand_over_at_ = now;
}

void Node::Impl::stall_tick(Mono now) {
  const Mono since = std::max(progressed_at_, attentive_since_);  // not while nobody was here
  const bool waits = handed_ > applied_ && applied_ >= restoring_to_;
  stall_at_ = handed_ > applied_ ? std::max(now, since) + stall_bound() : Mono::never();
  if (!waits || !halted_.is_ok() || !stalled_.is_ok()) return;
  if (now < since + stall_bound()) {
    stall_at_ = since + stall_bound();
    return;
  }
  stalled_ = {RAFTCS_ERR_PLUGIN_FAILED,
              "the state machine has not come back for " +
                  std::to_string((now - since) / kNsPerSecond) + " s at entry " +
                  to_string(applied_.next()) +
                  ": a plugin waits for something, or works too long in one call. Others lead "
                  "meanwhile; if it does not end, restart this node"};
  log_line(RAFTCS_LOG_ERROR, stalled_.text());
  end_what_waits_for_lane(stalled_);
  standstill_changed(now);
}

void Node::Impl::end_what_waits_for_lane(const Status& status) {
  for (const AdminOrigin& origin : std::exchange(admin_snapshots_, {}))
    admin_reply(origin, status, {});
  for (const auto& [token, origin] : std::exchange(admin_lists_, {}))
    admin_reply(origin, status, {});
  if (stalled_.is_ok()) return;  // new plugins are looked for also where an entry waits for one
  for (const auto& [token, origin] : std::exchange(admin_plugins_, {}))
    admin_reply(origin, Status::ok(), plugins_json());
}

const Status& Node::Impl::standstill() const { return halted_.is_ok() ? stalled_ : halted_; }

// While nothing is applied no snapshot can be taken, and no log cut.
void Node::Impl::check_backlog(Mono now) {
  if ((halted_.is_ok() && stalled_.is_ok()) || !can_take_part()) return;
  const uint64_t bytes = log_bytes_since_snapshot();
  const uint64_t bytes_max =
      std::max(kBacklogBytesMin, kLogsOfBacklog * options_.snapshot_log_bytes);
  const uint64_t entries = handed_ - std::min(handed_, applied_);
  const uint64_t entries_max =
      std::max(kBacklogEntriesMin, kLogsOfBacklog * options_.snapshot_entries);
  if (bytes <= bytes_max && entries <= entries_max) return;
  const std::string why = standstill().text();
  fail({RAFTCS_ERR_RESOURCE_LIMIT, "nothing is applied, so the log cannot be cut, and " +
                                       std::to_string(entries) + " entries wait (" +
                                       std::to_string(bytes >> 20) + " MiB of log): " + why},
       now);
}

}  // namespace raftcs::server
