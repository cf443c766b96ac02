// context.hpp: what all commands of the CLI share: the global options, and how results are
// printed. Each file of this folder adds its commands to the CLI11 tree; choosing one sets
// `action`, which main runs after parsing.
#pragma once

#include <CLI/CLI.hpp>
#include <charconv>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/api.hpp"

namespace tools {

using Json = nlohmann::ordered_json;

struct Context {
  std::string endpoints;  // -e, else RAFTCS_ENDPOINTS
  std::string output = "table";
  int64_t timeout_ms = 10'000;
  std::function<int()> action;

  bool json() const { return output == "json"; }
  std::vector<std::string> endpoint_list() const { return parse_endpoints(endpoints); }
};

void add_admin_commands(CLI::App& app, Context& context);
void add_call_command(CLI::App& app, Context& context);
void add_kv_commands(CLI::App& app, Context& context);
void add_kv_bulk_commands(CLI::App& kv, Context& context);
void add_kv_watch_command(CLI::App& kv, Context& context);
void add_log_commands(CLI::App& app, Context& context);
void add_member_commands(CLI::App& app, Context& context);
void add_recover_command(CLI::App& app, Context& context);
void add_queue_commands(CLI::App& app, Context& context);
void add_queue_work_command(CLI::App& queue, Context& context);
void add_status_command(CLI::App& app, Context& context);

// A number on the command line is decimal and in range: CLI11 reads 010 as 8, and makes what is too
// large the largest there is.
template <class T>
CLI::Validator decimal() {
  return CLI::Validator(
      [](std::string& text) -> std::string {
        T number{};
        const char* end = text.data() + text.size();
        const auto [stop, error] = std::from_chars(text.data(), end, number);
        const size_t first = text.front() == '-' ? 1 : 0;
        const bool octal = text.size() > first + 1 && text[first] == '0';
        if (error == std::errc() && stop == end && !octal) return {};
        return "\"" + text + "\" is not a whole decimal number that fits";
      },
      std::string());
}
template <class T>
CLI::Option* add_number(CLI::App* command, const std::string& name, T& target,
                        const std::string& text = {}) {
  return command->add_option(name, target, text)->check(decimal<T>());
}

template <class T>
CLI::Option* add_number(CLI::App* command, const std::string& name, std::optional<T>& target,
                        const std::string& text = {}) {
  return command->add_option(name, target, text)->check(decimal<T>());
}

// What was asked of the cluster when its answer is written: if that cannot be written, a script
// must not take for failed what was done.
enum class After { kAsking, kDoing };

// One document on stdout, with a line feed.
void print_json(const Json& document, After after = After::kAsking);
// `name`: the bytes as text when they are UTF-8, else `name_hex`.
void put_bytes(Json& document, const std::string& name, std::string_view bytes);
// A JSON document out of a reply; Failure when the server sent something else.
Json parse_reply(const Reply& reply, const std::string& what);
// A value as a table cell.
std::string cell_of(const Json& value);
// A list of objects as a table; `columns` come first, in this order, when any object has them;
// without `only` the remaining keys follow.
std::string table_of(const Json& list, const std::vector<std::string>& columns, bool only = false);
// Writes bytes to stdout; a broken pipe or a full disk is a Failure, after kDoing with kUnknown.
void write_out(std::string_view bytes, After after = After::kAsking);
// All of standard input; a read that fails is a Failure, as half of a value must not pass for one.
std::string read_in();

}  // namespace tools
