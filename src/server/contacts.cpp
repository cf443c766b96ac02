// contacts.cpp: whose frames are taken, and how nodes that do not know one another meet.
//
// A configuration is in the log, so a node that joins or was away may be sent the log by a
// leader that its own configuration does not name (thesis 4.2.1: servers take requests from
// others than the members they know). To answer it needs an address: a node that has not heard
// of a peer for a while puts a contact in front of its frames, with the address of its own peer
// socket. Whoever is of this cluster and no member becomes a guest: its frames are taken and it
// can be answered, until it is silent for a while. A member that was removed stays a guest for
// some time, so that it can be told.
//
// A member is told apart by its disk (MB-08): frames with another incarnation than the
// configuration's are refused. While the configuration names none, the first that is heard
// counts, and the leader binds it.
//
// A node that was away may have missed that a member was taken in again, and refuse the very leader
// that would tell it. So it asks the other members; that a committed configuration, later than its
// own, names the disk is believed of those that it knows by theirs, and of nobody else: two that
// lost their disks would vouch for one another.
//
// Who is refused is told why, by a contact back to the address that came with its own. That is
// for people: it changes what the node says in its log and status. One thing follows from it: a
// node that is told of another disk does not take itself for what it was (voting.cpp).
#include <algorithm>

#include "config/settings.hpp"
#include "base/mutant.hpp"
#include "server/node_impl.hpp"

