// admin_reseed.cpp: a member gives up its data and gets that of the others (docs/operations.md 11).
//
//   reseed_plan  at the leader: who is up; gives a permit, which is its own id and term, or takes
//                one back
//   reseed       at the member, with that permit: its directory is marked, and begins anew at the
//                next start (storage/reseed_mark.hpp)
//
// What must hold: a member is marked only while the leader that it follows has said that the others
// have a majority without it. A permit of another leader or term is void. A leader counts whom it
// gave one as failed until that member has begun anew; the permits of the leader before it does not
// know.
#include "server/admin_json.hpp"
#include "server/node_impl.hpp"
#include "server/reseed_plan.hpp"

namespace raftcs::server {
namespace {

using nlohmann::json;

constexpr size_t kReseedsWaitingMax = 16;

}  // namespace

// Who was permitted to begin anew in this term, and has not yet.
std::set<NodeId> Node::Impl::reseeds_permitted() {
  if (std::exchange(permits_term_, term_) != term_) permits_.clear();
  std::set<NodeId> ids;
  for (auto& [id, incarnation] : permits_) {
    const raft::Member* member = raft::find_member(raft_.membership(), id);
    if (member == nullptr) continue;
    if (incarnation.is_zero()) incarnation = member->incarnation;  // it was not bound yet
    if (incarnation == member->incarnation) ids.insert(id);
  }
  std::erase_if(permits_, [&](const auto& permit) { return !ids.contains(permit.first); });
  return ids;
}

void Node::Impl::admin_reseed_plan(const AdminOrigin& origin, const json& args) {
  const NodeId id(number_arg(args, "id"));
  const std::set<NodeId> permitted = reseeds_permitted();
  if (flag_arg(args, "off")) {
    permits_.erase(id);
    return admin_reply(origin, Status::ok(), text_of(json{{"id", id.value}, {"off", true}}));
  }
  auto plan = plan_reseed(raft_.membership(), id, members_up(), permitted);
  if (!plan) return admin_reply(origin, plan.status(), {});
  const bool dry = flag_arg(args, "dry_run");
  if (!plan->refusal.is_ok() && !dry) return admin_reply(origin, plan->refusal, {});
  auto told = [](const Electorate& e) {
    return json{
        {"voters", e.voters}, {"needed", e.needed}, {"up", e.up}, {"tolerates", e.tolerates()}};
  };
  const raft::Member& member = *raft::find_member(raft_.membership(), id);
  if (dry)
    plan->notes.push_back(
        "permits of an earlier leader are not known to this one: 'reseed' in the status of a "
        "member says that it begins anew at its next start");
  json reply{{"id", id.value},
             {"client_address", member.client_address},
             {"before", told(plan->before)},
             {"meanwhile", told(plan->meanwhile)},
             {"notes", plan->notes},
             {"loses_quorum", !plan->refusal.is_ok()}};
  if (!dry) {
    permits_[id] = member.incarnation;
    reply["permit"] = {{"leader", identity_.node.value}, {"term", term_.value}};
  }
  admin_reply(origin, Status::ok(), text_of(reply));
}

void Node::Impl::admin_reseed(const AdminOrigin& origin, const json& args) {
  auto refuse = [&](const std::string& text) {
    admin_reply(origin, {RAFTCS_ERR_BAD_STATE, text}, {});
  };
  if (NodeId(number_arg(args, "id")) != identity_.node)
    return admin_reply(origin,
                       {RAFTCS_ERR_INVALID_ARGUMENT,
                        "this is node " + to_string(identity_.node) + ": reseed needs its \"id\""},
                       {});
  const bool off = flag_arg(args, "off");
  const json permit = args.value("permit", json::object());
  const bool permitted = permit.is_object() && leader_ &&
                         NodeId(number_arg(permit, "leader")) == leader_ &&
                         Term(number_arg(permit, "term")) == term_;
  if (!off && is_healing()) return refuse("this node begins anew already");
  if (!off && !(can_take_part() && permitted))
    return refuse(
        "the permit is not of the leader that this node follows now: ask the leader for a "
        "reseed_plan again");
  if (reseeds_.size() >= kReseedsWaitingMax)
    return admin_reply(origin, {RAFTCS_ERR_BUSY, "too many such calls wait already"}, {});
  reseeds_[++admin_token_] = origin;
  out_.snapshot.push_back(MarkReseed{!off, admin_token_});
}

void Node::Impl::reseed_marked(const ReseedMarked& done) {
  const bool on = done.job.on;
  if (done.status.is_ok() && on != reseed_marked_) {
    reseed_marked_ = on;
    log_line(RAFTCS_LOG_WARNING,
             on ? "an operator wants this node's data from the others: it begins anew at its next "
                  "start"
                : "this node keeps its data at its next start");
  }
  auto it = reseeds_.find(done.job.token);
  if (it == reseeds_.end()) return;  // the node has stopped meanwhile
  const AdminOrigin origin = it->second;
  reseeds_.erase(it);
  admin_reply(origin, done.status, text_of(json{{"id", identity_.node.value}, {"reseed", on}}));
}

}  // namespace raftcs::server
