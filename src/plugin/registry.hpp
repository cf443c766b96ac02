// registry.hpp: the state machine types of one node: in-process ones and those of plugins.
//
// Files may be dropped into the plugins directory while the node runs: rescan() picks them
// up (D10). A file that was refused is looked at again by every rescan, so replacing it
// (a rename over it) heals; writing into it does so only if it was refused before it was
// mapped. A loaded file is never looked at again and its types stay for the life of the
// process. Without a directory nothing is loaded from files (but for load_file).
//
// Threads: [any]; calls are serialised inside. The log function is called with the lock
// held: it must not call back. Machines must be gone before the registry.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "plugin/loader.hpp"
#include "rsm/machine.hpp"

namespace raftcs::plugin {

// What an administrator sees of one file, or of the program's own types (file empty).
struct PluginInfo {
  std::string file;
  std::string name, version;
  std::vector<std::string> types;
  std::string error;  // why it was refused; then only `file` is set besides
};

class Registry : public rsm::TypeSource {
 public:
  using LogFn = std::function<void(int level, std::string_view text)>;  // raftcs_log_level

  explicit Registry(LogFn log);
  ~Registry() override;
  Registry(const Registry&) = delete;
  Registry& operator=(const Registry&) = delete;

  // The type must outlive the registry.
  Status register_type(const raftcs_sm_type_t* type);
  // Where *.so files are loaded from; scans it. Fails if it is no directory that can be read,
  // or one that everybody may write to. Refused files are no failure: see list().
  Status set_directory(const std::string& directory);
  // Loads what is new. Gives the number of plugins that were added.
  Result<size_t> rescan();
  // One file from anywhere, as a tool wants it. Loaded before: the same answer again.
  Result<const LoadedPlugin*> load_file(const std::string& path);

  std::vector<PluginInfo> list() const;  // by file name

  const raftcs_sm_type_t* find(const std::string& type_id) override;
  const raftcs_host_t* host() override { return &host_; }

 private:
  Result<const LoadedPlugin*> load_locked(const std::string& canonical);
  Status accept(const std::string& id) const;
  void log(int level, std::string_view text) const;

  mutable std::mutex mutex_;
  LogFn log_;
  raftcs_host_t host_{};
  std::string directory_;
  std::vector<std::unique_ptr<LoadedPlugin>> plugins_;
  std::vector<const raftcs_sm_type_t*> own_types_;
  std::map<std::string, std::string> refused_;  // file -> sentence
};

}  // namespace raftcs::plugin
