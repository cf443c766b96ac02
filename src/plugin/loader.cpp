// loader.cpp: the only file that includes Boost.DLL.
//
// A loaded object is kept for the life of the process: unloading code that others may still
// point into gains nothing and cannot be made safe (thread-local data, unique symbols).
#include "plugin/loader.hpp"

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

Status check_file(const std::string& path) {
  struct stat st;
  if (stat(path.c_str(), &st) != 0)
    return refuse(std::string("it cannot be opened: ") + std::strerror(errno));
  if (!S_ISREG(st.st_mode)) return refuse("it is not a regular file");
  if ((st.st_mode & S_IWOTH) != 0) return refuse("everybody may write to it");
  return Status::ok();
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
struct Opened {
  Entry* entry;
};

Result<Opened> open_library(const std::string& path) {
  // Kept for ever, also by the time static objects are destroyed.
  static auto* const mutex = new std::mutex;
  static auto* const kept = new std::vector<boost::dll::shared_library>;
  const std::lock_guard<std::mutex> lock(*mutex);
  try {
    namespace dll = boost::dll;
    dll::shared_library library(path, dll::load_mode::rtld_now | dll::load_mode::rtld_local);
    const Opened opened{&library.get<Entry>(kEntryName)};
    const bool known = std::any_of(kept->begin(), kept->end(), [&](const auto& other) {
      return other.native() == library.native();  // refused before, and looked at again
    });
    if (!known) kept->push_back(std::move(library));
    return opened;
  } catch (const std::exception& e) {
    return refuse("the system cannot load it: " + system_words(e.what()));
  } catch (...) {
    return refuse("the system cannot load it");
  }
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

Status check_types(const AcceptType& accept, LoadedPlugin* plugin) {
  std::set<std::string> ids;
  for (uint32_t i = 0; i < plugin->entry->type_count; ++i) {
    const raftcs_sm_type_t* type = nullptr;
    RCS_TRY(guarded("type_at", [&] {
      type = plugin->entry->type_at(i);
      return Status::ok();
    }));
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
  RCS_TRY(check_file(path));
  RCS_TRY(check_exports(path));
  RCS_ASSIGN(opened, open_library(path));
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
  RCS_TRY(check_types(accept, &plugin));
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
