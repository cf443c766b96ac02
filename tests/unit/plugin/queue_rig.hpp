// queue_rig.hpp: the queue plugin, as built, in a machine with time, sessions and presence.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "../../../plugins/common/msgpack_lite.hpp"
#include "plugin/registry.hpp"
#include "rsm/machine.hpp"

namespace raftcs::plugin::queue_test {

using msgpack_lite::Reader;
using msgpack_lite::Writer;

enum Code : int32_t { kOk, kNotFound, kExists, kNotHeld, kMalformed, kTooLarge, kFull, kNotEmpty };

struct JobPush {
  uint64_t session = 0;
  PushId push;
  std::string queue;
  int64_t job = 0;
  int64_t attempt = 0;
  std::string payload;
};

inline JobPush read_push(const rsm::Push& p) {
  JobPush j;
  j.session = p.session.value;
  j.push = p.id;
  Reader in(p.payload.view());
  EXPECT_EQ(in.array(), 6u);
  EXPECT_EQ(in.bytes(), "job");
  j.queue = std::string(in.bytes());
  j.job = in.integer();
  j.attempt = in.integer();
  j.payload = std::string(in.bytes());
  in.integer();
  EXPECT_TRUE(in.done());
  return j;
}

struct Rig {
  explicit Rig(const rsm::Limits& limits = {}, bool fresh = true)
      : registry(nullptr), machine(registry, limits) {
    const auto loaded =
        registry.load_file(std::string(RAFTCS_BINARY_DIR) + "/plugins-out/queue.so");
    EXPECT_TRUE(loaded.is_ok()) << loaded.status().text();
    if (!fresh) return;
    apply({rsm::CreateService{"queue", "org.raftcs.queue"}});
    boss = open({{"role", "boss"}});
  }

