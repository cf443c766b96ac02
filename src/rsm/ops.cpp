// ops.cpp: operations to bytes and back.
//
// kind(u8) length(varint) body; a body is read to its last byte or refused, so that two
// replicas never read the same bytes differently. Kinds are numbers for ever:
//
//   1 CreateSession   id[16] proof[16] timeout_ms count (name value)*
//   2 CloseSession    session
//   3 Command         session id lowest_pending service payload(rest of the body)
//   4 Acknowledge     session up_to
//   5 Touch           count session*
//   6 Expire          count session*
//   7 CreateService   name type apply_version
//   8 RaiseVersion    service apply_version
//   9 Tick
//  10 Presence        count session* count session*
//  11 TakeOver        session holder
//
// Integers are varints, texts are length-prefixed. The reader does not judge values: what is
// allowed is decided in one place, the applier.
#include "rsm/ops.hpp"

namespace raftcs::rsm {
namespace {

enum class Kind : uint8_t {  // stored: do not renumber
  create_session = 1,
  close_session = 2,
  command = 3,
  acknowledge = 4,
  touch = 5,
  expire = 6,
  create_service = 7,
  raise_version = 8,
  tick = 9,
  presence = 10,
  take_over = 11,
};

size_t varint_size(uint64_t v) {
  size_t n = 1;
  for (; v >= 0x80; v >>= 7) ++n;
  return n;
}

void put_sessions(const std::vector<SessionNum>& sessions, ByteWriter* out) {
  out->varint(sessions.size());
  for (SessionNum s : sessions) out->varint(s.value);
}

std::vector<SessionNum> get_sessions(ByteReader* in, bool* ok) {
  std::vector<SessionNum> sessions;
  const uint64_t n = in->varint();
  if (n > in->remaining()) *ok = false;  // each takes a byte at least
  for (uint64_t i = 0; *ok && i < n && !in->failed(); ++i) sessions.emplace_back(in->varint());
  return sessions;
}

Uuid get_uuid(ByteReader* in) {
  Uuid u;
  const Bytes b = in->raw(u.bytes.size());
  if (b.size() == u.bytes.size()) std::memcpy(u.bytes.data(), b.data(), b.size());
  return u;
}

uint32_t get_u32(ByteReader* in, bool* ok) {
  const uint64_t v = in->varint();
  if (v > UINT32_MAX) *ok = false;
  return static_cast<uint32_t>(v);
}

Kind body_of(const CreateSession& op, ByteWriter* out) {
  out->raw(op.id.bytes.data(), op.id.bytes.size());
  out->raw(op.proof.bytes.data(), op.proof.bytes.size());
  out->varint(op.timeout_ms);
  out->varint(op.capabilities.size());
  for (const auto& [name, value] : op.capabilities) {
    out->text(name);
    out->text(value);
  }
  return Kind::create_session;
}
Kind body_of(const CloseSession& op, ByteWriter* out) {
  out->varint(op.session.value);
  return Kind::close_session;
}
Kind body_of(const Acknowledge& op, ByteWriter* out) {
  out->varint(op.session.value);
  out->varint(op.up_to.value);
  return Kind::acknowledge;
}
Kind body_of(const Touch& op, ByteWriter* out) {
  put_sessions(op.sessions, out);
  return Kind::touch;
}
Kind body_of(const Expire& op, ByteWriter* out) {
  put_sessions(op.sessions, out);
  return Kind::expire;
}
Kind body_of(const CreateService& op, ByteWriter* out) {
  out->text(op.name);
  out->text(op.type);
  out->varint(op.apply_version);
  return Kind::create_service;
}
Kind body_of(const RaiseVersion& op, ByteWriter* out) {
  out->varint(op.service.value);
  out->varint(op.apply_version);
  return Kind::raise_version;
}
Kind body_of(const TakeOver& op, ByteWriter* out) {
  out->varint(op.session.value);
  out->varint(op.holder.value);
  return Kind::take_over;
}

Kind body_of(const Tick&, ByteWriter*) { return Kind::tick; }
Kind body_of(const Presence& op, ByteWriter* out) {
  put_sessions(op.connected, out);
  put_sessions(op.gone, out);
  return Kind::presence;
}

CreateSession get_create_session(ByteReader* in, bool* ok) {
  CreateSession op;
  op.id = get_uuid(in);
  op.proof = get_uuid(in);
  op.timeout_ms = in->varint();
  const uint64_t n = in->varint();
  if (n > in->remaining()) *ok = false;
  for (uint64_t i = 0; *ok && i < n && !in->failed(); ++i) {
    std::string name = in->text();
    op.capabilities.emplace_back(std::move(name), in->text());
  }
  return op;
}

bool decode(Kind kind, Bytes body, Op* op) {
  ByteReader in(std::move(body));
  bool ok = true;
  switch (kind) {
    case Kind::create_session:
      *op = get_create_session(&in, &ok);
      break;
    case Kind::close_session:
      *op = CloseSession{SessionNum(in.varint())};
      break;
    case Kind::command: {
      Command c;
      c.session = SessionNum(in.varint());
      c.id = RequestId(in.varint());
      c.lowest_pending = RequestId(in.varint());
      c.service = ServiceNum(in.varint());
      c.payload = in.raw(in.remaining());
      *op = std::move(c);
      break;
    }
    case Kind::acknowledge: {
      const SessionNum session(in.varint());
      *op = Acknowledge{session, PushId(in.varint())};
      break;
    }
    case Kind::touch:
      *op = Touch{get_sessions(&in, &ok)};
      break;
    case Kind::expire:
      *op = Expire{get_sessions(&in, &ok)};
      break;
    case Kind::create_service: {
      CreateService c;
      c.name = in.text();
      c.type = in.text();
      c.apply_version = get_u32(&in, &ok);
      *op = std::move(c);
      break;
    }
    case Kind::raise_version: {
      const ServiceNum service(in.varint());
      *op = RaiseVersion{service, get_u32(&in, &ok)};
      break;
    }
    case Kind::tick:
      *op = Tick{};
      break;
    case Kind::presence: {
      Presence p;
      p.connected = get_sessions(&in, &ok);
      p.gone = get_sessions(&in, &ok);
      *op = std::move(p);
      break;
    }
    case Kind::take_over: {
      const SessionNum session(in.varint());
      *op = TakeOver{session, HolderId(in.varint())};
      break;
    }
    default:
      return false;  // RC-08: never guess
  }
  return ok && in.at_end();
}

}  // namespace

void OpsWriter::add(const Op& op) {
  if (const auto* c = std::get_if<Command>(&op)) {
    add_command(c->session, c->id, c->lowest_pending, c->service, c->payload.data(),
                c->payload.size());
    return;
  }
  ByteWriter body;
  Kind kind = Kind::command;
  std::visit(
      [&](const auto& o) {
        if constexpr (!std::is_same_v<std::decay_t<decltype(o)>, Command>) kind = body_of(o, &body);
      },
      op);
  out_.u8(static_cast<uint8_t>(kind));
  out_.blob(body.data(), body.size());
}

void OpsWriter::add_command(SessionNum session, RequestId id, RequestId lowest_pending,
                            ServiceNum service, const void* payload, size_t size) {
  out_.u8(static_cast<uint8_t>(Kind::command));
  out_.varint(varint_size(session.value) + varint_size(id.value) +
              varint_size(lowest_pending.value) + varint_size(service.value) + size);
  out_.varint(session.value);
  out_.varint(id.value);
  out_.varint(lowest_pending.value);
  out_.varint(service.value);
  out_.raw(payload, size);
}

OpsReader::OpsReader(Bytes payload, size_t offset)
    : in_(offset <= payload.size() ? payload.slice(offset, payload.size() - offset) : Bytes()),
      base_(offset),
      failed_(offset > payload.size()) {}

bool OpsReader::next(Op* op) {
  if (failed_ || in_.remaining() == 0) return false;
  const size_t start = in_.position();
  const auto kind = static_cast<Kind>(in_.u8());
  Bytes body = in_.blob();
  if (in_.failed() || !decode(kind, std::move(body), op)) {
    failed_ = true;
    failed_at_ = start;
    return false;
  }
  return true;
}

size_t OpsReader::position() const { return base_ + (failed_ ? failed_at_ : in_.position()); }

}  // namespace raftcs::rsm
