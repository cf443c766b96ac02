// oracles.cpp: what must hold, while it runs and at the end.
#include <algorithm>
#include <cstring>

#include "raftcs.h"
#include "sim/sim_world.hpp"

namespace raftcs::sim {

const char* g_check = nullptr;
int g_check_line = 0;

void remember_check(const char* expression, const char*, int line) {
  if (g_check == nullptr) g_check = expression;
  g_check_line = line;
}

void Cluster::check_node(SimNode& n) {
  if (g_check != nullptr)
    return fail(std::string("check failed in node ") + to_string(n.id) + ": " + g_check + " line " +
                std::to_string(g_check_line));
  raft::NodeStatus s = n.node->raft_status();
  if (s.term < n.seen_term)
    fail("term of node " + to_string(n.id) + " fell");  // also over restarts
  if (s.commit < n.seen_commit) fail("commit of node " + to_string(n.id) + " fell");
  n.seen_commit = s.commit;
  if (s.role != raft::Role::leader) return;
  n.seen_term = s.term;
  auto [it, fresh] = leader_of_term_.emplace(s.term.value, n.id.value);
  if (fresh) {
    ++report_.leaders;
    note("node " + to_string(n.id) + " leads term " + to_string(s.term));
    trace(0x1e, s.term.value);
  } else if (it->second != n.id.value) {
    fail("two leaders in term " + to_string(s.term));
  }
}

bool Cluster::clients_done() const {
  for (const SimClient& c : clients_)
    for (const WorkSession& s : c.sessions)
      if (s.next < s.last || !s.open.empty()) return false;
  return true;
}

bool Cluster::replicas_equal() {
  Index index;
  for (auto& n : nodes_) {
    if (!n->up) return false;
    server::Info info = n->node->info();
    if (!index) index = info.applied;
    if (info.applied != index || info.commit != index) return false;
    if (n->types->ledger() == nullptr) return false;
  }
  return true;
}

void Cluster::final_checks() {
  const Ledger* ledger = nodes_[0]->types->ledger();
  for (auto& n : nodes_) {
    const Ledger* other = n->types->ledger();
    if (other->doubled != 0) fail("node " + to_string(n->id) + " applied a command twice");
    if (other->ops != ledger->ops) fail("ledgers differ on node " + to_string(n->id));
  }
  for (const OpRecord& r : records_) {
    if (r.is_query) continue;
    bool there = ledger->seen.contains({r.op.who, r.op.what});
    if (r.outcome == RAFTCS_OUTCOME_NOT_APPLIED && there)
      fail("a command reported as not applied was applied");
    if (r.outcome != RAFTCS_OUTCOME_APPLIED) continue;
    if (!there) fail("an acknowledged command is missing");
    if (r.position == 0 || r.position > ledger->ops.size() || ledger->ops[r.position - 1] != r.op)
      fail("an acknowledged command is not where its reply said");
  }
  check_order(*ledger);
}

// Real time: what ended before something began comes before it (commands by position, queries
// by the count they saw).
void Cluster::check_order(const Ledger&) {
  std::vector<const OpRecord*> done;
  for (const OpRecord& r : records_)
    if (r.outcome == RAFTCS_OUTCOME_APPLIED || (r.is_query && r.position > 0)) done.push_back(&r);
  std::vector<const OpRecord*> by_end = done;
  std::sort(by_end.begin(), by_end.end(), [](auto* a, auto* b) { return a->ended < b->ended; });
  std::sort(done.begin(), done.end(), [](auto* a, auto* b) { return a->begun < b->begun; });
  uint64_t highest = 0;
  size_t at_end = 0;
  for (const OpRecord* r : done) {
    while (at_end < by_end.size() && by_end[at_end]->ended < r->begun)
      highest = std::max(highest, by_end[at_end++]->position);
    bool good = r->is_query ? r->position >= highest : r->position > highest;
    if (!good)
      fail(std::string(r->is_query ? "a query" : "a command") +
           " did not see what had ended before it began");
  }
}

}  // namespace raftcs::sim
