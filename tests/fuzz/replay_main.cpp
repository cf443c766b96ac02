// replay_main.cpp: a fuzz target over its seeds and its corpus, without libFuzzer.
//
//   replay_NAME [--mutations N] FOLDER...   runs what make_seeds gives, every file, and N mutations
//                                           of each; the same ones every time
//
// A broken property aborts; the input is then in the file "crash-replay" of the working directory.
// Fails when there was nothing to run, or when the target refused all of it at once.
#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <vector>

#include "base/prng.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace {

namespace fs = std::filesystem;
using raftcs::Prng;

std::string g_running;

void keep_input(int signal) {
  std::ofstream("crash-replay", std::ios::binary) << g_running;
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

void run(const std::string& bytes) {
  g_running = bytes;
  // Exact memory, so that reading behind it is found by the address sanitizer.
  const std::vector<uint8_t> exact(bytes.begin(), bytes.end());
  LLVMFuzzerTestOneInput(exact.data(), exact.size());
}

std::string mutated(const std::string& bytes, const std::string& other, Prng& prng) {
  static constexpr int kEdges[] = {0, 1, 0x7f, 0x80, 0xf0, 0xff};
  std::string out = bytes;
  for (uint64_t n = prng.between(1, 4); n > 0; --n) {
    const size_t at = out.empty() ? 0 : static_cast<size_t>(prng.below(out.size()));
    switch (out.empty() ? 5 : prng.below(7)) {
      case 0: out[at] = static_cast<char>(out[at] ^ 1 << prng.below(8)); break;
      case 1: out[at] = static_cast<char>(prng.next()); break;
      case 2: out[at] = static_cast<char>(kEdges[prng.below(6)]); break;
      case 3: out.resize(at); break;
      case 4: out.erase(at, static_cast<size_t>(prng.between(1, 8))); break;
      case 5: out.insert(at, 1, static_cast<char>(prng.next())); break;
      default:  // the front of this, the back of another
        out = out.substr(0, at) + other.substr(std::min(at, other.size()));
    }
  }
  return out;
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::string> inputs;
  uint64_t mutations = 0;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument == "--mutations" && i + 1 < argc) {
      mutations = std::strtoull(argv[++i], nullptr, 10);
      continue;
    }
    if (!fs::exists(argument)) continue;  // a target without a corpus has its seeds
    std::vector<fs::path> files;
    for (const auto& f : fs::recursive_directory_iterator(argument))
      if (f.is_regular_file()) files.push_back(f.path());
    std::sort(files.begin(), files.end());
    for (const fs::path& f : files) {
      std::ifstream in(f, std::ios::binary);
      inputs.emplace_back(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
    }
  }
  const size_t files = inputs.size();
  raftcs::fuzz::make_seeds(
      [&](const std::string&, const std::string& bytes) { inputs.push_back(bytes); });
  std::signal(SIGABRT, keep_input);
  std::signal(SIGSEGV, keep_input);
  for (const std::string& input : inputs) run(input);
  const uint64_t accepted = raftcs::fuzz::accepted;
  Prng prng(20261126);
  for (const std::string& input : inputs)
    for (uint64_t n = 0; n < mutations; ++n)
      run(mutated(input, inputs[static_cast<size_t>(prng.below(inputs.size()))], prng));
  std::printf("%zu files, %zu seeds, %llu mutations of them; accepted: %llu of the former, %llu of "
              "the mutations\n",
              files, inputs.size() - files,
              static_cast<unsigned long long>(inputs.size() * mutations),
              static_cast<unsigned long long>(accepted),
              static_cast<unsigned long long>(raftcs::fuzz::accepted - accepted));
  if (inputs.empty() || accepted == 0) {
    std::fprintf(stderr, "replay: nothing was accepted, so nothing was tested\n");
    return 1;
  }
  return 0;
}
