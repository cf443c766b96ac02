// codec.hpp: frames to structs and back, with every bound checked.
//
// Decoding trusts nothing: lengths are bounded before use, depth is fixed, ids that must
// not be zero are checked, and a frame is either wholly understood or refused with a
// sentence. Payloads of decoded messages are slices of the frame. Encoding appends
// messages of one type to a frame under construction and starts another frame when the
// type changes, so a batch costs one header.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "raft/types.hpp"
#include "wire/client_messages.hpp"

namespace raftcs::wire {

struct Limits {
  uint64_t frame_bytes_max = 64 << 20;
  uint64_t payload_bytes_max = 16 << 20;
  uint32_t items_max = 65'536;       // messages in one frame; entries in one peer frame
  uint32_t text_bytes_max = 4096;    // names, addresses, reasons (admin json: payload_bytes_max)
  uint32_t members_max = 128;
  uint32_t capabilities_max = 64;
};

struct DecodeError {
  enum class Kind { malformed, foreign /* not our magic */, version, unknown_type } kind;
  uint32_t version = 0;
  uint32_t type = 0;
  std::string text;
};

// Calls back once for each message of the frame, in order. Nothing is delivered from a
// malformed frame. Sink is `void(Message&&)` for a variant's alternatives.
using ClientSink = std::vector<ClientMessage>;
using ServerSink = std::vector<ServerMessage>;
// Append the frame's messages to *out; false fills *error and leaves *out as it was.
bool decode_client_frame(const Bytes& frame, const Limits& limits, ClientSink* out,
                         DecodeError* error);
bool decode_server_frame(const Bytes& frame, const Limits& limits, ServerSink* out,
                         DecodeError* error);

// The type in the head of a client frame, without decoding it; 0 when the head is not in its
// shortest form (such a frame may still be good).
uint32_t peek_client_type(const Bytes& frame);

// Builds frames for one connection. add() per message; take() gives the finished frames in
// order. Frames are cut at `frame_bytes_soft_max`.
class FrameBuilder {
 public:
  explicit FrameBuilder(size_t frame_bytes_soft_max = 1 << 20);
  ~FrameBuilder();
  FrameBuilder(FrameBuilder&&) noexcept;
  FrameBuilder& operator=(FrameBuilder&&) noexcept;

  void add(const ClientMessage& message);
  void add(const ServerMessage& message);
  // Without building a variant, for the hot path.
  void add_request(Channel channel, RequestId id, RequestId lowest_pending,
                   std::string_view service, const void* payload, size_t size);
  void add_response(Channel channel, RequestId id, int32_t app_code, const void* result,
                    size_t size, Index index);
  bool empty() const;
  std::vector<Bytes> take();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// --- peers ---------------------------------------------------------------------------
// One frame carries the messages of one loop iteration from one node to another:
// [magic, version, type=peer, cluster, from, to, from_incarnation, crc, [message, ...]].
// crc is CRC32C over the encoded elements cluster..from_incarnation followed by the encoded
// message array (TR-06, TR-07). A message's from and to are the frame's: they are not
// encoded again, and all messages of a frame must have the envelope's.
struct PeerEnvelope {
  Uuid cluster;
  NodeId from;
  NodeId to;
  Uuid incarnation;  // of the sender
  bool operator==(const PeerEnvelope&) const = default;
};
constexpr uint32_t kPeerMagic = 0x52435350;  // "RCSP"
constexpr uint32_t kPeerVersionMin = 1;
constexpr uint32_t kPeerVersionMax = 1;
constexpr uint32_t kPeerType = 1;
constexpr uint32_t kPeerContactType = 2;

// Entry payloads are copied into the frame once (the socket needs contiguous bytes).
Bytes encode_peer_frame(const PeerEnvelope& envelope, const std::vector<raft::Message>& messages);
// Payloads of entries are slices of the frame. Checks the crc and everything about the form,
// not who may send: cluster, from and to are the caller's to judge. A message kind that is
// not known refuses the frame as unknown_type, with the kind as `type`.
bool decode_peer_frame(const Bytes& frame, const Limits& limits, PeerEnvelope* envelope,
                       std::vector<raft::Message>* messages, DecodeError* error);

// A contact is a frame of its own, of type kPeerContactType: the envelope as above, then
// [address, reason, index, text] and, of the last two reasons, [about, disk]. It tells where the
// sender is reached, so that a node whose configuration does not name the sender can answer, and
// why the sender refuses the receiver.
// It carries nothing of consensus. By heal and admitted a node whose data was damaged comes
// back (server/healing.cpp), by the last two a node that was away learns that a member has
// another disk now (server/contacts.cpp); who does not know a reason reads hello.
enum class ContactReason : uint8_t {
  hello = 0,          // nothing is refused
  not_member = 1,     // the configuration at `index` does not name the receiver
  other_disk = 2,     // the configuration names the receiver with another incarnation
  other_cluster = 3,  // the receiver's frames are of another cluster than the sender
  heal = 4,           // asks: the sender's data was damaged, it begins anew; take it in again
  admitted = 5,       // answers: the configuration names the receiver as it is now
  asks_disk = 6,      // asks: is member `about` known with `disk`?
  knows_disk = 7,     // answers: it is, by the configuration at `index`, which is committed
};
struct PeerContact {
  std::string address;  // tcp://host:port of the sender's peer socket
  ContactReason reason = ContactReason::hello;
  Index index;
  std::string text;  // for people
  NodeId about = {};  // 0 but for asks_disk and knows_disk
  Uuid disk = {};     // its incarnation
  bool operator==(const PeerContact&) const = default;
};
Bytes encode_peer_contact(const PeerEnvelope& envelope, const PeerContact& contact);
// As decode_peer_frame; a reason that is not known is read as hello.
bool decode_peer_contact(const Bytes& frame, const Limits& limits, PeerEnvelope* envelope,
                         PeerContact* contact, DecodeError* error);

}  // namespace raftcs::wire
