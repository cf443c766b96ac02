// check.hpp: assertions that stay on in release builds.
//
// A library must not abort its host. RCS_CHECK marks something that only a fault of
// raftcs itself can break (never a peer's bytes, a file or a caller). It calls the
// process-wide handler, if there is one (tests), counts, and remembers the first failure; the
// nodes of the process then stop taking part. Conditions are cheap.
#pragma once

namespace raftcs {

// Called with the failed expression and its place. May be called from any thread.
using CheckHandler = void (*)(const char* expression, const char* file, int line);

CheckHandler set_check_handler(CheckHandler handler);  // gives back the one before
void check_failed(const char* expression, const char* file, int line);

// The number of failed checks since the process started; a node that sees it rise
// stops taking part (server/node).
unsigned long check_failures();
// Expression of the first one; "" when there was none.
const char* first_check_failure();

}  // namespace raftcs

#define RCS_CHECK(cond)                                             \
  do {                                                              \
    if (!(cond)) ::raftcs::check_failed(#cond, __FILE__, __LINE__); \
  } while (0)