  void apply(const std::vector<rsm::Op>& list) {
    rsm::OpsWriter ops;
    for (const auto& op : list) ops.add(op);
    out.clear();
    const Status s = machine.apply({machine.applied().next(), Term(1), raft::EntryType::ops,
                                    LogTime{now_ms * kNsPerMs}, ops.take()},
                                   &out);
    ASSERT_TRUE(s.is_ok()) << s.text();
    for (const rsm::Push& p : out.pushes) got.push_back(read_push(p));
  }
  uint64_t open(rsm::Capabilities capabilities) {
    Uuid id;
    std::memcpy(id.bytes.data(), &++opened, sizeof opened);
    apply({rsm::CreateSession{id, id, 1'000'000'000, std::move(capabilities)}});
    return out.sessions_started.at(0).num.value;
  }
  uint64_t worker(const std::string& queues, const std::string& capacity = "1") {
    return open({{"queue.capacity", capacity}, {"queue.worker", queues}});
  }
  void close(uint64_t session) { apply({rsm::CloseSession{SessionNum(session)}}); }
  void presence(uint64_t session, bool here) {
    const std::vector<SessionNum> one{SessionNum(session)}, none;
    apply({rsm::Presence{here ? one : none, here ? none : one}});
  }
  void acknowledge(uint64_t session) {
    const auto info = machine.session(SessionNum(session));
    if (info) apply({rsm::Acknowledge{SessionNum(session), info->last_push}});
  }
  // Time passes; the leader ticks when a timer is due.
  void pass(int64_t ms) {
    now_ms += ms;
    for (int i = 0; i < 100 && machine.next_timer() <= LogTime{now_ms * kNsPerMs}; ++i)
      apply({rsm::Tick{}});
    EXPECT_GT(machine.next_timer(), LogTime{now_ms * kNsPerMs}) << "timers go on and on";
  }

  int32_t call(uint64_t session, const Writer& command) {
    const RequestId id(++next_id);
    apply({rsm::Command{SessionNum(session), id, id, ServiceNum(1), Bytes::copy(command.str())}});
    reply = out.replies.at(0);
    EXPECT_EQ(reply.kind, rsm::ReplyKind::applied);
    return reply.app_code;
  }
  int64_t first_number() const {
    Reader in(reply.data.view());
    in.array();
    return in.integer();
  }
  rsm::QueryResult ask(const Writer& query) {
    return machine.query(ServiceNum(1), SessionNum(), Bytes::copy(query.str()));
  }

  struct Settings {
    std::string policy = "round_robin";
    int64_t visibility_ms = 1000, grace_ms = 100, attempts_max = 3, jobs_max = 1000;
  };
  int32_t create(const std::string& name) { return create(name, Settings()); }
  int32_t create(const std::string& name, const Settings& s, const char* op = "create") {
    Writer w;
    w.array(7).text(op).bytes(name).text(s.policy).integer(s.visibility_ms);
    w.integer(s.grace_ms).integer(s.attempts_max).integer(s.jobs_max);
    return call(boss, w);
  }
  int64_t put(const std::string& name, const std::string& payload, int64_t priority = 0,
              int64_t delay_ms = 0) {
    Writer w;
    w.array(5).text("put").bytes(name).bytes(payload).integer(priority).integer(delay_ms);
    const int32_t code = call(boss, w);
    return code == kOk ? first_number() : -code;
  }
  int32_t done(const JobPush& j) { return done(j.session, j.job, j.attempt); }
  int32_t done(uint64_t session, int64_t job, int64_t attempt) {
    Writer w;
    w.array(3).text("done").integer(job);
    attempt == 0 ? w.nil() : w.integer(attempt);
    return call(session, w);
  }
  int32_t fail(const JobPush& j, const std::string& reason, int64_t retry_ms = 0) {
    Writer w;
    w.array(5).text("fail").integer(j.job).integer(j.attempt).bytes(reason).integer(retry_ms);
    return call(j.session, w);
  }
  int32_t extend(const JobPush& j, int64_t ms) {
    Writer w;
    w.array(4).text("extend").integer(j.job).integer(j.attempt).integer(ms);
    return call(j.session, w);
  }
  int32_t about(const std::string& op, const std::string& name) {
    Writer w;
    w.array(2).text(op).bytes(name);
    return call(boss, w);
  }
  // Jobs given out since the last call, as "session:payload".
  std::vector<std::string> given() {
    std::vector<std::string> all;
    for (const JobPush& j : got) all.push_back(std::to_string(j.session) + ":" + j.payload);
    got.clear();
    return all;
  }
  // waiting, delayed, assigned, dead, enqueued, done, failed, timed_out, moved, died, purged
  std::map<std::string, int64_t> stats(const std::string& name) {
    Writer w;
    w.array(2).text("queues").bytes(name);
    const auto r = ask(w);
    std::map<std::string, int64_t> all;
    if (r.app_code != kOk) return all;
    Reader in(r.data.view());
    in.array();
    in.array();
    in.bytes();
    in.bytes();
    for (int i = 0; i < 4; ++i) in.integer();
    in.boolean();
    for (const char* key : {"waiting", "delayed", "assigned", "dead", "enqueued", "done", "failed",
                            "timed_out", "moved", "died", "purged"})
      all[key] = in.integer();
    EXPECT_TRUE(in.done());
    return all;
  }
  std::string snapshot() {
    std::string bytes;
    auto s = machine.begin_snapshot();
    EXPECT_TRUE((*s)->write([&](const void* p, size_t n) {
                      bytes.append(static_cast<const char*>(p), n);
                      return true;
                    })
                    .is_ok());
    return bytes;
  }
  void restore(const std::string& bytes) {
    size_t at = 0;
    const Status s = machine.restore([&](void* p, size_t n) -> Result<size_t> {
      n = std::min(n, bytes.size() - at);
      std::memcpy(p, bytes.data() + at, n);
      at += n;
      return n;
    });
    EXPECT_TRUE(s.is_ok()) << s.text();
  }
  // Another node with the same log so far.
  std::unique_ptr<Rig> copy(const rsm::Limits& limits = {}) {
    auto other = std::make_unique<Rig>(limits, false);
    other->restore(snapshot());
    other->boss = boss;
    other->now_ms = now_ms;
    other->next_id = next_id;
    other->opened = opened;
    return other;
  }

  Registry registry;
  rsm::Machine machine;
  rsm::ApplyOutput out;
  rsm::Reply reply;
  std::vector<JobPush> got;
  uint64_t boss = 0, next_id = 0, opened = 0;
  int64_t now_ms = 0;
};

}  // namespace raftcs::plugin::queue_test
