// session_model.hpp: what the committed log says, told again as simply as the rules.
//
// Fed with each committed entry once, in order; knows maps and nothing of rsm but its codec.
// For every index it keeps what the entry had to bring about and a digest of the table of
// sessions, so that each node is compared at whatever index it stands, also after a restore.
// This is how X1..X7, X9, X10 and X12 of the test plan are checked on every seed: a node that
// differs from the model in one reply, push, beginning or end fails the run.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "rsm/machine.hpp"
#include "sim/ledger_machine.hpp"

namespace raftcs::sim {

struct Expected {  // of one entry
  struct Started {
    SessionNum num;
    Uuid id;
    bool existed = false;
  };
  std::vector<rsm::Reply> replies;
  std::vector<rsm::SessionEnded> ended;
  std::vector<Started> started;
  std::vector<rsm::Push> pushes;
  std::vector<rsm::TakenOver> takeovers;
};

class SessionModel {
 public:
  explicit SessionModel(const rsm::Limits& limits);

  Index applied() const { return Index(expected_.size() - 1); }
  // Empty, or which rule the entry breaks. What services other than the ledger answer and push
  // is not known here: it is taken from `truth`, the outcome of the same entry elsewhere.
  std::string apply(const raft::Entry& entry, const rsm::ApplyOutput* truth = nullptr);
  // Empty, or how the outcome of the entries (from, to] differs from what they say.
  std::string compare(const rsm::ApplyOutput& output, Index from, Index to) const;
  // Of the table of sessions after an entry; equal to digest_of of a machine at that index.
  uint64_t digest_at(Index index) const { return digests_[index.value]; }
  static uint64_t digest_of(const std::vector<rsm::SessionInfo>& sessions);
  // Whether a session with this id has begun and ended.
  bool has_ended(const Uuid& id) const { return ended_.contains(id); }
  uint64_t expired() const { return expired_; }
  size_t sessions() const { return sessions_.size(); }
  bool is_live(const Uuid& id) const;
  LogTime time() const { return now_; }
  const std::vector<LedgerOp>& ledger() const { return ledger_; }
  // How long that was after an entry.
  uint64_t ledger_at(Index index) const { return ledger_at_[index.value]; }
  const std::map<std::string, uint64_t>& kinds() const { return kinds_; }

 private:
  struct CachedReply {
    std::string payload;  // service and bytes
    rsm::Reply reply;
  };
  struct Session {
    rsm::SessionInfo info;
    Term heard_in;  // the term of last_active
    uint64_t floor = 1;
    std::map<uint64_t, CachedReply> replies;
    std::map<PushId, uint64_t> push_bytes;  // of those that are not acknowledged
    Index made_in;  // the entry for which these three are kept: see has_place
    uint64_t made = 0, counted = 0, uncounted = 0;
  };

  void on(const rsm::CreateSession& op);
  void on(const rsm::CloseSession& op);
  void on(const rsm::Tick& op);
  void on(const rsm::Presence& op);
  void on(const rsm::Command& op);
  void on(const rsm::Acknowledge& op);
  void on(const rsm::Touch& op);
  void on(const rsm::Expire& op);
  void on(const rsm::CreateService& op);
  void on(const rsm::RaiseVersion&) {}
  void on(const rsm::TakeOver& op);
  rsm::Reply decide(Session& s, const rsm::Command& op);
  bool has_place(Session& s, RequestId id);
  void run_ledger(Session& s, const rsm::Command& op, rsm::Reply* reply);
  void take_pushes(const std::vector<rsm::Push>& pushes);
  void end(uint64_t num, int32_t reason);
  void heard(Session& s);
  Session* find(SessionNum num);

  rsm::Limits limits_;
  std::map<uint64_t, Session> sessions_;
  std::set<Uuid> ended_;
  std::vector<std::string> services_;  // by number, from 1
  const rsm::ApplyOutput* truth_ = nullptr;
  std::set<std::pair<uint64_t, uint64_t>> ran_;
  std::vector<LedgerOp> ledger_;
  std::vector<uint64_t> ledger_at_;  // [index]
  std::vector<Expected> expected_;  // [index]
  std::vector<uint64_t> digests_;
  std::map<std::string, uint64_t> kinds_;  // what happened how often
  std::string broken_;
  uint64_t next_num_ = 1;
  uint64_t expired_ = 0;
  Index index_;
  LogTime now_;
  Term term_;
};

}  // namespace raftcs::sim
