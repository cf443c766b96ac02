// kv.hpp: the payloads of the kv service, as plugins/kv/README.md defines them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tools::kv {

// The service's answers (app_code).
enum AppCode : int32_t {
  kOk = 0,
  kNotFound = 1,
  kCompareFailed = 2,
  kNotANumber = 3,
  kMalformed = 4,
  kTooLarge = 5,
};
const char* app_code_text(int32_t code);

// Commands.
std::string put(std::string_view key, std::string_view value);
std::string del(std::string_view key);
std::string cas(std::string_view key, const std::optional<std::string>& expected,
                const std::optional<std::string>& value);
std::string incr(std::string_view key, int64_t delta);
std::string append(std::string_view key, std::string_view value);
std::string watch(std::string_view key, bool prefix);
std::string unwatch(std::string_view key, bool prefix);

// Queries.
std::string get(std::string_view key);
// Without `to`: up to the last key.
std::string range(std::string_view from, const std::optional<std::string>& to, uint64_t limit);

struct Entry {
  std::string key;
  std::string value;
  std::optional<int64_t> version;
};
struct RangeAnswer {
  std::vector<Entry> entries;
  bool more = false;
};
struct Change {
  std::string event;  // "put", "del" or "lost": too many undelivered, the watch has ended
  std::string key;
  std::optional<std::string> value;
  int64_t version = 0;
};

// Answers. Nothing when the bytes are not of the form the service promises.
std::optional<Entry> read_get(std::string_view bytes);
std::optional<RangeAnswer> read_range(std::string_view bytes);
std::optional<Change> read_change(std::string_view bytes);
// The first element of an answer, as text: the new version, or the number of an incr.
std::optional<std::string> read_scalar(std::string_view bytes);

}  // namespace tools::kv
