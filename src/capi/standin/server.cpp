// server.cpp: stands in for the server until that is there; it cannot be started.
#include "server/server.hpp"

namespace raftcs::server {
Result<std::unique_ptr<Server>> Server::start(const Options&, const std::vector<const raftcs_sm_type_t*>&,
                                              Observer*) {
  return {RAFTCS_ERR_UNSUPPORTED, "this build has no server"};
}
}  // namespace raftcs::server
