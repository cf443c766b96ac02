// sim_shrink.cpp: makes a failing profile smaller while the same sentence fails.
#include "sim/sim_shrink.hpp"

#include <algorithm>
#include <cctype>

namespace raftcs::sim {
namespace {

// The sentence without its numbers: these differ after every change.
std::string sentence_of(const std::string& failure) {
  std::string s;
  for (char c : failure)
    if (!std::isdigit(static_cast<unsigned char>(c))) s += c;
  return s;
}

bool is_switch(const std::string& name) {
  // Probabilities and flags; sizes are halved instead, faults left out.
  for (const char* other :
       {"nodes",         "clients",          "sessions",      "ops",
        "window",        "fault_phase_ns",   "delay_mean_ns", "disk_mean_ns",
        "batch_bytes",   "append_bytes",     "requests_max",  "snapshot_entries",
        "segment_bytes", "frail_timeout_ms", "election_ms",   "appends_max",
        "chunk_bytes",   "trailing_entries", "skip", "result_bytes",          "planted",
        "fault_gap_ms"})
    if (name == other) return false;
  return true;
}

struct Shrinker {
  const std::function<Report(const Profile&)>& run;
  std::string wanted;
  Shrunk best;

  bool attempt(const Profile& smaller);
  bool switch_off();
  bool halve();
  bool leave_out();
};

bool Shrinker::attempt(const Profile& smaller) {
  ++best.runs;
  Report report = run(smaller);
  if (report.ok || sentence_of(report.failure) != wanted) return false;
  best.profile = smaller;
  best.failure = report.failure;
  best.faults = report.faults;
  return true;
}

bool Shrinker::switch_off() {
  bool progress = false;
  for (const auto& [name, value] : fields_of(best.profile)) {
    if (value == "0" || !is_switch(name)) continue;
    Profile smaller = best.profile;
    set_field(&smaller, name, "0");
    progress = attempt(smaller) || progress;
  }
  return progress;
}

bool Shrinker::halve() {
  bool progress = false;
  for (const char* name : {"ops", "clients", "sessions", "nodes", "window", "fault_phase_ns"}) {
    for (const auto& [field, value] : fields_of(best.profile)) {
      if (field != name) continue;
      const uint64_t now = std::stoull(value);
      if (now <= 1) break;
      Profile smaller = best.profile;
      set_field(&smaller, name, std::to_string(now / 2));
      progress = attempt(smaller) || progress;
    }
  }
  return progress;
}

// All faults at once, then halves of those that are left, then quarters, at last single ones.
bool Shrinker::leave_out() {
  std::vector<uint64_t> left;
  for (uint64_t number = 1; number <= best.faults; ++number)
    if (!best.profile.skip.contains(number)) left.push_back(number);
  bool progress = false;
  for (size_t part = left.size(); part > 0; part /= 2) {
    for (size_t at = 0; at < left.size();) {
      const auto begin = left.begin() + static_cast<std::ptrdiff_t>(at);
      const auto end = begin + static_cast<std::ptrdiff_t>(std::min(part, left.size() - at));
      Profile smaller = best.profile;
      smaller.skip.insert(begin, end);
      if (attempt(smaller)) {
        left.erase(begin, end);
        progress = true;
      } else {
        at += part;
      }
    }
  }
  return progress;
}

}  // namespace

Shrunk shrink(const Profile& failing, const std::function<Report(const Profile&)>& run) {
  const Report first = run(failing);
  Shrinker s{run, sentence_of(first.failure), {failing, first.failure, 1, first.faults}};
  bool progress = !first.ok;
  while (progress) {
    progress = s.switch_off();
    progress = s.halve() || progress;
    progress = s.leave_out() || progress;
  }
  return s.best;
}

}  // namespace raftcs::sim
