// join.hpp: finding out which cluster a new node is to join (rim: sockets and a clock).
//
// A new data directory takes the cluster's identity, and nothing else, from any member that
// answers at the given client addresses. The node then starts with an empty log and waits to be
// added (bootstrap.hpp).
#pragma once

#include <string>
#include <vector>

#include "base/result.hpp"
#include "base/time.hpp"
#include "base/uuid.hpp"

namespace raftcs::server {

// Asks all endpoints at once, again and again until one answers. [blocks up to `patience_ns`]
Result<Uuid> ask_cluster_id(const std::vector<std::string>& endpoints, DurationNs patience_ns);

}  // namespace raftcs::server
