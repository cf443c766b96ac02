// The queue plugin: who gets which job, one rule after the other; then all of them at random
// against what must hold (dispatcher.hpp).
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <random>
#include <set>

#include "tests/unit/plugin/queue_rig.hpp"

namespace raftcs::plugin::queue_test {
using Strings = std::vector<std::string>;

TEST(Queue, JobsGoToWorkersOfTheirQueueInOrder) {
  Rig r;
  EXPECT_EQ(r.create("mail"), kOk);
  EXPECT_EQ(r.create("mail"), kOk);  // idempotent
  Rig::Settings other;
  other.attempts_max = 9;
  EXPECT_EQ(r.create("mail", other), kExists);
  EXPECT_EQ(r.put("nope", "x"), -kNotFound);
  EXPECT_EQ(r.put("mail", "a"), 1);
  EXPECT_EQ(r.put("mail", "b"), 2);
  EXPECT_EQ(r.put("mail", "first", 9), 3);
  const uint64_t stranger = r.worker("other");
  EXPECT_TRUE(r.got.empty());
  const uint64_t w = r.worker("x+mail");
  ASSERT_EQ(r.got.size(), 1u);
  JobPush j = r.got[0];
  EXPECT_EQ(j.payload, "first");
  EXPECT_EQ(j.session, w);
  EXPECT_EQ(r.done(stranger, j.job, j.attempt), kNotHeld);
  EXPECT_EQ(r.done(w, j.job, 7), kNotHeld);
  r.got.clear();
  EXPECT_EQ(r.done(j), kOk);
  EXPECT_EQ(r.done(j), kNotHeld);
  ASSERT_EQ(r.got.size(), 1u);
  EXPECT_EQ(r.got[0].payload, "a");
  auto s = r.stats("mail");
  EXPECT_EQ(s["waiting"], 1);
  EXPECT_EQ(s["assigned"], 1);
  EXPECT_EQ(s["done"], 1);
  EXPECT_EQ(s["enqueued"], 3);
}

TEST(Queue, TurnsAndLeastLoad) {
  Rig r;
  r.create("turns");
  Rig::Settings least;
  least.policy = "least_loaded";
  r.create("least", least);
  const uint64_t a = r.worker("*", "3"), b = r.worker("turns+least", "3");
  const std::string sa = std::to_string(a) + ":", sb = std::to_string(b) + ":";
  for (const char* p : {"1", "2", "3"}) r.put("turns", p);
  EXPECT_EQ(r.given(), (Strings{sa + "1", sb + "2", sa + "3"}));
  for (const char* p : {"4", "5", "6", "7"}) r.put("least", p);
  EXPECT_EQ(r.given(), (Strings{sb + "4", sa + "5", sb + "6"}));  // 7 waits: both are full
  EXPECT_EQ(r.stats("least")["waiting"], 1);
}

TEST(Queue, QueuesTakeTurnsAtAWorkerOfAll) {
  Rig r;
  r.create("a");
  r.create("z");
  for (const char* p : {"1", "2", "3"}) {
    r.put("a", std::string("a") + p);
    r.put("z", std::string("z") + p);
  }
  r.worker("*");
  std::string order;
  for (int i = 0; i < 6; ++i) {
    ASSERT_EQ(r.got.size(), 1u);
    const JobPush j = r.got[0];
    order += j.payload + " ";
    r.got.clear();
    EXPECT_EQ(r.done(j), kOk);
  }
  EXPECT_EQ(order, "a1 z1 a2 z2 a3 z3 ");
}

TEST(Queue, VisibilityTimeoutGivesTheJobToAnother) {
  Rig r;
  r.create("q");
  const uint64_t a = r.worker("q");
  r.put("q", "x");
  const JobPush lost = r.got.at(0);
  EXPECT_EQ(lost.session, a);
  r.acknowledge(a);
  EXPECT_EQ(r.extend(lost, 1500), kOk);
  r.pass(1499);
  const uint64_t b = r.worker("q");
  r.got.clear();
  r.pass(1);
  ASSERT_EQ(r.got.size(), 1u);
  EXPECT_EQ(r.got[0].session, b);
  EXPECT_EQ(r.got[0].attempt, 2);
  EXPECT_EQ(r.done(lost), kNotHeld);  // too late: it is another's now
  EXPECT_EQ(r.done(r.got[0]), kOk);
  EXPECT_EQ(r.stats("q")["timed_out"], 1);
}

TEST(Queue, AttemptsEndInDeadLettersWhichCanBePutBack) {
  Rig r;
  r.create("q");
  r.worker("q");
  const int64_t id = r.put("q", "poison");
  for (int64_t attempt = 1; attempt <= 3; ++attempt) {
    ASSERT_EQ(r.got.size(), 1u);
    const JobPush j = r.got[0];
    EXPECT_EQ(j.attempt, attempt);
    r.got.clear();
    EXPECT_EQ(r.fail(j, "no way", 50), kOk);
    EXPECT_TRUE(r.got.empty());
    r.pass(50);
  }
  EXPECT_TRUE(r.got.empty());
  EXPECT_EQ(r.stats("q")["dead"], 1);
  EXPECT_EQ(r.stats("q")["died"], 1);
  EXPECT_EQ(r.about("remove", "q"), kNotEmpty);
  const auto found = r.ask(Writer().array(2).text("job").integer(id));
  EXPECT_NE(found.data.view().find("no way"), std::string_view::npos);
  EXPECT_EQ(r.call(r.boss, Writer().array(3).text("requeue").bytes("q").nil()), kOk);
  EXPECT_EQ(r.first_number(), 1);
  ASSERT_EQ(r.got.size(), 1u);
  EXPECT_EQ(r.got[0].attempt, 4);  // never a number twice
  EXPECT_EQ(r.done(r.got[0]), kOk);
  EXPECT_EQ(r.about("remove", "q"), kOk);
  EXPECT_EQ(r.about("remove", "q"), kNotFound);
}

// The late answer of a run from before: it may not end, give back or extend the one of now.
TEST(Queue, WhatWasPutBackIsFencedFromItsAttemptsBefore) {
  Rig r;
  Rig::Settings once;
  once.attempts_max = 1;
  r.create("q", once);
  r.worker("q");
  r.put("q", "x");
  const JobPush first = r.got.at(0);
  r.pass(1000);
  EXPECT_EQ(r.stats("q")["dead"], 1);
  EXPECT_EQ(r.call(r.boss, Writer().array(3).text("requeue").bytes("q").nil()), kOk);
  auto other = r.copy();
  ASSERT_EQ(r.got.size(), 2u);
  const JobPush second = r.got[1];
  for (Rig* rig : {&r, other.get()}) {
    EXPECT_EQ(rig->extend(first, 100), kNotHeld);
    EXPECT_EQ(rig->fail(first, "late"), kNotHeld);
    EXPECT_EQ(rig->done(first), kNotHeld);
    EXPECT_EQ(rig->stats("q")["assigned"], 1);
    EXPECT_EQ(rig->fail(second, "again"), kOk);  // it has attempts_max anew
    EXPECT_EQ(rig->stats("q")["dead"], 1);
  }
  EXPECT_EQ(r.snapshot(), other->snapshot());
}

TEST(Queue, PutBackItHasAllItsAttemptsAnew) {
  Rig r;
  r.create("q");
  r.worker("q");
  r.put("q", "poison");
  for (int64_t round = 0; round < 3; ++round) {
    for (int64_t n = 1; n <= 3; ++n) {
      ASSERT_EQ(r.got.size(), 1u) << round << " " << n;
      const JobPush j = r.got[0];
      EXPECT_EQ(j.attempt, 3 * round + n);
      r.got.clear();
      EXPECT_EQ(r.fail(j, "no"), kOk);
    }
    EXPECT_EQ(r.stats("q")["dead"], 1);
    EXPECT_EQ(r.call(r.boss, Writer().array(3).text("requeue").bytes("q").nil()), kOk);
  }
}

TEST(Queue, ExtendWithoutATimeGivesTheQueuesVisibility) {
  Rig r;
  r.create("q");
  r.worker("q");
  r.put("q", "x");
  const JobPush j = r.got.at(0);
  r.pass(900);
  EXPECT_EQ(
      r.call(j.session, Writer().array(4).text("extend").integer(j.job).integer(j.attempt).nil()),
      kOk);
  r.pass(999);
  EXPECT_EQ(r.stats("q")["assigned"], 1);
  EXPECT_EQ(r.stats("q")["timed_out"], 0);
  r.pass(1);
  EXPECT_EQ(r.stats("q")["timed_out"], 1);
}

// What a worker names more than there can be queues is left out, or its snapshot could not be read.
TEST(Queue, AWorkerOfMoreNamesThanThereCanBeQueues) {
  Rig r;
  r.create("0");
  std::string names = "0";
  for (int i = 1; i <= 1000; ++i) names += "+" + std::to_string(i);
  const uint64_t w = r.worker(names);
  auto other = r.copy();
  EXPECT_EQ(r.snapshot(), other->snapshot());
  for (Rig* rig : {&r, other.get()}) {
    rig->put("0", "x");
    EXPECT_EQ(rig->given(), (Strings{std::to_string(w) + ":x"}));
  }
}

TEST(Queue, AWorkersEndMovesItsJobsAndUnreadOnesCountNoAttempt) {
  Rig r;
  r.create("q");
  const uint64_t a = r.worker("q", "2");
  r.put("q", "read");
  r.acknowledge(a);  // the second one is never read
  r.put("q", "unread");
  const uint64_t b = r.worker("q", "2");
  r.got.clear();
  r.close(a);
  ASSERT_EQ(r.got.size(), 2u);
  EXPECT_EQ(r.got[0].session, b);
  EXPECT_EQ(r.got[0].payload, "read");
  EXPECT_EQ(r.got[0].attempt, 2);
  EXPECT_EQ(r.got[1].payload, "unread");
  EXPECT_EQ(r.got[1].attempt, 2);
  EXPECT_EQ(r.stats("q")["moved"], 2);
  EXPECT_EQ(r.machine.pushes_dropped(), 0u);
}

TEST(Queue, ADisconnectedWorkerKeepsItsJobsForTheGrace) {
  Rig r;
  r.create("q");
  const uint64_t a = r.worker("q"), b = r.worker("q");
  r.put("q", "x");
  const JobPush first = r.got.at(0);
  EXPECT_EQ(first.session, a);
  r.presence(a, false);
  r.pass(99);
  r.presence(a, true);  // back in time
  r.pass(500);
  EXPECT_EQ(r.got.size(), 1u);
  r.presence(a, false);
  r.pass(100);
  ASSERT_EQ(r.got.size(), 2u);
  EXPECT_EQ(r.got[1].session, b);
  EXPECT_EQ(r.done(first), kNotHeld);
  r.put("q", "y");  // b is full and a is not there
  EXPECT_EQ(r.got.size(), 2u);
  r.presence(a, true);
  ASSERT_EQ(r.got.size(), 3u);
  EXPECT_EQ(r.got[2].session, a);
}

TEST(Queue, AFullPushWindowHoldsJobsBack) {
  rsm::Limits limits;
  limits.pushes_max = 2;
  Rig r(limits);
  r.create("q");
  const uint64_t a = r.worker("q", "10");
  for (const char* p : {"1", "2", "3", "4"}) r.put("q", p);
  EXPECT_EQ(r.got.size(), 2u);
  EXPECT_EQ(r.stats("q")["waiting"], 2);
  r.pass(100);  // still full
  EXPECT_EQ(r.got.size(), 2u);
  r.acknowledge(a);
  r.pass(100);
  EXPECT_EQ(r.got.size(), 4u);
}

TEST(Queue, PauseDelayPurgeAndTheOperatorsWord) {
  Rig r;
  r.create("q");
  r.worker("q", "5");
  EXPECT_EQ(r.about("pause", "q"), kOk);
  r.put("q", "a");
  r.put("q", "b", 0, 500);
  EXPECT_TRUE(r.got.empty());
  EXPECT_EQ(r.about("resume", "q"), kOk);
  EXPECT_EQ(r.given().size(), 1u);
  r.pass(500);
  ASSERT_EQ(r.got.size(), 1u);
  EXPECT_EQ(r.done(r.boss, 1, 0), kOk);
  EXPECT_EQ(r.done(r.boss, 1, 0), kNotFound);
  r.about("pause", "q");
  r.put("q", "c");
  EXPECT_EQ(r.about("purge", "q"), kOk);
  EXPECT_EQ(r.first_number(), 1);
  EXPECT_EQ(r.stats("q")["assigned"], 1);  // what a worker has is not purged
  EXPECT_EQ(r.about("purge", "none"), kNotFound);
}

TEST(Queue, LimitsAndMalformedCommandsChangeNothing) {
  Rig r;
  Rig::Settings tiny;
  tiny.jobs_max = 1;
  r.create("q", tiny);
  r.put("q", "x");
  EXPECT_EQ(r.put("q", "y"), -kFull);
  EXPECT_EQ(r.put("q", std::string((1 << 20) + 1, 'z')), -kTooLarge);
  EXPECT_EQ(r.put("q", "y", 10), -kMalformed);
  const auto stats = r.stats("q");
  for (const Writer& bad :
       {Writer(), Writer().array(1).text("put"), Writer().array(2).text("nope").bytes("q"),
        Writer().array(3).text("done").integer(0).integer(1),
        Writer().array(3).text("done").integer(1).text("x"),
        Writer().array(5).text("fail").integer(1).integer(1).bytes("r").integer(-1),
        Writer().array(7).text("create").bytes("z").text("best").nil().nil().nil().nil(),
        Writer().array(7).text("create").bytes("a,b").nil().nil().nil().nil().nil(),
        Writer().array(7).text("create").bytes("*").nil().nil().nil().nil().nil()})
    EXPECT_EQ(r.call(r.boss, bad), kMalformed);
  EXPECT_EQ(r.stats("q"), stats);
  EXPECT_EQ(r.ask(Writer().array(2).text("queues").integer(1)).app_code, kMalformed);
}

// Everything at once: whatever workers do, a job has at most one holder and ends once.
class Chaos {
 public:
  explicit Chaos(uint64_t seed) : bits_(seed), rig_(std::make_unique<Rig>()) {
    Rig::Settings least;
    least.policy = "least_loaded";
    least.attempts_max = 2;
    rig_->create("a");
    rig_->create("b", least);
  }

