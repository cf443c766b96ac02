// join.cpp: hello to every endpoint; the first welcome names the cluster.
#include "server/join.hpp"

#include "net/client_links.hpp"
#include "net/poller.hpp"
#include "sys/clock.hpp"
#include "wire/codec.hpp"

namespace raftcs::server {
namespace {

constexpr DurationNs kJoinAskAgainNs = 1 * kNsPerSecond;

Bytes hello_frame() {
  wire::Hello hello;
  hello.client_name = "joining node";
  wire::FrameBuilder frame;
  frame.add(wire::ClientMessage(hello));
  return frame.take().front();
}

// Nil: the frame says nothing about the cluster.
Uuid cluster_in(const Bytes& frame) {
  wire::ServerSink messages;
  wire::DecodeError error;
  if (!wire::decode_server_frame(frame, {}, &messages, &error)) return {};
  for (const wire::ServerMessage& m : messages)
    if (const auto* welcome = std::get_if<wire::Welcome>(&m)) return welcome->cluster;
  return {};
}

}  // namespace

Result<Uuid> ask_cluster_id(const std::vector<std::string>& endpoints, DurationNs patience_ns) {
  RCS_ASSIGN(links, net::ClientLinks::create(1 << 20));
  const Mono give_up = sys::mono_now() + patience_ns;
  uint32_t next_link = 0;
  net::Poller poller;
  for (Mono now = sys::mono_now(); now < give_up; now = sys::mono_now()) {
    std::vector<uint32_t> opened;
    for (const std::string& endpoint : endpoints) {
      RCS_TRY(links->open(++next_link, endpoint));
      opened.push_back(next_link);
      links->send(next_link, hello_frame());
    }
    const Mono again = std::min(give_up, now + kJoinAskAgainNs);
    std::vector<net::LinkInput> inputs;
    while (sys::mono_now() < again) {
      inputs.clear();
      links->collect(&inputs);
      if (inputs.empty() && links->drained()) {
        poller.clear();
        links->watch(&poller);
        poller.wait(again);
      }
      for (const net::LinkInput& input : inputs) {
        if (input.down) continue;
        if (const Uuid cluster = cluster_in(input.frame); !cluster.is_zero()) return cluster;
      }
    }
    for (uint32_t link : opened) links->close(link);
  }
  std::string list;
  for (const std::string& e : endpoints) list += (list.empty() ? "" : ", ") + e;
  return {RAFTCS_ERR_UNREACHABLE,
          "no member of the cluster to join answers at " + list +
              "; these are client addresses of running members. Start one of them first, or "
              "correct server.join"};
}

}  // namespace raftcs::server
