// descriptor.hpp: is what a plugin says about itself something this host can run?
//
// Pure checks of the structs of raftcs_plugin.h, each with its own sentence; used for files
// and for in-process types alike. The order is the order of negotiation: nothing is read
// before what says that it is there was checked.
#pragma once

#include "base/result.hpp"
#include "raftcs_plugin.h"

namespace raftcs::plugin {

Status check_entry(const raftcs_plugin_entry_t* entry);
Status check_type(const raftcs_sm_type_t* type);

}  // namespace raftcs::plugin
