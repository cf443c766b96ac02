// guard.hpp: the wall between C++ and C.
//
// Every exported function that can fail runs its body in guard(): no exception crosses the
// C ABI. The library itself throws nothing; what is caught here comes from allocation and
// from the standard library.
#pragma once

#include <new>

#include "raftcs_status.h"

namespace raftcs::capi {

template <class F>
raftcs_status_t guard(F&& body) noexcept {
  try {
    return body();
  } catch (const std::bad_alloc&) {
    return RAFTCS_ERR_NO_MEMORY;
  } catch (...) {
    return RAFTCS_ERR_INTERNAL;
  }
}

// For functions that give nothing back.
template <class F>
void guard_void(F&& body) noexcept {
  try {
    body();
  } catch (...) {  // there is nobody to tell
  }
}

// True on a thread of the library while it runs a caller's function: such a call may not wait.
inline thread_local bool in_callback = false;

class CallbackScope {
 public:
  CallbackScope() : before_(in_callback) { in_callback = true; }
  ~CallbackScope() { in_callback = before_; }
  CallbackScope(const CallbackScope&) = delete;
  CallbackScope& operator=(const CallbackScope&) = delete;

 private:
  bool before_;
};

}  // namespace raftcs::capi
