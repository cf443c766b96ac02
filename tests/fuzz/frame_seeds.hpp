// frame_seeds.hpp: every frame of tests/fixtures as a seed, whoever speaks it: a target refuses
// what is not for it.
#pragma once

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <vector>

#include "tests/fuzz/fuzz.hpp"
#include "tests/unit/wire/hex.hpp"

namespace raftcs::fuzz {

inline void fixture_seeds(const SeedSink& sink) {
  std::vector<std::filesystem::path> files;
  for (const auto& f : std::filesystem::directory_iterator(RAFTCS_SOURCE_DIR "/tests/fixtures"))
    if (f.path().extension() == ".hex") files.push_back(f.path());
  std::sort(files.begin(), files.end());
  for (const std::filesystem::path& f : files) {
    std::ifstream in(f);
    const std::string text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
    sink(f.stem().string(), wire::from_hex(text).str());
  }
}

}  // namespace raftcs::fuzz
