// oracles.cpp: what must hold while it runs. docs/testing.md has the table of all oracles.
#include <algorithm>
#include <cstring>
#include <utility>

#include "raft/membership.hpp"
#include "raftcs.h"
#include "sim/sim_world.hpp"
#include "wire/check_codec.hpp"
#include "wire/codec.hpp"

namespace raftcs::sim {

const char* g_check = nullptr;
int g_check_line = 0;

void remember_check(const char* expression, const char*, int line) {
  if (g_check == nullptr) g_check = expression;
  g_check_line = line;
}

void Cluster::check_node(SimNode& n) {
  look_for_healed(n);
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
    check_membership(n, s);
    if (s.snapshot != n.seen_snapshot) check_snapshot(n, s);
  }
  note_written(n, s);
  const Index commit_before = std::exchange(n.seen_commit, s.commit);
  check_vote(n, s);
  const bool asks = s.role == raft::Role::candidate || s.role == raft::Role::pre_candidate;
  if (asks && s.durable < s.last)  // EL-12
    fail("node " + to_string(n.id) + " asks for votes on a tail that is not durable");
  if (asks && n.asked_term < s.term) {
    n.asked_term = s.term;
    release_held(Release::receiver_campaigns, n.id);
  }
  if (s.role != raft::Role::leader) {
    n.led_term = Term();
    return;
  }
  if (n.wiped) return fail("a wiped node leads");
  check_may_lead(n, s);
  n.seen_term = s.term;
  auto [it, fresh] = leader_of_term_.emplace(s.term.value, n.id.value);
  if (fresh) {
    ++report_.leaders;
    note("node " + to_string(n.id) + " leads term " + to_string(s.term));
    trace(0x1e, s.term.value);
    if (n.node->raft().membership().joint) hit("a leader began in a joint configuration");
    release_held(Release::next_leader, n.id);
    release_held(Release::receiver_leads, n.id);
    if (p_.leader_hops && faulty_) hop(n);
    check_first_of_term(n);
    check_elected(n, s);
  } else if (it->second != n.id.value) {
    fail("two leaders in term " + to_string(s.term));
  } else if (n.led_term != s.term) {
    fail("node " + to_string(n.id) + " leads term " + to_string(s.term) + " again");  // EL-18
  }
  if (n.led_term == s.term && s.last < n.led_last)
    fail("leader " + to_string(n.id) + " cut its own log");  // S4
  check_counted(n, s, commit_before);
  check_match(n, s);
  n.led_term = s.term;
  n.led_last = s.last;
  if (oracle_.chance(0.02)) check_leader(n, s);
}

// S6: a new leader has every entry that was committed before its term. (Its votes may have been
// long on the way: what later terms have committed meanwhile it need not have.)
void Cluster::check_first_of_term(SimNode& n) {
  const raft::Node& raft = n.node->raft();
  Index first = n.node->raft_status().first;
  for (const auto& [index, term] : committed_) {
    if (Index(index) < first || committed_in_[index] >= n.seen_term) continue;
    const raft::Entry* e = raft.entry(Index(index));
    if (e == nullptr || e->term.value != term)
      return fail("leader " + to_string(n.id) + " lacks the committed entry " +
                  std::to_string(index));
  }
}

// S12: what a leader believes of a peer's log is there, and its own is behind no answer.
void Cluster::check_leader(SimNode& n, const raft::NodeStatus& s) {
  hit("a leader's view was checked");
  for (const raft::PeerProgress& p : s.peers) {
    if (p.next <= p.match) fail("next is not above match");
    SimNode& peer = node(p.id);
    if (!peer.up || peer.wiped || peer.broken) continue;
    raft::NodeStatus theirs = peer.node->raft_status();
    if (theirs.term > s.term) continue;
    // Nothing is known of a peer before it has answered in this term (LR-03).
    if (theirs.term < s.term && p.match.value > 0)
      fail("leader " + to_string(n.id) + " counts what node " + to_string(p.id) +
           " said in an older term");
    // A full disk may hold a snapshot of what its log has no room for.
    if (std::max(theirs.durable, theirs.snapshot) < p.match)
      fail("leader " + to_string(n.id) + " counts more than node " + to_string(p.id) + " stores");
    const raft::Entry* e = peer.node->raft().entry(p.match);
    const raft::Entry* own = n.node->raft().entry(p.match);
    if (e != nullptr && own != nullptr && e->term != own->term)
      fail("leader " + to_string(n.id) + " counts an entry that node " + to_string(p.id) +
           " has not");
  }
}

