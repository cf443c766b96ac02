// node_harness.cpp: see node_harness.hpp.
#include "support/node_harness.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "wire/codec.hpp"

namespace raftcs::test {
namespace {

constexpr DurationNs kPeerDelayNs = kMs;
constexpr DurationNs kLogRetryNs = 50 * kMs;

// A test that cannot even be set up ends here, with the reason.
void give_up(const std::string& why) {
  std::fprintf(stderr, "node harness: %s\n", why.c_str());
  std::abort();
}

std::string client_address(uint64_t id) { return "tcp://10.0.0." + std::to_string(id) + ":7001"; }
std::string peer_address(uint64_t id) { return "tcp://10.0.0." + std::to_string(id) + ":7101"; }

class MoreTypes final : public sim::LedgerTypes {
 public:
  explicit MoreTypes(const NodeHarness::Types& more) : more_(more) {}
  const raftcs_sm_type_t* find(const std::string& id) override {
    for (const raftcs_sm_type_t* type : more_)
      if (id == type->id) return type;
    return LedgerTypes::find(id);
  }

 private:
  const NodeHarness::Types& more_;
};

}  // namespace

NodeHarness::NodeHarness(uint64_t count, const Adjust& adjust, Types types)
    : more_types_(std::move(types)) {
  std::vector<server::ClusterMember> members;
  for (uint64_t i = 1; i <= count; ++i)
    members.push_back({NodeId(i), peer_address(i), client_address(i)});
  for (uint64_t i = 1; i <= count; ++i) {
    auto m = std::make_unique<Machine>();
    m->options.id = NodeId(i);
    m->options.data_dir = "/data";
    m->options.cluster = members;
    m->options.client_advertise = client_address(i);
    m->options.peer_advertise = peer_address(i);
    m->options.segment_bytes = 1 << 20;
    m->options.disk_reserve_bytes = 0;
    if (adjust) adjust(m->options);
    m->random = std::make_unique<SeededRandom>(i);
    machines_.push_back(std::move(m));
  }
  for (uint64_t i = 1; i <= count; ++i) start(i);
}

NodeHarness::~NodeHarness() {
  for (uint64_t i = 1; i <= size(); ++i) kill(i);
}

void NodeHarness::start(uint64_t id) {
  Machine& m = at(id);
  std::vector<std::string> notes;
  auto dir = server::open_data_dir(m.disk, m.options, *m.random, &notes);
  if (!dir) return give_up(dir.status().text());
  m.lines.insert(m.lines.end(), notes.begin(), notes.end());
  m.dir = std::move(*dir);
  auto image = server::boot_image(*m.dir, m.options);
  if (!image) return give_up(image.status().text());
  m.types = std::make_unique<MoreTypes>(more_types_);
  m.log_lane = std::make_unique<server::LogLane>(*m.dir);
  m.apply_lane = std::make_unique<server::ApplyLane>(*m.dir, *m.types, rsm::Limits{});
  m.snapshot_lane = std::make_unique<server::SnapshotLane>(*m.dir);
  server::NodeEnvironment environment;
  environment.random = m.random.get();
  environment.list_plugins = [this] {
    server::PluginFile file{"", "types", "1", {sim::kLedgerType}, ""};
    for (const raftcs_sm_type_t* type : more_types_) file.types.emplace_back(type->id);
    return std::vector<server::PluginFile>{file};
  };
  if (m.dir->healing() != nullptr) environment.healing = *m.dir->healing();
  m.node = std::make_unique<server::Node>(m.options, m.dir->identity(), std::move(*image),
                                          environment, now_);
  m.node->set_invariant_checks(true);
  m.log_retry_at = now_;
  m.stopped = false;
}

void NodeHarness::kill(uint64_t id) {
  Machine& m = at(id);
  m.node.reset();
  m.snapshot_lane.reset();
  m.apply_lane.reset();
  m.log_lane.reset();
  m.types.reset();
  m.dir.reset();
  m.log.clear();
  m.apply.clear();
  m.snapshot.clear();
  m.disk.restart_process();
  std::erase_if(wire_, [&](const PeerFrame& f) { return f.to == id; });
}

void NodeHarness::wipe(uint64_t id) { at(id).disk.wipe(); }

uint64_t NodeHarness::start_joiner() {
  const uint64_t id = size() + 1;
  auto m = std::make_unique<Machine>();
  m->options = at(1).options;
  m->options.id = NodeId(id);
  m->options.cluster.clear();
  m->options.join = {client_address(1)};
  m->options.join_cluster = at(1).dir->identity().cluster;
  m->options.client_advertise = client_address(id);
  m->options.peer_advertise = peer_address(id);
  m->random = std::make_unique<SeededRandom>(id);
  machines_.push_back(std::move(m));
  start(id);
  return id;
}

void NodeHarness::isolate(uint64_t id, bool on) { at(id).isolated = on; }
void NodeHarness::hold_log(uint64_t id, bool on) { at(id).hold_log = on; }
void NodeHarness::hold_apply(uint64_t id, bool on) { at(id).hold_apply = on; }

void NodeHarness::take_effects(uint64_t id) {
  Machine& m = at(id);
  server::NodeEffects e = m.node->take_effects(now_);
  std::move(e.log.begin(), e.log.end(), std::back_inserter(m.log));
  std::move(e.apply.begin(), e.apply.end(), std::back_inserter(m.apply));
  std::move(e.snapshot.begin(), e.snapshot.end(), std::back_inserter(m.snapshot));
  m.peer_frames += e.peer_frames.size();
  for (auto& f : e.peer_frames) {
    const uint64_t to = f.peer.value;
    if (to == 0 || to > size() || m.isolated || at(to).isolated) continue;
    wire_.push_back({now_ + kPeerDelayNs, id, to, std::move(f.frame)});
  }
  for (const auto& f : e.client_frames) {
    wire::DecodeError error;
    if (!wire::decode_server_frame(f.frame, {}, &inboxes_[f.conn], &error))
      give_up("a node sent a client a frame that cannot be read: " + error.text);
  }
  for (auto& line : e.lines) m.lines.push_back(std::move(line.text));
  for (auto& reply : e.local_replies) m.admin_replies[reply.token] = std::move(reply.result);
  m.stopped = m.stopped || e.stopped;
}

bool NodeHarness::run_lanes(Machine& m) {
  bool worked = false;
  if (!m.hold_log && !m.log.empty() && now_ >= m.log_retry_at) {
    worked = true;
    for (const server::LogDone& done : m.log_lane->run(&m.log)) {
      if (!done.status.is_ok()) m.log_retry_at = now_ + kLogRetryNs;
      m.node->log_done(done, now_);
    }
  }
  if (!m.hold_apply && !m.apply.empty()) {
    worked = true;
    server::ApplyDone done;
    m.apply_lane->run(&m.apply, &done);
    if (!done.halted.is_ok()) give_up("applying halted: " + done.halted.text());
    m.node->apply_done(std::move(done), now_);
  }
  while (!m.snapshot.empty()) {
    worked = true;
    server::SnapshotJob job = std::move(m.snapshot.front());
    m.snapshot.pop_front();
    m.node->snapshot_done(m.snapshot_lane->run(job, [] { return false; }), now_);
  }
  return worked;
}

bool NodeHarness::drive(uint64_t id) {
  Machine& m = at(id);
  if (!m.node) return false;
  bool worked = false;
  if (now_ >= m.node->next_deadline()) m.node->tick(now_);
  take_effects(id);
  while (run_lanes(m)) {
    worked = true;
    take_effects(id);
  }
  return worked;
}

void NodeHarness::settle() {
  for (uint64_t id = 1; id <= size(); ++id) drive(id);
}

void NodeHarness::deliver_due() {
  while (!wire_.empty() && wire_.front().at <= now_) {
    PeerFrame f = std::move(wire_.front());
    wire_.pop_front();
    Machine& to = at(f.to);
    if (!to.node || to.isolated || at(f.from).isolated) continue;
    to.node->peer_frame(f.frame, now_);
  }
}

Mono NodeHarness::next_event() {
  Mono next = wire_.empty() ? Mono::never() : wire_.front().at;
  for (auto& m : machines_) {
    if (!m->node) continue;
    next = std::min(next, m->node->next_deadline());
    if (!m->log.empty() && !m->hold_log) next = std::min(next, m->log_retry_at);
  }
  return std::max(next, now_ + 1000);  // a deadline that has passed never stops time
}

bool NodeHarness::run_until(const std::function<bool()>& condition, DurationNs time) {
  const Mono end = now_ + time;
  settle();
  while (!condition()) {
    const Mono next = next_event();
    if (next > end) {
      now_ = end;
      settle();
      return condition();
    }
    now_ = next;
    deliver_due();
    settle();
  }
  return true;
}

void NodeHarness::run(DurationNs time) {
  run_until([] { return false; }, time);
}

uint64_t NodeHarness::wait_for_leader() {
  uint64_t leader = 0;
  run_until(
      [&] {
        leader = 0;
        for (uint64_t id = 1; id <= size(); ++id)
          if (up(id) && node(id).serving() && node(id).raft().has_quorum_contact(now_) &&
              (leader == 0 || node(id).info().term > node(leader).info().term))
            leader = id;
        return leader != 0;
      },
      10 * kNsPerSecond);
  if (leader != 0) run(20 * kMs);  // the others hear of it; the ledger service comes
  return leader;
}

server::AdminResult NodeHarness::admin(uint64_t id, const std::string& verb,
                                       const std::string& args) {
  Machine& m = at(id);
  const uint64_t token = ++admin_tokens_;
  m.node->admin(token, verb, args, now_);
  if (!run_until([&] { return m.admin_replies.contains(token); }, 5 * kNsPerSecond))
    return {{RAFTCS_ERR_TIMED_OUT, "the admin call was not answered"}, {}};
  return m.admin_replies[token];
}

net::ConnId NodeHarness::connect(uint64_t id) {
  (void)at(id);  // must exist
  return ++conns_;
}

void NodeHarness::send(uint64_t id, net::ConnId conn, const Bytes& frame) {
  if (up(id)) node(id).client_frame(conn, frame, now_);
}

std::vector<wire::ServerMessage> NodeHarness::take(net::ConnId conn) {
  return std::exchange(inboxes_[conn], {});
}

// --- TestClient -----------------------------------------------------------------------------

void TestClient::send(const wire::ClientMessage& message) {
  send(std::vector<wire::ClientMessage>{message});
}

void TestClient::send(const std::vector<wire::ClientMessage>& messages) {
  wire::FrameBuilder builder;
  for (const wire::ClientMessage& m : messages) builder.add(m);
  for (const Bytes& frame : builder.take()) cluster_.send(node_, conn_, frame);
}

Uuid TestClient::proof_of(uint64_t secret) {
  Uuid proof;
  std::memcpy(proof.bytes.data(), &secret, sizeof secret);
  proof.bytes[15] = 0x5e;
  return proof;
}

void TestClient::ask_create(wire::Channel channel, uint64_t secret, uint64_t timeout_ms) {
  send(wire::CreateSession{
      channel, cluster_.next_nonce(), proof_of(secret), timeout_ms, {{"kind", "test"}}});
}

bool TestClient::create(wire::Channel channel, uint64_t secret, uint64_t timeout_ms) {
  ask_create(channel, secret, timeout_ms);
  auto opened = [&] {
    collect();
    return !session(channel).is_zero();
  };
  return cluster_.run_until(opened, 2 * kNsPerSecond);
}

bool TestClient::resume(wire::Channel channel, const Uuid& session_id, uint64_t secret) {
  const uint64_t nonce = cluster_.next_nonce();
  send(wire::ContinueSession{channel, nonce, session_id, proof_of(secret), PushId(), HolderId()});
  cluster_.settle();
  auto answer = last<wire::SessionContinued>();
  if (!answer || answer->nonce != nonce) return false;
  sessions_[channel] = session_id;
  return true;
}

void TestClient::command(wire::Channel channel, uint64_t id, size_t bytes) {
  std::vector<uint8_t> payload(std::max(bytes, sizeof(sim::LedgerOp)));
  const sim::LedgerOp op{1, conn_ << 8 | channel, id};
  std::memcpy(payload.data(), &op, sizeof op);
  send(wire::Request{channel, RequestId(id), RequestId(1), "ledger",
                     Bytes::copy(payload.data(), payload.size())});
}

Uuid TestClient::session(wire::Channel channel) const {
  auto it = sessions_.find(channel);
  return it == sessions_.end() ? Uuid() : it->second;
}

void TestClient::collect() {
  for (wire::ServerMessage& m : cluster_.take(conn_)) {
    if (const auto* created = std::get_if<wire::SessionCreated>(&m))
      sessions_[created->channel] = created->session;
    received_.push_back(std::move(m));
  }
}

}  // namespace raftcs::test
