// kv.cpp: `raftcs kv`: the reference key-value service, one key at a time.
#include "common/kv.hpp"

#include <cstdio>

#include "common/text.hpp"
#include "raftcs/context.hpp"

namespace tools {

namespace {

struct KvOptions {
  std::string service = "kv";
  std::string key;
  std::string value;
  bool value_given = false;
  std::string expected;
  bool expect_absent = false;
  bool remove = false;
  bool stale = false;
  int64_t delta = 1;
  std::string to;
  bool to_given = false;
  uint64_t limit = 1'000;
};
using KvPtr = std::shared_ptr<KvOptions>;

std::string value_of(const KvOptions& kv) {
  if (kv.value_given) return kv.value;
  return read_in();
}

[[noreturn]] void refuse(const KvOptions& kv, int32_t app_code) {
  throw Failure(kFailed, "key \"" + tsv_escape(kv.key) + "\": " + kv::app_code_text(app_code));
}

// Runs a command. Its answer is the key's new version, or with `number` the number it made, which
// is printed.
int run_command(const Context& context, const KvOptions& kv, const std::string& command,
                bool number = false) {
  Session session(context.endpoint_list(), context.timeout_ms);
  session.open();
  Reply reply = session.submit(kv.service, command);
  expect_ok(reply, "kv");
  if (reply.app_code != kv::kOk && !context.json()) refuse(kv, reply.app_code);
  auto answer = kv::read_scalar(reply.data);
  if (context.json()) {
    Json document = {{"app_code", reply.app_code}, {"index", reply.index}};
    put_bytes(document, "key", kv.key);
    if (answer && reply.app_code == kv::kOk) {
      put_bytes(document, number ? "value" : "version", *answer);
    }
    print_json(document, reply.app_code == kv::kOk ? After::kDoing : After::kAsking);
    if (reply.app_code != kv::kOk) refuse(kv, reply.app_code);
  } else if (answer && number) {
    write_out(*answer + "\n", After::kDoing);
  }
  return kDone;
}

int run_get(const Context& context, const KvOptions& kv) {
  Session session(context.endpoint_list(), context.timeout_ms);
  if (kv.stale)
    session.begin();
  else
    session.open();
  Reply reply = session.query(kv.service, kv::get(kv.key), kv.stale);
  expect_ok(reply, "kv get");
  if (reply.app_code != kv::kOk) refuse(kv, reply.app_code);
  auto entry = kv::read_get(reply.data);
  if (!entry) throw Failure(kFailed, "kv get: the service's answer has an unknown form");
  if (context.json()) {
    Json document = Json::object();
    put_bytes(document, "key", kv.key);
    put_bytes(document, "value", entry->value);
    if (entry->version) document["version"] = *entry->version;
    document["index"] = reply.index;
    print_json(document);
  } else {
    write_out(entry->value + "\n");
  }
  return kDone;
}

int run_range(const Context& context, const KvOptions& kv) {
  Session session(context.endpoint_list(), context.timeout_ms);
  if (kv.stale)
    session.begin();
  else
    session.open();
  std::optional<std::string> to;
  if (kv.to_given) to = kv.to;
  Reply reply = session.query(kv.service, kv::range(kv.key, to, kv.limit), kv.stale);
  expect_ok(reply, "kv range");
  if (reply.app_code != kv::kOk) refuse(kv, reply.app_code);
  auto answer = kv::read_range(reply.data);
  if (!answer) throw Failure(kFailed, "kv range: the service's answer has an unknown form");
  std::string out;
  for (const kv::Entry& entry : answer->entries) {
    if (context.json()) {
      Json document = Json::object();
      put_bytes(document, "key", entry.key);
      put_bytes(document, "value", entry.value);
      if (entry.version) document["version"] = *entry.version;
      out += document.dump() + "\n";
    } else {
      out += tsv_escape(entry.key) + "\t" + tsv_escape(entry.value) + "\n";
    }
  }
  write_out(out);
  if (answer->more) std::fprintf(stderr, "raftcs: there is more; use --limit or kv dump\n");
  return kDone;
}

CLI::App* add(CLI::App& parent, const char* name, const char* text, const KvPtr& kv) {
  CLI::App* command = parent.add_subcommand(name, text);
  command->add_option("--service", kv->service, "name of the kv service");
  return command;
}

void finish(CLI::App* command, Context& context, std::function<int()> action) {
  command->callback([&context, action] { context.action = action; });
}

void add_writes(CLI::App& parent, Context& context) {
  for (const char* name : {"put", "append"}) {
    auto kv = std::make_shared<KvOptions>();
    bool is_put = std::string(name) == "put";
    CLI::App* command =
        add(parent, name, is_put ? "set a value" : "add to the end of a value", kv);
    command->add_option("KEY", kv->key)->required();
    CLI::Option* value = command->add_option("VALUE", kv->value, "without it: standard input");
    finish(command, context, [&context, kv, value, is_put] {
      kv->value_given = value->count() > 0;
      std::string bytes = value_of(*kv);
      return run_command(context, *kv,
                         is_put ? kv::put(kv->key, bytes) : kv::append(kv->key, bytes));
    });
  }
  auto del = std::make_shared<KvOptions>();
  CLI::App* command = add(parent, "del", "remove a key", del);
  command->add_option("KEY", del->key)->required();
  finish(command, context,
         [&context, del] { return run_command(context, *del, kv::del(del->key)); });

  auto incr = std::make_shared<KvOptions>();
  command = add(parent, "incr", "add to a number; prints the new one", incr);
  command->add_option("KEY", incr->key)->required();
  add_number(command, "DELTA,--by", incr->delta, "how much, 1 without it; --by=-5 takes away");
  finish(command, context, [&context, incr] {
    return run_command(context, *incr, kv::incr(incr->key, incr->delta), true);
  });
}

void add_cas(CLI::App& parent, Context& context) {
  auto kv = std::make_shared<KvOptions>();
  CLI::App* command = add(parent, "cas", "set a value only if the key holds another", kv);
  command->add_option("KEY", kv->key)->required();
  CLI::Option* expected = command->add_option("--expect", kv->expected, "what it must hold");
  command->add_flag("--absent", kv->expect_absent, "the key must not exist")->excludes(expected);
  CLI::Option* value = command->add_option("--value", kv->value, "the new value");
  command->add_flag("--remove", kv->remove, "remove the key instead")->excludes(value);
  finish(command, context, [&context, kv, expected, value] {
    if (expected->count() == 0 && !kv->expect_absent) {
      throw Failure(kUsage, "kv cas: say what the key must hold: --expect TEXT or --absent");
    }
    if (value->count() == 0 && !kv->remove) {
      throw Failure(kUsage, "kv cas: say what to write: --value TEXT or --remove");
    }
    using Maybe = std::optional<std::string>;
    return run_command(context, *kv,
                       kv::cas(kv->key, kv->expect_absent ? Maybe() : Maybe(kv->expected),
                               kv->remove ? Maybe() : Maybe(kv->value)));
  });
}

void add_reads(CLI::App& parent, Context& context) {
  auto get = std::make_shared<KvOptions>();
  CLI::App* command = add(parent, "get", "read a value (linearizable)", get);
  command->add_option("KEY", get->key)->required();
  command->add_flag("--stale", get->stale, "whatever the asked server has");
  finish(command, context, [&context, get] { return run_get(context, *get); });

  auto range = std::make_shared<KvOptions>();
  command = add(parent, "range", "keys from FROM up to, without, TO", range);
  command->add_option("FROM", range->key, "first key; without it: from the beginning");
  CLI::Option* to = command->add_option("TO", range->to, "without it: to the end");
  add_number(command, "--limit", range->limit)->check(CLI::Range(1, 1'000'000));
  command->add_flag("--stale", range->stale, "whatever the asked server has");
  finish(command, context, [&context, range, to] {
    range->to_given = to->count() > 0;
    return run_range(context, *range);
  });
}

}  // namespace

void add_kv_commands(CLI::App& app, Context& context) {
  CLI::App* kv = app.add_subcommand("kv", "the reference key-value service");
  kv->require_subcommand(1);
  add_writes(*kv, context);
  add_cas(*kv, context);
  add_reads(*kv, context);
  add_kv_watch_command(*kv, context);
  add_kv_bulk_commands(*kv, context);
}

}  // namespace tools
