// options.hpp: the daemon's command line and what it makes of the settings.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "common/api.hpp"

namespace tools {

struct ServerOptions {
  std::string config_file;
  std::vector<std::string> pairs;  // --set key=value
  // Settings given by their own flag, in the order of the table in options.cpp.
  std::vector<std::pair<std::string, std::string>> settings;
  bool print_settings = false;
};

// False: everything is said (help, version, a usage error); leave with `exit_code`.
bool parse_command_line(int argc, char** argv, ServerOptions& options, int& exit_code);

// Defaults, then the file, then --set, then the flags. Throws Failure(kUsage).
ConfigPtr settings_of(const ServerOptions& options);

// The table of all settings, as a page.
std::string settings_markdown();

}  // namespace tools