namespace raftcs::server {
namespace {

constexpr size_t kGuestsMax = 64;
constexpr size_t kRefusalsMax = 8;
constexpr int kGuestElectionTimeouts = 20;
constexpr DurationNs kRefusalPauseNs = 300 * kNsPerMs;
constexpr DurationNs kRefusalKeptNs = 30 * kNsPerSecond;
constexpr DurationNs kBindSoonNs = 50 * kNsPerMs;

std::string other_disk_text(NodeId id) {
  const std::string n = to_string(id);
  return "member " + n +
         " is known with another disk; if the old one is lost: raftcs member replace " + n + " " +
         n;
}

// Connections to nodes that have no id here: numbers no member is given.
NodeId slot_id(size_t slot) { return NodeId(UINT64_MAX - slot); }

}  // namespace

// --- whose frames are taken -------------------------------------------------------------------

bool Node::Impl::admits(const wire::PeerEnvelope& e, Mono now) {
  if (e.cluster != identity_.cluster || e.to != identity_.node || e.from == identity_.node) {
    if (++counters_.foreign_peer == 1 || (counters_.foreign_peer & 0xfff) == 0)
      log_line(RAFTCS_LOG_WARNING,
               "messages of another cluster or for another node arrive at the peer address (from "
               "node " +
                   to_string(e.from) + ", cluster " + e.cluster.hex() + "); dropped");
    return false;
  }
  if (!has_known_disk(e, now)) {
    ++counters_.foreign_peer;
    return false;
  }
  peer_heard_[e.from] = now;
  founder_heard(e.from, now);
  return true;
}

bool Node::Impl::has_known_disk(const wire::PeerEnvelope& e, Mono now) {
  const raft::Member* member = raft::find_member(raft_.membership(), e.from);
  if (member == nullptr) {
    auto guest = guests_.find(e.from);
    if (guest == guests_.end() || guest->second.incarnation != e.incarnation) return false;
    guest->second.heard = now;
    return true;
  }
  Uuid known = member->incarnation;
  if (known.is_zero()) {
    auto [it, fresh] = incarnations_.try_emplace(e.from, e.incarnation);
    known = it->second;
    if (fresh && role_ == raft::Role::leader)
      bind_incarnations_at_ = std::min(bind_incarnations_at_, now + kBindSoonNs);
  }
  if (known == e.incarnation || RCS_MUTANT("MB-08")) return true;
  auto vouched = vouched_.find(e.from);
  if (vouched != vouched_.end() && vouched->second == e.incarnation) return true;
  refuse_disk(e, now);
  return false;
}

// Told at the address the configuration has, too: the member may hear the leader well.
void Node::Impl::refuse_disk(const wire::PeerEnvelope& e, Mono now) {
  SwappedDisk& seen = swapped_[e.from];
  const std::string id = to_string(e.from);
  if (seen.incarnation != e.incarnation)
    log_line(RAFTCS_LOG_WARNING,
             "node " + id + " came back with another disk (incarnation " + e.incarnation.hex() +
                 "); its messages are refused until it is admitted anew (raftcs member replace " +
                 id + " " + id + "), or another member says that it was");
  seen.incarnation = e.incarnation;
  if (now - seen.told < kRefusalPauseNs) return;
  seen.told = now;
  send_contact(e.from, e.from,
               {options_.peer_advertise, wire::ContactReason::other_disk,
                raft_.status().membership_index, other_disk_text(e.from)});
  for (const raft::Member& m : raft_.membership().members)
    if (m.id != e.from && m.id != identity_.node)
      send_contact(m.id, m.id,
                   {options_.peer_advertise, wire::ContactReason::asks_disk,
                    raft_.status().membership_index, "", e.from, e.incarnation});
}

void Node::Impl::disk_asked(const wire::PeerEnvelope& e, const wire::PeerContact& c, Mono now) {
  if (!admits(e, now)) return;
  const raft::NodeStatus status = raft_.status();
  const raft::Member* member = raft::find_member(raft_.membership(), c.about);
  if (member == nullptr || member->incarnation != c.disk || !status.membership_settled) return;
  send_contact(e.from, e.from,
               {options_.peer_advertise, wire::ContactReason::knows_disk, status.membership_index,
                "", c.about, c.disk});
}

void Node::Impl::disk_is_known(const wire::PeerEnvelope& e, const wire::PeerContact& c) {
  const raft::Member* witness = raft::find_member(raft_.membership(), e.from);
  if (e.cluster != identity_.cluster || witness == nullptr ||
      witness->incarnation != e.incarnation || c.disk.is_zero() || c.about == e.from ||
      c.about == identity_.node || c.index <= raft_.status().membership_index ||
      raft::find_member(raft_.membership(), c.about) == nullptr)
    return;
  const auto [it, fresh] = vouched_.insert_or_assign(c.about, c.disk);
  if (fresh)
    log_line(RAFTCS_LOG_INFO,
             "node " + to_string(c.about) + " has another disk by the configuration at index " +
                 to_string(c.index) + ", says node " + to_string(e.from) +
                 "; its messages are taken");
}

// --- contacts -----------------------------------------------------------------------------------

// Requires: frames for `peer` are about to be sent.
void Node::Impl::greet(NodeId peer, Mono now) {
  const DurationNs pause = options_.election_timeout_ns / 2;
  if (auto heard = peer_heard_.find(peer);
      heard != peer_heard_.end() && now - heard->second < options_.election_timeout_ns)
    return;
  auto [it, fresh] = greeted_.try_emplace(peer, now);
  if (!fresh && now - it->second < pause) return;
  it->second = now;
  send_contact(peer, peer, {options_.peer_advertise, wire::ContactReason::hello, Index(), ""});
}

void Node::Impl::send_contact(NodeId link, NodeId to, const wire::PeerContact& contact) {
  const wire::PeerEnvelope envelope{identity_.cluster, identity_.node, to, identity_.incarnation};
  out_.peer_frames.push_back({link, wire::encode_peer_contact(envelope, contact)});
}

void Node::Impl::peer_contact(const wire::PeerEnvelope& e, const wire::PeerContact& c, Mono now) {
  if (e.to != identity_.node || e.from == identity_.node) {
    ++counters_.foreign_peer;
    return;
  }
  switch (c.reason) {
    case wire::ContactReason::hello:
      break;
    case wire::ContactReason::heal:
      if (e.cluster == identity_.cluster) return heal_asked(e, c, now);
      break;  // it is told that it is of another cluster
    case wire::ContactReason::admitted:
      return heal_admitted(e);
    case wire::ContactReason::asks_disk:
      return disk_asked(e, c, now);
    case wire::ContactReason::knows_disk:
      return disk_is_known(e, c);
    default:
      return was_refused(e, c);
  }
  const bool reachable = config::check_endpoint(c.address, false).is_ok();
  if (e.cluster != identity_.cluster) {
    admits(e, now);  // counts it and says so
    if (reachable)
      refuse_peer(e, c.address, wire::ContactReason::other_cluster,
                  "this node belongs to cluster " + identity_.cluster.hex() + ", not to cluster " +
                      e.cluster.hex() + ", of which the directory of node " + to_string(e.from) +
                      " is",
                  now);
    return;
  }
  const raft::Member* member = raft::find_member(raft_.membership(), e.from);
  if (member != nullptr) {
    if (has_known_disk(e, now))
      founder_heard(e.from, now);
    else if (reachable)
      refuse_peer(e, c.address, wire::ContactReason::other_disk, other_disk_text(e.from), now);
    return;
  }
  if (!reachable) return;
  const raft::NodeStatus status = raft_.status();
  if (leader_ && status.membership_settled && !raft_.membership().members.empty())
    refuse_peer(e, c.address, wire::ContactReason::not_member,
                "node " + to_string(e.from) + " is no member of the cluster", now);
  if (!guests_.contains(e.from) && guests_.size() >= kGuestsMax) return;
  guests_[e.from] = {c.address, e.incarnation, now};
  update_peer_addresses();
  if (!takes_frames()) ask_to_heal(e.from);
}

// One connection per refused address; a first frame may be lost while it is being made.
void Node::Impl::refuse_peer(const wire::PeerEnvelope& e, const std::string& address,
                             wire::ContactReason reason, const std::string& text, Mono now) {
  auto it = std::find_if(refusals_.begin(), refusals_.end(),
                         [&](const RefusedPeer& r) { return r.address == address; });
  if (it == refusals_.end()) {
    if (refusals_.size() >= kRefusalsMax) return;
    size_t slot = 0;
    while (std::any_of(refusals_.begin(), refusals_.end(),
                       [&](const RefusedPeer& r) { return r.slot == slot; }))
      ++slot;
    it = refusals_.insert(refusals_.end(), {address, slot, Mono(), now});
    out_.peer_addresses.push_back({slot_id(slot), address});
  }
  it->asked = now;
  if (now - it->sent < kRefusalPauseNs) return;
  it->sent = now;
  send_contact(slot_id(it->slot), e.from,
               {options_.peer_advertise, reason, raft_.status().membership_index, text});
}

// Another node says that it does not take this one's frames. An older configuration than this
// node's own proves nothing.
void Node::Impl::was_refused(const wire::PeerEnvelope& e, const wire::PeerContact& c) {
  const bool own_cluster = e.cluster == identity_.cluster;
  if (c.reason == wire::ContactReason::other_cluster ? own_cluster : !own_cluster) return;
  if (c.reason == wire::ContactReason::not_member && c.index <= raft_.status().membership_index)
    return;
  std::string text = "node " + to_string(e.from) + " refuses this one: " + c.text;
  if (c.reason == wire::ContactReason::not_member) text += ". Stop it, or add it again";
  if (c.reason == wire::ContactReason::other_disk && !told_other_disk_) {
    told_other_disk_ = true;
    update_passive();
  }
  if (text == refused_text_) return;
  refused_as_ = c.reason;
  refused_by_ = c.index;
  refused_text_ = std::move(text);
  update_standing();
}

void Node::Impl::sweep_contacts(Mono now) {
  const DurationNs kept = kGuestElectionTimeouts * options_.election_timeout_ns;
  const size_t gone =
      std::erase_if(guests_, [&](const auto& g) { return now - g.second.heard > kept; });
  if (gone > 0) update_peer_addresses();
  std::erase_if(refusals_, [&](const RefusedPeer& r) {
    if (now - r.asked <= kRefusalKeptNs) return false;
    out_.peer_addresses.push_back({slot_id(r.slot), ""});
    return true;
  });
  std::erase_if(peer_heard_, [&](const auto& p) { return now - p.second > kept; });
  std::erase_if(greeted_, [&](const auto& p) { return now - p.second > kept; });
}

// --- who this node is connected to ------------------------------------------------------------

void Node::Impl::update_peer_addresses() {
  std::map<NodeId, std::string> wanted;
  for (const auto& [id, guest] : guests_) wanted[id] = guest.address;
  for (const raft::Member& m : membership_.members)
    if (m.id != identity_.node) wanted[m.id] = m.peer_address;
  for (const auto& [id, address] : peer_addresses_)
    if (!wanted.contains(id)) out_.peer_addresses.push_back({id, ""});
  for (const auto& [id, address] : wanted)
    if (auto it = peer_addresses_.find(id); it == peer_addresses_.end() || it->second != address)
      out_.peer_addresses.push_back({id, address});
  peer_addresses_ = std::move(wanted);
}

void Node::Impl::membership_changed(Mono now) {
  const raft::Membership before = std::exchange(membership_, raft_.membership());
  vouched_.clear();  // it says so itself, or is asked for again
  for (const raft::Member& old : before.members) {
    const raft::Member* m = raft::find_member(membership_, old.id);
    if (old.id == identity_.node) continue;
    // What was heard of it belongs to the disk it had.
    if (m == nullptr || m->incarnation != old.incarnation) {
      if (m == nullptr || !old.incarnation.is_zero()) incarnations_.erase(old.id);
      swapped_.erase(old.id);
    }
    if (m == nullptr) guests_[old.id] = {old.peer_address, old.incarnation, now};
  }
  for (const raft::Member& m : membership_.members) guests_.erase(m.id);
  update_peer_addresses();
  update_passive();
  update_standing();
  return_votes_at_ = now;
}

// --- what this node is in the cluster ---------------------------------------------------------

// voter, learner, leaving; waiting: never a member yet; removed; refused: the others say so;
// healing: its data was damaged, and it is not taken in again yet.
const char* Node::Impl::standing() const {
  const raft::Member* self = raft::find_member(raft_.membership(), identity_.node);
  const bool removed = self == nullptr && was_member_;
  if (is_healing() && !removed) return "healing";
  if (!refused_text_.empty()) return "refused";
  if (self != nullptr)
    return self->role == raft::MemberRole::voter     ? "voter"
           : self->role == raft::MemberRole::learner ? "learner"
                                                     : "leaving";
  return was_member_ ? "removed" : "waiting";
}

// A configuration that is newer than the refusal has this node with the disk it has.
bool Node::Impl::refusal_is_over() const {
  if (refused_as_ == wire::ContactReason::other_cluster) return static_cast<bool>(raft_.leader());
  const raft::Member* self = raft::find_member(raft_.membership(), identity_.node);
  if (self == nullptr || raft_.status().membership_index <= refused_by_) return false;
  return self->incarnation.is_zero() || self->incarnation == identity_.incarnation;
}

void Node::Impl::update_standing() {
  if (!refused_text_.empty() && refusal_is_over()) refused_text_.clear();
  const bool member = raft::find_member(raft_.membership(), identity_.node) != nullptr;
  was_member_ = was_member_ || member;
  const std::string now_is = standing();
  const bool told = now_is == "healing"   ? standing_health_.text() == healing_text()
                    : now_is == "refused" ? standing_health_.text() == refused_text_
                                          : true;
  if (now_is == standing_ && told) return;
  standing_ = now_is;
  standing_health_ = Status::ok();
  if (now_is == "waiting")
    standing_health_ = {RAFTCS_ERR_NOT_MEMBER,
                        "this node waits to be added: raftcs -e ENDPOINTS member add " +
                            to_string(identity_.node) + " " + options_.peer_advertise + " " +
                            options_.client_advertise};
  if (now_is == "removed")
    standing_health_ = {RAFTCS_ERR_NOT_MEMBER,
                        "this node was removed from the cluster by the configuration at index " +
                            to_string(raft_.status().membership_index) +
                            "; stop it, or add it again"};
  if (now_is == "healing") standing_health_ = {RAFTCS_ERR_NOT_MEMBER, healing_text()};
  if (now_is == "refused") standing_health_ = {RAFTCS_ERR_NOT_MEMBER, refused_text_};
  if (!standing_health_.is_ok())
    log_line(RAFTCS_LOG_WARNING, standing_health_.text());
  else
    log_line(RAFTCS_LOG_INFO, "this node is a " + now_is + " of the cluster");
  update_health();
}

}  // namespace raftcs::server
