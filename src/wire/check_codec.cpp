// check_codec.cpp: see check_codec.hpp.
#include "wire/check_codec.hpp"

#include "raft/membership.hpp"
#include "wire/peer_envelope.hpp"

namespace raftcs::wire {
namespace {

constexpr uint32_t kFields = 7;
constexpr size_t kBytesAbout = 256;

void read_body(MsgpackIn& in, PeerCheck* c) {
  const uint32_t fields = in.read_array("check");
  if (fields < kFields) in.fail("check", "lacks fields");
  const uint64_t kind = in.read_uint("kind", UINT8_MAX);
  if (kind < 1 || kind > 3) in.fail("kind", "is not known");
  c->kind = static_cast<CheckKind>(kind);
  c->replica.index = Index(in.read_uint("index", UINT64_MAX));
  c->replica.hash = in.read_uint("hash", UINT64_MAX);
  c->replica.digest_index = Index(in.read_uint("digest_index", UINT64_MAX));
  c->replica.digest = in.read_uint("digest", UINT64_MAX);
  c->decided = in.read_bool("decided");
  const uint32_t count = in.read_array("wrong");
  if (count > raft::kMembersMax) in.fail("wrong", "has more elements than there are members");
  for (uint32_t i = 0; i < count && !in.failed(); ++i)
    c->wrong.push_back(NodeId(in.read_uint("node", UINT64_MAX)));
  for (uint32_t i = kFields; i < fields && !in.failed(); ++i) in.skip("check");
}

}  // namespace

Bytes encode_peer_check(const PeerEnvelope& envelope, const PeerCheck& check) {
  OutBuffer buffer;
  buffer.start(kBytesAbout, 0);
  Packer out(buffer);
  const EnvelopeAt at = pack_envelope(out, buffer, kPeerCheckType, envelope);
  out.pack_array(kFields);
  out.pack_uint8(static_cast<uint8_t>(check.kind));
  out.pack_uint64(check.replica.index.value);
  out.pack_uint64(check.replica.hash);
  out.pack_uint64(check.replica.digest_index.value);
  out.pack_uint64(check.replica.digest);
  check.decided ? out.pack_true() : out.pack_false();
  out.pack_array(static_cast<uint32_t>(check.wrong.size()));
  for (NodeId id : check.wrong) out.pack_uint64(id.value);
  fill_crc(buffer, at);
  return buffer.take(0);
}

bool decode_peer_check(const Bytes& frame, const Limits& limits, PeerEnvelope* envelope,
                       PeerCheck* check, DecodeError* error) {
  MsgpackIn in(frame);
  PeerFrameIn read;
  if (!begin_peer_frame(in, frame, limits, kPeerCheckType, "this frame is no check", &read, error))
    return false;
  PeerCheck c;
  read_body(in, &c);
  if (!end_peer_frame(in, frame, read))
    return refuse(DecodeError::Kind::malformed, read.head, in.error_text(), error);
  *envelope = read.envelope;
  *check = std::move(c);
  return true;
}

}  // namespace raftcs::wire
