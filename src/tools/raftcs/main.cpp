// raftcs: the command line for a running cluster.
//
// Data goes to stdout, everything for people to stderr. Exit codes: 0 done, 1 definitely
// failed, 2 usage, 3 outcome unknown, 4 unavailable and not sent.
#include <csignal>
#include <cstdio>
#include <iostream>

#include "raftcs/context.hpp"

namespace {

int parse_and_run(int argc, char** argv) {
  tools::Context context;
  CLI::App app("raftcs: commands for a raftcs cluster");
  app.fallthrough();
  app.require_subcommand(0, 1);
  app.footer("Exit codes: 0 done, 1 definitely failed, 2 usage, 3 outcome unknown,\n"
             "4 unavailable and not sent. Values that begin with a dash go after \"--\".");
  app.add_option("-e,--endpoints", context.endpoints,
                 "client addresses of some or all servers, HOST:PORT[,HOST:PORT...]")
      ->envname("RAFTCS_ENDPOINTS")
      ->type_name("ENDPOINTS")
      ->take_last();
  app.add_option("-o,--output", context.output, "table or json")
      ->check(CLI::IsMember({"table", "json"}))
      ->take_last();
  tools::add_number(&app, "--timeout", context.timeout_ms, "how long to wait for an answer")
      ->type_name("MS")
      ->check(CLI::Range(1, 86'400'000))
      ->take_last();
  bool version = false;
  app.add_flag("--version", version, "print the version");
  tools::add_status_command(app, context);
  tools::add_member_commands(app, context);
  tools::add_admin_commands(app, context);
  tools::add_call_command(app, context);
  tools::add_kv_commands(app, context);
  tools::add_queue_commands(app, context);
  tools::add_log_commands(app, context);
  tools::add_recover_command(app, context);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);
    std::cerr << "raftcs: " << error.what() << "\nraftcs --help lists the commands.\n";
    return tools::kUsage;
  }
  if (version) {
    tools::write_out("raftcs " + std::to_string(RAFTCS_VERSION_MAJOR) + "." +
                     std::to_string(RAFTCS_VERSION_MINOR) + "." +
                     std::to_string(RAFTCS_VERSION_PATCH) + " (libraftcs " +
                     raftcs_version_string() + ")\n");
    return tools::kDone;
  }
  if (!context.action) {
    throw tools::Failure(tools::kUsage, "which command? raftcs --help lists them");
  }
  return context.action();
}

}  // namespace

int main(int argc, char** argv) {
  signal(SIGPIPE, SIG_IGN);  // whoever reads us is gone: a write that fails says so
  try {
    return parse_and_run(argc, argv);
  } catch (const tools::Failure& failure) {
    std::fprintf(stderr, "raftcs: %s\n", failure.what());
    return failure.exit_code();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "raftcs: %s\n", error.what());
    return tools::kFailed;
  }
}
