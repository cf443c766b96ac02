// scenario.cpp: a scripted world; see scenario.hpp.
#include "sim/scenario.hpp"

#include "raftcs.h"

namespace raftcs::sim {
namespace {

Profile profile_of(const ScenarioOptions& o) {
  Profile p;
  p.seed = o.seed;
  p.nodes = o.nodes;
  p.clients = o.clients;
  p.sessions = 1;
  p.ops = 0;
  p.delay_mean_ns = o.delay_mean_ns;
  return p;
}

}  // namespace

Scenario::Scenario(const ScenarioOptions& options)
    : Cluster(profile_of(options), options.verbose), options_(options) {
  before_ = set_check_handler(remember_check);
  faulty_ = false;
  begin();
  if (options.wait) run_until([this] { return connected(); }, 20 * kNsPerSecond);
}

Scenario::~Scenario() { set_check_handler(before_); }

client::SessionOptions Scenario::options_of(const SimClient& client) const {
  client::SessionOptions o = Cluster::options_of(client);
  o.session_timeout_ms = options_.timeout_ms;
  o.renew_on_expiry = options_.renew;
  return o;
}

void Scenario::session_lost(uint32_t c, WorkSession& s, const client::Event& e) {
  if (clients_[c].zombie) return Cluster::session_lost(c, s, e);
  lost_.resize(std::max<size_t>(lost_.size(), c + 1));
  ++lost_[c];
  note("client " + std::to_string(c) + " lost its session: " + e.text);
  if (e.status != RAFTCS_ERR_SESSION_EXPIRED) fail("a session was lost: " + e.text);
  if (!model_.has_ended(s.id)) fail("a session was reported as expired and had not ended");
  s.lost = !options_.renew;
  s.pushes = s.last_push_position = 0;
}

void Scenario::run(DurationNs duration) {
  const Mono end = now_ + duration;
  while (report_.ok && !queue_.empty() && queue_.top().at <= end) step();
  now_ = std::max(now_, end);
}

bool Scenario::run_until(const std::function<bool()>& condition, DurationNs bound) {
  const Mono end = now_ + bound;
  while (!condition()) {
    if (!report_.ok || now_ > end || !step()) return false;
  }
  return true;
}

void Scenario::begin_work(uint32_t c, uint32_t commands) {
  WorkSession& s = clients_[c].sessions[0];
  for (uint32_t i = 0; i < commands; ++i) {
    client::Engine::Call call;
    call.session = s.handle;
    call.op_id = call.tag = ++next_op_;
    call.service = "ledger";
    OpRecord r;
    r.begun = now_;
    r.op = {1, s.who, s.next++};
    call.payload = Bytes::copy(&r.op, sizeof r.op);
    s.open[call.op_id] = records_.size();
    records_.push_back(r);
    clients_[c].engine->submit(std::move(call), time_of(c));
  }
  s.last = s.next;
  drive_client(c);
}

bool Scenario::work(DurationNs bound) {
  const size_t first = records_.size();
  for (uint32_t c = 0; c < clients_.size(); ++c)
    if (clients_[c].engine && !session(c).lost) begin_work(c, 1);
  auto none_open = [this] {
    for (const SimClient& c : clients_)
      if (c.engine && !c.sessions[0].open.empty()) return false;
    return true;
  };
  if (!run_until(none_open, bound)) return false;
  for (size_t i = first; i < records_.size(); ++i)
    if (records_[i].outcome != RAFTCS_OUTCOME_APPLIED) return false;
  return true;
}

bool Scenario::connected() {
  for (const SimClient& c : clients_)
    if (c.engine && !c.sessions[0].lost &&
        c.engine->info(c.sessions[0].handle).state != client::SessionState::connected)
      return false;
  return true;
}

size_t Scenario::unknown() const {
  size_t n = 0;
  for (const OpRecord& r : records_)
    n += r.ended != Mono::never() && r.outcome == RAFTCS_OUTCOME_UNKNOWN ? 1 : 0;
  return n;
}

uint64_t Scenario::hits(const std::string& event) const {
  auto it = report_.hits.find(event);
  return it == report_.hits.end() ? 0 : it->second;
}

void Scenario::new_leader() {
  SimNode* old = leader();
  if (old == nullptr) return;
  const uint64_t to = old->id.value % p_.nodes + 1;
  ask(*old, "transfer", "{\"to\":" + std::to_string(to) + "}");
  run_until([&] { return leader() != nullptr && leader() != old; }, 5 * kNsPerSecond);
}

void Scenario::stop(SimNode& n) {
  note("node " + to_string(n.id) + " stops");
  stop_process(n);
  n.disk.crash(faults_);
}

void Scenario::restart(SimNode& n) {
  if (!n.up) start(n);
}

void Scenario::jump(SimNode& n, DurationNs by) { jump_clock(n, by); }

void Scenario::jump_client(uint32_t c, DurationNs by) {
  clients_[c].clock.offset_ns += by;
  clients_[c].timer_at = Mono::never();
  drive_client(c);
}

void Scenario::set_rate(SimNode& n, double rate) {
  jumps_ = true;
  const Mono local = n.clock.local(now_);
  n.clock.rate = rate;
  n.clock.offset_ns += local.ns - n.clock.local(now_).ns;
  n.timer_at = Mono::never();
  drive(n);
}

void Scenario::set_client_rate(uint32_t c, double rate) {
  SimClock& clock = clients_[c].clock;
  const Mono local = clock.local(now_);
  clock.rate = rate;
  clock.offset_ns += local.ns - clock.local(now_).ns;
  clients_[c].timer_at = Mono::never();
  drive_client(c);
}

void Scenario::open_another(uint32_t c) {
  WorkSession s;
  s.who = 1000 + c;
  clients_[c].sessions.push_back(s);
  open_session(c, clients_[c].sessions.back());
  drive_client(c);
}

std::set<Uuid> Scenario::ids() const {
  std::set<Uuid> ids;
  for (const SimClient& c : clients_)
    for (const WorkSession& s : c.sessions) ids.insert(s.id);
  return ids;
}

uint64_t Scenario::kind(const std::string& name) const {
  auto it = model_.kinds().find(name);
  return it == model_.kinds().end() ? 0 : it->second;
}

void Scenario::ask_for(SimNode& n, uint32_t c) {
  hostile_.conn = ++next_conn_;
  hostile_.node = n.id;
  hostile_.life = n.life;
  hostile_.nonce = 7;
  hostile_.id = newest(c).id;
  hostile_says({wire::Hello{}, wire::ContinueSession{1, 7, hostile_.id, hostile_.id, PushId()}});
}

Report Scenario::end() {
  run_until([this] { return clients_done() && replicas_equal(); }, 30 * kNsPerSecond);
  finish();
  return report_;
}

}  // namespace raftcs::sim
