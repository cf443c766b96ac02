// Exactly once: duplicates, eviction, misuse, limits, batches, failures.
#include "rsm/replies.hpp"
#include "support.hpp"

namespace raftcs::rsm::testing {

TEST(Commands, T_M01_T_M06_DuplicateGetsTheFirstReplyAndDoesNotRun) {
  Rig rig;
  rig.begin(1);
  const Reply first = rig.one(cmd(1, 1, "a"));
  EXPECT_EQ(first.kind, ReplyKind::applied);
  EXPECT_EQ(first.data.view(), "2:a");  // line 1 is "started 1"
  const Reply again = rig.one(cmd(1, 1, "a"));
  EXPECT_EQ(again.kind, ReplyKind::duplicate);
  EXPECT_EQ(again.data, first.data);
  EXPECT_EQ(again.index, first.index);
  EXPECT_EQ(rig.lines(), "v1|started 1|a");
}

TEST(Commands, X12_SameIdWithAnotherPayloadOrServiceIsMisuse) {
  Rig rig;
  rig.begin(1);
  rig.apply({CreateService{"other", "org.test.scribe"}});
  rig.one(cmd(1, 1, "a"));
  EXPECT_EQ(rig.one(cmd(1, 1, "b")).kind, ReplyKind::misuse);
  EXPECT_EQ(rig.one(cmd(1, 1, "a", 1, 2)).kind, ReplyKind::misuse);
  EXPECT_EQ(rig.one(cmd(1, 1, "a")).kind, ReplyKind::duplicate);
  EXPECT_EQ(rig.lines(), "v1|started 1|a");
}

TEST(Commands, T_M02_DifferentIdsBothRun) {
  Rig rig;
  rig.begin(1);
  rig.apply({cmd(1, 5, "five"), cmd(1, 8, "eight"), cmd(1, 6, "six")});  // out of order, a gap
  ASSERT_EQ(rig.out.replies.size(), 3u);
  EXPECT_EQ(rig.out.replies[2].data.view(), "4:six");
  EXPECT_EQ(rig.machine.session(SessionNum(1))->highest_request, RequestId(8));
}

TEST(Commands, T_M03_BelowTheFloorIsEvictedAndNeverRuns) {
  Rig rig;
  rig.begin(1);
  rig.one(cmd(1, 1, "a"));
  rig.one(cmd(1, 5, "e", 5));
  EXPECT_EQ(rig.one(cmd(1, 1, "a")).kind, ReplyKind::evicted);
  EXPECT_EQ(rig.one(cmd(1, 3, "never there")).kind, ReplyKind::evicted);
  EXPECT_EQ(rig.one(cmd(1, 0, "zero")).kind, ReplyKind::evicted);
  EXPECT_EQ(rig.lines(), "v1|started 1|a|e");
}

TEST(Commands, T_M04_LowestPendingEvictsOnDuplicatesToo) {
  Rig rig;
  rig.begin(1);
  for (uint64_t id = 1; id <= 4; ++id) rig.one(cmd(1, id, "x"));
  EXPECT_EQ(rig.machine.session(SessionNum(1))->replies_cached, 4u);
  EXPECT_EQ(rig.one(cmd(1, 4, "x", 2)).kind, ReplyKind::duplicate);
  EXPECT_EQ(rig.machine.session(SessionNum(1))->replies_cached, 3u);
  EXPECT_EQ(rig.one(cmd(1, 1, "x")).kind, ReplyKind::evicted);
  EXPECT_EQ(rig.one(cmd(1, 2, "x")).kind, ReplyKind::duplicate);
}

TEST(Commands, T_M22_LowestAboveOwnIdIsClampedAndNeverGoesBack) {
  Rig rig;
  rig.begin(1);
  EXPECT_EQ(rig.one(cmd(1, 3, "c", 100)).kind, ReplyKind::applied);
  EXPECT_EQ(rig.one(cmd(1, 3, "c", 100)).kind, ReplyKind::duplicate);  // W-M6: still there
  EXPECT_EQ(rig.one(cmd(1, 4, "d", 1)).kind, ReplyKind::applied);
  EXPECT_EQ(rig.one(cmd(1, 2, "b", 1)).kind, ReplyKind::evicted);  // the floor stays at 3
}

TEST(Commands, T_M05_ApplicationRefusalIsCachedLikeAResult) {
  Rig rig;
  rig.begin(1);
  const Reply first = rig.one(cmd(1, 1, "no way"));
  EXPECT_EQ(first.kind, ReplyKind::applied);
  EXPECT_EQ(first.app_code, 7);
  const Reply again = rig.one(cmd(1, 1, "no way"));
  EXPECT_EQ(again.kind, ReplyKind::duplicate);
  EXPECT_EQ(again.app_code, 7);
  EXPECT_EQ(again.data.view(), "refused");
}

TEST(Commands, X5_UnknownSessionLeavesNothing) {
  Rig rig;
  rig.begin(1);
  const std::string before = rig.lines();
  EXPECT_EQ(rig.one(cmd(9, 1, "x")).kind, ReplyKind::unknown_session);
  EXPECT_EQ(rig.one(cmd(0, 1, "x")).kind, ReplyKind::unknown_session);
  EXPECT_EQ(rig.lines(), before);
  EXPECT_EQ(rig.machine.sessions().size(), 1u);
}

TEST(Commands, UnknownServiceStaysRefusedWhenTheServiceComesLater) {
  Rig rig;
  rig.begin(1);
  EXPECT_EQ(rig.one(cmd(1, 1, "x", 1, 2)).kind, ReplyKind::unknown_service);
  rig.apply({CreateService{"two", "org.test.scribe"}});
  EXPECT_EQ(rig.one(cmd(1, 1, "x", 1, 2)).kind, ReplyKind::unknown_service);  // X3
  EXPECT_EQ(rig.one(cmd(1, 2, "x", 1, 2)).kind, ReplyKind::applied);
  EXPECT_EQ(rig.one(cmd(1, 3, "x", 1, 0)).kind, ReplyKind::unknown_service);
}

TEST(Commands, DuplicateInsideOneEntryIsAnsweredAfterTheFirst) {
  Rig rig;
  rig.begin(2);
  rig.apply({cmd(1, 1, "a"), cmd(2, 1, "b"), cmd(1, 1, "a"), cmd(1, 1, "z"), cmd(9, 1, "q"),
             cmd(1, 2, "c", 2)});
  ASSERT_EQ(rig.out.replies.size(), 6u);
  EXPECT_EQ(rig.out.replies[0].data.view(), "3:a");
  EXPECT_EQ(rig.out.replies[1].data.view(), "4:b");
  EXPECT_EQ(rig.out.replies[2].kind, ReplyKind::duplicate);
  EXPECT_EQ(rig.out.replies[2].data.view(), "3:a");
  EXPECT_EQ(rig.out.replies[3].kind, ReplyKind::misuse);
  EXPECT_EQ(rig.out.replies[4].kind, ReplyKind::unknown_session);
  EXPECT_EQ(rig.out.replies[5].data.view(), "5:c");
}

TEST(Commands, ReplyEvictedByItsOwnBatchIsAnsweredButNotKept) {
  Rig rig;
  rig.begin(1);
  rig.apply({cmd(1, 1, "a"), cmd(1, 2, "b", 2)});
  EXPECT_EQ(rig.out.replies[0].data.view(), "2:a");
  EXPECT_EQ(rig.machine.session(SessionNum(1))->replies_cached, 1u);
  EXPECT_EQ(rig.one(cmd(1, 1, "a", 2)).kind, ReplyKind::evicted);
}

TEST(Commands, CommandWithoutReplyIsAnsweredEmpty) {
  Rig rig;
  rig.begin(1);
  const Reply r = rig.one(cmd(1, 1, "silent one"));
  EXPECT_EQ(r.kind, ReplyKind::applied);
  EXPECT_EQ(r.app_code, 0);
  EXPECT_TRUE(r.data.empty());
  EXPECT_EQ(rig.one(cmd(1, 1, "silent one")).kind, ReplyKind::duplicate);
}

TEST(Commands, WindowOfRepliesIsBoundedAndNotFinal) {
  Limits limits;
  limits.replies_max = 4;
  Rig rig(limits);
  rig.begin(1);
  for (uint64_t id = 1; id <= 4; ++id)
    EXPECT_EQ(rig.one(cmd(1, id, "x")).kind, ReplyKind::applied);
  EXPECT_EQ(rig.one(cmd(1, 5, "x")).kind, ReplyKind::too_many_replies);
  EXPECT_EQ(rig.one(cmd(1, 5, "x", 2)).kind, ReplyKind::applied);  // collected: now it runs
  EXPECT_EQ(rig.one(cmd(1, 1'000'000, "far", 1'000'000)).kind, ReplyKind::applied);
}

// They are counted at places in the entry: the same decisions whether it is one batch or many.
TEST(Commands, BytesOfRepliesAreBoundedWhereverBatchesAreCut) {
  Limits limits;
  limits.reply_bytes_max = 100;  // more than one group of replies, less than two
  Rig one(limits), many(limits);
  for (Rig* rig : {&one, &many}) {
    rig->begin(1);
    rig->apply({CreateService{"two", "org.test.scribe"}});
  }
  std::vector<Op> whole, cut;
  for (uint64_t id = 1; id <= 3 * kUncountedMax; ++id) {
    whole.emplace_back(cmd(1, id, "aaaaaa"));
    cut.emplace_back(cmd(1, id, "aaaaaa", 1, 1 + id % 2));
  }
  one.apply(whole);
  many.apply(cut);
  for (Rig* rig : {&one, &many}) {
    for (const Reply& r : rig->out.replies)
      EXPECT_EQ(r.kind, r.id.value <= 2 * kUncountedMax ? ReplyKind::applied
                                                        : ReplyKind::too_many_replies);
    EXPECT_EQ(rig->one(cmd(1, 20, "d")).kind, ReplyKind::too_many_replies);
    EXPECT_EQ(rig->one(cmd(1, 20, "d", 20)).kind, ReplyKind::applied);
  }
}

// One entry must not make more than memory holds: it is committed, and would do it again after
// each restart.
TEST(Commands, OneEntryMakesNoMoreRepliesThanTheLimitAndOneGroup) {
  Limits limits;
  limits.reply_bytes_max = 10'000;
  const std::string kilobyte(1'000, 'k');
  for (const bool gives_up : {false, true}) {  // what it made is sent, also what it need not keep
    Rig rig(limits);
    rig.begin(1);
    std::vector<Op> ops;
    for (uint64_t id = 1; id <= 1'000; ++id)
      ops.emplace_back(cmd(1, id, kilobyte, gives_up ? id : 1));
    rig.apply(ops);
    uint64_t bytes = 0, ran = 0;
    for (const Reply& r : rig.out.replies) {
      bytes += r.data.size();
      ran += r.kind == ReplyKind::applied;
    }
    EXPECT_EQ(ran, 2 * kUncountedMax);
    EXPECT_LE(bytes, limits.reply_bytes_max + kUncountedMax * 1'010);
    EXPECT_EQ(rig.one(cmd(1, 1'000, kilobyte, 1'000)).kind, ReplyKind::applied);
  }
}

// The lowest id waits for another entry at most, whatever stands before it there.
TEST(Commands, TheLowestUnansweredIdRunsInTheNextEntryAtLast) {
  Limits limits;
  limits.reply_bytes_max = 10;
  Rig rig(limits);
  rig.begin(1);
  std::vector<Op> ops;
  for (uint64_t id = 2; id <= 40; ++id) ops.emplace_back(cmd(1, id, "x"));
  ops.emplace_back(cmd(1, 1, "low"));
  rig.apply(ops);
  EXPECT_EQ(rig.out.replies.back().kind, ReplyKind::too_many_replies);
  rig.apply(ops);  // those that ran are duplicates, the others are refused again
  EXPECT_EQ(rig.out.replies[kUncountedMax].kind, ReplyKind::too_many_replies);
  EXPECT_EQ(rig.out.replies.back().kind, ReplyKind::applied);
}

namespace {
std::vector<uint32_t> g_batches;  // commands of each

const raftcs_sm_type_t* counting_type() {
  static raftcs_sm_type_t type = *raftcs_sm::type_of<Scribe>();
  type.id = "org.test.batches";
  type.apply = [](void* sm, const raftcs_apply_batch_t* batch, const raftcs_sink_t* sink) {
    g_batches.push_back(batch->count);
    return raftcs_sm::type_of<Scribe>()->apply(sm, batch, sink);
  };
  return &type;
}

// An entry with `each` commands of each session, in turn or one session after the other.
std::vector<uint32_t> batches_of(uint64_t sessions, uint64_t each, bool in_turn) {
  Rig rig;
  rig.types.add(counting_type());
  rig.apply({CreateService{"b", "org.test.batches"}});
  for (uint64_t i = 1; i <= sessions; ++i) rig.apply({new_session(i)});
  std::vector<Op> ops;
  for (uint64_t i = 0; i < sessions * each; ++i)
    ops.emplace_back(in_turn ? cmd(1 + i % sessions, 1 + i / sessions, "x")
                             : cmd(1 + i / each, 1 + i % each, "x"));
  g_batches.clear();
  for (const Reply& r : rig.apply(ops).replies) EXPECT_EQ(r.kind, ReplyKind::applied);
  return g_batches;
}
}  // namespace

// A batch is cut for a count only while it holds commands of the session that is counted.
TEST(Commands, CountingRepliesLeavesBatchesLarge) {
  EXPECT_EQ(batches_of(128, 8, false), std::vector<uint32_t>{1024});
  EXPECT_EQ(batches_of(128, 8, true), std::vector<uint32_t>{1024});
  EXPECT_EQ(batches_of(16, 64, true), std::vector<uint32_t>(8, 16 * kUncountedMax));
  EXPECT_EQ(batches_of(1, 1024, false), std::vector<uint32_t>(128, kUncountedMax));
  EXPECT_EQ(batches_of(16, 64, false).size(), 16 * 7 + 1u);
}

// It holds up all that could free the bytes: it must never be refused for them.
TEST(Commands, TheLowestUnansweredIdRunsThoughTheBytesAreUsedUp) {
  Limits limits;
  limits.reply_bytes_max = 10;
  Rig rig(limits);
  rig.begin(1);
  EXPECT_EQ(rig.one(cmd(1, 2, "aaaaaa", 1)).kind, ReplyKind::applied);
  EXPECT_EQ(rig.one(cmd(1, 3, "bbbbbb", 1)).kind, ReplyKind::applied);
  EXPECT_EQ(rig.one(cmd(1, 4, "c", 1)).kind, ReplyKind::too_many_replies);
  EXPECT_EQ(rig.one(cmd(1, 1, "x", 1)).kind, ReplyKind::applied);
  EXPECT_EQ(rig.one(cmd(1, 4, "c", 4)).kind, ReplyKind::applied);
}

TEST(Commands, RepliesAndPushesAreNoLargerThanAnyClientTakes) {
  Rig rig;
  rig.begin(1);
  const std::string most = std::to_string(kAnswerBytesMax);
  const Reply fits = rig.one(cmd(1, 1, "large " + most, 1));
  EXPECT_EQ(fits.app_code, 0);
  EXPECT_EQ(fits.data.size(), kAnswerBytesMax);
  ASSERT_EQ(rig.out.pushes.size(), 1u);
  EXPECT_EQ(rig.out.pushes[0].payload.size(), kAnswerBytesMax);
  const std::string more = std::to_string(kAnswerBytesMax + 1);
  const Reply refused = rig.one(cmd(1, 2, "large " + more, 2));
  EXPECT_EQ(refused.kind, ReplyKind::applied);
  EXPECT_EQ(refused.data.view(), "both refused");
  EXPECT_TRUE(rig.out.pushes.empty());
}

TEST(Commands, RC05_FailureOfApplyHaltsAndNothingOfTheBatchLeaves) {
  for (const char* poison : {"bad", "throw", "boom 1 x"}) {
    Rig rig;
    rig.begin(2);
    const Status status = rig.try_apply({cmd(1, 1, "fine", 1), new_session(3), cmd(1, 2, "a"),
                                         cmd(1, 3, "push 2 hello"), cmd(2, 1, poison)});
    EXPECT_EQ(status.code(), RAFTCS_ERR_PLUGIN_FAILED);
    EXPECT_NE(status.text().find("service 'notes' (org.test.scribe) failed in apply at entry 4"),
              std::string::npos)
        << status.text();
    ASSERT_EQ(rig.out.replies.size(), 1u);  // of the batch before
    EXPECT_TRUE(rig.out.pushes.empty());
    EXPECT_TRUE(rig.machine.pushes_after(SessionNum(2), PushId(0), 10, 100).empty());
    EXPECT_EQ(rig.machine.applied(), Index(3));
    // Never skipped, never guessed, never saved.
    EXPECT_EQ(rig.try_apply({cmd(1, 9, "later")}).text(), status.text());
    EXPECT_FALSE(rig.machine.begin_snapshot().is_ok());
    EXPECT_FALSE(rig.machine.query(ServiceNum(1), SessionNum(1), {}).status.is_ok());
  }
}

TEST(Commands, RC08_UnknownOperationHaltsWhereItStands) {
  Rig rig;
  rig.begin(1);
  OpsWriter good;
  good.add(cmd(1, 1, "a"));
  std::vector<uint8_t> bytes;
  const Bytes first = good.take();
  bytes.assign(first.begin(), first.end());
  bytes.push_back(200);
  bytes.push_back(0);
  raft::Entry e = rig.entry_of({});
  e.payload = Bytes::adopt(std::move(bytes));
  rig.out.clear();
  const Status status = rig.machine.apply(e, &rig.out);
  EXPECT_EQ(status.code(), RAFTCS_ERR_VERSION_MISMATCH);
  EXPECT_EQ(rig.out.replies.size(), 1u);
  EXPECT_EQ(rig.machine.begin_snapshot().status().code(), RAFTCS_ERR_BAD_STATE);
  rig.out.clear();
  EXPECT_FALSE(rig.machine.apply(e, &rig.out).is_ok());
  EXPECT_TRUE(rig.out.replies.empty());  // goes on with the failing operation
  EXPECT_EQ(rig.lines(), "v1|started 1|a");
}

TEST(Commands, QueriesNeitherPushNorPoison) {
  Rig rig;
  rig.begin(1);
  EXPECT_EQ(rig.machine.query(ServiceNum(1), SessionNum(1), Bytes::copy("throw")).status.code(),
            RAFTCS_ERR_PLUGIN_FAILED);
  EXPECT_FALSE(rig.machine.query(ServiceNum(1), SessionNum(1), Bytes::copy("push")).status.is_ok());
  EXPECT_EQ(rig.machine.query(ServiceNum(7), SessionNum(1), {}).status.code(),
            RAFTCS_ERR_NOT_FOUND);
  EXPECT_EQ(rig.one(cmd(1, 1, "a")).kind, ReplyKind::applied);
  EXPECT_TRUE(rig.machine.pushes_after(SessionNum(1), PushId(0), 10, 100).empty());
}

TEST(Commands, StateHashSeesRepliesAndNotBatches) {
  Rig a, b, c;
  for (Rig* rig : {&a, &b, &c}) rig->begin(1);
  EXPECT_EQ(a.machine.state_hash(), b.machine.state_hash());
  a.one(cmd(1, 1, "x"));
  b.one(cmd(1, 1, "x"));
  c.one(cmd(1, 1, "y"));
  EXPECT_EQ(a.machine.state_hash(), b.machine.state_hash());
  EXPECT_NE(a.machine.state_hash(), c.machine.state_hash());
  Limits other;
  other.sessions_max = 7;
  EXPECT_NE(Rig(other).machine.state_hash(), Rig().machine.state_hash());
}

}  // namespace raftcs::rsm::testing
