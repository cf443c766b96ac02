// fuzzer_main.cpp: what a libFuzzer program adds to its target: "fuzz_NAME --seeds FOLDER" writes
// the seeds as files and ends; libFuzzer takes every other command line.
#include <filesystem>
#include <fstream>

#include "tests/fuzz/fuzz.hpp"

extern "C" int LLVMFuzzerInitialize(int* argc, char*** argv) {
  if (*argc != 3 || std::strcmp((*argv)[1], "--seeds") != 0) return 0;
  const std::filesystem::path folder = (*argv)[2];
  std::filesystem::create_directories(folder);
  raftcs::fuzz::make_seeds([&](const std::string& name, const std::string& bytes) {
    std::ofstream(folder / ("seed_" + name), std::ios::binary) << bytes;
  });
  std::exit(0);
}
