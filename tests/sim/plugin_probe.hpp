// plugin_probe.hpp: stands between a simulated node and the plugin under test.
//
// The node sees a type with the plugin's id and the same functions; each forwards to the plugin's
// own and looks on: which call the process is in (for crashes), that commands come in the order
// of the log, that queries change nothing, that the author's invariant holds. The newest
// instance of a node can be asked for its state: digest, if any, and a hash of its snapshot.
#pragma once

#include "sim/ledger_machine.hpp"
#include "sim/plugin_under_test.hpp"

namespace raftcs::sim {

struct PluginState {
  uint64_t digest = 0;  // 0 without RAFTCS_SM_HAS_DIGEST
  uint64_t hash = 0;    // of the bytes of a snapshot, if it was asked for
  size_t bytes = 0;
};

// One instance of the plugin's type, behind the handle that the node has.
struct ProbedInstance {
  PluginUnderTest* plugin = nullptr;
  void* sm = nullptr;
  std::shared_ptr<ProbedInstance*> current;
  uint64_t last_index = 0;   // of a command applied, or the snapshot restored
  uint64_t restored_at = 0;  // 0: never
  uint64_t calls = 0;
  uint32_t open_snapshots = 0;
  size_t bytes = 0;  // of its last snapshot that was looked at
};

class ProbeTypes final : public LedgerTypes {
 public:
  explicit ProbeTypes(PluginUnderTest& plugin) : plugin_(plugin) {}
  const raftcs_sm_type_t* find(const std::string& id) override;
  ProbedInstance* instance() const { return *current_instance_; }
  PluginUnderTest& plugin() { return plugin_; }

  std::shared_ptr<ProbedInstance*> current_instance_ = std::make_shared<ProbedInstance*>(nullptr);

 private:
  PluginUnderTest& plugin_;
};

// Requires: no call into the instance is under way. False: a snapshot is being taken of it just
// now, or could not be taken (then plugin->finding says so).
bool state_of(ProbedInstance& instance, bool with_bytes, PluginState* out);

}  // namespace raftcs::sim
