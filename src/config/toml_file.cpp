// toml_file.cpp: settings from a TOML file.
//
// The only place that knows the TOML parser. Tables become the dotted part of a name; an array is
// the list with commas that the setting takes as text. The file is taken whole or not at all, and
// every complaint begins with "file:line".
#define TOML_HEADER_ONLY 1
#define TOML_EXCEPTIONS 0
#include <toml++/toml.h>

#include <fstream>
#include <sstream>

#include "config/settings.hpp"

namespace raftcs::config {
namespace {

constexpr std::streamoff kFileBytesMax = 4 << 20;

// A scalar, or a flat array of scalars, as the text that Config::set takes.
bool to_text(const toml::node& node, std::string* out) {
  if (auto s = node.as_string()) {
    *out = s->get();
  } else if (auto i = node.as_integer()) {
    *out = std::to_string(i->get());
  } else if (auto b = node.as_boolean()) {
    *out = b->get() ? "true" : "false";
  } else if (auto list = node.as_array()) {
    for (const toml::node& item : *list) {
      std::string one;
      if (item.is_array() || !to_text(item, &one)) return false;
      *out += (out->empty() ? "" : ",") + one;
    }
  } else {
    return false;
  }
  return true;
}

std::string place(const std::string& path, const toml::source_region& source) {
  return path + ":" + std::to_string(source.begin.line);
}

struct Found {
  std::string name;
  const toml::node* node;
};

// Depth is bounded by the parser's own limit on nested tables.
void collect(const toml::table& table, const std::string& prefix, std::vector<Found>* out) {
  for (const auto& [key, node] : table) {
    std::string name = prefix.empty() ? std::string(key.str()) : prefix + "." + std::string(key.str());
    if (auto inner = node.as_table()) {
      collect(*inner, name, out);
    } else {
      out->push_back({std::move(name), &node});
    }
  }
}

Result<std::string> read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary | std::ios::ate);
  if (!in) return {RAFTCS_ERR_IO, path + ": the file cannot be opened"};
  std::streamoff size = in.tellg();
  if (size < 0 || size > kFileBytesMax) {
    return {RAFTCS_ERR_IO, path + ": a regular file of at most 4 MiB is expected"};
  }
  std::string text(static_cast<size_t>(size), '\0');
  in.seekg(0);
  in.read(text.data(), size);
  if (in.gcount() != size) return {RAFTCS_ERR_IO, path + ": the file cannot be read"};
  return text;
}

}  // namespace

Status Config::load_file(const std::string& path) {
  RCS_ASSIGN(text, read_file(path));
  toml::parse_result parsed = toml::parse(std::string_view(text));
  if (!parsed) {
    return {RAFTCS_ERR_MALFORMED, place(path, parsed.error().source()) + ": " +
                                      std::string(parsed.error().description())};
  }
  std::vector<Found> found;
  collect(parsed.table(), "", &found);
  Config next = *this;
  for (const Found& f : found) {
    std::string where = place(path, f.node->source()), value;
    if (!to_text(*f.node, &value)) {
      return {RAFTCS_ERR_INVALID_ARGUMENT,
              where + ": " + f.name + ": text, a whole number, true, false or a list is expected"};
    }
    RCS_TRY(next.set(f.name, value).with_context(where));
  }
  *this = std::move(next);
  return {};
}

}  // namespace raftcs::config
