// services.hpp: services (named instances of state machine types) and the calls into them.
//
// The only place of src/rsm where foreign code runs. Each call goes through guarded(): an
// exception that crosses the C line against the rules becomes RAFTCS_ERR_PLUGIN_FAILED
// at the line of the call and nowhere else (RC-05). A Service is shared with snapshots
// that are being written, so that an instance outlives whoever still reads from it.
#pragma once

#include <exception>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/result.hpp"
#include "base/strong_id.hpp"
#include "rsm/machine.hpp"

namespace raftcs::rsm {

template <class F>
raftcs_status_t guarded(std::string* what, F&& call) {
  try {
    return std::forward<F>(call)();
  } catch (const std::exception& e) {
    *what = std::string("it threw an exception: ") + e.what();
  } catch (...) {
    *what = "it threw something that is no std::exception";
  }
  return RAFTCS_ERR_PLUGIN_FAILED;
}

// A function that came after minor 0 of the plugin ABI; null where the type is of an older
// layout and ends before it.
template <class F>
F function_of(const raftcs_sm_type_t& type, F raftcs_sm_type_t::*member) {
  const auto* begin = reinterpret_cast<const uint8_t*>(&type);
  const auto* end = reinterpret_cast<const uint8_t*>(&(type.*member) + 1);
  return static_cast<size_t>(end - begin) <= type.struct_size ? type.*member : nullptr;
}

struct Service {
  Service() = default;
  ~Service();
  Service(const Service&) = delete;
  Service& operator=(const Service&) = delete;

  ServiceNum num;
  std::string name;
  std::string type_id;
  uint32_t apply_version = 1;
  const raftcs_sm_type_t* type = nullptr;
  void* sm = nullptr;

  // When it wants its timer; LogTime::never(): not at all. A failure is this replica's alone, so
  // what was asked for is not known then: no value may stand for it.
  raftcs_status_t next_timer(LogTime* at, std::string* what) const;
  raftcs_status_t digest(uint64_t* value, std::string* what) const;
  bool concurrent_snapshot() const { return (type->flags & RAFTCS_SM_CONCURRENT_SNAPSHOT) != 0; }
  // "service 'x' (org.y) failed in apply at entry 7: status -502, it threw ..."
  Status failure(const char* function, Index index, raftcs_status_t status,
                 const std::string& what) const;
};

constexpr size_t kNameBytesMax = 128;  // of a service's name or a type's id

bool is_service_name(const std::string& name);  // A-Z a-z 0-9 . - _
bool is_type_id(const std::string& id);         // a-z 0-9 . - _

// An instance of the type with nothing in it; or why that is not possible on this node: the
// type is missing or does not cover the version. Nothing has changed then, and the same
// call may succeed when the plugin appears (D10).
Result<std::shared_ptr<Service>> open_service(TypeSource& types, const std::string& name,
                                              const std::string& type_id, uint32_t apply_version);
// Does the loaded type cover this version?
Status check_version(const raftcs_sm_type_t& type, const std::string& name, uint32_t version);

}  // namespace raftcs::rsm
