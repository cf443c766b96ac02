// ledger_machine.hpp: the state machine that the simulator's oracles can read.
//
// Its state is the sequence of commands applied so far. A command says who (client session of the
// workload) and what (operation number); its reply is its position in the sequence, in as many
// bytes as it asks for (ledger_bytes.hpp). A command that is there already is the proof of a broken
// exactly-once promise. Kind 2 commands also push their position back to their session; kind 3 ones
// set an alarm, 100 ms of log time later, unless one is set; kind 4 ones push a mebibyte. It
// follows the presence of sessions. A query is answered with the number of commands applied, one
// of 8 bytes, a number, in so many bytes. A snapshot may carry ballast, which is read again.
//
// Calls into it can be made to fail (LedgerFaults), as those of a plugin whose memory, disk or
// code is bad on one machine.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "raftcs_plugin.h"
#include "rsm/machine.hpp"
#include "sim/ledger_bytes.hpp"

namespace raftcs::sim {

struct Ledger {
  std::vector<LedgerOp> ops;
  std::set<std::pair<uint32_t, uint64_t>> seen;
  uint64_t doubled = 0;
  uint64_t damaged = 0;  // commands that are not what was sent
  int64_t alarm_ns = INT64_MAX;
  uint64_t rung = 0;             // alarms that came
  uint64_t early = 0;            // and came before their time: must never be
  std::set<uint64_t> gone;       // sessions without their client
  uint64_t presence_events = 0;
  uint64_t dead_letters = 0;  // of sessions that ended, since the process began
  uint64_t lie = 0;  // a fault of tests: added to what it answers
};

// How many of the next calls of each kind fail, and how streams are cut.
struct LedgerFaults {
  uint32_t applies = 0;   // in the middle of what they were given
  uint32_t hooks = 0;     // timers, presence, ends of sessions
  uint32_t begins = 0;    // of snapshots
  uint32_t writes = 0;    // of snapshots, in the middle
  uint32_t restores = 0;  // likewise
  uint64_t failed = 0;    // every second failure is an exception
  uint64_t piece = 0;     // bytes that a snapshot is written and read in at once; 0: many
};

constexpr int64_t kAlarmNs = 100'000'000;
constexpr size_t kLargePush = 1 << 20;

// The types of one simulated node; keeps the newest instance visible.
class LedgerTypes : public rsm::TypeSource {
 public:
  LedgerTypes();
  const raftcs_sm_type_t* find(const std::string& id) override;
  const raftcs_host_t* host() override { return &host_; }
  const Ledger* ledger() const { return *current_; }
  void lie(uint64_t by) { (*current_)->lie = by; }
  void carry(uint64_t ballast) { ballast_ = ballast; }  // machines that are created from now on
  LedgerFaults& faults() { return *faults_; }

  // Set by the machine's create; shared, because a snapshot may outlive its node's process.
  std::shared_ptr<Ledger*> current_ = std::make_shared<Ledger*>(nullptr);
  std::shared_ptr<LedgerFaults> faults_ = std::make_shared<LedgerFaults>();
  uint64_t ballast_ = 0;  // bytes of a snapshot

 private:
  raftcs_host_t host_{};
};

constexpr const char* kLedgerType = "sim.ledger";

}  // namespace raftcs::sim
