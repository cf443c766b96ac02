// jobs.hpp: what the core hands to its lanes and what comes back (decision D8).
//
// The core loop never waits for a disk or a state machine. It hands jobs to three lanes,
// each serial and first-in first-out: log (append and sync), apply (sessions and plugins),
// snapshot (whole-file work). Results come back as inputs. The same jobs are run by threads
// in a real node (server.cpp) and by the simulator in virtual time.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "net/server_sockets.hpp"
#include "raft/node.hpp"
#include "rsm/machine.hpp"
#include "rsm/ops.hpp"
#include "storage/data_dir.hpp"
#include "wire/check_codec.hpp"
#include "wire/client_messages.hpp"

namespace raftcs::server {

// --- log lane -------------------------------------------------------------------------
struct LogJob {
  uint64_t write_seq = 0;  // 0: nothing to write
  storage::WriteBatch batch;
  std::optional<Index> compact_to;
  bool list_segments = false;         // for scrubbing (scrub_plan.hpp)
  std::optional<uint64_t> ask_about;  // is this segment still part of the log? ...
  bool leave = false;                 // ... then nothing more is written to it
};
struct LogDone {
  uint64_t write_seq = 0;  // this and all before are durable
  Status status;           // NO_SPACE: nothing was written, the job is tried again; else: final
  uint64_t hard_seq = 0;   // with NO_SPACE: yet the hard state of the writes up to here is durable
  uint64_t log_file_bytes = 0;
  uint64_t first_segment = 0;  // older ones are gone
  uint64_t open_segment = 0;   // with asked_about: is written to
  std::optional<std::vector<storage::ScrubTarget>> listed;
  std::optional<uint64_t> asked_about;
};

// --- apply lane -----------------------------------------------------------------------
struct QueryItem {
  net::ConnId conn = 0;
  wire::Channel channel = 0;
  uint64_t correlation = 0;
  ServiceNum service;
  SessionNum session;
  Bytes payload;
  Mono since;  // accepted
};
struct ApplyEntries {
  std::vector<raft::Entry> entries;
};
struct ApplyRestore {  // from the published snapshot at meta.index
  raft::SnapshotMeta meta;
};
struct ApplyQueries {
  std::vector<QueryItem> items;
};
struct ApplyFetchPushes {
  SessionNum session;
  PushId after;
  uint64_t epoch = 0;  // of the binding it is for
};
struct ApplyBeginSnapshot {
  raft::Membership membership;  // in force at the last entry handed over
};
struct ApplyFindSilent {
  LogTime now;
};
struct ApplyList {  // for administration
  enum class What { sessions, services } what = What::sessions;
  uint64_t token = 0;
};
struct ApplyHash {  // of the state at an index that was handed over (divergence.cpp)
  NodeId asker;
  Index index;
};
// Services, before they are proposed. The driver looks for new plugin files first: without any
// service that is all it is for. Runs ahead of entries.
struct ApplyTryServices {
  uint64_t token = 0;
  std::vector<rsm::CreateService> wanted;
};
using ApplyJob =
    std::variant<ApplyEntries, ApplyRestore, ApplyQueries, ApplyFetchPushes, ApplyBeginSnapshot,
                 ApplyFindSilent, ApplyList, ApplyHash, ApplyTryServices>;

struct HashFound {
  NodeId asker;
  wire::ReplicaHash replica;
};

struct QueryDone {
  QueryItem item;
  rsm::QueryResult result;
  Index applied;  // when it ran
};
struct PushesFetched {
  SessionNum session;
  uint64_t epoch = 0;
  PushId acked;  // everything up to here is acknowledged and gone
  std::vector<rsm::Push> pushes;
};
struct Restored {
  raft::SnapshotMeta meta;
  std::vector<rsm::SessionInfo> sessions;
  std::vector<rsm::ServiceInfo> services;
};
struct Listed {
  uint64_t token = 0;
  std::vector<rsm::SessionInfo> sessions;
  std::vector<rsm::ServiceInfo> services;
};
struct ServicesTried {
  uint64_t token = 0;
  struct Tried {
    rsm::CreateService op;  // as it is to be proposed ...
    Status status;          // ... or why it must not be
  };
  std::vector<Tried> tried;
};
// The outcome of one or more jobs, in their order; every list is in order too.
struct ApplyDone {
  rsm::ApplyOutput output;
  std::vector<QueryDone> queries;
  std::vector<PushesFetched> pushes_fetched;
  std::optional<Restored> restored;
  std::vector<rsm::SilentSession> silent;
  bool silent_found = false;  // an ApplyFindSilent was done; its outcome is in `silent`
  std::vector<Listed> listed;
  std::vector<ServicesTried> services_tried;
  std::vector<HashFound> hashes;            // none for an index that is too long ago
  std::shared_ptr<rsm::Snapshot> snapshot;  // to be written by the snapshot lane ...
  raft::SnapshotMeta snapshot_meta;         // ... under this description
  Status snapshot_failed;                   // not OK: none could be begun, and why
  Status halted;  // not OK: the lane stands at an entry it cannot apply, and why
  uint64_t result_bytes = 0;  // about what the answers and pushes in here take
  Index applied;
  uint64_t state_hash = 0;                // at `applied`
  LogTime next_timer = LogTime::never();  // what the state machines want of time ...
  bool wants_presence = false;            // ... and of sessions, at `applied`
  uint64_t pushes_dropped = 0;            // since index 1: to sessions that were not there
};

// --- snapshot lane --------------------------------------------------------------------
struct SnapshotWrite {
  std::shared_ptr<rsm::Snapshot> snapshot;
  raft::SnapshotMeta meta;
};
struct SnapshotReadChunk {
  raft::Effects::ReadChunk read;
};
struct SnapshotWriteChunk {
  raft::Effects::WriteChunk write;
};
struct ScrubRead {  // a slice: so many bytes at most, for others wait behind it
  storage::ScrubTarget target;
  uint64_t bytes = 0;
};
struct MarkReseed {  // the directory begins anew at its next start, or not
  bool on = true;
  uint64_t token = 0;  // of who waits
};
using SnapshotJob =
    std::variant<SnapshotWrite, SnapshotReadChunk, SnapshotWriteChunk, ScrubRead, MarkReseed>;

struct SnapshotWritten {
  Status status;
  Status storage;  // not OK: storage has stopped for good (S21)
  raft::SnapshotMeta meta;
};
struct SnapshotChunkRead {
  raft::Effects::ReadChunk read;
  Status status;
  storage::DataDir::Chunk chunk;
};
struct SnapshotChunkWritten {
  NodeId from;
  raft::SnapshotMeta meta;
  Status status;
  Status storage;  // as above
  storage::DataDir::ChunkWritten written;
};
struct Scrubbed {
  storage::ScrubSlice slice;
};
struct ReseedMarked {
  Status status;
  MarkReseed job;
};
using SnapshotDone =
    std::variant<SnapshotWritten, SnapshotChunkRead, SnapshotChunkWritten, Scrubbed, ReseedMarked>;

}  // namespace raftcs::server
