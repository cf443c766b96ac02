// quorum.hpp: what a majority is, in one place.
//
// Elections, commitment, read confirmation and quorum contact ask the same question:
// which value has a majority of the voters reached? In a joint configuration a majority
// of EACH half is needed (thesis 4.3), never of their union (CM-07). Learners are in
// neither set, so they cannot count anywhere (S17). No set means no quorum: a node that
// knows no configuration can neither commit nor be elected.
//
// Threads: none.
#pragma once

#include <algorithm>
#include <array>
#include <vector>

#include "base/mutant.hpp"
#include "raft/membership.hpp"
#include "raft/types.hpp"

namespace raftcs::raft {

// The voters of a Membership, taken out once per change so that the hot path only scans ids.
struct VoterSets {
  std::vector<NodeId> incoming;
  std::vector<NodeId> outgoing;  // empty unless joint
  bool joint = false;

  bool contains(NodeId id) const;
  // `id` alone is a quorum.
  bool is_sole(NodeId id) const;

  bool operator==(const VoterSets&) const = default;
};

VoterSets voter_sets(const Membership& membership);

namespace detail {

// The largest value that a majority of `ids` has reached; T{} for an empty set.
template <class T, class ValueOf>
T majority_value(const std::vector<NodeId>& ids, const ValueOf& value_of) {
  if (ids.empty()) return T{};
  std::array<T, kMembersMax> values{};
  const size_t n = std::min<size_t>(ids.size(), kMembersMax);
  for (size_t i = 0; i < n; ++i) values[i] = value_of(ids[i]);
  const auto begin = values.begin();
  // n/2 + 1 values are >= it.
  const auto middle =
      begin + static_cast<std::ptrdiff_t>((RCS_MUTANT("CM-07-even") ? n - 1 : n) / 2);
  std::nth_element(begin, middle, begin + static_cast<std::ptrdiff_t>(n),
                   [](const T& a, const T& b) { return b < a; });
  return *middle;
}

}  // namespace detail

// The largest value that a majority of every voter set has reached.
template <class T, class ValueOf>
T quorum_value(const VoterSets& sets, const ValueOf& value_of) {
  T v = detail::majority_value<T>(sets.incoming, value_of);
  if (sets.joint && !RCS_MUTANT("CM-07"))
    v = std::min(v, detail::majority_value<T>(sets.outgoing, value_of));
  return v;
}

// A majority of every voter set satisfies `holds`.
template <class Holds>
bool has_quorum(const VoterSets& sets, const Holds& holds) {
  return quorum_value<int>(sets, [&](NodeId id) { return holds(id) ? 1 : 0; }) == 1;
}

// May `next` follow `current` directly (thesis 4.1, 4.3)? A simple change adds or removes
// at most one voter; anything more enters a joint configuration whose outgoing half is the
// current one; a joint configuration is left only to its own incoming half. Who votes in both has
// the same disk in both (MB-08).
bool is_valid_change(const Membership& current, const Membership& next);

// The configuration that ends a joint one: without its leaving members.
Membership leave_joint(const Membership& joint);

}  // namespace raftcs::raft
