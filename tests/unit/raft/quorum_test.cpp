// Quorums against counting by hand, for all small configurations (CM-07, S16).
#include "raft/quorum.hpp"

#include <gtest/gtest.h>

#include "base/prng.hpp"

namespace raftcs::raft {
namespace {

bool majority_by_hand(const std::vector<NodeId>& ids, uint64_t set) {
  size_t n = 0;
  for (NodeId id : ids) n += (set >> id.value) & 1;
  return 2 * n > ids.size();
}

VoterSets sets_of(uint64_t incoming, uint64_t outgoing) {
  VoterSets s;
  for (uint64_t id = 1; id <= 8; ++id) {
    if ((incoming >> id) & 1) s.incoming.push_back(NodeId(id));
    if ((outgoing >> id) & 1) s.outgoing.push_back(NodeId(id));
  }
  s.joint = outgoing != 0;
  return s;
}

TEST(Quorum, CM_07_AllConfigurationsUpToFourPlusFourAgreeWithCounting) {
  for (uint64_t incoming = 1; incoming < 16; ++incoming) {
    for (uint64_t outgoing = 0; outgoing < 256; ++outgoing) {
      if (__builtin_popcountll(outgoing) > 4) continue;
      const VoterSets s = sets_of(incoming << 1, outgoing << 1);
      for (uint64_t have = 0; have < 256; ++have) {
        const uint64_t set = have << 1;
        const bool expected = majority_by_hand(s.incoming, set) &&
                              (!s.joint || majority_by_hand(s.outgoing, set));
        ASSERT_EQ(has_quorum(s, [&](NodeId id) { return ((set >> id.value) & 1) != 0; }), expected)
            << incoming << " " << outgoing << " " << have;
      }
    }
  }
}

TEST(Quorum, CM_07_ValueIsTheLargestThatAQuorumReached) {
  Prng prng(1);
  for (int round = 0; round < 20000; ++round) {
    const uint64_t outgoing = prng.chance(0.5) ? 1 + prng.below(255) : 0;
    const VoterSets s = sets_of((1 + prng.below(15)) << 1, outgoing << 1);
    uint64_t value[9];
    for (uint64_t& v : value) v = prng.below(6);
    const auto reached = [&](uint64_t at) {
      return has_quorum(s, [&](NodeId id) { return value[id.value] >= at; });
    };
    uint64_t expected = 0;
    while (expected < 6 && reached(expected + 1)) ++expected;
    ASSERT_EQ(quorum_value<uint64_t>(s, [&](NodeId id) { return value[id.value]; }), expected);
  }
}

TEST(Quorum, NoConfigurationIsNoQuorum) {
  EXPECT_FALSE(has_quorum(VoterSets(), [](NodeId) { return true; }));
  VoterSets half;
  half.joint = true;
  half.incoming = {NodeId(1)};
  EXPECT_FALSE(has_quorum(half, [](NodeId) { return true; }));
}

Membership random_membership(Prng& prng, bool joint) {
  Membership m;
  m.joint = joint;
  for (uint64_t id = 1; id <= 4; ++id) {
    if (prng.chance(0.3)) continue;
    Member member;
    member.id = NodeId(id);
    member.role = prng.chance(0.6) ? MemberRole::voter : MemberRole::learner;
    member.outgoing_voter = joint && prng.chance(0.6);
    m.members.push_back(member);
  }
  return m;
}

// Any quorum of a configuration meets any quorum of one that may follow it.
TEST(Quorum, S16_QuorumsOfConsecutiveConfigurationsIntersect) {
  Prng prng(2);
  int valid = 0;
  for (int round = 0; round < 30000; ++round) {
    const Membership a = random_membership(prng, prng.chance(0.4));
    const Membership b = random_membership(prng, prng.chance(0.4));
    const VoterSets from = voter_sets(a), to = voter_sets(b);
    if (from.incoming.empty() || (from.joint && from.outgoing.empty())) continue;
    if (!is_valid_change(a, b)) continue;
    ++valid;
    for (uint64_t x = 0; x < 16; ++x) {
      const auto in = [&](NodeId id) { return ((x >> (id.value - 1)) & 1) != 0; };
      const auto out = [&](NodeId id) { return !in(id); };
      ASSERT_FALSE(has_quorum(from, in) && has_quorum(to, out));
    }
  }
  EXPECT_GT(valid, 500);
}

}  // namespace
}  // namespace raftcs::raft
