// sim_net.cpp: frames on their way between nodes, and between clients and nodes.
#include <algorithm>
#include <cstring>

#include "sim/sim_world.hpp"
#include "wire/codec.hpp"

namespace raftcs::sim {

void Cluster::send_peer(SimNode& from, NodeId to, const Bytes& frame) {
  trace(frame.size(), from.id.value << 8 | to.value);
  ++peer_frames_;
  check_frame(from, frame);
  if (to.value > nodes_.size()) return;  // a connection to an address: words for people only
  if (cut(from.id, to)) {
    if (p_.stale_queues && stale_.size() < 500) stale_.push_back({from.id, to, frame});
    return;
  }
  if (faulty_ && faults_.chance(p_.loss)) return;
  if (faulty_ && p_.holds && held_back(from.id, to, frame)) return;
  if (faulty_ && p_.vote_storms && late_vote(from.id, to, frame)) return;
  int copies = faulty_ && faults_.chance(p_.duplicate) ? 2 : 1;
  for (int i = 0; i < copies; ++i) {
    Mono when = now_ + delay(p_.delay_mean_ns);
    if (p_.reorder && faulty_ && faults_.chance(0.02))
      when = when + static_cast<DurationNs>(faults_.below(400)) * kNsPerMs;
    if (!p_.reorder) {
      Mono& last = peer_fifo_[{from.id.value, to.value}];
      when = last = std::max(when, last);
    }
    if (faulty_ && p_.foreigners && faults_.chance(0.01))
      put_peer(from.id, to, foreign(frame), when);
    bool hurt = faulty_ && p_.corruption && faults_.chance(0.02);
    put_peer(from.id, to, hurt ? corrupt(frame) : frame, when);
  }
}

// A frame sent to an earlier process of that node went into a connection that is gone.
void Cluster::put_peer(NodeId, NodeId to, const Bytes& frame, Mono when, bool late) {
  SimNode& target = node(to);
  uint64_t life = target.life;
  at(when, [this, &target, frame, life, late] {
    with_node(target, life, [this, &target, frame, late] {
      const std::optional<Answer> answer = note_answers(target, frame);
      target.node->peer_frame(frame, target.clock.local(now_));
      if (answer) check_effect(target, *answer);
      const raft::NodeStatus s = target.node->raft_status();
      if (late && !target.wiped && s.role == raft::Role::leader) check_leader(target, s);
    });
  });
}

Bytes Cluster::corrupt(const Bytes& frame) {
  std::vector<uint8_t> bytes(frame.data(), frame.data() + frame.size());
  bytes[faults_.below(bytes.size())] ^= static_cast<uint8_t>(1u << faults_.below(8));
  hit("a frame was corrupted");
  return Bytes::copy(bytes.data(), bytes.size());
}

// The same from another cluster, in a term that would depose everyone.
Bytes Cluster::foreign(const Bytes& frame) {
  wire::PeerEnvelope envelope;
  std::vector<raft::Message> messages;
  wire::DecodeError error;
  if (!wire::decode_peer_frame(frame, {}, &envelope, &messages, &error)) return frame;
  envelope.cluster.bytes[0] ^= 1;
  for (raft::Message& m : messages) m.term = Term(m.term.value + kForeignTerm);
  hit("a foreign frame came");
  return wire::encode_peer_frame(envelope, messages);
}

// Keeps some frames with a message of the chosen kind until they hurt: the next leader leads, the
// receiver leads again or asks for votes, or a while has passed.
bool Cluster::held_back(NodeId from, NodeId to, const Bytes& frame) {
  if (held_.size() >= 40 || !faults_.chance(0.1)) return false;
  wire::PeerEnvelope envelope;
  std::vector<raft::Message> messages;
  wire::DecodeError error;
  if (!wire::decode_peer_frame(frame, {}, &envelope, &messages, &error)) return false;
  bool chosen = false;
  for (const raft::Message& m : messages) chosen = chosen || m.body.index() == held_kind_;
  if (!chosen) return false;
  const auto release = static_cast<Release>(faults_.below(4));
  const DurationNs most = 6 * p_.election_ms * kNsPerMs;
  held_.push_back({from, to, frame, release,
                   now_ + static_cast<DurationNs>(faults_.below(static_cast<uint64_t>(most)))});
  return true;
}

void Cluster::release_held(Release event, NodeId receiver) {
  for (size_t at = held_.size(); at-- > 0;) {
    const Late& l = held_[at];
    const bool mine = event == Release::next_leader || l.to == receiver;
    if (healed_ || (l.release == event && mine) || (l.release == Release::later && l.due <= now_))
      release_late(at);
  }
  if (event == Release::next_leader)
    held_kind_ = faults_.below(std::variant_size_v<raft::MessageBody>);
}

void Cluster::release_late(size_t at) {
  const Late late = std::move(held_[at]);
  held_.erase(held_.begin() + static_cast<std::ptrdiff_t>(at));
  hit("a held frame was released");
  put_peer(late.from, late.to, late.frame, now_ + delay(p_.delay_mean_ns), true);
}

// A storm takes votes out of the order of things: requests and answers, also of pre-votes, are
// lost, or come up to three election timeouts later. True: this frame was one of them.
bool Cluster::late_vote(NodeId from, NodeId to, const Bytes& frame) {
  wire::PeerEnvelope envelope;
  std::vector<raft::Message> messages;
  wire::DecodeError error;
  if (frame.size() > 300 || !faults_.chance(0.5)) return false;  // no long frame is a vote
  if (!wire::decode_peer_frame(frame, {}, &envelope, &messages, &error)) return false;
  if (!std::any_of(messages.begin(), messages.end(), [](const raft::Message& m) {
        return std::holds_alternative<raft::VoteRequest>(m.body) ||
               std::holds_alternative<raft::VoteResponse>(m.body);
      }))
    return false;
  hit("a vote was late or lost");
  if (faults_.chance(0.3)) return true;
  const uint64_t most = 3 * uint64_t{p_.election_ms} * kNsPerMs;
  put_peer(from, to, frame, now_ + static_cast<DurationNs>(faults_.below(most)));
  return true;
}

void Cluster::mend() {
  cuts_.clear();
  for (Late& late : std::exchange(stale_, {})) {
    if (cut(late.from, late.to)) {  // for as long as one of them is frozen
      stale_.push_back(std::move(late));
      continue;
    }
    hit("a stale queue was flushed");
    put_peer(late.from, late.to, late.frame, now_ + delay(p_.delay_mean_ns));
  }
}

// What moves sessions, for who replays a seed.
void Cluster::tell(const std::string& who, const wire::ServerMessage& m) {
  if (const auto* c = std::get_if<wire::SessionContinued>(&m))
    note(who + " channel " + std::to_string(c->channel) + " is continued");
  if (const auto* c = std::get_if<wire::SessionCreated>(&m))
    note(who + " channel " + std::to_string(c->channel) + " has a new session");
  if (const auto* c = std::get_if<wire::SessionClosed>(&m))
    note(who + " channel " + std::to_string(c->channel) + " is closed, reason " +
         std::to_string(static_cast<int>(c->reason)));
  if (const auto* c = std::get_if<wire::SessionRejected>(&m))
    note(who + " channel " + std::to_string(c->channel) + " is rejected: " + c->text);
}

void Cluster::tell(const std::string& who, const wire::ClientMessage& m) {
  if (const auto* c = std::get_if<wire::CreateSession>(&m))
    note(who + " channel " + std::to_string(c->channel) + " asks for a session");
  if (const auto* c = std::get_if<wire::ContinueSession>(&m))
    note(who + " channel " + std::to_string(c->channel) + " continues " + c->session.hex());
}

void Cluster::send_client(SimNode& from, net::ConnId conn, const Bytes& frame) {
  if (conn == hostile_.conn) return hostile_receives(conn, frame);
  auto it = link_of_conn_.find(conn);
  if (it == link_of_conn_.end()) return;
  uint64_t key = it->second;
  Link& link = links_[key];
  trace(frame.size(), 0xc1000 | from.id.value);
  check_answers(from, conn, frame);
  if (verbose_) {
    wire::ServerSink messages;
    wire::DecodeError error;
    if (wire::decode_server_frame(frame, {}, &messages, &error))
      for (const auto& m : messages)
        tell("node " + to_string(from.id) + ": client " + std::to_string(link.client) + " link " +
                 std::to_string(key & 0xffffffff),
             m);
  }
  if (!link.alive) {
    from.node->client_gone(conn);
    return;
  }
  link.last_to_client = std::max(link.last_to_client, now_ + delay(p_.delay_mean_ns));
  at(link.last_to_client, [this, key, frame] {
    if (!lives(key)) return;
    uint32_t c = links_[key].client;
    with_client(c, clients_[c].life, [this, key, c, frame] {
      if (!links_[key].alive) return;
      clients_[c].engine->receive(static_cast<client::LinkId>(key), frame, time_of(c));
    });
  });
}

void Cluster::open_link(uint32_t c, client::LinkId id, const std::string& endpoint) {
  uint64_t key = key_of(c, id);
  Link link;
  link.client = c;
  for (auto& n : nodes_)
    if (address_of(n->id.value) == endpoint) link.node = n->id;
  if (!link.node) return fail("a client goes to an unknown endpoint " + endpoint);
  SimNode& n = node(link.node);
  link.life = n.life;
  link.conn = ++next_conn_;
  link.last_to_client = link.last_to_server = now_;
  links_[key] = link;
  link_of_conn_[link.conn] = key;
  ++report_.reconnects;
  SimClient& client = clients_[c];
  if (std::exchange(client.second, now_.ns / kNsPerSecond) != now_.ns / kNsPerSecond)
    client.opened = 0;
  if (++client.opened > kConnectionsPerSecond) fail("a client connects in a tight loop");
  if (!n.up) kill_link(key, delay(p_.delay_mean_ns));
}

void Cluster::send_server(client::LinkId id, uint32_t c, const Bytes& frame) {
  uint64_t key = key_of(c, id);
  Link& link = links_[key];
  if (!link.alive) return;
  if (verbose_) {
    wire::ClientSink messages;
    wire::DecodeError error;
    if (wire::decode_client_frame(frame, {}, &messages, &error))
      for (const auto& m : messages)
        tell("client " + std::to_string(c) + " link " + std::to_string(id) + " to node " +
                 to_string(link.node),
             m);
  }
  link.last_to_server = std::max(link.last_to_server, now_ + delay(p_.delay_mean_ns));
  at(link.last_to_server, [this, key, frame] {
    Link& l = links_[key];
    SimNode& n = node(l.node);
    if (!l.alive || n.life != l.life) return;
    net::ConnId conn = l.conn;
    with_node(n, l.life, [this, &n, conn, frame] {
      note_queries(n, conn, frame);
      n.node->client_frame(conn, frame, n.clock.local(now_));
    });
  });
}

// notice_after < 0: the client closed it itself and needs no notice.
void Cluster::kill_link(uint64_t key, DurationNs notice_after) {
  Link& link = links_[key];
  if (!link.alive) return;
  link.alive = false;
  if (notice_after < 0) return;
  uint32_t c = link.client;
  after(notice_after, [this, key, c] {
    if (!lives(key)) return;
    with_client(c, clients_[c].life, [this, key, c] {
      clients_[c].engine->link_down(static_cast<client::LinkId>(key), time_of(c));
    });
  });
}

}  // namespace raftcs::sim
