// ledger_bytes.cpp: see ledger_bytes.hpp.
#include "sim/ledger_bytes.hpp"

#include <algorithm>
#include <cstring>

#include "base/prng.hpp"

namespace raftcs::sim {
namespace {

struct Head {
  LedgerOp op;
  LedgerLoad load;
  uint32_t check = 0;  // follows from the rest
};
static_assert(sizeof(Head) == kLoadedBytes);

uint64_t number_of(const Head& head) {
  uint64_t words[sizeof(Head) / 8];
  std::memcpy(words, &head, sizeof head);
  words[3] &= UINT32_MAX;  // without the check
  uint64_t number = 0;
  for (uint64_t word : words) number = (number ^ word) * 0x9e3779b97f4a7c15ull;
  return number;
}

Head head_of(const LedgerCommand& command) {
  Head head{command.op, command.load};
  head.check = static_cast<uint32_t>(number_of(head) >> 32);
  return head;
}

}  // namespace

std::vector<uint8_t> pattern_of(uint64_t number, size_t size) {
  std::vector<uint8_t> bytes((size + 7) / 8 * 8);
  Prng prng(number);
  for (size_t at = 0; at < bytes.size(); at += 8) {
    const uint64_t word = prng.next();
    std::memcpy(bytes.data() + at, &word, 8);
  }
  bytes.resize(size);
  return bytes;
}

Bytes encode(const LedgerCommand& command) {
  if (command.load == LedgerLoad{}) return Bytes::copy(&command.op, sizeof command.op);
  const Head head = head_of(command);
  std::vector<uint8_t> bytes = pattern_of(number_of(head), command.load.padding);
  const auto* begin = reinterpret_cast<const uint8_t*>(&head);
  bytes.insert(bytes.begin(), begin, begin + sizeof head);
  return Bytes::copy(bytes.data(), bytes.size());
}

std::optional<LedgerCommand> decode_command(const void* data, size_t size) {
  Head head;
  const bool loaded = size != sizeof head.op;
  if (loaded && size < sizeof head) return std::nullopt;
  std::memcpy(&head, data, loaded ? sizeof head : sizeof head.op);
  const LedgerCommand command{head.op, head.load};
  if (!loaded) return command;
  if (head.load.padding != size - sizeof head || head.check != head_of(command).check)
    return std::nullopt;
  const std::vector<uint8_t> padding = pattern_of(number_of(head), head.load.padding);
  const auto* at = static_cast<const uint8_t*>(data) + sizeof head;
  if (!std::equal(padding.begin(), padding.end(), at)) return std::nullopt;
  return command;
}

int32_t app_code_of(const LedgerOp& op) {
  constexpr uint64_t kOneIn = 8;
  return op.what % kOneIn == 5 ? static_cast<int32_t>(op.what) : 0;
}

std::vector<uint8_t> answer_of(uint64_t number, size_t size) {
  std::vector<uint8_t> bytes = pattern_of(number, std::max(size, sizeof number));
  std::memcpy(bytes.data(), &number, sizeof number);
  return bytes;
}

std::optional<uint64_t> decode_answer(const void* data, size_t size) {
  uint64_t number = 0;
  if (size < sizeof number) return std::nullopt;
  std::memcpy(&number, data, sizeof number);
  const std::vector<uint8_t> bytes = answer_of(number, size);
  if (std::memcmp(bytes.data(), data, size) != 0) return std::nullopt;
  return number;
}

}  // namespace raftcs::sim
