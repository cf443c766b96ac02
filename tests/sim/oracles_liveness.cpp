// oracles_liveness.cpp: that it ends after healing, and is quiet then (L1..L9).
#include <algorithm>
#include <limits>
#include <sstream>

#include "raft/membership.hpp"
#include "sim/sim_world.hpp"

namespace raftcs::sim {
namespace {

constexpr DurationNs kCalmNs = 20 * kNsPerSecond;
constexpr uint64_t kTermsAfterHealing = 2;
// A process that was resumed keeps new commands back for what its token names and nobody asks for
// again, as long as its session may be silent.
constexpr DurationNs kClaimNs = 30 * kNsPerSecond;
// A founder waits for those who do not answer, two seconds on the slowest of clocks (decision
// 0047).
constexpr DurationNs kFounderNs = 2'300 * kNsPerMs;
constexpr uint64_t kSmallAppendBytes = 1024;

}  // namespace

// Healing or thawing begins now. Bounds run from when those who count are awake.
void Cluster::expect_an_end() {
  heal_at_ = awake_at_ = now_;
  for (const auto& n : nodes_)  // who counts is not known before somebody leads
    if (!n->wiped && n->frozen == Frozen::no)
      awake_at_ = std::max({awake_at_, n->paused_until, n->stalled_until});
  for (const SimClient& c : clients_) awake_at_ = std::max(awake_at_, c.paused_until);
  const bool founds = std::any_of(nodes_.begin(), nodes_.end(), [](const auto& n) {
    return n->up && n->frozen == Frozen::no && n->node->raft_status().last <= Index(1);
  });
  if (founds && anybody_frozen())  // seed 1210761
    awake_at_ = std::max(awake_at_, now_ + kFounderNs);
  catching_up_ns_ = catching_up();
  leader_at_ = Mono::never();
  settled_term_ = Term();
}

// The longest that somebody waits before it seeks election, on the slowest of clocks.
DurationNs Cluster::election_max() const {
  return 2 * static_cast<DurationNs>(p_.election_ms) * kNsPerMs * 10 / 9;
}

DurationNs Cluster::leader_bound() const {
  return 6 * election_max() + 60 * (p_.delay_mean_ns + p_.disk_mean_ns);
}

// How long it takes to send who is behind what it lacks where an append is small: then each takes
// one entry, with a part of a second on its way (seed 1704136).
DurationNs Cluster::catching_up() const {
  if (p_.append_bytes > kSmallAppendBytes) return 0;
  uint64_t newest = 0, oldest = std::numeric_limits<uint64_t>::max();
  for (const auto& n : nodes_) {
    const uint64_t last = n->up ? n->node->raft_status().last.value : 0;
    newest = std::max(newest, last);
    oldest = std::min(oldest, last);
  }
  const auto rounds = static_cast<DurationNs>((newest - oldest) / p_.appends_max);
  return rounds * (2 * p_.delay_mean_ns + p_.disk_mean_ns);
}

DurationNs Cluster::end_bound() const {
  const DurationNs claims = p_.client_deaths ? kClaimNs : 0;
  // Who leads on a slow disk may have to send a snapshot, chunk by chunk (seed 1004724).
  const bool slow = std::any_of(nodes_.begin(), nodes_.end(),
                                [](const auto& n) { return n->frozen == Frozen::slow_disk; });
  const auto chunks = static_cast<DurationNs>(20 + p_.ballast_bytes / p_.chunk_bytes);
  const DurationNs sending = slow ? 3 * chunks * 120 * p_.disk_mean_ns : 0;
  return 15 * kNsPerSecond + 15 * election_max() + claims + sending + catching_up_ns_ +
         300 * (p_.delay_mean_ns + p_.disk_mean_ns);
}

// L1, at every event.
void Cluster::look_for_leader() {
  if (leader_at_ != Mono::never() || now_ < awake_at_) return;  // a disk that stands costs terms
  const DurationNs waited = now_ - awake_at_;
  if (known_leader() != nullptr) {
    leader_at_ = now_;
    // Who campaigned on a slow disk is ahead, and is heard of it later (seed 1111514).
    for (const auto& n : nodes_)
      if (n->up) settled_term_ = std::max(settled_term_, n->node->raft().term());
    const double share = static_cast<double>(waited) / static_cast<double>(leader_bound());
    report_.leader_share = std::max(report_.leader_share, share);
  } else if (waited > leader_bound()) {
    fail("no leader that all know of " + std::to_string(leader_bound() / kNsPerMs) +
         " ms after healing:" + whom_they_follow());
  }
}

std::string Cluster::whom_they_follow() {
  std::ostringstream text;
  for (auto& n : nodes_) {
    text << " node " << n->id.value;
    if (!n->up)
      text << " is down;";
    else
      text << (counts(*n) ? "" : " (does not count)") << " follows "
           << n->node->raft().leader().value << " in term " << n->node->raft().term().value << ";";
  }
  return text.str();
}

// Called from time to time after healing.
void Cluster::told_too_late() {
  check_operations();
  if (now_ <= awake_at_ + end_bound()) return;
  std::ostringstream why;  // L2, L3
  why << "no end " << end_bound() / kNsPerMs << " ms after healing: clients "
      << (clients_done() ? "done" : "not done") << ", operations "
      << (operations_done() ? "done" : "not done") << ";";
  for (auto& n : nodes_)
    if (n->up) {
      server::Info i = n->node->info();
      why << " node " << n->id.value << (n->frozen != Frozen::no ? " (frozen)" : "") << " term "
          << i.term.value << " commit " << i.commit.value << " applied " << i.applied.value
          << (i.leads ? " leads" : "") << (n->node->serving() ? " and serves;" : ";");
    }
  fail(why.str() + who_waits());
}

std::string Cluster::who_waits() {
  std::ostringstream text;
  for (const SimClient& c : clients_) {
    if (c.mute || c.zombie || c.engine == nullptr) continue;
    for (const WorkSession& s : c.sessions) {
      if (s.open.empty()) continue;
      const client::SessionInfo info = c.engine->info(s.handle);
      text << " session " << s.who << " waits for " << s.open.size() << " from operation "
           << records_[s.open.begin()->second].op.what << " (state " << static_cast<int>(info.state)
           << ", trouble " << info.trouble << ");";
    }
  }
  return text.str();
}

// All have ended what they had to do, perhaps without some who are frozen. Whatever these have
// tried, it has not cost the others their leader again and again (L7).
void Cluster::phase_ended() {
  const double share = static_cast<double>(now_ - awake_at_) / static_cast<double>(end_bound());
  report_.end_share = std::max(report_.end_share, share);
  // Who campaigned on a slow disk before there was a leader is heard when its vote is written: it
  // ends that leader's term, and the election after it may be split (seed 1003457). Who cannot
  // apply hands over. Who slept while it was asked to take over does so late (seed 1402745).
  const auto more = std::count_if(nodes_.begin(), nodes_.end(), [](const auto& n) {
    return n->frozen == Frozen::slow_disk || n->frozen == Frozen::stands;
  });
  const uint64_t asked = p_.transfers || p_.drains ? 1 : 0;
  const uint64_t terms = kTermsAfterHealing * (1 + asked + static_cast<uint64_t>(more));
  for (const auto& n : nodes_)
    if (n->up && leader_at_ != Mono::never() &&
        n->node->raft().term().value > settled_term_.value + terms)
      fail("node " + to_string(n->id) + " is in term " + to_string(n->node->raft().term()) +
           " and nobody was in a later one than " + to_string(settled_term_) +
           " when a leader was known");
  check_bounds();
}

bool Cluster::clients_done() const {
  for (const SimClient& c : clients_)
    for (const WorkSession& s : c.sessions)
      if (c.mute || c.zombie)
        continue;
      else if (s.closing || s.next < s.last || !s.open.empty())
        return false;
  return true;
}

bool Cluster::replicas_equal() {
  Index index;
  if (p_.churn && leading_node() == nullptr) return false;
  for (auto& n : nodes_) {
    if (n->rotten || n->rots) return false;  // it must be healed
    if (!counts(*n)) continue;
    if (!n->up) return false;
    server::Info info = n->node->info();
    if (plugin_ != nullptr) {
      if (!applied_enough(info) || n->types->ledger() == nullptr) return false;
      continue;
    }
    if (!index) index = info.applied;
    if (info.applied != index || info.commit != index) return false;
    // What a leader that is gone has committed is learnt from the next one.
    if (!log_.empty() && index < log_.back().index) return false;
    if (n->types->ledger() == nullptr) return false;
    if (n->types->ledger()->alarm_ns != INT64_MAX) return false;  // every alarm comes
    // Sessions of clients that died silently must expire within the bound.
    for (const rsm::SessionInfo& s : n->apply_lane->machine().sessions())
      if (s.timeout_ms == kMuteTimeoutMs) return false;
  }
  return true;
}

// L8, S24: when all is quiet, logs have been cut, and nobody who is frozen keeps them long. (A
// snapshot that failed is tried again after ten seconds, which may be after the end; who was
// removed and started again may never hear what is committed (seed 1450216). A leader keeps what
// follows the snapshot that it has sent to a peer while that peer answers.)
void Cluster::check_bounds() {
  if (p_.disk_full || p_.disk_errors) return;
  for (auto& n : nodes_) {
    if (!counts(*n) || !n->up || p_.snapshot_entries >= 100'000) continue;
    raft::NodeStatus s = n->node->raft_status();
    const bool awaited = std::any_of(s.peers.begin(), s.peers.end(), [&](const auto& p) {
      return p.recently_active && p.match < s.snapshot;
    });
    if (awaited) continue;
    const uint64_t held = s.last.value + 1 - s.first.value;
    const uint64_t most = 2 * p_.snapshot_entries + p_.trailing_entries + 50;
    // What its lanes have in hand may be the snapshot that is due, or its end.
    if (n->no_snapshot_until > now_) continue;
    if (n->snapshot_busy || n->log_busy || n->apply_busy || n->unreported > 0) continue;
    if (held > most)
      fail("node " + to_string(n->id) + " keeps " + std::to_string(held) + " entries from " +
           to_string(s.first) + ", commit " + to_string(s.commit) + ", snapshot " +
           to_string(s.snapshot));
  }
}

// Whose state machine would stand leads until there is something to apply (seed 1452182).
bool Cluster::may_lead(const SimNode& n) {
  return n.frozen == Frozen::no || n.frozen == Frozen::slow_disk ||
         (n.frozen == Frozen::stands && !n.in_doubt);
}

SimNode* Cluster::serving_leader() {
  SimNode* found = nullptr;
  for (auto& n : nodes_)
    if (n->up && n->paused_until <= now_ && n->node->serving() && may_lead(*n) &&
        (found == nullptr || n->node->raft().term() > found->node->raft().term()))
      found = n.get();
  return found;
}

// Whom all who count follow. It need not serve yet: that may take the length of a snapshot, which
// it sends to who is needed for a majority.
SimNode* Cluster::known_leader() {
  SimNode* leader = nullptr;
  for (auto& n : nodes_)
    if (n->up && n->paused_until <= now_ && may_lead(*n) &&
        n->node->raft_status().role == raft::Role::leader &&
        (leader == nullptr || n->node->raft().term() > leader->node->raft().term()))
      leader = n.get();
  if (leader == nullptr) return nullptr;
  const raft::Membership& members = leader->node->raft().membership();
  for (auto& n : nodes_) {
    if (!n->up || n->paused_until > now_ || n->wiped || n->frozen != Frozen::no) continue;
    if (p_.churn && raft::find_member(members, n->id) == nullptr) continue;
    if (n->node->raft().leader() != leader->id) return nullptr;
  }
  return leader;
}

// Sessions that are there are touched eight times in the shortest of their timeouts.
double Cluster::touches_per_second(const SimNode& leader) {
  double most = 0;
  for (const rsm::SessionInfo& s : leader.apply_lane->machine().sessions())
    most = std::max(most, 8e3 / static_cast<double>(s.timeout_ms));
  return std::min(most, 20.0);
}

// L1, L7, L9: with nothing to do the leader stays, terms stand still, and what is said is
// heartbeats.
void Cluster::stay_calm() {
  SimNode* leader = serving_leader();
  for (auto& n : nodes_)  // who was told to stop before the healing may do so now (seed 1457633)
    if (n->wiped || n->stopping || n->paused_until > now_) return;
  if (leader == nullptr) return;
  hit("a calm was watched");
  Term term = leader->node->raft().term();
  Mono end = now_ + kCalmNs;
  uint64_t frames = peer_frames_, before = report_.events;
  while (now_ < end && step()) {
  }
  if (!report_.ok) return;
  double seconds = static_cast<double>(kCalmNs) / 1e9;
  double beats = seconds * 1e9 / static_cast<double>(leader->options.heartbeat_ns);
  const size_t members = leader->node->raft().membership().members.size();
  double most = beats * static_cast<double>(members - 1) * 2 * 1.3;
  double touches = touches_per_second(*leader) * seconds * 4 * static_cast<double>(members);
  // Who is no member asks all it knows of twice a second, also others that are none, and is told.
  // It seeks election too, if its removal may still be cut from its log (seed 1467021).
  const size_t outside = nodes_.size() - members;
  const double elections = 2.0 * 1e3 / (0.9 * p_.election_ms);
  double strangers = seconds * (4 + elections) * static_cast<double>((nodes_.size() - 1) * outside);
  if (static_cast<double>(peer_frames_ - frames) > most + touches + strangers + 50)
    fail("a calm cluster sent " + std::to_string(peer_frames_ - frames) + " frames in " +
         std::to_string(kCalmNs / kNsPerSecond) + " s");
  if (leader->node->raft().term() != term || serving_leader() != leader)
    fail("leadership moved in a calm");
  trace(0xca, report_.events - before);
  // What a calm brings (alarms, changes of presence) may be on its way to some replicas.
  while (now_ < end + kCalmNs && !replicas_equal() && step()) {
  }
}

}  // namespace raftcs::sim
