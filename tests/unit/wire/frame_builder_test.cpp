// The builder batches by type, keeps the order and cuts frames.
#include <gtest/gtest.h>

#include "tests/unit/wire/samples.hpp"

namespace raftcs::wire {
namespace {

std::vector<ServerMessage> decode_all(const std::vector<Bytes>& frames) {
  std::vector<ServerMessage> out;
  DecodeError error;
  for (const Bytes& frame : frames)
    EXPECT_TRUE(decode_server_frame(frame, Limits{}, &out, &error)) << error.text;
  return out;
}

}  // namespace

TEST(FrameBuilder, EmptyGivesNothing) {
  FrameBuilder builder;
  EXPECT_TRUE(builder.empty());
  EXPECT_TRUE(builder.take().empty());
}

TEST(FrameBuilder, OneFramePerRunOfOneType) {
  FrameBuilder builder;
  const std::vector<ServerMessage> in = {
      Response{1, RequestId(1), 0, {}, Index(1)}, Response{2, RequestId(1), 0, {}, Index(2)},
      KeepAliveReply{1, 5}, Response{1, RequestId(2), 0, {}, Index(3)}};
  for (const auto& m : in) builder.add(m);
  EXPECT_FALSE(builder.empty());
  const auto frames = builder.take();
  EXPECT_EQ(frames.size(), 3u);
  EXPECT_EQ(decode_all(frames), in);
  EXPECT_TRUE(builder.empty());
  EXPECT_TRUE(builder.take().empty());
}

TEST(FrameBuilder, DirectFormsAreTheVariants) {
  FrameBuilder a, b;
  a.add_request(7, RequestId(300), RequestId(2), "kv", "pay", 3);
  b.add(ClientMessage(Request{7, RequestId(300), RequestId(2), "kv", Bytes::copy("pay")}));
  EXPECT_EQ(a.take(), b.take());
  a.add_response(7, RequestId(300), -5, nullptr, 0, Index(9));
  b.add(ServerMessage(Response{7, RequestId(300), -5, {}, Index(9)}));
  EXPECT_EQ(a.take(), b.take());
}

TEST(FrameBuilder, CutsAtTheSoftLimit) {
  FrameBuilder builder(1000);
  const std::string payload(90, 'x');
  std::vector<ServerMessage> in;
  for (uint64_t i = 1; i <= 100; ++i) {
    in.push_back(Response{1, RequestId(i), 0, Bytes::copy(payload), Index(i)});
    builder.add(in.back());
  }
  const auto frames = builder.take();
  EXPECT_GE(frames.size(), 10u);
  EXPECT_LE(frames.size(), 13u);
  for (const Bytes& frame : frames) EXPECT_LE(frame.size(), 1000u + 128);
  EXPECT_EQ(decode_all(frames), in);
}

TEST(FrameBuilder, AMessageAboveTheSoftLimitGoesAlone) {
  FrameBuilder builder(1000);
  const Bytes large = Bytes::copy(std::string(5000, 'x'));
  const std::vector<ServerMessage> in = {Response{1, RequestId(1), 0, {}, {}},
                                         Response{1, RequestId(2), 0, large, {}},
                                         Response{1, RequestId(3), 0, {}, {}}};
  for (const auto& m : in) builder.add(m);
  const auto frames = builder.take();
  EXPECT_EQ(frames.size(), 3u);
  EXPECT_EQ(decode_all(frames), in);
}

TEST(FrameBuilder, CutsAtTheNumberOfMessages) {
  FrameBuilder builder(SIZE_MAX / 4);
  const uint32_t count = Limits{}.items_max + 10;
  for (uint32_t i = 0; i < count; ++i) builder.add(ServerMessage(KeepAliveReply{1, i}));
  const auto frames = builder.take();
  EXPECT_EQ(frames.size(), 2u);
  EXPECT_EQ(decode_all(frames).size(), count);
}

TEST(FrameBuilder, EveryLengthOfHeadIsRight) {
  for (size_t count : {1, 15, 16, 17, 300, 65'535, 65'536}) {
    FrameBuilder builder(SIZE_MAX / 4);
    for (size_t i = 0; i < count; ++i) builder.add(ServerMessage(Unsupported{1, 2}));
    const auto frames = builder.take();
    ASSERT_EQ(frames.size(), 1u);
    EXPECT_EQ(frames[0][0], 0x94);
    EXPECT_EQ(decode_all(frames).size(), count);
  }
}

TEST(FrameBuilder, LongSentencesAreCutBetweenCharacters) {
  std::string text(4095, 'a');
  text += "\xc3\xa9 and more";  // a character of two bytes across the limit
  FrameBuilder builder;
  builder.add(ServerMessage(RequestError{1, RequestId(1), -1, 0, text}));
  const auto out = decode_all(builder.take());
  ASSERT_EQ(out.size(), 1u);
  EXPECT_EQ(std::get<RequestError>(out[0]).text, std::string(4095, 'a'));
}

TEST(FrameBuilder, FramesOutliveTheBuilder) {
  std::vector<Bytes> frames;
  {
    FrameBuilder builder;
    builder.add(ServerMessage(Push{1, PushId(1), Bytes::copy("payload"), 1}));
    FrameBuilder moved = std::move(builder);
    frames = moved.take();
  }
  EXPECT_EQ(decode_all(frames).size(), 1u);
}

}  // namespace raftcs::wire
