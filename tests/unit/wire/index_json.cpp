// index_json.cpp: values as JSON, for client and server messages by their field lists.
#include "tests/unit/wire/index_json.hpp"

#include "tests/unit/wire/hex.hpp"
#include "tests/unit/wire/samples.hpp"
#include "wire/server_fields.hpp"

namespace raftcs::wire {
namespace {

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + "\"";
}
std::string number(uint64_t v) {
  const std::string digits = std::to_string(v);
  return v < (uint64_t{1} << 53) ? digits : "{\"u64\": \"" + digits + "\"}";
}
std::string hex_of(const Bytes& b) { return "{\"hex\": \"" + to_hex(b) + "\"}"; }
std::string hex_of(const Uuid& u) { return "{\"hex\": \"" + u.hex() + "\"}"; }
const char* truth(bool b) { return b ? "true" : "false"; }

// A JSON object under construction; also what Fields<M>::walk runs.
class Object {
 public:
  void put(const char* name, const std::string& value) {
    if (!text_.empty()) text_ += ", ";
    text_ += quoted(name) + ": " + value;
  }
  std::string str() const { return "{" + text_ + "}"; }

  void u32(const char* n, uint32_t v) { put(n, number(v)); }
  void u64(const char* n, uint64_t v) { put(n, number(v)); }
  void i32(const char* n, int32_t v) { put(n, std::to_string(v)); }
  void i64(const char* n, int64_t v) { put(n, std::to_string(v)); }
  void flag(const char* n, bool v) { put(n, truth(v)); }
  void channel(const char* n, Channel v) { put(n, number(v)); }
  void nonce(const char* n, uint64_t v) { put(n, number(v)); }
  template <class Tag>
  void id(const char* n, StrongId<Tag> v) {
    put(n, number(v.value));
  }
  template <class Tag>
  void id_or_zero(const char* n, StrongId<Tag> v) {
    put(n, number(v.value));
  }
  void uuid(const char* n, const Uuid& v) { put(n, hex_of(v)); }
  void uuid_or_nil(const char* n, const Uuid& v) { put(n, v.is_zero() ? "null" : hex_of(v)); }
  void text(const char* n, const std::string& v) { put(n, quoted(v)); }
  void sentence(const char* n, const std::string& v) { put(n, quoted(v)); }
  void json(const char* n, const std::string& v) { put(n, quoted(v)); }
  void payload(const char* n, const Bytes& v) { put(n, hex_of(v)); }
  template <class E>
  void choice(const char* n, E v, E, E) {
    put(n, std::to_string(static_cast<unsigned>(v)));
  }
  void not_above(const char*, RequestId, RequestId) {}
  void leader(const char* n, const LeaderHint& v) {
    Object o;
    o.id("id", v.id);
    o.text("client_address", v.client_address);
    put(n, v.id ? o.str() : "null");
  }
  void members(const char* n, const std::vector<MemberInfo>& v) {
    std::string list;
    for (const MemberInfo& m : v) {
      Object o;
      o.id("id", m.id);
      o.text("client_address", m.client_address);
      o.flag("voter", m.voter);
      list += (list.empty() ? "" : ", ") + o.str();
    }
    put(n, "[" + list + "]");
  }
  void capabilities(const char* n, const std::vector<std::pair<std::string, std::string>>& v) {
    Object o;
    for (const auto& [name, value] : v) o.text(name.c_str(), value);
    put(n, o.str());
  }

