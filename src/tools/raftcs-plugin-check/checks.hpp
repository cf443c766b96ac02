// checks.hpp: what a state machine type must survive before it is trusted with a cluster.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "raftcs_plugin.h"

namespace plugin_check {

struct Options {
  uint64_t seed = 1;
  uint32_t commands = 2000;
  std::vector<std::pair<std::string, std::string>> capabilities = {{"kind", "check"}};
  std::vector<std::string> samples;  // real commands; without them only noise is sent
};

struct Finding {
  std::string check;
  bool passed;
  std::string text;  // what was seen
};

std::vector<Finding> check_type(const raftcs_sm_type_t* type, const Options& options);

}  // namespace plugin_check
