// Timers in log time, presence of sessions, and what a state machine may ask about sessions.
#include "support.hpp"

namespace raftcs::rsm::testing {

TEST(Timers, RunWhenTheEntrysTimeHasComeAndNotBefore) {
  Rig rig;
  rig.begin_alarm(1);
  EXPECT_EQ(rig.machine.next_timer(), LogTime::never());
  EXPECT_EQ(rig.one(cmd(1, 1, "alarm 50")).data.view(), "set");
  rig.apply({cmd(1, 2, "alarm 20"), cmd(1, 3, "alarm 60")});
  EXPECT_EQ(rig.machine.next_timer(), LogTime{20 * kNsPerMs});
  rig.now_ms = 19;
  rig.apply({Tick{}});  // the proposal decides nothing
  EXPECT_EQ(rig.out.ticks, 1u);
  EXPECT_EQ(rig.lines(), "v1|started 1");
  rig.now_ms = 50;
  rig.apply({Tick{}});
  EXPECT_EQ(rig.lines(), "v1|started 1|rang 20 v1|rang 50 v1");
  ASSERT_EQ(rig.out.pushes.size(), 2u);
  EXPECT_EQ(rig.out.pushes[1].payload.view(), "rang 50");
  EXPECT_EQ(rig.machine.next_timer(), LogTime{60 * kNsPerMs});
  rig.now_ms = 500;
  rig.apply({cmd(1, 4, "x")});  // time alone, without a tick, runs nothing
  EXPECT_EQ(rig.lines(), "v1|started 1|rang 20 v1|rang 50 v1|x");
  rig.apply({Tick{}, Tick{}});
  EXPECT_EQ(rig.lines(), "v1|started 1|rang 20 v1|rang 50 v1|x|rang 60 v1");
  EXPECT_EQ(rig.machine.next_timer(), LogTime::never());
}

TEST(Timers, AreInTheSnapshotOfTheStateMachineAndInTheHash) {
  Rig rig, copy, other;
  for (Rig* r : {&rig, &other}) {
    r->begin_alarm(1);
    r->apply({cmd(1, 1, "alarm 50")});
  }
  const std::string bytes = bytes_of(rig.machine);
  ASSERT_TRUE(copy.machine.restore(reader_of(bytes)).is_ok());
  EXPECT_EQ(copy.machine.next_timer(), LogTime{50 * kNsPerMs});
  for (Rig* r : {&rig, &copy}) {
    r->now_ms = 51;
    r->apply({Tick{}});
  }
  EXPECT_EQ(bytes_of(rig.machine), bytes_of(copy.machine));
  EXPECT_EQ(rig.machine.state_hash(), copy.machine.state_hash());
  other.now_ms = 51;
  other.apply({Touch{}});
  EXPECT_NE(rig.machine.state_hash(), other.machine.state_hash());
}

TEST(Timers, ATimerThatFailsHaltsAndTakesItsPushesBack) {
  Rig rig;
  rig.begin_alarm(1);
  rig.apply({cmd(1, 1, "alarm 12"), cmd(1, 2, "alarm 13")});
  rig.now_ms = 20;
  const Status status = rig.try_apply({Tick{}});
  EXPECT_NE(status.text().find("failed in timer at entry"), std::string::npos) << status.text();
  EXPECT_TRUE(rig.out.pushes.empty());
  EXPECT_EQ(rig.machine.next_timer(), LogTime::never());
}

// "alarm 17" makes it fail, in one of two ways: as the C++ header tells it, and as what is no C++
// of ours might, with an exception through the line.
class Mute : public Alarm {
 public:
  static constexpr raftcs_sm::Type kType{.id = "org.test.mute",
                                         .flags = RAFTCS_SM_HAS_DIGEST,
                                         .timers = true,
                                         .host_minor_required = 1};
  int64_t next_timer_ns() override {
    if (alarms.contains(17)) throw std::bad_alloc();
    return Alarm::next_timer_ns();
  }
  uint64_t digest() override {
    if (alarms.contains(17)) throw std::runtime_error("no digest");
    return alarms.size();
  }
};
raftcs_sm_type_t throwing_type() {
  raftcs_sm_type_t type = *raftcs_sm::type_of<Mute>();
  type.id = "org.test.throws";
  type.extension = nullptr;
  type.next_timer_ns = [](void* sm) { return raftcs_sm::detail::of(sm)->next_timer_ns(); };
  type.digest = [](void* sm) { return raftcs_sm::detail::of(sm)->digest(); };
  return type;
}

// Each of these would otherwise be a value: no timer, and a digest of 0.
TEST(Timers, AStateMachineThatCannotSayWhenHaltsAtTheTick) {
  const raftcs_sm_type_t throws = throwing_type();
  for (const raftcs_sm_type_t* type : {raftcs_sm::type_of<Mute>(), &throws}) {
    Rig rig;
    rig.types.add(type);
    rig.apply({CreateService{"clock", type->id}, new_session(1)});
    rig.apply({cmd(1, 1, "alarm 30")});
    EXPECT_TRUE(rig.machine.digest().has_value());
    rig.apply({cmd(1, 2, "alarm 17")});
    EXPECT_FALSE(rig.machine.digest().has_value());
    EXPECT_EQ(rig.machine.next_timer(), LogTime{}) << "a leader is to propose a Tick, and halt";
    const Index before = rig.machine.applied();
    const uint64_t hash = rig.machine.state_hash();
    rig.now_ms = 20;
    const Status status = rig.try_apply({Tick{}});
    EXPECT_EQ(status.code(), RAFTCS_ERR_PLUGIN_FAILED);
    EXPECT_NE(status.text().find("failed in next_timer_ns at entry"), std::string::npos)
        << status.text();
    EXPECT_EQ(rig.machine.applied(), before);
    EXPECT_EQ(rig.machine.state_hash(), hash);
    EXPECT_EQ(rig.try_apply({Tick{}}).text(), status.text()) << "for good";
  }
}

TEST(Timers, NobodyWithoutTheFunctionsIsAsked) {
  Rig rig;
  rig.begin(1);
  EXPECT_FALSE(rig.machine.wants_presence());
  rig.now_ms = 1000;
  rig.apply({Tick{}, Presence{{}, {SessionNum(1)}}});
  EXPECT_EQ(rig.lines(), "v1|started 1");
  rig.apply({CreateService{"clock", "org.test.alarm"}});
  EXPECT_TRUE(rig.machine.wants_presence());
}

TEST(PresenceOfSessions, IsToldOnceAndListed) {
  Rig rig;
  rig.begin_alarm(3);
  EXPECT_EQ(rig.one(cmd(1, 1, "list")).data.view(), "1+ 2+ 3+");
  rig.apply({Presence{{SessionNum(1)}, {SessionNum(2), SessionNum(3), SessionNum(9)}}});
  ASSERT_EQ(rig.out.presence.size(), 2u);
  EXPECT_EQ(rig.out.presence[0].num, SessionNum(2));
  EXPECT_FALSE(rig.out.presence[0].connected);
  EXPECT_EQ(rig.one(cmd(1, 2, "list")).data.view(), "1+ 2- 3-");
  EXPECT_FALSE(rig.machine.session(SessionNum(3))->connected);
  rig.apply({Presence{{SessionNum(2)}, {SessionNum(3)}}});
  EXPECT_EQ(rig.out.presence.size(), 1u);
  EXPECT_EQ(rig.lines(), "v1|started 1|started 2|started 3|gone 2|gone 3|here 2");
  // It is no activity: the session expires as if nothing had been said.
  rig.now_ms = 1000;
  rig.apply({Expire{{SessionNum(3)}}});
  EXPECT_EQ(rig.out.sessions_ended.size(), 1u);
  EXPECT_EQ(rig.one(cmd(1, 3, "list")).data.view(), "1+ 2+");
}

TEST(PresenceOfSessions, SurvivesSnapshotsAndIsKnownToLateServices) {
  Rig rig, copy;
  rig.begin(2);
  rig.apply({Presence{{}, {SessionNum(2)}}});
  ASSERT_TRUE(copy.machine.restore(reader_of(bytes_of(rig.machine))).is_ok());
  for (Rig* r : {&rig, &copy}) {
    r->apply({CreateService{"clock", "org.test.alarm"}});
    EXPECT_EQ(r->one(cmd(1, 1, "list", 1, 2)).data.view(), "1+ 2-");
  }
  EXPECT_EQ(bytes_of(rig.machine), bytes_of(copy.machine));
}

TEST(LiveSessions, AreListedByCapabilityInTheOrderOfNumbers) {
  Rig rig;
  rig.begin_alarm(0);
  rig.apply({new_session(1, 1000, {{"kind", "a"}}), new_session(2, 1000, {{"kind", "b"}}),
             new_session(3, 1000, {{"other", "a"}}), new_session(4, 1000, {{"kind", "a"}})});
  EXPECT_EQ(rig.one(cmd(1, 1, "list")).data.view(), "1+kind=a 2+kind=b 3+other=a 4+kind=a");
  EXPECT_EQ(rig.one(cmd(1, 2, "list kind")).data.view(), "1+kind=a 2+kind=b 4+kind=a");
  EXPECT_EQ(rig.one(cmd(1, 3, "list kind a")).data.view(), "1+kind=a 4+kind=a");
  EXPECT_EQ(rig.one(cmd(1, 4, "list none")).data.view(), "");
  rig.apply({CloseSession{SessionNum(1)}, new_session(5, 1000, {{"kind", "a"}})});
  EXPECT_EQ(rig.one(cmd(2, 1, "list kind a")).data.view(), "4+kind=a 5+kind=a");
  // A query runs beside nothing that it could be consistent with.
  const QueryResult q = rig.machine.query(ServiceNum(1), SessionNum(2), Bytes::copy("list"));
  EXPECT_FALSE(q.status.is_ok());
}

// Format 1 had no presence: such sessions are taken for connected.
TEST(PresenceOfSessions, SnapshotsOfFormat1AreRead) {
  Rig rig;
  const std::string old(
#include "snapshot_format_1.inc"
  );
  const Status status = rig.machine.restore(reader_of(old));
  ASSERT_TRUE(status.is_ok()) << status.text();
  ASSERT_EQ(rig.machine.sessions().size(), 3u);
  EXPECT_TRUE(rig.machine.session(SessionNum(2))->connected);
  EXPECT_EQ(rig.lines(), "v1|started 1|started 2|started 3|a");
}

}  // namespace raftcs::rsm::testing