  void run(unsigned steps) {
    for (unsigned i = 0; i < steps; ++i) {
      step();
      read_pushes();
      if (below(20) == 0) {  // another replica goes on
        auto next = rig_->copy();
        RC_ASSERT(next->snapshot() == rig_->snapshot());
        rig_ = std::move(next);
      }
    }
    drain();
  }

 private:
  struct Holder {
    JobPush push;
    int64_t until_ms;  // visibility
  };
  struct WorkerModel {
    bool here = true;
    int64_t gone_since_ms = 0;
  };

  uint64_t below(uint64_t n) { return bits_() % n; }
  const JobPush* some_push() {
    return history_.empty() ? nullptr : &history_[below(history_.size())];
  }
  uint64_t some_worker() {
    if (workers_.empty()) return 0;
    return std::next(workers_.begin(), static_cast<long>(below(workers_.size())))->first;
  }

  // May the plugin still take this job for held, as far as the rules say?
  bool holds(int64_t job) const {
    const auto it = holders_.find(job);
    if (it == holders_.end() || rig_->now_ms >= it->second.until_ms) return false;
    const auto w = workers_.find(it->second.push.session);
    if (w == workers_.end()) return false;
    return w->second.here || rig_->now_ms < w->second.gone_since_ms + 100;
  }

