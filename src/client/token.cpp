// token.cpp: see token.hpp.
#include "client/token.hpp"

#include "base/byte_io.hpp"
#include "base/crc32c.hpp"

namespace raftcs::client {
namespace {

constexpr uint32_t kTokenMagic = 0x54534352;  // "RCST"
constexpr uint8_t kTokenVersion = 2;          // 1 had no holder

void put_uuid(ByteWriter& w, const Uuid& u) { w.raw(u.bytes.data(), u.bytes.size()); }

Uuid get_uuid(ByteReader& r) {
  Uuid u;
  const Bytes b = r.raw(u.bytes.size());
  if (b.size() == u.bytes.size()) std::memcpy(u.bytes.data(), b.data(), b.size());
  return u;
}

Status malformed(const char* what) {
  return Status(RAFTCS_ERR_MALFORMED, std::string("not a session token: ") + what);
}

bool get_entries(ByteReader& r, uint64_t count, Token* token) {
  uint64_t id = 0;
  for (uint64_t i = 0; i < count; ++i) {
    const uint64_t step = r.varint();
    const uint64_t digest = r.u64();
    if (r.failed() || step == 0 || step >= token->next_id - id) return false;
    id += step;
    token->unanswered.push_back({id, digest});
  }
  return count == 0 || id - token->unanswered.front().id < kTokenSpanMax;
}

}  // namespace

Bytes encode_token(const Token& token) {
  ByteWriter w(128 + 12 * token.unanswered.size());
  w.u32(kTokenMagic);
  w.u8(kTokenVersion);
  put_uuid(w, token.session);
  put_uuid(w, token.proof);
  put_uuid(w, token.cluster);
  w.varint(token.holder.value);
  w.varint(token.next_id);
  w.varint(token.received_push);
  w.varint(token.timeout_ms);
  w.varint(token.unanswered.size());
  uint64_t before = 0;
  for (const Token::Entry& e : token.unanswered) {
    w.varint(e.id - before);
    w.u64(e.digest);
    before = e.id;
  }
  w.u32(crc32c(0, w.data(), w.size()));
  return w.take_bytes();
}

Result<Token> decode_token(const Bytes& bytes) {
  if (bytes.size() < 4 + 1 + 48 + 4 + 4) return malformed("too short");
  const Bytes body = bytes.slice(0, bytes.size() - 4);
  uint32_t crc;
  std::memcpy(&crc, bytes.data() + body.size(), sizeof crc);
  ByteReader r(body);
  if (r.u32() != kTokenMagic) return malformed("wrong magic");
  if (r.u8() != kTokenVersion) return malformed("unknown version");
  if (crc != crc32c(0, body.data(), body.size())) return malformed("checksum does not match");
  Token token;
  token.session = get_uuid(r);
  token.proof = get_uuid(r);
  token.cluster = get_uuid(r);
  token.holder = HolderId(r.varint());
  token.next_id = r.varint();
  token.received_push = r.varint();
  token.timeout_ms = r.varint();
  const uint64_t count = r.varint();
  if (r.failed() || count > kTokenEntriesMax) return malformed("bad counts");
  if (token.session.is_zero() || token.next_id == 0 || token.next_id > UINT64_MAX / 2 ||
      generation_of(token.holder) >= UINT32_MAX) {
    return malformed("bad ids");
  }
  if (!get_entries(r, count, &token) || !r.at_end()) return malformed("bad list of commands");
  return token;
}

uint64_t command_digest(std::string_view service, const Bytes& payload) {
  // FNV-1a over length, service and payload, then the finisher of MurmurHash3.
  uint64_t h = 0xcbf29ce484222325ull;
  const auto mix = [&h](uint8_t b) { h = (h ^ b) * 0x100000001b3ull; };
  for (unsigned shift = 0; shift < 64; shift += 8)
    mix(static_cast<uint8_t>(service.size() >> shift));
  for (char c : service) mix(static_cast<uint8_t>(c));
  for (uint8_t b : payload) mix(b);
  h = (h ^ (h >> 33)) * 0xff51afd7ed558ccdull;
  h = (h ^ (h >> 33)) * 0xc4ceb9fe1a85ec53ull;
  return h ^ (h >> 33);
}

}  // namespace raftcs::client