// S5: one entry for an index and a term, everywhere and for ever. From the end down to what
// was seen before: below an equal (index, term) nothing can have changed.
void Cluster::check_log(SimNode& n, const raft::NodeStatus& s) {
  Index cut = Index(UINT64_MAX);
  if (!n.log_terms.empty() && n.log_terms.rbegin()->first > s.last) {
    hit("a log was truncated");
    cut = s.last.next();
    n.log_terms.erase(n.log_terms.upper_bound(s.last), n.log_terms.end());
    n.configs.erase(n.configs.upper_bound(s.last), n.configs.end());
  }
  for (Index i = s.last; i >= s.first && i.value > 0; i = i.prev()) {
    const raft::Entry* e = n.node->raft().entry(i);
    if (e == nullptr) break;
    Term& seen = n.log_terms[i];
    if (seen == e->term) break;
    if (seen.value != 0) {
      hit("an entry was replaced");
      cut = i;
    }
    seen = e->term;
    n.configs.erase(i);
    if (e->type == raft::EntryType::config) n.configs.insert(i), n.seen_config = Index();
    uint64_t hash = crc32c(static_cast<uint32_t>(e->time.ns), e->payload.data(), e->payload.size());
    auto [it, fresh] =
        entries_.emplace(std::pair(i.value, e->term.value), Seen{hash, e->time, now_});
    if (!fresh && it->second.hash != hash)
      fail("two entries of index " + to_string(i) + " and term " + to_string(e->term));
  }
  note_cut(n, cut);
}

// S7: what is committed is one sequence. S8, S9: and is durable on a quorum (sampled: it costs).
void Cluster::check_commit(SimNode& n, const raft::NodeStatus& s) {
  if (s.commit <= n.seen_commit) return;
  for (Index i = n.seen_commit.next(); i <= s.commit; ++i) {
    const raft::Entry* e = n.node->raft().entry(i);
    if (e == nullptr) continue;
    auto [it, fresh] = committed_.emplace(i.value, e->term.value);
    if (fresh) committed_in_[i.value] = s.term;
    if (fresh && e->payload.size() > p_.segment_bytes) hit("an entry was larger than a segment");
    if (!fresh && it->second != e->term.value)
      fail("index " + to_string(i) + " was committed in two terms");
    if (i != model_.applied().next()) continue;
    const rsm::ApplyOutput* truth = nullptr;
    if (reference_ != nullptr) {
      if (std::string broken = reference_->apply(*e); !broken.empty()) return fail(broken);
      truth = &reference_->output_at(i);
    }
    if (std::string broken = model_.apply(*e, truth); !broken.empty()) fail(broken);
    log_.push_back(*e);
    if (e->type == raft::EntryType::config) {
      raft::Membership members = *raft::decode_membership(e->payload);
      config_committed(*e, members);
      configs_[i] = std::move(members);
    }
    check_pace(i, e->term);
  }
  if (s.commit > model_.applied())
    fail("node " + to_string(n.id) + " committed what nobody has seen");
  if (s.first > s.snapshot.next())  // S14
    fail("node " + to_string(n.id) + " has a gap in its log");
  if (s.role != raft::Role::leader) return;
  if (s.membership_index > s.commit) counted_by_[s.commit] = n.node->raft().membership();
  const bool joint = !configs_.empty() && configs_.rbegin()->second.joint;
  if (oracle_.chance(joint ? 0.1 : 0.01)) check_durable();
}

// S13: a snapshot says of the entry at its index what that was, and has the configuration of that
// index, whatever has come since (SN-04). S15: all of one index are the same bytes.
void Cluster::check_snapshot(SimNode& n, const raft::NodeStatus& s) {
  n.seen_snapshot = s.snapshot;
  const std::optional<raft::SnapshotMeta> meta = n.dir->latest_snapshot();
  if (!meta) return fail("node " + to_string(n.id) + " has no file for its snapshot");
  const auto term = committed_.find(meta->index.value);
  if (term != committed_.end() && term->second != meta->term.value)
    fail("node " + to_string(n.id) + " has a snapshot of another term than its entry");
  const auto [same, first] = snapshots_.emplace(meta->index, *meta);
  if (!first) hit("two snapshots of an index were compared");
  if (same->second != *meta)
    fail("node " + to_string(n.id) + " has a snapshot at index " + to_string(meta->index) +
         " that differs from another one of that index");
  const auto config = configs_.upper_bound(meta->index);
  if (meta->index > model_.applied() || config == configs_.begin()) return;
  hit("a snapshot's configuration was checked");
  if (meta->membership != std::prev(config)->second)
    fail("node " + to_string(n.id) + " has a snapshot at index " + to_string(meta->index) +
         " with a configuration of another index");
}

// D5: within a term cluster time goes on no faster than the leader's clock.
void Cluster::check_pace(Index index, Term term) {
  auto before = entries_.find({index.value - 1, term.value});
  auto it = entries_.find({index.value, term.value});
  if (before == entries_.end() || it == entries_.end()) return;
  double rate = node(NodeId(leader_of_term_[term.value])).clock.rate;
  double most = static_cast<double>(it->second.born - before->second.born) * rate;
  if (!jumps_ && static_cast<double>(it->second.time - before->second.time) > most + 1e6)
    fail("cluster time ran ahead of the leader's clock at index " + to_string(index));
}

