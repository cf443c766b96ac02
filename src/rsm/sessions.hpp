// sessions.hpp: the session table: replicated state, and nothing but state.
//
// Everything here is a function of the log and part of snapshots (SE-01, SE-02). Numbers
// are given once and never again; a session that ended is gone with all it had (SSM-06).
// Pushes are numbered 1, 2, 3 ... per session without gap: the undelivered ones are
// exactly acked + 1 .. last, so their ids follow from their place (SSM-08, SE-13).
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/bytes.hpp"
#include "base/time.hpp"
#include "base/uuid.hpp"
#include "rsm/machine.hpp"
#include "rsm/num_map.hpp"
#include "rsm/replies.hpp"
#include "rsm/ring.hpp"

namespace raftcs::rsm {

struct StoredPush {
  ServiceNum service;  // who made it: its dead letters go there
  LogTime created;
  Bytes payload;
};

struct Session {
  SessionNum num;
  Uuid id;
  Uuid proof;
  HolderId holder;  // the process it belongs to
  uint64_t timeout_ms = 0;
  LogTime created;
  LogTime last_active;
  bool connected = true;  // decision 0019; kept up to date only while a service asks
  RequestId highest_request;
  PushId acked_push;
  uint64_t push_bytes = 0;
  Capabilities capabilities;
  Ring<StoredPush> pushes;
  ReplyCache replies;

  PushId last_push() const { return acked_push + pushes.size(); }
  bool silent_at(LogTime now) const;
  // nullptr as value: with any value.
  bool has_capability(std::string_view name, const char* value) const;
  void acknowledge(PushId up_to);  // cumulative; beyond the last one means the last one
  SessionInfo info() const;
};

constexpr uint64_t kTimeoutMsMax = 366ull * 24 * 3600 * 1000;
constexpr size_t kCapabilitiesMax = 64;
constexpr size_t kCapabilityBytesMax = 4096;  // of a name or a value

// Empty: fine. Else the reason for a refusal, the same sentence on every replica.
std::string refusal_of(const CreateSession& op);

class SessionTable {
 public:
  Session* find(SessionNum num) const { return sessions_.find(num.value); }
  Session* find_by_proof(const Uuid& proof) const;
  bool has_id(const Uuid& id) const { return by_id_.count(id) != 0; }
  size_t size() const { return sessions_.size(); }
  SessionNum next_num() const { return next_; }
  void set_next_num(SessionNum next) { next_ = next; }

  // Requires: id and proof are not in the table. Gives it the next number.
  Session* create(std::unique_ptr<Session> session);
  // With the number it has (snapshots); false if number, id or proof is taken.
  bool insert(std::unique_ptr<Session> session);
  std::unique_ptr<Session> remove(SessionNum num);

  std::vector<const Session*> sorted() const { return sessions_.sorted(); }
  // The session with the lowest number above `after`, or null. Walking all sessions so sorts them
  // once, as long as none ends meanwhile.
  const Session* next_after(SessionNum after);
  template <class F>
  void for_each(F&& f) const {
    sessions_.for_each(std::forward<F>(f));
  }

 private:
  NumMap<Session> sessions_;
  std::unordered_map<Uuid, SessionNum> by_proof_;
  std::unordered_map<Uuid, SessionNum> by_id_;
  SessionNum next_{1};
  std::vector<const Session*> ordered_;  // by number, for next_after; empty: to be made anew
};

}  // namespace raftcs::rsm
