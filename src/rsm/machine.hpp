// machine.hpp: the replicated state machine: sessions, exactly-once, services.
//
// Turns committed entries into effects on services and sessions, the same on every
// replica: everything that influences a decision is in here and in its snapshots (rule
// 10 of the catalogue): sessions with their last activity, cached replies and floors,
// undelivered pushes, services and their states. Pure but for the state machines it
// calls; no clock (entries carry time), no thread, no file.
//
// Exactly once (decision D6). (session, request id) -> cached reply. lowest_pending evicts
// below; an evicted duplicate is answered `evicted` and never run; a request of an unknown
// session is refused here and leaves nothing behind; the same id with another payload is
// `misuse` (SE-12). Refusals by the application are results and cached like any other.
//
// Threads: [apply lane], serial. A Snapshot may be written on another thread while apply
// goes on where all services allow it (RAFTCS_SM_CONCURRENT_SNAPSHOT).
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "raft/types.hpp"
#include "raftcs_plugin.h"
#include "rsm/ops.hpp"

namespace raftcs::rsm {

// Where state machine types come from (plugin/registry, tests).
class TypeSource {
 public:
  virtual ~TypeSource() = default;
  virtual const raftcs_sm_type_t* find(const std::string& type_id) = 0;  // nullptr: not here
  virtual const raftcs_host_t* host() = 0;
};

// Equal on all nodes of a cluster: they decide who is refused. A restored machine goes on with
// the limits of the snapshot; nodes that began with different ones differ in state_hash().
struct Limits {
  // Ids a session may have open at once, from its floor: more than a client that resumes with an
  // old token leaves between its old and its new ids (client/connect.cpp).
  uint32_t replies_max = 65'536;
  uint64_t reply_bytes_max = 64 << 20;  // per session
  uint32_t pushes_max = 10'000;         // undelivered server-started requests per session
  uint64_t push_bytes_max = 64 << 20;   // per session
  uint32_t sessions_max = 1'000'000;    // servers admit fewer (limits.sessions)
};

// The largest reply and push: any client can read so much, whatever the settings are.
constexpr uint64_t kAnswerBytesMax = 16 << 20;

enum class ReplyKind : uint8_t {
  applied = 1,
  duplicate = 2,        // applied before: the cached reply
  evicted = 3,          // applied before, reply given up; not run again
  unknown_session = 4,  // not applied
  misuse = 5,           // the id was used with another payload; not applied
  unknown_service = 6,  // not applied, and remembered: it stays so for this id
  // Not applied: the session must collect replies first. No final answer: nothing is kept of
  // it, and the same id runs when it comes again and there is room.
  too_many_replies = 7,
};

struct Reply {
  SessionNum session;
  RequestId id;
  ReplyKind kind = ReplyKind::applied;
  int32_t app_code = 0;
  Bytes data;
  Index index;  // of the entry that applied it (for a duplicate: the first time)
};

struct SessionStarted {
  SessionNum num;  // 0: refused, see `refused`
  Uuid id;
  Uuid proof;
  uint64_t timeout_ms = 0;
  bool existed = false;  // the proof had its session already
  std::string refused;   // why not (limit, invalid capabilities)
};
struct SessionEnded {
  SessionNum num;
  int32_t reason = 0;  // raftcs_session_end
};
struct Push {
  SessionNum session;
  PushId id;
  Bytes payload;
  LogTime created;
};
struct PresenceChanged {
  SessionNum num;
  bool connected = false;
};
struct TakenOver {  // answers each TakeOver of a session that is there
  SessionNum session;
  HolderId holder;  // who holds it now
};
struct ServiceCreated {
  ServiceNum num;  // 0: refused
  std::string name;
  std::string type;
  std::string refused;
  bool existed = false;  // of this name and type, since an earlier operation
};

// What one or more entries brought about, in order within each list.
struct ApplyOutput {
  std::vector<Reply> replies;
  std::vector<SessionStarted> sessions_started;
  std::vector<SessionEnded> sessions_ended;
  std::vector<Push> pushes;
  std::vector<ServiceCreated> services_created;
  std::vector<PresenceChanged> presence;
  uint64_t ticks = 0;  // Tick operations seen
  std::vector<TakenOver> takeovers;
  void clear();
};

struct SessionInfo {
  SessionNum num;
  Uuid id;
  Uuid proof;
  HolderId holder;
  uint64_t timeout_ms = 0;
  LogTime created;
  LogTime last_active;
  bool connected = true;
  RequestId highest_request;  // highest id applied
  PushId last_push;           // highest id ever assigned
  PushId acked_push;          // everything up to here is acknowledged
  uint64_t replies_cached = 0;
  Capabilities capabilities;
};
struct SilentSession {
  SessionNum num;
  DurationNs silent_ns = 0;  // cluster time since its last activity in the log
  bool operator==(const SilentSession&) const = default;
};
struct ServiceInfo {
  ServiceNum num;
  std::string name;
  std::string type;
  uint32_t apply_version = 1;
};

constexpr size_t kServicesMax = 4096;  // of a cluster

struct QueryResult {
  Status status;  // not OK: unknown service, or the state machine failed
  int32_t app_code = 0;
  Bytes data;
};

// Streams. write gives false to stop (cancelled, disk error); read gives 0 at the end and
// a status when the source failed.
using WriteFn = std::function<bool(const void* data, size_t size)>;
using ReadFn = std::function<Result<size_t>(void* out, size_t size)>;

class Snapshot {
 public:
  virtual ~Snapshot() = default;
  virtual Index index() const = 0;
  virtual Status write(const WriteFn& write) = 0;  // [snapshot lane] or [apply lane]
  virtual bool concurrent() const = 0;             // may be written beside apply
};

class Machine {
 public:
  Machine(TypeSource& types, const Limits& limits);
  ~Machine();

