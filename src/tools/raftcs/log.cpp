// log.cpp: `raftcs log`: the log of a stopped node, read from its data directory.
#include <cstdio>

#include "raftcs/context.hpp"

namespace tools {

namespace {

void print_line(uint64_t lines, const char* line, size_t size) {
  ++*reinterpret_cast<uint64_t*>(lines);
  std::fwrite(line, 1, size, stdout);
  std::fputc('\n', stdout);
}

using LogCall = raftcs_status_t (*)(const char*, raftcs_line_fn, uint64_t, raftcs_error_t**);

int run(LogCall call, const std::string& data_dir, const char* what) {
  raftcs_error_t* error = nullptr;
  uint64_t lines = 0;
  raftcs_status_t status =
      call(data_dir.c_str(), print_line, reinterpret_cast<uint64_t>(&lines), &error);
  if (std::fflush(stdout) != 0) throw Failure(kFailed, "cannot write to standard output");
  if (status != RAFTCS_OK) {
    throw Failure(status == RAFTCS_ERR_INVALID_ARGUMENT ? kUsage : kFailed,
                  std::string(what) + " " + data_dir + ": " + take_error(error, status));
  }
  std::fprintf(stderr, "%s: done, %llu lines\n", what, static_cast<unsigned long long>(lines));
  return kDone;
}

void add(CLI::App& log, Context& context, const char* name, const char* text, LogCall call) {
  CLI::App* command = log.add_subcommand(name, text);
  auto data_dir = std::make_shared<std::string>();
  command->add_option("--data", *data_dir, "data directory of a stopped node")
      ->required()
      ->type_name("DIR");
  command->callback([&context, data_dir, name, call] {
    context.action = [data_dir, name, call] { return run(call, *data_dir, name); };
  });
}

}  // namespace

void add_log_commands(CLI::App& app, Context& context) {
  CLI::App* log = app.add_subcommand("log", "the files of a stopped node");
  log->require_subcommand(1);
  add(*log, context, "dump", "every entry, one JSON object per line", raftcs_log_dump);
  add(*log, context, "verify", "check every file; exit 1 when something is damaged",
      raftcs_log_verify);
}

}  // namespace tools
