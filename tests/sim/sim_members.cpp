// sim_members.cpp: members come and go while everything else goes wrong.
//
// Besides the first members there are spare nodes, started to join. Now and then somebody asks
// the leader for a change: add a spare, promote, demote, remove, replace, or several at once. (No
// disk is lost in such a seed: tests of nodes and processes admit such members again.) What must
// hold is what always must; and at the end all members of the last configuration agree, and no
// operation is open.
#include <algorithm>

#include "raft/membership.hpp"
#include "raft/quorum.hpp"
#include "sim/sim_world.hpp"

namespace raftcs::sim {

std::string peer_address_of(uint64_t id) { return "tcp://10.0.0." + std::to_string(id) + ":7101"; }

// Spares take the cluster's id from the first member's directory, as a real one asks for it.
void Cluster::make_spares() {
  for (uint64_t i = 0; i < p_.spares && report_.ok; ++i) {
    const uint64_t id = nodes_.size() + 1;
    auto n = std::make_unique<SimNode>();
    n->id = NodeId(id);
    n->options = nodes_.front()->options;
    n->options.id = n->id;
    n->options.cluster.clear();
    n->options.join = {"the first member"};
    n->options.join_cluster = nodes_.front()->dir->identity().cluster;
    n->options.client_advertise = address_of(id);
    n->options.peer_advertise = peer_address_of(id);
    n->random = std::make_unique<SeededRandom>(p_.seed * 1000 + id);
    n->clock.offset_ns = static_cast<int64_t>(rng_.below(1'000'000'000'000));
    nodes_.push_back(std::move(n));
    start(*nodes_.back());
  }
  schedule_change();
}

void Cluster::schedule_change() {
  if (!faulty_ || !report_.ok) return;
  after(static_cast<DurationNs>(faults_.between(100, 1500)) * kNsPerMs, [this] {
    if (!faulty_) return;
    change_members();
    schedule_change();
  });
}

// The configuration of the node that leads the highest term; nullptr: nobody leads.
SimNode* Cluster::leading_node() {
  SimNode* best = nullptr;
  for (auto& n : nodes_)
    if (n->up && n->node->serving() &&
        (best == nullptr || n->node->raft().term() > best->node->raft().term()))
      best = n.get();
  return best;
}

std::string Cluster::a_change(const raft::Membership& members) {
  std::vector<uint64_t> voters, learners, outside;
  for (const raft::Member& m : members.members)
    (m.role == raft::MemberRole::voter ? voters : learners).push_back(m.id.value);
  for (auto& n : nodes_)
    if (raft::find_member(members, n->id) == nullptr && !n->wiped) outside.push_back(n->id.value);
  auto any = [&](std::vector<uint64_t>& from) {
    const size_t at = faults_.below(from.size());
    const uint64_t id = from[at];
    from.erase(from.begin() + static_cast<std::ptrdiff_t>(at));
    return id;
  };
  auto change = [](const char* verb, uint64_t id) {
    return std::string("{\"do\":\"") + verb + "\",\"id\":" + std::to_string(id);
  };
  switch (faults_.below(6)) {
    case 0:
    case 1: {
      if (outside.empty()) return "";
      const uint64_t id = any(outside);
      return change("add", id) + ",\"peer_address\":\"" + peer_address_of(id) +
             "\",\"client_address\":\"" + address_of(id) + "\"}";
    }
    case 2:
      return learners.empty() ? "" : change("promote", any(learners)) + "}";
    case 3:
      return voters.size() < 2 ? "" : change("demote", any(voters)) + "}";
    case 4:
      if (voters.size() < 2) return "";
      return change("remove", any(faults_.chance(0.5) && !learners.empty() ? learners : voters)) +
             "}";
    default:
      if (learners.empty()) return "";
      return change("replace", any(voters)) + ",\"with\":" + std::to_string(any(learners)) + "}";
  }
}

void Cluster::change_members() {
  SimNode* n = faults_.chance(0.9) ? leading_node() : nodes_[faults_.below(nodes_.size())].get();
  if (n == nullptr || !n->up || n->paused_until > now_) return;
  std::string changes = a_change(n->node->raft().membership());
  if (changes.empty()) return;
  if (faults_.chance(0.2))
    if (std::string more = a_change(n->node->raft().membership()); !more.empty())
      changes += "," + more;  // refused when both name the same member
  const std::string args = "{\"changes\":[" + changes + "],\"wait\":true,\"timeout_ms\":3000}";
  note("node " + to_string(n->id) + " is asked for " + args);
  ask(*n, "member_change", args);
}

void Cluster::ask(SimNode& n, const char* verb, const std::string& args) {
  const uint64_t token = ++next_token_;
  asked_[token] = {n.id, n.life, verb, now_};
  n.node->admin(token, verb, args, n.clock.local(now_));
  drive(n);
}

void Cluster::operation_ended(uint64_t token, const server::AdminResult& result) {
  auto it = asked_.find(token);
  if (it == asked_.end()) return fail("an operation ended twice, or nobody asked for it");
  const std::string& verb = it->second.verb;
  const bool ok = result.status.is_ok();
  if (verb == "member_change") change_ended(result);
  if (verb == "transfer") hit(ok ? "a transfer was done" : "a transfer was refused or failed");
  if (verb == "drain") hit(ok ? "a drain was done" : "a drain was refused or failed");
  if (verb == "snapshot") hit(ok ? "a snapshot was asked for" : "a snapshot was refused or failed");
  asked_.erase(it);
}

// L4, L6: what was asked for ends, done or not, where it was asked; and a joint configuration does
// not outlast a healthy leader. (Operations end at most 10 s of the node's clock after they were
// asked; nobody is asked while it pauses, but it may pause then.)
void Cluster::check_operations() {
  for (const auto& [token, asked] : asked_) {
    const SimNode& n = node(asked.node);
    if (n.frozen != Frozen::no) continue;
    const Mono since = std::max({asked.at, heal_at_, n.paused_until, n.stalled_until});
    if (n.up && n.life == asked.life && now_ > since + kOperationBoundNs)
      fail("a " + asked.verb + " at node " + to_string(n.id) + " does not end");
  }
  if (!p_.churn || now_ <= awake_at_ + leader_bound()) return;
  SimNode* lead = leading_node();
  if (lead != nullptr && lead->node->raft().membership().joint)
    fail("a joint configuration outlasts healing");
}

// Nothing that was asked for is open, and with churn a voter leads a plain configuration.
bool Cluster::operations_done() {
  for (const auto& [token, asked] : asked_)
    if (const SimNode& n = node(asked.node);
        n.up && n.life == asked.life && n.frozen == Frozen::no)
      return false;
  if (!p_.churn) return true;
  SimNode* lead = leading_node();
  if (lead == nullptr || lead->node->raft().membership().joint) return false;
  const raft::Member* self = raft::find_member(lead->node->raft().membership(), lead->id);
  return self != nullptr && self->role == raft::MemberRole::voter;
}

// What became of it.
void Cluster::change_ended(const server::AdminResult& result) {
  const raftcs_status_t code = result.status.code();
  hit(result.status.is_ok()                   ? "a change of members was done"
      : code == RAFTCS_ERR_TIMED_OUT          ? "a change of members was in doubt"
      : code == RAFTCS_ERR_CONFIG_IN_PROGRESS ? "a change of members found another"
                                              : "a change of members was refused");
  note("the change: " + result.status.text());
}

void Cluster::note_membership(SimNode& n) {
  const raft::Membership& m = n.node->raft().membership();
  if (m.joint) hit("a joint configuration was in force");
  if (n.id.value > p_.nodes && n.node->raft_status().role == raft::Role::leader)
    hit("a node that joined led");
}

// Whether this node has to agree: not while it is frozen, and with churn only members of the last
// configuration.
bool Cluster::counts(SimNode& n) {
  if (n.wiped || n.frozen != Frozen::no) return false;
  if (!p_.churn) return true;
  SimNode* lead = leading_node();
  return lead != nullptr && raft::find_member(lead->node->raft().membership(), n.id) != nullptr;
}

}  // namespace raftcs::sim
