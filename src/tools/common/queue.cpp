// queue.cpp: see queue.hpp.
#include "common/queue.hpp"

#include "common/msgpack.hpp"
#include "common/text.hpp"

namespace tools::queue {

namespace {

using Kind = MsgpackValue::Kind;

void maybe(MsgpackWriter& out, const std::optional<int64_t>& value) {
  if (value) {
    out.integer(*value);
  } else {
    out.nil();
  }
}

MsgpackWriter call(uint32_t size, std::string_view verb) {
  MsgpackWriter out;
  out.array(size).str(verb);
  return out;
}

Json json_of(const MsgpackValue& value) {
  switch (value.kind) {
    case Kind::boolean:
      return value.integer != 0;
    case Kind::integer:
      return value.integer;
    case Kind::bytes:
      return value.bytes;
    case Kind::array: {
      Json list = Json::array();
      for (const MsgpackValue& item : value.items) list.push_back(json_of(item));
      return list;
    }
    default:
      return nullptr;
  }
}

// A row of fields as an object with names; null when it has fewer fields than names.
Json named(const MsgpackValue& row, std::initializer_list<const char*> names) {
  if (row.kind != Kind::array || row.items.size() < names.size()) return nullptr;
  Json object = Json::object();
  size_t i = 0;
  for (const char* name : names) object[name] = json_of(row.items[i++]);
  return object;
}

std::optional<Rows> read_rows(std::string_view bytes, std::initializer_list<const char*> names) {
  auto value = parse_msgpack(bytes);
  if (!value || value->kind != Kind::array || value->items.size() < 2) return std::nullopt;
  Rows rows;
  rows.more = value->items[0].integer != 0;
  for (const MsgpackValue& item : value->items[1].items) {
    Json row = named(item, names);
    if (row.is_null()) return std::nullopt;
    rows.rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace

const char* app_code_text(int32_t code) {
  switch (code) {
    case kOk:
      return "done";
    case kNotFound:
      return "no such queue or job";
    case kExists:
      return "the queue exists with other settings; see: raftcs queue configure";
    case kNotHeld:
      return "the job is not held (any more): it was finished, or given to another";
    case kMalformed:
      return "the service does not understand this command";
    case kTooLarge:
      return "the payload or reason is too large";
    case kFull:
      return "the queue is full";
    case kNotEmpty:
      return "the queue still has jobs";
    default:
      return "the service refused";
  }
}

std::string create(std::string_view verb, std::string_view name, const Settings& s) {
  MsgpackWriter out = call(7, verb);
  out.bin(name);
  if (s.policy) {
    out.str(*s.policy);
  } else {
    out.nil();
  }
  maybe(out, s.visibility_ms);
  maybe(out, s.grace_ms);
  maybe(out, s.attempts_max);
  maybe(out, s.jobs_max);
  return out.bytes();
}
std::string about(std::string_view verb, std::string_view name) {
  return call(2, verb).bin(name).bytes();
}
std::string put(std::string_view name, std::string_view payload, int64_t priority,
                int64_t delay_ms) {
  return call(5, "put").bin(name).bin(payload).integer(priority).integer(delay_ms).bytes();
}
std::string done(int64_t job, std::optional<int64_t> attempt) {
  MsgpackWriter out = call(3, "done");
  out.integer(job);
  maybe(out, attempt);
  return out.bytes();
}
std::string fail(int64_t job, std::optional<int64_t> attempt, std::string_view reason,
                 int64_t retry_ms) {
  MsgpackWriter out = call(5, "fail");
  out.integer(job);
  maybe(out, attempt);
  return out.bin(reason).integer(retry_ms).bytes();
}
std::string extend(int64_t job, int64_t attempt, int64_t ms) {
  return call(4, "extend").integer(job).integer(attempt).integer(ms).bytes();
}
std::string requeue(std::string_view name, std::optional<int64_t> job) {
  MsgpackWriter out = call(3, "requeue");
  out.bin(name);
  maybe(out, job);
  return out.bytes();
}
std::string queues(const std::optional<std::string>& name) {
  MsgpackWriter out = call(2, "queues");
  if (name) {
    out.bin(*name);
  } else {
    out.nil();
  }
  return out.bytes();
}
std::string workers(int64_t after) { return call(3, "workers").integer(after).nil().bytes(); }
std::string jobs(std::string_view name, std::string_view state, int64_t after, int64_t limit,
                 bool payloads) {
  return call(6, "jobs")
      .bin(name)
      .str(state)
      .integer(after)
      .integer(limit)
      .boolean(payloads)
      .bytes();
}
std::string job(int64_t id) { return call(2, "job").integer(id).bytes(); }

std::optional<Job> read_job(std::string_view bytes) {
  auto value = parse_msgpack(bytes);
  if (!value || value->kind != Kind::array || value->items.size() < 6) return std::nullopt;
  const auto& f = value->items;
  if (f[0].bytes != "job") return std::nullopt;
  return Job{f[1].bytes, f[2].integer, f[3].integer, f[4].bytes, f[5].integer};
}

std::optional<int64_t> read_number(std::string_view bytes) {
  auto value = parse_msgpack(bytes);
  if (!value || value->kind != Kind::array || value->items.empty()) return std::nullopt;
  return value->items[0].integer;
}

std::optional<Json> read_queues(std::string_view bytes) {
  auto value = parse_msgpack(bytes);
  if (!value || value->kind != Kind::array) return std::nullopt;
  Json all = Json::array();
  for (const MsgpackValue& item : value->items) {
    all.push_back(
        named(item, {"name", "policy", "visibility_ms", "grace_ms", "attempts_max", "jobs_max",
                     "paused", "waiting", "delayed", "assigned", "dead", "enqueued", "done",
                     "failed", "timed_out", "moved", "died", "purged"}));
    if (all.back().is_null()) return std::nullopt;
  }
  return all;
}

std::optional<Rows> read_workers(std::string_view bytes) {
  return read_rows(bytes, {"session", "connected", "capacity", "assigned", "blocked", "queues"});
}

std::optional<Rows> read_jobs(std::string_view bytes) {
  return read_rows(bytes, {"job", "state", "priority", "attempts", "worker", "enqueued_ns",
                           "due_ns", "bytes", "reason", "payload"});
}

}  // namespace tools::queue
