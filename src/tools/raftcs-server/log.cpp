// log.cpp: see log.hpp. spdlog is used header-only, so that the daemon needs no other library.
#include "raftcs-server/log.hpp"

#ifndef FMT_HEADER_ONLY
#define FMT_HEADER_ONLY
#endif
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include "raftcs_plugin.h"

namespace tools {

namespace {

std::shared_ptr<spdlog::logger> make_logger() {
  auto sink = std::make_shared<spdlog::sinks::stderr_sink_st>();
  auto logger = std::make_shared<spdlog::logger>("raftcs", sink);
  logger->set_pattern("%Y-%m-%dT%H:%M:%S.%e%z %l %v");
  logger->set_level(spdlog::level::debug);
  logger->flush_on(spdlog::level::debug);
  return logger;
}

}  // namespace

void log_line(int32_t level, const std::string& line) {
  static const std::shared_ptr<spdlog::logger> logger = make_logger();
  spdlog::level::level_enum mapped = spdlog::level::info;
  if (level <= RAFTCS_LOG_DEBUG) mapped = spdlog::level::debug;
  if (level == RAFTCS_LOG_WARNING) mapped = spdlog::level::warn;
  if (level >= RAFTCS_LOG_ERROR) mapped = spdlog::level::err;
  logger->log(mapped, "{}", line);
}

}  // namespace tools
