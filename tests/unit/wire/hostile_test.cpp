// Frames that are damaged, made up or malicious: refused with a sentence, never trusted.
#include <gtest/gtest.h>

#include <random>

#include "tests/fuzz/wire_targets.hpp"
#include "tests/unit/wire/hex.hpp"
#include "tests/unit/wire/samples.hpp"

namespace raftcs::wire {
namespace {

// Seeded and the same everywhere.
class Random {
 public:
  explicit Random(uint64_t seed) : engine_(seed) {}
  uint64_t below(uint64_t n) { return n == 0 ? 0 : engine_() % n; }
  bool chance(double p) { return static_cast<double>(below(1000)) < p * 1000; }

 private:
  std::mt19937_64 engine_;
};

using Target = bool (*)(const uint8_t*, size_t);
Target target_of(Speaker speaker) {
  switch (speaker) {
    case Speaker::client: return fuzz::client_frame;
    case Speaker::server: return fuzz::server_frame;
    case Speaker::peer: return fuzz::peer_frame;
  }
  return nullptr;
}

std::vector<uint8_t> copy_of(const Bytes& b) { return {b.begin(), b.end()}; }

Decoded client(std::string_view hex) { return decode(Speaker::client, from_hex(hex)); }

}  // namespace

TEST(Hostile, FixturesPassTheFuzzTargets) {
  for (const Sample& s : samples())
    EXPECT_EQ(target_of(s.speaker)(s.bytes.data(), s.bytes.size()), !s.refused) << s.name;
}

TEST(Hostile, EveryTruncationIsRefused) {
  for (const Sample& s : samples()) {
    if (s.refused) continue;
    for (size_t size = 0; size < s.bytes.size(); ++size)
      EXPECT_FALSE(target_of(s.speaker)(s.bytes.data(), size)) << s.name << " cut to " << size;
  }
}

TEST(Hostile, EveryAddedByteIsRefused) {
  for (const Sample& s : samples()) {
    if (s.refused) continue;
    std::vector<uint8_t> bytes = copy_of(s.bytes);
    bytes.push_back(0);
    EXPECT_FALSE(target_of(s.speaker)(bytes.data(), bytes.size())) << s.name;
  }
}

TEST(Hostile, EveryBitFlipIsHandled) {
  for (const Sample& s : samples()) {
    std::vector<uint8_t> bytes = copy_of(s.bytes);
    for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
      bytes[bit / 8] = static_cast<uint8_t>(bytes[bit / 8] ^ (1 << bit % 8));
      const bool accepted = target_of(s.speaker)(bytes.data(), bytes.size());
      EXPECT_FALSE(accepted && s.speaker == Speaker::peer) << s.name << " bit " << bit;
      bytes[bit / 8] = static_cast<uint8_t>(bytes[bit / 8] ^ (1 << bit % 8));
    }
  }
}

TEST(Hostile, OneSpeakersFrameIsNotAnothers) {
  for (const Sample& s : samples()) {
    if (s.refused) continue;
    for (Speaker other : {Speaker::client, Speaker::server, Speaker::peer})
      EXPECT_EQ(decode(other, s.bytes).ok, other == s.speaker) << s.name;
  }
}

TEST(Hostile, MutationsAreHandled) {
  Random random(20'260'801);
  const auto& all = samples();
  for (int round = 0; round < 60'000; ++round) {
    const Sample& s = all[random.below(all.size())];
    std::vector<uint8_t> bytes = copy_of(s.bytes);
    for (uint64_t i = 0, n = 1 + random.below(4); i < n; ++i) {
      const size_t at = random.below(bytes.size() + 1);
      const auto where = bytes.begin() + static_cast<std::ptrdiff_t>(at);
      const auto byte = static_cast<uint8_t>(random.chance(0.5) ? 0xc0 + random.below(64)
                                                                : random.below(256));
      if (random.chance(0.3)) bytes.insert(where, byte);
      else if (at < bytes.size() && random.chance(0.3)) bytes.erase(where);
      else if (at < bytes.size()) bytes[at] = byte;
    }
    target_of(s.speaker)(bytes.data(), bytes.size());
  }
}

TEST(Hostile, RandomBytesAreRefused) {
  Random random(7);
  for (int round = 0; round < 20'000; ++round) {
    std::vector<uint8_t> bytes(random.below(64));
    for (auto& b : bytes) b = static_cast<uint8_t>(random.below(256));
    for (Speaker s : {Speaker::client, Speaker::server, Speaker::peer})
      EXPECT_FALSE(target_of(s)(bytes.data(), bytes.size()));
  }
}

TEST(Hostile, HugeCountsAreRefusedBeforeAnythingIsAllocated) {
  // Each promises up to 2^32 elements or bytes; sanitizers would report the allocation.
  const char* frames[] = {
      "94 ce52435331 01 05 ddffffffff",
      "94 ce52435331 01 05 91 ddffffffff 01 02 01",
      "94 ce52435331 01 05 91 95 01 02 01 dbffffffff 6b76 c400",
      "94 ce52435331 01 05 91 95 01 02 01 a26b76 c6ffffffff",
      "94 ce52435331 01 08 91 92 01 ddffffffff",
      "94 ce52435331 01 08 91 92 01 dfffffffff",
      "94 ce52435331 01 08 91 92 01 c9ffffffff 01",
      "ddffffffff ce52435331 01 08 91 91 01",
  };
  for (const char* hex : frames) {
    const Decoded d = client(hex);
    EXPECT_FALSE(d.ok) << hex;
    EXPECT_LE(d.client.capacity(), 1u) << hex;
  }
}

