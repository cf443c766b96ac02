// throws.cpp: a plugin whose apply throws through the C line, against all rules.
#include "hostile.h"

namespace {
raftcs_status_t throwing(void*, const raftcs_apply_batch_t*, const raftcs_sink_t*) { throw 42; }
const raftcs_sm_type_t* type_at(uint32_t) {
  static const raftcs_sm_type_t type = [] {
    raftcs_sm_type_t t = h_type("org.test.throws");
    t.apply = &throwing;
    return t;
  }();
  return &type;
}
}  // namespace

extern "C" RAFTCS_PLUGIN_EXPORT const raftcs_plugin_entry_t* raftcs_plugin_entry_v1(void) {
  static const raftcs_plugin_entry_t entry = h_entry(&type_at);
  return &entry;
}
