// context.cpp: see context.hpp.
#include "raftcs/context.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "common/text.hpp"

namespace tools {

void write_out(std::string_view bytes, After after) {
  if (std::fwrite(bytes.data(), 1, bytes.size(), stdout) == bytes.size() &&
      std::fflush(stdout) == 0) {
    return;
  }
  const std::string text = std::string("cannot write to standard output: ") + strerror(errno);
  if (after == After::kAsking) throw Failure(kFailed, text);
  throw Failure(kUnknown, "it was done, do not repeat it unseen, but its answer is lost: " + text);
}

void print_json(const Json& document, After after) {
  write_out(document.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n", after);
}

std::string read_in() {
  std::string all;
  char part[1 << 16];
  for (size_t n; (n = std::fread(part, 1, sizeof part, stdin)) > 0;) all.append(part, n);
  if (std::ferror(stdin) != 0) {
    throw Failure(kFailed, std::string("cannot read standard input: ") + strerror(errno));
  }
  return all;
}

namespace {

bool is_utf8(std::string_view bytes) {
  Json probe = std::string(bytes);
  try {
    (void)probe.dump();
    return true;
  } catch (const Json::exception&) {
    return false;
  }
}

}  // namespace

void put_bytes(Json& document, const std::string& name, std::string_view bytes) {
  if (is_utf8(bytes)) {
    document[name] = std::string(bytes);
  } else {
    document[name + "_hex"] = to_hex(bytes);
  }
}

Json parse_reply(const Reply& reply, const std::string& what) {
  expect_ok(reply, what);
  Json document = Json::parse(reply.data, nullptr, false);
  if (document.is_discarded()) {
    throw Failure(kFailed, what + ": the server's answer is not JSON; are its version and this "
                                  "program's the same?");
  }
  return document;
}

std::string cell_of(const Json& value) {
  if (value.is_null()) return "-";
  if (value.is_string()) return value.get<std::string>();
  if (value.is_boolean()) return value.get<bool>() ? "yes" : "no";
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string table_of(const Json& list, const std::vector<std::string>& columns, bool only) {
  std::vector<std::string> keys;
  auto known = [&](const std::string& key) {
    return std::find(keys.begin(), keys.end(), key) != keys.end();
  };
  for (const std::string& column : columns) {
    for (const Json& object : list) {
      if (object.is_object() && object.contains(column) && !known(column)) keys.push_back(column);
    }
  }
  for (const Json& object : list) {
    if (only || !object.is_object()) continue;
    for (const auto& [key, value] : object.items()) {
      if (!known(key)) keys.push_back(key);
    }
  }
  std::vector<std::string> header;
  for (std::string key : keys) {
    std::transform(key.begin(), key.end(), key.begin(), [](unsigned char c) {
      return c == '_' ? ' ' : static_cast<char>(std::toupper(c));
    });
    header.push_back(key);
  }
  Table table(header);
  for (const Json& object : list) {
    std::vector<std::string> cells;
    for (const std::string& key : keys) {
      bool has = object.is_object() && object.contains(key);
      cells.push_back(has ? cell_of(object[key]) : "-");
    }
    table.row(std::move(cells));
  }
  return table.text();
}

}  // namespace tools
