// peer_envelope.hpp: what all frames between nodes begin with (private to src/wire).
//
// [magic, version, type, cluster, from, to, incarnation, crc, body]. crc always has the five-byte
// form of a uint32, so that it is filled in at the end; it is the CRC32C of the encoded elements
// from `cluster` to `incarnation` followed by the encoded body.
#pragma once

#include "wire/codec.hpp"
#include "wire/frame_in.hpp"

namespace raftcs::wire {

constexpr uint32_t kPeerElements = 9;

// Where the crc is, and from where on it covers.
struct EnvelopeAt {
  size_t begin, crc;
};
EnvelopeAt pack_envelope(Packer& out, OutBuffer& buffer, uint32_t type,
                         const PeerEnvelope& envelope);
void fill_crc(OutBuffer& buffer, const EnvelopeAt& at);

// What is known of a frame when its body begins.
struct PeerFrameIn {
  FrameHead head;
  PeerEnvelope envelope;
  uint32_t covered = 0;  // the checksum so far: over the envelope
  uint32_t crc = 0;      // what the frame says it should be in the end
  size_t body_at = 0;
};
// Everything before the body. False: refused, and *error says why; `other_type` if it is of another
// type. (Damage behind the head shows in end_peer_frame: `in` has failed then.)
bool begin_peer_frame(MsgpackIn& in, const Bytes& frame, const Limits& limits, uint32_t type,
                      const char* other_type, PeerFrameIn* out, DecodeError* error);
// After the body: the checksum, and what a later version may have added. False: in.error_text().
bool end_peer_frame(MsgpackIn& in, const Bytes& frame, const PeerFrameIn& read);

}  // namespace raftcs::wire
