// Contacts between nodes: their bytes, what later versions may add, and damage.
#include <gtest/gtest.h>

#include "tests/unit/wire/hex.hpp"
#include "wire/codec.hpp"

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

PeerContact contact() { return {"tcp://h:1", ContactReason::not_member, Index(300), "gone"}; }

// The bytes are a contract: a change of them is a change of the protocol.
TEST(Contact, Bytes) {
  EXPECT_EQ(to_hex(encode_peer_contact(envelope(), contact())),
            "99ce524353500102"
            "c410c1000000000000000000000000000000"
            "0103"
            "c4100000000000000000000000000000001c"
            "ce"
            "3ec91b8f"
            "94a97463703a2f2f683a31"
            "01cd012ca4676f6e65");
}

TEST(Contact, BytesOfOneAboutADisk) {
  PeerContact c = contact();
  c.reason = ContactReason::knows_disk;
  c.about = NodeId(5);
  c.disk.bytes[0] = 0xd1;
  const std::string hex = to_hex(encode_peer_contact(envelope(), c));
  EXPECT_EQ(hex.substr(hex.find("96a9")),
            "96a97463703a2f2f683a31"
            "07cd012ca4676f6e65"
            "05c410d1000000000000000000000000000000");
}

TEST(Contact, RoundTripForEveryReason) {
  for (ContactReason reason : {ContactReason::hello, ContactReason::not_member,
                               ContactReason::other_disk, ContactReason::other_cluster,
                               ContactReason::heal, ContactReason::admitted,
                               ContactReason::asks_disk, ContactReason::knows_disk}) {
    PeerContact c = contact(), read;
    c.reason = reason;
    if (reason >= ContactReason::asks_disk) {
      c.about = NodeId(9);
      c.disk.bytes[15] = 7;
    }
    PeerEnvelope from;
    DecodeError error;
    ASSERT_TRUE(decode_peer_contact(encode_peer_contact(envelope(), c), {}, &from, &read, &error))
        << error.text;
    EXPECT_EQ(read, c);
    EXPECT_EQ(from, envelope());
  }
}

TEST(Contact, EveryDamagedBitAndEveryCutIsRefused) {
  const Bytes good = encode_peer_contact(envelope(), contact());
  PeerEnvelope from;
  PeerContact read;
  DecodeError error;
  size_t refused = 0;
  for (size_t bit = 0; bit < good.size() * 8; ++bit) {
    std::vector<uint8_t> bytes(good.data(), good.data() + good.size());
    bytes[bit / 8] ^= static_cast<uint8_t>(1u << bit % 8);
    refused +=
        decode_peer_contact(Bytes::copy(bytes.data(), bytes.size()), {}, &from, &read, &error) ? 0
                                                                                               : 1;
  }
  EXPECT_EQ(refused, good.size() * 8);
  for (size_t n = 0; n < good.size(); ++n)
    EXPECT_FALSE(decode_peer_contact(good.slice(0, n), {}, &from, &read, &error)) << n;
}

TEST(Contact, ItIsNoFrameOfMessagesAndTheOtherWayRound) {
  PeerEnvelope from;
  PeerContact read;
  std::vector<raft::Message> messages;
  DecodeError error;
  EXPECT_FALSE(
      decode_peer_frame(encode_peer_contact(envelope(), contact()), {}, &from, &messages, &error));
  EXPECT_EQ(error.kind, DecodeError::Kind::unknown_type);
  EXPECT_EQ(error.type, kPeerContactType);
  EXPECT_FALSE(decode_peer_contact(encode_peer_frame(envelope(), {}), {}, &from, &read, &error));
}

}  // namespace
}  // namespace raftcs::wire
