// checks.cpp: the checks, each independent of the others, all from one seed.
#include "checks.hpp"

#include <algorithm>
#include <cstddef>
#include <random>

#include "instance.hpp"

namespace plugin_check {
namespace {

constexpr uint64_t kSessions = 5;
constexpr size_t kCutsMax = 300;
// Where a session ends, another comes and goes, and time passes.
constexpr uint32_t kStops = 8;
constexpr int64_t kStopNs = 20'000'000'000;
// What minor 0 of the interface had: a type may end there.
constexpr size_t kTypeBytesMin = offsetof(raftcs_sm_type_t, next_timer_ns);

class Checker {
 public:
  Checker(const raftcs_sm_type_t* type, const Options& options)
      : type_(type), options_(options), bits_(options.seed) {
    for (uint32_t i = 0; i < options.commands; ++i)
      commands_.push_back({1 + below(kSessions), some_command()});
  }

  std::vector<Finding> run() {
    descriptor();
    if (!findings_.back().passed) return findings_;
    batches();
    if (!findings_.back().passed) return findings_;
    round_trip();
    concurrent_snapshot();
    queries();
    cut_snapshots();
    damaged_snapshots();
    cancelled();
    return findings_;
  }

 private:
  uint64_t below(uint64_t n) { return n == 0 ? 0 : bits_() % n; }

  std::string noise() {
    std::string s(below(40), '\0');
    for (char& c : s) c = static_cast<char>(below(256));
    return s;
  }
  std::string some_command() {
    if (options_.samples.empty()) return noise();
    std::string s = options_.samples[below(options_.samples.size())];
    switch (below(8)) {
      case 0: return noise();
      case 1: return s.substr(0, below(s.size() + 1));
      case 2:
        if (!s.empty()) s[below(s.size())] = static_cast<char>(below(256));
        return s;
      default: return s;
    }
  }

  void found(const std::string& check, const std::string& wrong, const std::string& seen) {
    findings_.push_back({check, wrong.empty(), wrong.empty() ? seen : wrong});
  }
  static std::string status_text(const char* what, raftcs_status_t status, const Instance& i) {
    return std::string(what) + " gave status " + std::to_string(status) +
           (i.threw() ? " (an exception left the plugin)" : "");
  }

  Instance fresh() const { return Instance(type_, options_.capabilities); }

  // What an instance can be asked for, after which two are the same or not.
  struct State {
    std::string snapshot;
    uint64_t digest = 0;
    int64_t timer_ns = 0;
  };
  std::string ask(Instance* sm, State* out) const {
    raftcs_status_t s = sm->snapshot(&out->snapshot);
    if (s != RAFTCS_OK) return status_text("snapshot", s, *sm);
    if (s = sm->digest(&out->digest); s != RAFTCS_OK) return status_text("digest", s, *sm);
    s = sm->next_timer(&out->timer_ns);
    return s == RAFTCS_OK ? "" : status_text("next_timer_ns", s, *sm);
  }
  static std::string difference(const State& a, const State& b) {
    if (a.snapshot != b.snapshot) return "snapshot";
    if (a.digest != b.digest) return "digest";
    return a.timer_ns != b.timer_ns ? "next_timer_ns" : "";
  }

  // All commands in batches of up to `batch_max`, and what happens between them; empty: fine.
  std::string play(Instance* sm, uint64_t batch_max) {
    std::string wrong = start(sm);
    for (uint32_t stop = 1; wrong.empty() && stop <= kStops; ++stop) {
      wrong = commands_before(stop, sm, batch_max);
      if (wrong.empty()) wrong = pause(stop, sm);
    }
    return wrong;
  }
  static std::string start(Instance* sm) {
    raftcs_status_t s = sm->create();
    if (s != RAFTCS_OK) return status_text("create", s, *sm);
    for (uint64_t n = 1; n <= kSessions; ++n)
      if (s = sm->session_event(n, 0); s != RAFTCS_OK)
        return status_text("session_started", s, *sm);
    return "";
  }
  // Those since the stop before: no batch crosses one, so that what else happens, happens between
  // the same commands for everybody.
  std::string commands_before(uint32_t stop, Instance* sm, uint64_t batch_max) {
    const uint64_t size = commands_.size();
    const auto end = static_cast<uint32_t>(size * stop / kStops);
    for (auto at = static_cast<uint32_t>(size * (stop - 1) / kStops); at < end;) {
      const auto n = std::min<uint32_t>(end - at, static_cast<uint32_t>(1 + below(batch_max)));
      const raftcs_status_t s = sm->apply(at + 1, &commands_[at], n);
      if (s != RAFTCS_OK) return status_text("apply", s, *sm);
      at += n;
    }
    return "";
  }
  static std::string pause(uint32_t stop, Instance* sm) {
    raftcs_status_t s = RAFTCS_OK;
    if (stop == kStops / 2)
      if (s = sm->session_event(1, RAFTCS_SESSION_END_EXPIRED); s != RAFTCS_OK)
        return status_text("session_ended", s, *sm);
    if (s = sm->presence(2, stop % 2 == 0); s != RAFTCS_OK)
      return status_text("session_presence", s, *sm);
    sm->pass(kStopNs);
    const char* failed_in = "";
    s = sm->timers(&failed_in);
    return s == RAFTCS_OK ? "" : status_text(failed_in, s, *sm);
  }

