// election.cpp: terms, votes and who leads (thesis 3.4, 3.6.1, 4.2.3, 6.2, 9.6).
//
//   follower --timeout--> pre-candidate --quorum would vote--> candidate --quorum--> leader
//      ^________________________|___________________________________|________________|
//              a leader is heard, a higher term is seen, no quorum contact
//
// Why so: pre-vote keeps a node that cannot win from raising terms; stickiness keeps one
// that was removed or cut off from deposing a leader that works; check-quorum lets a leader
// that works for nobody go (EL-19).
//
// What must hold: one vote per term, kept while the term stays (EL-03); a grant leaves, and
// the own vote counts, only when durable (EL-01, EL-02); leading always begins in a term
// that was made durable by this very election (EL-18).
#include <algorithm>
#include <utility>

#include "base/check.hpp"
#include "base/mutant.hpp"
#include "raft/node_impl.hpp"

namespace raftcs::raft {
namespace {
constexpr int kLastChoiceRank = 4;  // above that of every priority (membership_change.cpp)
}  // namespace

void Node::Impl::arm_election() {
  const auto t = static_cast<uint64_t>(std::max<DurationNs>(options_.election_timeout_ns, 1));
  // Randomised anew for each wait, so that split votes do not repeat (thesis 3.4). Who is of a
  // lower priority gives those above it time to go first, and goes then: it never waits for ever.
  const int later = election_rank_ + (last_choice_ ? kLastChoiceRank : 0);
  const uint64_t rank = static_cast<uint64_t>(later) * t;
  election_at_ = now_ + static_cast<DurationNs>(rank + t + prng_.below(t));
}

void Node::Impl::set_term(Term term) {
  // The vote is cleared if and only if the term rises (EL-03).
  if (term <= hard_.term) return;
  hard_ = HardState{term, NodeId()};
  hard_dirty_ = true;
  out_.status_changed = true;
  // What was decided for an older term and not yet handed out is void now (LR-03).
  std::erase_if(out_.messages, [&](const Outgoing& o) { return o.message.term < term; });
}

void Node::Impl::set_leader(NodeId leader) {
  if (leader_ == leader) return;
  leader_ = leader;
  out_.status_changed = true;
}

// Ends the current role. Every read that was accepted gets its answer here (RD-04).
void Node::Impl::leave_role() {
  if (Leader* lead = leading()) {
    auto& failed = out_.reads_failed;
    failed.insert(failed.end(), lead->reads_early.begin(), lead->reads_early.end());
    for (const PendingRead& r : lead->reads_new) failed.push_back(r.token);
    for (const PendingRead& r : lead->reads_waiting) failed.push_back(r.token);
    out_.read_chunks.clear();
  }
  out_.status_changed = true;
}

void Node::Impl::become_follower(Term term, NodeId leader) {
  const bool was_follower = std::holds_alternative<Follower>(role_);
  if (RCS_MUTANT("EL-03") && term == hard_.term) hard_.vote = NodeId();
  set_term(term);
  if (!was_follower) {
    leave_role();
    role_ = Follower{};
    arm_election();
  }
  set_leader(leader);
}

// The rightful leader of this term was heard.
void Node::Impl::follow(NodeId leader) {
  become_follower(hard_.term, leader);
  leader_contact_ = now_;
  arm_election();
}

// A voter of the configuration in force, or of one that is not surely past: a node whose
// removal is in its log but not known to be committed may hold the only full log, and then
// nobody else can win (thesis 4.2.2). It leads without counting itself. The voter of its id must be
// this node with this disk: one that lost its data and is a learner by the last configuration was a
// voter by those before, and has nothing that the others lack.
bool Node::Impl::may_campaign() const {
  if (passive_) return false;
  bool came_later = options_.joined;  // this disk, after a configuration that names none
  return any_membership([&](const Membership& m) {
    const Member* self = find_member(m, options_.id);
    if (self == nullptr) return false;
    const bool known = !self->incarnation.is_zero() && !options_.incarnation.is_zero();
    const bool mine = known ? self->incarnation == options_.incarnation : !came_later;
    came_later = came_later || !mine;
    return mine && voter_sets(m).contains(options_.id);
  });
}

// --- asking -----------------------------------------------------------------------------

void Node::Impl::election_timeout() {
  arm_election();
  set_leader(NodeId());
  if (!may_campaign()) return;  // it only forgets a leader that is silent (EL-17)
  // Electors compare logs by what is asked; a tail that a crash could still take away must
  // not be advertised (EL-12). The next timeout tries again.
  if (durable_ != log_.last() && !RCS_MUTANT("EL-12")) return;
  if (voters_.is_sole(options_.id)) return campaign(false);
  pre_campaign();
}

// Asks whether an election could be won, without changing anything durable (thesis 9.6).
void Node::Impl::pre_campaign() {
  leave_role();
  role_ = PreCandidate{hard_.term.next(), {options_.id}};
  broadcast_vote_request(hard_.term.next(), true, false);
}

// Begins a real election (thesis 3.4): new term, vote for itself.
void Node::Impl::campaign(bool transfer) {
  leave_role();
  const bool again = RCS_MUTANT("EL-18") && hard_.vote == options_.id;
  if (!again) set_term(hard_.term.next());
  hard_.vote = options_.id;
  set_leader(NodeId());
  arm_election();
  // The own vote is a vote: durable before it is counted and before anybody is asked (EL-02).
  role_ = Candidate{{}, RCS_MUTANT("EL-02") ? 0 : hard_write().seq, transfer};
  broadcast_vote_request(hard_.term, false, transfer);
  if (again || RCS_MUTANT("EL-02")) count_own_vote();
}

void Node::Impl::broadcast_vote_request(Term term, bool pre_vote, bool transfer) {
  const VoteRequest request{pre_vote, transfer, log_.last(), log_.last_term()};
  for (const Member& m : membership().members) {
    if (!voters_.contains(m.id)) continue;
    const bool at_once = pre_vote || RCS_MUTANT("EL-02");
    send_in_term(m.id, term, request, at_once ? Await{} : hard_write());
  }
}

bool Node::Impl::won(const std::vector<NodeId>& grants) const {
  return has_quorum(voters_, [&](NodeId id) {
    return std::find(grants.begin(), grants.end(), id) != grants.end();
  });
}

void Node::Impl::count_own_vote() {
  auto* candidate = std::get_if<Candidate>(&role_);
  if (!candidate || persisted_seq_ < candidate->own_vote_seq) return;
  auto& grants = candidate->grants;
  if (std::find(grants.begin(), grants.end(), options_.id) != grants.end()) return;
  grants.push_back(options_.id);
  if (won(grants)) become_leader();
}

void Node::Impl::on_vote_response(const Message& message, const VoteResponse& response) {
  // Fenced by phase and by the term that was asked (EL-05, EL-06). A refusal changes nothing
  // here: a higher term in it was seen already.
  if (!response.granted || !voters_.contains(message.from)) return;
  std::vector<NodeId>* grants = nullptr;
  const bool counts_as_pre_vote =
      response.pre_vote && !(RCS_MUTANT("EL-06") && std::holds_alternative<Candidate>(role_));
  if (counts_as_pre_vote) {
    auto* pre = std::get_if<PreCandidate>(&role_);
    if (pre && response.asked_term == pre->asked) grants = &pre->grants;
  } else {
    auto* candidate = std::get_if<Candidate>(&role_);
    if (candidate && response.asked_term == hard_.term) grants = &candidate->grants;
  }
  if (!grants) return;
  if (std::find(grants->begin(), grants->end(), message.from) != grants->end()) return;
  grants->push_back(message.from);
  if (!won(*grants)) return;
  if (counts_as_pre_vote) {
    campaign(false);
  } else if (std::find(grants->begin(), grants->end(), options_.id) != grants->end()) {
    become_leader();
  }
  // A quorum of others without the own vote waits for the own vote's write: the term must
  // be durable here before this node leads in it (EL-18).
}

void Node::Impl::become_leader() {
  leave_role();
  Leader lead;
  lead.heartbeat_at = now_ + options_.heartbeat_ns;
  lead.quorum_contact = now_;
  lead.clock = log_.last_time();  // D5: time goes on where the log stopped
  lead.clock_at = now_;
  for (Index i = std::max(commit_.next(), log_.first()); i <= log_.last(); ++i)
    lead.uncommitted_bytes += log_.at(i).payload.size();
  role_ = std::move(lead);
  set_leader(options_.id);
  receiving_.reset();
  Leader& now_leading = *leading();
  sync_peers(now_leading);
  // A no-op of the new term lets it commit what it inherited (thesis 3.6.2, 6.4; CM-02).
  now_leading.first_own = log_.last().next();
  append_as_leader(now_leading, EntryType::noop, Bytes());
}

// --- being asked -------------------------------------------------------------------------

// Heard of a working leader within the minimum election timeout (thesis 4.2.3). The leader
// itself may ask again (EL-09); a transfer says so (LT-04).
bool Node::Impl::sticks_to_leader(NodeId asking) const {
  if (leading()) return true;
  return leader_ && leader_ != asking &&
         now_ - leader_contact_ < options_.election_timeout_ns;
}

bool Node::Impl::ignores_vote_request(const Message& message, const VoteRequest& request) const {
  if (request.pre_vote || request.transfer) return false;
  return message.term > hard_.term && sticks_to_leader(message.from);
}

// Lexicographic: the later last term, then the longer log (thesis 3.6.1; EL-10).
bool Node::Impl::is_up_to_date(const VoteRequest& request) const {
  if (request.last_term != log_.last_term() && !RCS_MUTANT("EL-10"))
    return request.last_term > log_.last_term();
  return request.last_index >= log_.last();
}

// Answers without any change here (EL-08). A grant echoes the asked term, a refusal carries
// the own one, so that a node left behind learns it (EL-07): once it is durable (EL-14).
void Node::Impl::on_pre_vote(const Message& message, const VoteRequest& request) {
  const bool free_in_term = message.term == hard_.term && std::holds_alternative<Follower>(role_) &&
                            !leader_ && (!hard_.vote || hard_.vote == message.from);
  const bool granted = (message.term > hard_.term || free_in_term) &&
                       !sticks_to_leader(message.from) && is_up_to_date(request);
  const VoteResponse response{true, granted, message.term};
  if (granted) return send_in_term(message.from, message.term, response);
  send(message.from, response, hard_write());
}

// Requires: message.term == hard_.term. Grants whatever this node believes about its own
// membership: the candidate's configuration decides who counts (EL-17).
void Node::Impl::on_vote(const Message& message, const VoteRequest& request) {
  const bool free = !hard_.vote || hard_.vote == message.from;  // again: same answer (EL-16)
  const bool neutral = role() == Role::follower || role() == Role::pre_candidate;
  const bool already = RCS_MUTANT("EL-14") && hard_.vote == message.from;
  const bool granted = free && neutral && (already || is_up_to_date(request));
  if (granted) {
    become_follower(hard_.term, leader_);
    if (!hard_.vote) {
      hard_.vote = message.from;
      hard_dirty_ = true;
    }
    arm_election();
  }
  // A refusal waits too: a term that was spoken is never forgotten (S3; simulator seed 28).
  const bool early = RCS_MUTANT("EL-01");
  send(message.from, VoteResponse{false, granted, message.term}, early ? Await{} : hard_write());
}

}  // namespace raftcs::raft
