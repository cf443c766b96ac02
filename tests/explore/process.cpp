// process.cpp: see process.hpp.
#include "tests/explore/process.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/check.hpp"
#include "raft/membership.hpp"

namespace raftcs::explore {
namespace {

std::string g_check;
void note_check(const char* expression, const char* file, int line) {
  if (!g_check.empty()) return;
  const char* name = std::strrchr(file, '/');
  g_check =
      std::string(expression) + " at " + (name ? name + 1 : file) + ":" + std::to_string(line);
}

uint64_t chain_next(uint64_t chain, const Entry& e) {
  chain = mix(mix(chain, e.index.value), e.term.value);
  chain = mix(mix(chain, static_cast<uint64_t>(e.type)), static_cast<uint64_t>(e.time.ns));
  for (uint8_t c : e.payload) chain = mix(chain, c);
  return mix(chain, e.payload.size());
}

Options options_of(NodeId id) {
  Options o;
  o.id = id;
  o.heartbeat_ns = 0;
  o.election_timeout_ns = 1;
  o.append_bytes_max = 0;  // one entry in a message
  o.inflight_appends_max = 2;
  o.trailing_entries = 0;
  return o;
}

Bytes file_of(uint64_t chain) { return Bytes::copy(&chain, sizeof chain); }

// One step under way.
struct Stepper {
  const Setup& setup;
  Process& p;
  StepResult& out;

  void fail(const std::string& text) {
    if (out.error.empty()) out.error = text;
  }

