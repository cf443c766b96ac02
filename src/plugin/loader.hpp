// loader.hpp: one file to one loaded, checked and initialised plugin.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "raftcs_plugin.h"

namespace raftcs::plugin {

struct LoadedPlugin {
  std::string path;  // canonical
  std::string file;  // the last part of it
  std::string name, version, vendor, license;
  const raftcs_plugin_entry_t* entry = nullptr;
  std::vector<const raftcs_sm_type_t*> types;
};

// Negotiates in this order, each failure with its own sentence:
//   1. a regular file that not everybody may write
//   2. without running anything of it: an ELF shared object for this machine, whole, that
//      exports raftcs_plugin_entry_v1
//   3. loads (all symbols bound at once, none given to others); never unloaded again, and not
//      loaded if it is a mapped file that was written to since
//   4. the entry's magic, size, target, minor version
//   5. each type's description in no other plugin's file, its id, size, functions, versions;
//      `accept` may refuse an id (taken)
//   6. init
// `path` is absolute. Nothing is thrown.
using AcceptType = std::function<Status(const std::string& id)>;
Result<LoadedPlugin> load_plugin(const std::string& path, const raftcs_host_t* host,
                                 const AcceptType& accept);
void unload_plugin(const LoadedPlugin& plugin);  // deinit; the code stays mapped

}  // namespace raftcs::plugin
