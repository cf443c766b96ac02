// model.hpp: a cluster of processes and the messages between them, as 56 bytes.
//
// A state names its processes, its network and its ledger by numbers: each distinct one is kept
// once (Model's tables), and what an input does to a process is computed once. So a step of the
// cluster costs a few look-ups, and a state can be copied and hashed as plain memory.
//
// The network is the set of all messages ever sent. Delivering takes nothing out, so a message may
// come late, never, twice, and in any order, without actions of their own for that. The bound is
// on how many different ones there are. Deliveries that change nothing are not counted.
//
// The state carries what the invariants must remember: who led in which term (S1) and the ledger,
// the entries ever committed in order. Checked at each new state, for the process that moved:
//   S1 one leader in a term           S2 (with process.cpp) votes; S17 leaders have a quorum of
//   S5 equal index and term, equal logs    durable votes of the configuration they know, and are
//                                          voters of it or of the one applied
//   S6 leaders hold what was committed before their term
//   S7 nobody applies anything but the ledger
//   S8 new in the ledger: of the leader's own term, durable on a quorum of each voter set
//   S9 the ledger stays durable on a quorum (where the configuration does not change)
//   S12 a leader believes nothing of a peer's log that is not on its disk (and so S11)
//   S13 snapshots are of the ledger   and what process.cpp checks.
#pragma once

#include <array>
#include <deque>
#include <string>
#include <unordered_map>
#include <vector>

#include "tests/explore/process.hpp"

namespace raftcs::explore {

inline constexpr unsigned kTermsMax = 12;

// What may happen at most, per path.
struct Bounds {
  std::array<uint8_t, kKinds> times{};  // by Kind; deliver and persist are not counted
  uint8_t elections = 0;                // the compound action elect
  unsigned messages = 24;               // different ones
};

struct Plan {
  char name = 'A';
  const char* what = "";
  unsigned nodes = 3;
  Setup setup;
  Bounds bounds;
  std::vector<std::string> prefix;  // actions that lead to the first state
  bool quorum_stays = true;         // the configuration never changes: S9 can be checked
};

struct State {
  std::array<uint32_t, kNodesMax> process{};
  uint32_t net = 0;
  uint32_t ledger = 0;
  std::array<uint8_t, kKinds> used{};
  uint8_t elections = 0;
  std::array<uint8_t, kTermsMax> leader_of{};  // by term
  std::array<uint8_t, 3> unused{};

  uint64_t hash() const;
};
static_assert(sizeof(State) == 56);

struct Action {
  Kind kind = Kind::deliver;
  bool elect = false;  // compound: arg are the voters asked, as bits
  uint8_t node = 0;    // who moves, from 0
  uint32_t arg = 0;    // as in Input
};

struct Marks {  // what an exploration has seen
  uint64_t leaders = 0, commits = 0, truncations = 0, installs = 0, reads = 0;
  uint64_t configurations = 0, elections = 0;
  uint64_t learners = 0;  // configurations with a learner
  uint64_t handed = 0;    // leaders that a message made campaign
  uint64_t cut = 0;       // steps not taken because there were too many messages
  std::array<uint64_t, kKinds> kinds{};
};

struct Next {
  State state;
  Action action;
};

class Model {
 public:
  explicit Model(Plan plan);

  State first();  // after the prefix
  // All states one action away that differ from `from`, into *out. Stops at a broken invariant:
  // then error() says which, and the last of *out led there.
  void expand(const State& from, std::vector<Next>* out);
  // One action given as text (describe_action); false: not possible in this state.
  bool act(const std::string& line, State* state);
  // The same for numbers that need not fit: a message is counted from the first, around the end.
  bool act(const Action& action, State* state);
  std::string describe_action(const State& from, const Action& action) const;
  std::string describe_state(const State& state) const;

  const std::string& error() const { return error_; }
  const Marks& marks() const { return marks_; }
  const Plan& plan() const { return plan_; }
  size_t processes() const { return processes_.size(); }
  size_t messages() const { return messages_.size(); }
  size_t steps() const { return steps_.size(); }
  uint64_t checks() const { return checks_; }
  uint64_t twins_compared() const { return twins_compared_; }

 private:
  struct Step {
    uint32_t next = 0;
    bool refused = false, truncated = false, installed = false;
    uint32_t reads_done = 0;
    std::vector<uint32_t> sent;
    std::vector<Applied> applied;
    std::string error;
  };
  struct Seen {  // a process, kept for ever, and one that hashed alike but came another way
    explicit Seen(Process p);
    Process process;
    std::optional<Process> twin;
    bool leads = false;
    std::vector<PeerProgress> peers;  // of a leader
  };
  struct Committed {
    uint32_t parent = 0;
    uint32_t length = 0;
    Applied entry;
    Term committed_in;
  };

  uint32_t intern(Process process);
  uint32_t intern(const Message& message);
  uint32_t with(uint32_t net, uint32_t message);
  const Step& step_of(uint32_t process, Kind kind, uint32_t arg);
  void compare_twin(Seen& seen, const Step& step, uint64_t next_hash, const Input& input);
  std::string describe_sent(const std::vector<uint32_t>& sent) const;
  const Process& process(const State& s, unsigned node) const {
    return processes_[s.process[node]].process;
  }

  // Moves one process; false: refused or without any effect. New messages go to *sent.
  bool move(State* s, unsigned node, Kind kind, uint32_t arg, std::vector<uint32_t>* sent);
  bool count(State* s, Kind kind) const;
  // False: too many different messages.
  bool send(State* s, const std::vector<uint32_t>& sent);
  void add_input(const State& from, unsigned node, Kind kind, uint32_t arg, std::vector<Next>* out);
  void expand_node(const State& from, unsigned node, std::vector<Next>* out);
  bool elect(State* s, unsigned node, uint32_t voters, std::vector<uint32_t>* sent);
  void settle(State* s, uint32_t among);

  // model_check.cpp
  void fail(const std::string& text);
  void note_applied(State* s, unsigned node, const Step& step);
  void check(State* s, unsigned node);
  void check_leader(State* s, unsigned node);
  void check_begins_to_lead(const State& s, unsigned node);
  void check_pair(const Process& a, const Process& b);
  bool quorum_holds(const State& s, const Membership& m, Index index, uint64_t chain) const;
  const Committed* committed(uint32_t ledger, Index index) const;

  Plan plan_;
  std::deque<Seen> processes_;
  FlatMap process_at_;
  std::deque<Message> messages_;  // [id - 1]
  std::unordered_multimap<uint64_t, uint32_t> message_at_;
  std::deque<Step> steps_;
  FlatMap step_at_;
  std::vector<std::vector<uint32_t>> nets_;  // ascending; [0] is the empty network
  FlatMap net_with_;                         // (net, message) -> net
  std::unordered_multimap<uint64_t, uint32_t> net_at_;
  std::vector<Committed> ledger_;  // a tree; [0] is the empty ledger
  FlatMap ledger_at_;
  std::string error_;
  Marks marks_;
  uint64_t checks_ = 0;
  uint64_t twins_compared_ = 0;
};

// The plans.
Plan plan_of(char name);
std::string plan_names();

}  // namespace raftcs::explore
