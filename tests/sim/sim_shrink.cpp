// sim_shrink.cpp: makes a failing profile smaller while the same sentence fails.
#include "sim/sim_shrink.hpp"

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

bool is_switch(const Profile& profile, const std::string& name) {
  // Probabilities and flags; sizes are halved instead.
  for (const char* size : {"nodes", "clients", "sessions", "ops", "window", "fault_phase_ns",
                           "delay_mean_ns", "disk_mean_ns", "batch_bytes", "append_bytes",
                           "requests_max", "snapshot_entries", "segment_bytes", "result_bytes",
                           "frail_timeout_ms", "election_ms", "appends_max", "chunk_bytes",
                           "trailing_entries"})
    if (name == size) return false;
  for (const auto& [field, value] : fields_of(profile))
    if (field == name) return value != "0";
  return false;
}

}  // namespace

Shrunk shrink(const Profile& failing, const std::function<Report(const Profile&)>& run) {
  Shrunk best{failing, run(failing).failure, 1};
  const std::string wanted = sentence_of(best.failure);
  auto attempt = [&](const Profile& smaller) {
    ++best.runs;
    Report report = run(smaller);
    if (report.ok || sentence_of(report.failure) != wanted) return false;
    best.profile = smaller;
    best.failure = report.failure;
    return true;
  };
  bool progress = !best.failure.empty();
  while (progress) {
    progress = false;
    for (const auto& [name, value] : fields_of(best.profile)) {
      if (!is_switch(best.profile, name)) continue;
      Profile smaller = best.profile;
      set_field(&smaller, name, "0");
      progress = attempt(smaller) || progress;
    }
    for (const char* name : {"ops", "clients", "sessions", "nodes", "window", "fault_phase_ns"}) {
      for (const auto& [field, value] : fields_of(best.profile)) {
        const uint64_t now = std::stoull(value);
        if (field != name || now <= 1) continue;
        Profile smaller = best.profile;
        set_field(&smaller, name, std::to_string(now / 2));
        progress = attempt(smaller) || progress;
        break;
      }
    }
  }
  return best;
}

std::string command_of(const Profile& profile) {
  std::string line = "raftcs-sim --seed " + std::to_string(profile.seed);
  const auto drawn = fields_of(profile_of(profile.seed));
  const auto now = fields_of(profile);
  for (size_t i = 0; i < now.size(); ++i)
    if (now[i].second != drawn[i].second) line += " --set " + now[i].first + "=" + now[i].second;
  return line;
}

}  // namespace raftcs::sim
