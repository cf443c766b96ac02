// main.cpp: raftcs-plugin-check FILE.so: loads a plugin as a server would and tries to break it.
//
// Exit codes: 0 all passed, 1 something failed, 2 usage.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>

#include "checks.hpp"
#include "raftcs.h"

namespace {

constexpr char kUsage[] =
    "usage: raftcs-plugin-check [--seed N] [--count N] [--commands FILE] [--capability N=V]... "
    "PLUGIN.so\n"
    "  --seed N         of the random commands (1)\n"
    "  --count N        how many commands (2000)\n"
    "  --commands FILE  real commands, one per line in hexadecimal; damaged ones are made of "
    "them\n"
    "  --capability N=V what the sessions bring\n";

int digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool read_samples(const char* path, std::vector<std::string>* out) {
  std::ifstream in(path);
  if (!in) return false;
  for (std::string line; std::getline(in, line);) {
    std::string bytes;
    if (line.size() % 2 != 0) return false;
    for (size_t i = 0; i < line.size(); i += 2) {
      const int hi = digit(line[i]), lo = digit(line[i + 1]);
      if (hi < 0 || lo < 0) return false;
      bytes += static_cast<char>(hi * 16 + lo);
    }
    if (!line.empty()) out->push_back(bytes);
  }
  return true;
}

bool parse(int argc, char** argv, plugin_check::Options* options, const char** file) {
  for (int i = 1; i < argc; ++i) {
    const std::string arg = argv[i];
    if (arg.empty() || arg[0] != '-') {
      if (*file != nullptr) return false;
      *file = argv[i];
      continue;
    }
    if (i + 1 == argc) return false;
    const char* value = argv[++i];
    if (arg == "--seed") {
      options->seed = std::strtoull(value, nullptr, 10);
    } else if (arg == "--count") {
      options->commands = static_cast<uint32_t>(std::strtoul(value, nullptr, 10));
    } else if (arg == "--commands") {
      if (read_samples(value, &options->samples)) continue;
      std::fprintf(stderr, "%s: not a file of hexadecimal lines\n", value);
      return false;
    } else if (arg == "--capability") {
      const std::string pair = value;
      const size_t at = pair.find('=');
      if (at == std::string::npos) return false;
      options->capabilities.emplace_back(pair.substr(0, at), pair.substr(at + 1));
    } else {
      return false;
    }
  }
  std::sort(options->capabilities.begin(), options->capabilities.end());
  return *file != nullptr;
}

}  // namespace

int main(int argc, char** argv) {
  plugin_check::Options options;
  const char* file = nullptr;
  if (!parse(argc, argv, &options, &file)) {
    std::fputs(kUsage, stderr);
    return 2;
  }
  raftcs_plugin_t* plugin = nullptr;
  raftcs_error_t* error = nullptr;
  if (raftcs_plugin_open(file, &plugin, &error) != RAFTCS_OK) {
    std::printf("FAIL load: %s\n", raftcs_error_text(error));
    raftcs_error_destroy(error);
    return 1;
  }
  std::printf("plugin %s %s\n", raftcs_plugin_name(plugin), raftcs_plugin_version(plugin));
  int failed = 0;
  for (uint32_t i = 0; i < raftcs_plugin_type_count(plugin); ++i) {
    for (const auto& f : plugin_check::check_type(raftcs_plugin_type(plugin, i), options)) {
      std::printf("%s %s: %s\n", f.passed ? "ok  " : "FAIL", f.check.c_str(), f.text.c_str());
      if (!f.passed) failed = 1;
    }
  }
  raftcs_plugin_close(plugin);
  return failed;
}
