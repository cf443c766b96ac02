// Flow control and what answers do to a peer's progress.
#include "raft/progress.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "raft/membership.hpp"

namespace raftcs::raft {
namespace {

TEST(Inflights, LR_12_WindowCountsMessagesAndBytes) {
  Inflights w;
  EXPECT_TRUE(w.has_room(2, 10));
  w.add(Index(1), 4);
  w.add(Index(2), 4);
  EXPECT_FALSE(w.has_room(2, 100));
  EXPECT_FALSE(w.has_room(9, 8));
  w.free_to(Index(1));
  EXPECT_TRUE(w.has_room(2, 8));
  EXPECT_EQ(w.bytes(), 4u);
  w.free_to(Index(9));
  EXPECT_EQ(w.count(), 0u);
  EXPECT_EQ(w.bytes(), 0u);
}

TEST(Progress, LR_04_AcksInAnyOrderGiveTheSameMatch) {
  std::vector<uint64_t> acks = {1, 2, 3, 4};
  do {
    Progress p;
    p.next = Index(1);
    p.to_replicate();
    for (uint64_t a : acks) {
      p.on_success(Index(a));
      ASSERT_LT(p.match, p.next);
    }
    ASSERT_EQ(p.match, Index(4));
    ASSERT_EQ(p.next, Index(5));
  } while (std::next_permutation(acks.begin(), acks.end()));
}

TEST(Progress, LR_08_EachRefusalLowersNext) {
  Progress p;
  p.to_probe(Index(10));
  EXPECT_TRUE(p.on_refusal(Index(9), Index(20)));
  EXPECT_EQ(p.next, Index(9));
  EXPECT_FALSE(p.on_refusal(Index(9), Index(1)));  // an old answer
  EXPECT_TRUE(p.on_refusal(Index(8), Index(2)));
  EXPECT_EQ(p.next, Index(2));
}

TEST(Progress, LR_03_RefusalAtOrBelowMatchIsStale) {
  Progress p;
  p.next = Index(8);
  p.to_replicate();
  p.on_success(Index(5));
  EXPECT_FALSE(p.on_refusal(Index(5), Index(1)));
  EXPECT_TRUE(p.on_refusal(Index(7), Index(1)));
  EXPECT_EQ(p.next, Index(6));  // never at or below match
}

TEST(Membership, CodecRoundTripAndDamage) {
  Membership m;
  m.joint = true;
  for (uint64_t id : {1, 5, 900}) {
    Member member;
    member.id = NodeId(id);
    member.peer_address = "tcp://10.0.0." + std::to_string(id) + ":1";
    member.client_address = "tcp://10.0.0." + std::to_string(id) + ":2";
    member.role = id == 5 ? MemberRole::learner : MemberRole::voter;
    member.outgoing_voter = id != 900;
    member.incarnation.bytes[3] = static_cast<uint8_t>(id);
    m.members.push_back(member);
  }
  const Bytes bytes = encode_membership(m);
  ASSERT_TRUE(decode_membership(bytes).is_ok());
  EXPECT_EQ(*decode_membership(bytes), m);
  for (size_t n = 0; n < bytes.size(); ++n)
    EXPECT_FALSE(decode_membership(bytes.slice(0, n)).is_ok()) << n;
  EXPECT_EQ(bytes[0], 1) << "what format 1 can say is said in format 1";
  m.members[1].role = MemberRole::leaving;
  m.members[2].priority = 7;
  const Bytes later = encode_membership(m);
  EXPECT_EQ(later[0], 2);
  ASSERT_TRUE(decode_membership(later).is_ok());
  EXPECT_EQ(*decode_membership(later), m);
  for (size_t n = 0; n < later.size(); ++n)
    EXPECT_FALSE(decode_membership(later.slice(0, n)).is_ok()) << n;
  m.members[0].role = MemberRole::learner;
  m.members[0].returning = true;
  const Bytes returns = encode_membership(m);
  EXPECT_EQ(returns[0], 3);
  ASSERT_TRUE(decode_membership(returns).is_ok());
  EXPECT_EQ(*decode_membership(returns), m);
  for (size_t n = 0; n < returns.size(); ++n)
    EXPECT_FALSE(decode_membership(returns.slice(0, n)).is_ok()) << n;
  m.members[0].role = MemberRole::voter;
  EXPECT_FALSE(decode_membership(encode_membership(m)).is_ok()) << "it has its vote";
  m.members[0].returning = false;
  Membership wrong = m;
  wrong.members[1].outgoing_voter = false;
  EXPECT_FALSE(decode_membership(encode_membership(wrong)).is_ok()) << "leaving what?";
  std::swap(m.members[0], m.members[1]);
  EXPECT_FALSE(decode_membership(encode_membership(m)).is_ok()) << "unordered";
}

}  // namespace
}  // namespace raftcs::raft
