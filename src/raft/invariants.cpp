// invariants.cpp: see invariants.hpp.
#include "raft/invariants.hpp"

#include "base/check.hpp"

namespace raftcs::raft {
namespace {

#ifdef NDEBUG
constexpr bool kDebug = false;
#else
constexpr bool kDebug = true;
#endif

// S10: applied <= commit <= last; nothing is handed out that is not committed.
void check_order(const Node::Impl& n) {
  RCS_CHECK(n.applied_ <= n.handed_out_);
  RCS_CHECK(n.handed_out_ <= n.commit_);
  RCS_CHECK(n.commit_ <= n.log_.last());
  RCS_CHECK(n.durable_ <= n.log_.last());
  RCS_CHECK(n.first_unwritten_ <= n.log_.last().next());
}

// S14: the log begins right after something a snapshot covers.
void check_no_gap(const Node::Impl& n) { RCS_CHECK(n.log_.base().index <= n.snapshot_.index); }

// S12: match < next, and the leader believes nothing about entries it does not have.
void check_progress(const Node::Impl& n, const Leader& lead) {
  for (const Progress& p : lead.peers) {
    RCS_CHECK(p.match < p.next);
    RCS_CHECK(p.match <= n.log_.last());
    RCS_CHECK(p.round_acked <= lead.round);
  }
  RCS_CHECK(n.leader_ == n.options_.id);
  RCS_CHECK(n.hard_.vote == n.options_.id);
  RCS_CHECK(n.persisted_seq_ >= n.hard_seq_ && !n.hard_dirty_);  // EL-18
  RCS_CHECK(lead.ready == (n.commit_ >= lead.first_own));
}

// S5: indexes follow each other; terms and times never fall; LR-13: bytes are counted exactly.
void check_log(const Node::Impl& n) {
  LogPosition at = n.log_.base();
  uint64_t bytes = 0, uncommitted = 0;
  for (Index i = n.log_.first(); i <= n.log_.last(); ++i) {
    const Entry& e = n.log_.at(i);
    RCS_CHECK(e.index == i);
    RCS_CHECK(e.term >= at.term && e.term <= n.hard_.term);
    RCS_CHECK(e.time >= at.time);
    at = {e.index, e.term, e.time};
    bytes += e.payload.size();
    if (i > n.commit_) uncommitted += e.payload.size();
  }
  RCS_CHECK(bytes == n.log_.bytes());
  if (const Leader* lead = n.leading()) RCS_CHECK(lead->uncommitted_bytes == uncommitted);
}

// S16: the configuration in force is the last in the log, else the snapshot's; at most one
// is uncommitted; the cached voter sets are its own.
void check_membership(const Node::Impl& n) {
  Index found;
  unsigned uncommitted = 0;
  for (Index i = n.log_.first(); i <= n.log_.last(); ++i) {
    if (n.log_.at(i).type != EntryType::config) continue;
    found = i;
    if (i > n.commit_) ++uncommitted;
  }
  RCS_CHECK(found == (n.configs_.empty() ? Index() : n.configs_.back().index));
  // A new leader may hold several whose commitment it has not learnt yet.
  const Leader* lead = n.leading();
  RCS_CHECK(!lead || !lead->ready || uncommitted <= 1);
  RCS_CHECK(n.voters_ == voter_sets(n.membership()));
}

}  // namespace

InvariantGuard::InvariantGuard(const Node::Impl& impl) : impl_(impl) {
  before_ = {impl.hard_,
             impl.role(),
             impl.commit_,
             impl.handed_out_,
             impl.log_.last(),
             impl.log_.base().index,
             impl.membership_index()};
}

InvariantGuard::~InvariantGuard() {
  const Node::Impl& n = impl_;
  if (!kDebug && !n.full_checks_) return;
  // S3: terms never fall; EL-03: a vote changes only with the term, or from none.
  RCS_CHECK(n.hard_.term >= before_.hard.term);
  RCS_CHECK(n.hard_.term > before_.hard.term || !before_.hard.vote ||
            n.hard_.vote == before_.hard.vote);
  // S10: never back.
  RCS_CHECK(n.commit_ >= before_.commit);
  RCS_CHECK(n.handed_out_ >= before_.handed_out);
  RCS_CHECK(n.log_.base().index >= before_.base);
  // S4, Leader Append-Only (thesis 3.6, figure 3.2).
  if (before_.role == Role::leader && n.leading() && n.hard_.term == before_.hard.term)
    RCS_CHECK(n.log_.last() >= before_.last);
  // S7, locally: what is committed is never cut away.
  RCS_CHECK(n.log_.last() >= before_.commit);
  check_order(n);
  check_no_gap(n);
  if (const Leader* lead = n.leading()) check_progress(n, *lead);
  if (!n.full_checks_) return;
  const bool other_config = n.membership_index() != before_.config;
  if (++n.unscanned_ < n.scan_every_ && !other_config) return;
  n.unscanned_ = 0;
  check_log(n);
  check_membership(n);
}

}  // namespace raftcs::raft