  void pump();
  void carry_out(Effects effects);
  void write(const Write& w);
  void persist_one();
  void persist_hard_state();
  void apply(const std::vector<Entry>& entries);
  void restore(const SnapshotMeta& meta);
  void read_chunk(const Effects::ReadChunk& r);
  void write_chunk(const Effects::WriteChunk& w);
  void emit(Message message);
  void check_sent(const Message& message);
  void check_memory();
  void crash(uint32_t writes_kept);
  void snapshot();
};

// --- effects ----------------------------------------------------------------------------

void Stepper::pump() {
  // Each round of input and output makes smaller ones; a core that never rests is a bug.
  int rounds = 0;
  for (; rounds < 200; ++rounds) {
    Effects effects = p.node.take_effects(p.now);
    if (!effects.empty()) {
      carry_out(std::move(effects));
    } else if (!setup.async && !p.writes.empty()) {
      persist_one();
    } else {
      break;
    }
  }
  if (rounds == 200) fail("the core does not come to rest");
  check_memory();
}

void Stepper::carry_out(Effects effects) {
  if (effects.write_seq) {
    out.truncated |= effects.truncate_from.has_value();
    out.installed |= effects.reset_log.has_value();
    p.writes.push_back({effects.write_seq, effects.hard_state, effects.truncate_from,
                        effects.reset_log, p.disk.snapshot_chain, std::move(effects.append)});
  }
  for (Outgoing& o : effects.messages) {
    if (o.after_write == 0) {
      emit(std::move(o.message));
    } else {
      p.held.push_back(std::move(o));
    }
  }
  if (effects.restore) restore(*effects.restore);
  apply(effects.apply);
  for (const ReadReady& r : effects.reads_ready) {
    ++out.reads_done;
    if (r.index.value < (r.token & 0xFFFF)) fail("S19: a read is stale");
  }
  if (effects.compact_to) {
    Disk& d = p.disk;
    if (!d.snapshot || *effects.compact_to > d.snapshot->index) fail("S14: compacted too far");
    while (d.base < *effects.compact_to && !d.log.empty()) {
      d.base = d.log.front().index;
      d.base_chain = d.chains.front();
      d.log.erase(d.log.begin());
      d.chains.erase(d.chains.begin());
    }
  }
  for (const auto& r : effects.read_chunks) read_chunk(r);
  for (const auto& w : effects.write_chunks) write_chunk(w);
}

void Stepper::persist_one() {
  const Write w = std::move(p.writes.front());
  p.writes.pop_front();
  write(w);
  std::vector<Outgoing> held = std::exchange(p.held, {});
  for (Outgoing& o : held) {
    if (o.after_write <= w.seq) {
      emit(std::move(o.message));
    } else {
      p.held.push_back(std::move(o));
    }
  }
  p.node.persisted(w.seq, p.now);
}

// Of all that waits only the hard state, as a node does whose disk has no room for entries.
void Stepper::persist_hard_state() {
  Write newest;
  for (Write& w : p.writes) {
    if (w.hard) newest.hard = std::exchange(w.hard, std::nullopt);
    newest.seq = w.seq;
  }
  if (!newest.hard) {
    out.refused = true;
    return;
  }
  write(newest);
  std::vector<Outgoing> held = std::exchange(p.held, {});
  for (Outgoing& o : held) {
    if (o.hard_state_only && o.after_write <= newest.seq) {
      emit(std::move(o.message));
    } else {
      p.held.push_back(std::move(o));
    }
  }
  p.node.hard_state_persisted(newest.seq);
}

void Stepper::write(const Write& w) {
  Disk& d = p.disk;
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
    d.base_chain = w.reset_chain;
    if (!d.snapshot || d.snapshot->index < d.base) fail("S13: reset without its snapshot");
  }
  if (w.truncate_from) {
    if (*w.truncate_from <= d.base) return fail("S14: truncation below the log");
    while (d.last() >= *w.truncate_from) {
      d.log.pop_back();
      d.chains.pop_back();
    }
  }
  for (const Entry& e : w.append) {
    if (e.index != d.last().next()) return fail("S14: an append leaves a hole");
    d.chains.push_back(chain_next(d.chains.empty() ? d.base_chain : d.chains.back(), e));
    d.log.push_back(e);
  }
}

void Stepper::apply(const std::vector<Entry>& entries) {
  for (const Entry& e : entries) {
    if (e.index != p.applied.next()) return fail("S10: applied out of order");
    if (e.time < p.applied_time) fail("D5: cluster time falls");
    p.applied = e.index;
    p.applied_time = e.time;
    p.chain = chain_next(p.chain, e);
    if (e.type == EntryType::config) p.membership = *decode_membership(e.payload);
    out.applied.push_back({e.index, e.term, p.chain, hash_of(p.membership)});
  }
  if (!entries.empty()) p.node.applied(p.applied);
}

void Stepper::restore(const SnapshotMeta& meta) {
  if (!p.disk.snapshot || p.disk.snapshot->index != meta.index)
    return fail("S13: restores what is not there");
  if (meta.index < p.applied) fail("S10: the state machine goes back");
  p.applied = meta.index;
  p.applied_time = meta.time;
  p.chain = p.disk.snapshot_chain;
  p.membership = meta.membership;
}

// --- snapshots --------------------------------------------------------------------------

void Stepper::snapshot() {
  const Entry* at = p.node.entry(p.applied);
  if (!at || p.applied <= p.node.status().snapshot) {
    out.refused = true;
    return;
  }
  const Bytes file = file_of(p.chain);
  SnapshotMeta meta{at->index, at->term, at->time, p.membership, file.size(), 0};
  meta.checksum = static_cast<uint32_t>(p.chain);
  p.disk.snapshot = meta;
  p.disk.snapshot_chain = p.chain;
  p.node.snapshot_taken(meta, p.now);
}

void Stepper::read_chunk(const Effects::ReadChunk& r) {
  if (!p.disk.snapshot || p.disk.snapshot->index != r.index) {
    p.node.snapshot_chunk_failed(r.peer, r.index, p.now);
    return;
  }
  const Bytes file = file_of(p.disk.snapshot_chain);
  const uint64_t at = std::min<uint64_t>(r.offset, file.size());
  p.node.snapshot_chunk_read(r.peer, r.index, at, file.slice(at, file.size() - at), true, p.now);
}

void Stepper::write_chunk(const Effects::WriteChunk& w) {
  const SnapshotMeta& meta = w.chunk.meta;
  bool complete = false;
  if (w.chunk.offset == 0 && w.chunk.data.size() == sizeof(uint64_t)) {
    complete = true;
    if (!p.disk.snapshot || p.disk.snapshot->index < meta.index) {
      p.disk.snapshot = meta;
      std::memcpy(&p.disk.snapshot_chain, w.chunk.data.data(), sizeof(uint64_t));
    }
  }
  p.node.snapshot_chunk_written(w.from, meta, complete ? meta.size : 0, complete, p.now);
}

// --- messages ---------------------------------------------------------------------------

void Stepper::emit(Message message) {
  check_sent(message);
  out.sent.push_back(std::move(message));
}

void Stepper::check_sent(const Message& message) {
  const Disk& d = p.disk;
  const auto* vote = std::get_if<VoteResponse>(&message.body);
  const auto* ask = std::get_if<VoteRequest>(&message.body);
  // Pre-votes speak of terms that are nobody's yet.
  const bool pre = (vote && vote->pre_vote) || (ask && ask->pre_vote);
  if (!pre) p.spoken = std::max(p.spoken, message.term);
  // A vote that a later durable term has made void is as safe as one that is durable: neither can
  // be given again. (A full disk makes only the newest hard state durable.)
  const auto kept = [&](NodeId to) {
    return d.hard.term > message.term || d.hard == HardState{message.term, to};
  };
  if (vote && vote->granted && !pre) {
    for (const Grant& g : p.grants) {
      if (g.term == message.term && g.to != message.to) fail("S2: two votes in a term");
    }
    if (!kept(message.to)) fail("S2: a grant that is not durable");
    const auto same = [&](const Grant& g) { return g.term == message.term; };
    if (std::none_of(p.grants.begin(), p.grants.end(), same))
      p.grants.push_back({message.term, message.to});
  }
  if (ask && !pre) {
    for (const Grant& g : p.grants) {
      if (g.term == message.term && g.to != p.id) fail("S2: votes for itself after another");
    }
    if (!kept(p.id)) fail("EL-02: asks before its vote is durable");
    if (d.last() < ask->last_index) fail("EL-12: advertises a tail that is not durable");
  }
  const auto* ack = std::get_if<AppendResponse>(&message.body);
  if (ack && ack->success && ack->match > d.last() &&
      !(d.snapshot && d.snapshot->index >= ack->match))
    fail("S11: acks what is not durable");
}

// --- what must hold in here ---------------------------------------------------------------

// Follows the log in memory with its hash chain, and looks at terms.
void Stepper::check_memory() {
  const NodeStatus s = p.node.status();
  const Index base = s.first.prev();
  uint64_t base_chain = 0;
  if (base >= p.memory_base && base < p.memory_base + p.memory_chains.size()) {
    base_chain = p.memory_chains[static_cast<size_t>(base - p.memory_base)];
  }
  if (p.disk.snapshot && p.disk.snapshot->index == base) base_chain = p.disk.snapshot_chain;
  p.memory_base = base;
  p.memory_chains.assign(1, base_chain);
  for (Index i = s.first; i <= s.last; ++i)
    p.memory_chains.push_back(chain_next(p.memory_chains.back(), *p.node.entry(i)));
  if (s.term < p.disk.hard.term || s.term < p.spoken) fail("S3: a term falls");
  if (s.role == Role::leader && p.disk.hard != HardState{s.term, p.id})
    fail("EL-18: leads in a term that is not durable");
  if (s.commit < p.applied) fail("S10: commit falls behind what is applied");
}

// --- inputs -----------------------------------------------------------------------------

void Stepper::crash(uint32_t writes_kept) {
  while (writes_kept-- > 0 && !p.writes.empty()) {
    write(p.writes.front());
    p.writes.pop_front();
  }
  p.writes.clear();
  p.held.clear();
  Disk& d = p.disk;
  if (d.snapshot && d.snapshot->index > d.base) {
    // What a log store does when it opens beside a newer snapshot.
    const Index at = d.snapshot->index;
    const bool fits =
        at <= d.last() && d.log[static_cast<size_t>(at - d.base - 1)].term == d.snapshot->term;
    const auto n =
        fits ? static_cast<std::ptrdiff_t>(at - d.base) : static_cast<std::ptrdiff_t>(d.log.size());
    d.log.erase(d.log.begin(), d.log.begin() + n);
    d.chains.erase(d.chains.begin(), d.chains.begin() + n);
    d.base = at;
    d.base_chain = d.snapshot_chain;
  }
  BootImage image{d.hard, d.snapshot, d.log};
  p.applied = Index();
  p.applied_time = LogTime();
  p.chain = 0;
  p.membership = setup.first;
  p.node = Node(options_of(p.id), std::move(image), p.now);
  p.node.set_invariant_checks(true);
  p.memory_base = d.base;
  p.memory_chains.assign(1, d.base_chain);
  if (d.snapshot) restore(*d.snapshot);
}

bool possible(const Process& p, const Input& input) {
  const bool leads = p.node.role() == Role::leader;
  switch (input.kind) {
    case Kind::heartbeat:
    case Kind::propose:
    case Kind::change:
    case Kind::read:
    case Kind::transfer:
      return leads;
    case Kind::persist:
      return !p.writes.empty();
    case Kind::vote_first:
      return p.writes.size() > 1;
    case Kind::crash:
      return input.arg <= p.writes.size();
    default:
      return true;
  }
}

}  // namespace

