// config_algebra_test.cpp: configurations, enumerated: all shapes over five members, and all short
// sequences of what can happen to them in a log (S16, MB-02, MB-04, MB-05).
//
// Majorities are counted here by hand, without the core's own arithmetic. Each test prints how much
// it tried.
#include <gtest/gtest.h>

#include <bit>
#include <cstdio>
#include <cstdlib>
#include <optional>

#include "base/check.hpp"
#include "raft/membership.hpp"
#include "raft/node.hpp"
#include "raft/quorum.hpp"

namespace raftcs::raft {
namespace {

constexpr unsigned kMembers = 5;

struct Shape {
  unsigned incoming = 0, outgoing = 0;  // bits of members
  bool joint = false;
};

Membership membership_of(const Shape& s) {
  Membership m;
  m.joint = s.joint;
  for (unsigned i = 0; i < kMembers; ++i) {
    const bool in = s.incoming >> i & 1, out = s.outgoing >> i & 1;
    if (!in && !out) continue;
    Member member;
    member.id = NodeId(i + 1);
    member.role = in ? MemberRole::voter : MemberRole::leaving;
    member.outgoing_voter = out;
    m.members.push_back(member);
  }
  return m;
}

bool most(unsigned half, unsigned who) {
  return 2 * std::popcount(half & who) > std::popcount(half);
}
bool quorum_by_hand(const Shape& s, unsigned who) {
  return most(s.incoming, who) && (!s.joint || most(s.outgoing, who));
}

// Can each of the two decide without the other knowing?
bool can_part(const Shape& a, const Shape& b) {
  for (unsigned who = 0; who < 1u << kMembers; ++who)
    if (quorum_by_hand(a, who) && quorum_by_hand(b, ~who & ((1u << kMembers) - 1))) return true;
  return false;
}

std::vector<Shape> all_shapes() {
  std::vector<Shape> shapes;
  for (unsigned in = 1; in < 1u << kMembers; ++in) {
    shapes.push_back({in, 0, false});
    for (unsigned out = 1; out < 1u << kMembers; ++out) shapes.push_back({in, out, true});
  }
  return shapes;
}

TEST(ConfigAlgebra, S16_WhatMayFollowHasIntersectingQuorums) {
  const std::vector<Shape> shapes = all_shapes();
  std::vector<Membership> memberships;
  for (const Shape& s : shapes) memberships.push_back(membership_of(s));
  uint64_t pairs = 0, allowed = 0, would_part = 0;
  for (size_t a = 0; a < shapes.size(); ++a) {
    for (size_t b = 0; b < shapes.size(); ++b) {
      ++pairs;
      const bool parts = can_part(shapes[a], shapes[b]);
      would_part += parts ? 1 : 0;
      if (!is_valid_change(memberships[a], memberships[b])) continue;
      ++allowed;
      ASSERT_FALSE(parts) << std::hex << shapes[a].incoming << "/" << shapes[a].outgoing << " to "
                          << shapes[b].incoming << "/" << shapes[b].outgoing;
    }
  }
  std::printf("%llu pairs of %zu configurations, %llu may follow each other; %llu could part\n",
              static_cast<unsigned long long>(pairs), shapes.size(),
              static_cast<unsigned long long>(allowed),
              static_cast<unsigned long long>(would_part));
  EXPECT_EQ(pairs, 984064u);
  EXPECT_GT(allowed, 2000u);
  EXPECT_GT(would_part, 100000u);
}

// From any voters to any voters: one simple change, or a joint one that is left to where it leads.
TEST(ConfigAlgebra, EverySetOfVotersIsReachedFromEvery) {
  uint64_t simple = 0, joint = 0;
  for (unsigned from = 1; from < 1u << kMembers; ++from) {
    for (unsigned to = 1; to < 1u << kMembers; ++to) {
      const Membership a = membership_of({from, 0, false}), b = membership_of({to, 0, false});
      const bool one = std::popcount(from ^ to) <= 1;
      ASSERT_EQ(is_valid_change(a, b), one);
      simple += one ? 1 : 0;
      const Membership both = membership_of({to, from, true});
      ASSERT_TRUE(is_valid_change(a, both));
      ASSERT_EQ(leave_joint(both), b);
      ASSERT_TRUE(is_valid_change(both, leave_joint(both)));
      ASSERT_FALSE(is_valid_change(both, both)) << "a joint one is only left";
      ASSERT_EQ(*decode_membership(encode_membership(both)), both);
      ++joint;
    }
  }
  std::printf("%llu simple changes, %llu joint ones\n", static_cast<unsigned long long>(simple),
              static_cast<unsigned long long>(joint));
  EXPECT_EQ(joint, 31u * 31u);
}

// Some members have another disk in the second than in the first: those count as others.
Membership with_other_disks(Membership m, unsigned swapped) {
  for (Member& member : m.members)
    member.incarnation.bytes[0] = swapped >> (member.id.value - 1) & 1 ? 2 : 1;
  return m;
}
bool disks_can_part(const Shape& a, const Shape& b, unsigned swapped) {
  for (unsigned who = 0; who < 1u << kMembers; ++who)
    if (quorum_by_hand(a, who) && quorum_by_hand(b, (~who | swapped) & ((1u << kMembers) - 1)))
      return true;
  return false;
}

TEST(ConfigAlgebra, MB_08_WhatMayFollowHasIntersectingQuorumsOfDisks) {
  const std::vector<Shape> shapes = all_shapes();
  uint64_t allowed = 0, refused = 0;
  for (const Shape& a : shapes) {
    for (const Shape& b : shapes) {
      if (!is_valid_change(membership_of(a), membership_of(b))) continue;
      for (unsigned swapped = 0; swapped < 1u << kMembers; ++swapped) {
        const Membership from = with_other_disks(membership_of(a), 0);
        const Membership to = with_other_disks(membership_of(b), swapped);
        if (!is_valid_change(from, to)) {
          ++refused;
          continue;
        }
        ++allowed;
        ASSERT_FALSE(disks_can_part(a, b, swapped))
            << std::hex << a.incoming << "/" << a.outgoing << " to " << b.incoming << "/"
            << b.outgoing << ", other disks " << swapped;
      }
    }
  }
  EXPECT_GT(allowed, 2000u);
  EXPECT_GT(refused, 2000u);
}

TEST(ConfigAlgebra, MB_08_ADiskIsBoundInASimpleChangeOnly) {
  const Shape five{0b11111, 0, false}, both{0b11001, 0b11111, true};
  EXPECT_TRUE(is_valid_change(membership_of(five), with_other_disks(membership_of(five), 0)));
  EXPECT_TRUE(is_valid_change(membership_of(five), membership_of(both)));
  EXPECT_FALSE(is_valid_change(membership_of(five), with_other_disks(membership_of(both), 0)));
}

// Six with RAFTCS_LONG=1.
size_t length_of_histories() {
  const char* wanted = std::getenv("RAFTCS_LONG");
#ifdef __SANITIZE_ADDRESS__
  constexpr size_t kUsual = 4;  // a share: each takes several times as long
#else
  constexpr size_t kUsual = 5;
#endif
  return wanted != nullptr && *wanted == '1' ? 6 : kUsual;
}

// --- in a log ---------------------------------------------------------------------------------

const Shape kFirst{0b111, 0, false}, kLess{0b011, 0, false}, kMore{0b1111, 0, false},
    kJoint{0b11100, 0b111, true};

Entry entry_of(uint64_t index, uint64_t term, const Membership* config = nullptr) {
  Entry e;
  e.index = Index(index);
  e.term = Term(term);
  e.type = config ? EntryType::config : EntryType::noop;
  if (config) e.payload = encode_membership(*config);
  return e;
}

// A follower that is told what to hold, and a log that anyone can read.
class Follower {
 public:
  Follower() { log_.push_back(entry_of(1, 1, &first_)); boot(); }

