// state.hpp: all that one Machine replicates, as one value that restore can swap.
#pragma once

#include <memory>
#include <vector>

#include "rsm/hash.hpp"
#include "rsm/machine.hpp"
#include "rsm/services.hpp"
#include "rsm/sessions.hpp"

namespace raftcs::rsm {

struct State {
  // Limits decide who is refused, so they are state: given at index 0, carried by snapshots,
  // and the first thing in the hash, so that nodes with different ones are found out.
  Limits limits;
  SessionTable sessions;
  std::vector<std::shared_ptr<Service>> services;  // number n at n - 1
  Index applied;
  Term term;
  LogTime time;
  uint64_t ops_hash = 0;     // over operations and replies, in order
  uint64_t pushes_hash = 0;  // over pushes, in order; apart, so that grouping does not show
  uint64_t pushes_dropped = 0;

  Service* service(ServiceNum num) const {
    return num.value - 1 < services.size() ? services[num.value - 1].get() : nullptr;
  }
};

inline uint64_t hash_of(const Limits& l) {
  uint64_t h = mix(1, l.replies_max);
  h = mix(h, l.reply_bytes_max);
  h = mix(h, l.pushes_max);
  h = mix(h, l.push_bytes_max);
  return mix(h, l.sessions_max);
}

}  // namespace raftcs::rsm
