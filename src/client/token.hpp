// token.hpp: an exported session as bytes (SES-18, CLI-25).
//
// Layout, little-endian, varints as base/byte_io.hpp: "RCST" u8 version, session (16), proof
// (16), cluster (16), holder, next request id, received push id, session timeout ms, count, then
// per unanswered command the distance to the id before and its digest (u64), and the CRC32C of
// everything before it. The proof makes the token a secret.
//
// What must hold: decode(encode(t)) == t; decode of anything else is MALFORMED, bounded in
// memory by kEntriesMax and kSpanMax whatever the bytes say.
#pragma once

#include <string_view>
#include <vector>

#include "base/bytes.hpp"
#include "base/holder.hpp"
#include "base/result.hpp"
#include "base/uuid.hpp"

namespace raftcs::client {

struct Token {
  struct Entry {
    uint64_t id = 0;
    uint64_t digest = 0;
    bool operator==(const Entry&) const = default;
  };
  Uuid session;
  Uuid proof;
  Uuid cluster;
  HolderId holder;  // of the process that wrote it; whoever resumes is its successor
  uint64_t next_id = 1;
  uint64_t received_push = 0;
  uint64_t timeout_ms = 0;
  std::vector<Entry> unanswered;  // ids ascending, all below next_id
  bool operator==(const Token&) const = default;
};

constexpr uint64_t kTokenEntriesMax = 65'536;
constexpr uint64_t kTokenSpanMax = 65'536;  // highest minus lowest unanswered id

Bytes encode_token(const Token& token);
Result<Token> decode_token(const Bytes& bytes);

// Names a command's contents; equal contents give equal digests in every version.
uint64_t command_digest(std::string_view service, const Bytes& payload);

}  // namespace raftcs::client
