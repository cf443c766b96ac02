// check.cpp: the process-wide counter and handler behind RCS_CHECK.
#include "base/check.hpp"

#include <atomic>

namespace raftcs {
namespace {
std::atomic<CheckHandler> g_handler{nullptr};
std::atomic<unsigned long> g_failures{0};
std::atomic<const char*> g_first{""};
}  // namespace

CheckHandler set_check_handler(CheckHandler handler) { return g_handler.exchange(handler); }

void check_failed(const char* expression, const char* file, int line) {
  if (g_failures.fetch_add(1) == 0) g_first.store(expression);
  if (CheckHandler h = g_handler.load()) h(expression, file, line);
}

unsigned long check_failures() { return g_failures.load(); }

const char* first_check_failure() { return g_first.load(); }

}  // namespace raftcs
