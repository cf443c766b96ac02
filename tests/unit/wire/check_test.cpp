// Checks between nodes: their bytes, what later versions may add, and damage.
#include "wire/check_codec.hpp"

#include <gtest/gtest.h>

namespace raftcs::wire {
namespace {

PeerEnvelope envelope() {
  PeerEnvelope e;
  e.from = NodeId(1);
  e.to = NodeId(3);
  e.cluster.bytes[0] = 0xc1;
  e.incarnation.bytes[15] = 0x1c;
  return e;
}

PeerCheck verdict() {
  PeerCheck c;
  c.kind = CheckKind::verdict;
  c.replica = {Index(300), 0xfedcba9876543210u, Index(8), 7};
  c.decided = false;
  c.wrong = {NodeId(2), NodeId(70'000)};
  return c;
}

TEST(Check, RoundTripForEveryKind) {
  for (CheckKind kind : {CheckKind::ask, CheckKind::answer, CheckKind::verdict}) {
    PeerCheck c = verdict(), read;
    c.kind = kind;
    PeerEnvelope from;
    DecodeError error;
    ASSERT_TRUE(decode_peer_check(encode_peer_check(envelope(), c), {}, &from, &read, &error))
        << error.text;
    EXPECT_EQ(read, c);
    EXPECT_EQ(from, envelope());
  }
}

TEST(Check, EveryDamagedBitAndEveryCutIsRefused) {
  const Bytes good = encode_peer_check(envelope(), verdict());
  PeerEnvelope from;
  PeerCheck read;
  DecodeError error;
  for (size_t bit = 0; bit < good.size() * 8; ++bit) {
    std::vector<uint8_t> bytes(good.data(), good.data() + good.size());
    bytes[bit / 8] ^= static_cast<uint8_t>(1u << (bit % 8));
    EXPECT_FALSE(decode_peer_check(Bytes::adopt(std::move(bytes)), {}, &from, &read, &error))
        << "bit " << bit;
  }
  for (size_t size = 0; size < good.size(); ++size)
    EXPECT_FALSE(decode_peer_check(good.slice(0, size), {}, &from, &read, &error));
}

TEST(Check, IsNoOtherFrame) {
  const Bytes frame = encode_peer_check(envelope(), verdict());
  PeerEnvelope from;
  std::vector<raft::Message> messages;
  DecodeError error;
  EXPECT_FALSE(decode_peer_frame(frame, {}, &from, &messages, &error));
  EXPECT_EQ(error.kind, DecodeError::Kind::unknown_type);
  EXPECT_EQ(error.type, kPeerCheckType);
}

}  // namespace
}  // namespace raftcs::wire
