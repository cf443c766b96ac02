// loader.cpp: the only file that includes Boost.DLL.
//
// A loaded object is kept for the life of the process: unloading code that others may still
// point into gains nothing and cannot be made safe (thread-local data, unique symbols). So the
// system goes on to give it for its name and for its inode, and what must hold is: the code that
// answers for a file is the code that is in it. A file that took the name of a loaded one is opened
// by another spelling of the name; one that was written to since it was mapped is refused.
#include "plugin/loader.hpp"

#include <dlfcn.h>
#include <sys/stat.h>

#define BOOST_DLL_USE_STD_FS
#include <boost/dll/shared_library.hpp>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <mutex>
#include <set>

#include "plugin/descriptor.hpp"
#include "plugin/elf_file.hpp"

namespace raftcs::plugin {
namespace {

constexpr char kEntryName[] = "raftcs_plugin_entry_v1";
constexpr char kEntryStem[] = "raftcs_plugin_entry_v";

Status refuse(const std::string& what) { return Status(RAFTCS_ERR_PLUGIN_LOAD, what); }

// Which file, and which bytes in it.
struct Identity {
  dev_t device;
  ino_t inode;
  off_t size;
  timespec written;
  bool same_file(const Identity& o) const { return device == o.device && inode == o.inode; }
  bool same_bytes(const Identity& o) const {
    return size == o.size && written.tv_sec == o.written.tv_sec &&
           written.tv_nsec == o.written.tv_nsec;
  }
};

Result<Identity> check_file(const std::string& path) {
  struct stat st;
  if (stat(path.c_str(), &st) != 0)
    return refuse(std::string("it cannot be opened: ") + std::strerror(errno));
  if (!S_ISREG(st.st_mode)) return refuse("it is not a regular file");
  if ((st.st_mode & S_IWOTH) != 0) return refuse("everybody may write to it");
  return Identity{st.st_dev, st.st_ino, st.st_size, st.st_mtim};
}

Status check_exports(const std::string& path) {
  RCS_ASSIGN(names, exported_symbols(path));
  std::string other;
  for (const std::string& name : names) {
    if (name == kEntryName) return Status::ok();
    if (name.compare(0, sizeof kEntryStem - 1, kEntryStem) == 0) other = name;
  }
  if (!other.empty())
    return Status(RAFTCS_ERR_PLUGIN_ABI,
                  "it is a plugin for hosts with version " +
                      other.substr(sizeof kEntryStem - 1) +
                      " of the plugin interface; this host has version 1");
  return refuse("it is no raftcs plugin: it does not export " + std::string(kEntryName));
}

// "... (dlerror system message: /x/y.so: undefined symbol: z)" -> the system's own words.
std::string system_words(const std::string& text) {
  static const std::string kMark = "dlerror system message: ";
  const size_t at = text.find(kMark);
  if (at == std::string::npos) return text;
  const size_t from = at + kMark.size();
  const size_t end = text.rfind(')');
  return text.substr(from, end == std::string::npos || end < from ? end : end - from);
}

using Entry = const raftcs_plugin_entry_t*();
struct Mapped {
  boost::dll::shared_library library;
  std::string path;
  Identity file;
  Entry* entry;
};
// Never destroyed: it is in use also by the time static objects are.
struct Table {
  std::mutex mutex;
  std::vector<Mapped> all;
};
Table& table() {
  static auto* const only = new Table;
  return *only;
}

struct Opened {
  Entry* entry;
};

// The same file under a name that no object was opened by: /x/y.so, /x/./y.so, /x/././y.so
std::string spelled(const std::string& path, const std::vector<Mapped>& all) {
  const auto taken =
      std::count_if(all.begin(), all.end(), [&](const Mapped& m) { return m.path == path; });
  std::string name = path;
  for (auto n = taken; n > 0; --n) name.insert(name.rfind('/') + 1, "./");
  return name;
}

Result<Opened> open_library(const std::string& path, const Identity& file) {
  Table& t = table();
  const std::lock_guard<std::mutex> lock(t.mutex);
  for (const Mapped& m : t.all) {
    if (!m.file.same_file(file)) continue;
    if (m.file.same_bytes(file)) return Opened{m.entry};
    return refuse("it was written to after it had been loaded, so it can be loaded no more; "
                  "rename a new file over it, or restart the node");
  }
  try {
    namespace dll = boost::dll;
    dll::shared_library library(spelled(path, t.all),
                                dll::load_mode::rtld_now | dll::load_mode::rtld_local);
    const Opened opened{&library.get<Entry>(kEntryName)};
    t.all.push_back({std::move(library), path, file, opened.entry});
    RCS_ASSIGN(now, check_file(path));
    if (!now.same_file(file) || !now.same_bytes(file))
      return refuse("it was replaced while it was being loaded");
    return opened;
  } catch (const std::exception& e) {
    return refuse("the system cannot load it: " + system_words(e.what()));
  } catch (...) {
    return refuse("the system cannot load it");
  }
}

const void* object_of(const void* address) {
  Dl_info info;
  return dladdr(address, &info) != 0 ? info.dli_fbase : nullptr;
}

// Unique symbols (STB_GNU_UNIQUE: static variables of templates and inline functions) are one for
// the whole process, so a plugin may give the description that is in an earlier one, perhaps the
// refused one that had its name.
Status check_own(const raftcs_sm_type_t* type, Entry* entry) {
  const void* const owner = object_of(type);
  if (owner == nullptr || owner == object_of(reinterpret_cast<const void*>(entry)))
    return Status::ok();
  Table& t = table();
  const std::lock_guard<std::mutex> lock(t.mutex);
  for (const Mapped& m : t.all)
    if (owner == object_of(reinterpret_cast<const void*>(m.entry)))
      return refuse("the description of a type that it gives is in a file loaded earlier, " +
                    m.path.substr(m.path.rfind('/') + 1) + "; build it with -fvisibility=hidden");
  return Status::ok();
}

template <class F>
Status guarded(const char* function, F&& call) {
  try {
    return call();
  } catch (const std::exception& e) {
    return refuse(std::string("its function ") + function + " threw an exception: " + e.what());
  } catch (...) {
    return refuse(std::string("its function ") + function + " threw an exception");
  }
}

std::string text_of(const char* s) { return s == nullptr ? std::string() : std::string(s); }

Status check_types(const AcceptType& accept, Entry* entry, LoadedPlugin* plugin) {
  std::set<std::string> ids;
  for (uint32_t i = 0; i < plugin->entry->type_count; ++i) {
    const raftcs_sm_type_t* type = nullptr;
    RCS_TRY(guarded("type_at", [&] {
      type = plugin->entry->type_at(i);
      return Status::ok();
    }));
    RCS_TRY(check_own(type, entry));
    RCS_TRY(check_type(type));
    if (!ids.insert(type->id).second)
      return Status(RAFTCS_ERR_PLUGIN_ABI,
                    "it offers type '" + std::string(type->id) + "' twice");
    RCS_TRY(accept(type->id));
    plugin->types.push_back(type);
  }
  return Status::ok();
}

}  // namespace

Result<LoadedPlugin> load_plugin(const std::string& path, const raftcs_host_t* host,
                                 const AcceptType& accept) {
  RCS_ASSIGN(file, check_file(path));
  RCS_TRY(check_exports(path));
  RCS_ASSIGN(opened, open_library(path, file));
  LoadedPlugin plugin;
  plugin.path = path;
  plugin.file = path.substr(path.rfind('/') + 1);
  RCS_TRY(guarded(kEntryName, [&] {
    plugin.entry = opened.entry();
    return Status::ok();
  }));
  RCS_TRY(check_entry(plugin.entry));
  plugin.name = text_of(plugin.entry->name);
  plugin.version = text_of(plugin.entry->version);
  plugin.vendor = text_of(plugin.entry->vendor);
  plugin.license = text_of(plugin.entry->license);
  RCS_TRY(check_types(accept, opened.entry, &plugin));
  if (plugin.entry->init != nullptr) {
    RCS_TRY(guarded("init", [&] {
      const raftcs_status_t status = plugin.entry->init(host, path.c_str());
      return status == RAFTCS_OK
                 ? Status::ok()
                 : refuse("its function init failed with status " + std::to_string(status));
    }));
  }
  return plugin;
}

void unload_plugin(const LoadedPlugin& plugin) {
  if (plugin.entry->deinit == nullptr) return;
  const Status ignored = guarded("deinit", [&] {
    plugin.entry->deinit();
    return Status::ok();
  });
  (void)ignored;  // nobody is left to tell
}

}  // namespace raftcs::plugin
