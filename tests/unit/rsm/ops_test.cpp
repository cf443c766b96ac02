// Operations survive the way to bytes and back; anything else is refused where it stands.
#include "rsm/ops.hpp"

#include <gtest/gtest.h>

#include "support.hpp"

namespace raftcs::rsm::testing {
namespace {

std::vector<Op> all_kinds() {
  return {CreateSession{uuid_of(1), uuid_of(2), 30'000, {{"a", "1"}, {"b", ""}}},
          CloseSession{SessionNum(300)},
          cmd(70'000, 1ull << 40, "payload", 9, 2),
          Acknowledge{SessionNum(1), PushId(500)},
          Touch{{SessionNum(1), SessionNum(200)}},
          Expire{{SessionNum(3)}},
          CreateService{"notes", "org.test.scribe", 2},
          RaiseVersion{ServiceNum(1), 3},
          Tick{},
          Presence{{SessionNum(1), SessionNum(300)}, {SessionNum(2)}},
          TakeOver{SessionNum(7), HolderId(uint64_t{3} << 32 | 9)}};
}

Bytes encode_all(const std::vector<Op>& ops) {
  OpsWriter w;
  for (const Op& op : ops) w.add(op);
  return w.take();
}

}  // namespace

TEST(Ops, T_M17_EveryKindRoundTrips) {
  const Bytes bytes = encode_all(all_kinds());
  OpsReader r(bytes);
  Op op;
  std::vector<Op> back;
  while (r.next(&op)) back.push_back(op);
  EXPECT_FALSE(r.failed());
  EXPECT_EQ(r.position(), bytes.size());
  ASSERT_EQ(back.size(), all_kinds().size());
  EXPECT_EQ(encode_all(back), bytes);
  const auto& c = std::get<Command>(back[2]);
  EXPECT_EQ(c.session, SessionNum(70'000));
  EXPECT_EQ(c.id, RequestId(1ull << 40));
  EXPECT_EQ(c.lowest_pending, RequestId(9));
  EXPECT_EQ(c.payload.view(), "payload");
  EXPECT_EQ(c.payload.owner(), bytes.owner());  // no copy
  EXPECT_EQ(std::get<CreateSession>(back[0]).capabilities[1].first, "b");
}

TEST(Ops, EveryTruncationFailsAtItsOperation) {
  const std::vector<Op> ops = all_kinds();
  for (size_t k = 0; k < ops.size(); ++k) {
    const Bytes before = encode_all(std::vector<Op>(ops.begin(), ops.begin() + k));
    const Bytes with = encode_all(std::vector<Op>(ops.begin(), ops.begin() + k + 1));
    for (size_t n = before.size() + 1; n < with.size(); ++n) {
      OpsReader r(with.slice(0, n));
      Op op;
      while (r.next(&op)) {
      }
      EXPECT_TRUE(r.failed()) << k << " " << n;
      EXPECT_EQ(r.position(), before.size());
    }
  }
}

TEST(Ops, UnknownKindAndTrailingBytesFail) {
  ByteWriter w;
  w.u8(99);
  w.blob("x", 1);
  OpsReader unknown(w.take_bytes());
  Op op;
  EXPECT_FALSE(unknown.next(&op));
  EXPECT_TRUE(unknown.failed());

  ByteWriter longer;
  longer.u8(2);  // close, with a byte too many
  longer.blob("\x01\x02", 2);
  OpsReader r(longer.take_bytes());
  EXPECT_FALSE(r.next(&op));
  EXPECT_TRUE(r.failed());
}

TEST(Ops, ReaderBeginsAtAnOffset) {
  const std::vector<Op> ops = all_kinds();
  const size_t offset = encode_all({ops[0]}).size();
  OpsReader r(encode_all(ops), offset);
  Op op;
  ASSERT_TRUE(r.next(&op));
  EXPECT_EQ(std::get<CloseSession>(op).session, SessionNum(300));
  OpsReader past(encode_all(ops), 1'000'000);
  EXPECT_FALSE(past.next(&op));
  EXPECT_TRUE(past.failed());
}

}  // namespace raftcs::rsm::testing
