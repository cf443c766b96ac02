// options.cpp: see options.hpp. A flag is only another way to write a setting: its name, range
// and meaning are those of the table in the library.
#include "raftcs-server/options.hpp"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <iostream>

namespace tools {

namespace {

struct Flag {
  const char* flag;
  const char* setting;
  const char* what;
  const char* text;
};

constexpr Flag kFlags[] = {
    {"--id", "server.id", "N", "this node's id, from 1, unique in the cluster"},
    {"--data", "server.data", "DIR", "data directory; made when absent"},
    {"--client-listen", "server.client_listen", "tcp://HOST:PORT", "where clients connect"},
    {"--peer-listen", "server.peer_listen", "tcp://HOST:PORT", "where other nodes connect"},
    {"--client-advertise", "server.client_advertise", "tcp://HOST:PORT",
     "what clients are told, when it is not what was bound"},
    {"--peer-advertise", "server.peer_advertise", "tcp://HOST:PORT",
     "what other nodes are told, when it is not what was bound"},
    {"--plugins", "server.plugins", "DIR", "directory of state machine plugins (*.so)"},
    {"--cluster", "server.cluster", "ID=PEER/CLIENT,...",
     "all first members; without it a fresh data directory becomes a one-node cluster"},
    {"--join", "server.join", "ENDPOINTS", "join the running cluster found there"},
};

void print_version() {
  std::printf("raftcs-server %d.%d.%d (libraftcs %s)\n", RAFTCS_VERSION_MAJOR,
              RAFTCS_VERSION_MINOR, RAFTCS_VERSION_PATCH, raftcs_version_string());
}

// A cell of a markdown table: a bar would end it.
std::string cell(const char* text) {
  std::string out;
  for (const char* c = text == nullptr ? "" : text; *c != '\0'; ++c) {
    if (*c == '|') out += '\\';
    out += *c;
  }
  return out;
}

// What a missing setting of the command line is, before the library says so in its own words.
void check_needed(raftcs_config_t* config) {
  const char* value = nullptr;
  if (raftcs_config_get(config, "server.id", &value) == RAFTCS_OK &&
      (value[0] == '\0' || std::string(value) == "0")) {
    throw Failure(kUsage, "which node is this? Give --id N (from 1, unique in the cluster)");
  }
  value = nullptr;
  if (raftcs_config_get(config, "server.data", &value) == RAFTCS_OK && value[0] == '\0') {
    throw Failure(kUsage, "where is the data to live? Give --data DIR (it is made when absent)");
  }
}

}  // namespace

bool parse_command_line(int argc, char** argv, ServerOptions& options, int& exit_code) {
  CLI::App app("raftcs-server: one node of a raftcs cluster");
  app.footer("Example, a cluster of one:\n"
             "  raftcs-server --id 1 --data ./n1 --client-listen tcp://127.0.0.1:7001 "
             "--plugins ./plugins\n"
             "All settings: raftcs-server --print-settings");
  std::vector<std::string> values(std::size(kFlags));
  for (size_t i = 0; i < std::size(kFlags); ++i) {
    app.add_option(kFlags[i].flag, values[i], kFlags[i].text)->type_name(kFlags[i].what);
  }
  app.add_option("--config", options.config_file, "settings file (TOML)")->type_name("FILE");
  app.add_option("--set", options.pairs, "one setting; may be repeated")
      ->type_name("KEY=VALUE")
      ->expected(1)
      ->take_all();
  app.add_flag("--print-settings", options.print_settings, "print all settings (markdown)");
  bool version = false;
  app.add_flag("--version", version, "print the version");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    bool fine = error.get_exit_code() == 0;
    if (fine) {
      app.exit(error);
    } else {
      std::cerr << "raftcs-server: " << error.what() << "\nraftcs-server --help explains.\n";
    }
    exit_code = fine ? kDone : kUsage;
    return false;
  }
  if (version) {
    print_version();
    exit_code = kDone;
    return false;
  }
  for (size_t i = 0; i < std::size(kFlags); ++i) {
    if (app.count(kFlags[i].flag) == 0) continue;
    if (std::string(kFlags[i].flag) == "--join") values[i] = join(parse_endpoints(values[i]), ",");
    options.settings.emplace_back(kFlags[i].setting, values[i]);
  }
  return true;
}

ConfigPtr settings_of(const ServerOptions& options) {
  ConfigPtr config = make_config();
  if (!options.config_file.empty()) load_file(config.get(), options.config_file);
  for (const std::string& pair : options.pairs) set_pair(config.get(), pair);
  for (const auto& [name, value] : options.settings) set(config.get(), name, value);
  check_needed(config.get());
  return config;
}

// The same text as docs/settings.md, which a test of the library compares with its table.
std::string settings_markdown() {
  std::string out =
      "# Settings\n\n"
      "Printed from the table in `src/config/settings.cpp`; a test compares the two.\n\n"
      "A setting is given by `raftcs_config_set`, by `--set NAME=VALUE` of the programs, or in a "
      "TOML file, where a\ntable `[client.request]` with the key `timeout_ms` is the setting "
      "`client.request.timeout_ms`. Sizes may end in\n`KiB`, `MiB` or `GiB`.\n\n"
      "| name | type | default | range | unit | meaning |\n"
      "|---|---|---|---|---|---|\n";
  for (uint32_t i = 0;; ++i) {
    raftcs_setting_t setting{};
    setting.struct_size = sizeof setting;
    if (raftcs_setting_at(i, &setting) != RAFTCS_OK) return out;
    std::string value = *setting.default_value == '\0'
                            ? std::string()
                            : "`" + std::string(setting.default_value) + "`";
    out += "| `" + std::string(setting.name) + "` | " + setting.type + " | " + value + " | " +
           cell(setting.range) + " | " + setting.unit + " | " + setting.text + " |\n";
  }
}

}  // namespace tools