  void read_pushes() {
    for (const JobPush& j : rig_->got) {
      RC_ASSERT(!holds(j.job));             // one holder
      RC_ASSERT(ended_.count(j.job) == 0);  // and none after its end
      RC_ASSERT(workers_.at(j.session).here);
      RC_ASSERT(j.attempt == ++attempts_[j.job]);  // no number twice
      holders_[j.job] = {j, rig_->now_ms + 1000};
      history_.push_back(j);
    }
    rig_->got.clear();
    // What was lost stays lost, also when the worker comes back.
    std::erase_if(holders_, [&](const auto& h) { return !holds(h.first); });
  }

  void finish(const JobPush& j, bool well) {
    const bool mine = holds(j.job) && holders_.at(j.job).push.attempt == j.attempt &&
                      holders_.at(j.job).push.push == j.push &&
                      holders_.at(j.job).push.session == j.session;
    if (workers_.count(j.session) == 0) return;
    const int32_t code =
        well ? rig_->done(j) : rig_->fail(j, "f", 30 * static_cast<int64_t>(below(3)));
    // Timers that are due were run before: the plugin knows no more and no less than the model.
    RC_ASSERT(code == (mine ? kOk : kNotHeld));
    if (code != kOk) return;
    holders_.erase(j.job);
    if (well) RC_ASSERT(ended_.insert(j.job).second);
  }

