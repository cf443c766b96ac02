// plugin.cpp: opening plugin files, for tools.
#include "capi/error.hpp"
#include "capi/guard.hpp"
#include "raftcs.h"
#include "raftcs_plugin.h"

struct raftcs_plugin : raftcs::capi::Handle<0x6e67756c70736372> {  // "rcsplugn"
  const raftcs_plugin_entry_t* entry = nullptr;
};

using raftcs::capi::fail;
using raftcs::capi::guard;
using raftcs::capi::is_handle;

raftcs_status_t raftcs_plugin_open(const char* path, raftcs_plugin_t** out_plugin,
                                   raftcs_error_t** out_error) {
  return guard([&]() -> raftcs_status_t {
    if (!path || !out_plugin) return RAFTCS_ERR_INVALID_ARGUMENT;
    return fail(raftcs::Status(RAFTCS_ERR_UNSUPPORTED, "this build loads no plugins"), out_error);
  });
}

const char* raftcs_plugin_name(const raftcs_plugin_t* plugin) {
  return is_handle(plugin) ? plugin->entry->name : "";
}

const char* raftcs_plugin_version(const raftcs_plugin_t* plugin) {
  return is_handle(plugin) ? plugin->entry->version : "";
}

uint32_t raftcs_plugin_type_count(const raftcs_plugin_t* plugin) {
  return is_handle(plugin) ? plugin->entry->type_count : 0;
}

const raftcs_sm_type_t* raftcs_plugin_type(const raftcs_plugin_t* plugin, uint32_t i) {
  return is_handle(plugin) && i < plugin->entry->type_count ? plugin->entry->type_at(i) : nullptr;
}

void raftcs_plugin_close(raftcs_plugin_t* plugin) {
  if (is_handle(plugin)) delete plugin;
}
