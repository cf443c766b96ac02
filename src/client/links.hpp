// links.hpp: the connections the sessions of an engine share, one per server.
//
// A link is one connection attempt and what follows from it; it is never reopened. The
// first frame on it is hello, nothing else leaves before the welcome. Hello names no
// cluster: sessions of several may share the link, and each compares the welcome itself.
//
// Channels. A channel belongs to one session until the server has said that it is free
// (session_rejected, session_closed). Then it rests: each request that is still on its way to a
// channel that is not bound is answered by one more session_closed, and a session that had the
// channel by then would take it for its own. When an answer is no longer awaited the channel is
// abandoned rather than reused, because the server may yet bind it and push on it.
//
// Liveness (KAL-05, W-C5). `expected` counts answers due. While some are, silence_ns without
// a frame means the link is down; after half of it a topology_request asks whether the
// server is alive at all, so a slow command does not look like a dead server (CMD-21).
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "base/time.hpp"
#include "client/directory.hpp"
#include "client/engine.hpp"
#include "wire/codec.hpp"

namespace raftcs::client {

constexpr DurationNs kLinkGraceNs = 5 * kNsPerSecond;    // how long an unused link is kept
constexpr DurationNs kChannelRestNs = 10 * kNsPerSecond;  // before another session may have it
constexpr DurationNs kLinkSilenceNs = 2 * kNsPerSecond;  // least silence that means "down"

struct Link {
  static constexpr SessionHandle kFree = UINT32_MAX;
  static constexpr SessionHandle kAbandoned = UINT32_MAX - 1;

  LinkId id = 0;
  std::string endpoint;
  bool ready = false;  // welcomed
  bool usable = true;  // false: the welcome has no version in common
  wire::Welcome welcome;
  Cluster* cluster = nullptr;
  wire::FrameBuilder frames;
  bool dirty = false;                   // frames to take
  std::vector<SessionHandle> channels;  // [channel - 1]
  struct Free {
    wire::Channel channel;
    Mono since;
  };
  std::deque<Free> free_channels;       // oldest first
  std::vector<uint64_t> admins;  // correlations of admin calls that use it; may be stale
  uint32_t users = 0;
  uint32_t expected = 0;
  bool probed = false;
  Mono heard;       // last frame, or when `expected` left 0
  Mono idle_since;  // when users became 0
  Mono armed = Mono::never();
  DurationNs silence_ns = kLinkSilenceNs;

  SessionHandle session_of(wire::Channel channel) const {
    return channel == 0 || channel > channels.size() ? kFree : channels[channel - 1];
  }
  wire::Channel allocate(SessionHandle session, Mono now);
  // The server has let go of it. `since` zero: it was never told of it, and it need not rest.
  void release(wire::Channel channel, Mono since);
  void abandon(wire::Channel channel) { channels[channel - 1] = kAbandoned; }
  Mono due() const;
};

class Links {
 public:
  Link* find(LinkId id);
  Link* find(const std::string& endpoint);
  Link* add(const std::string& endpoint);
  std::unique_ptr<Link> remove(LinkId id);
  const std::vector<std::unique_ptr<Link>>& all() const { return links_; }

 private:
  std::vector<std::unique_ptr<Link>> links_;  // by id, ascending; as many as servers
  LinkId last_ = 0;
};

}  // namespace raftcs::client
