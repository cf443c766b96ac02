// admin_members.cpp: changes of the members as operations with an outcome (docs/operations.md).
//
//   preparing --planned--> catching_up --all caught up--> committing --settled--> next step
//       |                       |                             |                    or done
//       +----- refused ---------+------ too late -------------+---- overwritten --> failed
//
// preparing waits while consensus finishes another configuration (it binds incarnations by
// itself). catching_up gives a learner that shall vote rounds, as in thesis 4.2.1: a round is
// what the log held when it began, and a learner that is through one within an election timeout
// is caught up. committing ends when the entry is committed and no joint configuration is left;
// a node that lost leadership meanwhile goes on looking, so that the answer is the truth.
#include <algorithm>
#include <iterator>

#include "config/settings.hpp"
#include "server/admin_json.hpp"
#include "server/node_impl.hpp"

namespace raftcs::server {
namespace {

using nlohmann::json;

constexpr DurationNs kLookAgainNs = 20 * kNsPerMs;
constexpr uint64_t kTimeoutMsDefault = 30'000;
constexpr uint64_t kChangeTimeoutMsMax = 86'400'000;
constexpr size_t kChangesMax = 2 * raft::kMembersMax;

Status bad_argument(std::string text) { return {RAFTCS_ERR_INVALID_ARGUMENT, std::move(text)}; }

const char* stage_text(MemberOp::Stage stage) {
  switch (stage) {
    case MemberOp::Stage::preparing:
      return "preparing";
    case MemberOp::Stage::catching_up:
      return "catching_up";
    case MemberOp::Stage::committing:
      return "committing";
    case MemberOp::Stage::done:
      return "done";
    case MemberOp::Stage::failed:
      return "failed";
  }
  return "unknown";
}

struct VerbName {
  const char* name;
  MemberVerb verb;
};
constexpr VerbName kVerbs[] = {
    {"add", MemberVerb::add},         {"promote", MemberVerb::promote},
    {"demote", MemberVerb::demote},   {"remove", MemberVerb::remove},
    {"replace", MemberVerb::replace}, {"priority", MemberVerb::priority},
};

Result<MemberChange> change_of(const json& j) {
  if (!j.is_object()) return bad_argument("each change is a JSON object");
  MemberChange c;
  const std::string verb = text_arg(j, "do");
  auto it = std::find_if(std::begin(kVerbs), std::end(kVerbs),
                         [&](const VerbName& v) { return verb == v.name; });
  if (it == std::end(kVerbs))
    return bad_argument(
        "a change is one of add, promote, demote, remove, replace, priority, not '" + verb + "'");
  c.verb = it->verb;
  c.id = NodeId(number_arg(j, "id"));
  if (!c.id) return bad_argument(verb + " needs the id of a member");
  c.other = NodeId(number_arg(j, "with"));
  if (c.verb == MemberVerb::replace && !c.other)
    return bad_argument("replace needs \"with\", the id of the other member");
  c.peer_address = text_arg(j, "peer_address");
  c.client_address = text_arg(j, "client_address");
  const std::string incarnation = text_arg(j, "incarnation");
  if (!incarnation.empty() && !Uuid::parse(incarnation, &c.incarnation))
    return bad_argument("an incarnation is 32 hexadecimal digits");
  if (j.contains("priority")) {
    const json& p = j["priority"];
    if (!p.is_number_unsigned() || p.get<uint64_t>() > UINT8_MAX)
      return bad_argument("a priority is 0 to 255");
    c.priority = p.get<uint8_t>();
  } else if (c.verb == MemberVerb::priority) {
    return bad_argument("priority needs a \"priority\"");
  }
  return c;
}

// A replacement that is not a member yet, or is the same member with another disk, first has to
// be a learner: these are steps of their own. Each lost disk is one: of voters that leave together
// a joint configuration would count the new disks for the old.
std::vector<MemberStep> steps_of(const MemberStep& changes, const raft::Membership& current) {
  MemberStep first, second;
  std::vector<MemberStep> readmits;
  for (const MemberChange& c : changes) {
    if (c.verb != MemberVerb::replace) {
      second.push_back(c);
      continue;
    }
    MemberChange prepare = c;
    prepare.other = NodeId();
    if (c.other == c.id) {
      prepare.verb = MemberVerb::readmit;
      readmits.push_back({prepare});
      MemberChange promote;
      promote.verb = MemberVerb::promote;
      promote.id = c.id;
      second.push_back(promote);
      continue;
    }
    if (raft::find_member(current, c.other) == nullptr && !c.peer_address.empty()) {
      prepare.verb = MemberVerb::add;
      prepare.id = c.other;
      first.push_back(prepare);
    }
    second.push_back(c);
  }
  std::vector<MemberStep> steps;
  if (!first.empty()) steps.push_back(std::move(first));
  std::move(readmits.begin(), readmits.end(), std::back_inserter(steps));
  if (!second.empty()) steps.push_back(std::move(second));
  return steps;
}

std::string steps_done(const MemberOp& op) {
  return std::to_string(op.step) + " of " + std::to_string(op.steps.size()) + " steps are done";
}

json electorate_json(const Electorate& e) {
  return {{"voters", e.voters}, {"needed", e.needed}, {"up", e.up}, {"tolerates", e.tolerates()}};
}

json plan_json(const MemberPlan& plan) {
  json members = json::array(), catch_up = json::array(), down = json::array();
  for (const raft::Member& m : plan.result.members) members.push_back(member_json(m));
  for (NodeId id : plan.catch_up) catch_up.push_back(id.value);
  for (NodeId id : plan.down) down.push_back(id.value);
  return {{"members", members},
          {"joint", plan.next.joint},
          {"before", electorate_json(plan.before)},
          {"after", electorate_json(plan.after)},
          {"catch_up", catch_up},
          {"down", down},
          {"notes", plan.notes},
          {"loses_quorum", !plan.refusal.is_ok()}};
}

}  // namespace

// --- asking ---------------------------------------------------------------------------------

void Node::Impl::admin_member_change(const AdminOrigin& origin, const json& args, Mono now) {
  auto refuse = [&](Status status) { admin_reply(origin, std::move(status), {}); };
  auto list = args.find("changes");
  if (list == args.end() || !list->is_array() || list->empty() || list->size() > kChangesMax)
    return refuse(bad_argument("member_change needs \"changes\", a list of objects"));
  MemberStep changes;
  for (const json& j : *list) {
    auto change = change_of(j);
    if (!change) return refuse(change.status());
    if (change->verb == MemberVerb::replace && change->other == change->id &&
        change->incarnation.is_zero())
      if (auto it = swapped_.find(change->id); it != swapped_.end())
        change->incarnation = it->second.incarnation;
    changes.push_back(std::move(*change));
  }
  MemberOp op;
  op.steps = steps_of(changes, raft_.membership());
  op.force = flag_arg(args, "force");
  op.wait = flag_arg(args, "wait");
  if (flag_arg(args, "dry_run")) return admin_member_dry_run(origin, op);
  if (member_op_ && !member_op_->ended())
    return refuse({RAFTCS_ERR_CONFIG_IN_PROGRESS,
                   "change " + std::to_string(member_op_->number) + " of the members is " +
                       stage_text(member_op_->stage) + ": " + member_op_->text});
  uint64_t timeout_ms = number_arg(args, "timeout_ms");
  if (timeout_ms == 0) timeout_ms = kTimeoutMsDefault;
  timeout_ms = std::min(timeout_ms, kChangeTimeoutMsMax);
  op.deadline = now + static_cast<DurationNs>(timeout_ms) * kNsPerMs;
  op.number = ++member_ops_;
  op.origin = origin;
  op.text = "it begins";
  member_op_ = std::move(op);
  drive_member_op(now);
}

// All steps, each on what the one before would have left.
void Node::Impl::admin_member_dry_run(const AdminOrigin& origin, const MemberOp& op) {
  json steps = json::array();
  raft::Membership at = raft_.membership();
  for (const MemberStep& step : op.steps) {
    auto plan = plan_members(at, step, members_up(), identity_.node);
    if (!plan) return admin_reply(origin, plan.status(), {});
    steps.push_back(plan_json(*plan));
    at = plan->result;
  }
  admin_reply(origin, Status::ok(), text_of(json{{"steps", steps}}));
}

// Who works now, as far as this node knows: itself, and the peers that answer it.
std::set<NodeId> Node::Impl::members_up() const {
  std::set<NodeId> up{identity_.node};
  for (const raft::PeerProgress& p : raft_.status().peers)
    if (p.recently_active) up.insert(p.id);
  return up;
}

// --- carrying out -----------------------------------------------------------------------------

void Node::Impl::drive_member_op(Mono now) {
  if (!member_op_ || member_op_->ended()) return;
  MemberOp& op = *member_op_;
  if (op.stage == MemberOp::Stage::committing) return watch_member_op(op, now);
  if (!serving())
    return end_member_op({op.step == 0 ? RAFTCS_ERR_NOT_LEADER : RAFTCS_ERR_BAD_STATE,
                          "this node does not lead any more; nothing more was changed"});
  auto plan = plan_members(raft_.membership(), op.steps[op.step], members_up(), identity_.node);
  if (!plan && plan.status().code() != RAFTCS_ERR_CONFIG_IN_PROGRESS)
    return end_member_op(plan.status());
  if (plan && op.stage == MemberOp::Stage::preparing && !plan->catch_up.empty()) {
    op.stage = MemberOp::Stage::catching_up;
    op.catch_up_until =
        op.wait || op.steps.size() > 1 ? op.deadline : now + options_.election_timeout_ns;
    op.round_end = Index();
  }
  if (plan && caught_up(op, plan->catch_up, now)) {
    if (!plan->refusal.is_ok() && !op.force) return end_member_op(plan->refusal);
    if (propose_member_step(op, *plan, now)) return;
  }
  if (now >= op.deadline || (op.stage == MemberOp::Stage::catching_up && now >= op.catch_up_until))
    end_member_op({RAFTCS_ERR_BAD_STATE,
                   op.text + (op.wait ? "; the time is over" : "; --wait gives it time")});
}

bool Node::Impl::propose_member_step(MemberOp& op, const MemberPlan& plan, Mono now) {
  raft::Refusal refusal = raft_.propose_membership(plan.next, now, &op.index, &op.term);
  if (refusal == raft::Refusal::none) {
    op.stage = MemberOp::Stage::committing;
    op.result = plan.result;
    op.text = "waits for a majority at index " + to_string(op.index);
    log_line(RAFTCS_LOG_INFO, "change " + std::to_string(op.number) + " of the members" +
                                  (plan.next.joint ? " (joint)" : "") + " is proposed at index " +
                                  to_string(op.index));
    return true;
  }
  if (refusal == raft::Refusal::invalid) {
    end_member_op({RAFTCS_ERR_INTERNAL, "consensus refuses the configuration"});
    return true;
  }
  op.text = "waits for another configuration or a transfer of leadership to end";
  return false;  // tried again
}

// Every member of `who` has gone through a round within an election timeout.
bool Node::Impl::caught_up(MemberOp& op, const std::vector<NodeId>& who, Mono now) {
  if (who.empty()) return true;
  const raft::NodeStatus status = raft_.status();
  if (!op.round_end) {
    op.round_end = status.last;
    op.round_began = now;
  }
  for (NodeId id : who) {
    const raft::Member* member = raft::find_member(raft_.membership(), id);
    auto p = std::find_if(status.peers.begin(), status.peers.end(),
                          [&](const raft::PeerProgress& each) { return each.id == id; });
    const std::string name = "member " + to_string(id);
    if (p == status.peers.end() || member == nullptr || !p->recently_active) {
      op.text =
          name + " is not heard of: is it running at " + (member ? member->peer_address : "") + "?";
      op.round_end = Index();
      return false;
    }
    if (member->incarnation.is_zero()) {
      op.text = name + " was heard, its disk is not bound yet";
      return false;
    }
    // The configuration that names its disk must be on that disk: else it would be needed for a
    // majority and not vote (voting.cpp).
    if (p->match < std::max(op.round_end, status.membership_index)) {
      op.text = name + " is not caught up: " + std::to_string(status.last - p->match) +
                " entries behind" + (p->snapshotting ? ", receiving a snapshot" : "");
      return false;
    }
  }
  if (now - op.round_began <= options_.election_timeout_ns) return true;
  op.round_end = Index();  // it took long: another round, on what came meanwhile
  return false;
}

// Any role: the fate of the entry decides.
void Node::Impl::watch_member_op(MemberOp& op, Mono now) {
  const raft::NodeStatus status = raft_.status();
  if (status.commit >= op.index) {
    const raft::Entry* e = raft_.entry(op.index);
    const bool compacted = e == nullptr && status.first > op.index;
    if (e != nullptr && e->term != op.term)
      return end_member_op({RAFTCS_ERR_BAD_STATE,
                            "leadership changed and the change was not kept; nothing was changed"});
    const bool kept = e != nullptr || (compacted && raft_.membership() == op.result);
    if (kept && status.membership_settled) return next_member_step(op, now);
  }
  if (now >= op.deadline)
    end_member_op({RAFTCS_ERR_TIMED_OUT, "no majority has it yet at index " + to_string(op.index) +
                                             "; it may still come: see raftcs member list"});
}

void Node::Impl::next_member_step(MemberOp& op, Mono now) {
  if (++op.step == op.steps.size()) return end_member_op(Status::ok());
  op.stage = MemberOp::Stage::preparing;
  op.text = steps_done(op);
  drive_member_op(now);
}

void Node::Impl::end_member_op(Status status) {
  MemberOp& op = *member_op_;
  // A step that is done stays done, and what was proposed may yet be committed by another leader
  // (BAD_STATE: it is known that it was not). Most codes would tell that nothing happened.
  const bool may_stand = op.step > 0 || (op.stage == MemberOp::Stage::committing &&
                                         status.code() != RAFTCS_ERR_BAD_STATE);
  const bool says_so = status.code() == RAFTCS_ERR_TIMED_OUT || status.code() == RAFTCS_ERR_CLOSED;
  if (!status.is_ok() && may_stand && !says_so) status = {RAFTCS_ERR_DROPPED, status.text()};
  op.stage = status.is_ok() ? MemberOp::Stage::done : MemberOp::Stage::failed;
  if (op.step > 0) status = status.with_context(steps_done(op));
  op.text = status.is_ok() ? "committed at index " + to_string(op.index) : status.text();
  log_line(status.is_ok() ? RAFTCS_LOG_INFO : RAFTCS_LOG_WARNING,
           "change " + std::to_string(op.number) + " of the members: " + op.text);
  json reply = member_op_json();
  reply["members"] = json::parse(members_json(), nullptr, false);
  admin_reply(op.origin, status, text_of(reply));
}

Mono Node::Impl::member_op_deadline(Mono now) const {
  bool running = (member_op_ && !member_op_->ended()) || transfer_op_;
  return running ? now + kLookAgainNs : Mono::never();
}

// --- telling ----------------------------------------------------------------------------------

nlohmann::json Node::Impl::member_op_json() const {
  if (!member_op_) return json::object();
  const MemberOp& op = *member_op_;
  return {{"number", op.number},
          {"state", stage_text(op.stage)},
          {"step", std::min(op.step + 1, op.steps.size())},
          {"steps", op.steps.size()},
          {"index", op.index.value},
          {"text", op.text}};
}

// The configuration in force; a leader adds what it knows of each member.
std::string Node::Impl::members_json() const {
  json reply = json::array();
  const raft::NodeStatus status = raft_.status();
  for (const raft::Member& m : raft_.membership().members) {
    json one = member_json(m);
    if (m.outgoing_voter) one["outgoing_voter"] = true;
    if (status.role == raft::Role::leader) {
      one["up"] = m.id == identity_.node;
      one["match"] = m.id == identity_.node ? status.last.value : 0;
      for (const raft::PeerProgress& p : status.peers) {
        if (p.id != m.id) continue;
        one["up"] = p.recently_active;
        one["match"] = p.match.value;
        if (p.snapshotting) one["snapshotting"] = true;
      }
      one["behind"] = status.last.value - one["match"].get<uint64_t>();
      one["leads"] = m.id == identity_.node;
    }
    reply.push_back(std::move(one));
  }
  return text_of(reply);
}

}  // namespace raftcs::server
