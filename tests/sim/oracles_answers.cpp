// oracles_answers.cpp: what a leader makes of its peers' answers.
//
// A read is answered only when a majority has answered something that was sent after it was asked
// (thesis 6.4; RD-02, RD-03). That a read was stale shows only where another leader has committed
// meanwhile and its client has been told; that is rare, and check_order sees it then. This is the
// rule that prevents it, and it can be judged at every answer: rounds are numbered, so the time a
// round was first sent is known, and with it how fresh each peer's answer is.
//
// A refusal takes the search for where two logs agree further down (LR-08). Else the same is asked
// and refused for ever, which is seen only when nothing ends. And an answer of an older term counts
// for nothing (LR-03).
#include <algorithm>

#include "raft/membership.hpp"
#include "sim/sim_world.hpp"
#include "wire/codec.hpp"

namespace raftcs::sim {

void Cluster::note_round_sent(const SimNode& n, Term term, uint64_t round) {
  rounds_.emplace(std::array{n.id.value, term.value, round}, now_);
}

// Requires: the frame is about to be given to n. Gives the answer in it whose effect is known: one
// of an older term, or a refusal that answers n's last question to that peer.
std::optional<Cluster::Answer> Cluster::note_answers(const SimNode& n, const Bytes& frame) {
  wire::PeerEnvelope envelope;
  std::vector<raft::Message> messages;
  wire::DecodeError error;
  if (!wire::decode_peer_frame(frame, {}, &envelope, &messages, &error)) return std::nullopt;
  for (const raft::Message& m : messages) {
    const auto* ack = std::get_if<raft::AppendResponse>(&m.body);
    if (ack == nullptr) continue;
    const auto sent = rounds_.find({n.id.value, m.term.value, ack->round});
    if (sent == rounds_.end()) continue;
    Mono& heard = heard_[{n.id, m.from, envelope.incarnation}];
    heard = std::max(heard, sent->second);
  }
  if (messages.size() != 1) return std::nullopt;
  const auto* ack = std::get_if<raft::AppendResponse>(&messages.front().body);
  if (ack == nullptr) return std::nullopt;
  const raft::NodeStatus s = n.node->raft_status();
  const auto peer = std::find_if(s.peers.begin(), s.peers.end(), [&](const raft::PeerProgress& p) {
    return p.id == messages.front().from;
  });
  if (s.role != raft::Role::leader || peer == s.peers.end()) return std::nullopt;
  if (messages.front().term < s.term) return Answer{true, peer->id, Index(), peer->match};
  const raft::Member* member = raft::find_member(n.node->raft().membership(), envelope.from);
  // Answers of another disk than the member's are ignored.
  if (ack->success || s.term != messages.front().term || n.wiped || n.broken || member == nullptr ||
      member->incarnation.is_zero() || member->incarnation != envelope.incarnation)
    return std::nullopt;
  if (peer->snapshotting || peer->match >= ack->rejected || peer->next != ack->rejected.next())
    return std::nullopt;
  return Answer{false, peer->id, ack->rejected, peer->match};
}

// Requires: n has just received the answer, and done nothing since.
void Cluster::check_effect(const SimNode& n, const Answer& answer) {
  hit(answer.stale ? "an answer of an older term came" : "a search for agreement went on");
  const raft::NodeStatus s = n.node->raft_status();
  for (const raft::PeerProgress& p : s.peers) {
    if (p.id != answer.peer) continue;
    if (answer.stale && p.match != answer.match)
      fail("leader " + to_string(n.id) + " counts what node " + to_string(p.id) +
           " said in an older term");
    if (!answer.stale && p.next > answer.rejected)
      fail("leader " + to_string(n.id) + " asks node " + to_string(p.id) + " again for index " +
           to_string(answer.rejected));
  }
}

// When the last round was sent that the peer has answered with the disk that the configuration
// names (S17, S22).
Mono Cluster::heard_from(const raft::Membership& members, NodeId leader, NodeId peer) const {
  Mono at;
  for (auto it = heard_.lower_bound({leader, peer, Uuid()}); it != heard_.end(); ++it) {
    const auto& [by, from, disk] = it->first;
    if (by != leader || from != peer) break;
    if (names_disk(members, peer, disk)) at = std::max(at, it->second);
  }
  return at;
}

// Requires: the frame is about to be given to n.
void Cluster::note_queries(const SimNode& n, net::ConnId conn, const Bytes& frame) {
  wire::ClientSink messages;
  wire::DecodeError error;
  if (!wire::decode_client_frame(frame, {}, &messages, &error)) return;
  for (const wire::ClientMessage& m : messages) {
    const auto* query = std::get_if<wire::Query>(&m);
    if (query == nullptr || query->consistency != wire::Consistency::linearizable) continue;
    const std::array<uint64_t, 3> key = {conn, query->channel, query->correlation};
    queries_.emplace(key, AskedRead{now_, n.node->raft_status().membership_index});
  }
}

void Cluster::check_answers(const SimNode& n, net::ConnId conn, const Bytes& frame) {
  wire::ServerSink messages;
  wire::DecodeError error;
  if (!wire::decode_server_frame(frame, {}, &messages, &error)) return;
  for (const wire::ServerMessage& m : messages) {
    const auto* answer = std::get_if<wire::QueryResponse>(&m);
    if (answer == nullptr) continue;
    const auto it = queries_.find({conn, answer->channel, answer->correlation});
    if (it == queries_.end()) continue;
    const AskedRead asked = it->second;
    queries_.erase(it);
    // Whom a majority is made of may be another question by now.
    if (answer->status != RAFTCS_OK || n.node->raft_status().membership_index != asked.config)
      continue;
    hit("a read was held against its round");
    const raft::Membership& members = n.node->raft().membership();
    const bool confirmed = majority_of(members, [&](NodeId id) {
      return id == n.id || heard_from(members, n.id, id) >= asked.at;
    });
    if (!confirmed)
      fail("node " + to_string(n.id) + " answers a read that no majority has confirmed");
  }
}

// S21: a node whose disk has failed answers nothing any more. It still says what it is and who
// leads, refuses, and tells administrators.
void Cluster::check_silent(const SimNode& n, const Bytes& frame) {
  wire::ServerSink messages;
  wire::DecodeError error;
  if (!n.broken || !wire::decode_server_frame(frame, {}, &messages, &error)) return;
  for (const wire::ServerMessage& m : messages) {
    const auto* query = std::get_if<wire::QueryResponse>(&m);
    hit("a node with a failed disk was asked");
    const bool refuses = std::holds_alternative<wire::SessionRejected>(m) ||
                         std::holds_alternative<wire::SessionClosed>(m) ||
                         std::holds_alternative<wire::RequestError>(m) ||
                         std::holds_alternative<wire::Unsupported>(m) ||
                         (query != nullptr && query->status != RAFTCS_OK);
    const bool tells = std::holds_alternative<wire::Welcome>(m) ||
                       std::holds_alternative<wire::Topology>(m) ||
                       std::holds_alternative<wire::AdminReply>(m);
    if (!refuses && !tells)
      fail("node " + to_string(n.id) + " answers a client after its disk failed (kind " +
           std::to_string(m.index()) + ")");
  }
}

}  // namespace raftcs::sim
