// reseed_plan.cpp: see reseed_plan.hpp.
#include "server/reseed_plan.hpp"

namespace raftcs::server {

Result<ReseedPlan> plan_reseed(const raft::Membership& current, NodeId id,
                               const std::set<NodeId>& up, const std::set<NodeId>& permitted) {
  const std::string name = "member " + to_string(id);
  const raft::Member* member = raft::find_member(current, id);
  if (member == nullptr)
    return {RAFTCS_ERR_NOT_MEMBER, "there is no " + name + "; see: raftcs member list"};
  if (current.joint)
    return {RAFTCS_ERR_CONFIG_IN_PROGRESS, "the change before is not finished yet"};
  ReseedPlan plan;
  plan.before = plan.meanwhile = electorate(current, up);
  const bool votes = member->role == raft::MemberRole::voter;
  if (votes && plan.before.voters == 1)
    return {RAFTCS_ERR_BAD_STATE,
            name + " is the only voter: nobody else is known to have its data"};
  if (votes && up.contains(id)) --plan.meanwhile.up;
  bool others_begin_anew = false;
  for (const raft::Member& m : current.members) {
    if (m.id == id || m.role != raft::MemberRole::voter) continue;
    if (!up.contains(m.id)) {
      plan.notes.push_back("voter " + to_string(m.id) + " is not heard of at the moment");
    } else if (permitted.contains(m.id)) {
      --plan.meanwhile.up;
      others_begin_anew = true;
      plan.notes.push_back("voter " + to_string(m.id) +
                           " may begin anew at its next start too and counts as failed; 'raftcs "
                           "member reseed " +
                           to_string(m.id) + " --off' takes that back");
    }
  }
  if (plan.meanwhile.up < plan.meanwhile.needed) {
    plan.refusal = {RAFTCS_ERR_BAD_STATE,
                    "without " + name + " " + std::to_string(plan.meanwhile.up) + " of " +
                        std::to_string(plan.meanwhile.voters) + " voters are up, and " +
                        std::to_string(plan.meanwhile.needed) +
                        " are needed to take it in again: " +
                        (others_begin_anew
                             ? "others may begin anew at their next start too: restart them first, "
                               "or take it back (raftcs member reseed ID --off)"
                             : "start the others first")};
    plan.notes.push_back("the others have no majority without it");
  } else if (votes && plan.meanwhile.tolerates() == 0) {
    plan.notes.push_back("no voter may fail until it has its vote back");
  }
  return plan;
}

}  // namespace raftcs::server
