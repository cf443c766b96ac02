// state_hash_test.cpp: nodes that will do different things must not hash alike.
#include <gtest/gtest.h>

#include "raft/membership.hpp"
#include "raft/node.hpp"

namespace raftcs::raft {
namespace {

constexpr DurationNs kTimeout = 500 * kNsPerMs;

Node node_of(const std::vector<uint64_t>& voters, Mono now) {
  Membership members;
  for (uint64_t id : voters) {
    Member m;
    m.id = NodeId(id);
    members.members.push_back(m);
  }
  Entry config;
  config.index = Index(1);
  config.term = Term(1);
  config.type = EntryType::config;
  config.payload = encode_membership(members);
  Options options;
  options.id = NodeId(1);
  options.election_timeout_ns = kTimeout;
  return Node(options, BootImage{HardState{Term(1), NodeId()}, std::nullopt, {config}}, now);
}

void receive(Node* node, MessageBody body, Term term, Mono now) {
  node->receive({NodeId(2), NodeId(1), term, std::move(body)}, now);
}

// Sticky to its leader or not: the same vote request is ignored or answered (thesis 4.2.3).
TEST(StateHash, SeesHowLongAgoTheLeaderWasHeard) {
  const Mono start{kNsPerSecond};
  Node sticky = node_of({1, 2, 3}, start);
  AppendRequest heartbeat;
  receive(&sticky, heartbeat, Term(2), start);
  sticky.take_effects(start);
  Node loose = sticky.clone();
  EXPECT_EQ(sticky.hash64(), loose.hash64());
  loose.take_effects(start + kTimeout);  // before its own timeout
  EXPECT_NE(sticky.hash64(), loose.hash64());
  const Message ask{NodeId(3), NodeId(1), Term(3), VoteRequest{false, false, Index(1), Term(1)}};
  sticky.receive(ask, start);
  loose.receive(ask, start);
  EXPECT_NE(sticky.take_effects(start).messages.size(), loose.take_effects(start).messages.size());
}

// Equal times left are equal, whatever the clock says.
TEST(StateHash, DoesNotSeeTheClock) {
  Node early = node_of({1, 2, 3}, Mono{kNsPerSecond});
  Node late = node_of({1, 2, 3}, Mono{9 * kNsPerSecond});
  EXPECT_EQ(early.hash64(), late.hash64());
}

TEST(StateHash, SeesWhichReadWaits) {
  const Mono now{kNsPerSecond};
  Node a = node_of({1}, now);
  a.tick(now);
  a.take_effects(now);
  ASSERT_EQ(a.role(), Role::candidate) << "its vote is not durable yet";
  a.persisted(1, now);
  ASSERT_EQ(a.role(), Role::leader);
  a.take_effects(now);
  Node b = a.clone();
  a.read_index(1, now);
  b.read_index(2, now);
  EXPECT_NE(a.hash64(), b.hash64());
}

// A write that is under way for the hard state alone holds back other messages than one that
// also carries entries.
TEST(StateHash, SeesWhatOfAWriteIsDurable) {
  const Mono now{kNsPerSecond};
  Node a = node_of({1, 2, 3}, now);
  receive(&a, VoteRequest{false, false, Index(1), Term(1)}, Term(2), now);
  ASSERT_EQ(a.take_effects(now).write_seq, 1u);
  Node b = a.clone();
  b.hard_state_persisted(1);
  EXPECT_NE(a.hash64(), b.hash64());
}

}  // namespace
}  // namespace raftcs::raft
