// services.cpp: opening instances and wording what went wrong with them.
#include "rsm/services.hpp"

#include <algorithm>

namespace raftcs::rsm {
namespace {

bool all_of(const std::string& s, bool upper) {
  return std::all_of(s.begin(), s.end(), [&](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_' ||
           (upper && c >= 'A' && c <= 'Z');
  });
}

// A function that gives a value in the place of a status. Whether it failed is asked afterwards,
// where the type knows how to say it.
template <class V>
raftcs_status_t value_of(const Service& s, V (*function)(void*), V* value, std::string* what) {
  return guarded(what, [&]() -> raftcs_status_t {
    *value = function(s.sm);
    if (s.type->extension == nullptr) return RAFTCS_OK;
    const void* status = s.type->extension(s.sm, RAFTCS_SM_STATUS_EXTENSION);
    return status == nullptr ? RAFTCS_OK : *static_cast<const raftcs_status_t*>(status);
  });
}

}  // namespace

Service::~Service() {
  if (sm == nullptr) return;
  std::string what;  // nobody is left to tell
  (void)guarded(&what, [&] {
    type->destroy(sm);
    return RAFTCS_OK;
  });
}

raftcs_status_t Service::next_timer(LogTime* at, std::string* what) const {
  *at = LogTime::never();
  const auto ask = function_of(*type, &raftcs_sm_type_t::next_timer_ns);
  if (ask == nullptr) return RAFTCS_OK;
  int64_t ns = INT64_MAX;
  const raftcs_status_t status = value_of(*this, ask, &ns, what);
  *at = LogTime{std::max<int64_t>(ns, 0)};
  return status;
}

raftcs_status_t Service::digest(uint64_t* value, std::string* what) const {
  return value_of(*this, type->digest, value, what);
}

Status Service::failure(const char* function, Index index, raftcs_status_t status,
                        const std::string& what) const {
  std::string text = "service '" + name + "' (" + type_id + ") failed in " + function;
  if (index) text += " at entry " + to_string(index);
  text += ": status " + std::to_string(status);
  if (!what.empty()) text += ", " + what;
  return Status(RAFTCS_ERR_PLUGIN_FAILED, std::move(text));
}

bool is_service_name(const std::string& name) {
  return !name.empty() && name.size() <= kNameBytesMax && all_of(name, true);
}
bool is_type_id(const std::string& id) {
  return !id.empty() && id.size() <= kNameBytesMax && all_of(id, false);
}

Status check_version(const raftcs_sm_type_t& type, const std::string& name, uint32_t version) {
  if (version >= type.apply_version_min && version <= type.apply_version_max) return Status::ok();
  return Status(RAFTCS_ERR_PLUGIN_LOAD, "service '" + name + "' runs behaviour version " +
                                            std::to_string(version) + " of '" + type.id +
                                            "', but the plugin on this node offers " +
                                            std::to_string(type.apply_version_min) + " to " +
                                            std::to_string(type.apply_version_max));
}

Result<std::shared_ptr<Service>> open_service(TypeSource& types, const std::string& name,
                                              const std::string& type_id, uint32_t apply_version) {
  const raftcs_sm_type_t* type = types.find(type_id);
  if (type == nullptr) {
    return Status(RAFTCS_ERR_PLUGIN_LOAD,
                  "service '" + name + "' needs state machine type '" + type_id +
                      "', which no plugin in this node's plugins directory offers");
  }
  RCS_TRY(check_version(*type, name, apply_version));
  auto service = std::make_shared<Service>();
  service->name = name;
  service->type_id = type_id;
  service->apply_version = apply_version;
  service->type = type;
  raftcs_sm_args_t args{};
  args.struct_size = sizeof args;
  args.apply_version = apply_version;
  args.service = service->name.c_str();
  std::string what;
  void* sm = nullptr;
  const raftcs_status_t status =
      guarded(&what, [&] { return type->create(types.host(), &args, &sm); });
  if (status != RAFTCS_OK) return service->failure("create", Index(), status, what);
  if (sm == nullptr) return service->failure("create", Index(), status, "it gave no instance");
  service->sm = sm;
  return service;
}

}  // namespace raftcs::rsm
