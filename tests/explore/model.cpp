// model.cpp: the tables, and what can happen next. See model.hpp.
#include "tests/explore/model.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

namespace raftcs::explore {
namespace {

uint8_t& times(State* s, Kind kind) { return s->used[static_cast<size_t>(kind)]; }
uint8_t times(const State& s, Kind kind) { return s.used[static_cast<size_t>(kind)]; }

bool is_vote(const Message& m) {
  return std::holds_alternative<VoteRequest>(m.body) ||
         std::holds_alternative<VoteResponse>(m.body);
}

}  // namespace

uint64_t State::hash() const {
  uint32_t words[14];
  static_assert(sizeof(State) == sizeof words);
  std::memcpy(words, this, sizeof words);
  uint64_t h = 0x2545F4914F6CDD1Dull;
  for (size_t i = 0; i < 14; i += 2) h = mix(h, words[i] | uint64_t{words[i + 1]} << 32);
  return h;
}

Model::Model(Plan plan) : plan_(std::move(plan)) {
  watch_checks();
  ledger_.push_back({});
  nets_.emplace_back();
}

Model::Seen::Seen(Process p) : process(std::move(p)) {
  leads = process.node.role() == Role::leader;
  if (leads) peers = process.node.status().peers;
}

// --- tables -----------------------------------------------------------------------------

uint32_t Model::intern(Process process) {
  const uint64_t hash = process.hash();
  const auto [id, fresh] = process_at_.insert(hash, static_cast<uint32_t>(processes_.size()));
  if (fresh) {
    processes_.emplace_back(std::move(process));
  } else if (Seen& seen = processes_[id]; !seen.twin) {
    seen.twin.emplace(std::move(process));
  }
  return id;
}

uint32_t Model::intern(const Message& message) {
  const uint64_t hash = hash_of(message);
  for (auto [it, end] = message_at_.equal_range(hash); it != end; ++it) {
    if (messages_[it->second - 1] == message) return it->second;
  }
  messages_.push_back(message);
  const auto id = static_cast<uint32_t>(messages_.size());
  message_at_.insert({hash, id});
  return id;
}

uint32_t Model::with(uint32_t net, uint32_t message) {
  const auto [result, fresh] = net_with_.insert(uint64_t{net} << 32 | message, 0);
  if (!fresh) return result;
  std::vector<uint32_t> ids = nets_[net];
  const auto at = std::lower_bound(ids.begin(), ids.end(), message);
  if (at != ids.end() && *at == message) return result = net;
  ids.insert(at, message);
  uint64_t hash = 5;
  for (uint32_t id : ids) hash = mix(hash, id);
  for (auto [same, end] = net_at_.equal_range(hash); same != end; ++same) {
    if (nets_[same->second] == ids) return result = same->second;
  }
  nets_.push_back(std::move(ids));
  const auto id = static_cast<uint32_t>(nets_.size() - 1);
  net_at_.insert({hash, id});
  return result = id;
}

const Model::Step& Model::step_of(uint32_t process, Kind kind, uint32_t arg) {
  const uint64_t key =
      static_cast<uint64_t>(process) << 32 | static_cast<uint64_t>(kind) << 27 | (arg & 0x7FFFFFF);
  const auto [at, fresh] = step_at_.insert(key, static_cast<uint32_t>(steps_.size()));
  if (!fresh) return steps_[at];
  steps_.emplace_back();
  Step& s = steps_.back();
  Input input{kind, arg, kind == Kind::deliver ? &messages_[arg - 1] : nullptr};
  Process p = processes_[process].process.clone();
  StepResult result = step(plan_.setup, &p, input);
  s.refused = result.refused;
  s.truncated = result.truncated;
  s.installed = result.installed;
  s.reads_done = result.reads_done;
  s.applied = std::move(result.applied);
  s.error = std::move(result.error);
  for (const Message& m : result.sent) s.sent.push_back(intern(m));
  if (s.refused) {
    s.next = process;
    return s;
  }
  const uint64_t next_hash = p.hash();
  if (processes_[process].twin) compare_twin(processes_[process], s, next_hash, input);
  s.next = intern(std::move(p));
  return s;
}

// Equal hashes, equal futures: a process that hashed alike must do alike (state_hash.cpp).
void Model::compare_twin(Seen& seen, const Step& step, uint64_t next_hash, const Input& input) {
  Process p = seen.twin->clone();
  StepResult result = explore::step(plan_.setup, &p, input);
  ++twins_compared_;
  std::vector<uint32_t> sent;
  for (const Message& m : result.sent) sent.push_back(intern(m));
  const char* differs = nullptr;
  if (p.hash() != next_hash) differs = "what becomes of them";
  if (result.error != step.error) differs = "what they break";
  if (result.applied != step.applied) differs = "what they apply";
  if (sent != step.sent) differs = "what they send";
  if (result.refused != step.refused) differs = "what they refuse";
  if (differs == nullptr) return;
  fail("S25: two processes of equal hash differ in " + std::string(differs) + " after " +
       (input.message ? describe(*input.message) : name_of(input.kind)) + "\n" +
       describe_sent(step.sent) + "or\n" + describe_sent(sent));
}

std::string Model::describe_sent(const std::vector<uint32_t>& sent) const {
  std::string out;
  for (uint32_t id : sent) out += "  " + describe(messages_[id - 1]) + "\n";
  return out;
}

// --- moving -----------------------------------------------------------------------------

bool Model::move(State* s, unsigned node, Kind kind, uint32_t arg, std::vector<uint32_t>* sent) {
  const bool led = processes_[s->process[node]].leads;
  const Step& step = step_of(s->process[node], kind, arg);
  if (step.refused) return false;
  bool same = step.next == s->process[node];
  // Sent again: it is there for ever anyway.
  const auto& net = nets_[s->net];
  for (size_t i = 0; same && i < step.sent.size(); ++i)
    same = std::binary_search(net.begin(), net.end(), step.sent[i]);
  if (!step.error.empty()) fail("node " + std::to_string(node + 1) + ": " + step.error);
  if (same && error_.empty()) return false;
  ++marks_.kinds[static_cast<size_t>(kind)];
  marks_.truncations += step.truncated;
  marks_.installs += step.installed;
  marks_.reads += step.reads_done;
  s->process[node] = step.next;
  sent->insert(sent->end(), step.sent.begin(), step.sent.end());
  note_applied(s, node, step);
  if (!led && processes_[step.next].leads) check_begins_to_lead(*s, node);
  check(s, node);
  return true;
}

bool Model::send(State* s, const std::vector<uint32_t>& sent) {
  for (uint32_t id : sent) s->net = with(s->net, id);
  const bool fits = nets_[s->net].size() <= plan_.bounds.messages;
  if (!fits) ++marks_.cut;
  return fits || !error_.empty();
}

bool Model::count(State* s, Kind kind) const {
  if (kind == Kind::deliver || kind == Kind::persist) return true;
  if (times(*s, kind) >= plan_.bounds.times[static_cast<size_t>(kind)]) return false;
  ++times(s, kind);
  return true;
}

void Model::add_input(const State& from, unsigned node, Kind kind, uint32_t arg,
                      std::vector<Next>* out) {
  if (!error_.empty()) return;
  State s = from;
  std::vector<uint32_t> sent;
  if (!count(&s, kind) || !move(&s, node, kind, arg, &sent) || !send(&s, sent)) return;
  const bool begins = processes_[s.process[node]].leads && !processes_[from.process[node]].leads;
  marks_.handed += begins && times(s, Kind::transfer) > 0 && times(s, Kind::expire) == 0;
  out->push_back({s, {kind, false, static_cast<uint8_t>(node), arg}});
}

void Model::expand_node(const State& from, unsigned node, std::vector<Next>* out) {
  for (Kind kind : {Kind::expire, Kind::heartbeat, Kind::quiet, Kind::persist, Kind::snapshot,
                    Kind::vote_first})
    add_input(from, node, kind, 0, out);
  const Process& p = process(from, node);
  for (uint32_t kept = 0; kept <= p.writes.size(); ++kept)
    add_input(from, node, Kind::crash, kept, out);
  add_input(from, node, Kind::propose, times(from, Kind::propose), out);
  const uint32_t token = (times(from, Kind::read) + 1u) << 16 | ledger_[from.ledger].length;
  add_input(from, node, Kind::read, token, out);
  for (uint32_t i = 0; i < plan_.setup.memberships.size(); ++i)
    add_input(from, node, Kind::change, i, out);
  for (uint32_t to = 1; to <= plan_.nodes; ++to) {
    if (to != node + 1) add_input(from, node, Kind::transfer, to, out);
  }
  if (from.elections >= plan_.bounds.elections) return;
  for (uint32_t voters = 0; voters < (1u << plan_.nodes) && error_.empty(); ++voters) {
    if (voters >> node & 1) continue;
    State s = from;
    std::vector<uint32_t> sent;
    if (!elect(&s, node, voters, &sent)) continue;
    ++s.elections;
    ++marks_.elections;
    if (!send(&s, sent)) continue;
    out->push_back({s, {Kind::expire, true, static_cast<uint8_t>(node), voters}});
  }
}

void Model::expand(const State& from, std::vector<Next>* out) {
  for (size_t i = 0; i < nets_[from.net].size(); ++i) {
    const uint32_t id = nets_[from.net][i];
    const auto node = static_cast<unsigned>(messages_[id - 1].to.value - 1);
    if (node < plan_.nodes) add_input(from, node, Kind::deliver, id, out);
  }
  for (unsigned node = 0; node < plan_.nodes && error_.empty(); ++node)
    expand_node(from, node, out);
}

// --- compound actions -------------------------------------------------------------------

// A whole election in one action: `node` times out and is heard by exactly `voters`, whose
// answers arrive; their disks are quick. Only real steps, in one order; true if it leads now
// and needed all of them.
bool Model::elect(State* s, unsigned node, uint32_t voters, std::vector<uint32_t>* sent) {
  if (process(*s, node).node.role() == Role::leader) return false;
  std::vector<uint32_t> none;
  const auto disk = [&](unsigned i, std::vector<uint32_t>* into) {
    while (error_.empty() && move(s, i, Kind::persist, 0, into)) {
    }
  };
  for (unsigned i = 0; i < plan_.nodes; ++i) {
    if (!(voters >> i & 1)) continue;
    const bool leads = process(*s, i).node.role() == Role::leader;
    move(s, i, leads ? Kind::expire : Kind::quiet, 0, &none);
    disk(i, &none);
  }
  std::vector<uint32_t> queue;
  disk(node, &none);
  move(s, node, Kind::expire, 0, &queue);
  disk(node, &queue);
  uint32_t heard = 0;
  for (size_t at = 0; at < queue.size() && at < 64 && error_.empty(); ++at) {
    const Message& m = messages_[queue[at] - 1];
    const auto to = static_cast<unsigned>(m.to.value - 1);
    if (!is_vote(m)) {
      sent->push_back(queue[at]);
      continue;
    }
    if (to != node && !(voters >> to & 1)) continue;
    if (to == node && process(*s, node).node.role() == Role::leader) continue;
    heard |= to == node ? 1u << (m.from.value - 1) : 0;
    move(s, to, Kind::deliver, queue[at], &queue);
    disk(to, &queue);
  }
  if (!error_.empty()) return true;
  return process(*s, node).node.role() == Role::leader && heard == voters;
}

// Among some nodes every message arrives once and every disk finishes, until nothing moves; what
// was sent to or from others is lost.
void Model::settle(State* s, uint32_t among) {
  std::vector<uint32_t> queue = nets_[s->net];
  for (size_t at = 0; error_.empty(); ++at) {
    for (unsigned i = 0; i < plan_.nodes; ++i) {
      while (error_.empty() && (among >> i & 1) && move(s, i, Kind::persist, 0, &queue)) {
      }
    }
    if (at >= queue.size()) break;
    const Message& m = messages_[queue[at] - 1];
    const auto to = static_cast<unsigned>(m.to.value - 1);
    const bool heard = (among >> to & 1) && (among >> (m.from.value - 1) & 1);
    if (heard && to < plan_.nodes) move(s, to, Kind::deliver, queue[at], &queue);
  }
  s->net = 0;
}

bool Model::act(const Action& action, State* state) {
  const auto& net = nets_[state->net];
  State s = *state;
  unsigned node = action.node % plan_.nodes;
  uint32_t arg = action.arg;
  std::vector<uint32_t> sent;
  if (action.elect) {
    if (!elect(&s, node, arg & ((1u << plan_.nodes) - 1) & ~(1u << node), &sent)) return false;
  } else {
    if (action.kind == Kind::deliver) {
      if (net.empty()) return false;
      arg = net[arg % net.size()];
      node = static_cast<unsigned>(messages_[arg - 1].to.value - 1);
      if (node >= plan_.nodes) return false;
    }
    if (action.kind == Kind::propose) arg = times(s, Kind::propose);
    if (action.kind == Kind::read)
      arg = (times(s, Kind::read) + 1u) << 16 | ledger_[s.ledger].length;
    if (action.kind == Kind::change) {
      if (plan_.setup.memberships.empty()) return false;
      arg %= plan_.setup.memberships.size();
    }
    if (action.kind == Kind::transfer) arg = arg % plan_.nodes + 1;
    if (times(s, action.kind) < UINT8_MAX) ++times(&s, action.kind);
    if (!move(&s, node, action.kind, arg, &sent)) return false;
  }
  for (uint32_t id : sent) s.net = with(s.net, id);
  *state = s;
  return true;
}

State Model::first() {
  State s;
  for (unsigned i = 0; i < plan_.nodes; ++i) {
    s.process[i] = intern(boot(plan_.setup, NodeId(i + 1)));
  }
  // Entry 1 is agreed by definition: it is the configuration everybody was given.
  const Process& any = process(s, 0);
  ledger_.push_back(
      {0, 1, {Index(1), Term(1), any.memory_chains[1], hash_of(plan_.setup.first)}, Term()});
  s.ledger = 1;
  for (const std::string& line : plan_.prefix) {
    if (!act(line, &s)) fail("the prefix does not work: " + line);
  }
  s.used = {};
  s.elections = 0;
  return s;
}

}  // namespace raftcs::explore
