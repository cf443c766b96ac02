// scenario.hpp: the simulated world with a script instead of a fault plan.
//
// A test says what happens and when, in virtual time; all oracles of the campaign watch it.
// Sessions do nothing by themselves but stay alive; a test lets them work with work().
#pragma once

#include <functional>
#include <string>

#include "base/check.hpp"
#include "sim/sim_world.hpp"

namespace raftcs::sim {

struct ScenarioOptions {
  uint64_t seed = 1;
  uint32_t nodes = 3, clients = 1;
  uint64_t timeout_ms = 10'000;
  bool renew = false;
  DurationNs delay_mean_ns = 2 * kNsPerMs;
  bool wait = true;  // until all sessions are open
  bool verbose = false;
};

class Scenario : public Cluster {
 public:
  explicit Scenario(const ScenarioOptions& options);
  ~Scenario() override;

  void run(DurationNs duration);
  // Until the condition holds; false when it does not within the bound.
  bool run_until(const std::function<bool()>& condition, DurationNs bound);
  // Each session does one command; true: all were applied within the bound.
  bool work(DurationNs bound);
  void begin_work(uint32_t c, uint32_t commands);
  Report end();  // runs the final checks

  bool ok() const { return report_.ok; }
  const std::string& failure() const { return report_.failure; }
  bool connected();
  bool live(uint32_t c) const { return model_.is_live(session(c).id); }
  bool live(const WorkSession& s) const { return model_.is_live(s.id); }
  uint64_t kind(const std::string& name) const;  // see SessionModel::kinds
  size_t sessions() const { return model_.sessions(); }  // in the cluster
  uint64_t expired() const { return model_.expired(); }
  uint64_t lost(uint32_t c) const { return c < lost_.size() ? lost_[c] : 0; }  // events told
  uint64_t elections() const { return report_.leaders; }
  LogTime cluster_time() const { return model_.time(); }
  uint64_t hits(const std::string& event) const;
  size_t outstanding(uint32_t c) const { return session(c).open.size(); }
  size_t unknown() const;  // operations that ended so
  const WorkSession& session(uint32_t c) const { return clients_[c].sessions[0]; }

  SimNode* leader() { return serving_leader(); }
  SimNode& at(uint64_t id) { return node(NodeId(id)); }
  void pause(SimNode& n, DurationNs duration) { n.paused_until = now_ + duration; }
  void new_leader();  // hands leadership over; runs until another one serves
  void stop(SimNode& n);
  void restart(SimNode& n);
  void jump(SimNode& n, DurationNs by);  // of its clock
  void jump_client(uint32_t c, DurationNs by);
  void set_rate(SimNode& n, double rate);
  void set_client_rate(uint32_t c, double rate);
  void pause_client(uint32_t c, DurationNs duration) { client_pauses(c, duration); }
  void kill_client(uint32_t c) { client_mute(c); }
  void resume_client(uint32_t c) { client_dies(c); }  // in a new process, with its token
  void take_over(uint32_t c) { client_taken_over(c); }
  // Another session for a client, behind the one it has.
  void open_another(uint32_t c);
  const WorkSession& newest(uint32_t c) const { return clients_[c].sessions.back(); }
  // From outside of any engine: asks a node whether it knows the newest session of a client.
  // Every denial of a session that has not ended fails the run.
  void ask_for(SimNode& n, uint32_t c);
  std::set<Uuid> ids() const;  // of the sessions that clients believe in

 private:
  void session_lost(uint32_t c, WorkSession& s, const client::Event& e) override;
  client::SessionOptions options_of(const SimClient& client) const override;

  ScenarioOptions options_;
  CheckHandler before_;
  std::vector<uint64_t> lost_;
};

}  // namespace raftcs::sim
