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

// The frame's elements up to and with the crc. *covered is the crc over the envelope.
void read_envelope(MsgpackIn& in, const Bytes& frame, PeerEnvelope* envelope, uint32_t* covered,
                   uint32_t* crc);

}  // namespace raftcs::wire
