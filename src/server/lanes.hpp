// lanes.hpp: the work of the three lanes, without their threads.
//
// Each lane is a serial worker over storage or the state machine. A real node gives each a
// thread (server.cpp); the simulator calls them in virtual time. A lane never touches
// another lane's data.
#pragma once

#include <array>
#include <functional>
#include <optional>
#include <vector>

#include "server/jobs.hpp"

namespace raftcs::server {

constexpr size_t kPastHashes = 4096;     // a check may ask for the hash of an entry so far back
constexpr uint64_t kDigestEvery = 4096;  // entries; a plugin may need time for one
constexpr uint64_t kResultBytesMax = 32 << 20;  // a run of the apply lane ends when it has so many

// [log lane] Group commit: consecutive appends become one write and one sync.
class LogLane {
 public:
  explicit LogLane(storage::DataDir& dir) : dir_(dir) {}
  // Runs the jobs in order. On an error the rest is not run: with NO_SPACE the jobs that did
  // not run stay in *jobs for another try; any other error is final for the node (D7).
  std::vector<LogDone> run(std::vector<LogJob>* jobs);

 private:
  bool compact_ahead(std::vector<LogJob>* jobs, size_t from, Status* status);
  Status write_hard_state(std::vector<LogJob>* jobs, size_t from);
  Status leave_segment(uint64_t segment);
  storage::DataDir& dir_;
};

// [apply lane]
class ApplyLane {
 public:
  ApplyLane(storage::DataDir& dir, rsm::TypeSource& types, const rsm::Limits& limits,
            uint64_t result_bytes_max = kResultBytesMax)
      : dir_(dir),
        machine_(types, limits),
        result_bytes_max_(result_bytes_max),
        past_(kPastHashes),
        whole_hash_(machine_.state_hash()) {}
  // Asked between two entries or queries. `enough`: results are to be told now, the rest is done in
  // the next run. `ended`: nobody waits for what is done, also not for a restore.
  void set_pace(std::function<bool()> enough, std::function<bool()> ended) {
    enough_ = std::move(enough);
    ended_ = std::move(ended);
  }
  // Runs jobs from the front until all are done, an entry cannot be applied (then out->halted says
  // why), or the results in *out are many or old. What is unfinished stays in *jobs. One entry is
  // never divided, and one query or list is not.
  void run(std::vector<ApplyJob>* jobs, ApplyDone* out);
  const rsm::Machine& machine() const { return machine_; }
  // Is there a job before which new plugin files are looked for?
  static bool wants_plugins(const std::vector<ApplyJob>& jobs);

 private:
  void try_services(std::vector<ApplyJob>* jobs, ApplyDone* out);
  static void drop_replaced(std::vector<ApplyJob>* jobs, ApplyDone* out);
  Status run_one(ApplyJob& job, ApplyDone* out);
  bool is_full(const ApplyDone& out) const {
    return out.result_bytes >= result_bytes_max_ || (enough_ && enough_());
  }
  void run_queries(ApplyQueries& job, ApplyDone* out);
  void fetch_pushes(const ApplyFetchPushes& job, ApplyDone* out);
  void list(const ApplyList& job, ApplyDone* out);
  Status apply_entries(ApplyEntries& job, ApplyDone* out);
  Status restore(const ApplyRestore& job, ApplyDone* out);
  Status begin_snapshot(const ApplyBeginSnapshot& job, ApplyDone* out);

  void note_hash();
  std::optional<wire::ReplicaHash> hash_at(Index index) const;

  storage::DataDir& dir_;
  rsm::Machine machine_;
  const uint64_t result_bytes_max_;
  struct Past {
    Index index;
    uint64_t hash = 0;
  };
  std::vector<Past> past_;  // of the last entries, each at its index modulo the size
  uint64_t whole_hash_;     // of the last entry: the machine's own may be of half of the next one
  std::function<bool()> enough_, ended_;
  std::array<Past, 4> digests_;
};

// [snapshot lane]
class SnapshotLane {
 public:
  explicit SnapshotLane(storage::DataDir& dir) : dir_(dir) {}
  SnapshotDone run(SnapshotJob& job, const std::function<bool()>& cancelled);

 private:
  SnapshotWritten write(SnapshotWrite& job, const std::function<bool()>& cancelled);
  storage::DataDir& dir_;
};

}  // namespace raftcs::server
