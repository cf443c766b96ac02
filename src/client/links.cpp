// links.cpp: see links.hpp.
#include "client/links.hpp"

#include <algorithm>

namespace raftcs::client {

wire::Channel Link::allocate(SessionHandle session, Mono now) {
  if (!free_channels.empty() && free_channels.front().since + kChannelRestNs <= now) {
    const wire::Channel channel = free_channels.front().channel;
    free_channels.pop_front();
    channels[channel - 1] = session;
    return channel;
  }
  channels.push_back(session);
  return static_cast<wire::Channel>(channels.size());
}

void Link::release(wire::Channel channel, Mono since) {
  if (channels[channel - 1] == kFree) return;
  channels[channel - 1] = kFree;
  if (since == Mono())
    free_channels.push_front({channel, since});
  else
    free_channels.push_back({channel, since});
}

Mono Link::due() const {
  Mono at = Mono::never();
  if (users == 0) at = std::min(at, idle_since + kLinkGraceNs);
  if (expected > 0) at = std::min(at, heard + (probed || !ready ? silence_ns : silence_ns / 2));
  return at;
}

Link* Links::find(LinkId id) {
  for (auto& l : links_) {
    if (l->id == id) return l.get();
  }
  return nullptr;
}

Link* Links::find(const std::string& endpoint) {
  for (auto& l : links_) {
    if (l->endpoint == endpoint) return l.get();
  }
  return nullptr;
}

Link* Links::add(const std::string& endpoint) {
  links_.push_back(std::make_unique<Link>());
  Link* link = links_.back().get();
  link->id = ++last_;
  link->endpoint = endpoint;
  return link;
}

std::unique_ptr<Link> Links::remove(LinkId id) {
  for (auto it = links_.begin(); it != links_.end(); ++it) {
    if ((*it)->id != id) continue;
    std::unique_ptr<Link> out = std::move(*it);
    links_.erase(it);
    return out;
  }
  return nullptr;
}

}  // namespace raftcs::client
