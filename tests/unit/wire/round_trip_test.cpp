// What is encoded is decoded, for any values; equal values give equal bytes.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "tests/unit/wire/samples.hpp"
#include "wire/server_fields.hpp"

namespace raftcs::wire {
namespace {

template <class T>
T any() {
  return *rc::gen::arbitrary<T>();
}
// Small and large numbers alike.
uint64_t any_u64(uint64_t min) {
  return *rc::gen::oneOf(rc::gen::inRange<uint64_t>(min, 300), rc::gen::inRange(min, UINT64_MAX),
                         rc::gen::element<uint64_t>(127, 128, 255, 256, 65535, 65536, UINT32_MAX,
                                                    uint64_t{UINT32_MAX} + 1, UINT64_MAX));
}
Bytes any_bytes() {
  std::string s = any<std::string>();
  if (*rc::gen::inRange(0, 8) == 0)
    s.resize(*rc::gen::element<size_t>(31, 32, 255, 256, 65536), 'x');
  return Bytes::copy(s);
}
Uuid any_uuid(bool zero_too) {
  Uuid u;
  for (auto& b : u.bytes) b = any<uint8_t>();
  if (!zero_too) u.bytes[3] |= 1;
  return u;
}
// What Fields<M>::walk runs to fill a message.
struct Filler {
  void u32(const char*, uint32_t& v) { v = static_cast<uint32_t>(any_u64(0)); }
  void u64(const char*, uint64_t& v) { v = any_u64(0); }
  void i32(const char*, int32_t& v) {
    v = *rc::gen::oneOf(rc::gen::inRange(-200, 200), rc::gen::arbitrary<int32_t>(),
                        rc::gen::element(INT32_MIN, INT32_MAX, -32, -33, -128, -129, -32769));
  }
  void flag(const char*, bool& v) { v = any<bool>(); }
  void channel(const char*, Channel& v) { v = static_cast<Channel>(any_u64(1)) | 1; }
  void nonce(const char*, uint64_t& v) { v = any_u64(1); }
  template <class Tag>
  void id(const char*, StrongId<Tag>& v) {
    v.value = any_u64(1);
  }
  template <class Tag>
  void id_or_zero(const char*, StrongId<Tag>& v) {
    v.value = any_u64(0);
  }
  void uuid(const char*, Uuid& v) { v = any_uuid(false); }
  void uuid_or_nil(const char*, Uuid& v) { v = any<bool>() ? Uuid{} : any_uuid(true); }
  void text(const char*, std::string& v) {
    v = any<std::string>();
    if (*rc::gen::inRange(0, 8) == 0)
      v.resize(*rc::gen::element<size_t>(31, 32, 255, 256, 4096), 'x');
  }
  void sentence(const char* what, std::string& v) { text(what, v); }
  void json(const char*, std::string& v) { v = any_bytes().str(); }
  void payload(const char*, Bytes& v) { v = any_bytes(); }
  template <class E>
  void choice(const char*, E& v, E first, E last) {
    v = static_cast<E>(*rc::gen::inRange(static_cast<int>(first), static_cast<int>(last) + 1));
  }
  void not_above(const char*, RequestId, RequestId) {}
  void leader(const char* what, LeaderHint& v) {
    if (any<bool>()) return;
    id(what, v.id);
    text(what, v.client_address);
  }
  void members(const char* what, std::vector<MemberInfo>& v) {
    v.resize(*rc::gen::inRange<size_t>(0, 20));
    for (auto& m : v) {
      id(what, m.id);
      text(what, m.client_address);
      flag(what, m.voter);
    }
  }
  void capabilities(const char* what, std::vector<std::pair<std::string, std::string>>& v) {
    v.resize(*rc::gen::inRange<size_t>(0, 20));
    for (auto& [name, value] : v) {
      text(what, name);
      text(what, value);
    }
  }
};

template <class M>
M any_message() {
  M m;
  Filler filler;
  Fields<M>::walk(filler, m);
  if constexpr (requires { m.lowest_pending; })
    m.lowest_pending = std::min(m.lowest_pending, m.id);
  return m;
}

// A batch of one type comes back equal, and encoding what came back gives the same bytes.
template <class M, class Variant>
void check_type(Speaker speaker) {
  std::vector<Variant> messages;
  for (int i = 0, n = *rc::gen::inRange(1, 6); i < n; ++i) messages.push_back(any_message<M>());
  const Bytes frame = encode(messages);
  Decoded d = decode(speaker, frame);
  RC_ASSERT(d.ok);
  if constexpr (std::is_same_v<Variant, ClientMessage>) {
    RC_ASSERT(d.client == messages);
    RC_ASSERT(encode(d.client) == frame);
  } else {
    RC_ASSERT(d.server == messages);
    RC_ASSERT(encode(d.server) == frame);
  }
}

template <class M>
class ClientRoundTrip : public testing::Test {};
template <class M>
class ServerRoundTrip : public testing::Test {};
template <class V>
struct TypesOf;
template <class... Ms>
struct TypesOf<std::variant<Ms...>> {
  using List = testing::Types<Ms...>;
};
struct MessageName {
  template <class M>
  static std::string GetName(int) {
    return Fields<M>::kName;
  }
};
TYPED_TEST_SUITE(ClientRoundTrip, TypesOf<ClientMessage>::List, MessageName);
TYPED_TEST_SUITE(ServerRoundTrip, TypesOf<ServerMessage>::List, MessageName);

TYPED_TEST(ClientRoundTrip, AnyValues) {
  EXPECT_TRUE(rc::check([] { check_type<TypeParam, ClientMessage>(Speaker::client); }));
}
TYPED_TEST(ServerRoundTrip, AnyValues) {
  EXPECT_TRUE(rc::check([] { check_type<TypeParam, ServerMessage>(Speaker::server); }));
}

raft::Membership any_membership() {
  raft::Membership m;
  m.joint = any<bool>();
  uint64_t id = 0;
  for (int i = 0, n = *rc::gen::inRange(0, 6); i < n; ++i) {
    id += *rc::gen::inRange<uint64_t>(1, 1000);
    m.members.push_back({NodeId(id), any<std::string>(), any<std::string>(), any_uuid(true),
                         any<bool>() ? raft::MemberRole::voter : raft::MemberRole::learner,
                         any<bool>()});
  }
  return m;
}
Index any_index() { return Index(any_u64(0)); }
Term any_term() { return Term(any_u64(0)); }

raft::MessageBody any_body(int kind) {
  using namespace raft;
  if (kind == 0) return VoteRequest{any<bool>(), any<bool>(), any_index(), any_term()};
  if (kind == 1) return VoteResponse{any<bool>(), any<bool>(), any_term()};
  if (kind == 2) {
    AppendRequest m{Index(any_u64(0) / 2), any_term(), any_index(), any_u64(0), {}};
    for (uint64_t i = 1, n = *rc::gen::inRange<uint64_t>(1, 10); i < n; ++i)
      m.entries.push_back({m.prev_index + i, any_term(),
                           static_cast<EntryType>(*rc::gen::inRange(1, 4)),
                           LogTime{any<int64_t>()}, any_bytes()});
    return m;
  }
  if (kind == 3)
    return AppendResponse{any<bool>(), any_index(), any_index(),
                          any_index(), any_term(),  any_u64(0)};
  if (kind == 4)
    return SnapshotChunk{{any_index(), any_term(), LogTime{any<int64_t>()}, any_membership(),
                          any_u64(0), any<uint32_t>()},
                         any_u64(0), any_bytes(), any<bool>()};
  if (kind == 5) return SnapshotChunkResponse{any_index(), any<bool>(), any_u64(0)};
  return TimeoutNow{};
}

}  // namespace

RC_GTEST_PROP(PeerRoundTrip, AnyValues, ()) {
  const PeerEnvelope envelope{any_uuid(true), NodeId(any_u64(1)), NodeId(any_u64(1)),
                              any_uuid(true)};
  std::vector<raft::Message> messages;
  for (int i = 0, n = *rc::gen::inRange(0, 8); i < n; ++i)
    messages.push_back(
        {envelope.from, envelope.to, any_term(), any_body(*rc::gen::inRange(0, 7))});
  const Bytes frame = encode_peer_frame(envelope, messages);
  const Decoded d = decode(Speaker::peer, frame);
  RC_ASSERT(d.ok);
  RC_ASSERT(d.envelope == envelope);
  RC_ASSERT(d.peer == messages);
  RC_ASSERT(encode_peer_frame(d.envelope, d.peer) == frame);
}

TEST(RoundTrip, CanonicalSamplesEncodeToTheirOwnBytes) {
  for (const Sample& s : samples()) {
    if (s.refused) continue;
    const Decoded d = decode(s.speaker, s.bytes);
    const Bytes again = s.speaker == Speaker::client   ? encode(d.client)
                        : s.speaker == Speaker::server ? encode(d.server)
                                                       : encode_peer_frame(d.envelope, d.peer);
    EXPECT_EQ(again == s.bytes, s.canonical) << s.name;
  }
}

TEST(RoundTrip, PayloadsAreSlicesOfTheFrame) {
  const Bytes frame = encode(
      std::vector<ClientMessage>{Request{1, RequestId(1), RequestId(1), "kv", Bytes::copy("abc")}});
  const Decoded d = decode(Speaker::client, frame);
  const Bytes& payload = std::get<Request>(d.client.at(0)).payload;
  EXPECT_GE(payload.data(), frame.begin());
  EXPECT_LE(payload.end(), frame.end());
  EXPECT_EQ(payload.owner(), frame.owner());
}

}  // namespace raftcs::wire
