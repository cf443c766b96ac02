// oracles.cpp: what must hold, while it runs and at the end.
#include <algorithm>
#include <cstring>

#include "raftcs.h"
#include "sim/sim_world.hpp"
#include "wire/codec.hpp"

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
  if (s.term < n.seen_term) fail("term of node " + to_string(n.id) + " fell");
  if (s.term.value > kForeignTerm) fail("a foreign term reached node " + to_string(n.id));
  if (s.commit < n.seen_commit) fail("commit of node " + to_string(n.id) + " fell");
  if (!n.wiped) {
    check_log(n, s);
    check_commit(n, s);
  }
  n.seen_commit = s.commit;
  if (s.role != raft::Role::leader) return;
  if (n.wiped) return fail("a wiped node leads");
  n.seen_term = s.term;
  auto [it, fresh] = leader_of_term_.emplace(s.term.value, n.id.value);
  if (fresh) {
    ++report_.leaders;
    note("node " + to_string(n.id) + " leads term " + to_string(s.term));
    trace(0x1e, s.term.value);
    release_held();
  } else if (it->second != n.id.value) {
    fail("two leaders in term " + to_string(s.term));
  }
}

// S5: one entry for an index and a term, everywhere and for ever. From the end down to what
// was seen before: below an equal (index, term) nothing can have changed.
void Cluster::check_log(SimNode& n, const raft::NodeStatus& s) {
  if (!n.log_terms.empty() && n.log_terms.rbegin()->first > s.last) {
    hit("a log was truncated");
    n.log_terms.erase(n.log_terms.upper_bound(s.last), n.log_terms.end());
  }
  for (Index i = s.last; i >= s.first && i.value > 0; i = i.prev()) {
    const raft::Entry* e = n.node->raft().entry(i);
    if (e == nullptr) break;
    Term& seen = n.log_terms[i];
    if (seen == e->term) break;
    if (seen.value != 0) hit("an entry was replaced");
    seen = e->term;
    uint64_t hash = crc32c(static_cast<uint32_t>(e->time.ns), e->payload.data(), e->payload.size());
    auto [it, fresh] = entries_.emplace(std::pair(i.value, e->term.value), hash);
    if (!fresh && it->second != hash)
      fail("two entries of index " + to_string(i) + " and term " + to_string(e->term));
  }
}

// S7: what is committed is one sequence. S8: and is durable on a quorum (sampled: it costs).
void Cluster::check_commit(SimNode& n, const raft::NodeStatus& s) {
  if (s.commit <= n.seen_commit) return;
  for (Index i = n.seen_commit.next(); i <= s.commit; ++i) {
    const raft::Entry* e = n.node->raft().entry(i);
    if (e == nullptr) continue;
    auto [it, fresh] = committed_.emplace(i.value, e->term.value);
    if (!fresh && it->second != e->term.value)
      fail("index " + to_string(i) + " was committed in two terms");
  }
  if (s.role == raft::Role::leader && net_.chance(0.01)) check_durable(s.commit);
}

// What every disk would give back if the power went now and nothing unsynced survived.
void Cluster::check_durable(Index index) {
  size_t holders = 0;
  for (auto& n : nodes_) {
    if (n->wiped) continue;
    std::unique_ptr<SimDisk> disk = n->disk.clone();
    disk->crash(std::vector<Fate>{});
    storage::Options options;
    options.segment_bytes = p_.segment_bytes;
    auto dir = storage::DataDir::open(*disk, "/data", options, nullptr);
    if (!dir) continue;
    raft::BootImage image = (*dir)->take_boot_image();
    bool holds = image.snapshot && image.snapshot->index >= index;
    for (const raft::Entry& e : image.entries)
      holds = holds || (e.index == index && e.term.value == committed_[index.value]);
    holders += holds ? 1 : 0;
  }
  hit("durability was checked");
  if (holders < nodes_.size() / 2 + 1)
    fail("index " + to_string(index) + " is committed and durable on " + std::to_string(holders) +
         " nodes only");
}

// S2: one vote in a term, over restarts. S3: no term that was spoken is forgotten (check_node;
// an answer that waited for its write may be of an older term than what overtook it).
void Cluster::check_frame(SimNode& n, const Bytes& frame) {
  if (p_.seed % 4 != 0) return;
  wire::PeerEnvelope envelope;
  std::vector<raft::Message> messages;
  wire::DecodeError error;
  if (!wire::decode_peer_frame(frame, {}, &envelope, &messages, &error))
    return fail("a node sent a frame that does not decode");
  for (const raft::Message& m : messages) {
    const auto* asked = std::get_if<raft::VoteRequest>(&m.body);
    const auto* voted = std::get_if<raft::VoteResponse>(&m.body);
    if ((asked != nullptr && asked->pre_vote) || (voted != nullptr && voted->pre_vote)) continue;
    n.seen_term = std::max(n.seen_term, m.term);
    if (voted == nullptr || !voted->granted || n.wiped) continue;
    auto [it, fresh] = votes_.emplace(std::pair(n.id.value, m.term.value), m.to.value);
    if (!fresh && it->second != m.to.value)
      fail("node " + to_string(n.id) + " voted twice in term " + to_string(m.term));
  }
}

bool Cluster::clients_done() const {
  for (const SimClient& c : clients_)
    for (const WorkSession& s : c.sessions)
      if (c.mute)
        continue;
      else if (s.closing || s.next < s.last || !s.open.empty())
        return false;
  return true;
}

bool Cluster::replicas_equal() {
  Index index;
  for (auto& n : nodes_) {
    if (n->wiped) continue;
    if (!n->up) return false;
    server::Info info = n->node->info();
    if (!index) index = info.applied;
    if (info.applied != index || info.commit != index) return false;
    if (n->types->ledger() == nullptr) return false;
    if (n->types->ledger()->alarm_ns != INT64_MAX) return false;  // every alarm comes
    // Sessions of clients that died silently must expire within the bound.
    for (const rsm::SessionInfo& s : n->apply_lane->machine().sessions())
      if (s.timeout_ms == kMuteTimeoutMs) return false;
  }
  return true;
}

void Cluster::final_checks() {
  const Ledger* ledger = nullptr;
  for (auto& n : nodes_)
    if (!n->wiped) ledger = n->types->ledger();
  for (auto& n : nodes_) {
    if (n->wiped) continue;
    const Ledger* other = n->types->ledger();
    if (other->doubled != 0) fail("node " + to_string(n->id) + " applied a command twice");
    if (other->early != 0) fail("node " + to_string(n->id) + " ran a timer before its time");
    if (other->rung != ledger->rung || other->gone != ledger->gone ||
        other->presence_events != ledger->presence_events)
      fail("timers or presence differ on node " + to_string(n->id));
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
  for (const SimClient& c : clients_)
    for (const WorkSession& s : c.sessions)
      if (c.engine != nullptr && c.engine->info(s.handle).outstanding != 0)
        fail("a client still waits for something");
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
