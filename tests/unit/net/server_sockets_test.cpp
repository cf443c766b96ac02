// server_sockets_test.cpp: what a node says about where it listens.
#include "net/server_sockets.hpp"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
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

// A peer by hand, which says nothing but the bytes that it is told to.
class RawPeer {
 public:
  explicit RawPeer(const std::string& address) : fd_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    at.sin_port = htons(static_cast<uint16_t>(port_at(address, "127.0.0.1")));
    EXPECT_EQ(::connect(fd_, reinterpret_cast<sockaddr*>(&at), sizeof at), 0);
    std::string greeting("\xff\0\0\0\0\0\0\0\x01\x7f\x03\0NULL", 16);
    greeting.resize(64);
    const std::string ready(
        "\x04\x1c\x05READY\x0bSocket-Type\0\0\0\x06"
        "DEALER",
        30);
    EXPECT_TRUE(say(greeting + ready));
  }
  ~RawPeer() { ::close(fd_); }
  bool say(const std::string& bytes) {
    return ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL) ==
           static_cast<ssize_t>(bytes.size());
  }
  std::string heard() {
    char bytes[4096];
    const ssize_t n = ::recv(fd_, bytes, sizeof bytes, MSG_DONTWAIT);
    return std::string(bytes, static_cast<size_t>(std::max<ssize_t>(n, 0)));
  }

 private:
  int fd_;
};

// libzmq takes a line for dead when it has had no whole message in the time.
TEST(ServerSockets, AFrameMayTakeLongOnASlowLine) {
  auto to = bound("tcp://127.0.0.1:0", "tcp://127.0.0.1:0");
  ASSERT_NE(to, nullptr);
  RawPeer from(to->peer_address());
  constexpr int kSteps = 65;  // of a tenth of a second
  EXPECT_TRUE(from.say(std::string("\x02\0\0\0\0\0\0\0", 8) + static_cast<char>(kSteps)));
  std::vector<ServerInput> inputs;
  for (int n = 0; n < kSteps; ++n) {
    to->poll(sys::mono_now() + kNsPerSecond / 10, &inputs);
    EXPECT_TRUE(inputs.empty());
    if (!from.say("x")) break;
  }
  for (int n = 0; n < 20 && inputs.empty(); ++n)
    to->poll(sys::mono_now() + kNsPerSecond / 10, &inputs);
  EXPECT_EQ(inputs.size(), 1u);
  // How long the other side should wait, in tenths of a second.
  const std::string heard = from.heard();
  const size_t ping = heard.find("\4PING");
  ASSERT_LT(ping + 6, heard.size());
  EXPECT_GE(static_cast<uint8_t>(heard[ping + 5]) << 8 | static_cast<uint8_t>(heard[ping + 6]),
            300);
}

// What waits for a line that takes nothing any more is given up by TCP, long before that.
TEST(ServerSockets, ADeadLineIsNoticedByItsSilence) {
  auto from = bound("tcp://127.0.0.1:0", "tcp://127.0.0.1:0");
  auto to = bound("tcp://127.0.0.1:0", "tcp://127.0.0.1:0");
  ASSERT_TRUE(from && to);
  from->set_peer(NodeId(2), to->peer_address());
  const Mono end = sys::mono_now() + 5 * kNsPerSecond;
  while (!from->send_peer(NodeId(2), Bytes::copy("frame")) && sys::mono_now() < end)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  int lines = 0;
  for (int fd = 0; fd < 256; ++fd) {
    sockaddr_storage peer;
    socklen_t size = sizeof peer;
    if (::getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &size) != 0) continue;
    if (peer.ss_family != AF_INET && peer.ss_family != AF_INET6) continue;
    unsigned timeout_ms = 0;
    size = sizeof timeout_ms;
    EXPECT_EQ(::getsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, &size), 0);
    EXPECT_TRUE(timeout_ms > 0 && timeout_ms <= 5000) << timeout_ms;
    ++lines;
  }
  EXPECT_EQ(lines, 2);  // both ends of one
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
