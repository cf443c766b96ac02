// recovery.cpp: a new cluster from a survivor, behind the C line.
#include "server/recovery.hpp"

#include <nlohmann/json.hpp>

#include "capi/error.hpp"
#include "capi/guard.hpp"
#include "raftcs.h"
#include "sys/file_system.hpp"
#include "sys/random.hpp"

using raftcs::capi::fail;
using raftcs::capi::guard;

namespace {

std::string text_of(const raftcs::server::Recovery& r) {
  nlohmann::json members = nlohmann::json::array();
  for (const raftcs::raft::Member& m : r.membership.members)
    members.push_back({{"id", m.id.value},
                       {"peer_address", m.peer_address},
                       {"client_address", m.client_address},
                       {"voter", m.role == raftcs::raft::MemberRole::voter}});
  nlohmann::json j{{"node", r.identity.node.value},       {"cluster", r.identity.cluster.hex()},
                   {"changed", !r.new_cluster.is_zero()}, {"last_index", r.last.value},
                   {"last_term", r.term.value},           {"snapshot_index", r.snapshot.value},
                   {"sessions_ended", r.sessions.size()}, {"members", members}};
  if (!r.new_cluster.is_zero()) {
    j["new_cluster"] = r.new_cluster.hex();
    j["new_last_index"] = r.new_last.value;
  }
  return j.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace

raftcs_status_t raftcs_force_new_cluster(const char* data_dir, int32_t confirm, raftcs_line_fn line,
                                         uint64_t user_data, raftcs_error_t** out_error) {
  return guard([&]() -> raftcs_status_t {
    if (!data_dir || !line) return RAFTCS_ERR_INVALID_ARGUMENT;
    if (raftcs::capi::in_callback) return RAFTCS_ERR_WRONG_THREAD;
    auto files = raftcs::sys::posix_file_system();
    auto done =
        raftcs::server::force_new_cluster(*files, data_dir, raftcs::sys::os_random(), confirm != 0);
    if (!done) return fail(done.status(), out_error);
    const std::string text = text_of(*done);
    line(user_data, text.data(), text.size());
    return RAFTCS_OK;
  });
}
