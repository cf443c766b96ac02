// route.hpp: how far one search has gone round the addresses of a cluster.
//
// A session has one for its attempts and each admin call one of its own. What a call tries says
// nothing about where the session goes next, and calls that take turns would starve one another.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace raftcs::client {

struct Route {
  std::string target;              // where to go next; empty: choose
  std::string last;                // where it went last
  uint64_t turn = 0;               // round robin
  std::vector<std::string> tried;  // addresses that had their turn in this round
  bool leader_next = true;         // the next choice prefers who is said to lead
};

}  // namespace raftcs::client