 private:
  std::string text_;
};

struct BodyObject {
  Object& o;
  void operator()(const raft::VoteRequest& m) const {
    o.u32("kind", 1);
    o.flag("pre_vote", m.pre_vote);
    o.flag("transfer", m.transfer);
    o.id("last_index", m.last_index);
    o.id("last_term", m.last_term);
  }
  void operator()(const raft::VoteResponse& m) const {
    o.u32("kind", 2);
    o.flag("pre_vote", m.pre_vote);
    o.flag("granted", m.granted);
    o.id("asked_term", m.asked_term);
  }
  void operator()(const raft::AppendRequest& m) const {
    o.u32("kind", 3);
    o.id("prev_index", m.prev_index);
    o.id("prev_term", m.prev_term);
    o.id("commit", m.commit);
    o.u64("round", m.round);
    std::string list;
    for (const raft::Entry& e : m.entries) {
      Object entry;
      entry.id("index", e.index);
      entry.id("term", e.term);
      entry.u32("type", static_cast<uint32_t>(e.type));
      entry.i64("time", e.time.ns);
      entry.payload("payload", e.payload);
      list += (list.empty() ? "" : ", ") + entry.str();
    }
    o.put("entries", "[" + list + "]");
  }
  void operator()(const raft::AppendResponse& m) const {
    o.u32("kind", 4);
    o.flag("success", m.success);
    o.id("match", m.match);
    o.id("rejected", m.rejected);
    o.id("hint_index", m.hint_index);
    o.id("hint_term", m.hint_term);
    o.u64("round", m.round);
  }
  void operator()(const raft::SnapshotChunk& m) const {
    o.u32("kind", 5);
    Object meta;
    meta.id("index", m.meta.index);
    meta.id("term", m.meta.term);
    meta.i64("time", m.meta.time.ns);
    meta.u64("size", m.meta.size);
    meta.u32("checksum", m.meta.checksum);
    meta.flag("joint", m.meta.membership.joint);
    std::string list;
    for (const raft::Member& member : m.meta.membership.members) {
      Object row;
      row.id("id", member.id);
      row.text("peer_address", member.peer_address);
      row.text("client_address", member.client_address);
      row.uuid("incarnation", member.incarnation);
      row.u32("role", static_cast<uint32_t>(member.role));
      row.flag("outgoing_voter", member.outgoing_voter);
      list += (list.empty() ? "" : ", ") + row.str();
    }
    meta.put("members", "[" + list + "]");
    o.put("meta", meta.str());
    o.u64("offset", m.offset);
    o.payload("data", m.data);
    o.flag("last", m.last);
  }
  void operator()(const raft::SnapshotChunkResponse& m) const {
    o.u32("kind", 6);
    o.id("index", m.index);
    o.flag("installed", m.installed);
    o.u64("next_offset", m.next_offset);
  }
  void operator()(const raft::TimeoutNow&) const { o.u32("kind", 7); }
};

template <class Variant>
void put_messages(Object& o, const std::vector<Variant>& messages) {
  std::string list;
  for (const Variant& message : messages)
    std::visit(
        [&]<class M>(const M& m) {
          if (list.empty()) {
            o.u32("type", static_cast<uint32_t>(Fields<M>::kType));
            o.text("message", Fields<M>::kName);
          }
          Object fields;
          Fields<M>::walk(fields, m);
          list += (list.empty() ? "" : ", ") + fields.str();
        },
        message);
  o.put("messages", "[" + list + "]");
}

void put_peer(Object& o, const Sample& s) {
  o.u32("type", kPeerType);
  o.uuid("cluster", s.envelope.cluster);
  o.id("from", s.envelope.from);
  o.id("to", s.envelope.to);
  o.uuid("incarnation", s.envelope.incarnation);
  std::string list;
  for (const raft::Message& message : s.peer) {
    Object m;
    m.id("term", message.term);
    std::visit(BodyObject{m}, message.body);
    list += (list.empty() ? "" : ", ") + m.str();
  }
  o.put("messages", "[" + list + "]");
}

const char* refusal_name(DecodeError::Kind kind) {
  switch (kind) {
    case DecodeError::Kind::malformed: return "malformed";
    case DecodeError::Kind::foreign: return "foreign";
    case DecodeError::Kind::version: return "version";
    case DecodeError::Kind::unknown_type: return "unknown_type";
  }
  return "";
}

}  // namespace

std::string index_json() {
  static constexpr const char* kSpeakers[] = {"client", "server", "peer"};
  std::string list;
  for (const Sample& s : samples()) {
    Object o;
    o.text("file", s.name + ".hex");
    o.text("speaker", kSpeakers[static_cast<int>(s.speaker)]);
    o.flag("canonical", s.canonical);
    o.put("refused", s.refused ? quoted(refusal_name(s.refusal)) : "null");
    if (!s.refused) {
      o.u32("version", 1);
      if (s.speaker == Speaker::client) put_messages(o, s.client);
      if (s.speaker == Speaker::server) put_messages(o, s.server);
      if (s.speaker == Speaker::peer) put_peer(o, s);
    }
    list += (list.empty() ? "  " : ",\n  ") + o.str();
  }
  return "{\"fixtures\": [\n" + list + "\n]}\n";
}

}  // namespace raftcs::wire
