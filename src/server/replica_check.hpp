// replica_check.hpp: one comparison of the replicas' states, and what follows from it.
//
// All answer for one index of the log what the running hash of their state machine was there,
// and the digests of its services where they offer any. The states must be equal: they follow
// from the log alone. Where they are not, the majority of all voters is believed; where there is
// none, nobody is, and all that differ are named. But who was found wrong by a majority before is
// no argument: when all the others that answer agree, it is wrong still.
//
// Threads: none.
#pragma once

#include <map>
#include <optional>
#include <vector>

#include "raft/types.hpp"
#include "wire/check_codec.hpp"

namespace raftcs::server {

struct CheckVerdict {
  Index index;
  bool decided = true;        // else there is no majority, and `wrong` are all that answered
  std::vector<NodeId> wrong;  // ordered; none: all that answered are equal
  // Was it found wrong by a majority?
  bool condemns(NodeId id) const;
  bool operator==(const CheckVerdict&) const = default;
};

class ReplicaCheck {
 public:
  ReplicaCheck(Index index, const raft::Membership& membership);

  Index index() const { return index_; }
  // False: it was not asked, or the answer is for another index.
  bool add(NodeId from, const wire::ReplicaHash& hash);
  bool asks(NodeId id) const { return asked_.contains(id); }
  bool answered(NodeId id) const { return answers_.contains(id); }
  bool complete() const { return answers_.size() == asked_.size(); }
  // What can be said now. Without a majority that agrees: nothing while answers are missing,
  // unless `final`. `known`: what was found before.
  std::optional<CheckVerdict> judge(bool final, const CheckVerdict& known = {}) const;

 private:
  template <class Key>
  void part(const std::vector<NodeId>& among, const Key& key, const CheckVerdict& known,
            std::vector<NodeId>* right, CheckVerdict* verdict) const;

  Index index_;
  std::map<NodeId, bool> asked_;  // is it a voter?
  size_t needed_ = 0;             // voters that make a majority
  std::map<NodeId, wire::ReplicaHash> answers_;
};

}  // namespace raftcs::server
