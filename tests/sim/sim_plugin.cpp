// sim_plugin.cpp: the world with a plugin in it, for raftcs-sim --plugin.
//
// The ledger and all that is checked with it stay. Beside it the nodes host a service of the
// plugin's type, and most of what clients ask is for it. Each committed entry goes to the plugin
// three more times (plugin_reference.hpp), and whatever a replica's apply lane gives back is
// compared with that; so is what clients are told, and at the end how often commands ran.
#include <algorithm>

#include "raftcs.h"
#include "sim/sim_world.hpp"

namespace raftcs::sim {

std::unique_ptr<LedgerTypes> Cluster::make_types() {
  auto types =
      plugin_ == nullptr ? std::make_unique<LedgerTypes>() : std::make_unique<ProbeTypes>(*plugin_);
  types->carry(p_.ballast_bytes);
  types->faults().piece = p_.piece_bytes;
  return types;
}

std::vector<server::PluginFile> Cluster::plugin_files() const {
  std::vector<server::PluginFile> files{{"", "ledger", "1", {kLedgerType}, ""}};
  if (plugin_ != nullptr) files.push_back({"", "plugin", "1", {plugin_->type().id}, ""});
  return files;
}

client::Engine::Call Cluster::call_of(const WorkSession& s, const OpRecord& r) {
  client::Engine::Call call;
  call.session = s.handle;
  call.op_id = call.tag = ++next_op_;
  call.service = r.plugin ? plugin_->service() : "ledger";
  if (r.plugin)
    call.payload = r.payload;
  else if (!r.is_query)
    call.payload = encode({r.op, r.load});
  else if (const uint64_t size = r.load.reply; size > 0)
    call.payload = Bytes::copy(&size, sizeof size);
  if (r.stale) call.consistency = wire::Consistency::stale;
  return call;
}

// Makes most operations ones of the plugin.
void Cluster::for_plugin(OpRecord* r) {
  const uint64_t random = rng_.next();
  if (rng_.chance(0.3)) return;
  if (r->is_query) {
    auto query = plugin_->query(r->op.who, r->op.what, random);
    if (!query) return;
    r->payload = std::move(*query);
  } else {
    r->payload = plugin_->command(r->op.who, r->op.what, random);
  }
  r->plugin = true;
}

void Cluster::plugin_replied(const OpRecord& r, const client::Event& e) {
  if (e.status != RAFTCS_OK || r.is_query) return;
  if (!reference_->answered(e.index, e.app_code, e.data))
    fail("a client was told another reply than the plugin gave at index " +
         std::to_string(e.index));
}

// Requires: the outcome is of this process of the node; n.seen_applied is where it stood before.
void Cluster::check_plugin(SimNode& n, const server::ApplyDone& done) {
  const Index from = done.restored ? done.restored->meta.index : n.seen_applied;
  std::string broken = plugin_->finding;
  if (broken.empty() && done.halted.is_ok())
    broken =
        reference_->compare(done.output, from, done.applied, static_cast<ProbeTypes&>(*n.types));
  if (!broken.empty()) fail(broken + " (node " + to_string(n.id) + ")");
}

// With a plugin the log may go on for ever (timers): who has applied what was committed when the
// clients were done is at the end.
bool Cluster::applied_enough(const server::Info& info) {
  if (!enough_ && clients_done()) enough_ = model_.applied();
  return enough_ && info.applied >= enough_;
}

// Nothing is lost and nothing runs twice: commands that ran, against what clients were told.
void Cluster::check_plugin_end() {
  uint64_t applied = 0, unknown = 0;
  for (const OpRecord& r : records_) {
    if (!r.plugin || r.is_query) continue;
    applied += r.outcome == RAFTCS_OUTCOME_APPLIED ? 1 : 0;
    unknown += r.outcome == RAFTCS_OUTCOME_UNKNOWN ? 1 : 0;
  }
  const uint64_t ran = reference_->ran();
  if (ran < applied || ran > applied + unknown)
    fail(std::to_string(ran) + " commands of the plugin ran; " + std::to_string(applied) +
         " were acknowledged, and " + std::to_string(unknown) + " have an unknown outcome");
  report_.plugin_ran = ran;
  report_.plugin_refused = reference_->refused();
  report_.plugin_states = reference_->compared();
  report_.plugin_restores = reference_->restored();
}

}  // namespace raftcs::sim
