// descriptor.cpp: the sentences of refusal.
#include "plugin/descriptor.hpp"

#include <algorithm>
#include <cstring>
#include <string>

#include "rsm/services.hpp"

namespace raftcs::plugin {
namespace {

constexpr uint32_t kTypesMax = 1024;

// What minor 0 of the plugin ABI had, for ever the least that is accepted. What came later is
// reached through rsm::function_of, which looks at struct_size.
constexpr uint32_t kTypeBytesMinor0 = offsetof(raftcs_sm_type_t, next_timer_ns);
constexpr uint32_t kEntryBytesMinor0 =
    offsetof(raftcs_plugin_entry_t, extension) + sizeof(raftcs_plugin_entry_t::extension);
static_assert(kTypeBytesMinor0 == 128 && kEntryBytesMinor0 == 88, "part of the plugin ABI");

Status unfit(const std::string& what) { return Status(RAFTCS_ERR_PLUGIN_ABI, what); }

// The functions that every type must have.
const char* missing_function(const raftcs_sm_type_t& t) {
  if (t.create == nullptr) return "create";
  if (t.destroy == nullptr) return "destroy";
  if (t.apply == nullptr) return "apply";
  if (t.query == nullptr) return "query";
  if (t.snapshot_begin == nullptr) return "snapshot_begin";
  if (t.snapshot_write == nullptr) return "snapshot_write";
  if (t.snapshot_end == nullptr) return "snapshot_end";
  if (t.restore == nullptr) return "restore";
  if ((t.flags & RAFTCS_SM_HAS_DIGEST) != 0 && t.digest == nullptr) return "digest";
  return nullptr;
}

std::string quoted(const char* id) { return "type '" + std::string(id) + "'"; }

}  // namespace

Status check_entry(const raftcs_plugin_entry_t* entry) {
  if (entry == nullptr) return unfit("its entry function gives nothing");
  if (entry->struct_size < offsetof(raftcs_plugin_entry_t, abi_minor_built) ||
      entry->magic != RAFTCS_PLUGIN_MAGIC)
    return unfit("its description does not carry the mark of a raftcs plugin (wrong magic)");
  if (entry->struct_size < kEntryBytesMinor0)
    return unfit("its description is " + std::to_string(entry->struct_size) +
                 " bytes long, at least " + std::to_string(kEntryBytesMinor0) +
                 " are needed");
  if (entry->target != RAFTCS_PLUGIN_TARGET_64LE)
    return unfit("it was built for target " + std::to_string(entry->target) + ", this is " +
                 std::to_string(int{RAFTCS_PLUGIN_TARGET_64LE}));
  if (entry->abi_minor_required > RAFTCS_PLUGIN_ABI_MINOR)
    return unfit("it needs minor version " + std::to_string(entry->abi_minor_required) +
                 " of the plugin interface, this host has " +
                 std::to_string(int{RAFTCS_PLUGIN_ABI_MINOR}));
  if (entry->name == nullptr || entry->version == nullptr || *entry->name == '\0')
    return unfit("it has no name or no version");
  if (entry->type_at == nullptr || entry->type_count == 0)
    return unfit("it offers no state machine type");
  if (entry->type_count > kTypesMax) return unfit("it offers more than 1024 types");
  return Status::ok();
}

Status check_type(const raftcs_sm_type_t* type) {
  if (type == nullptr) return unfit("one of its types is missing");
  if (type->struct_size < kTypeBytesMinor0)
    return unfit("the description of a type is " + std::to_string(type->struct_size) +
                 " bytes long, at least " + std::to_string(kTypeBytesMinor0) +
                 " are needed");
  if (type->id == nullptr ||
      !rsm::is_type_id(std::string(type->id, strnlen(type->id, rsm::kNameBytesMax + 1))))
    return unfit("the id of a type is not 1 to 128 of a-z 0-9 . - _");
  if ((type->flags & RAFTCS_SM_ON_DISK) != 0)
    return unfit(quoted(type->id) + " keeps its own durable state, which this version of "
                                    "raftcs does not support");
  if (const char* name = missing_function(*type); name != nullptr)
    return unfit(quoted(type->id) + " has no function " + name);
  if ((rsm::function_of(*type, &raftcs_sm_type_t::next_timer_ns) == nullptr) !=
      (rsm::function_of(*type, &raftcs_sm_type_t::timer) == nullptr))
    return unfit(quoted(type->id) + " has one of next_timer_ns and timer; it needs both or none");
  if (type->snapshot_version_read_min > type->snapshot_version_write)
    return unfit(quoted(type->id) + " cannot read the snapshots it writes (versions " +
                 std::to_string(type->snapshot_version_read_min) + " and " +
                 std::to_string(type->snapshot_version_write) + ")");
  if (type->apply_version_min > type->apply_version_max)
    return unfit(quoted(type->id) + " has its behaviour versions out of order (" +
                 std::to_string(type->apply_version_min) + " to " +
                 std::to_string(type->apply_version_max) + ")");
  return Status::ok();
}

}  // namespace raftcs::plugin
