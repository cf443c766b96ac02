// plugin_under_test.cpp: loading, samples, workload; and what is said when it all crashes.
#include "sim/plugin_under_test.hpp"

#include <csignal>
#include <cstddef>
#include <cstring>
#include <fstream>

#include <unistd.h>

#include "base/prng.hpp"
#include "raftcs.h"

namespace raftcs::sim {
namespace {

constexpr size_t kCommandBytesMax = 1 << 20;
constexpr unsigned kSeedSecondsMax = 120;

int digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

Status read_samples(const std::string& path, std::vector<std::string>* out) {
  std::ifstream in(path);
  const std::string wrong = path + " is no file of commands, one per line in hexadecimal";
  for (std::string line; std::getline(in, line);) {
    if (line.empty() || line[0] == '#') continue;
    std::string bytes;
    if (line.size() % 2 != 0) return Status(RAFTCS_ERR_INVALID_ARGUMENT, wrong);
    for (size_t i = 0; i < line.size(); i += 2) {
      const int hi = digit(line[i]), lo = digit(line[i + 1]);
      if (hi < 0 || lo < 0) return Status(RAFTCS_ERR_INVALID_ARGUMENT, wrong);
      bytes += static_cast<char>(hi * 16 + lo);
    }
    out->push_back(bytes);
  }
  if (out->empty()) return Status(RAFTCS_ERR_INVALID_ARGUMENT, wrong);
  return Status::ok();
}

}  // namespace

PluginUnderTest::PluginUnderTest() : registry_([](int, std::string_view) {}) {}

Result<std::unique_ptr<PluginUnderTest>> PluginUnderTest::load(const PluginOptions& options) {
  std::unique_ptr<PluginUnderTest> p(new PluginUnderTest);
  p->options_ = options;
  RCS_ASSIGN(loaded, p->registry_.load_file(options.path));
  const plugin::LoadedPlugin& plugin = *loaded;
  const raftcs_plugin_entry_t& entry = *plugin.entry;
  if (entry.extension != nullptr)
    p->workload_ =
        static_cast<const raftcs_sim_workload_t*>(entry.extension(RAFTCS_SIM_EXTENSION));
  const raftcs_sim_workload_t* w = p->workload_;
  if (w != nullptr && (w->struct_size < offsetof(raftcs_sim_workload_t, check) + sizeof w->check ||
                       w->type_id == nullptr || w->command == nullptr))
    return Status(RAFTCS_ERR_INVALID_ARGUMENT,
                  "the plugin's extension " RAFTCS_SIM_EXTENSION
                  " is not whole: set struct_size to sizeof(raftcs_sim_workload_t), type_id and "
                  "command");
  RCS_TRY(p->find_type(plugin));
  if (!options.commands.empty()) RCS_TRY(read_samples(options.commands, &p->samples_));
  return p;
}

Status PluginUnderTest::find_type(const plugin::LoadedPlugin& loaded) {
  std::string wanted = options_.type, known;
  if (wanted.empty() && workload_ != nullptr) wanted = workload_->type_id;
  for (const raftcs_sm_type_t* t : loaded.types) {
    known += std::string(known.empty() ? "" : ", ") + t->id;
    if (type_ == nullptr && (wanted.empty() || wanted == t->id)) type_ = t;
  }
  if (type_ == nullptr)
    return Status(RAFTCS_ERR_NOT_FOUND,
                  "the plugin has no type " + wanted + "; --type may be one of: " + known);
  if (workload_ != nullptr && std::strcmp(workload_->type_id, type_->id) != 0) workload_ = nullptr;
  if (service() == "ledger")
    return Status(RAFTCS_ERR_INVALID_ARGUMENT,
                  "the last part of the type's id must not be \"ledger\" here: the simulator has "
                  "a service of this name");
  return Status::ok();
}

std::string PluginUnderTest::service() const {
  const std::string id = type_->id;
  return id.substr(id.rfind('.') + 1);
}

std::string PluginUnderTest::arguments() const {
  std::string line = " --plugin " + options_.path;
  if (!options_.type.empty()) line += " --type " + options_.type;
  if (!options_.commands.empty()) line += " --commands " + options_.commands;
  for (const auto& [name, value] : options_.capabilities)
    line += " --capability " + name + "=" + value;
  return line;
}

const char* PluginUnderTest::source() const {
  return !samples_.empty()      ? "the file of commands"
         : workload_ != nullptr ? "the plugin's workload"
                                : "noise: use --commands or the extension of raftcs_sim.h";
}

// A command of the file as it is, cut, or with a byte changed; or noise.
std::string PluginUnderTest::sample(uint64_t random) const {
  Prng r(random);
  std::string s;
  const uint64_t how = r.below(16);
  if (samples_.empty() || how == 0) {
    s.resize(r.below(40));
    for (char& c : s) c = static_cast<char>(r.below(256));
    return s;
  }
  s = samples_[r.below(samples_.size())];
  if (how == 1) s.resize(r.below(s.size() + 1));
  if (how == 2 && !s.empty()) s[r.below(s.size())] = static_cast<char>(r.below(256));
  return s;
}

Bytes PluginUnderTest::asked(Ask ask, uint32_t client, uint64_t number, uint64_t random) const {
  const raftcs_sim_ask_t question{sizeof question, client, number, random};
  std::vector<char> buffer(4096);
  g_plugin_call = {"the workload's command or query", number};
  size_t n = ask(&question, buffer.data(), buffer.size());
  if (n > buffer.size()) {
    buffer.resize(kCommandBytesMax);
    n = ask(&question, buffer.data(), buffer.size());
  }
  g_plugin_call = {};
  return Bytes::copy(buffer.data(), n > buffer.size() ? 0 : n);
}

Bytes PluginUnderTest::command(uint32_t client, uint64_t number, uint64_t random) const {
  if (samples_.empty() && workload_ != nullptr)
    return asked(workload_->command, client, number, random);
  const std::string s = sample(random);
  return Bytes::copy(s.data(), s.size());
}

std::optional<Bytes> PluginUnderTest::query(uint32_t client, uint64_t number,
                                            uint64_t random) const {
  if (workload_ == nullptr || workload_->query == nullptr) return std::nullopt;
  return asked(workload_->query, client, number, random);
}

const char* (*PluginUnderTest::check() const)(void*) {
  return workload_ == nullptr ? nullptr : workload_->check;
}

// --- crashes ------------------------------------------------------------------------------------

PluginCall g_plugin_call;

namespace {

char g_replay[4096];

void say(const char* text) {
  if (write(STDOUT_FILENO, text, std::strlen(text)) < 0) return;
}

// [signal] Only what may be called in a signal handler.
void on_signal(int signal) {
  const char* what = signal == SIGALRM   ? "did not come to an end within two minutes"
                     : signal == SIGSEGV ? "crashed (segmentation fault)"
                     : signal == SIGABRT ? "crashed (abort)"
                     : signal == SIGFPE  ? "crashed (division by zero or the like)"
                                         : "crashed";
  if (g_plugin_call.function != nullptr) {
    say("\nFAILED the plugin ");
    say(what);
    say(" in ");
    say(g_plugin_call.function);
    char digits[24] = {};
    size_t at = sizeof digits - 1;
    for (uint64_t i = g_plugin_call.index; i > 0 && at > 0; i /= 10)
      digits[--at] = static_cast<char>('0' + i % 10);
    if (digits[at] != 0) say(", at log index "), say(digits + at);
    say(". A state machine answers bad input with an app_code.");
  } else {
    say("\nFAILED the simulation ");
    say(what);
    say(" outside of the plugin. Memory that the plugin wrote over may be the cause: build it "
        "with -fsanitize=address, or run this under valgrind.");
  }
  say("\n  replay, for a debugger: ");
  say(g_replay);
  say("\n");
  _exit(1);
}

}  // namespace

void report_crashes_of(const std::string& replay) {
  std::strncpy(g_replay, replay.c_str(), sizeof g_replay - 1);
  static char stack[64 << 10];
  stack_t alternative{};
  alternative.ss_sp = stack;
  alternative.ss_size = sizeof stack;
  sigaltstack(&alternative, nullptr);
  struct sigaction action {};
  action.sa_handler = on_signal;
  action.sa_flags = SA_ONSTACK | static_cast<int>(SA_RESETHAND);
  for (int signal : {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGALRM})
    sigaction(signal, &action, nullptr);
  alarm(kSeedSecondsMax);
}

}  // namespace raftcs::sim
