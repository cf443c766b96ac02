// peer_codec.cpp: frames between the nodes of a cluster.
//
// [magic, version, type, cluster, from, to, incarnation, crc, [message, ...]]; a message is
// [kind, term, field, ...] and its `from` and `to` are those of the frame, so a message can
// not claim another sender than its frame does. crc always has the five-byte form of a
// uint32, so that it is filled in at the end; it is the CRC32C of the encoded elements from
// `cluster` to `incarnation` followed by the encoded message array. Kinds are never
// renumbered. A lost message is nothing to Raft: a frame that is not understood as a
// whole is dropped as a whole.
#include <utility>

#include "base/check.hpp"
#include "base/crc32c.hpp"
#include "raft/membership.hpp"
#include "wire/peer_envelope.hpp"

namespace raftcs::wire {
namespace {

constexpr size_t kCrcBytes = 5;
constexpr size_t kMessageBytesAbout = 96;
constexpr size_t kEntryBytesAbout = 48;

enum class Kind : uint8_t {
  vote_request = 1,
  vote_response = 2,
  append_request = 3,
  append_response = 4,
  snapshot_chunk = 5,
  snapshot_chunk_response = 6,
  timeout_now = 7,
};

void pack_flag(Packer& out, bool flag) { flag ? out.pack_true() : out.pack_false(); }

void pack_message_head(Packer& out, uint32_t fields, Kind kind, Term term) {
  out.pack_array(2 + fields);
  out.pack_uint8(static_cast<uint8_t>(kind));
  out.pack_uint64(term.value);
}

struct BodyPacker {
  Packer& out;
  Term term;

  void operator()(const raft::VoteRequest& m) const {
    pack_message_head(out, 4, Kind::vote_request, term);
    pack_flag(out, m.pre_vote);
    pack_flag(out, m.transfer);
    out.pack_uint64(m.last_index.value);
    out.pack_uint64(m.last_term.value);
  }
  void operator()(const raft::VoteResponse& m) const {
    pack_message_head(out, 3, Kind::vote_response, term);
    pack_flag(out, m.pre_vote);
    pack_flag(out, m.granted);
    out.pack_uint64(m.asked_term.value);
  }
  void operator()(const raft::AppendRequest& m) const {
    pack_message_head(out, 5, Kind::append_request, term);
    out.pack_uint64(m.prev_index.value);
    out.pack_uint64(m.prev_term.value);
    out.pack_uint64(m.commit.value);
    out.pack_uint64(m.round);
    out.pack_array(static_cast<uint32_t>(m.entries.size()));
    for (const raft::Entry& entry : m.entries) {
      out.pack_array(5);
      out.pack_uint64(entry.index.value);
      out.pack_uint64(entry.term.value);
      out.pack_uint8(static_cast<uint8_t>(entry.type));
      out.pack_int64(entry.time.ns);
      pack_blob(out, entry.payload.data(), entry.payload.size());
    }
  }
  void operator()(const raft::AppendResponse& m) const {
    pack_message_head(out, 6, Kind::append_response, term);
    pack_flag(out, m.success);
    out.pack_uint64(m.match.value);
    out.pack_uint64(m.rejected.value);
    out.pack_uint64(m.hint_index.value);
    out.pack_uint64(m.hint_term.value);
    out.pack_uint64(m.round);
  }
  void operator()(const raft::SnapshotChunk& m) const {
    pack_message_head(out, 4, Kind::snapshot_chunk, term);
    ByteWriter meta(256);
    raft::encode_snapshot_meta(m.meta, &meta);
    pack_blob(out, meta.data(), meta.size());
    out.pack_uint64(m.offset);
    pack_blob(out, m.data.data(), m.data.size());
    pack_flag(out, m.last);
  }
  void operator()(const raft::SnapshotChunkResponse& m) const {
    pack_message_head(out, 3, Kind::snapshot_chunk_response, term);
    out.pack_uint64(m.index.value);
    pack_flag(out, m.installed);
    out.pack_uint64(m.next_offset);
  }
  void operator()(const raft::TimeoutNow&) const {
    pack_message_head(out, 0, Kind::timeout_now, term);
  }
};

size_t size_about(const std::vector<raft::Message>& messages) {
  size_t size = 2 * kMessageBytesAbout;
  for (const raft::Message& message : messages) {
    size += kMessageBytesAbout;
    if (const auto* append = std::get_if<raft::AppendRequest>(&message.body))
      for (const raft::Entry& entry : append->entries)
        size += kEntryBytesAbout + entry.payload.size();
    if (const auto* chunk = std::get_if<raft::SnapshotChunk>(&message.body))
      size += chunk->data.size() + 128 * (chunk->meta.membership.members.size() + 1);
  }
  return size;
}

class PeerReader {
 public:
  PeerReader(MsgpackIn& in, const Limits& limits)
      : in_(in), limits_(limits), entries_left_(limits.items_max) {}

