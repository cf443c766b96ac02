// member_ops.hpp: a change of members under way, and a hand-over of leadership under way.
//
// Both are operations with an outcome: whoever asked is answered when the change is committed
// and finished, or has failed with a reason, or when the time given is over. Each node has at
// most one of each at a time. What belongs together as steps (a new member is added, gets the
// log, then takes another's vote) is one operation.
#pragma once

#include <string>
#include <vector>

#include "base/time.hpp"
#include "server/member_plan.hpp"
#include "server/node.hpp"

namespace raftcs::server {

// Who asked for administration: a connection's correlation, or a local token.
struct AdminOrigin {
  bool local = false;
  net::ConnId conn = 0;
  uint64_t id = 0;
};

struct MemberOp {
  enum class Stage : uint8_t { preparing, catching_up, committing, done, failed };

  uint64_t number = 0;
  AdminOrigin origin;
  std::vector<MemberStep> steps;
  size_t step = 0;
  Stage stage = Stage::preparing;
  bool wait = false;   // for members that are not caught up yet, until the deadline
  NodeId heals;        // begun by this node itself, whose data was damaged (healing.cpp)
  bool force = false;  // also when too few voters would be up
  Mono deadline;
  Mono catch_up_until;  // the deadline, or one try without `wait`

  // catching_up: rounds of thesis 4.2.1
  Index round_end;  // what the log held when the round began
  Mono round_began;
  // committing
  Index index;
  Term term;
  raft::Membership result;

  std::string text;  // where it stands, for people
  bool ended() const { return stage == Stage::done || stage == Stage::failed; }
};

struct TransferOp {
  std::vector<AdminOrigin> origins;
  NodeId to;
  Term term;  // this node led in it when it was asked
  Mono deadline;
};

}  // namespace raftcs::server
