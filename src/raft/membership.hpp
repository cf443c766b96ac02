// membership.hpp: the bytes of a configuration and of a snapshot's description.
//
// Both are part of durable formats (config entries, snapshot headers) and of messages, so
// their encoding lives beside their types. Deterministic: equal values give equal bytes.
#pragma once

#include "base/byte_io.hpp"
#include "base/result.hpp"
#include "raft/types.hpp"

namespace raftcs::raft {

constexpr uint32_t kMembersMax = 128;

void encode_membership(const Membership& membership, ByteWriter* out);
Bytes encode_membership(const Membership& membership);
// Checks order, uniqueness, bounds and roles; false on anything else.
bool decode_membership(ByteReader* in, Membership* out);
Result<Membership> decode_membership(const Bytes& bytes);

void encode_snapshot_meta(const SnapshotMeta& meta, ByteWriter* out);
bool decode_snapshot_meta(ByteReader* in, SnapshotMeta* out);

const Member* find_member(const Membership& membership, NodeId id);  // nullptr: none

}  // namespace raftcs::raft
