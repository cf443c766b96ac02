// ledger_bytes_test.cpp: a byte of a command or an answer that is not what was sent is noticed.
#include "sim/ledger_bytes.hpp"

#include <gtest/gtest.h>

namespace raftcs::sim {
namespace {

TEST(LedgerBytes, WhatWasEncodedIsReadAgain) {
  const LedgerOp op{2, 7, 99};
  for (const LedgerLoad& load : {LedgerLoad{}, {0, 3000, 0}, {1, 0, 0}, {500, 9, 1 << 20}}) {
    const Bytes bytes = encode({op, load});
    const auto command = decode_command(bytes.data(), bytes.size());
    ASSERT_TRUE(command);
    EXPECT_EQ(command->op, op);
    EXPECT_EQ(command->load, load);
  }
  EXPECT_EQ(encode({op, {}}).size(), sizeof op);
  EXPECT_EQ(encode({op, {500, 0, 0}}).size(), kLoadedBytes + 500);
  for (size_t size : {0, 8, 9, 5000})
    EXPECT_EQ(decode_answer(answer_of(41, size).data(), std::max<size_t>(size, 8)), 41);
}

TEST(LedgerBytes, EveryByteThatChangedIsNoticed) {
  const Bytes good = encode({{2, 7, 99}, {60, 3000, 9}});
  std::vector<uint8_t> answer = answer_of(41, 60);
  std::vector<uint8_t> bytes(good.data(), good.data() + good.size());
  for (uint8_t& byte : bytes) {
    byte ^= 4;
    EXPECT_FALSE(decode_command(bytes.data(), bytes.size()));
    byte ^= 4;
  }
  for (size_t size = 0; size < bytes.size(); ++size)
    EXPECT_EQ(decode_command(bytes.data(), size).has_value(), size == sizeof(LedgerOp)) << size;
  for (uint8_t& byte : answer) {
    byte ^= 4;
    EXPECT_FALSE(decode_answer(answer.data(), answer.size()));
    byte ^= 4;
  }
}

}  // namespace
}  // namespace raftcs::sim
