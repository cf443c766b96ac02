// process.hpp: one member as a value: a real raft::Node, its disk and what it has promised.
//
// step() takes a value and an input and gives the next value and the messages it sends. It is a
// pure function, so the explorer computes each (value, input) once and looks it up afterwards.
//
// Time is abstract. One election timeout is 1 ns and is never drawn longer, a heartbeat is due at
// once, and time passes only by the inputs expire (an election timeout passes and is noticed) and
// quiet (it passes unnoticed: promises to an old leader run out).
//
// The disk: what a crash leaves. Writes wait in a queue until `persist`; a crash keeps a prefix of
// them. Without `async` each write is durable at once. Snapshot files are written, read and
// published at once.
//
// Checked here is what one process alone can break: S2, S3, S10, S11, S13, S14, S16, S19, EL-02,
// EL-12, EL-18, and the core's own InvariantGuard in full (S4, S5, S10, S12, S16). What takes more
// than one process is in model.cpp.
#pragma once

#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "raft/node.hpp"
#include "tests/explore/flat_table.hpp"

namespace raftcs::explore {

using namespace raftcs::raft;  // NOLINT: the explorer is about this folder's values

inline constexpr unsigned kNodesMax = 5;

enum class Kind : uint8_t {
  deliver,     // arg: message
  expire,      // an election timeout passes: a follower asks for votes, a leader gives up
  heartbeat,   // a leader's heartbeat is due
  quiet,       // an election timeout passes and nobody has noticed yet
  persist,     // the oldest write becomes durable
  crash,       // and restart; arg: how many waiting writes the disk still got
  propose,     // arg: the value
  snapshot,    // of all that is applied; the log behind it is forgotten
  change,      // arg: the number of a configuration (Setup::memberships)
  read,        // arg: the token; its low 16 bits are the length of the ledger when it was asked
  transfer,    // arg: the target
  vote_first,  // the disk is full: the newest hard state becomes durable before the entries
};
inline constexpr unsigned kKinds = 12;

struct Input {
  Kind kind = Kind::deliver;
  uint32_t arg = 0;
  const Message* message = nullptr;  // deliver
};

// What all steps of one exploration share.
struct Setup {
  bool async = false;
  Membership first;                     // entry 1, committed by everybody's belief in it
  std::vector<Membership> memberships;  // what `change` may propose
};

struct Disk {
  HardState hard;
  std::optional<SnapshotMeta> snapshot;
  uint64_t snapshot_chain = 0;  // the snapshot file: the state machine is a hash
  Index base;
  uint64_t base_chain = 0;
  std::vector<Entry> log;
  std::vector<uint64_t> chains;  // hash over entries 1..k, per entry

  Index last() const { return base + log.size(); }
};

struct Write {
  uint64_t seq = 0;
  std::optional<HardState> hard;
  std::optional<Index> truncate_from;
  std::optional<SnapshotMeta> reset_log;
  uint64_t reset_chain = 0;
  std::vector<Entry> append;
};

// Something was committed and applied.
struct Applied {
  Index index;
  Term term;
  uint64_t chain = 0;
  uint64_t membership = 0;  // hash of the configuration in force in the state machine
  bool operator==(const Applied&) const = default;
};

struct Grant {
  Term term;
  NodeId to;
};

struct Process {
  explicit Process(Node n) : node(std::move(n)) {}
  Process clone() const;

  NodeId id;
  Disk disk;
  Node node;
  Mono now;
  std::deque<Write> writes;
  std::vector<Outgoing> held;
  // The state machine.
  Index applied;
  uint64_t chain = 0;
  LogTime applied_time;
  Membership membership;
  // Hash chain of the log in memory: of its base and of each entry.
  Index memory_base;
  std::vector<uint64_t> memory_chains;
  // Promises of all its lives.
  Term spoken;  // the highest term of a message sent
  std::vector<Grant> grants;

  uint64_t hash() const;
};

struct StepResult {
  std::vector<Message> sent;
  std::vector<Applied> applied;
  std::string error;     // a broken invariant
  bool refused = false;  // the input was not possible
  uint32_t reads_done = 0;
  bool truncated = false;
  bool installed = false;  // a snapshot replaced the log
};

Process boot(const Setup& setup, NodeId id);
StepResult step(const Setup& setup, Process* process, const Input& input);

// Where RCS_CHECK of the core leads: the first failure since the last call, "" for none.
std::string take_check_failure();
void watch_checks();

uint64_t hash_of(const Membership& membership);
uint64_t hash_of(const Message& message);
std::string describe(const Message& message);

}  // namespace raftcs::explore