uint64_t hash_of(const Membership& membership) {
  uint64_t h = membership.joint ? 2 : 1;
  for (const Member& m : membership.members)
    h = mix(mix(h, m.id.value), static_cast<uint64_t>(m.role) * 2 + m.outgoing_voter);
  return h;
}

std::string take_check_failure() { return std::exchange(g_check, {}); }
void watch_checks() { set_check_handler(note_check); }

Process Process::clone() const {
  Process c(node.clone());
  c.id = id;
  c.disk = disk;
  c.now = now;
  c.writes = writes;
  c.held = held;
  c.applied = applied;
  c.chain = chain;
  c.applied_time = applied_time;
  c.membership = membership;
  c.memory_base = memory_base;
  c.memory_chains = memory_chains;
  c.spoken = spoken;
  c.grants = grants;
  return c;
}

namespace {

uint64_t hash_of(const Disk& d) {
  uint64_t h = mix(mix(7, d.hard.term.value), d.hard.vote.value);
  h = mix(mix(h, d.base.value), d.base_chain);
  h = mix(mix(h, d.log.size()), d.chains.empty() ? 0 : d.chains.back());
  if (!d.snapshot) return h;
  h = mix(mix(h, d.snapshot->index.value), d.snapshot->term.value);
  return mix(mix(h, d.snapshot_chain), explore::hash_of(d.snapshot->membership));
}

uint64_t hash_of(const Write& w) {
  uint64_t h = w.hard ? mix(w.hard->term.value, w.hard->vote.value + 1) : 1;
  h = mix(h, w.truncate_from ? w.truncate_from->value : 0);
  h = mix(h, w.reset_log ? w.reset_log->index.value : 0);
  for (const Entry& e : w.append) h = chain_next(h, e);
  return h;
}

}  // namespace