  // Gives back the kind that is not known, or 0.
  uint64_t message(raft::Message* m) {
    const uint32_t fields = in_.read_array("message");
    if (fields < 2) return in_.fail("message", "lacks fields"), 0;
    const uint64_t kind = in_.read_uint("kind", UINT32_MAX);
    m->term = Term(u64("term"));
    switch (static_cast<Kind>(kind <= 7 ? kind : 0)) {
      case Kind::vote_request: read(fields, 4, &m->body.emplace<raft::VoteRequest>()); break;
      case Kind::vote_response: read(fields, 3, &m->body.emplace<raft::VoteResponse>()); break;
      case Kind::append_request: read(fields, 5, &m->body.emplace<raft::AppendRequest>()); break;
      case Kind::append_response: read(fields, 6, &m->body.emplace<raft::AppendResponse>()); break;
      case Kind::snapshot_chunk: read(fields, 4, &m->body.emplace<raft::SnapshotChunk>()); break;
      case Kind::snapshot_chunk_response:
        read(fields, 3, &m->body.emplace<raft::SnapshotChunkResponse>());
        break;
      case Kind::timeout_now: read(fields, 0, &m->body.emplace<raft::TimeoutNow>()); break;
      default: return in_.failed() ? 0 : (in_.fail("kind", "is not known"), kind);
    }
    return 0;
  }

 private:
  uint64_t u64(const char* what) { return in_.read_uint(what, UINT64_MAX); }

  template <class Body>
  void read(uint32_t fields, uint32_t known, Body* body) {
    if (fields < 2 + known) return in_.fail("message", "lacks fields");
    fill(body);
    for (uint32_t i = 2 + known; i < fields && !in_.failed(); ++i) in_.skip("message");
  }
  void fill(raft::VoteRequest* m) {
    m->pre_vote = in_.read_bool("pre_vote");
    m->transfer = in_.read_bool("transfer");
    m->last_index = Index(u64("last_index"));
    m->last_term = Term(u64("last_term"));
  }
  void fill(raft::VoteResponse* m) {
    m->pre_vote = in_.read_bool("pre_vote");
    m->granted = in_.read_bool("granted");
    m->asked_term = Term(u64("asked_term"));
  }
  void fill(raft::AppendRequest* m) {
    m->prev_index = Index(u64("prev_index"));
    m->prev_term = Term(u64("prev_term"));
    m->commit = Index(u64("commit"));
    m->round = u64("round");
    const uint32_t count = in_.read_array("entries");
    if (count > entries_left_) return in_.fail("entries", "has more elements than the limit");
    if (count > UINT64_MAX - m->prev_index.value)
      return in_.fail("entries", "would pass the last index");
    entries_left_ -= count;
    m->entries.reserve(count);
    for (uint32_t i = 0; i < count && !in_.failed(); ++i)
      entry(m->prev_index + i + 1, &m->entries.emplace_back());
  }
  void entry(Index due, raft::Entry* e) {
    const uint32_t fields = in_.read_array("entry");
    if (fields < 5) return in_.fail("entry", "lacks fields");
    e->index = Index(u64("index"));
    if (e->index != due) in_.fail("index", "does not follow the one before");
    e->term = Term(u64("term"));
    const uint64_t type = in_.read_uint("type", static_cast<uint64_t>(raft::EntryType::ops));
    if (type == 0) in_.fail("type", "is out of range");
    e->type = static_cast<raft::EntryType>(type);
    e->time.ns = in_.read_int("time", INT64_MIN, INT64_MAX);
    e->payload = in_.read_bin("payload", limits_.frame_bytes_max);
    for (uint32_t i = 5; i < fields && !in_.failed(); ++i) in_.skip("entry");
  }
  void fill(raft::AppendResponse* m) {
    m->success = in_.read_bool("success");
    m->match = Index(u64("match"));
    m->rejected = Index(u64("rejected"));
    m->hint_index = Index(u64("hint_index"));
    m->hint_term = Term(u64("hint_term"));
    m->round = u64("round");
  }
  void fill(raft::SnapshotChunk* m) {
    ByteReader meta(in_.read_bin("meta", limits_.frame_bytes_max));
    if (!in_.failed() && !(raft::decode_snapshot_meta(&meta, &m->meta) && meta.at_end()))
      in_.fail("meta", "is no description of a snapshot");
    m->offset = u64("offset");
    m->data = in_.read_bin("data", limits_.frame_bytes_max);
    m->last = in_.read_bool("last");
  }
  void fill(raft::SnapshotChunkResponse* m) {
    m->index = Index(u64("index"));
    m->installed = in_.read_bool("installed");
    m->next_offset = u64("next_offset");
  }
  void fill(raft::TimeoutNow*) {}

