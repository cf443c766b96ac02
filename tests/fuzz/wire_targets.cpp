// wire_targets.cpp: the properties, with a plain abort: neither gtest nor a test's globals.
#include "tests/fuzz/wire_targets.hpp"

#include <cstdio>
#include <cstdlib>

#include "wire/codec.hpp"

namespace raftcs::fuzz {
namespace {

void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "wire target: %s\n", what);
  std::abort();
}

bool inside(const Bytes& part, const Bytes& frame) {
  return part.empty() || (part.begin() >= frame.begin() && part.end() <= frame.end());
}

template <class Message>
bool run(const uint8_t* data, size_t size,
         bool (*decode)(const Bytes&, const wire::Limits&, std::vector<Message>*,
                        wire::DecodeError*)) {
  const Bytes frame = Bytes::copy(data, size);
  std::vector<Message> first(1), second;
  wire::DecodeError error;
  if (!decode(frame, wire::Limits{}, &first, &error)) {
    require(first.size() == 1, "a refused frame delivered messages");
    require(!error.text.empty(), "a refusal says nothing");
    return false;
  }
  first.erase(first.begin());
  wire::FrameBuilder builder(SIZE_MAX / 4);
  for (const Message& message : first) {
    std::visit(
        [&](const auto& m) {
          if constexpr (requires { m.payload; })
            require(inside(m.payload, frame), "payload outside");
          if constexpr (requires { m.result; }) require(inside(m.result, frame), "result outside");
        },
        message);
    builder.add(message);
  }
  const auto frames = builder.take();
  require(frames.size() == 1, "one frame became several");
  require(decode(frames[0], wire::Limits{}, &second, &error), "an encoded frame is refused");
  require(first == second, "encoding lost something");
  return true;
}

}  // namespace

bool client_frame(const uint8_t* data, size_t size) {
  return run<wire::ClientMessage>(data, size, wire::decode_client_frame);
}

bool server_frame(const uint8_t* data, size_t size) {
  return run<wire::ServerMessage>(data, size, wire::decode_server_frame);
}

bool peer_frame(const uint8_t* data, size_t size) {
  const Bytes frame = Bytes::copy(data, size);
  wire::PeerEnvelope envelope, again;
  std::vector<raft::Message> first(1), second;
  wire::DecodeError error;
  if (!wire::decode_peer_frame(frame, wire::Limits{}, &envelope, &first, &error)) {
    require(first.size() == 1, "a refused frame delivered messages");
    require(envelope == wire::PeerEnvelope{}, "a refused frame delivered its envelope");
    require(!error.text.empty(), "a refusal says nothing");
    return false;
  }
  first.erase(first.begin());
  const Bytes encoded = wire::encode_peer_frame(envelope, first);
  require(wire::decode_peer_frame(encoded, wire::Limits{}, &again, &second, &error),
          "an encoded frame is refused");
  require(envelope == again && first == second, "encoding lost something");
  return true;
}

}  // namespace raftcs::fuzz
