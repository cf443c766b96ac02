// ops.hpp: what an ops entry of the log can say, and its bytes.
//
// An entry's payload is a sequence of operations, each `kind(u8) length(varint) body`,
// applied in order. Only what must be agreed is here (decision D4): sessions, commands,
// cumulative acknowledgements, who was heard of, services. Keep-alives, continues,
// queries and redelivery are not. An unknown kind stops applying (RC-08): a replica never
// guesses. The format is described in docs/storage-format-ops.md; kinds are never renumbered.
#pragma once

#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/byte_io.hpp"
#include "base/bytes.hpp"
#include "base/holder.hpp"
#include "base/result.hpp"
#include "base/strong_id.hpp"
#include "base/uuid.hpp"

namespace raftcs::rsm {

using Capabilities = std::vector<std::pair<std::string, std::string>>;  // sorted by name, unique

// Answered by SessionStarted. The same proof again gives the same session (idempotent
// create, SE-08); the leader chose the id.
struct CreateSession {
  Uuid id;
  Uuid proof;  // the client's secret; continuing the session takes it
  uint64_t timeout_ms = 0;
  Capabilities capabilities;
};
struct CloseSession {
  SessionNum session;
};
struct Command {
  SessionNum session;
  RequestId id;
  RequestId lowest_pending;  // replies below it are collected and may be given up
  ServiceNum service;
  Bytes payload;
};
struct Acknowledge {  // cumulative: server-started requests up to here are done
  SessionNum session;
  PushId up_to;
};
// The leader heard of these sessions since the touch before: replicated liveness, written a
// few times per session timeout and only for sessions without commands in between.
struct Touch {
  std::vector<SessionNum> sessions;
};
// The leader's proposal; a session ends only if, by the entry's time, it has been silent in
// the log for its timeout (D5). Otherwise the proposal has no effect.
struct Expire {
  std::vector<SessionNum> sessions;
};
struct CreateService {
  std::string name;
  std::string type;            // id of a raftcs_sm_type_t
  uint32_t apply_version = 1;  // the behaviour it begins with (plugin ABI: apply_version)
};
// Raises the behaviour version of a service on every replica at the same entry. A replica whose
// plugin does not cover it stops there and says so (D10). Never lowers.
struct RaiseVersion {
  ServiceNum service;
  uint32_t apply_version = 0;
};
// Another process takes the session. Has an effect only if its holder's generation is higher than
// that of the present one, so the order in the log decides between several (decision 0021).
struct TakeOver {
  SessionNum session;
  HolderId holder;
};

// The leader's cluster time has reached the earliest timer of some service. Which timers run is
// decided by the entry's time (decision 0018); without one that is due it has no effect.
struct Tick {};
// The leader's clients came or went for longer than a moment: replicated, so that state machines
// can act on it. Written only while a service asks for it (decision 0019).
struct Presence {
  std::vector<SessionNum> connected;
  std::vector<SessionNum> gone;
};

using Op = std::variant<CreateSession, CloseSession, Command, Acknowledge, Touch, Expire,
                        CreateService, RaiseVersion, Tick, Presence, TakeOver>;

// Appends operations to one payload. `command` takes the payload as a slice: this is the
// one copy a command's bytes make on a leader.
class OpsWriter {
 public:
  explicit OpsWriter(size_t reserve = 0) : out_(reserve) {}
  void add(const Op& op);
  void add_command(SessionNum session, RequestId id, RequestId lowest_pending, ServiceNum service,
                   const void* payload, size_t size);
  size_t size() const { return out_.size(); }
  bool empty() const { return out_.size() == 0; }
  Bytes take() { return out_.take_bytes(); }

 private:
  ByteWriter out_;
};

// Walks a payload; slices share its owner. next() is false at the end or when the bytes are
// not what they should be: then failed() is true.
class OpsReader {
 public:
  explicit OpsReader(Bytes payload, size_t offset = 0);
  bool next(Op* op);
  bool failed() const { return failed_; }
  // Offset of the next operation; after a failure, of the one that failed.
  size_t position() const;

 private:
  ByteReader in_;
  size_t base_ = 0;
  size_t failed_at_ = 0;
  bool failed_ = false;
};

}  // namespace raftcs::rsm
