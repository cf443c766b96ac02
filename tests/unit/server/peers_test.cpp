// peers_test.cpp: one server::Node against scripted frames of other members.
#include <gtest/gtest.h>

#include "raft/membership.hpp"
#include "server/node.hpp"
#include "support/node_harness.hpp"

namespace raftcs::test {
namespace {

Uuid uuid(uint8_t byte) {
  Uuid u;
  u.bytes.fill(byte);
  return u;
}

// Node 1 of {1, 2, 3}, whose disks are known.
class Peers : public testing::Test {
 protected:
  Peers() {
    for (uint64_t id = 1; id <= 3; ++id) {
      raft::Member m;
      m.id = NodeId(id);
      m.peer_address = "tcp://10.0.0.1:" + std::to_string(7100 + id);
      m.client_address = "tcp://10.0.0.1:" + std::to_string(7000 + id);
      m.incarnation = uuid(static_cast<uint8_t>(id));
      first_.members.push_back(m);
    }
    server::Options options;
    options.id = NodeId(1);
    raft::BootImage image;
    image.hard_state.term = Term(1);
    image.entries = {config(1, 1, first_)};
    server::NodeEnvironment environment;
    environment.random = &random_;
    node_.emplace(options, storage::Identity{uuid(9), NodeId(1), uuid(1)}, std::move(image),
                  environment, now_);
    node_->take_effects(now_);
  }

  static raft::Entry config(uint64_t index, uint64_t term, const raft::Membership& m) {
    raft::Entry e;
    e.index = Index(index);
    e.term = Term(term);
    e.type = raft::EntryType::config;
    e.payload = raft::encode_membership(m);
    return e;
  }

  void frame(uint64_t from, const Uuid& incarnation, uint64_t term, raft::MessageBody body) {
    const wire::PeerEnvelope envelope{uuid(9), NodeId(from), NodeId(1), incarnation};
    const raft::Message message{NodeId(from), NodeId(1), Term(term), std::move(body)};
    node_->peer_frame(wire::encode_peer_frame(envelope, {message}), now_);
  }

  raft::Membership first_;
  SeededRandom random_{1};
  Mono now_{kNsPerSecond};
  std::optional<server::Node> node_;
};

// A disk that was wiped comes back with another incarnation, and is nobody until it is added anew.
TEST_F(Peers, MB_08_ANodeWithAnotherDiskIsNotHeard) {
  const raft::VoteRequest request{false, false, Index(1), Term(1)};
  frame(2, uuid(7), 9, request);
  EXPECT_TRUE(node_->take_effects(now_).log.empty());
  EXPECT_EQ(node_->raft().term(), Term(1));
  frame(2, uuid(2), 9, request);
  EXPECT_FALSE(node_->take_effects(now_).log.empty());
  EXPECT_EQ(node_->raft().term(), Term(9));
}

// The configuration of a snapshot is the one at its index, not one that may yet be removed.
TEST_F(Peers, SN_04_ASnapshotHasTheConfigurationOfItsIndex) {
  raft::Membership later = first_;
  later.members.pop_back();
  raft::AppendRequest append;
  append.prev_index = Index(1);
  append.prev_term = Term(1);
  append.commit = Index(1);
  append.entries = {config(2, 2, later)};
  frame(2, uuid(2), 2, append);
  (void)node_->take_effects(now_);
  ASSERT_EQ(node_->raft().membership(), later);
  server::ApplyDone done;
  done.applied = Index(1);
  node_->apply_done(std::move(done), now_);
  node_->admin(1, "snapshot", "", now_);
  const server::NodeEffects effects = node_->take_effects(now_);
  ASSERT_EQ(effects.apply.size(), 1u);
  const auto* begin = std::get_if<server::ApplyBeginSnapshot>(&effects.apply[0]);
  ASSERT_NE(begin, nullptr);
  EXPECT_EQ(begin->membership, first_);
}

}  // namespace
}  // namespace raftcs::test
