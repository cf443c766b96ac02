// plugin_under_test.hpp: the author's plugin, for raftcs-sim --plugin: loaded and asked for work.
//
// Loaded through the real loader with all its refusals. Commands come from the plugin's workload
// (include/raftcs_sim.h) if it has one, else from a file of samples, of which some are sent
// damaged, else they are noise. All is drawn from numbers that the seed decides.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "plugin/registry.hpp"
#include "raftcs_sim.h"

namespace raftcs::sim {

struct PluginOptions {
  std::string path, type, commands;  // type: one of the plugin's, or empty
  std::vector<std::pair<std::string, std::string>> capabilities;  // of the clients' sessions
};

class PluginUnderTest {
 public:
  static Result<std::unique_ptr<PluginUnderTest>> load(const PluginOptions& options);

  const raftcs_sm_type_t& type() const { return *type_; }
  const raftcs_host_t* host() { return registry_.host(); }
  std::string service() const;  // the name that auto services give it
  const PluginOptions& options() const { return options_; }
  std::string arguments() const;  // of the command that replays a seed
  const char* source() const;     // of the commands, for people

  Bytes command(uint32_t client, uint64_t number, uint64_t random) const;
  std::optional<Bytes> query(uint32_t client, uint64_t number, uint64_t random) const;
  const char* (*check() const)(void*);

  // The first thing found wrong during a call into the plugin; empty: nothing yet.
  std::string finding;
  // What the nodes see (plugin_probe.cpp); here, because snapshots outlive simulated nodes.
  raftcs_sm_type_t probed{};

 private:
  PluginUnderTest();
  Status find_type(const plugin::LoadedPlugin& loaded);
  std::string sample(uint64_t random) const;
  using Ask = size_t (*)(const raftcs_sim_ask_t*, void*, size_t);
  Bytes asked(Ask ask, uint32_t client, uint64_t number, uint64_t random) const;

  plugin::Registry registry_;
  PluginOptions options_;
  const raftcs_sm_type_t* type_ = nullptr;
  const raftcs_sim_workload_t* workload_ = nullptr;
  std::vector<std::string> samples_;
};

// In which call into the plugin the process is, for a report of its crash.
struct PluginCall {
  const char* function = nullptr;  // nullptr: in none
  uint64_t index = 0;
};
extern PluginCall g_plugin_call;
// A fatal signal, or two minutes in one seed, end the process with a sentence that has this line.
void report_crashes_of(const std::string& replay);

}  // namespace raftcs::sim