  MsgpackIn& in_;
  const Limits& limits_;
  uint32_t entries_left_;
};

NodeId read_node(MsgpackIn& in, const char* what) {
  const uint64_t id = in.read_uint(what, UINT64_MAX);
  if (id == 0) in.fail(what, "is zero");
  return NodeId(id);
}

void put_crc(uint8_t* at, uint32_t crc) {
  at[0] = 0xce;  // msgpack uint32, whatever the value
  for (int i = 0; i < 4; ++i) at[1 + i] = static_cast<uint8_t>(crc >> (24 - 8 * i));
}

}  // namespace

bool begin_peer_frame(MsgpackIn& in, const Bytes& frame, const Limits& limits, uint32_t type,
                      const char* other_type, PeerFrameIn* out, DecodeError* error) {
  using Refusal = DecodeError::Kind;
  FrameHead& head = out->head;
  if (!read_frame_head(in, limits, kPeerMagic, frame.size(), &head, error)) return false;
  if (head.version < kPeerVersionMin || head.version > kPeerVersionMax)
    return refuse(Refusal::version, head, "the peer's version is not spoken here", error);
  if (head.type != type) return refuse(Refusal::unknown_type, head, other_type, error);
  const size_t begin = in.position();
  read_uuid(in, "cluster", out->envelope.cluster);
  out->envelope.from = read_node(in, "from");
  out->envelope.to = read_node(in, "to");
  read_uuid(in, "incarnation", out->envelope.incarnation);
  if (!in.failed()) {
    out->covered = crc32c(0, frame.data() + begin, in.position() - begin);
    out->crc = static_cast<uint32_t>(in.read_uint("crc", UINT32_MAX));
  }
  out->body_at = in.position();
  return true;
}

bool end_peer_frame(MsgpackIn& in, const Bytes& frame, const PeerFrameIn& read) {
  const size_t body_bytes = in.position() - read.body_at;
  if (!in.failed() && crc32c(read.covered, frame.data() + read.body_at, body_bytes) != read.crc)
    in.fail("crc", "does not fit the frame");
  return read_frame_tail(in, read.head.elements, kPeerElements);
}

EnvelopeAt pack_envelope(Packer& out, OutBuffer& buffer, uint32_t type,
                         const PeerEnvelope& envelope) {
  out.pack_array(kPeerElements);
  out.pack_uint32(kPeerMagic);
  out.pack_uint32(kPeerVersionMax);
  out.pack_uint32(type);
  EnvelopeAt at{buffer.size(), 0};
  pack_blob(out, envelope.cluster.bytes.data(), envelope.cluster.bytes.size());
  out.pack_uint64(envelope.from.value);
  out.pack_uint64(envelope.to.value);
  pack_blob(out, envelope.incarnation.bytes.data(), envelope.incarnation.bytes.size());
  at.crc = buffer.size();
  static constexpr char kNoCrcYet[kCrcBytes] = {};
  buffer.write(kNoCrcYet, kCrcBytes);
  return at;
}

void fill_crc(OutBuffer& buffer, const EnvelopeAt& at) {
  uint32_t crc = crc32c(0, buffer.data() + at.begin, at.crc - at.begin);
  const size_t body_at = at.crc + kCrcBytes;
  crc = crc32c(crc, buffer.data() + body_at, buffer.size() - body_at);
  put_crc(buffer.data() + at.crc, crc);
}

Bytes encode_peer_frame(const PeerEnvelope& envelope, const std::vector<raft::Message>& messages) {
  OutBuffer buffer;
  buffer.start(size_about(messages), 0);
  Packer out(buffer);
  const EnvelopeAt at = pack_envelope(out, buffer, kPeerType, envelope);
  out.pack_array(static_cast<uint32_t>(messages.size()));
  for (const raft::Message& message : messages) {
    RCS_CHECK(message.from == envelope.from && message.to == envelope.to);
    std::visit(BodyPacker{out, message.term}, message.body);
  }
  fill_crc(buffer, at);
  return buffer.take(0);
}

bool decode_peer_frame(const Bytes& frame, const Limits& limits, PeerEnvelope* envelope,
                       std::vector<raft::Message>* messages, DecodeError* error) {
  MsgpackIn in(frame);
  PeerFrameIn read;
  if (!begin_peer_frame(in, frame, limits, kPeerType, "this type of peer frame is not known here",
                        &read, error))
    return false;
  const uint32_t count = in.read_array("messages");
  if (count > limits.items_max) in.fail("messages", "has more elements than the limit");
  const size_t size_before = messages->size();
  uint64_t unknown_kind = 0;
  PeerReader reader(in, limits);
  for (uint32_t i = 0; i < count && !in.failed(); ++i) {
    raft::Message& message = messages->emplace_back();
    message.from = read.envelope.from;
    message.to = read.envelope.to;
    unknown_kind = reader.message(&message);
  }
  if (end_peer_frame(in, frame, read)) {
    *envelope = read.envelope;
    return true;
  }
  messages->resize(size_before);
  if (unknown_kind != 0) read.head.type = static_cast<uint32_t>(unknown_kind);
  using Refusal = DecodeError::Kind;
  return refuse(unknown_kind != 0 ? Refusal::unknown_type : Refusal::malformed, read.head,
                in.error_text(), error);
}

Bytes encode_peer_contact(const PeerEnvelope& envelope, const PeerContact& contact) {
  OutBuffer buffer;
  buffer.start(2 * kMessageBytesAbout + contact.address.size() + contact.text.size(), 0);
  Packer out(buffer);
  const EnvelopeAt at = pack_envelope(out, buffer, kPeerContactType, envelope);
  out.pack_array(contact.about ? 6 : 4);
  pack_text(out, contact.address);
  out.pack_uint8(static_cast<uint8_t>(contact.reason));
  out.pack_uint64(contact.index.value);
  pack_text(out, contact.text);
  if (contact.about) {
    out.pack_uint64(contact.about.value);
    pack_blob(out, contact.disk.bytes.data(), contact.disk.bytes.size());
  }
  fill_crc(buffer, at);
  return buffer.take(0);
}

bool decode_peer_contact(const Bytes& frame, const Limits& limits, PeerEnvelope* envelope,
                         PeerContact* contact, DecodeError* error) {
  MsgpackIn in(frame);
  PeerFrameIn read;
  if (!begin_peer_frame(in, frame, limits, kPeerContactType, "this frame is no contact", &read,
                        error))
    return false;
  PeerContact c;
  const uint32_t fields = in.read_array("contact");
  if (fields < 4) in.fail("contact", "lacks fields");
  c.address = in.read_str("address", limits.text_bytes_max);
  const uint64_t reason = in.read_uint("reason", UINT8_MAX);
  if (reason <= static_cast<uint64_t>(ContactReason::knows_disk))
    c.reason = static_cast<ContactReason>(reason);
  c.index = Index(in.read_uint("index", UINT64_MAX));
  c.text = in.read_str("text", limits.text_bytes_max);
  if (fields >= 6) {
    c.about = NodeId(in.read_uint("about", UINT64_MAX));
    read_uuid(in, "disk", c.disk);
    if (!c.about) c.disk = Uuid();
  }
  for (uint32_t i = fields >= 6 ? 6 : 4; i < fields && !in.failed(); ++i) in.skip("contact");
  if (!end_peer_frame(in, frame, read))
    return refuse(DecodeError::Kind::malformed, read.head, in.error_text(), error);
  *envelope = read.envelope;
  *contact = std::move(c);
  return true;
}

}  // namespace raftcs::wire
