// kv.cpp: see kv.hpp.
#include "common/kv.hpp"

#include "common/msgpack.hpp"

namespace tools::kv {

namespace {

using Kind = MsgpackValue::Kind;

MsgpackWriter call(uint32_t size, std::string_view name, std::string_view key) {
  MsgpackWriter out;
  out.array(size).str(name).bin(key);
  return out;
}

void optional_bytes(MsgpackWriter& out, const std::optional<std::string>& value) {
  if (value) {
    out.bin(*value);
  } else {
    out.nil();
  }
}

// A number stored by incr is shown in decimal.
std::optional<std::string> scalar(const MsgpackValue& value) {
  if (value.kind == Kind::bytes) return value.bytes;
  if (value.kind == Kind::integer) return std::to_string(value.integer);
  return std::nullopt;
}

std::optional<Entry> read_entry(const MsgpackValue& value) {
  if (value.kind != Kind::array || value.items.size() < 2) return std::nullopt;
  auto key = scalar(value.items[0]), content = scalar(value.items[1]);
  if (!key || !content) return std::nullopt;
  Entry entry{*key, *content, {}};
  if (value.items.size() > 2) entry.version = value.items[2].integer;
  return entry;
}

}  // namespace

const char* app_code_text(int32_t code) {
  switch (code) {
    case kOk: return "done";
    case kNotFound: return "no such key";
    case kCompareFailed: return "the key does not hold the expected value";
    case kNotANumber: return "the value is not a number";
    case kMalformed: return "the service does not understand this command";
    case kTooLarge: return "key or value is too large, or there is too much to watch";
    default: return "the service refused";
  }
}

std::string put(std::string_view key, std::string_view value) {
  return call(3, "put", key).bin(value).bytes();
}
std::string del(std::string_view key) { return call(2, "del", key).bytes(); }
std::string cas(std::string_view key, const std::optional<std::string>& expected,
                const std::optional<std::string>& value) {
  MsgpackWriter out = call(4, "cas", key);
  optional_bytes(out, expected);
  optional_bytes(out, value);
  return out.bytes();
}
std::string incr(std::string_view key, int64_t delta) {
  return call(3, "incr", key).integer(delta).bytes();
}
std::string append(std::string_view key, std::string_view value) {
  return call(3, "append", key).bin(value).bytes();
}
std::string watch(std::string_view key, bool prefix) {
  return call(3, "watch", key).boolean(prefix).bytes();
}
std::string unwatch(std::string_view key, bool prefix) {
  return call(3, "unwatch", key).boolean(prefix).bytes();
}
std::string get(std::string_view key) { return call(2, "get", key).bytes(); }
std::string range(std::string_view from, const std::optional<std::string>& to, uint64_t limit) {
  MsgpackWriter out = call(4, "range", from);
  optional_bytes(out, to);
  return out.integer(static_cast<int64_t>(limit)).bytes();
}

std::optional<Entry> read_get(std::string_view bytes) {
  auto value = parse_msgpack(bytes);
  if (!value || value->kind != Kind::array || value->items.empty()) return std::nullopt;
  auto content = scalar(value->items[0]);
  if (!content) return std::nullopt;
  Entry entry{{}, *content, {}};
  if (value->items.size() > 1) entry.version = value->items[1].integer;
  return entry;
}

std::optional<RangeAnswer> read_range(std::string_view bytes) {
  auto value = parse_msgpack(bytes);
  if (!value || value->kind != Kind::array || value->items.size() < 2) return std::nullopt;
  const MsgpackValue& list = value->items[1];
  if (list.kind != Kind::array) return std::nullopt;
  RangeAnswer answer;
  for (const MsgpackValue& item : list.items) {
    auto entry = read_entry(item);
    if (!entry) return std::nullopt;
    answer.entries.push_back(std::move(*entry));
  }
  answer.more = value->items[0].integer != 0;
  return answer;
}

std::optional<Change> read_change(std::string_view bytes) {
  auto value = parse_msgpack(bytes);
  if (!value || value->kind != Kind::array || value->items.size() < 4) return std::nullopt;
  auto event = scalar(value->items[0]), key = scalar(value->items[1]);
  if (!event || !key) return std::nullopt;
  return Change{*event, *key, scalar(value->items[2]), value->items[3].integer};
}

std::optional<std::string> read_scalar(std::string_view bytes) {
  auto value = parse_msgpack(bytes);
  if (!value) return std::nullopt;
  if (value->kind == Kind::array && !value->items.empty()) return scalar(value->items[0]);
  return scalar(*value);
}

}  // namespace tools::kv