  void step() {
    Rig& r = *rig_;
    switch (below(13)) {
      case 0:
        workers_[r.opened + 1] = {};
        RC_ASSERT(r.worker(below(2) == 0 ? "*" : "a", "2") == r.opened);
        break;
      case 1:
        if (const uint64_t w = some_worker(); w != 0 && below(2) == 0) {
          workers_.erase(w);
          r.close(w);
        }
        break;
      case 2:
      case 3:
        if (const uint64_t w = some_worker(); w != 0) {
          WorkerModel& m = workers_.at(w);
          m.here = !m.here;
          m.gone_since_ms = r.now_ms;
          r.presence(w, m.here);
        }
        break;
      case 4:
        r.pass(static_cast<int64_t>(below(400)));
        break;
      case 5:
        if (const uint64_t w = some_worker(); w != 0) r.acknowledge(w);
        break;
      case 6:
      case 7:
      case 8:
        if (const JobPush* j = some_push(); j != nullptr) {
          const JobPush copy = *j;
          finish(copy, below(3) != 0);
        }
        break;
      case 9:
        if (const JobPush* j = some_push(); j != nullptr && workers_.count(j->session) != 0) {
          const JobPush copy = *j;
          if (rig_->extend(copy, 700) == kOk) holders_.at(copy.job).until_ms = r.now_ms + 700;
        }
        break;
      case 10:
        RC_ASSERT(
            r.call(r.boss,
                   Writer().array(3).text("requeue").bytes(below(2) == 0 ? "a" : "b").nil()) ==
            kOk);
        requeued_ += r.first_number();
        break;
      default:
        RC_ASSERT(r.put(below(2) == 0 ? "a" : "b", "p", static_cast<int64_t>(below(10)),
                        below(4) == 0 ? static_cast<int64_t>(below(300)) : 0) > 0);
        ++put_;
    }
  }