  void append(const Shape* config) {
    const Membership m = config ? membership_of(*config) : Membership();
    log_.push_back(entry_of(last() + 1, term_, config ? &m : nullptr));
    tell(log_.size() - 1);
  }
  // A later leader replaces the last entry by one without a configuration (MB-02).
  bool overwrite() {
    if (last() <= commit_) return false;
    log_.back() = entry_of(last(), ++term_);
    tell(log_.size() - 1);
    return true;
  }
  bool commit() {
    if (commit_ >= last()) return false;
    ++commit_;
    tell(log_.size());
    return true;
  }
  bool snapshot() {
    if (commit_ <= covered_.index.value) return false;
    covered_ = {Index(commit_), at(commit_).term, LogTime(), in_force(commit_), 0, 0};
    node_->snapshot_taken(covered_, now_);
    pump();
    log_.erase(log_.begin(), log_.begin() + static_cast<std::ptrdiff_t>(commit_ - base_));
    base_ = commit_;
    return true;
  }
  void restart() {
    commit_ = covered_.index.value;
    boot();
  }
  bool right() const {
    return node_->membership() == in_force(last()) && node_->last_index() == Index(last());
  }

 private:
  uint64_t last() const { return base_ + log_.size(); }
  const Entry& at(uint64_t index) const { return log_[static_cast<size_t>(index - base_ - 1)]; }
  // The last configuration at or below `index`: of the log, else of the snapshot.
  Membership in_force(uint64_t index) const {
    for (uint64_t i = index; i > base_; --i)
      if (at(i).type == EntryType::config) return *decode_membership(at(i).payload);
    return covered_.membership;
  }
  void boot() {
    Options options;
    options.id = NodeId(1);
    options.trailing_entries = 0;
    BootImage image;
    image.hard_state.term = Term(term_);
    if (covered_.index) image.snapshot = covered_;
    image.entries = log_;
    node_.emplace(options, std::move(image), now_);
    node_->set_invariant_checks(true);
    pump();
    node_->applied(Index(commit_));
  }
  void pump() {
    for (int i = 0; i < 10; ++i) {
      const Effects e = node_->take_effects(now_);
      if (e.empty()) return;
      if (e.write_seq) node_->persisted(e.write_seq, now_);
      if (!e.apply.empty()) node_->applied(e.apply.back().index);
    }
  }
  // Everything from entry number `from` of log_ on, and the commit index.
  void tell(size_t from) {
    AppendRequest m;
    m.prev_index = Index(base_ + from);
    m.prev_term = from == 0 ? covered_.term : log_[from - 1].term;
    m.commit = Index(commit_);
    m.entries.assign(log_.begin() + static_cast<std::ptrdiff_t>(from), log_.end());
    node_->receive({NodeId(2), NodeId(1), Term(term_), std::move(m)}, now_);
    pump();
  }

