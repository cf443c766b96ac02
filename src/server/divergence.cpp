// divergence.cpp: are the replicas equal? (RC-08)
//
// Every state machine keeps a hash over all that it applied and answered. Once a second, if
// anything was applied, the leader names the index it stands at; every member answers with its
// hash there (ApplyHash: the apply lane keeps those of the last entries) and the digests of its
// services at the last multiple of a fixed number. Who differs from the majority of the voters is
// named everywhere and quarantined: it serves nobody, and hands over where it must lead. Where no
// majority agrees nobody is known to be right, and all that differ are named.
//
// What must hold
//  - Only states are doubted, never logs: who is quarantined stores, acknowledges and votes as
//    before. So nothing committed is lost and the cluster keeps its majority. It seeks election
//    too, after all others: its log may be the only full one among those that are up.
//  - A leader judges itself as it does the others.
//  - Hashes run on: what differed once differs at every later index, until the node is re-seeded
//    or gets a snapshot of the majority. So a check that is lost costs a second, nothing else.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "raft/membership.hpp"
#include "server/node_impl.hpp"

namespace raftcs::server {
namespace {

constexpr DurationNs kCheckNs = 1 * kNsPerSecond;

std::string names_of(const std::vector<NodeId>& ids) {
  std::string text;
  for (NodeId id : ids) text += (text.empty() ? "" : ", ") + to_string(id);
  return text;
}

}  // namespace

void Node::Impl::send_check(NodeId to, const wire::PeerCheck& check) {
  const wire::PeerEnvelope envelope{identity_.cluster, identity_.node, to, identity_.incarnation};
  out_.peer_frames.push_back({to, wire::encode_peer_check(envelope, check)});
}

void Node::Impl::check_begins(Mono now) {
  check_.reset();
  check_complete_ = false;
  check_at_ = now + kCheckNs;
}

// Requires: serving.
void Node::Impl::check_tick(Mono now) {
  check_at_ = now + kCheckNs;
  if (check_) {
    if (auto verdict = check_->judge(true, verdict_)) conclude(std::move(*verdict), now);
    check_.reset();
  }
  if (!serving() || raft_.membership().members.size() < 2) return;
  if (check_complete_ && applied_ == checked_) return;
  check_complete_ = false;
  checked_ = applied_;
  check_.emplace(applied_, raft_.membership());
  hash_asked_ = {identity_.node, applied_};
  wire::PeerCheck ask;
  ask.replica.index = applied_;
  for (const raft::Member& m : raft_.membership().members)
    if (m.id != identity_.node) send_check(m.id, ask);
}

void Node::Impl::peer_check(const wire::PeerEnvelope& e, const wire::PeerCheck& c, Mono now) {
  switch (c.kind) {
    case wire::CheckKind::ask:
      if (e.from == leader_) hash_asked_ = {e.from, c.replica.index};
      return;
    case wire::CheckKind::answer:
      return check_answered(e.from, c.replica, now);
    case wire::CheckKind::verdict:
      if (e.from == leader_) take_verdict({c.replica.index, c.decided, c.wrong}, now);
      return;
  }
}

// After what is committed was handed to the apply lane: the job comes behind the entry it asks for.
void Node::Impl::ask_lane_for_hash() {
  if (!hash_asked_.second || raft_.commit_index() < hash_asked_.second) return;
  if (!standstill().is_ok()) return void(hash_asked_ = {});  // one more each second would wait
  out_.apply.push_back(ApplyHash{hash_asked_.first, hash_asked_.second});
  hash_asked_ = {};
}

void Node::Impl::hash_found(const HashFound& found, Mono now) {
  if (!can_take_part()) return;
  answered_ = found.replica.index;
  if (found.asker == identity_.node) return check_answered(found.asker, found.replica, now);
  wire::PeerCheck answer;
  answer.kind = wire::CheckKind::answer;
  answer.replica = found.replica;
  send_check(found.asker, answer);
}

void Node::Impl::check_answered(NodeId from, const wire::ReplicaHash& hash, Mono now) {
  if (!check_ || !serving() || !check_->add(from, hash)) return;
  if (auto verdict = check_->judge(false, verdict_)) conclude(std::move(*verdict), now);
  if (!check_ || !check_->complete()) return;
  check_.reset();
  check_complete_ = true;
}

// The leader: equal states are no news, unless they were not before.
void Node::Impl::conclude(CheckVerdict verdict, Mono now) {
  // Who was wrong and says nothing now is wrong still.
  for (NodeId id : verdict_.decided ? verdict_.wrong : std::vector<NodeId>()) {
    const bool silent = check_ && check_->asks(id) && !check_->answered(id);
    if (silent && verdict.decided && !verdict.condemns(id)) verdict.wrong.push_back(id);
  }
  std::sort(verdict.wrong.begin(), verdict.wrong.end());
  if (verdict.wrong.empty() && verdict_.wrong.empty()) {
    verdict_ = verdict;
    return;
  }
  wire::PeerCheck told;
  told.kind = wire::CheckKind::verdict;
  told.replica.index = verdict.index;
  told.decided = verdict.decided;
  told.wrong = verdict.wrong;
  for (const raft::Member& m : raft_.membership().members)
    if (m.id != identity_.node) send_check(m.id, told);
  take_verdict(verdict, now);
}

void Node::Impl::take_verdict(const CheckVerdict& verdict, Mono now) {
  const bool news = verdict.wrong != verdict_.wrong || verdict.decided != verdict_.decided;
  verdict_ = verdict;
  const std::string at = " at index " + to_string(verdict.index);
  if (news && verdict.wrong.empty())
    log_line(RAFTCS_LOG_INFO, "the states of the replicas agree again" + at);
  else if (news && verdict.decided)
    log_line(RAFTCS_LOG_ERROR,
             "the state of node " + names_of(verdict.wrong) + " differs from the majority's" + at +
                 ": a plugin is not deterministic, its versions differ, or memory is bad; what "
                 "differs is out of service until it is re-seeded");
  else if (news)
    log_line(RAFTCS_LOG_ERROR, "the states of nodes " + names_of(verdict.wrong) + " differ" + at +
                                   " and no majority of the voters agrees: it is not known who is "
                                   "right, so all serve on");
  const bool me = verdict.condemns(identity_.node);
  if (me == !quarantined_.is_ok()) return;
  if (!me && (answered_ != verdict.index || !verdict.decided)) return;
  quarantined_ = Status::ok();
  if (me)
    quarantined_ = {
        RAFTCS_ERR_CORRUPT,
        "the state of this node differs from the majority's" + at +
            "; it votes and stores, but serves nobody and leads only where nobody else "
            "can. Compare 'raftcs plugin list' of the nodes, then 'raftcs member reseed " +
            to_string(identity_.node) +
            "' and restart it, or start it once with storage.reseed=true, to get its "
            "data from the others"};
  update_passive();
  update_health();
  if (!me) return;
  raft_.step_down(now);
  hand_over_at_ = now;  // in case it must lead again
}

bool Node::Impl::is_out_of_service(NodeId id) const {
  return verdict_.condemns(id);
}

nlohmann::json Node::Impl::divergence_json() const {
  nlohmann::json wrong = nlohmann::json::array();
  for (NodeId id : verdict_.wrong) wrong.push_back(id.value);
  return {{"index", verdict_.index.value},
          {"wrong", wrong},
          {"majority", verdict_.decided},
          {"quarantined", !quarantined_.is_ok()}};
}

}  // namespace raftcs::server
