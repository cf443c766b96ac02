// config.hpp: the settings handle, and options of clients and servers made from it.
//
// The modules below know nothing of setting names; this is where names become fields. Checks that
// concern two settings together are made here.
#pragma once

#include <string>

#include "capi/handle.hpp"
#include "client/engine.hpp"
#include "config/settings.hpp"
#include "raftcs.h"
#include "server/server.hpp"

struct raftcs_config : raftcs::capi::Handle<0x6769666e6f736372> {  // "rcsconfig"
  raftcs::config::Config values;
  std::string last_text;  // lent by raftcs_config_get
};

namespace raftcs::capi {

Result<client::SessionOptions> session_options(const config::Config& values);
Result<server::Options> server_options(const config::Config& values);

}  // namespace raftcs::capi
