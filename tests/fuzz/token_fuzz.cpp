// token_fuzz.cpp: session tokens, which come from a user's file or another process.
//
// The first byte says whether the checksum at the end is put right, so that what is behind it is
// reached. Accepted tokens obey the limits of client/token.hpp and survive encoding.
#include "base/crc32c.hpp"
#include "client/token.hpp"
#include "tests/fuzz/fuzz.hpp"

void raftcs::fuzz::make_seeds(const SeedSink& sink) {
  client::Token token;
  for (int i = 0; i < 4; ++i) {
    token.session.bytes.fill(static_cast<uint8_t>(i + 1));
    token.proof.bytes.fill(9);
    token.holder = HolderId(static_cast<uint64_t>(i) << 32 | 5);
    token.next_id = i == 3 ? UINT64_MAX / 2 : 100 * static_cast<uint64_t>(i) + 1;
    for (int k = 0; k < i; ++k)
      token.unanswered.push_back({static_cast<uint64_t>(i * 10 + k), 0x1234567890ull});
    token.timeout_ms = 10'000;
    const std::string bytes = client::encode_token(token).str();
    sink("exact_" + std::to_string(i), '\0' + bytes);
    sink("fixed_" + std::to_string(i), '\1' + bytes.substr(0, bytes.size() - 4));
    token.unanswered.clear();
  }
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace raftcs;
  fuzz::Input in(data, size);
  const bool fix = in.flag();
  std::string bytes = in.rest();
  if (fix) {
    const uint32_t crc = crc32c(0, bytes.data(), bytes.size());
    bytes.append(reinterpret_cast<const char*>(&crc), sizeof crc);
  }
  const auto token = client::decode_token(Bytes::copy(bytes));
  if (!token.is_ok()) {
    fuzz::require(token.status().code() == RAFTCS_ERR_MALFORMED, "another code for a bad token");
    return 0;
  }
  ++fuzz::accepted;
  fuzz::require(token->unanswered.size() <= client::kTokenEntriesMax, "too many commands");
  uint64_t before = 0;
  for (const client::Token::Entry& e : token->unanswered) {
    fuzz::require(e.id > before && e.id < token->next_id, "ids are not in order");
    before = e.id;
  }
  const Bytes once = client::encode_token(*token);
  const auto again = client::decode_token(once);
  fuzz::require(again.is_ok() && *again == *token, "encoding a token lost something");
  fuzz::require(client::encode_token(*again) == once, "two encodings of one token");
  return 0;
}
