// log.hpp: the daemon's log lines, on stderr.
#pragma once

#include <cstdint>
#include <string>

namespace tools {

// `level` is a raftcs_log_level.
void log_line(int32_t level, const std::string& line);

}  // namespace tools
