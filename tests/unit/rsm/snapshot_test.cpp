// Snapshots: equal bytes for equal states, all or nothing on the way back.
#include <thread>

#include "rsm/snapshot_format.hpp"
#include "support.hpp"

namespace raftcs::rsm::testing {
namespace {

void fill(Rig* rig) {
  rig->begin(3);
  rig->apply({CreateService{"two", "org.test.scribe"}, RaiseVersion{ServiceNum(2), 2}});
  rig->now_ms = 10;
  rig->apply({cmd(1, 1, "a"), cmd(1, 5, "no e"), cmd(2, 3, "push 3 x", 2), cmd(2, 4, "push 3 y"),
              cmd(3, 1, "z", 1, 9), cmd(2, 5, "push 3 w", 2, 2)});
  rig->now_ms = 20;
  rig->apply({Acknowledge{SessionNum(3), PushId(1)}, CloseSession{SessionNum(1)},
              new_session(8, 5000, {{"k", "v"}})});
  rig->apply({cmd(2, 6, std::string(200'000, 'q'))});  // several chunks
}

}  // namespace

TEST(Snapshots, T_M16_RestoreGivesTheSameState) {
  Rig rig, copy;
  fill(&rig);
  const std::string bytes = bytes_of(rig.machine);
  for (size_t piece : {size_t{1}, size_t{7}, size_t{100'000'000}}) {
    const Status status = copy.machine.restore(reader_of(bytes, piece));
    ASSERT_TRUE(status.is_ok()) << status.text();
    EXPECT_EQ(bytes_of(copy.machine), bytes);
  }
  EXPECT_EQ(copy.machine.applied(), rig.machine.applied());
  EXPECT_EQ(copy.machine.applied_term(), Term(1));
  EXPECT_EQ(copy.machine.time(), rig.machine.time());
  EXPECT_EQ(copy.machine.state_hash(), rig.machine.state_hash());
  copy.now_ms = rig.now_ms;
  // SE-02: equal bytes prove nothing about what is in neither; all expire at the same time.
  for (int64_t at_ms = 0; at_ms < 7000; at_ms += 5) {
    const LogTime at{at_ms * kNsPerMs};
    ASSERT_EQ(copy.machine.silent_sessions(at, 9), rig.machine.silent_sessions(at, 9)) << at_ms;
  }
  // SE-01: the retry after an install gets the same reply and has no effect.
  for (Rig* r : {&rig, &copy}) {
    EXPECT_EQ(r->one(cmd(2, 3, "push 3 x", 2)).kind, ReplyKind::duplicate);
    EXPECT_EQ(r->one(cmd(3, 1, "z", 1, 9)).kind, ReplyKind::unknown_service);
    r->now_ms = 1011;
    r->apply({Expire{{SessionNum(2), SessionNum(3), SessionNum(4)}}});  // SE-02
  }
  EXPECT_EQ(bytes_of(copy.machine), bytes_of(rig.machine));
}

// Any id may be asked for, also the last one there is: what the log allows can be read again.
TEST(Snapshots, TheLastIdOfAllIsReadAgain) {
  for (uint64_t id : {UINT64_MAX, UINT64_MAX - 1}) {
    Rig rig, copy;
    rig.begin(1);
    ASSERT_EQ(rig.one(cmd(1, id, "a", id)).kind, ReplyKind::applied);
    const std::string bytes = bytes_of(rig.machine);
    const Status status = copy.machine.restore(reader_of(bytes));
    ASSERT_TRUE(status.is_ok()) << status.text();
    EXPECT_EQ(bytes_of(copy.machine), bytes);
    EXPECT_EQ(copy.machine.state_hash(), rig.machine.state_hash());
  }
}

TEST(Snapshots, EmptyMachine) {
  Rig rig, copy;
  const std::string bytes = bytes_of(rig.machine);
  ASSERT_TRUE(copy.machine.restore(reader_of(bytes)).is_ok());
  EXPECT_EQ(bytes_of(copy.machine), bytes);
}

TEST(Snapshots, EveryTruncationIsRefusedAndTheStateStays) {
  Rig rig, other;
  rig.begin(2);
  rig.apply({cmd(1, 1, "push 2 x")});
  const std::string bytes = bytes_of(rig.machine);
  other.begin(1);
  const std::string before = bytes_of(other.machine);
  for (size_t n = 0; n < bytes.size(); ++n) {
    const std::string cut = bytes.substr(0, n);
    EXPECT_FALSE(other.machine.restore(reader_of(cut)).is_ok()) << n;
  }
  const std::string longer = bytes + "x";
  EXPECT_FALSE(other.machine.restore(reader_of(longer)).is_ok());
  EXPECT_EQ(bytes_of(other.machine), before);
}

TEST(Snapshots, EveryFlippedByteIsRefused) {
  Rig rig, other;
  rig.begin(2);
  rig.apply({cmd(1, 1, "push 2 x")});
  const std::string bytes = bytes_of(rig.machine);
  for (size_t n = 0; n < bytes.size(); ++n) {
    std::string bad = bytes;
    bad[n] = static_cast<char>(bad[n] ^ 0x40);
    EXPECT_FALSE(other.machine.restore(reader_of(bad)).is_ok()) << n;
  }
}

// Found by the fuzz target session_table: checksums prove that the bytes are as they were written,
// not that they make sense.
TEST(Snapshots, WhatItSaysIsCheckedBeforeItIsUsed) {
  const auto restored = [](const SnapshotHead& head, const Session& session) {
    std::string bytes;
    const WriteFn write = [&](const void* data, size_t size) {
      bytes.append(static_cast<const char*>(data), size);
      return true;
    };
    ChunkWriter out(write);
    ByteWriter piece;
    encode(head, &piece);
    encode(session, &piece);
    out.add(piece);
    out.end_section();
    piece.clear();
    piece.u32(kSnapshotMagic);
    piece.varint(out.sections());
    out.add(piece);
    out.end_section();
    Rig rig;
    const Status status = rig.machine.restore(reader_of(bytes));
    if (status.is_ok()) (void)rig.machine.silent_sessions(LogTime::never(), 9);
    return status.text();
  };
  SnapshotHead good;
  good.applied = Index(9);
  good.time = LogTime{50};
  good.next_session = SessionNum(2);
  good.sessions = 1;
  Session session;
  session.num = SessionNum(1);
  session.id = uuid_of(1);
  session.proof = uuid_of(2);
  session.timeout_ms = 1000;
  session.created = LogTime{10};
  session.last_active = LogTime{20};
  EXPECT_EQ(restored(good, session), "");
  const std::string times = "the snapshot is damaged: a session's times are impossible";
  Session odd = session;
  odd.last_active = LogTime{INT64_MIN};  // was subtracted from the time now, which overflowed
  EXPECT_EQ(restored(good, odd), times);
  odd.last_active = LogTime{51};
  EXPECT_EQ(restored(good, odd), times);
  odd = session;
  odd.created = LogTime{-1};
  EXPECT_EQ(restored(good, odd), times);
  SnapshotHead head = good;
  head.time = LogTime{-1};
  EXPECT_EQ(restored(head, session), "the snapshot is damaged: its time is impossible");
  head = good;
  head.limits.replies_max = UINT32_MAX;  // one reply far from the floor took 200 GB
  EXPECT_EQ(restored(head, session), "the snapshot is damaged: its limits are impossible");
}

TEST(Snapshots, MissingTypeIsNamed) {
  Rig rig, other;
  rig.begin(1);
  const std::string bytes = bytes_of(rig.machine);
  other.types.remove("org.test.scribe");
  EXPECT_EQ(other.machine.restore(reader_of(bytes)).code(), RAFTCS_ERR_PLUGIN_LOAD);
}

TEST(Snapshots, GivingUpIsCancelled) {
  Rig rig;
  fill(&rig);
  for (int after : {0, 1, 2, 3, 4}) {
    auto snapshot = rig.machine.begin_snapshot();
    ASSERT_TRUE(snapshot.is_ok());
    int writes = 0;
    const Status status = (*snapshot)->write([&](const void*, size_t) { return writes++ < after; });
    EXPECT_EQ(status.code(), RAFTCS_ERR_CANCELLED) << after;
  }
}

TEST(Snapshots, ErrorsOfTheSourceAreReported) {
  Rig rig;
  const Status status = rig.machine.restore(
      [](void*, size_t) -> Result<size_t> { return Status(RAFTCS_ERR_IO, "disk"); });
  EXPECT_EQ(status.code(), RAFTCS_ERR_IO);
}

TEST(Snapshots, WrittenBesideApply) {
  Rig rig;
  fill(&rig);
  const std::string expected = bytes_of(rig.machine);
  auto snapshot = rig.machine.begin_snapshot();
  ASSERT_TRUE(snapshot.is_ok());
  EXPECT_TRUE((*snapshot)->concurrent());
  std::string bytes;
  std::thread writer([&] {
    const Status status = (*snapshot)->write([&](const void* data, size_t size) {
      bytes.append(static_cast<const char*>(data), size);
      return true;
    });
    EXPECT_TRUE(status.is_ok());
  });
  for (uint64_t id = 7; id < 500; ++id) rig.apply({cmd(2, id, "more", id)});
  writer.join();
  EXPECT_EQ(bytes, expected);
  rig.apply({CreateService{"serial", "org.test.serial"}});
  EXPECT_FALSE((*rig.machine.begin_snapshot())->concurrent());
}

TEST(Snapshots, OutlivesTheMachine) {
  auto rig = std::make_unique<Rig>();
  fill(rig.get());
  const std::string expected = bytes_of(rig->machine);
  auto snapshot = rig->machine.begin_snapshot();
  rig.reset();
  std::string bytes;
  EXPECT_TRUE((*snapshot)
                  ->write([&](const void* data, size_t size) {
                    bytes.append(static_cast<const char*>(data), size);
                    return true;
                  })
                  .is_ok());
  EXPECT_EQ(bytes, expected);
}

TEST(Snapshots, RestoreClearsAFailedMachine) {
  Rig rig, good;
  good.begin(1);
  const std::string bytes = bytes_of(good.machine);
  rig.begin(1);
  EXPECT_FALSE(rig.try_apply({cmd(1, 1, "throw")}).is_ok());
  ASSERT_TRUE(rig.machine.restore(reader_of(bytes)).is_ok());
  EXPECT_EQ(rig.one(cmd(1, 1, "a")).kind, ReplyKind::applied);
}

}  // namespace raftcs::rsm::testing