TEST(Hostile, LimitsHold) {
  Limits limits;
  limits.items_max = 2;
  limits.payload_bytes_max = 4;
  limits.text_bytes_max = 3;
  const auto request = [](std::string service, std::string payload) {
    return ClientMessage(
        Request{1, RequestId(1), RequestId(1), std::move(service), Bytes::copy(payload)});
  };
  const auto ok = [&](const Bytes& frame) { return decode(Speaker::client, frame, limits).ok; };
  EXPECT_TRUE(ok(encode(std::vector{request("abc", "1234"), request("", "")})));
  EXPECT_FALSE(ok(encode(std::vector{request("abcd", "1234")})));
  EXPECT_FALSE(ok(encode(std::vector{request("abc", "12345")})));
  EXPECT_FALSE(ok(encode(std::vector{request("", ""), request("", ""), request("", "")})));
  EXPECT_TRUE(ok(encode(std::vector<ClientMessage>{Admin{1, "abc", "1234"}})));
  EXPECT_FALSE(ok(encode(std::vector<ClientMessage>{Admin{1, "abc", "12345"}})));
  const Bytes frame = encode(std::vector{request("abc", "1234")});
  limits.frame_bytes_max = frame.size();
  EXPECT_TRUE(ok(frame));
  limits.frame_bytes_max = frame.size() - 1;
  EXPECT_FALSE(ok(frame));
}

TEST(Hostile, ListsAreLimitedPerMessageAndPerFrame) {
  Limits limits;
  limits.capabilities_max = 4;
  limits.members_max = 2;
  limits.items_max = 1;  // and so 16 elements of lists in the whole frame
  CreateSession create{1, 1, {}, 0, {}};
  create.proof.bytes[0] = 1;
  create.capabilities.assign(4, {"a", "b"});
  EXPECT_TRUE(decode(Speaker::client, encode({ClientMessage(create)}), limits).ok);
  create.capabilities.assign(5, {"a", "b"});
  EXPECT_FALSE(decode(Speaker::client, encode({ClientMessage(create)}), limits).ok);
  limits.capabilities_max = 1000;
  create.capabilities.assign(17, {"a", "b"});
  EXPECT_FALSE(decode(Speaker::client, encode({ClientMessage(create)}), limits).ok);
  Topology topology{{}, {3, MemberInfo{NodeId(1), "a", true}}};
  EXPECT_FALSE(decode(Speaker::server, encode({ServerMessage(topology)}), limits).ok);
}

TEST(Hostile, PeerEntriesAreLimitedAndContiguous) {
  const PeerEnvelope envelope{{}, NodeId(1), NodeId(2), {}};
  raft::AppendRequest append{Index(5), Term(1), Index(5), 1, {}};
  for (uint64_t i = 6; i < 9; ++i)
    append.entries.push_back({Index(i), Term(1), raft::EntryType::ops, LogTime{}, Bytes{}});
  const auto ok = [&](const Limits& limits) {
    raft::Message m{NodeId(1), NodeId(2), Term(1), append};
    return decode(Speaker::peer, encode_peer_frame(envelope, {m, m}), limits).ok;
  };
  Limits limits;
  limits.items_max = 6;
  EXPECT_TRUE(ok(limits));
  limits.items_max = 5;
  EXPECT_FALSE(ok(limits));
  append.entries[1].index = Index(8);
  EXPECT_FALSE(ok(Limits{}));
  append.entries.clear();
  append.prev_index = Index(UINT64_MAX);
  EXPECT_TRUE(ok(Limits{}));
  append.entries.push_back({Index(0), Term(1), raft::EntryType::ops, LogTime{}, Bytes{}});
  EXPECT_FALSE(ok(Limits{}));
}

TEST(Hostile, DepthOfLaterFieldsIsBounded) {
  const auto nested = [](int depth) {
    std::string hex = "94 ce52435331 01 08 91 92 01";
    for (int i = 0; i < depth; ++i) hex += "91";
    return client(hex + "c0").ok;
  };
  EXPECT_TRUE(nested(15));
  EXPECT_FALSE(nested(16));
  EXPECT_FALSE(nested(100'000));
}

TEST(Hostile, ErrorsNameTheField) {
  const Decoded d = client("94 ce52435331 01 05 91 95 01 02 01 a26b76 a170");
  EXPECT_EQ(d.error.text, "`payload` is of another type (byte 16)");
  EXPECT_EQ(d.error.type, 5u);
}

TEST(Hostile, NothingOfAMalformedBatchIsDelivered) {
  ClientSink out(1);
  DecodeError error;
  EXPECT_FALSE(decode_client_frame(from_hex("94 ce52435331 01 04 93 920102 920103 920004"),
                                   Limits{}, &out, &error));
  ASSERT_EQ(out.size(), 1u);
  EXPECT_EQ(out[0], ClientMessage(Hello{}));
}

}  // namespace raftcs::wire