  const Membership first_ = membership_of(kFirst);
  const Mono now_{1};
  std::optional<Node> node_;
  std::vector<Entry> log_;
  SnapshotMeta covered_;
  uint64_t base_ = 0, commit_ = 0, term_ = 1;
};

TEST(ConfigAlgebra, MB_02_TheLastConfigurationOfLogOrSnapshotAfterAllShortHistories) {
  constexpr unsigned kOperations = 8;
  const size_t length = length_of_histories();
  const unsigned long failures = check_failures();
  uint64_t histories = 0, steps = 0, overwritten = 0, snapshots = 0;
  std::vector<unsigned> digits(length, 0);
  for (bool more = true; more;) {
    Follower f;
    bool possible = true;
    for (size_t i = 0; i < length && possible; ++i) {
      switch (digits[i]) {
        case 0: f.append(nullptr); break;
        case 1: f.append(&kLess); break;
        case 2: f.append(&kMore); break;
        case 3: f.append(&kJoint); break;
        case 4: possible = f.overwrite(); overwritten += possible; break;
        case 5: possible = f.commit(); break;
        case 6: possible = f.snapshot(); snapshots += possible; break;
        default: f.restart();
      }
      ++steps;
      ASSERT_TRUE(f.right()) << "step " << i << " of " << testing::PrintToString(digits);
      ASSERT_EQ(check_failures(), failures) << first_check_failure() << ", step " << i << " of "
                                            << testing::PrintToString(digits);
      // What is not possible here is not possible whatever follows.
      if (!possible) std::fill(digits.begin() + static_cast<std::ptrdiff_t>(i) + 1, digits.end(),
                               kOperations - 1);
    }
    ++histories;
    size_t at = length;
    while (at > 0 && ++digits[at - 1] == kOperations) digits[--at] = 0;
    more = at > 0;
  }
  std::printf("%llu histories, %llu steps, %llu overwritten entries, %llu snapshots\n",
              static_cast<unsigned long long>(histories), static_cast<unsigned long long>(steps),
              static_cast<unsigned long long>(overwritten),
              static_cast<unsigned long long>(snapshots));
  EXPECT_GT(histories, 1000u);
  EXPECT_GT(overwritten, histories / 4);
  EXPECT_GT(snapshots, histories / 20);
}

// A leader that is asked for changes at every moment.
class LeaderOfThree {
 public:
  LeaderOfThree() {
    const Membership first = membership_of(kFirst);
    BootImage image;
    image.hard_state.term = Term(1);
    image.entries = {entry_of(1, 1, &first)};
    Options options;
    options.id = NodeId(1);
    node_.emplace(options, std::move(image), now_);
    node_->set_invariant_checks(true);
    now_ = node_->next_deadline();
    node_->tick(now_);
    pump();
    hear(2, VoteResponse{true, true, Term(2)});
    hear(2, VoteResponse{false, true, Term(2)});
  }