  void descriptor() {
    const raftcs_sm_type_t& t = *type_;
    std::string wrong;
    if (t.struct_size < kTypeBytesMin) wrong = "struct_size is too small";
    else if (t.id == nullptr) wrong = "no id";
    else if (!t.create || !t.destroy || !t.apply || !t.query || !t.snapshot_begin ||
             !t.snapshot_write || !t.snapshot_end || !t.restore)
      wrong = "a function is missing";
    else if ((t.flags & RAFTCS_SM_HAS_DIGEST) != 0 && !t.digest) wrong = "no digest function";
    else if (t.snapshot_version_read_min > t.snapshot_version_write ||
             t.apply_version_min > t.apply_version_max)
      wrong = "versions are out of order";
    found("descriptor", wrong, wrong.empty() ? std::string("type ") + t.id : "");
  }

  void batches() {
    Instance one = fresh(), many = fresh();
    State a, b;
    std::string wrong = play(&one, 1);
    if (wrong.empty()) wrong = play(&many, 100);
    if (wrong.empty()) wrong = ask(&one, &a);
    if (wrong.empty()) wrong = ask(&many, &b);
    if (wrong.empty() && (one.replies() != many.replies() || one.pushes() != many.pushes()))
      wrong = "replies or pushes depend on how commands are batched, or are not deterministic";
    if (const std::string what = difference(a, b); wrong.empty() && !what.empty())
      wrong = "two instances with the same commands give another " + what;
    found("same commands, other batches", wrong,
          std::to_string(one.answered()) + " done, " + std::to_string(one.refused()) +
              " refused, snapshot of " + std::to_string(a.snapshot.size()) + " bytes");
  }

  void round_trip() {
    std::string wrong;
    for (uint32_t stop = 1; wrong.empty() && stop < kStops; ++stop) wrong = round_trip(stop);
    found("snapshot and restore", wrong, "same bytes, and the same again after all that follows");
  }
  // The copy is made right before a stop, at which what the state machine waits for comes to pass.
  std::string round_trip(uint32_t stop) {
    Instance sm = fresh(), copy = fresh();
    State a, b;
    std::string wrong = play_to(stop, &sm);
    if (wrong.empty()) wrong = ask(&sm, &a);
    if (!wrong.empty()) return wrong;
    raftcs_status_t s = copy.create();
    if (s != RAFTCS_OK) return status_text("create", s, copy);
    s = copy.restore(a.snapshot, 1 + below(100));
    if (s != RAFTCS_OK) return status_text("restore", s, copy);
    if (wrong = ask(&copy, &b); !wrong.empty()) return wrong;
    if (const auto what = difference(a, b); !what.empty())
      return "a restored state gives another " + what;
    sm.forget_transcript();
    copy.take_windows(sm);
    a = b = {};
    wrong = go_on(stop, &sm);
    if (wrong.empty()) wrong = ask(&sm, &a);
    std::string copy_wrong = go_on(stop, &copy);
    if (copy_wrong.empty()) copy_wrong = ask(&copy, &b);
    if (wrong != copy_wrong)
      return "a restored state goes on in another way: '" + copy_wrong + "', not '" + wrong + "'";
    if (!wrong.empty()) return wrong;
    if (sm.replies() != copy.replies() || sm.pushes() != copy.pushes())
      return "a restored state gives other replies or pushes later";
    const auto what = difference(a, b);
    return what.empty() ? "" : "a restored state gives another " + what + " later";
  }
  std::string play_to(uint32_t stop, Instance* sm) {
    std::string wrong = start(sm);
    for (uint32_t i = 1; wrong.empty() && i <= stop; ++i) {
      if (i > 1) wrong = pause(i - 1, sm);
      if (wrong.empty()) wrong = commands_before(i, sm, 50);
    }
    return wrong;
  }
  // From that stop to the end. One command at a time: two instances get the same batches.
  std::string go_on(uint32_t stop, Instance* sm) {
    std::string wrong = pause(stop, sm);
    while (wrong.empty() && ++stop <= kStops) {
      wrong = commands_before(stop, sm, 1);
      if (wrong.empty()) wrong = pause(stop, sm);
    }
    return wrong;
  }

