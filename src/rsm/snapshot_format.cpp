// snapshot_format.cpp: what the sections of a snapshot say. Reading believes nothing that it
// can check: a snapshot comes from a disk or from another node.
#include "rsm/snapshot_format.hpp"

#include "base/mutant.hpp"

namespace raftcs::rsm {
namespace {

constexpr uint32_t kOpenIdsMax = 1 << 20;

void put_uuid(const Uuid& u, ByteWriter* out) { out->raw(u.bytes.data(), u.bytes.size()); }

uint32_t get_u32(ChunkReader* in) {
  const uint64_t v = in->varint();
  if (v > UINT32_MAX) in->fail("a number is out of range");
  return static_cast<uint32_t>(v);
}

void put_replies(const ReplyCache& replies, ByteWriter* out) {
  out->varint(replies.floor().value);
  out->varint(replies.count());
  replies.for_each([&](RequestId id, const CachedReply& r) {
    out->varint(id - replies.floor());
    out->u8(static_cast<uint8_t>(r.state));
    out->varint(static_cast<uint32_t>(r.app_code));
    out->u64(r.digest);
    out->varint(r.index.value);
    out->blob(r.data);
  });
}

void get_replies(ChunkReader* in, const SnapshotHead& head, ReplyCache* replies) {
  const RequestId floor(in->varint());
  if (!floor) return in->fail("a session's floor is impossible");  // any other can be asked for
  replies->set_floor(floor);
  const uint64_t n = in->varint();
  uint64_t least = 0;
  for (uint64_t i = 0; i < n && in->ok(); ++i) {
    const uint64_t at = in->varint();
    CachedReply r;
    r.state = static_cast<CachedReply::State>(in->u8());
    r.app_code = static_cast<int32_t>(get_u32(in));
    r.digest = in->u64();
    r.index = Index(in->varint());
    r.data = in->blob();
    if (at < least || at >= head.limits.replies_max || at > UINT64_MAX - floor.value ||
        r.index > head.applied || r.app_code < 0 ||
        (r.state != CachedReply::State::applied && r.state != CachedReply::State::unknown_service))
      return in->fail("a cached reply is impossible");
    least = at + 1;
    if (!in->ok()) return;
    replies->reserve(floor + at);
    replies->store(floor + at, std::move(r));
  }
}

void get_pushes(ChunkReader* in, const SnapshotHead& head, Session* session) {
  session->acked_push = PushId(in->varint());
  const uint64_t n = in->varint();
  if (n > head.limits.pushes_max) return in->fail("a session has too many pushes");
  for (uint64_t i = 0; i < n && in->ok(); ++i) {
    StoredPush p;
    p.service = ServiceNum(in->varint());
    p.created = LogTime{static_cast<int64_t>(in->u64())};
    p.payload = in->blob();
    if (!p.service || p.service.value > head.services)
      return in->fail("a push is of a service that is not there");
    if (p.created < LogTime() || p.created > head.time)
      return in->fail("a push is of an impossible time");
    session->push_bytes += p.payload.size();
    session->pushes.push_back(std::move(p));
  }
}

}  // namespace

void encode(const SnapshotHead& head, ByteWriter* out) {
  out->varint(head.limits.replies_max);
  out->varint(head.limits.reply_bytes_max);
  out->varint(head.limits.pushes_max);
  out->varint(head.limits.push_bytes_max);
  out->varint(head.limits.sessions_max);
  out->varint(head.applied.value);
  out->varint(head.term.value);
  out->u64(static_cast<uint64_t>(head.time.ns));
  out->u64(head.ops_hash);
  out->u64(head.pushes_hash);
  out->varint(head.pushes_dropped);
  out->varint(head.next_session.value);
  out->varint(head.sessions);
  out->varint(head.services);
}

SnapshotHead decode_head(ChunkReader* in) {
  SnapshotHead h;
  h.limits.replies_max = get_u32(in);
  h.limits.reply_bytes_max = in->varint();
  h.limits.pushes_max = get_u32(in);
  h.limits.push_bytes_max = in->varint();
  h.limits.sessions_max = get_u32(in);
  h.applied = Index(in->varint());
  h.term = Term(in->varint());
  h.time = LogTime{static_cast<int64_t>(in->u64())};
  h.ops_hash = in->u64();
  h.pushes_hash = in->u64();
  h.pushes_dropped = in->varint();
  h.next_session = SessionNum(in->varint());
  h.sessions = in->varint();
  h.services = in->varint();
  if (in->ok() && (h.services > kServicesMax || h.sessions >= h.next_session.value))
    in->fail("its counts are impossible");
  if (in->ok() && h.time < LogTime()) in->fail("its time is impossible");
  // A session takes memory for all ids from its floor to the highest, answered or not.
  if (in->ok() && (h.limits.replies_max > kOpenIdsMax || h.limits.pushes_max > kOpenIdsMax))
    in->fail("its limits are impossible");
  return h;
}

void encode(const Session& session, ByteWriter* out) {
  out->varint(session.num.value);
  put_uuid(session.id, out);
  put_uuid(session.proof, out);
  out->varint(session.holder.value);
  out->varint(session.timeout_ms);
  out->u64(static_cast<uint64_t>(session.created.ns));
  const LogTime last_active = RCS_MUTANT("SE-02") ? session.created : session.last_active;
  out->u64(static_cast<uint64_t>(last_active.ns));
  out->u8(session.connected ? 1 : 0);
  out->varint(session.highest_request.value);
  out->varint(session.capabilities.size());
  for (const auto& [name, value] : session.capabilities) {
    out->text(name);
    out->text(value);
  }
  ReplyCache none;
  none.set_floor(session.replies.floor());
  put_replies(RCS_MUTANT("SE-01") ? none : session.replies, out);
  out->varint(session.acked_push.value);
  out->varint(session.pushes.size());
  for (size_t i = 0; i < session.pushes.size(); ++i) {
    const StoredPush& p = session.pushes[i];
    out->varint(p.service.value);
    out->u64(static_cast<uint64_t>(p.created.ns));
    out->blob(p.payload);
  }
}

std::unique_ptr<Session> decode_session(ChunkReader* in, const SnapshotHead& head) {
  auto session = std::make_unique<Session>();
  CreateSession as_asked;
  session->num = SessionNum(in->varint());
  session->id = as_asked.id = in->uuid();
  session->proof = as_asked.proof = in->uuid();
  if (in->version() >= 2) session->holder = HolderId(in->varint());
  session->timeout_ms = as_asked.timeout_ms = in->varint();
  session->created = LogTime{static_cast<int64_t>(in->u64())};
  session->last_active = LogTime{static_cast<int64_t>(in->u64())};
  // Time is subtracted later: nothing before its beginning, nothing that is still to come.
  if (in->ok() && (session->created < LogTime() || session->last_active < session->created ||
                   session->last_active > head.time))
    in->fail("a session's times are impossible");
  if (in->version() >= 2) {
    const uint8_t connected = in->u8();
    if (connected > 1) in->fail("a session's presence is impossible");
    session->connected = connected != 0;
  }
  session->highest_request = RequestId(in->varint());
  const uint64_t capabilities = in->varint();
  if (capabilities > kCapabilitiesMax) in->fail("a session has too many capabilities");
  for (uint64_t i = 0; i < capabilities && in->ok(); ++i) {
    std::string name = in->blob().str();
    as_asked.capabilities.emplace_back(std::move(name), in->blob().str());
  }
  if (in->ok() && !refusal_of(as_asked).empty()) in->fail("a session is impossible");
  session->capabilities = std::move(as_asked.capabilities);
  if (in->ok()) get_replies(in, head, &session->replies);
  if (in->ok()) get_pushes(in, head, session.get());
  if (in->ok() && session->num >= head.next_session) in->fail("a session's number is impossible");
  return in->ok() ? std::move(session) : nullptr;
}

void encode(const SnapshotService& service, ByteWriter* out) {
  out->varint(service.num);
  out->text(service.name);
  out->text(service.type);
  out->varint(service.apply_version);
  out->varint(service.snapshot_version);
}

SnapshotService decode_service(ChunkReader* in) {
  SnapshotService s;
  s.num = in->varint();
  s.name = in->blob().str();
  s.type = in->blob().str();
  s.apply_version = get_u32(in);
  s.snapshot_version = get_u32(in);
  if (in->ok() && (!is_service_name(s.name) || !is_type_id(s.type)))
    in->fail("a service's name or type is impossible");
  return s;
}

}  // namespace raftcs::rsm
