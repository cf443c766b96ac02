// The cost per message of the hot path, printed; meaningful in a release build only.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdio>

#include "tests/unit/wire/samples.hpp"

namespace raftcs::wire {
namespace {

constexpr int kBatch = 64;

template <class F>
void report(const char* name, int rounds, F once) {
  double best = 1e9;
  for (int run = 0; run < 500; ++run) {
    const auto begin = std::chrono::steady_clock::now();
    for (int i = 0; i < rounds; ++i) once();
    const std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - begin;
    best = std::min(best, took.count() / rounds / kBatch);
  }
  std::printf("%-44s %7.1f ns per message\n", name, best);
  testing::Test::RecordProperty(name, std::to_string(best));
}

}  // namespace

TEST(Speed, Batch64) {
  const int rounds = 10;  // short runs: the best one is undisturbed
  const std::string payload(64, 'p');
  FrameBuilder builder;
  const auto add_requests = [&] {
    for (uint64_t i = 1; i <= kBatch; ++i)
      builder.add_request(7, RequestId(100'000 + i), RequestId(100'000), "kv", payload.data(),
                          payload.size());
    return builder.take();
  };
  const auto add_responses = [&] {
    for (uint64_t i = 1; i <= kBatch; ++i)
      builder.add_response(7, RequestId(100'000 + i), 0, payload.data(), payload.size(),
                           Index(5'000'000));
    return builder.take();
  };
  const Bytes requests = add_requests().at(0), responses = add_responses().at(0);
  report("encode 64 requests of 64 bytes", rounds, add_requests);
  report("encode 64 responses of 64 bytes", rounds, add_responses);
  ClientSink client;
  ServerSink server;
  DecodeError error;
  report("decode 64 requests of 64 bytes", rounds, [&] {
    client.clear();
    ASSERT_TRUE(decode_client_frame(requests, Limits{}, &client, &error));
  });
  report("decode 64 responses of 64 bytes", rounds, [&] {
    server.clear();
    ASSERT_TRUE(decode_server_frame(responses, Limits{}, &server, &error));
  });

  const PeerEnvelope envelope{{}, NodeId(1), NodeId(2), {}};
  raft::AppendRequest append{Index(1000), Term(3), Index(1000), 9, {}};
  for (uint64_t i = 1; i <= kBatch; ++i)
    append.entries.push_back({Index(1000 + i), Term(3), raft::EntryType::ops,
                              LogTime{1'700'000'000'000'000'000}, Bytes::copy(payload)});
  const std::vector<raft::Message> messages = {{NodeId(1), NodeId(2), Term(3), append}};
  const Bytes peer = encode_peer_frame(envelope, messages);
  report("encode 64 entries of 64 bytes", rounds, [&] { encode_peer_frame(envelope, messages); });
  report("decode 64 entries of 64 bytes", rounds, [&] {
    EXPECT_TRUE(decode(Speaker::peer, peer).ok);
  });
}

}  // namespace raftcs::wire
