// sim_replay.cpp: see sim_replay.hpp.
#include "sim/sim_replay.hpp"

#include <algorithm>
#include <fstream>
#include <sstream>

namespace raftcs::sim {
namespace {

// The fields that are not as the seed draws them, each behind `before`.
std::string changed_fields(const Profile& profile, const char* before) {
  std::string text;
  const auto drawn = fields_of(profile_of(profile.seed));
  const auto now = fields_of(profile);
  for (size_t i = 0; i < now.size(); ++i)
    if (now[i].second != drawn[i].second) text += before + now[i].first + "=" + now[i].second;
  return text;
}

}  // namespace

bool read_set(const std::string& text, Sets* out) {
  const size_t at = text.find('=');
  if (at == std::string::npos) return false;
  out->emplace_back(text.substr(0, at), text.substr(at + 1));
  return true;
}

std::vector<Listed> seeds_of(const std::string& path) {
  std::vector<Listed> seeds;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (line.empty() || line[0] == '#') continue;
    std::istringstream words(line);
    Listed listed;
    words >> listed.seed;
    for (std::string word; words >> word && read_set(word, &listed.sets);) {
    }
    seeds.push_back(std::move(listed));
  }
  return seeds;
}

bool pin(const Sets& sets, Profile* profile, std::string* wrong) {
  for (const auto& [name, value] : sets) {
    if (set_field(profile, name, value)) continue;
    *wrong = name + "=" + value;
    return false;
  }
  return true;
}

std::string command_of(const Profile& profile) {
  return "raftcs-sim --seed " + std::to_string(profile.seed) + changed_fields(profile, " --set ");
}

bool write_scenario(const std::string& path, const Profile& profile, const std::string& failure,
                    const std::string& arguments) {
  std::string sentence = failure;
  std::replace(sentence.begin(), sentence.end(), '\n', ' ');
  std::ofstream file(path);
  file << "# " << sentence << "\n# raftcs-sim --replay FILE" << arguments << " --verbose\n"
       << profile.seed << changed_fields(profile, " ") << "\n";
  file.close();
  return file.good();
}

}  // namespace raftcs::sim