  // True: taken. What must be refused is refused, and the other way round.
  bool change(const Shape& to, std::string* wrong) {
    const Membership before = node_->membership(), wanted = membership_of(to);
    const NodeStatus s = node_->status();
    const bool leads = s.role == Role::leader;
    const bool open = leads && (!s.leader_ready || s.membership_index > s.commit || before.joint);
    const Refusal got = node_->propose_membership(wanted, now_, nullptr, nullptr);
    pump();
    const Refusal want = !leads                              ? Refusal::not_leader
                         : open                              ? Refusal::membership_pending
                         : !is_valid_change(before, wanted) ? Refusal::invalid
                                                             : Refusal::none;
    if (got != want && !(leads && got == Refusal::not_leader && leaving(before)))
      *wrong = "refusal " + std::to_string(static_cast<int>(got)) + " instead of " +
               std::to_string(static_cast<int>(want));
    return got == Refusal::none;
  }
  void propose() {
    (void)node_->propose(Bytes::copy("x"), now_, nullptr, nullptr);
    pump();
  }
  // Members 2 and on, up to `last`, say that they hold everything.
  void acknowledge(uint64_t last) {
    for (uint64_t id = 2; id <= last; ++id) {
      AppendResponse r;
      r.success = true;
      r.match = node_->last_index();
      hear(id, r);
    }
  }
  // Of the entries not committed, those that are configurations.
  unsigned open_configurations() const {
    unsigned n = 0;
    for (Index i = node_->commit_index().next(); i <= node_->last_index(); ++i)
      n += node_->entry(i) && node_->entry(i)->type == EntryType::config ? 1 : 0;
    return n;
  }
  const Node& node() const { return *node_; }

 private:
  bool leaving(const Membership& m) const {
    const Member* self = find_member(m, NodeId(1));
    return !self || self->role != MemberRole::voter;
  }
  void hear(uint64_t from, MessageBody body) {
    node_->receive({NodeId(from), NodeId(1), node_->term(), std::move(body)}, now_);
    pump();
  }
  void pump() {
    for (int i = 0; i < 10; ++i) {
      const Effects e = node_->take_effects(now_);
      if (e.empty()) return;
      if (e.write_seq) node_->persisted(e.write_seq, now_);
      if (!e.apply.empty()) node_->applied(e.apply.back().index);
    }
  }

  Mono now_{1};
  std::optional<Node> node_;
};

TEST(ConfigAlgebra, MB_04_NeverTwoUncommittedConfigurationsAfterAllShortHistories) {
  constexpr unsigned kOperations = 8;
  const size_t length = length_of_histories();
  const unsigned long failures = check_failures();
  uint64_t histories = 0, taken = 0, refused = 0, joint = 0;
  for (uint64_t code = 0; code < uint64_t{1} << (3 * length); ++code, ++histories) {
    LeaderOfThree leader;
    ASSERT_EQ(leader.node().role(), Role::leader);
    for (uint64_t rest = code, i = 0; i < length; ++i, rest /= kOperations) {
      static constexpr Shape kBack{0b111, 0, false};
      const Shape* to = nullptr;
      switch (rest % kOperations) {
        case 0: leader.propose(); break;
        case 1: to = &kLess; break;
        case 2: to = &kMore; break;
        case 3: to = &kJoint; break;
        case 4: to = &kBack; break;
        case 5: leader.acknowledge(2); break;
        case 6: leader.acknowledge(3); break;
        default: leader.acknowledge(5);
      }
      std::string wrong;
      if (to) ++(leader.change(*to, &wrong) ? taken : refused);
      ASSERT_EQ(wrong, "") << "step " << i << " of history " << code;
      ASSERT_LE(leader.open_configurations(), 1u) << "step " << i << " of history " << code;
      joint += leader.node().membership().joint ? 1 : 0;
      ASSERT_EQ(check_failures(), failures)
          << first_check_failure() << ", step " << i << " of history " << code;
    }
  }
  std::printf("%llu histories: %llu changes taken, %llu refused, joint in %llu states\n",
              static_cast<unsigned long long>(histories), static_cast<unsigned long long>(taken),
              static_cast<unsigned long long>(refused), static_cast<unsigned long long>(joint));
  EXPECT_GT(taken, histories / 2);
  EXPECT_GT(refused, histories / 2);
  EXPECT_GT(joint, histories / 20);
}

}  // namespace
}  // namespace raftcs::raft
