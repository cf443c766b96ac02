// invariants.hpp: what must hold in one node at all times, and between before and after
// one input. The names are those of the test plan (S3, S4, ...); the thesis property each
// stands for is beside its check.
//
// A guard is put around every input. Cheap checks run in debug builds, full ones (they scan
// the log) after Node::set_invariant_checks(true). A failure is a fault of raftcs itself,
// never of a peer or a caller, so it goes to RCS_CHECK.
#pragma once

#include "raft/node_impl.hpp"

namespace raftcs::raft {

class InvariantGuard {
 public:
  explicit InvariantGuard(const Node::Impl& impl);
  ~InvariantGuard();
  InvariantGuard(const InvariantGuard&) = delete;
  InvariantGuard& operator=(const InvariantGuard&) = delete;

 private:
  struct Before {
    HardState hard;
    Role role = Role::follower;
    Index commit, handed_out, last, base, config;
  };
  const Node::Impl& impl_;
  Before before_;
};

// Node::hash64(): state_hash.cpp.
uint64_t state_hash(const Node::Impl& impl);

}  // namespace raftcs::raft
