// membership.cpp: formats 1 to 3 of configurations; snapshot descriptions.
//
// membership: u8 format, u8 joint, varint count, then per member: varint id, text
// peer_address, text client_address, 16 bytes incarnation, u8 role, u8 outgoing_voter and, in
// formats 2 and 3, u8 priority, and in format 3 u8 returning. The lowest format that can tell all
// is written (2: a priority other than the default, a leaving member; 3: a returning one), so that
// equal values have equal bytes and members that know only format 1 understand everything that
// could be said before.
// snapshot description: u64 index, u64 term, u64 time, u64 size, u32 checksum, membership.
#include "raft/membership.hpp"

#include <algorithm>

namespace raftcs::raft {
namespace {
constexpr uint8_t kFormatPlain = 1;
constexpr uint8_t kFormatPriorities = 2;
constexpr uint8_t kFormatReturning = 3;
constexpr size_t kAddressBytesMax = 1024;

uint8_t format_of(const Membership& membership) {
  uint8_t format = kFormatPlain;
  for (const Member& m : membership.members) {
    if (m.returning) return kFormatReturning;
    if (m.priority != kPriorityDefault || m.role == MemberRole::leaving) format = kFormatPriorities;
  }
  return format;
}
}  // namespace

void encode_membership(const Membership& membership, ByteWriter* out) {
  const uint8_t format = format_of(membership);
  out->u8(format);
  out->u8(membership.joint ? 1 : 0);
  out->varint(membership.members.size());
  for (const Member& m : membership.members) {
    out->varint(m.id.value);
    out->text(m.peer_address);
    out->text(m.client_address);
    out->raw(m.incarnation.bytes.data(), m.incarnation.bytes.size());
    out->u8(static_cast<uint8_t>(m.role));
    out->u8(m.outgoing_voter ? 1 : 0);
    if (format >= kFormatPriorities) out->u8(m.priority);
    if (format >= kFormatReturning) out->u8(m.returning ? 1 : 0);
  }
}

Bytes encode_membership(const Membership& membership) {
  ByteWriter out(64 * (membership.members.size() + 1));
  encode_membership(membership, &out);
  return out.take_bytes();
}

bool decode_membership(ByteReader* in, Membership* out) {
  const uint8_t format = in->u8();
  if (format < kFormatPlain || format > kFormatReturning) return false;
  uint8_t joint = in->u8();
  uint64_t count = in->varint();
  if (in->failed() || joint > 1 || count > kMembersMax) return false;
  Membership m;
  m.joint = joint == 1;
  for (uint64_t i = 0; i < count; ++i) {
    Member member;
    member.id = NodeId(in->varint());
    Bytes peer = in->blob(), client = in->blob();
    Bytes incarnation = in->raw(16);
    uint8_t role = in->u8(), outgoing = in->u8();
    if (format >= kFormatPriorities) member.priority = in->u8();
    const uint8_t returning = format >= kFormatReturning ? in->u8() : 0;
    if (in->failed() || !member.id) return false;
    if (peer.size() > kAddressBytesMax || client.size() > kAddressBytesMax) return false;
    if (role < 1 || role > 3 || outgoing > 1) return false;
    if (role == 3 && !(m.joint && outgoing == 1)) return false;
    if (returning > 1 || (returning == 1 && role != 2)) return false;
    if (!m.members.empty() && m.members.back().id >= member.id) return false;
    member.peer_address = peer.str();
    member.client_address = client.str();
    std::memcpy(member.incarnation.bytes.data(), incarnation.data(), 16);
    member.role = static_cast<MemberRole>(role);
    member.outgoing_voter = outgoing == 1;
    member.returning = returning == 1;
    m.members.push_back(std::move(member));
  }
  if (format != format_of(m)) return false;  // one encoding for one value
  *out = std::move(m);
  return true;
}

Result<Membership> decode_membership(const Bytes& bytes) {
  ByteReader in(bytes);
  Membership m;
  if (!decode_membership(&in, &m) || !in.at_end())
    return {RAFTCS_ERR_MALFORMED, "a configuration entry does not hold a configuration"};
  return m;
}

void encode_snapshot_meta(const SnapshotMeta& meta, ByteWriter* out) {
  out->u64(meta.index.value);
  out->u64(meta.term.value);
  out->u64(static_cast<uint64_t>(meta.time.ns));
  out->u64(meta.size);
  out->u32(meta.checksum);
  encode_membership(meta.membership, out);
}

bool decode_snapshot_meta(ByteReader* in, SnapshotMeta* out) {
  SnapshotMeta meta;
  meta.index = Index(in->u64());
  meta.term = Term(in->u64());
  meta.time = LogTime{static_cast<int64_t>(in->u64())};
  meta.size = in->u64();
  meta.checksum = in->u32();
  if (in->failed() || !decode_membership(in, &meta.membership)) return false;
  *out = std::move(meta);
  return true;
}

const Member* find_member(const Membership& membership, NodeId id) {
  auto it = std::lower_bound(membership.members.begin(), membership.members.end(), id,
                             [](const Member& m, NodeId want) { return m.id < want; });
  return it != membership.members.end() && it->id == id ? &*it : nullptr;
}

}  // namespace raftcs::raft
