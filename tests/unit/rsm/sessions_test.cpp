// Sessions: creation, activity, expiry, hooks, pushes, services.
#include "support.hpp"

namespace raftcs::rsm::testing {

TEST(Sessions, SE08_SameProofGivesTheSameSession) {
  Rig rig;
  rig.begin(0);
  rig.apply({new_session(7, 1000, {{"a", "1"}})});
  ASSERT_EQ(rig.out.sessions_started.size(), 1u);
  EXPECT_EQ(rig.out.sessions_started[0].num, SessionNum(1));
  EXPECT_FALSE(rig.out.sessions_started[0].existed);
  CreateSession again = new_session(7);
  again.id = uuid_of(99);  // another leader chose another id
  rig.apply({again});
  EXPECT_EQ(rig.out.sessions_started[0].num, SessionNum(1));
  EXPECT_EQ(rig.out.sessions_started[0].id, uuid_of(7));
  EXPECT_TRUE(rig.out.sessions_started[0].existed);
  EXPECT_EQ(rig.lines(), "v1|started 1 a=1");  // one hook
}

TEST(Sessions, RefusalsAreSentences) {
  Limits limits;
  limits.sessions_max = 1;
  Rig rig(limits);
  rig.begin(0);
  const std::vector<CreateSession> bad = {
      new_session(1, 0), CreateSession{uuid_of(1), Uuid{}, 1000, {}},
      new_session(1, 1000, {{"b", ""}, {"a", ""}}), new_session(1, 1000, {{"a", ""}, {"a", ""}}),
      new_session(1, 1000, {{"", "x"}}),
      new_session(1, 1000, {{std::string("a\0b", 3), "x"}}), new_session(1, UINT64_MAX)};
  for (const CreateSession& op : bad) {
    rig.apply({op});
    EXPECT_EQ(rig.out.sessions_started[0].num, SessionNum(0));
    EXPECT_FALSE(rig.out.sessions_started[0].refused.empty());
  }
  rig.apply({new_session(1)});
  CreateSession same_id = new_session(1);
  same_id.proof = uuid_of(5);
  rig.apply({same_id, new_session(2)});
  EXPECT_EQ(rig.out.sessions_started[0].refused, "another session has this id");
  EXPECT_EQ(rig.out.sessions_started[1].refused, "the cluster has as many sessions as it allows");
}

TEST(Sessions, SE03_ExpiryIsDecidedByLogTime) {
  Rig rig;
  rig.begin(2);
  rig.now_ms = 500;
  rig.apply({Touch{{SessionNum(1), SessionNum(77)}}});
  rig.now_ms = 1000;
  EXPECT_EQ(rig.machine.silent_sessions(LogTime{1000 * kNsPerMs}, 9),
            (std::vector<SilentSession>{{SessionNum(2), 1000 * kNsPerMs}}));
  rig.apply({Expire{{SessionNum(1), SessionNum(2), SessionNum(2), SessionNum(9)}}});
  ASSERT_EQ(rig.out.sessions_ended.size(), 1u);
  EXPECT_EQ(rig.out.sessions_ended[0].num, SessionNum(2));
  EXPECT_EQ(rig.out.sessions_ended[0].reason, RAFTCS_SESSION_END_EXPIRED);
  rig.now_ms = 1499;
  rig.apply({Expire{{SessionNum(1)}}});
  EXPECT_TRUE(rig.out.sessions_ended.empty());
  rig.now_ms = 1500;
  rig.apply({Expire{{SessionNum(1)}}});
  EXPECT_EQ(rig.out.sessions_ended.size(), 1u);
  EXPECT_TRUE(rig.machine.sessions().empty());
}

TEST(Sessions, CommandsAcksAndCreationAreActivity) {
  Rig rig;
  rig.begin(3);
  rig.now_ms = 900;
  rig.apply({cmd(1, 1, "x"), Acknowledge{SessionNum(2), PushId(0)}, new_session(3)});
  rig.now_ms = 1100;
  rig.apply({Expire{{SessionNum(1), SessionNum(2), SessionNum(3)}}});
  EXPECT_TRUE(rig.out.sessions_ended.empty());
  // A duplicate counts as well: the client is alive.
  rig.apply({cmd(1, 1, "x")});
  EXPECT_EQ(rig.machine.session(SessionNum(1))->last_active, LogTime{1100 * kNsPerMs});
}

TEST(Sessions, TimeNeverGoesBack) {
  Rig rig;
  rig.begin(1);
  rig.now_ms = 900;
  rig.apply({Touch{{SessionNum(1)}}});
  rig.now_ms = 100;
  rig.apply({Touch{{SessionNum(1)}}});
  EXPECT_EQ(rig.machine.time(), LogTime{900 * kNsPerMs});
  EXPECT_EQ(rig.machine.session(SessionNum(1))->last_active, LogTime{900 * kNsPerMs});
}

TEST(Sessions, T_M10_T_M22_EndRemovesAllAndHappensOnce) {
  Rig rig;
  rig.begin(2);
  rig.apply({cmd(2, 1, "push 2 a"), cmd(2, 2, "push 2 b")});
  rig.apply({CloseSession{SessionNum(2)}, CloseSession{SessionNum(2)}});
  EXPECT_EQ(rig.out.sessions_ended.size(), 1u);
  ASSERT_EQ(rig.out.pushes.size(), 1u);  // T_M12: an ending session can notify an admin
  EXPECT_EQ(rig.out.pushes[0].session, SessionNum(1));
  EXPECT_EQ(rig.out.pushes[0].payload.view(), "gone 2");
  EXPECT_EQ(rig.machine.pushes_dropped(), 1u);  // W-M8: "too late" went nowhere
  EXPECT_FALSE(rig.machine.session(SessionNum(2)).has_value());
  EXPECT_EQ(rig.lines(), "v1|started 1|started 2|ended 2 1 [a] [b]");
  EXPECT_EQ(rig.one(cmd(2, 3, "x")).kind, ReplyKind::unknown_session);
  rig.apply({new_session(2)});  // the number is not given again
  EXPECT_EQ(rig.out.sessions_started[0].num, SessionNum(3));
}

TEST(Sessions, DeadLettersGoToTheServiceThatMadeThem) {
  Rig rig;
  rig.begin(2);
  rig.apply({CreateService{"two", "org.test.scribe"}});
  rig.apply({cmd(1, 1, "push 2 first"), cmd(1, 2, "push 2 second", 1, 2), cmd(1, 3, "push 2 third"),
             Acknowledge{SessionNum(2), PushId(1)}, CloseSession{SessionNum(2)}});
  EXPECT_EQ(rig.lines(1), "v1|started 1|started 2|ended 2 1 [third]");
  EXPECT_EQ(rig.lines(2), "v1|started 1|started 2|ended 2 1 [second]");
}

TEST(Sessions, HookFailureHalts) {
  Rig rig;
  rig.begin(0);
  const Status status = rig.try_apply({new_session(1, 1000, {{"fail", ""}})});
  EXPECT_EQ(status.code(), RAFTCS_ERR_PLUGIN_FAILED);
  EXPECT_NE(status.text().find("session_started"), std::string::npos);
}

TEST(Pushes, T_M08_T_M09_NumberedPerSessionInOrder) {
  Rig rig;
  rig.begin(2);
  rig.apply({cmd(1, 1, "push 1 a"), cmd(1, 2, "push 2 b"), cmd(1, 3, "push 1 c"),
             cmd(1, 4, "push 44 nobody")});
  ASSERT_EQ(rig.out.pushes.size(), 3u);
  EXPECT_EQ(rig.out.pushes[0].id, PushId(1));
  EXPECT_EQ(rig.out.pushes[1].id, PushId(1));
  EXPECT_EQ(rig.out.pushes[2].id, PushId(2));
  EXPECT_EQ(rig.out.replies[3].data.view(), "pushed");
  EXPECT_EQ(rig.machine.pushes_dropped(), 1u);
  // A duplicate of a command pushes nothing.
  rig.apply({cmd(1, 1, "push 1 a")});
  EXPECT_TRUE(rig.out.pushes.empty());
}

TEST(Pushes, T_M07_AckIsCumulativeAndNumbersGoOn) {
  Rig rig;
  rig.begin(1);
  for (uint64_t i = 1; i <= 5; ++i) rig.apply({cmd(1, i, "push 1 x")});
  rig.apply({Acknowledge{SessionNum(1), PushId(1)}});
  auto left = rig.machine.pushes_after(SessionNum(1), PushId(0), 100, 100);
  ASSERT_EQ(left.size(), 4u);
  EXPECT_EQ(left[0].id, PushId(2));
  EXPECT_EQ(rig.machine.pushes_after(SessionNum(1), PushId(3), 100, 100).size(), 2u);
  EXPECT_EQ(rig.machine.pushes_after(SessionNum(1), PushId(99), 100, 100).size(), 0u);
  EXPECT_EQ(rig.machine.pushes_after(SessionNum(1), PushId(0), 2, 100).size(), 2u);
  EXPECT_EQ(rig.machine.pushes_after(SessionNum(1), PushId(0), 100, 0).size(), 1u);
  rig.apply({Acknowledge{SessionNum(1), PushId(1000)}});  // beyond the last
  EXPECT_EQ(rig.machine.session(SessionNum(1))->acked_push, PushId(5));
  rig.apply({cmd(1, 9, "push 1 y")});
  EXPECT_EQ(rig.out.pushes[0].id, PushId(6));
}

TEST(Pushes, FullWindowIsBusyForTheStateMachine) {
  Limits limits;
  limits.pushes_max = 2;
  limits.push_bytes_max = 10;
  Rig rig(limits);
  rig.begin(1);
  EXPECT_EQ(rig.one(cmd(1, 1, "push 1 a")).data.view(), "pushed");
  EXPECT_EQ(rig.one(cmd(1, 2, "push 1 0123456789")).data.view(), "busy");  // bytes
  EXPECT_EQ(rig.one(cmd(1, 3, "push 1 b")).data.view(), "pushed");
  EXPECT_EQ(rig.one(cmd(1, 4, "push 1 c")).data.view(), "busy");  // count
  rig.apply({Acknowledge{SessionNum(1), PushId(1)}});
  EXPECT_EQ(rig.one(cmd(1, 5, "push 1 d")).data.view(), "pushed");
  EXPECT_EQ(rig.machine.session(SessionNum(1))->last_push, PushId(3));
}

TEST(Pushes, HooksMayPushToTheNewSession) {
  Rig rig;
  rig.begin(0);
  rig.apply({new_session(1, 1000, {{"greet", "ann"}})});
  ASSERT_EQ(rig.out.pushes.size(), 1u);
  EXPECT_EQ(rig.out.pushes[0].payload.view(), "welcome ann");
}

TEST(Services, CreateIsIdempotentAndNamed) {
  Rig rig;
  rig.apply({CreateService{"a", "org.test.scribe"}, CreateService{"a", "org.test.scribe"},
             CreateService{"a", "org.test.serial"}, CreateService{"b/c", "org.test.scribe"},
             CreateService{"b", "Org.Test"}, CreateService{"b", "org.test.serial"}});
  const auto& made = rig.out.services_created;
  ASSERT_EQ(made.size(), 6u);
  EXPECT_EQ(made[0].num, ServiceNum(1));
  EXPECT_TRUE(made[1].existed);
  EXPECT_EQ(made[1].num, ServiceNum(1));
  EXPECT_EQ(made[2].refused, "service 'a' exists and is of type 'org.test.scribe'");
  EXPECT_FALSE(made[3].refused.empty());
  EXPECT_FALSE(made[4].refused.empty());
  EXPECT_EQ(made[5].num, ServiceNum(2));
  EXPECT_EQ(rig.machine.services().size(), 2u);
}

TEST(Services, LateServiceHearsOfSessionsThatAreThere) {
  Rig rig;
  rig.begin(2);
  rig.apply({CreateService{"late", "org.test.scribe"}});
  EXPECT_EQ(rig.lines(2), "v1|started 1|started 2");
}

TEST(Services, D10_MissingTypeHaltsAndGoesOnWhenItAppears) {
  Rig rig, reference;
  rig.begin(1);
  reference.begin(1);
  const std::vector<Op> ops = {cmd(1, 1, "a"), CreateService{"x", "org.test.serial"},
                               cmd(1, 2, "b", 1, 2)};
  const raft::Entry entry = rig.entry_of(ops);
  rig.types.remove("org.test.serial");
  rig.out.clear();
  const Status status = rig.machine.apply(entry, &rig.out);
  EXPECT_EQ(status.text(),
            "service 'x' needs state machine type 'org.test.serial', which no plugin in this "
            "node's plugins directory offers");
  EXPECT_EQ(rig.out.replies.size(), 1u);
  EXPECT_EQ(rig.machine.applied(), Index(2));
  EXPECT_FALSE(rig.machine.apply(entry, &rig.out).is_ok());
  rig.types.add(raftcs_sm::type_of<Counter>());
  ASSERT_TRUE(rig.machine.apply(entry, &rig.out).is_ok());
  EXPECT_EQ(rig.machine.applied(), Index(3));
  reference.apply(ops);
  EXPECT_EQ(rig.out.replies.size(), 2u);
  EXPECT_EQ(rig.lines(1), reference.lines(1));
  EXPECT_EQ(rig.machine.state_hash(), reference.machine.state_hash());
  EXPECT_EQ(bytes_of(rig.machine), bytes_of(reference.machine));
}

TEST(Services, VersionsAreRaisedByTheLogOnly) {
  Rig rig;
  rig.begin(1);
  rig.apply({RaiseVersion{ServiceNum(1), 3}, RaiseVersion{ServiceNum(1), 2},
             RaiseVersion{ServiceNum(5), 2}});
  EXPECT_EQ(rig.lines(), "v3|started 1");
  EXPECT_EQ(rig.try_apply({RaiseVersion{ServiceNum(1), 4}}).text(),
            "service 'notes' runs behaviour version 4 of 'org.test.scribe', but the plugin on "
            "this node offers 1 to 3");
  EXPECT_FALSE(rig.try_apply({CreateService{"n", "org.test.scribe", 9}}).is_ok());
}

}  // namespace raftcs::rsm::testing
