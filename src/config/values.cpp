// values.cpp: from text to checked values.
//
// Every check gives a sentence that names what is expected, because the same texts come
// from command lines and files of people. Numbers are decimal, without blanks or signs other
// than a leading minus; server.id alone uses all 64 bits.
#include <algorithm>
#include <charconv>

#include "base/check.hpp"
#include "config/settings.hpp"

namespace raftcs::config {
namespace {

constexpr size_t kValueBytesMax = 1 << 20;

Status invalid(std::string text) { return {RAFTCS_ERR_INVALID_ARGUMENT, std::move(text)}; }

// Wide enough for every number of the table, the unsigned ones too.
__extension__ typedef __int128 Wide;

bool parse_wide(std::string_view s, Wide* out) {
  bool negative = !s.empty() && s[0] == '-';
  if (negative) s.remove_prefix(1);
  if (s.empty() || s.size() > 20) return false;
  Wide n = 0;
  for (char c : s) {
    if (c < '0' || c > '9') return false;
    n = n * 10 + (c - '0');
  }
  *out = negative ? -n : n;
  return true;
}

std::string to_text(Wide n) {
  return n < 0 ? std::to_string(static_cast<int64_t>(n)) : std::to_string(static_cast<uint64_t>(n));
}

// "64MiB" as bytes; a plain number is a number of bytes.
bool parse_size(std::string_view s, Wide* out) {
  int shift = 0;
  if (s.ends_with("KiB")) shift = 10;
  if (s.ends_with("MiB")) shift = 20;
  if (s.ends_with("GiB")) shift = 30;
  if (shift) {
    s.remove_suffix(3);
    while (s.ends_with(' ')) s.remove_suffix(1);
  }
  Wide n = 0;
  if (s.size() > 15 || !parse_wide(s, &n)) return false;
  *out = n * (Wide{1} << shift);
  return true;
}

Result<std::string> canonical_number(const Setting& setting, std::string_view value) {
  Wide n = 0, low = 0, high = 0;
  bool is_size = setting.type == Type::bytes;
  if (!(is_size ? parse_size(value, &n) : parse_wide(value, &n))) {
    return invalid(is_size ? "a number of bytes is expected, such as 1048576 or 1MiB"
                           : "a whole number is expected");
  }
  std::string_view range = setting.range;
  size_t dots = range.find("..");
  RCS_CHECK(dots != std::string_view::npos);
  parse_wide(range.substr(0, dots), &low);
  parse_wide(range.substr(dots + 2), &high);
  if (n < low || n > high) return invalid("a value of " + std::string(range) + " is expected");
  return to_text(n);
}

Result<std::string> canonical_word(const Setting& setting, std::string_view value) {
  std::string_view range = setting.range;
  while (!range.empty()) {
    size_t bar = std::min(range.find('|'), range.size());
    if (value == range.substr(0, bar)) return std::string(value);
    range.remove_prefix(std::min(bar + 1, range.size()));
  }
  return invalid("one of " + std::string(setting.range) + " is expected");
}

Result<std::string> canonical(const Setting& setting, std::string_view value) {
  if (value.size() > kValueBytesMax || value.find('\0') != std::string_view::npos) {
    return invalid("text without NUL of at most 1 MiB is expected");
  }
  switch (setting.type) {
    case Type::boolean:
      if (value == "true" || value == "1") return std::string("true");
      if (value == "false" || value == "0") return std::string("false");
      return invalid("true or false is expected");
    case Type::text:
      if (*setting.range) return canonical_word(setting, value);
      if (setting.check) RCS_TRY(setting.check(value));
      return std::string(value);
    case Type::integer:
    case Type::duration_ms:
    case Type::bytes: return canonical_number(setting, value);
  }
  return invalid("no such type");
}

std::string_view trim(std::string_view s) {
  while (!s.empty() && (s.front() == ' ' || s.front() == '\t')) s.remove_prefix(1);
  while (!s.empty() && (s.back() == ' ' || s.back() == '\t')) s.remove_suffix(1);
  return s;
}

Status unknown(std::string_view name) {
  std::string text = "no setting is named '" + std::string(name) + "'";
  std::string_view near = nearest_name(name);
  if (!near.empty()) text += "; did you mean '" + std::string(near) + "'?";
  return {RAFTCS_ERR_UNKNOWN_OPTION, text};
}

}  // namespace

Status Config::set(std::string_view name, std::string_view value) {
  const Setting* setting = find(name);
  if (!setting) return unknown(name);
  Result<std::string> text = canonical(*setting, value);
  if (!text) return text.status().with_context(setting->name);
  values_[setting->name] = *text;
  return {};
}

Result<std::string> Config::get(std::string_view name) const {
  const Setting* setting = find(name);
  if (!setting) return unknown(name);
  auto it = values_.find(name);
  return it != values_.end() ? it->second : std::string(setting->default_value);
}

int64_t Config::integer(std::string_view name) const {
  std::string s = text(name);
  uint64_t n = 0;
  int64_t negative = 0;
  const char* end = s.data() + s.size();
  if (s.starts_with('-')) {
    std::from_chars(s.data(), end, negative);
    return negative;
  }
  std::from_chars(s.data(), end, n);
  return static_cast<int64_t>(n);
}

bool Config::boolean(std::string_view name) const { return text(name) == "true"; }

std::string Config::text(std::string_view name) const {
  Result<std::string> value = get(name);
  RCS_CHECK(value.is_ok());
  return value ? *value : std::string();
}

std::vector<std::string> split_list(std::string_view value) {
  std::vector<std::string> parts;
  if (trim(value).empty()) return parts;
  while (true) {
    size_t comma = value.find(',');
    parts.emplace_back(trim(value.substr(0, comma)));
    if (comma == std::string_view::npos) return parts;
    value.remove_prefix(comma + 1);
  }
}

Result<std::vector<Member>> parse_cluster(std::string_view value) {
  std::vector<Member> members;
  for (const std::string& item : split_list(value)) {
    std::string_view s = item;
    size_t equals = s.find('=');
    size_t slash = s.find("/tcp://", equals == std::string_view::npos ? 0 : equals);
    Wide id = 0;
    if (equals == std::string_view::npos || slash == std::string_view::npos) {
      return invalid("'" + item + "' is not ID=PEER_ADDRESS/CLIENT_ADDRESS");
    }
    if (!parse_wide(s.substr(0, equals), &id) || id < 1 || id > Wide{UINT64_MAX}) {
      return invalid("'" + item + "' does not begin with a member's number");
    }
    Member m;
    m.id = static_cast<uint64_t>(id);
    m.peer_address = s.substr(equals + 1, slash - equals - 1);
    m.client_address = s.substr(slash + 1);
    RCS_TRY(check_endpoint(m.peer_address, false));
    RCS_TRY(check_endpoint(m.client_address, false));
    for (const Member& other : members) {
      if (other.id == m.id) return invalid("member " + std::to_string(m.id) + " is named twice");
    }
    members.push_back(std::move(m));
  }
  return members;
}

Result<std::vector<std::pair<std::string, std::string>>> parse_pairs(std::string_view value) {
  std::vector<std::pair<std::string, std::string>> pairs;
  for (const std::string& item : split_list(value)) {
    size_t equals = item.find('=');
    if (equals == std::string::npos || equals == 0) {
      return invalid("'" + item + "' is not name=value");
    }
    pairs.emplace_back(trim(std::string_view(item).substr(0, equals)),
                       trim(std::string_view(item).substr(equals + 1)));
  }
  std::sort(pairs.begin(), pairs.end());
  for (size_t i = 1; i < pairs.size(); ++i) {
    if (pairs[i].first == pairs[i - 1].first) {
      return invalid("'" + pairs[i].first + "' is named twice");
    }
  }
  return pairs;
}

Status check_endpoint(std::string_view value, bool listening) {
  Status bad = invalid("'" + std::string(value.substr(0, 200)) + "' is not tcp://host:port");
  std::string_view s = value;
  if (!s.starts_with("tcp://")) return bad;
  s.remove_prefix(6);
  size_t colon = s.rfind(':');
  if (colon == std::string_view::npos || colon == 0) return bad;
  std::string_view host = s.substr(0, colon), port = s.substr(colon + 1);
  for (char c : host) {
    if (static_cast<unsigned char>(c) <= ' ' || c == '/' || c == ',' || c == '=') return bad;
  }
  bool bracketed = host.front() == '[' && host.back() == ']' && host.size() > 2;
  if (host.find(':') != std::string_view::npos && !bracketed) return bad;
  if (listening && port == "*") return {};
  Wide n = 0;
  if (port.size() > 5 || !parse_wide(port, &n) || n > 65535 || n < (listening ? 0 : 1)) return bad;
  return {};
}

}  // namespace raftcs::config