uint64_t Process::hash() const {
  uint64_t h = mix(node.hash64(), id.value);
  h = mix(h, hash_of(disk));
  for (const Write& w : writes) h = mix(h, hash_of(w));
  const uint64_t last_write = writes.empty() ? 0 : writes.back().seq;
  for (const Outgoing& o : held)
    h = mix(mix(h, explore::hash_of(o.message)),
            (last_write - o.after_write) * 2 + o.hard_state_only);
  h = mix(mix(h, applied.value), chain);
  h = mix(h, explore::hash_of(membership));
  h = mix(h, memory_chains.empty() ? 0 : memory_chains.back());
  h = mix(h, spoken.value);
  for (const Grant& g : grants) h = mix(mix(h, g.term.value), g.to.value);
  return h;
}

Process boot(const Setup& setup, NodeId id) {
  Entry config;
  config.index = Index(1);
  config.term = Term(1);
  config.type = EntryType::config;
  config.payload = encode_membership(setup.first);
  Disk disk;
  disk.hard.term = Term(1);
  disk.log = {config};
  disk.chains = {chain_next(0, config)};
  Process p(Node(options_of(id), BootImage{disk.hard, std::nullopt, disk.log}, Mono{1}));
  p.node.set_invariant_checks(true);
  p.id = id;
  p.disk = std::move(disk);
  p.now = Mono{1};
  p.membership = setup.first;
  p.memory_chains.assign(1, 0);
  StepResult none;
  Stepper{setup, p, none}.pump();
  return p;
}

StepResult step(const Setup& setup, Process* process, const Input& input) {
  StepResult out;
  Process& p = *process;
  if (!possible(p, input)) {
    out.refused = true;
    return out;
  }
  Stepper s{setup, p, out};
  const Bytes value = Bytes::copy(std::string(1, static_cast<char>('a' + input.arg)));
  Refusal refusal = Refusal::none;
  switch (input.kind) {
    case Kind::deliver:
      p.node.receive(*input.message, p.now);
      break;
    case Kind::expire:
      p.now = p.now + 1;
      p.node.tick(p.now);
      break;
    case Kind::quiet:
      p.now = p.now + 1;
      break;
    case Kind::heartbeat:
      p.node.tick(p.now);
      break;
    case Kind::persist:
      s.persist_one();
      break;
    case Kind::vote_first:
      s.persist_hard_state();
      break;
    case Kind::crash:
      s.crash(input.arg);
      break;
    case Kind::propose:
      refusal = p.node.propose(value, p.now, nullptr, nullptr);
      break;
    case Kind::snapshot:
      s.snapshot();
      break;
    case Kind::change:
      refusal = p.node.propose_membership(setup.memberships[input.arg], p.now, nullptr, nullptr);
      break;
    case Kind::read:
      p.node.read_index(input.arg, p.now);
      break;
    case Kind::transfer:
      refusal = p.node.transfer_leadership(NodeId(input.arg), p.now);
      break;
  }
  if (refusal != Refusal::none) out.refused = true;
  if (!out.refused) s.pump();
  const std::string check = take_check_failure();
  if (out.error.empty() && !check.empty()) out.error = "check: " + check;
  return out;
}

}  // namespace raftcs::explore
