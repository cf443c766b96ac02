// Reader and Writer agree, and a Reader never leaves its slice.
#include "base/byte_io.hpp"

#include <gtest/gtest.h>

#include "base/crc32c.hpp"

namespace raftcs {

TEST(ByteIo, RoundTrip) {
  ByteWriter w;
  w.u8(7);
  w.u32(0xdeadbeef);
  w.varint(0);
  w.varint(300);
  w.varint(UINT64_MAX);
  w.text("hello");
  ByteReader r(w.take_bytes());
  EXPECT_EQ(r.u8(), 7);
  EXPECT_EQ(r.u32(), 0xdeadbeefu);
  EXPECT_EQ(r.varint(), 0u);
  EXPECT_EQ(r.varint(), 300u);
  EXPECT_EQ(r.varint(), UINT64_MAX);
  EXPECT_EQ(r.text(), "hello");
  EXPECT_TRUE(r.at_end());
}

TEST(ByteIo, ShortInputFailsAndStaysFailed) {
  ByteWriter w;
  w.varint(1000);  // promises a blob that is not there
  ByteReader r(w.take_bytes());
  EXPECT_TRUE(r.blob().empty());
  EXPECT_TRUE(r.failed());
  EXPECT_EQ(r.u8(), 0);
  EXPECT_TRUE(r.failed());
}

TEST(ByteIo, OverlongVarintIsRefused) {
  std::vector<uint8_t> bytes(10, 0xff);
  bytes.push_back(0x7f);
  ByteReader r(Bytes::adopt(std::move(bytes)));
  r.varint();
  EXPECT_TRUE(r.failed());
}

TEST(Crc32c, KnownVectors) {  // RFC 3720 B.4
  std::vector<uint8_t> zeros(32, 0), ones(32, 0xff);
  EXPECT_EQ(crc32c(0, zeros.data(), 32), 0x8A9136AAu);
  EXPECT_EQ(crc32c(0, ones.data(), 32), 0x62A8AB43u);
  EXPECT_EQ(crc32c(0, "123456789", 9), 0xE3069283u);
  EXPECT_EQ(crc32c(crc32c(0, "1234", 4), "56789", 5), 0xE3069283u);
}

}  // namespace raftcs
