// unique.cpp: a plugin whose description is a unique symbol (STB_GNU_UNIQUE), so that the second
// one in a process gives the description of the first.
#include "hostile.h"

template <class T>
const raftcs_sm_type_t* described() {
  static const raftcs_sm_type_t type = h_type(TYPE_ID);
  return &type;
}
static const raftcs_sm_type_t* type_at(uint32_t) { return described<int>(); }

extern "C" RAFTCS_PLUGIN_EXPORT const raftcs_plugin_entry_t* raftcs_plugin_entry_v1(void) {
  static const raftcs_plugin_entry_t entry = h_entry(&type_at);
  return &entry;
}
