// directory.cpp: see directory.hpp.
#include "client/directory.hpp"

#include "client/json.hpp"

namespace raftcs::client {

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

void Cluster::doubt(NodeId node) {
  if (leader.id == node) leader = {};
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
