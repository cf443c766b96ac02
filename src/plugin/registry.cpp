// registry.cpp: the directory, the table of types, the host that plugins see.
#include "plugin/registry.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>

#include "plugin/descriptor.hpp"

namespace raftcs::plugin {
namespace {

namespace fs = std::filesystem;

void host_log(const raftcs_host_t* host, int32_t level, const char* utf8, size_t len) {
  const auto* log = static_cast<const Registry::LogFn*>(host->ctx);
  if (!*log || utf8 == nullptr) return;
  try {
    (*log)(level, std::string_view(utf8, len));
  } catch (...) {  // nothing may be thrown through a plugin
  }
}
const void* host_extension(const raftcs_host_t*, const char*) { return nullptr; }

// The *.so names of a directory, sorted: every node loads in the same order.
Result<std::vector<std::string>> shared_objects(const std::string& directory) {
  std::error_code ec;
  fs::directory_iterator it(directory, ec);
  std::vector<std::string> names;
  for (; !ec && it != fs::directory_iterator(); it.increment(ec))
    if (it->path().extension() == ".so") names.push_back(it->path().filename().string());
  if (ec)
    return Status(RAFTCS_ERR_PLUGIN_LOAD, "the plugins directory " + directory +
                                              " cannot be read: " + ec.message());
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace

Registry::Registry(LogFn log) : log_(std::move(log)) {
  host_.struct_size = sizeof host_;
  host_.abi_minor = RAFTCS_PLUGIN_ABI_MINOR;
  host_.ctx = &log_;
  host_.log = &host_log;
  host_.extension = &host_extension;
}

Registry::~Registry() {
  for (const auto& plugin : plugins_) unload_plugin(*plugin);
}

void Registry::log(int level, std::string_view text) const {
  if (log_) log_(level, text);
}

Status Registry::accept(const std::string& id) const {
  for (const raftcs_sm_type_t* type : own_types_)
    if (id == type->id)
      return Status(RAFTCS_ERR_ALREADY_EXISTS, "type '" + id + "' is offered by this program");
  for (const auto& plugin : plugins_)
    for (const raftcs_sm_type_t* type : plugin->types)
      if (id == type->id)
        return Status(RAFTCS_ERR_ALREADY_EXISTS,
                      "type '" + id + "' is offered by " + plugin->file + " already");
  return Status::ok();
}

Status Registry::register_type(const raftcs_sm_type_t* type) {
  const std::lock_guard<std::mutex> lock(mutex_);
  RCS_TRY(check_type(type).with_context("an in-process state machine was refused"));
  RCS_TRY(accept(type->id));
  own_types_.push_back(type);
  return Status::ok();
}

Status Registry::set_directory(const std::string& directory) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    std::error_code ec;
    const fs::path canonical = fs::canonical(directory, ec);
    struct stat st;
    if (ec || stat(canonical.c_str(), &st) != 0 || !S_ISDIR(st.st_mode))
      return Status(RAFTCS_ERR_PLUGIN_LOAD,
                    "the plugins directory " + directory + " is not there");
    if ((st.st_mode & S_IWOTH) != 0)
      return Status(RAFTCS_ERR_PLUGIN_LOAD,
                    "everybody may write to the plugins directory " + directory);
    directory_ = canonical.string();
    refused_.clear();
  }
  return rescan().status();
}

Result<size_t> Registry::rescan() {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (directory_.empty()) return size_t{0};
  RCS_ASSIGN(names, shared_objects(directory_));
  const size_t before = plugins_.size();
  std::map<std::string, std::string> refused;
  for (const std::string& name : names) {
    std::error_code ec;
    const fs::path canonical = fs::canonical(fs::path(directory_) / name, ec);
    Status status;
    if (ec)
      status = Status(RAFTCS_ERR_PLUGIN_LOAD, "it cannot be opened: " + ec.message());
    else if (canonical.parent_path() != directory_)
      status = Status(RAFTCS_ERR_PLUGIN_LOAD, "it is a link that leads out of the directory");
    else
      status = load_locked(canonical.string()).status();
    if (status.is_ok()) continue;
    if (refused_[name] != status.text())
      log(RAFTCS_LOG_WARNING, "plugin file " + name + " is refused: " + status.text());
    refused[name] = status.text();
  }
  refused_ = std::move(refused);
  return plugins_.size() - before;
}

Result<const LoadedPlugin*> Registry::load_locked(const std::string& canonical) {
  for (const auto& plugin : plugins_)
    if (plugin->path == canonical) return static_cast<const LoadedPlugin*>(plugin.get());
  RCS_ASSIGN(plugin, load_plugin(canonical, &host_,
                                 [this](const std::string& id) { return accept(id); }));
  plugins_.push_back(std::make_unique<LoadedPlugin>(std::move(plugin)));
  const LoadedPlugin* loaded = plugins_.back().get();
  log(RAFTCS_LOG_INFO, "plugin " + loaded->name + " " + loaded->version + " loaded from " +
                           loaded->file + " with " + std::to_string(loaded->types.size()) +
                           " type(s)");
  return loaded;
}

Result<const LoadedPlugin*> Registry::load_file(const std::string& path) {
  const std::lock_guard<std::mutex> lock(mutex_);
  std::error_code ec;
  const fs::path canonical = fs::canonical(path, ec);
  if (ec)
    return Status(RAFTCS_ERR_PLUGIN_LOAD, path + ": it cannot be opened: " + ec.message());
  Result<const LoadedPlugin*> loaded = load_locked(canonical.string());
  if (!loaded.is_ok()) return loaded.status().with_context(path);
  return loaded;
}

std::vector<PluginInfo> Registry::list() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  std::vector<PluginInfo> all;
  if (!own_types_.empty()) {
    PluginInfo own;
    own.name = "in-process";
    for (const raftcs_sm_type_t* type : own_types_) own.types.emplace_back(type->id);
    all.push_back(std::move(own));
  }
  for (const auto& plugin : plugins_) {
    PluginInfo info{plugin->file, plugin->name, plugin->version, {}, {}};
    for (const raftcs_sm_type_t* type : plugin->types) info.types.emplace_back(type->id);
    all.push_back(std::move(info));
  }
  for (const auto& [file, sentence] : refused_) all.push_back({file, {}, {}, {}, sentence});
  std::stable_sort(all.begin(), all.end(),
                   [](const PluginInfo& a, const PluginInfo& b) { return a.file < b.file; });
  return all;
}

const raftcs_sm_type_t* Registry::find(const std::string& type_id) {
  const std::lock_guard<std::mutex> lock(mutex_);
  for (const raftcs_sm_type_t* type : own_types_)
    if (type_id == type->id) return type;
  for (const auto& plugin : plugins_)
    for (const raftcs_sm_type_t* type : plugin->types)
      if (type_id == type->id) return type;
  return nullptr;
}

}  // namespace raftcs::plugin