// What a node's apply lane made of committed entries is what they say (S10, S13, S20, S23; X1-X7,
// X9, X10, X12), also after a restore.
void Cluster::check_applied(SimNode& n, const server::ApplyDone& done) {
  const std::string who = " (node " + to_string(n.id) + ")";
  if (done.restored) n.seen_applied = done.restored->meta.index;
  if (done.applied < n.seen_applied) fail("applied fell" + who);
  // A snapshot that is stored may be restored before the node is told of it.
  const auto stored = n.dir->latest_snapshot();
  if (!n.wiped && done.applied > n.node->raft_status().commit &&
      (!stored || done.applied > stored->index))
    fail("more was applied than is committed" + who);
  if (n.in_doubt) return;  // it may have done half of the next entry
  std::string broken = model_.compare(done.output, n.seen_applied, done.applied);
  if (!broken.empty()) return fail(broken + who);
  n.seen_applied = done.applied;
  auto [it, fresh] = hash_at_.emplace(done.applied.value, done.state_hash);
  if (!fresh && it->second != done.state_hash)
    fail("replicas differ at index " + to_string(done.applied) + who);
  if (SessionModel::digest_of(n.apply_lane->machine().sessions()) != model_.digest_at(done.applied))
    fail("sessions differ from what the log says at index " + to_string(done.applied) + who);
}

// S2: one vote of a disk in a term, over restarts. S3: no term that was spoken is forgotten
// (check_node; an answer that waited for its write may be of an older term than what overtook it).
// A candidate says where its log ends (EL-11).
void Cluster::check_frame(SimNode& n, const Bytes& frame) {
  wire::PeerEnvelope envelope;
  std::vector<raft::Message> messages;
  wire::DecodeError error;
  wire::PeerContact contact;
  if (!wire::decode_peer_frame(frame, {}, &envelope, &messages, &error)) {
    wire::PeerCheck check;
    if (!wire::decode_peer_contact(frame, {}, &envelope, &contact, &error) &&
        !wire::decode_peer_check(frame, {}, &envelope, &check, &error))
      fail("a node sent a frame that does not decode");
    messages.clear();
  }
  if (envelope.incarnation != n.incarnation)
    fail("node " + to_string(n.id) + " speaks for another disk than it has");  // S22
  for (const raft::Message& m : messages) {
    const auto* asked = std::get_if<raft::VoteRequest>(&m.body);
    const auto* voted = std::get_if<raft::VoteResponse>(&m.body);
    if (const auto* ack = std::get_if<raft::AppendResponse>(&m.body)) check_ack(n, m.term, *ack);
    if (const auto* chunk = std::get_if<raft::SnapshotChunk>(&m.body);
        chunk != nullptr && chunk->last && chunk->offset > 10 * p_.chunk_bytes)
      hit("a snapshot of more than ten chunks was sent");
    if (const auto* append = std::get_if<raft::AppendRequest>(&m.body))
      note_round_sent(n, m.term, append->round);
    if (asked != nullptr && asked->last_index.value > 0 &&
        !entries_.contains({asked->last_index.value, asked->last_term.value}))
      fail("node " + to_string(n.id) + " asks for votes with a log end that no log has");
    if ((asked != nullptr && asked->pre_vote) || (voted != nullptr && voted->pre_vote)) continue;
    n.seen_term = std::max(n.seen_term, m.term);
    if (asked != nullptr)
      asked_with_[{n.id.value, m.term.value}] = {asked->last_term.value, asked->last_index};
    if (voted == nullptr || !voted->granted) continue;
    auto [it, fresh] = votes_.emplace(std::pair(n.incarnation, m.term.value), m.to.value);
    if (fresh) check_vote_durable(n, m.term, m.to);
    if (!fresh && it->second != m.to.value)
      fail("node " + to_string(n.id) + " voted twice in term " + to_string(m.term));
  }
}

// S11: what a node says it has it has, durably, and it is the leader's.
void Cluster::check_ack(SimNode& n, Term term, const raft::AppendResponse& ack) {
  // What is committed matches by definition (LR-07): the search for agreement never goes below it.
  if (!ack.success && ack.hint_index > ack.rejected)
    fail("node " + to_string(n.id) + " refuses an append to what it has committed");
  if (!ack.success || !n.up) return;
  raft::NodeStatus own = n.node->raft_status();
  if (own.term != term) return;  // it waited for its write, and something overtook it
  if (ack.match > own.durable)
    fail("node " + to_string(n.id) + " acknowledges what it has not stored");
  check_ack_durable(n, ack.match);
  auto leader = leader_of_term_.find(term.value);
  if (leader == leader_of_term_.end()) return;
  SimNode& from = node(NodeId(leader->second));
  if (!from.up || from.node->raft_status().term != term) return;
  const raft::Entry* theirs = from.node->raft().entry(ack.match);
  const raft::Entry* mine = n.node->raft().entry(ack.match);
  if (theirs != nullptr && mine != nullptr && theirs->term != mine->term)
    fail("node " + to_string(n.id) + " acknowledges an entry that is not the leader's");
}

}  // namespace raftcs::sim
