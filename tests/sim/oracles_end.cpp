// oracles_end.cpp: what has become of everything in the end.
#include <algorithm>
#include <cstring>

#include "raftcs.h"
#include "sim/sim_world.hpp"

namespace raftcs::sim {

// With a plugin some may be further than others (applied_enough).
bool Cluster::agree(const std::vector<LedgerOp>& a, const std::vector<LedgerOp>& b) const {
  if (plugin_ == nullptr) return a == b;
  const size_t common = std::min(a.size(), b.size());
  return std::equal(a.begin(), a.begin() + static_cast<std::ptrdiff_t>(common), b.begin());
}

void Cluster::final_checks() {
  const Ledger* ledger = nullptr;
  for (auto& n : nodes_)
    if (counts(*n) && (ledger == nullptr || ledger->ops.size() < n->types->ledger()->ops.size()))
      ledger = n->types->ledger();  // with a plugin some may be further than others
  if (ledger == nullptr) return fail("nobody has the ledger at the end");
  check_disks_whole();
  for (auto& n : nodes_) {
    if (!counts(*n)) continue;
    const Ledger* other = n->types->ledger();
    if (other->doubled != 0) fail("node " + to_string(n->id) + " applied a command twice");
    if (other->damaged != 0) fail("node " + to_string(n->id) + " was given what nobody sent");
    if (other->early != 0) fail("node " + to_string(n->id) + " ran a timer before its time");
    if (plugin_ == nullptr &&
        (other->rung != ledger->rung || other->gone != ledger->gone ||
         other->presence_events != ledger->presence_events))
      fail("timers or presence differ on node " + to_string(n->id) + ": " +
           std::to_string(other->rung) + " alarms and " + std::to_string(other->presence_events) +
           " changes of presence here, " + std::to_string(ledger->rung) + " and " +
           std::to_string(ledger->presence_events) + " elsewhere");
    if (!agree(other->ops, ledger->ops)) fail("ledgers differ on node " + to_string(n->id));
  }
  for (const OpRecord& r : records_) {
    if (r.is_query || r.plugin) continue;
    bool there = ledger->seen.contains({r.op.who, r.op.what});
    if (r.outcome == RAFTCS_OUTCOME_NOT_APPLIED && there)
      fail("a command reported as not applied was applied");
    if (r.outcome != RAFTCS_OUTCOME_APPLIED) continue;
    if (!there) fail("an acknowledged command is missing");
    if (r.position == 0 || r.position > ledger->ops.size() || ledger->ops[r.position - 1] != r.op)
      fail("an acknowledged command is not where its reply said");
  }
  for (const SimClient& c : clients_)
    for (const WorkSession& s : c.sessions)
      if (c.engine != nullptr && !c.zombie && c.engine->info(s.handle).outstanding != 0)
        fail("a client still waits for something");
  if (!p_.hostile && model_.kinds().contains("an id came with another payload"))
    fail("a client used a request id twice");
  if (p_.requests_max >= 1024 && p_.inflight_bytes == 0 && p_.reply_bytes == 0 && !p_.takeovers)
    check_program_order();
  if (!agree(ledger->ops, model_.ledger())) fail("the ledger is not what the log says");
  check_order(*ledger);
  check_bounds();
  if (plugin_ != nullptr) return check_plugin_end();
  check_replay();
}

// X11: what a session asks for takes effect in the order of asking, over reconnections and
// resumed tokens. (A session that was told BUSY, or that two processes hold, may differ.)
void Cluster::check_program_order() {
  std::map<uint32_t, uint64_t> last;
  for (const LedgerOp& op : model_.ledger()) {
    if (op.who >= kHostileWho) continue;
    auto [it, fresh] = last.emplace(op.who, op.what);
    if (!fresh && op.what <= it->second)
      fail("session " + std::to_string(op.who) + " was served out of order: operation " +
           std::to_string(op.what) + " after " + std::to_string(it->second));
    it->second = op.what;
  }
}

// X6: everything follows from the log alone: applied to a fresh machine it gives the same state.
void Cluster::check_replay() {
  LedgerTypes types;
  rsm::Machine machine(types, limits_of(p_));
  rsm::ApplyOutput output;
  for (const raft::Entry& e : log_) {
    Status status = machine.apply(e, &output);
    if (!status.is_ok()) return fail("the log does not apply again: " + status.text());
    auto it = hash_at_.find(e.index.value);
    if (it != hash_at_.end() && it->second != machine.state_hash())
      return fail("a replay of the log differs at index " + to_string(e.index));
  }
}

// Real time: what ended before something began comes before it (commands by position, queries
// by the count they saw).
void Cluster::check_order(const Ledger&) {
  std::vector<const OpRecord*> done;
  for (const OpRecord& r : records_)
    if (!r.plugin && !r.stale &&
        (r.outcome == RAFTCS_OUTCOME_APPLIED || (r.is_query && r.position > 0)))
      done.push_back(&r);
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
