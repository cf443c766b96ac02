// kv_watch.cpp: `raftcs kv watch`: changes of a key or of a prefix as they happen.
//
// Changes are requests that the server starts: numbered per session, delivered in order, once,
// across leader changes. On the way out the watch is taken back and the session closed.
#include <signal.h>

#include <cstdio>

#include "common/kv.hpp"
#include "common/text.hpp"
#include "raftcs/context.hpp"

namespace tools {

namespace {

volatile sig_atomic_t g_stop = 0;
void on_signal(int) { g_stop = 1; }

struct WatchOptions {
  std::string service = "kv";
  std::string key;
  bool prefix = false;
  uint64_t count = 0;
  double seconds = 0;
};

void print_change(const Context& context, const kv::Change& change) {
  if (context.json()) {
    Json document = {{"event", change.event}};
    put_bytes(document, "key", change.key);
    if (change.value) put_bytes(document, "value", *change.value);
    document["version"] = change.version;
    print_json(document);
  } else {
    write_out(change.event + "\t" + tsv_escape(change.key) + "\t" +
              (change.value ? tsv_escape(*change.value) : "-") + "\t" +
              std::to_string(change.version) + "\n");
  }
}

void follow(const Context& context, const WatchOptions& watch, Session& session) {
  int64_t deadline = watch.seconds > 0
                         ? mono_ms() + static_cast<int64_t>(watch.seconds * 1000)
                         : INT64_MAX;
  uint64_t seen = 0;
  while (g_stop == 0 && (watch.count == 0 || seen < watch.count) && mono_ms() < deadline) {
    raftcs_event_t* event = nullptr;
    raftcs_status_t status = raftcs_queue_next(session.queue(), 200, &event);
    if (status != RAFTCS_OK) throw Failure(kFailed, "reading events: " + describe(status));
    if (event == nullptr) continue;
    EventPtr owner(event);
    Reply reply = read_event(event);
    if (reply.kind == RAFTCS_EVENT_SESSION_LOST) {
      throw Failure(kFailed, "the session is lost and the watch with it: " +
                                 describe(reply.status, reply.text));
    }
    if (reply.kind != RAFTCS_EVENT_SERVER_REQUEST) continue;
    auto change = kv::read_change(reply.data);
    if (!change) throw Failure(kFailed, "kv watch: a change of an unknown form");
    if (change->event == "lost") {
      throw Failure(kFailed, "the watch has ended: too many changes were not taken in time");
    }
    print_change(context, *change);
    ++seen;
  }
  if (watch.count > seen && g_stop == 0) {
    throw Failure(kFailed, "only " + std::to_string(seen) + " changes in the time given");
  }
}

int run_watch(const Context& context, const WatchOptions& watch) {
  struct sigaction action{};
  action.sa_handler = on_signal;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  Session session(context.endpoint_list(), context.timeout_ms);
  session.open();
  Reply reply = session.submit(watch.service, kv::watch(watch.key, watch.prefix));
  expect_ok(reply, "kv watch");
  if (reply.app_code != kv::kOk) throw Failure(kFailed, kv::app_code_text(reply.app_code));
  std::fprintf(stderr, "watching %s\n", tsv_escape(watch.key).c_str());
  follow(context, watch, session);
  reply = session.submit(watch.service, kv::unwatch(watch.key, watch.prefix));
  expect_ok(reply, "taking the watch back");
  return kDone;
}

}  // namespace

void add_kv_watch_command(CLI::App& kv, Context& context) {
  CLI::App* command = kv.add_subcommand("watch", "print changes, one per line, until interrupted");
  auto watch = std::make_shared<WatchOptions>();
  command->add_option("--service", watch->service, "name of the kv service");
  command->add_option("KEY", watch->key)->required();
  command->add_flag("--prefix", watch->prefix, "every key that begins with KEY");
  add_number(command, "--count", watch->count, "end after so many changes");
  command->add_option("--for", watch->seconds, "end after so many seconds")
      ->type_name("SECONDS")
      ->check(CLI::Range(0.0, 1e9));
  command->callback([&context, watch] {
    context.action = [&context, watch] { return run_watch(context, *watch); };
  });
}

}  // namespace tools
