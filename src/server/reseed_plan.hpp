// reseed_plan.hpp: may a member give up its data and get that of the others? Pure.
//
// What must hold: others have all of it and can take the member in again, which needs a majority
// of the voters without it. Where they cannot, nothing is done.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "server/member_plan.hpp"

namespace raftcs::server {

struct ReseedPlan {
  Electorate before;
  Electorate meanwhile;            // until it has its vote back: it counts as a failed one
  std::vector<std::string> notes;  // risks, for people
  Status refusal;                  // not OK: the others have no majority without it
};

// `up`: members known to work now. An error: it cannot be done at all.
Result<ReseedPlan> plan_reseed(const raft::Membership& current, NodeId id,
                               const std::set<NodeId>& up);

}  // namespace raftcs::server
