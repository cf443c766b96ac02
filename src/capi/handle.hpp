// handle.hpp: what every opaque object begins with, and the rules of versioned structs.
//
// A handle starts with a magic word of its type and the process that made it. The word is
// overwritten on destroy, so that most uses of a wrong or dead handle are told (BAD_HANDLE)
// instead of being believed. Any order of destruction works because handles share what lives
// behind them (shared_ptr); the handle itself is only the caller's share.
#pragma once

#include <sys/types.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>

#include "raftcs_status.h"

namespace raftcs::capi {

constexpr uint64_t kDeadMagic = 0x6465616464656164;  // "deaddead"

template <uint64_t Magic>
struct Handle {
  static constexpr uint64_t kMagic = Magic;
  volatile uint64_t magic = Magic;
  pid_t pid = getpid();

  Handle() = default;
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  ~Handle() { magic = kDeadMagic; }
};

template <class T>
bool is_handle(const T* handle) {
  return handle && reinterpret_cast<uintptr_t>(handle) % alignof(T) == 0 &&
         handle->magic == T::kMagic;
}

template <class T>
raftcs_status_t check_handle(const T* handle) {
  if (!is_handle(handle)) return RAFTCS_ERR_BAD_HANDLE;
  if (handle->pid != getpid()) return RAFTCS_ERR_FORKED;
  return RAFTCS_OK;
}

constexpr uint32_t kStructSizeMax = 1 << 16;

// Copies a caller's input struct. Shorter than the first release's: INVALID_ARGUMENT. Longer than
// ours: only if what we do not know is zero, because zero means "the default". Null: all default.
template <class T>
raftcs_status_t read_struct(const T* in, size_t size_first, T* out) {
  std::memset(out, 0, sizeof *out);
  if (!in) return RAFTCS_OK;
  uint32_t size = in->struct_size;
  if (size < size_first || size > kStructSizeMax) return RAFTCS_ERR_INVALID_ARGUMENT;
  const unsigned char* bytes = reinterpret_cast<const unsigned char*>(in);
  for (size_t i = sizeof *out; i < size; ++i) {
    if (bytes[i] != 0) return RAFTCS_ERR_UNSUPPORTED;
  }
  std::memcpy(out, in, size < sizeof *out ? size : sizeof *out);
  return RAFTCS_OK;
}

// Fills a caller's output struct: as much as both know, zero beyond, and says how much that is.
template <class T>
raftcs_status_t write_struct(const T& value, size_t size_first, T* out) {
  if (!out) return RAFTCS_ERR_INVALID_ARGUMENT;
  uint32_t size = out->struct_size;
  if (size < size_first || size > kStructSizeMax) return RAFTCS_ERR_INVALID_ARGUMENT;
  uint32_t known = size < sizeof value ? size : static_cast<uint32_t>(sizeof value);
  std::memcpy(out, &value, known);
  if (size > known) std::memset(reinterpret_cast<unsigned char*>(out) + known, 0, size - known);
  out->struct_size = known;
  return RAFTCS_OK;
}

// Sizes of the structs in the first release; never changed.
constexpr size_t kQueueOptionsFirst = 8;
constexpr size_t kCallOptionsFirst = 24;
constexpr size_t kEventInfoFirst = 72;
constexpr size_t kClientInfoFirst = 88;
constexpr size_t kServerInfoFirst = 72;
constexpr size_t kSettingFirst = 56;

}  // namespace raftcs::capi
