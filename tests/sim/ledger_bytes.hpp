// ledger_bytes.hpp: the ledger's commands and answers, byte for byte.
//
// A command is an operation of 16 bytes, or an operation with a load: how large an answer it asks
// for, and padding. An answer is a number of 8 bytes, or a longer one. All bytes behind the
// numbers follow from these, so that one that is not what was sent shows wherever it is read.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/bytes.hpp"

namespace raftcs::sim {

struct LedgerOp {
  uint32_t kind = 1;  // see ledger_machine.hpp
  uint32_t who = 0;
  uint64_t what = 0;
  auto operator<=>(const LedgerOp&) const = default;
};

struct LedgerLoad {
  uint32_t padding = 0;  // bytes of the command behind its numbers
  uint32_t reply = 0;    // bytes of the reply, when more than a number
  uint32_t push = 0;     // and of the push, of kind 2
  auto operator<=>(const LedgerLoad&) const = default;
};

struct LedgerCommand {
  LedgerOp op;
  LedgerLoad load;
};
constexpr size_t kLoadedBytes = 32;  // of a command with a load, before its padding

Bytes encode(const LedgerCommand& command);
std::optional<LedgerCommand> decode_command(const void* data, size_t size);  // else it is damaged

// Some are refused, after they took effect: what an application says is an answer like any other.
int32_t app_code_of(const LedgerOp& op);

std::vector<uint8_t> answer_of(uint64_t number, size_t size);
std::optional<uint64_t> decode_answer(const void* data, size_t size);

// The bytes that follow from a number.
std::vector<uint8_t> pattern_of(uint64_t number, size_t size);

}  // namespace raftcs::sim
