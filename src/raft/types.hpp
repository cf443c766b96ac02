// types.hpp: the nouns of consensus: entries, membership, messages.
//
// Plain data, no behaviour beyond comparison. Names follow the Raft thesis (Ongaro,
// "Consensus: Bridging Theory and Practice", 2014), whose sections are cited where
// they are implemented. Values of enums are stored and sent: do not renumber.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "base/bytes.hpp"
#include "base/strong_id.hpp"
#include "base/time.hpp"
#include "base/uuid.hpp"

namespace raftcs::raft {

enum class EntryType : uint8_t {
  noop = 1,    // appended by every new leader (thesis 6.4): lets it commit what it inherited
  config = 2,  // payload: an encoded Membership (membership.hpp)
  ops = 3,     // payload: a batch of operations for the replicated state machine (rsm/ops.hpp)
};

// One entry is one batch: a leader gathers what many clients asked for into one ops
// entry, so that one record, one sync and one message carry hundreds of commands. The
// payload is shared by the log writer, the messages to peers and the apply lane.
struct Entry {
  Index index;
  Term term;
  EntryType type = EntryType::noop;
  LogTime time;   // stamped by the leader, never decreasing along the log
  Bytes payload;

  bool operator==(const Entry&) const = default;
};

enum class MemberRole : uint8_t {
  voter = 1,
  learner = 2,
  leaving = 3,  // only in a joint configuration: votes in its outgoing half, then it is gone
};

// Who should lead: higher is better. It orders hand-overs and delays elections, never votes.
constexpr uint8_t kPriorityDefault = 100;

struct Member {
  NodeId id;
  std::string peer_address;    // tcp://host:port of the peer socket
  std::string client_address;  // tcp://host:port that clients are told
  Uuid incarnation;            // zero until known; a wiped disk comes back with another one
  MemberRole role = MemberRole::voter;      // role in the incoming (or only) configuration
  bool outgoing_voter = false;  // votes in the outgoing half of a joint configuration
  uint8_t priority = kPriorityDefault;
  // A learner that voted before its disk began anew: whoever leads gives it its vote back when it
  // is caught up (server/healing.cpp).
  bool returning = false;

  bool operator==(const Member&) const = default;
};

// A configuration (thesis 4). Joint while `joint` is set: then every decision needs a
// majority of the voters (role == voter) AND a majority of the outgoing voters (4.3).
// Members are ordered by id; ids are unique.
struct Membership {
  bool joint = false;
  std::vector<Member> members;

  bool operator==(const Membership&) const = default;
};

// What must survive a crash besides the log: one atomic record (catalogue EL-04).
struct HardState {
  Term term;
  NodeId vote;  // 0: no vote in `term`

  bool operator==(const HardState&) const = default;
};

// A snapshot replaces all entries up to and including `index`.
struct SnapshotMeta {
  Index index;
  Term term;            // the term of the entry at `index` (SN-03)
  LogTime time;         // the time of the entry at `index`
  Membership membership;  // the last configuration at or before `index` (SN-04)
  uint64_t size = 0;      // bytes of the snapshot's file
  uint32_t checksum = 0;  // CRC32C of those bytes

  bool operator==(const SnapshotMeta&) const = default;
};

struct VoteRequest {
  bool pre_vote = false;   // thesis 9.6: would you vote for me in `term`?
  bool transfer = false;   // thesis 3.10: sent because of TimeoutNow; passes leader stickiness only
  Index last_index;
  Term last_term;
  bool operator==(const VoteRequest&) const = default;
};
struct VoteResponse {
  bool pre_vote = false;
  bool granted = false;
  Term asked_term;  // the term of the request this answers (EL-05..07)
  bool operator==(const VoteResponse&) const = default;
};
struct AppendRequest {
  Index prev_index;
  Term prev_term;
  Index commit;
  uint64_t round = 0;  // read round this message confirms when answered (RD-03); never reused
  std::vector<Entry> entries;  // contiguous, first at prev_index + 1; empty: heartbeat
  bool operator==(const AppendRequest&) const = default;
};
struct AppendResponse {
  bool success = false;
  Index match;       // success: prev_index + entries of the request (LR-02), durable here
  Index rejected;    // refusal: the prev_index that did not fit
  Index hint_index;  // refusal: try prev at or below this (LR-08) ...
  Term hint_term;    // ... whose entry here has this term
  uint64_t round = 0;
  bool operator==(const AppendResponse&) const = default;
};
struct SnapshotChunk {
  SnapshotMeta meta;
  uint64_t offset = 0;
  Bytes data;
  bool last = false;
  bool operator==(const SnapshotChunk&) const = default;
};
struct SnapshotChunkResponse {
  Index index;           // of the snapshot this is about
  bool installed = false;  // durable and published: match is `index`
  uint64_t next_offset = 0;  // go on from here (0 starts again; also how a transfer resumes)
  bool operator==(const SnapshotChunkResponse&) const = default;
};
struct TimeoutNow {
  bool operator==(const TimeoutNow&) const = default;
};

using MessageBody = std::variant<VoteRequest, VoteResponse, AppendRequest, AppendResponse,
                                 SnapshotChunk, SnapshotChunkResponse, TimeoutNow>;

// Cluster id and incarnation travel in the frame around it (wire/codec.hpp).
struct Message {
  NodeId from;
  NodeId to;
  Term term;
  MessageBody body;
  bool operator==(const Message&) const = default;
};

enum class Role : uint8_t { follower, pre_candidate, candidate, leader };

}  // namespace raftcs::raft
