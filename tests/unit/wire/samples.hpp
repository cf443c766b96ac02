// samples.hpp: the frames behind tests/fixtures, as values.
//
// One table feeds everything: the golden files, the round trips, truncation, bit flips and
// mutations. A sample is either made of messages, or of bytes written by hand that show
// what must be accepted beyond the canonical form, or what must be refused and how.
#pragma once

#include <string>
#include <vector>

#include "wire/codec.hpp"

namespace raftcs::wire {

enum class Speaker { client, server, peer };

struct Sample {
  std::string name;
  Speaker speaker = Speaker::client;
  std::vector<ClientMessage> client;
  std::vector<ServerMessage> server;
  PeerEnvelope envelope;
  std::vector<raft::Message> peer;
  bool canonical = true;  // encoding the messages gives these bytes
  bool refused = false;
  DecodeError::Kind refusal = DecodeError::Kind::malformed;
  Bytes bytes;
};

// All of them; built once. `bytes` is filled in, by encoding where the sample is canonical.
const std::vector<Sample>& samples();

Bytes encode(const std::vector<ClientMessage>& messages);  // one type: one frame
Bytes encode(const std::vector<ServerMessage>& messages);
// By speaker; gives back what decode_*_frame does. Messages are appended.
struct Decoded {
  bool ok = false;
  std::vector<ClientMessage> client;
  std::vector<ServerMessage> server;
  PeerEnvelope envelope;
  std::vector<raft::Message> peer;
  DecodeError error;
};
Decoded decode(Speaker speaker, const Bytes& frame, const Limits& limits = Limits{});
bool same_messages(const Sample& sample, const Decoded& decoded);

}  // namespace raftcs::wire
