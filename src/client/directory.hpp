// directory.hpp: what the engine has learned about clusters: members and who leads.
//
// One record per cluster, shared by all its sessions, so that what one session learns the
// others use (D3, LDR-07). Hints in rejections are taken as advice for the next attempt;
// only welcomes, topology messages and bound sessions count as news to tell callers about,
// so that followers pointing at one another cannot flood event queues (LDR-04).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/bytes.hpp"
#include "wire/client_messages.hpp"

namespace raftcs::client {

struct Cluster {
  Uuid id;
  std::vector<wire::MemberInfo> members;
  // Addresses that were members' and are not now, the latest first. News may be old: a server that
  // was removed and does not know it tells of members of its time, and the ones it does not name
  // may be the only ones there are (simulator seed 8). So nobody is forgotten at once.
  std::vector<std::string> former;
  wire::LeaderHint leader;  // id 0: not known
  uint64_t version = 0;     // rises with every change worth telling

  // The address of a hint: its own, or that of the member it names. Empty: unusable.
  std::string address_of(const wire::LeaderHint& hint) const;
  // Advice: remembered, not announced.
  void advise(const wire::LeaderHint& hint);
  // News. Members empty: unchanged. Leader id 0: that server does not know, nothing changes.
  // True if anything changed.
  bool learn(const wire::LeaderHint& hint, const std::vector<wire::MemberInfo>& members);
  // The link to this member broke, or nobody answers at this address: do not go there first.
  void doubt(NodeId node);
  void doubt(const std::string& address);
  Bytes json() const;

 private:
  void retire(const std::vector<wire::MemberInfo>& news);

  wire::LeaderHint told_;  // the leader of the last `version`
};

class Directory {
 public:
  // The record of a cluster, made when first met. Pointers stay valid.
  Cluster* of(const Uuid& id);

 private:
  std::vector<std::unique_ptr<Cluster>> clusters_;  // a process talks to few
};

}  // namespace raftcs::client
