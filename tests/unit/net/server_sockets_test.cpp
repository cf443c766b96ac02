// server_sockets_test.cpp: what a node says about where it listens.
#include "net/server_sockets.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "sys/clock.hpp"
#include "tests/support/descriptors.hpp"

namespace raftcs::net {
namespace {

std::unique_ptr<ServerSockets> bound(const std::string& client, const std::string& peer) {
  ServerSockets::Options options;
  options.client_listen = client;
  options.peer_listen = peer;
  auto sockets = ServerSockets::bind(options);
  EXPECT_TRUE(sockets) << sockets.status().text();
  return sockets ? std::move(*sockets) : nullptr;
}

// The port of "tcp://HOST:PORT"; 0 when the host is another.
int port_at(const std::string& address, const std::string& host) {
  const std::string head = "tcp://" + host + ":";
  return address.starts_with(head) ? std::atoi(address.c_str() + head.size()) : 0;
}

TEST(ServerSockets, Ipv4AddressesAreToldAsTheyWereGiven) {
  auto sockets = bound("tcp://127.0.0.1:0", "tcp://127.0.0.1:0");
  ASSERT_NE(sockets, nullptr);
  int client = port_at(sockets->client_address(), "127.0.0.1");
  int peer = port_at(sockets->peer_address(), "127.0.0.1");
  EXPECT_GT(client, 0) << sockets->client_address();
  EXPECT_GT(peer, 0) << sockets->peer_address();
  EXPECT_NE(client, peer);
}

TEST(ServerSockets, ATakenPortIsRefusedWithAReason) {
  auto sockets = bound("tcp://127.0.0.1:0", "tcp://127.0.0.1:0");
  ASSERT_NE(sockets, nullptr);
  ServerSockets::Options options;
  options.client_listen = sockets->client_address();
  options.peer_listen = "tcp://127.0.0.1:0";
  auto second = ServerSockets::bind(options);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.status().code(), RAFTCS_ERR_IO);
  EXPECT_NE(second.status().text().find(options.client_listen), std::string::npos);
}

TEST(ServerSockets, APeerWithoutASocketIsConnectedLater) {
  auto from = bound("tcp://127.0.0.1:0", "tcp://127.0.0.1:0");
  auto to = bound("tcp://127.0.0.1:0", "tcp://127.0.0.1:0");
  ASSERT_TRUE(from && to);
  const Bytes frame = Bytes::copy("frame");
  {
    const test::Descriptors none(0);
    from->set_peer(NodeId(2), to->peer_address());
    EXPECT_FALSE(from->send_peer(NodeId(2), frame));
    EXPECT_NE(from->peer_trouble().find("open files"), std::string::npos) << from->peer_trouble();
  }
  const Mono end = sys::mono_now() + 2 * kNsPerSecond;
  bool sent = false;
  while (!sent && sys::mono_now() < end) {
    sent = from->send_peer(NodeId(2), frame);
    if (!sent) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_TRUE(sent);
  EXPECT_EQ(from->peer_trouble(), "");
  std::vector<ServerInput> inputs;
  while (inputs.empty() && sys::mono_now() < end)
    to->poll(sys::mono_now() + kNsPerSecond / 10, &inputs);
  EXPECT_EQ(inputs.size(), 1u);
}

}  // namespace
}  // namespace raftcs::net
