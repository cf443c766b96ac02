// reseed_plan.hpp: may a member give up its data and get that of the others? Pure.
//
// What must hold: others have all of it and can take the member in again, which needs a majority
// of the voters without it. Where they cannot, nothing is done. Members that may begin anew at
// their next start count as failed: one power cut can be the next start of all.
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

// `up`: members known to work now; `permitted`: to begin anew, and they have not yet. An error: it
// cannot be done at all.
Result<ReseedPlan> plan_reseed(const raft::Membership& current, NodeId id,
                               const std::set<NodeId>& up, const std::set<NodeId>& permitted = {});

}  // namespace raftcs::server
