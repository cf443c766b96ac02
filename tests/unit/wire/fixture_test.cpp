// The golden files are what encode gives and what decode understands.
//
// With RAFTCS_REWRITE_FIXTURES=1 in the environment the files are written instead of compared;
// a change of them is a change of the protocol and must be looked at as one.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <set>
#include <sstream>

#include "tests/unit/wire/hex.hpp"
#include "tests/unit/wire/index_json.hpp"
#include "tests/unit/wire/samples.hpp"

namespace raftcs::wire {
namespace {

std::string path_of(const std::string& file) {
  return std::string(RAFTCS_SOURCE_DIR) + "/tests/fixtures/" + file;
}

void expect_file(const std::string& file, const std::string& text) {
  if (std::getenv("RAFTCS_REWRITE_FIXTURES") != nullptr) {
    std::ofstream(path_of(file), std::ios::binary) << text;
    return;
  }
  std::ifstream in(path_of(file), std::ios::binary);
  ASSERT_TRUE(in) << file << " is not there";
  std::stringstream found;
  found << in.rdbuf();
  EXPECT_EQ(found.str(), text) << file;
}

// 32 bytes per line.
std::string lines_of(const Bytes& bytes) {
  std::string out;
  for (size_t at = 0; at < bytes.size(); at += 32)
    out += to_hex(bytes.data() + at, std::min<size_t>(32, bytes.size() - at)) + "\n";
  return out;
}

}  // namespace

TEST(Fixtures, FilesHoldTheSamples) {
  std::set<std::string> names;
  for (const Sample& s : samples()) {
    EXPECT_TRUE(names.insert(s.name).second) << s.name << " twice";
    expect_file(s.name + ".hex", lines_of(s.bytes));
  }
}

TEST(Fixtures, IndexHoldsTheValues) { expect_file("index.json", index_json()); }

TEST(Fixtures, DecodeAsDescribed) {
  for (const Sample& s : samples()) {
    const Decoded d = decode(s.speaker, s.bytes);
    if (s.refused) {
      EXPECT_FALSE(d.ok) << s.name;
      EXPECT_EQ(static_cast<int>(d.error.kind), static_cast<int>(s.refusal))
          << s.name << ": " << d.error.text;
      EXPECT_FALSE(d.error.text.empty()) << s.name;
    } else {
      EXPECT_TRUE(same_messages(s, d)) << s.name << ": " << d.error.text;
    }
  }
}

TEST(Fixtures, EveryTypeIsThere) {
  std::set<size_t> client, server, peer;
  for (const Sample& s : samples()) {
    for (const auto& m : s.client) client.insert(m.index());
    for (const auto& m : s.server) server.insert(m.index());
    for (const auto& m : s.peer) peer.insert(m.body.index());
  }
  EXPECT_EQ(client.size(), std::variant_size_v<ClientMessage>);
  EXPECT_EQ(server.size(), std::variant_size_v<ServerMessage>);
  EXPECT_EQ(peer.size(), std::variant_size_v<raft::MessageBody>);
}

TEST(Fixtures, UnknownTypeAndVersionAreReported) {
  Decoded d;
  d = decode(Speaker::client, from_hex("95 ce52435331 01 cd1234 c0 c0"));
  EXPECT_EQ(d.error.kind, DecodeError::Kind::unknown_type);
  EXPECT_EQ(d.error.type, 0x1234u);
  EXPECT_EQ(d.error.version, 1u);
  d = decode(Speaker::client, from_hex("93 ce52435331 09 05"));
  EXPECT_EQ(d.error.kind, DecodeError::Kind::version);
  EXPECT_EQ(d.error.version, 9u);
  EXPECT_EQ(d.error.type, 5u);
}

}  // namespace raftcs::wire
