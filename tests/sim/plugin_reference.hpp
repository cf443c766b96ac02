// plugin_reference.hpp: what the plugin under test makes of the committed log, three times over.
//
// Fed with each committed entry once, in order. A fresh instance applies them all; a twin does the
// same, and must come to the same (determinism); a third is restored now and then from a snapshot
// of the first and goes on from there (snapshots that hold everything). What the first answered
// and its state at each index are kept, and every replica of the cluster is compared with them.
#pragma once

#include <vector>

#include "rsm/machine.hpp"
#include "sim/plugin_probe.hpp"

namespace raftcs::sim {

class PluginReference {
 public:
  explicit PluginReference(PluginUnderTest& plugin);

  // Empty, or the sentence for the author of the plugin.
  std::string apply(const raft::Entry& entry);
  const rsm::ApplyOutput& output_at(Index index) const { return at_[index.value].output; }
  // Empty, or how a replica differs that went from `from` to `to` and stands there.
  std::string compare(const rsm::ApplyOutput& output, Index from, Index to, ProbeTypes& types);
  // Whether the plugin gave this answer to a command at this index.
  bool answered(uint64_t index, int32_t app_code, const Bytes& data) const;

  uint64_t ran() const { return ran_; }            // commands of the plugin
  uint64_t refused() const { return refused_; }    // of these, by an app_code
  uint64_t compared() const { return compared_; }  // states of replicas
  uint64_t restored() const { return restored_; }  // the third instance
  bool quiet() const { return first_->machine.next_timer() == LogTime::never(); }

 private:
  struct Run {
    explicit Run(PluginUnderTest& plugin) : types(plugin), machine(types, rsm::Limits{}) {}
    ProbeTypes types;
    rsm::Machine machine;
    rsm::ApplyOutput out;
  };
  struct At {
    rsm::ApplyOutput output;
    bool has_state = false, has_bytes = false;
    PluginState state;
  };

  std::string run(Run& run, const raft::Entry& entry);
  std::string restore_third();
  std::string differing_states(Run& other, const At& at) const;
  void count(const raft::Entry& entry);

  PluginUnderTest& plugin_;
  std::unique_ptr<Run> first_, twin_, third_;
  Index third_from_;
  std::vector<At> at_;  // [index]
  std::vector<std::string> services_;
  uint64_t ran_ = 0, refused_ = 0, compared_ = 0, restored_ = 0;
  size_t stride_ = 1;  // indexes between two at which the bytes of a snapshot are looked at
};

}  // namespace raftcs::sim
