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

  // Runs all commands in batches of up to `batch_max`; empty: fine.
  std::string play(Instance* sm, uint64_t batch_max) {
    raftcs_status_t s = sm->create();
    if (s != RAFTCS_OK) return status_text("create", s, *sm);
    for (uint64_t n = 1; n <= kSessions; ++n)
      if (s = sm->session_event(n, 0); s != RAFTCS_OK)
        return status_text("session_started", s, *sm);
    // What else happens, happens between the same commands for everybody: no batch crosses it.
    const auto size = static_cast<uint32_t>(commands_.size());
    for (uint32_t stop = 1, at = 0; stop <= kStops; ++stop) {
      const auto end = static_cast<uint32_t>(uint64_t{size} * stop / kStops);
      while (at < end) {
        const auto n = std::min<uint32_t>(end - at, static_cast<uint32_t>(1 + below(batch_max)));
        s = sm->apply(at + 1, &commands_[at], n);
        if (s != RAFTCS_OK) return status_text("apply", s, *sm);
        at += n;
      }
      if (stop == kStops / 2)
        if (s = sm->session_event(1, RAFTCS_SESSION_END_EXPIRED); s != RAFTCS_OK)
          return status_text("session_ended", s, *sm);
      if (s = sm->presence(2, stop % 2 == 0); s != RAFTCS_OK)
        return status_text("session_presence", s, *sm);
      sm->pass(kStopNs);
      if (s = sm->timers(); s != RAFTCS_OK) return status_text("timer, again and again,", s, *sm);
    }
    return "";
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
    std::string wrong = play(&one, 1);
    if (wrong.empty()) wrong = play(&many, 100);
    std::string a, b;
    if (wrong.empty() && (one.snapshot(&a) != RAFTCS_OK || many.snapshot(&b) != RAFTCS_OK))
      wrong = "snapshot failed";
    if (wrong.empty() && (one.replies() != many.replies() || one.pushes() != many.pushes()))
      wrong = "replies or pushes depend on how commands are batched, or are not deterministic";
    if (wrong.empty() && a != b)
      wrong = "two instances with the same commands give different snapshots";
    if (wrong.empty() && one.digest() != many.digest())
      wrong = "two instances with the same commands give different digests";
    found("same commands, other batches", wrong,
          std::to_string(one.answered()) + " done, " + std::to_string(one.refused()) +
              " refused, snapshot of " + std::to_string(a.size()) + " bytes");
  }

  void round_trip() {
    Instance sm = fresh(), copy = fresh();
    std::string a, b, wrong = play(&sm, 50);
    if (wrong.empty() && sm.snapshot(&a) != RAFTCS_OK) wrong = "snapshot failed";
    if (wrong.empty() && copy.create() != RAFTCS_OK) wrong = "create failed";
    if (wrong.empty())
      if (const auto s = copy.restore(a, 1 + below(100)); s != RAFTCS_OK)
        wrong = status_text("restore", s, copy);
    if (wrong.empty() && (copy.snapshot(&b) != RAFTCS_OK || a != b))
      wrong = "a restored state gives another snapshot";
    if (wrong.empty() && sm.digest() != copy.digest())
      wrong = "a restored state gives another digest";
    sm.forget_transcript();
    copy.take_windows(sm);
    for (uint32_t i = 0; wrong.empty() && i < commands_.size(); ++i) {
      sm.apply(10'000'000 + i, &commands_[i], 1);
      copy.apply(10'000'000 + i, &commands_[i], 1);
    }
    if (wrong.empty() && (sm.replies() != copy.replies() || sm.pushes() != copy.pushes()))
      wrong = "a restored state answers later commands in another way";
    found("snapshot and restore", wrong, "same bytes, same answers after it");
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
