// settings.hpp: the settings of clients and servers, as one table.
//
// Whatever can be set has one row in settings.cpp: name, type, default, range, unit and a
// sentence. Parsing, docs/settings.md and the C API (raftcs_setting_at) read the same rows,
// so none of them can know a setting that the others do not. Values are checked when they are
// set, each by itself; what concerns two settings together is checked by whoever uses them.
//
// Values are kept as canonical text (64MiB becomes 67108864), because that is how every
// source gives them: a command line, a file, a binding.
//
// Threads: none; a Config is a value.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.hpp"

namespace raftcs::config {

// What servers take of a client; capi/config.cpp holds these against the wire's own.
constexpr size_t kClientNameBytesMax = 4096;
constexpr size_t kCapabilitiesMax = 64;
constexpr size_t kCapabilityBytesMax = 255;  // of a name, and of a value

enum class Type : uint8_t { integer, boolean, text, duration_ms, bytes };

// "int", "bool", "string", "duration_ms", "bytes".
const char* type_name(Type type);

struct Setting {
  const char* name;
  Type type;
  const char* default_value;
  const char* range;  // "1..60000" for numbers, "auto|manual" for words, "" for any
  const char* unit;   // "ms", "bytes" or ""
  const char* text;
  Status (*check)(std::string_view value);  // more than type and range; may be null
};

std::span<const Setting> settings();
const Setting* find(std::string_view name);
// The name of the table that is nearest to a misspelt one; "" when none is near.
std::string_view nearest_name(std::string_view name);
// The reference page, docs/settings.md.
std::string settings_page();

class Config {
 public:
  // UNKNOWN_OPTION, INVALID_ARGUMENT or UNSUPPORTED; nothing has changed then.
  Status set(std::string_view name, std::string_view value);
  // Reads a TOML file; all of it is taken or nothing. Errors name file, line and setting.
  Status load_file(const std::string& path);

  Result<std::string> get(std::string_view name) const;
  bool is_set(std::string_view name) const { return values_.count(name) != 0; }

  // Requires: a name of the table with a fitting type.
  int64_t integer(std::string_view name) const;
  bool boolean(std::string_view name) const;
  std::string text(std::string_view name) const;

 private:
  std::map<std::string, std::string, std::less<>> values_;
};

// ---- values with a form of their own ------------------------------------------------

// "a, b,c" as its parts without blanks around them; "" has none.
std::vector<std::string> split_list(std::string_view value);

struct Member {
  uint64_t id = 0;
  std::string peer_address;
  std::string client_address;
};
// "1=tcp://a:7101/tcp://a:7001,2=...".
Result<std::vector<Member>> parse_cluster(std::string_view value);
// "a=b,c=d", sorted by name, names unique.
Result<std::vector<std::pair<std::string, std::string>>> parse_pairs(std::string_view value);
// tcp://host:port. `listening`: port 0 and * are allowed.
Status check_endpoint(std::string_view value, bool listening);

}  // namespace raftcs::config
