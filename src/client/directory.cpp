// directory.cpp: see directory.hpp.
#include "client/directory.hpp"

#include <algorithm>

#include "client/json.hpp"

namespace raftcs::client {
namespace {

constexpr size_t kFormerMax = 16;

}  // namespace

std::string Cluster::address_of(const wire::LeaderHint& hint) const {
  if (!hint.id) return {};
  if (!hint.client_address.empty()) return hint.client_address;
  for (const wire::MemberInfo& m : members) {
    if (m.id == hint.id) return m.client_address;
  }
  return {};
}

void Cluster::advise(const wire::LeaderHint& hint) {
  if (hint.id) leader = {hint.id, address_of(hint)};
}

bool Cluster::learn(const wire::LeaderHint& hint, const std::vector<wire::MemberInfo>& news) {
  bool changed = false;
  if (!news.empty() && news != members) {
    retire(news);
    members = news;
    changed = true;
  }
  if (hint.id) {
    leader = {hint.id, address_of(hint)};
    if (leader != told_) {
      told_ = leader;
      changed = true;
    }
  }
  if (changed) ++version;
  return changed;
}

void Cluster::retire(const std::vector<wire::MemberInfo>& news) {
  for (const wire::MemberInfo& m : members)
    if (!m.client_address.empty()) former.insert(former.begin(), m.client_address);
  std::vector<std::string> kept;
  for (std::string& address : former) {
    const auto named = [&](const wire::MemberInfo& m) { return m.client_address == address; };
    if (kept.size() < kFormerMax && std::none_of(news.begin(), news.end(), named) &&
        std::find(kept.begin(), kept.end(), address) == kept.end())
      kept.push_back(std::move(address));
  }
  former = std::move(kept);
}

void Cluster::doubt(NodeId node) {
  if (leader.id == node) leader = {};
}

void Cluster::doubt(const std::string& address) {
  if (address_of(leader) == address) leader = {};
}

Bytes Cluster::json() const {
  std::string s = "{\"cluster\":\"" + id.hex() + "\",\"leader\":" + to_string(leader.id) +
                  ",\"leader_address\":";
  append_json_text(&s, address_of(leader));
  s += ",\"members\":[";
  bool first = true;
  for (const wire::MemberInfo& m : members) {
    if (!first) s += ',';
    first = false;
    s += "{\"id\":" + to_string(m.id) + ",\"client_address\":";
    append_json_text(&s, m.client_address);
    s += m.voter ? ",\"voter\":true}" : ",\"voter\":false}";
  }
  s += "]}";
  return Bytes::adopt(std::move(s));
}

Cluster* Directory::of(const Uuid& id) {
  for (auto& c : clusters_) {
    if (c->id == id) return c.get();
  }
  clusters_.push_back(std::make_unique<Cluster>());
  clusters_.back()->id = id;
  return clusters_.back().get();
}

}  // namespace raftcs::client
