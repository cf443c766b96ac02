// cluster.cpp: see cluster.hpp.
#include "tests/scenario/cluster.hpp"

#include <algorithm>
#include <utility>

#include "base/check.hpp"
#include "base/crc32c.hpp"
#include "raft/membership.hpp"
#include "raft/quorum.hpp"

namespace raftcs::raft::test {
namespace {

uint64_t mix(uint64_t h, uint64_t v) {
  h = (h ^ v) * 0x9E3779B97F4A7C15ull;
  return h ^ (h >> 31);
}

uint64_t chain_next(uint64_t chain, const Entry& e) {
  chain = mix(chain, e.index.value);
  chain = mix(chain, e.term.value);
  chain = mix(chain, static_cast<uint64_t>(e.type));
  chain = mix(chain, static_cast<uint64_t>(e.time.ns));
  return mix(chain, crc32c(0, e.payload.data(), e.payload.size()) + e.payload.size());
}

std::string g_check_failure;
void note_check(const char* expression, const char* file, int line) {
  if (g_check_failure.empty())
    g_check_failure = std::string(expression) + " at " + file + ":" + std::to_string(line);
}

}  // namespace

Options test_options() {
  Options o;
  o.trailing_entries = 2;
  o.snapshot_chunk_bytes = 64;
  o.append_bytes_max = 256;
  o.inflight_appends_max = 4;
  return o;
}

Membership make_membership(const std::vector<uint64_t>& voters,
                           const std::vector<uint64_t>& learners) {
  Membership m;
  auto add = [&](uint64_t id, MemberRole role) {
    Member member;
    member.id = NodeId(id);
    member.role = role;
    m.members.push_back(member);
  };
  for (uint64_t id : voters) add(id, MemberRole::voter);
  for (uint64_t id : learners) add(id, MemberRole::learner);
  std::sort(m.members.begin(), m.members.end(),
            [](const Member& a, const Member& b) { return a.id < b.id; });
  return m;
}

void Counters::add(const Counters& o) {
  elections += o.elections;
  truncations += o.truncations;
  snapshots_taken += o.snapshots_taken;
  snapshots_installed += o.snapshots_installed;
  reads_ok += o.reads_ok;
  reads_failed += o.reads_failed;
  crashes += o.crashes;
  commits += o.commits;
  configs += o.configs;
  transfers += o.transfers;
  messages += o.messages;
  joint += o.joint;
  lost_writes += o.lost_writes;
  early_commits += o.early_commits;
}

Cluster::Cluster(uint64_t voters, uint64_t learners, const Options& base, uint64_t seed)
    : seed_(seed) {
  set_check_handler(note_check);
  g_check_failure.clear();
  std::vector<uint64_t> voter_ids, learner_ids;
  for (uint64_t i = 1; i <= voters; ++i) voter_ids.push_back(i);
  for (uint64_t i = 1; i <= learners; ++i) learner_ids.push_back(voters + i);
  Entry config;
  config.index = Index(1);
  config.term = Term(1);
  config.type = EntryType::config;
  config.payload = encode_membership(make_membership(voter_ids, learner_ids));
  for (uint64_t i = 1; i <= voters + learners; ++i) {
    Member_ m;
    m.id = NodeId(i);
    m.options = base;
    m.options.id = m.id;
    m.disk.hard.term = Term(1);
    m.disk.log = {config};
    m.disk.chains = {chain_next(0, config)};
    members_.push_back(std::move(m));
  }
  chain_of_[{Index(1), Term(1)}] = chain_next(0, config);
  for (Member_& m : members_) restart(m.id);
}

void Cluster::fail(const std::string& text) {
  if (errors_.size() < 20) errors_.push_back(text);
}

NodeId Cluster::leader() const {
  const Member_* best = nullptr;
  for (const Member_& m : members_) {
    if (!m.node || m.node->role() != Role::leader) continue;
    if (!best || m.node->term() > best->node->term()) best = &m;
  }
  return best ? best->id : NodeId();
}

// --- actions -----------------------------------------------------------------------------

void Cluster::advance(DurationNs by) {
  now_ = now_ + by;
  for (Member_& m : members_) {
    if (!m.node || now_ < m.node->next_deadline()) continue;
    m.node->tick(now_);
    pump(m.id);
  }
}

void Cluster::advance_one(NodeId id, DurationNs by) {
  now_ = now_ + by;
  Member_& m = member(id);
  if (!m.node) return;
  m.node->tick(now_);
  pump(id);
}

void Cluster::campaign(NodeId id) {
  now_ = std::max(now_, node(id).next_deadline());
  node(id).tick(now_);
  pump(id);
}

Refusal Cluster::propose(NodeId id, const std::string& text) {
  if (!member(id).node) return Refusal::not_leader;
  Index index;
  Term term;
  const Refusal r = node(id).propose(Bytes::copy(text), now_, &index, &term);
  pump(id);
  return r;
}

Refusal Cluster::propose_membership(NodeId id, const Membership& wanted) {
  if (!member(id).node) return Refusal::not_leader;
  Index index;
  Term term;
  const Refusal r = node(id).propose_membership(wanted, now_, &index, &term);
  pump(id);
  return r;
}

uint64_t Cluster::read(NodeId id) {
  const uint64_t token = ++next_token_;
  read_floor_[token] = {id, ledger_last()};
  open_reads_.insert(token);
  node(id).read_index(token, now_);
  pump(id);
  return token;
}

Refusal Cluster::transfer(NodeId id, NodeId to) {
  const Refusal r = node(id).transfer_leadership(to, now_);
  if (r == Refusal::none) ++counters_.transfers;
  pump(id);
  return r;
}

void Cluster::step_down(NodeId id) {
  node(id).step_down(now_);
  pump(id);
}

bool Cluster::persist_one(NodeId id) {
  Member_& m = member(id);
  if (!m.node || m.writes.empty()) return false;
  const Write w = std::move(m.writes.front());
  m.writes.pop_front();
  do_write(m, w);
  std::vector<Outgoing> held = std::exchange(m.held, {});
  for (Outgoing& o : held) {
    if (o.after_write <= w.seq) {
      emit(m, std::move(o.message));
    } else {
      m.held.push_back(std::move(o));
    }
  }
  m.node->persisted(w.seq, now_);
  pump(id);
  return true;
}

void Cluster::persist(NodeId id) {
  while (persist_one(id)) {
  }
}

void Cluster::crash(NodeId id, uint64_t writes_kept) {
  Member_& m = member(id);
  if (!m.node) return;
  ++counters_.crashes;
  while (writes_kept-- > 0 && !m.writes.empty()) {
    do_write(m, m.writes.front());
    m.writes.pop_front();
  }
  counters_.lost_writes += m.writes.size();
  m.node.reset();
  m.writes.clear();
  m.held.clear();
  m.reads.clear();
  m.chunk_writes.clear();
  m.partial_of.reset();
  for (auto it = open_reads_.begin(); it != open_reads_.end();)
    it = read_floor_[*it].first == id ? open_reads_.erase(it) : std::next(it);
}

void Cluster::restart(NodeId id) {
  Member_& m = member(id);
  if (m.node) return;
  BootImage image;
  image.hard_state = m.disk.hard;
  image.snapshot = m.disk.snapshot;
  if (m.disk.snapshot && m.disk.snapshot->index > m.disk.base) {
    // What a log store does when it opens beside a newer snapshot.
    const SnapshotMeta& s = *m.disk.snapshot;
    const Entry* at = m.disk.entry(s.index);
    Disk& d = m.disk;
    const auto n = static_cast<std::ptrdiff_t>(s.index - d.base);
    if (at && at->term == s.term) {
      d.base_chain = d.chains[static_cast<size_t>(n - 1)];
      d.log.erase(d.log.begin(), d.log.begin() + n);
      d.chains.erase(d.chains.begin(), d.chains.begin() + n);
    } else {
      d.log.clear();
      d.chains.clear();
      Machine machine;
      std::memcpy(&machine.chain, d.snapshot_file.data() + 8, 8);
      d.base_chain = machine.chain;
    }
    d.base = s.index;
  }
  for (const Entry& e : m.disk.log) {
    if (!image.snapshot || e.index > image.snapshot->index) image.entries.push_back(e);
  }
  m.options.seed = ++seed_;
  m.machine = Machine();
  load_machine(m);
  m.role_seen = Role::follower;
  m.node.emplace(m.options, std::move(image), now_);
  m.node->set_invariant_checks(full_checks);
  pump(id);
}

void Cluster::take_snapshot(NodeId id) {
  Member_& m = member(id);
  if (!m.node) return;
  const Machine& machine = m.machine;
  if (machine.applied <= m.node->status().snapshot) return;
  const Entry* e = m.node->entry(machine.applied);
  if (!e) return;
  SnapshotMeta meta;
  meta.index = machine.applied;
  meta.term = e->term;
  meta.time = e->time;
  meta.membership = machine.membership;
  const Bytes file = snapshot_file(machine);
  meta.size = file.size();
  meta.checksum = crc32c(0, file.data(), file.size());
  m.disk.snapshot = meta;
  m.disk.snapshot_file = file;
  ++counters_.snapshots_taken;
  m.node->applied(machine.applied);
  m.node->snapshot_taken(meta, now_);
  pump(id);
}

bool Cluster::run_io(NodeId id) {
  Member_& m = member(id);
  if (!m.node) return false;
  if (!m.reads.empty()) {
    const Effects::ReadChunk r = m.reads.front();
    m.reads.erase(m.reads.begin());
    if (!m.disk.snapshot || m.disk.snapshot->index != r.index) {
      m.node->snapshot_chunk_failed(r.peer, r.index, now_);
    } else {
      const Bytes& file = m.disk.snapshot_file;
      const uint64_t n = std::min(r.size_max, file.size() - std::min(file.size(), r.offset));
      m.node->snapshot_chunk_read(r.peer, r.index, r.offset, file.slice(r.offset, n),
                                  r.offset + n == file.size(), now_);
    }
    pump(id);
    return true;
  }
  if (m.chunk_writes.empty()) return false;
  const Effects::WriteChunk w = std::move(m.chunk_writes.front());
  m.chunk_writes.erase(m.chunk_writes.begin());
  if (m.partial_of != w.chunk.meta || w.chunk.offset == 0) {
    m.partial_of = w.chunk.meta;
    m.partial.clear();
  }
  bool complete = false;
  if (w.chunk.offset == m.partial.size()) {
    m.partial += w.chunk.data.str();
    if (w.chunk.last) {
      complete = crc32c(0, m.partial.data(), m.partial.size()) == w.chunk.meta.checksum;
      if (!complete) fail("S13: a received snapshot is damaged");
    }
  }
  if (complete && (!m.disk.snapshot || m.disk.snapshot->index < w.chunk.meta.index)) {
    m.disk.snapshot = w.chunk.meta;
    m.disk.snapshot_file = Bytes::copy(m.partial);
    ++counters_.snapshots_installed;
  }
  m.node->snapshot_chunk_written(w.from, w.chunk.meta, m.partial.size(), complete, now_);
  if (complete) m.partial_of.reset();
  pump(id);
  return true;
}

void Cluster::deliver_copy(size_t at) {
  const Message message = network_[at];
  Member_& m = member(message.to);
  if (!m.node || is_cut(message.from, message.to)) return;
  m.node->receive(message, now_);
  pump(message.to);
}

void Cluster::deliver_at(size_t at) {
  const Message message = network_[at];
  drop_at(at);
  Member_& m = member(message.to);
  if (!m.node || is_cut(message.from, message.to)) return;
  m.node->receive(message, now_);
  pump(message.to);
}

void Cluster::drop_at(size_t at) {
  network_.erase(network_.begin() + static_cast<std::ptrdiff_t>(at));
}

size_t Cluster::deliver(NodeId from, NodeId to) {
  std::vector<Message> now_there;
  for (size_t i = 0; i < network_.size();) {
    if (network_[i].from == from && network_[i].to == to) {
      now_there.push_back(network_[i]);
      drop_at(i);
    } else {
      ++i;
    }
  }
  for (Message& message : now_there) inject(std::move(message));
  return now_there.size();
}

void Cluster::inject(Message message) {
  const NodeId to = message.to, from = message.from;
  if (!member(to).node || is_cut(from, to)) return;
  member(to).node->receive(std::move(message), now_);
  pump(to);
}

void Cluster::stabilize(size_t steps_max) {
  for (size_t step = 0; step < steps_max; ++step) {
    bool moved = false;
    for (Member_& m : members_) {
      while (persist_one(m.id)) moved = true;
      while (run_io(m.id)) moved = true;
    }
    if (!network_.empty()) {
      deliver_at(0);
      moved = true;
    }
    if (!moved) return;
  }
  fail("stabilize: no end");
}

// --- effects ---------------------------------------------------------------------------

void Cluster::pump(NodeId id) {
  Member_& m = member(id);
  check_role(m);
  carry_out(m, m.node->take_effects(now_));
  check_role(m);
  if (!g_check_failure.empty()) {
    fail("node " + to_string(id) + " check: " + g_check_failure);
    g_check_failure.clear();
  }
}

void Cluster::carry_out(Member_& m, Effects effects) {
  if (effects.write_seq) {
    if (effects.truncate_from) ++counters_.truncations;
    m.writes.push_back({effects.write_seq, effects.hard_state, effects.truncate_from,
                        effects.reset_log, std::move(effects.append)});
  }
  if (effects.restore) load_machine(m);
  do_apply(m, effects.apply);
  for (Outgoing& o : effects.messages) {
    if (o.after_write == 0) {
      emit(m, std::move(o.message));
    } else {
      m.held.push_back(std::move(o));
    }
  }
  for (const ReadReady& r : effects.reads_ready) {
    if (!open_reads_.erase(r.token)) fail("RD-04: a read ended twice");
    if (r.index < read_floor_[r.token].second) fail("S19: a read is stale");
    if (r.index > ledger_last()) fail("S19: a read of the future");
    reads_done_.push_back(r);
    ++counters_.reads_ok;
  }
  for (uint64_t token : effects.reads_failed) {
    if (!open_reads_.erase(token)) fail("RD-04: a read ended twice");
    ++counters_.reads_failed;
  }
  for (auto& r : effects.read_chunks) m.reads.push_back(r);
  for (auto& w : effects.write_chunks) m.chunk_writes.push_back(std::move(w));
  if (effects.compact_to) {
    Disk& d = m.disk;
    if (!d.snapshot || *effects.compact_to > d.snapshot->index) fail("S14: compacted too far");
    while (d.base < *effects.compact_to && !d.log.empty()) {
      d.base = d.log.front().index;
      d.base_chain = d.chains.front();
      d.log.erase(d.log.begin());
      d.chains.erase(d.chains.begin());
    }
  }
}

void Cluster::emit(Member_& m, Message message) {
  check_sent(m, message);
  ++counters_.messages;
  if (trace) trace->push_back(message);
  if (message.to.value > members_.size()) return;
  network_.push_back(std::move(message));
}

void Cluster::do_write(Member_& m, const Write& w) {
  Disk& d = m.disk;
  if (w.hard) {
    if (w.hard->term < d.hard.term) fail("S3: the durable term falls");
    if (w.hard->term == d.hard.term && d.hard.vote && w.hard->vote != d.hard.vote)
      fail("S2: the durable vote changes in a term");
    d.hard = *w.hard;
  }
  if (w.reset_log) {
    d.log.clear();
    d.chains.clear();
    d.base = w.reset_log->index;
    if (!d.snapshot || d.snapshot->index < d.base) {
      fail("S13: reset without a snapshot");
    } else {
      std::memcpy(&d.base_chain, d.snapshot_file.data() + 8, 8);
    }
  }
  if (w.truncate_from) {
    if (*w.truncate_from <= d.base) return fail("truncation below the log");
    while (d.last() >= *w.truncate_from) {
      d.log.pop_back();
      d.chains.pop_back();
    }
  }
  for (const Entry& e : w.append) {
    if (e.index != d.last().next()) return fail("append leaves a hole");
    const uint64_t chain = chain_next(d.chains.empty() ? d.base_chain : d.chains.back(), e);
    const auto [it, fresh] = chain_of_.insert({{e.index, e.term}, chain});
    if (!fresh && it->second != chain) fail("S5: log matching broken at " + to_string(e.index));
    d.log.push_back(e);
    d.chains.push_back(chain);
  }
}

void Cluster::do_apply(Member_& m, const std::vector<Entry>& entries) {
  for (const Entry& e : entries) {
    Machine& machine = m.machine;
    if (e.index != machine.applied.next()) return fail("S10: applied out of order");
    if (e.time < machine.time) fail("cluster time falls");
    machine.applied = e.index;
    machine.time = e.time;
    machine.chain = chain_next(machine.chain, e);
    if (e.type == EntryType::config) {
      machine.membership = *decode_membership(e.payload);
      ++counters_.configs;
      if (machine.membership.joint) ++counters_.joint;
    }
    if (e.index > ledger_last()) {
      ledger_.push_back({e.term, machine.chain, m.node->term()});
      ++counters_.commits;
      check_committed_is_durable(m, e.index, machine.chain);
    } else if (ledger_[e.index.value - 1].chain != machine.chain) {
      fail("S7: node " + to_string(m.id) + " commits something else at " + to_string(e.index));
    }
  }
  m.node->applied(m.machine.applied);
}

// S8 by the disks, not by what anybody believes.
void Cluster::check_committed_is_durable(Member_& m, Index index, uint64_t chain) {
  if (!check_durability) return;
  const Disk& own = m.disk;
  if (own.last() < index) ++counters_.early_commits;
  const VoterSets sets = voter_sets(m.node->membership());
  const auto holds = [&](NodeId id) {
    if (id.value > members_.size()) return false;
    const Disk& d = member(id).disk;
    if (d.snapshot && d.snapshot->index >= index) return true;
    return d.entry(index) && d.chains[static_cast<size_t>(index - d.base - 1)] == chain;
  };
  if (!has_quorum(sets, holds)) fail("S8: " + to_string(index) + " is committed, not durable");
}

void Cluster::check_role(Member_& m) {
  const Term term = m.node->term();
  if (term < m.term_seen || term < m.disk.hard.term) fail("S3: a term falls");
  m.term_seen = std::max(m.disk.hard.term, m.term_seen);
  const Role role = m.node->role();
  if (role == Role::leader) {
    const auto [it, fresh] = leader_of_.insert({term, m.id});
    if (it->second != m.id) fail("S1: two leaders in term " + to_string(term));
    if (fresh) {
      ++counters_.elections;
      if (m.disk.hard != HardState{term, m.id}) fail("EL-18: leads in a term not durable");
      for (uint64_t k = 1; k <= ledger_.size(); ++k) {
        const Entry* e = m.node->entry(Index(k));
        if (ledger_[k - 1].committed_in >= term || Index(k) < m.node->status().first) continue;
        if (!e || e->term != ledger_[k - 1].term) fail("S6: leader lacks " + std::to_string(k));
      }
    }
  }
  m.role_seen = role;
}

void Cluster::check_sent(Member_& m, const Message& message) {
  const Disk& d = m.disk;
  if (const auto* v = std::get_if<VoteResponse>(&message.body); v && v->granted && !v->pre_vote) {
    const auto [it, fresh] = vote_of_.insert({{m.id, message.term}, message.to});
    if (it->second != message.to) fail("S2: two votes in a term");
    if (d.hard != HardState{message.term, message.to}) fail("S2: a grant that is not durable");
  }
  if (const auto* v = std::get_if<VoteRequest>(&message.body); v && !v->pre_vote) {
    const auto [it, fresh] = vote_of_.insert({{m.id, message.term}, m.id});
    if (it->second != m.id) fail("S2: votes for itself after another");
    if (d.hard != HardState{message.term, m.id}) fail("EL-02: asks before its vote is durable");
    if (d.last() < v->last_index) fail("EL-12: advertises a tail that is not durable");
  }
  const auto* a = std::get_if<AppendResponse>(&message.body);
  if (a && a->success && a->match > Index()) {
    const bool covered = d.snapshot && d.snapshot->index >= a->match;
    const Entry* e = d.entry(a->match);
    if (!covered && !e) return fail("S11: acks what is not durable");
    const auto leader = leader_of_.find(message.term);
    if (leader == leader_of_.end() || leader->second != message.to) return;
    const auto& node = member(message.to).node;
    if (!e || !node || node->role() != Role::leader || node->term() != message.term) return;
    const Entry* there = node->entry(a->match);
    if (there && there->term != e->term) fail("S11: acks another entry than the leader's");
  }
}

Bytes Cluster::snapshot_file(const Machine& machine) const {
  ByteWriter w;
  w.u64(machine.applied.value);
  w.u64(machine.chain);
  w.u64(static_cast<uint64_t>(machine.time.ns));
  encode_membership(machine.membership, &w);
  for (uint64_t i = 0; i < 16 + machine.applied.value % 16; ++i) w.u64(i);
  return w.take_bytes();
}

void Cluster::load_machine(Member_& m) {
  if (!m.disk.snapshot) return;
  const SnapshotMeta& meta = *m.disk.snapshot;
  ByteReader r(m.disk.snapshot_file);
  Machine machine;
  machine.applied = Index(r.u64());
  machine.chain = r.u64();
  machine.time = LogTime{static_cast<int64_t>(r.u64())};
  if (!decode_membership(&r, &machine.membership)) fail("S13: snapshot unreadable");
  if (machine.applied != meta.index || machine.time != meta.time ||
      machine.membership != meta.membership)
    fail("S13: snapshot is not what it says");
  if (meta.index > ledger_last() || ledger_[meta.index.value - 1].chain != machine.chain)
    fail("S13: snapshot of something else");
  if (machine.applied < m.machine.applied) fail("S10: the state machine goes back");
  m.machine = machine;
}

}  // namespace raftcs::raft::test
