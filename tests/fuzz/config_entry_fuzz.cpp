// config_entry_fuzz.cpp: configurations and snapshot descriptions, as in log entries and chunks.
//
// Accepted bytes give members in order, within bounds; encoding them again gives bytes that are
// accepted and mean the same. What is_valid_change lets through is a configuration too.
#include "raft/membership.hpp"
#include "raft/quorum.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace raftcs::fuzz {
namespace {

void check_membership(const raft::Membership& m) {
  require(m.members.size() <= raft::kMembersMax, "too many members");
  for (size_t i = 1; i < m.members.size(); ++i)
    require(m.members[i - 1].id < m.members[i].id, "members are not in order");
  const Bytes bytes = raft::encode_membership(m);
  auto again = raft::decode_membership(bytes);
  require(again.is_ok() && *again == m, "encoding a configuration lost something");
  require(raft::encode_membership(*again) == bytes, "two encodings of one configuration");
  const raft::VoterSets sets = raft::voter_sets(m);
  for (NodeId id : sets.incoming) require(sets.contains(id), "a voter is in no set");
  if (!m.joint) return;
  const raft::Membership left = raft::leave_joint(m);
  require(!left.joint && left.members.size() <= m.members.size(), "a joint one cannot be left");
  require(raft::decode_membership(raft::encode_membership(left)).is_ok(),
          "what a joint one is left to is no configuration");
}

raft::Membership sample(uint64_t members, bool joint) {
  raft::Membership m;
  m.joint = joint;
  for (uint64_t i = 1; i <= members; ++i) {
    raft::Member member;
    member.id = NodeId(i * i);
    member.peer_address = "tcp://10.0.0." + std::to_string(i) + ":7101";
    member.client_address = "tcp://host:1";
    member.incarnation.bytes.fill(static_cast<uint8_t>(i));
    member.role = i % 3 == 0 ? raft::MemberRole::learner : raft::MemberRole::voter;
    member.outgoing_voter = joint && i % 2 == 0;
    if (i == 4) member.priority = 7;
    if (joint && i == 5) member.role = raft::MemberRole::leaving, member.outgoing_voter = true;
    m.members.push_back(member);
  }
  return m;
}

}  // namespace

void make_seeds(const SeedSink& sink) {
  for (const bool joint : {false, true}) {
    for (uint64_t n = 0; n <= 5; ++n) {
      const std::string name = std::to_string(n) + (joint ? "_joint" : "");
      sink("members_" + name, '\0' + raft::encode_membership(sample(n, joint)).str());
      raft::SnapshotMeta meta{Index(9), Term(2), LogTime{77}, sample(n, joint), 12, 34};
      ByteWriter out;
      raft::encode_snapshot_meta(meta, &out);
      sink("meta_" + name, '\1' + out.take_bytes().str());
    }
  }
}

}  // namespace raftcs::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace raftcs;
  fuzz::Input in(data, size);
  const uint8_t what = in.u8();
  const Bytes bytes = Bytes::copy(in.rest());
  if (what % 2 == 0) {
    const auto membership = raft::decode_membership(bytes);
    if (!membership.is_ok()) return 0;
    ++fuzz::accepted;
    fuzz::check_membership(*membership);
    return 0;
  }
  ByteReader reader(bytes);
  raft::SnapshotMeta meta, again;
  if (!raft::decode_snapshot_meta(&reader, &meta)) return 0;
  ++fuzz::accepted;
  fuzz::check_membership(meta.membership);
  ByteWriter out;
  raft::encode_snapshot_meta(meta, &out);
  ByteReader second(out.take_bytes());
  fuzz::require(raft::decode_snapshot_meta(&second, &again) && second.at_end() && again == meta,
                "encoding a snapshot's description lost something");
  return 0;
}
