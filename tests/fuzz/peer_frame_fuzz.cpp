// peer_frame_fuzz.cpp: frames of a peer: of consensus, and contacts.
//
// A frame begins with 0x99. Other inputs are what stands behind the checksum: they get an envelope
// with the right one, so that the messages are reached. The properties of frames of consensus are
// in wire_targets.cpp.
#include <algorithm>

#include "base/crc32c.hpp"
#include "tests/fuzz/frame_seeds.hpp"
#include "tests/fuzz/wire_targets.hpp"
#include "wire/codec.hpp"

namespace raftcs::fuzz {
namespace {

constexpr uint8_t kFrameBegins = 0x99;
constexpr size_t kCrcBytes = 5;  // a uint32 in its long form

wire::PeerEnvelope envelope() {
  wire::PeerEnvelope e;
  e.cluster.bytes.fill(1);
  e.from = NodeId(1);
  e.to = NodeId(2);
  e.incarnation.bytes.fill(3);
  return e;
}

// Puts `body` in the place of the empty list of messages.
std::string with_checksum(const std::string& body) {
  std::string frame = wire::encode_peer_frame(envelope(), {}).str();
  frame.pop_back();
  const size_t crc_at = frame.size() - kCrcBytes;
  const size_t elements_at = frame.find('\xc4');  // the cluster is the first that is bytes
  uint32_t crc = crc32c(0, frame.data() + elements_at, crc_at - elements_at);
  crc = crc32c(crc, body.data(), body.size());
  for (size_t i = 1; i < kCrcBytes; ++i)
    frame[crc_at + i] = static_cast<char>(crc >> (32 - 8 * i));
  return frame + body;
}

void check_contact(const Bytes& frame) {
  wire::PeerEnvelope e, again;
  wire::PeerContact contact, contact_again;
  wire::DecodeError error;
  if (!wire::decode_peer_contact(frame, wire::Limits{}, &e, &contact, &error)) {
    require(!error.text.empty(), "a refusal says nothing");
    return;
  }
  ++accepted;
  require(wire::decode_peer_contact(wire::encode_peer_contact(e, contact), wire::Limits{}, &again,
                                    &contact_again, &error) &&
              again == e && contact_again == contact,
          "encoding a contact lost something");
}

}  // namespace

void make_seeds(const SeedSink& sink) {
  fixture_seeds([&](const std::string& name, const std::string& frame) {
    if (name.rfind("peer_", 0) != 0) return;
    sink(name, frame);
    // Behind the five bytes of the checksum, which begin with 0xce.
    const size_t at = frame.find('\xce', 6);
    if (at + kCrcBytes < frame.size()) sink(name + "_body", frame.substr(at + kCrcBytes));
  });
  wire::PeerContact contact{"tcp://a:1", wire::ContactReason::not_member, Index(9), "why"};
  sink("contact", wire::encode_peer_contact(envelope(), contact).str());
  contact.about = NodeId(3);
  contact.disk.bytes[0] = 1;
  sink("contact_disk", wire::encode_peer_contact(envelope(), contact).str());
}

}  // namespace raftcs::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace raftcs::fuzz;
  Input in(data, size);
  std::string frame = in.rest();
  if (size == 0 || data[0] != kFrameBegins) frame = with_checksum(frame);
  accepted += peer_frame(reinterpret_cast<const uint8_t*>(frame.data()), frame.size());
  check_contact(raftcs::Bytes::copy(frame));
  return 0;
}
