// plugin.cpp: opening plugin files, for tools.
//
// One registry of the process keeps what was opened, because code once loaded is never
// unloaded; a handle only points into it.
#include "capi/error.hpp"
#include "capi/guard.hpp"
#include "plugin/registry.hpp"
#include "raftcs.h"

struct raftcs_plugin : raftcs::capi::Handle<0x6e67756c70736372> {  // "rcsplugn"
  const raftcs::plugin::LoadedPlugin* loaded = nullptr;
};

using raftcs::capi::fail;
using raftcs::capi::guard;
using raftcs::capi::is_handle;

namespace {

raftcs::plugin::Registry& opened_plugins() {
  // Never destroyed: plugins stay usable while the process ends.
  static auto* registry = new raftcs::plugin::Registry([](int, std::string_view) {});
  return *registry;
}

}  // namespace

raftcs_status_t raftcs_plugin_open(const char* path, raftcs_plugin_t** out_plugin,
                                   raftcs_error_t** out_error) {
  return guard([&]() -> raftcs_status_t {
    if (!path || !out_plugin) return RAFTCS_ERR_INVALID_ARGUMENT;
    auto loaded = opened_plugins().load_file(path);
    if (!loaded) return fail(loaded.status(), out_error);
    auto* handle = new raftcs_plugin;
    handle->loaded = *loaded;
    *out_plugin = handle;
    return RAFTCS_OK;
  });
}

const char* raftcs_plugin_name(const raftcs_plugin_t* plugin) {
  return is_handle(plugin) ? plugin->loaded->name.c_str() : "";
}

const char* raftcs_plugin_version(const raftcs_plugin_t* plugin) {
  return is_handle(plugin) ? plugin->loaded->version.c_str() : "";
}

uint32_t raftcs_plugin_type_count(const raftcs_plugin_t* plugin) {
  return is_handle(plugin) ? static_cast<uint32_t>(plugin->loaded->types.size()) : 0;
}

const raftcs_sm_type_t* raftcs_plugin_type(const raftcs_plugin_t* plugin, uint32_t i) {
  if (!is_handle(plugin) || i >= plugin->loaded->types.size()) return nullptr;
  return plugin->loaded->types[i];
}

void raftcs_plugin_close(raftcs_plugin_t* plugin) {
  if (is_handle(plugin)) delete plugin;
}