  // One good worker and enough time bring every job to its end.
  void drain() {
    Rig& r = *rig_;
    while (!workers_.empty()) {
      const uint64_t w = workers_.begin()->first;
      workers_.erase(w);
      r.close(w);
      read_pushes();
    }
    workers_[r.opened + 1] = {};
    r.worker("*", "5");
    read_pushes();
    for (int i = 0; i < 3000 && left() > 0; ++i) {
      std::vector<JobPush> mine;
      for (const auto& [job, h] : holders_)
        if (holds(job)) mine.push_back(h.push);
      for (const JobPush& j : mine) {
        finish(j, true);
        read_pushes();
      }
      r.pass(50);
      read_pushes();
    }
    RC_ASSERT(left() == 0);
    int64_t dead = 0, done = 0, enqueued = 0, died = 0;
    for (const char* q : {"a", "b"}) {
      auto s = r.stats(q);
      dead += s["dead"];
      done += s["done"];
      enqueued += s["enqueued"];
      died += s["died"];
    }
    RC_ASSERT(dead + requeued_ == died);
    RC_ASSERT(enqueued == put_);
    RC_ASSERT(done == static_cast<int64_t>(ended_.size()));
    RC_ASSERT(done + dead == put_);
    RC_TAG(dead > 0 ? "dead letters" : "none died");
    RC_TAG(history_.size() > ended_.size() ? "given twice" : "given once");
  }
  int64_t left() {
    int64_t n = 0;
    for (const char* q : {"a", "b"}) {
      auto s = rig_->stats(q);
      n += s["waiting"] + s["delayed"] + s["assigned"];
    }
    return n;
  }

  std::mt19937_64 bits_;
  std::unique_ptr<Rig> rig_;
  std::map<uint64_t, WorkerModel> workers_;
  std::map<int64_t, Holder> holders_;
  std::vector<JobPush> history_;
  std::set<int64_t> ended_;
  std::map<int64_t, int64_t> attempts_;
  int64_t put_ = 0, requeued_ = 0;
};

RC_GTEST_PROP(QueueModel, EveryJobHasOneHolderAndEndsOnce, (uint64_t seed)) {
  Chaos(seed).run(150);
}

}  // namespace raftcs::plugin::queue_test
