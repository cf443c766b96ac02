// sim_hostile.cpp: a program that says what no client should (X12).
//
// Without an engine: it uses request ids again with other payloads and out of order, claims
// lowest_pending at random, acknowledges pushes that were never sent, comes with wrong proofs,
// to nodes that do not lead, on channels that are not bound, and sends frames that are cut off.
// What the replicas make of it is compared with the model like everything else; here it is
// checked that a request id has one reply for ever (X2) and that the server's answers decode.
#include <algorithm>
#include <cstring>

#include "raftcs.h"
#include "sim/sim_world.hpp"
#include "wire/codec.hpp"

namespace raftcs::sim {
namespace {

constexpr uint64_t kHostileIds = 24;
constexpr uint64_t kHostileTimeoutMs = 1'500;

}  // namespace

void Cluster::make_hostile() {
  hostile_.proof.bytes[0] = 0xee;
  after(50 * kNsPerMs, [this] { hostile_turn(); });
}

void Cluster::hostile_turn() {
  if (!faulty_ || !report_.ok) {
    hostile_.conn = 0;
    return;
  }
  after(static_cast<DurationNs>(faults_.between(5, 120)) * kNsPerMs, [this] { hostile_turn(); });
  if (hostile_.conn == 0 || !node(hostile_.node).up || node(hostile_.node).life != hostile_.life ||
      faults_.chance(hostile_.bound ? 0.03 : 0.2))
    return hostile_goes(NodeId(faults_.between(1, p_.nodes)));
  std::vector<wire::ClientMessage> messages;
  for (uint64_t n = faults_.between(1, 4); n > 0; --n) messages.push_back(hostile_request());
  hostile_says(messages);
}

// A new connection, and the session of its proof: created, continued, or with a wrong proof.
void Cluster::hostile_goes(NodeId to) {
  hostile_.conn = ++next_conn_;
  hostile_.node = to;
  hostile_.life = node(to).life;
  hostile_.bound = false;
  hostile_.channel = static_cast<wire::Channel>(faults_.between(1, 3));
  ++hostile_.nonce;
  wire::Hello hello;
  hello.client_name = "hostile";
  std::vector<wire::ClientMessage> messages{hello};
  if (hostile_.id.is_zero() || faults_.chance(0.3)) {
    wire::CreateSession create;
    create.channel = hostile_.channel;
    create.nonce = hostile_.nonce;
    create.proof = hostile_.proof;
    create.timeout_ms = kHostileTimeoutMs;
    create.capabilities = {{"hostile", "1"}};
    messages.push_back(create);
  } else {
    wire::ContinueSession m{hostile_.channel, hostile_.nonce, hostile_.id, hostile_.proof,
                            PushId(faults_.below(5))};
    if (faults_.chance(0.1)) {
      m.proof.bytes[15] ^= 1;
      hit("a wrong proof was tried");
    }
    messages.push_back(m);
  }
  hostile_says(messages);
}

wire::ClientMessage Cluster::hostile_request() {
  wire::Channel channel = faults_.chance(0.05) ? 9 : hostile_.channel;
  switch (faults_.below(12)) {
    case 0:
      return wire::PushAck{channel, PushId(faults_.below(1000))};
    case 1:
      return wire::KeepAlive{channel, faults_.next()};
    case 2:
      if (faults_.chance(0.1)) return wire::CloseSession{channel};
      break;
    default:
      break;
  }
  if (!hostile_.bound) return wire::KeepAlive{hostile_.channel, 1};
  wire::Request r;
  r.channel = channel;
  r.id = RequestId(faults_.between(1, kHostileIds + hostile_.sent / 50));
  r.lowest_pending = RequestId(faults_.chance(0.1) ? faults_.between(1, r.id.value)
                                                   : std::min(r.id.value, hostile_.sent / 60 + 1));
  r.service = "ledger";
  ++hostile_.sent;
  uint64_t variant = faults_.chance(0.2) ? 1 : 0;
  LedgerOp op{r.id.value % 5 == 0 ? 2u : 1u, kHostileWho,
              hostile_.era << 32 | r.id.value << 4 | variant};
  LedgerLoad load;  // it knows no limit
  if (p_.payloads && r.id.value % 7 == 3) load.padding = 200 * static_cast<uint32_t>(r.id.value);
  r.payload = encode({op, load});
  return r;
}

void Cluster::hostile_says(const std::vector<wire::ClientMessage>& messages) {
  wire::FrameBuilder builder;
  for (const wire::ClientMessage& m : messages) builder.add(m);
  SimNode& n = node(hostile_.node);
  net::ConnId conn = hostile_.conn;
  uint64_t life = hostile_.life;
  for (Bytes& built : builder.take()) {
    Bytes frame = faults_.chance(0.02) ? Bytes::copy(built.data(), built.size() / 2) : built;
    // One delay for all, so that order is kept as on a connection.
    after(p_.delay_mean_ns, [this, &n, conn, life, frame] {
      with_node(n, life, [this, &n, conn, frame] {
        n.node->client_frame(conn, frame, n.clock.local(now_));
      });
    });
  }
}

void Cluster::hostile_receives(net::ConnId conn, const Bytes& frame) {
  after(p_.delay_mean_ns, [this, conn, frame] {
    if (conn != hostile_.conn) return;
    std::vector<wire::ServerMessage> messages;
    wire::DecodeError error;
    if (!wire::decode_server_frame(frame, {}, &messages, &error))
      return fail("a server sent a frame that does not decode");
    for (const wire::ServerMessage& m : messages) hostile_hears(m);
  });
}

void Cluster::hostile_hears(const wire::ServerMessage& message) {
  if (const auto* created = std::get_if<wire::SessionCreated>(&message)) {
    if (created->nonce != hostile_.nonce) return;
    if (hostile_.id != created->session) {
      if (!hostile_.id.is_zero() && !model_.has_ended(hostile_.id))
        fail("one proof has two sessions");  // X9
      hostile_.replies.clear();
      ++hostile_.era;
    }
    hostile_.id = created->session;
    hostile_.bound = true;
  } else if (const auto* continued = std::get_if<wire::SessionContinued>(&message)) {
    if (continued->nonce == hostile_.nonce) hostile_.bound = true;
  } else if (const auto* rejected = std::get_if<wire::SessionRejected>(&message)) {
    if (rejected->nonce != hostile_.nonce) return;
    if (rejected->reason != wire::RejectReason::session_expired) return;
    if (!hostile_.id.is_zero() && !model_.has_ended(hostile_.id))
      fail("a session was denied that had not ended");
    hostile_.id = Uuid();  // begin anew
    hostile_.proof.bytes[1]++;
    hostile_.conn = 0;
  } else if (const auto* closed = std::get_if<wire::SessionClosed>(&message)) {
    if (closed->channel == hostile_.channel) hostile_.bound = false;
  } else if (const auto* r = std::get_if<wire::Response>(&message)) {
    std::string reply = std::to_string(r->app_code) + "/" + r->result.str();
    auto [it, fresh] = hostile_.replies.emplace(r->id.value, reply);
    if (!fresh && it->second != reply) fail("a request id has two replies");  // X2
  } else if (const auto* e = std::get_if<wire::RequestError>(&message)) {
    if (e->status == RAFTCS_ERR_TOO_LARGE) hit("TOO_LARGE was answered");
    if (e->status == RAFTCS_ERR_MISUSE) hit("misuse was answered");
    if (e->status == RAFTCS_ERR_EVICTED) hit("evicted was answered");
  }
}

}  // namespace raftcs::sim
