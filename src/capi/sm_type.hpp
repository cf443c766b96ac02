// sm_type.hpp: is a state machine type, given by a program, one the host can run?
//
// The same questions the loader asks of a plugin's types, for types that come through
// raftcs_server_register_sm.
#pragma once

#include <cstddef>
#include <string>

#include "base/result.hpp"
#include "raftcs_plugin.h"

namespace raftcs::capi {

inline Status check_sm_type(const raftcs_sm_type_t& type) {
  auto refuse = [](const std::string& text) { return Status(RAFTCS_ERR_INVALID_ARGUMENT, text); };
  if (type.struct_size < sizeof(raftcs_sm_type_t)) {
    return {RAFTCS_ERR_PLUGIN_ABI, "the type's struct_size is less than version 1's"};
  }
  if (!type.id || !*type.id) return refuse("the type has no id");
  for (const char* c = type.id; *c; ++c) {
    bool legal = (*c >= 'a' && *c <= 'z') || (*c >= '0' && *c <= '9') || *c == '.' || *c == '-' ||
                 *c == '_';
    if (!legal || c - type.id > 200) {
      return refuse("a type's id is made of a-z 0-9 . - _ and has at most 200 of them");
    }
  }
  std::string name = "type " + std::string(type.id) + ": ";
  if (!type.create || !type.destroy || !type.apply || !type.query || !type.snapshot_begin ||
      !type.snapshot_write || !type.snapshot_end || !type.restore) {
    return refuse(name + "a function that is not optional is NULL");
  }
  if ((type.flags & RAFTCS_SM_HAS_DIGEST) && !type.digest) {
    return refuse(name + "HAS_DIGEST is claimed and digest is NULL");
  }
  if (type.flags & RAFTCS_SM_ON_DISK) {
    return {RAFTCS_ERR_UNSUPPORTED, name + "state on disk of its own is not supported"};
  }
  if (type.apply_version_min > type.apply_version_max ||
      type.snapshot_version_read_min > type.snapshot_version_write) {
    return refuse(name + "a lowest version is over its highest");
  }
  return {};
}

}  // namespace raftcs::capi
