// applier.hpp: how committed entries change the State.
//
// Commands to one service that follow each other go to the plugin as one batch. A batch is
// run (flush) before anything that depends on its results: another service, a session or
// service operation, a duplicate of an id that is in it, the count of a session's replies (see
// replies.hpp), the end of the entry. Replies keep the order of the operations: each takes its
// place in the output when it is read and is filled in when its batch ran.
//
// No decision may depend on where batches are cut: a later version may cut otherwise.
//
// Two kinds of halt. Resumable: the failing operation changed nothing (a type is missing, an
// operation is not understood); the same entry goes on from there. Final: a state machine
// failed in apply or in a hook, so its state is in doubt; nothing more is applied, asked or
// saved until restore (RC-05).
#pragma once

#include <string>
#include <vector>

#include "rsm/machine.hpp"
#include "rsm/ops.hpp"
#include "rsm/state.hpp"

namespace raftcs::rsm {

class Applier {
 public:
  Applier(TypeSource& types, State& state) : types_(types), s_(state) {}

  Status apply(const raft::Entry& entry, ApplyOutput* out);
  const Status& failed() const { return failed_; }
  bool inside_entry() const { return resume_at_ != 0; }
  void reset();  // after restore

 private:
  struct Waiting {  // a command of the batch
    Session* session;
    RequestId id;
    uint64_t digest;
    size_t reply_at;  // its place in out_->replies
  };
  struct Call;  // what the sink of one call into a plugin needs

  // applier.cpp
  Status apply_ops(const raft::Entry& entry);
  Status apply_op(Op& op, const uint8_t* bytes, size_t size);
  void hash_replies();
  void hash_op(const uint8_t* bytes, size_t size, uint64_t outcome);

  // commands.cpp
  Status command(const Command& op);
  Status count(ReplyCache& replies);
  void add_reply(const Command& op, uint64_t digest, ReplyKind kind, int32_t app_code, Bytes data,
                 Index index);
  Status enqueue(const Command& op, Session* session, Service* service, uint64_t digest);
  Status flush();
  void publish_batch();

  // hooks.cpp
  static raftcs_status_t sink_reply(const raftcs_sink_t* sink, uint32_t entry, int32_t app_code,
                                    const void* data, size_t len);
  static raftcs_status_t sink_push(const raftcs_sink_t* sink, uint64_t session, const void* data,
                                   size_t len);
  static raftcs_status_t sink_next_session(const raftcs_sink_t* sink, uint64_t after,
                                           const char* name, const char* value,
                                           raftcs_live_session_t* out);
  raftcs_status_t push(Service* service, SessionNum to, const void* data, size_t len);
  void drop_pushes_from(size_t first);
  void hash_pushes_from(size_t first);
  using Hook = decltype(raftcs_sm_type_t::session_started);
  template <class F>
  Status hook_call(Service* service, const char* function, F&& run);
  Status session_hook(Service* service, const char* function, Hook hook, const Session& session,
                      int32_t end_reason);
  Result<bool> timer_is_due(const Service& service);
  Status run_timer(Service* service);

  // session_ops.cpp
  Status on(const CreateSession& op, uint64_t* outcome);
  Status on(const CloseSession& op, uint64_t* outcome);
  Status on(const Acknowledge& op, uint64_t* outcome);
  Status on(const Touch& op, uint64_t* outcome);
  Status on(const Expire& op, uint64_t* outcome);
  Status on(const CreateService& op, uint64_t* outcome);
  Status on(const RaiseVersion& op, uint64_t* outcome);
  Status on(const Tick& op, uint64_t* outcome);
  Status on(const Presence& op, uint64_t* outcome);
  Status set_connected(SessionNum num, bool connected, uint64_t* outcome);
  Status on(const TakeOver& op, uint64_t* outcome);
  Status on(const Command&, uint64_t*) { return Status::ok(); }  // goes to command()
  Status end_session(SessionNum num, int32_t reason);

  TypeSource& types_;
  State& s_;
  Status failed_;
  size_t resume_at_ = 0;

  // Of the entry at hand.
  Index index_;
  LogTime now_;
  ApplyOutput* out_ = nullptr;
  size_t replies_hashed_ = 0;            // places of out_->replies that are in the hash
  std::vector<uint64_t> reply_digests_;  // of the places after them
  // The batch.
  Service* batch_service_ = nullptr;
  size_t batch_reply_first_ = 0;
  size_t batch_push_first_ = 0;
  std::vector<Waiting> waiting_;
  std::vector<raftcs_command_t> commands_;
  std::vector<uint8_t> replied_;
};

// What a sink points at during one call into a plugin.
struct Applier::Call {
  Call(Applier* owner, Service* from, bool replies);
  raftcs_sink_t sink{};
  Applier* applier;
  Service* service;
  bool out_of_memory = false;
  std::vector<const char*> names, values;  // of the session that next_session gave last
};

}  // namespace raftcs::rsm