  // snapshot_write sees the state as snapshot_begin left it, whatever is applied between them.
  void concurrent_snapshot() {
    if ((type_->flags & RAFTCS_SM_CONCURRENT_SNAPSHOT) == 0) return;
    Instance sm = fresh();
    std::string before, beside, wrong = play_to(kStops / 2, &sm);
    if (wrong.empty() && sm.snapshot(&before) != RAFTCS_OK) wrong = "snapshot failed";
    if (wrong.empty()) {
      const raftcs_status_t s =
          sm.snapshot(&beside, UINT64_MAX, [&] { wrong = go_on(kStops / 2, &sm); });
      if (wrong.empty() && s != RAFTCS_OK) wrong = status_text("snapshot", s, sm);
    }
    if (wrong.empty() && before != beside)
      wrong = "a snapshot holds what was applied after snapshot_begin";
    found("snapshot beside commands", wrong, std::to_string(before.size()) + " bytes");
  }

  void queries() {
    Instance sm = fresh();
    std::string a, b, wrong = play(&sm, 50);
    if (wrong.empty()) wrong = sm.snapshot(&a) == RAFTCS_OK ? "" : "snapshot failed";
    for (uint32_t i = 0; wrong.empty() && i < 500; ++i)
      if (const auto s = sm.query(some_command(), below(kSessions + 1)); s != RAFTCS_OK)
        wrong = status_text("query", s, sm);
    if (wrong.empty() && (sm.snapshot(&b) != RAFTCS_OK || a != b))
      wrong = "queries changed the state";
    found("queries only read", wrong, "500 queries");
  }

  std::string snapshot_bytes() {
    Instance sm = fresh();
    std::string bytes;
    if (play(&sm, 50).empty()) sm.snapshot(&bytes);
    return bytes;
  }

  void cut_snapshots() {
    const std::string bytes = snapshot_bytes();
    std::string wrong;
    const size_t step = 1 + bytes.size() / kCutsMax;
    for (size_t n = 0; wrong.empty() && n < bytes.size(); n += step) {
      Instance cut = fresh(), broken = fresh();
      if (cut.create() != RAFTCS_OK || broken.create() != RAFTCS_OK) {
        wrong = "create failed";
      } else if (cut.restore(bytes.substr(0, n), 1 + below(100)) == RAFTCS_OK) {
        wrong = "a snapshot cut after " + std::to_string(n) + " of " +
                std::to_string(bytes.size()) + " bytes was restored as if whole";
      } else if (broken.restore(bytes, 64, n) == RAFTCS_OK) {
        wrong = "restore went on although reading failed";
      }
      if (cut.threw() || broken.threw()) wrong = "an exception left the plugin";
    }
    found("cut snapshots are refused", wrong, std::to_string(bytes.size()) + " bytes");
  }

  // Damage inside may be impossible to see for the plugin (the host has checksums): it must not
  // crash, and what it accepts must be a state that works.
  void damaged_snapshots() {
    const std::string bytes = snapshot_bytes();
    std::string wrong;
    uint32_t refused = 0;
    for (uint32_t i = 0; wrong.empty() && !bytes.empty() && i < 300; ++i) {
      std::string bad = bytes;
      for (uint64_t n = 1 + below(3); n > 0; --n)
        bad[below(bad.size())] = static_cast<char>(below(256));
      Instance sm = fresh();
      if (sm.create() != RAFTCS_OK) {
        wrong = "create failed";
      } else if (sm.restore(bad, 1000) == RAFTCS_OK) {
        std::string again;
        if (sm.snapshot(&again) != RAFTCS_OK) wrong = "a damaged snapshot gave a broken state";
      } else {
        ++refused;
      }
      if (sm.threw()) wrong = "an exception left the plugin";
    }
    found("damaged snapshots do no harm", wrong, std::to_string(refused) + " of 300 refused");
  }

  void cancelled() {
    Instance sm = fresh();
    std::string wrong = play(&sm, 50), whole;
    if (wrong.empty()) wrong = sm.snapshot(&whole) == RAFTCS_OK ? "" : "snapshot failed";
    for (uint64_t n = 0; wrong.empty() && !whole.empty() && n < 20; ++n) {
      std::string part;
      const raftcs_status_t s = sm.snapshot(&part, n);
      if (part.size() == whole.size()) break;
      if (s != RAFTCS_ERR_CANCELLED)
        wrong = "a snapshot that was stopped gave status " + std::to_string(s) +
                " instead of CANCELLED";
    }
    std::string again;
    if (wrong.empty() && (sm.snapshot(&again) != RAFTCS_OK || again != whole))
      wrong = "a snapshot after a stopped one differs";
    found("a stopped snapshot stops", wrong, "");
  }

  const raftcs_sm_type_t* type_;
  const Options& options_;
  std::mt19937_64 bits_;
  std::vector<Command> commands_;
  std::vector<Finding> findings_;
};

}  // namespace

std::vector<Finding> check_type(const raftcs_sm_type_t* type, const Options& options) {
  return Checker(type, options).run();
}

}  // namespace plugin_check
