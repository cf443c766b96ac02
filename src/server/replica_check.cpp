// replica_check.cpp: see replica_check.hpp.
#include "server/replica_check.hpp"

#include <algorithm>
#include <set>

namespace raftcs::server {

bool CheckVerdict::condemns(NodeId id) const {
  return decided && std::find(wrong.begin(), wrong.end(), id) != wrong.end();
}

ReplicaCheck::ReplicaCheck(Index index, const raft::Membership& membership) : index_(index) {
  size_t voters = 0;
  for (const raft::Member& m : membership.members) {
    const bool votes = m.role == raft::MemberRole::voter;
    asked_[m.id] = votes;
    voters += votes ? 1 : 0;
  }
  needed_ = voters / 2 + 1;
}

bool ReplicaCheck::add(NodeId from, const wire::ReplicaHash& hash) {
  if (hash.index != index_ || !asked_.contains(from)) return false;
  answers_[from] = hash;
  return true;
}

// Sorts `among` by key: right are those with the key of a majority.
template <class Key>
void ReplicaCheck::part(const std::vector<NodeId>& among, const Key& key, const CheckVerdict& known,
                        std::vector<NodeId>* right, CheckVerdict* verdict) const {
  std::map<uint64_t, size_t> votes;
  for (NodeId id : among) votes[key(answers_.at(id))] += asked_.at(id) ? 1 : 0;
  auto best = std::max_element(votes.begin(), votes.end(),
                               [](auto& a, auto& b) { return a.second < b.second; });
  if (votes.size() > 1 && best->second < needed_) {
    std::set<uint64_t> trusted;
    for (NodeId id : among)
      if (!known.condemns(id)) trusted.insert(key(answers_.at(id)));
    if (known.wrong.empty() || trusted.size() != 1) {
      verdict->decided = false;
      verdict->wrong = among;
      return;
    }
    best = votes.find(*trusted.begin());
  }
  for (NodeId id : among) {
    const bool agrees = key(answers_.at(id)) == best->first;
    (agrees ? *right : verdict->wrong).push_back(id);
  }
}

std::optional<CheckVerdict> ReplicaCheck::judge(bool final, const CheckVerdict& known) const {
  CheckVerdict verdict;
  verdict.index = index_;
  std::vector<NodeId> all, equal, with_digest, unused;
  for (const auto& [id, hash] : answers_) all.push_back(id);
  if (all.empty()) return std::nullopt;
  part(all, [](const wire::ReplicaHash& h) { return h.hash; }, known, &equal, &verdict);
  // Digests are compared among those that agree otherwise, and have one of the same place.
  Index latest;
  for (NodeId id : equal) latest = std::max(latest, answers_.at(id).digest_index);
  for (NodeId id : equal)
    if (latest && answers_.at(id).digest_index == latest) with_digest.push_back(id);
  const auto digest_of = [](const wire::ReplicaHash& h) { return h.digest; };
  if (verdict.decided && !with_digest.empty())
    part(with_digest, digest_of, known, &unused, &verdict);
  const bool differ = !verdict.wrong.empty();
  if (!complete() && !final && (!differ || !verdict.decided)) return std::nullopt;
  std::sort(verdict.wrong.begin(), verdict.wrong.end());
  return verdict;
}

}  // namespace raftcs::server