  // Applies the next entry (index == applied() + 1), appending to *out. On an error the
  // machine is halted at this entry: nothing after the failing operation has happened,
  // and the same entry may be given again when the cause is gone (a plugin that was
  // missing): it goes on with the failing operation (D10). After RAFTCS_ERR_PLUGIN_FAILED from
  // apply or a hook of a state machine its state is in doubt: every later apply, query and
  // begin_snapshot fails with the same sentence, until restore (RC-05).
  Status apply(const raft::Entry& entry, ApplyOutput* out);
  QueryResult query(ServiceNum service, SessionNum session, const Bytes& data);

  // What a leader asks before it proposes: an operation that fails is one that no replica gets
  // past. Gives the operation the lowest behaviour version of the type here (members may have
  // older files of the plugin), makes an instance and drops it. NOT_FOUND: the type is not here.
  Status try_service(CreateService* op) const;

  Index applied() const;
  Term applied_term() const;
  LogTime time() const;  // of the last applied entry

  // A running hash over (index, operation, reply) since index 1: equal on replicas at equal
  // index; part of snapshots. The first alarm for nondeterminism (RC-08).
  uint64_t state_hash() const;
  // Over the digests of the services whose type offers one, at this moment; nothing: none does,
  // or one failed. May take as long as the plugins take.
  std::optional<uint64_t> digest() const;
  // The earliest cluster time at which a service wants its timer; LogTime::never(): none does.
  LogTime next_timer() const;
  // Does a service follow the presence of sessions?
  bool wants_presence() const;
  // Server-started requests for sessions that were not there.
  uint64_t pushes_dropped() const;

  std::optional<SessionInfo> session(SessionNum num) const;
  std::vector<SessionInfo> sessions() const;  // ordered by number
  std::vector<ServiceInfo> services() const;  // ordered by number
  // Undelivered pushes of a session with ids above `after`, oldest first, bounded.
  // The first is given even if it alone is over bytes_max.
  std::vector<Push> pushes_after(SessionNum session, PushId after, size_t count_max,
                                 size_t bytes_max) const;
  // Sessions silent in the log for their timeout at `now`: what a leader may propose to expire.
  // Ordered by number.
  std::vector<SilentSession> silent_sessions(LogTime now, size_t count_max) const;

  // BAD_STATE while halted in the middle of an entry. The snapshot may outlive the machine.
  Result<std::unique_ptr<Snapshot>> begin_snapshot();
  // Into a machine in any state: all or nothing (on an error the state before stays).
  Status restore(const ReadFn& read);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace raftcs::rsm
