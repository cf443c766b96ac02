// check_codec.hpp: frames by which nodes compare the states of their state machines.
//
// A frame of its own, of type kPeerCheckType: the envelope of all peer frames (codec.hpp), then
// [kind, index, hash, digest_index, digest, decided, [node, ...]]. It carries nothing of
// consensus. A node that does not know the type drops it, and is then not compared.
#pragma once

#include <vector>

#include "wire/codec.hpp"

namespace raftcs::wire {

constexpr uint32_t kPeerCheckType = 3;

// What a replica says of its state at an index of the log.
struct ReplicaHash {
  Index index;
  uint64_t hash = 0;     // rsm::Machine::state_hash()
  Index digest_index;    // of the digest; 0: none
  uint64_t digest = 0;   // rsm::Machine::digest() there
  bool operator==(const ReplicaHash&) const = default;
};

enum class CheckKind : uint8_t {
  ask = 1,      // leader: what was it at replica.index?
  answer = 2,   // of a member
  verdict = 3,  // leader: these differ from the majority; or, undecided, from one another
};
struct PeerCheck {
  CheckKind kind = CheckKind::ask;
  ReplicaHash replica;
  bool decided = true;
  std::vector<NodeId> wrong;
  bool operator==(const PeerCheck&) const = default;
};
Bytes encode_peer_check(const PeerEnvelope& envelope, const PeerCheck& check);
bool decode_peer_check(const Bytes& frame, const Limits& limits, PeerEnvelope* envelope,
                       PeerCheck* check, DecodeError* error);

}  // namespace raftcs::wire
