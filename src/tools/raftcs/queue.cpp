// queue.cpp: `raftcs queue`: the reference queue service, seen by producers and operators.
#include "common/queue.hpp"

#include <algorithm>
#include <cstdio>

#include "common/text.hpp"
#include "raftcs/context.hpp"

namespace tools {

namespace {

constexpr int64_t kPage = 1000;

struct QueueOptions {
  std::string service = "queue";
  std::string name;
  std::string payload;
  int64_t job = 0;
  int64_t priority = 0;
  int64_t delay_ms = 0;
  int64_t limit = 100;
  std::string state = "waiting";
  std::string reason;
  bool dead = false;
  queue::Settings settings;
};
using OptionsPtr = std::shared_ptr<QueueOptions>;

Reply ask(Session& session, const QueueOptions& q, const std::string& query) {
  Reply reply = session.query(q.service, query);
  expect_ok(reply, "queue");
  if (reply.app_code != queue::kOk) throw Failure(kFailed, queue::app_code_text(reply.app_code));
  return reply;
}

template <class T>
T expect_form(std::optional<T> value) {
  if (!value) throw Failure(kFailed, "queue: the service's answer has an unknown form");
  return std::move(*value);
}

// `counts`: the answer is a number, which is printed under this name.
int run_command(const Context& context, const QueueOptions& q, const std::string& command,
                const char* counts = nullptr) {
  Session session(context.endpoint_list(), context.timeout_ms);
  session.open();
  Reply reply = session.submit(q.service, command);
  expect_ok(reply, "queue");
  Json document = {{"app_code", reply.app_code}, {"index", reply.index}};
  if (reply.app_code == queue::kOk && counts != nullptr) {
    const int64_t number = expect_form(queue::read_number(reply.data));
    document[counts] = number;
    if (!context.json()) write_out(std::to_string(number) + "\n", After::kDoing);
  }
  if (context.json()) {
    print_json(document, reply.app_code == queue::kOk ? After::kDoing : After::kAsking);
  }
  if (reply.app_code != queue::kOk) throw Failure(kFailed, queue::app_code_text(reply.app_code));
  return kDone;
}

void print(const Context& context, const Json& list, const std::vector<std::string>& columns) {
  if (context.json()) {
    print_json(list);
  } else {
    write_out(table_of(list, columns, true));
  }
}

int run_list(const Context& context, const QueueOptions& q) {
  Session session(context.endpoint_list(), context.timeout_ms);
  session.open();
  Json all = expect_form(queue::read_queues(ask(session, q, queue::queues(std::nullopt)).data));
  print(context, all, {"name", "policy", "paused", "waiting", "delayed", "assigned", "dead"});
  return kDone;
}

int run_stats(const Context& context, const QueueOptions& q) {
  Session session(context.endpoint_list(), context.timeout_ms);
  session.open();
  Json all = expect_form(queue::read_queues(ask(session, q, queue::queues(q.name)).data));
  if (all.size() != 1) throw Failure(kFailed, "queue: the service's answer has an unknown form");
  if (context.json()) {
    print_json(all[0]);
    return kDone;
  }
  for (const auto& [key, value] : all[0].items()) write_out(key + "\t" + cell_of(value) + "\n");
  return kDone;
}

int run_workers(const Context& context, const QueueOptions& q) {
  Session session(context.endpoint_list(), context.timeout_ms);
  session.open();
  Json all = Json::array();
  for (int64_t after = 0;;) {
    queue::Rows rows =
        expect_form(queue::read_workers(ask(session, q, queue::workers(after)).data));
    for (Json& row : rows.rows) all.push_back(std::move(row));
    if (!rows.more || all.empty()) break;
    after = all.back()["session"].get<int64_t>();
  }
  print(context, all, {"session", "connected", "capacity", "assigned", "blocked", "queues"});
  return kDone;
}

int run_jobs(const Context& context, const QueueOptions& q, const std::string& state) {
  Session session(context.endpoint_list(), context.timeout_ms);
  session.open();
  Json all = Json::array();
  bool more = true;
  for (int64_t after = 0; more && static_cast<int64_t>(all.size()) < q.limit;) {
    const int64_t page = std::min(kPage, q.limit - static_cast<int64_t>(all.size()));
    queue::Rows rows = expect_form(
        queue::read_jobs(ask(session, q, queue::jobs(q.name, state, after, page, true)).data));
    more = rows.more;
    for (Json& row : rows.rows) {
      after = row["job"].get<int64_t>();
      const std::string payload = row["payload"].get<std::string>();
      row.erase("payload");
      put_bytes(row, "payload", payload);
      all.push_back(std::move(row));
    }
  }
  print(context, all,
        {"job", "state", "priority", "attempts", "worker", "bytes", "reason", "payload"});
  if (more) std::fprintf(stderr, "raftcs: there is more; use --limit\n");
  return kDone;
}

CLI::App* add(CLI::App& parent, const char* verb, const char* text, const OptionsPtr& q,
              bool named = true) {
  CLI::App* command = parent.add_subcommand(verb, text);
  command->add_option("--service", q->service, "name of the queue service");
  if (named) command->add_option("NAME", q->name, "the queue")->required();
  return command;
}

void finish(CLI::App* command, Context& context, std::function<int()> action) {
  command->callback([&context, action] { context.action = action; });
}

void add_settings(CLI::App* command, QueueOptions& q) {
  command->add_option("--policy", q.settings.policy, "round_robin or least_loaded")
      ->check(CLI::IsMember({"round_robin", "least_loaded"}));
  add_number(command, "--visibility", q.settings.visibility_ms, "time a worker has for a job")
      ->type_name("MS");
  add_number(command, "--grace", q.settings.grace_ms, "time a disconnected worker keeps its jobs")
      ->type_name("MS");
  add_number(command, "--attempts", q.settings.attempts_max, "then a job is a dead letter");
  add_number(command, "--max-jobs", q.settings.jobs_max, "more are refused");
}

void add_queues(CLI::App& parent, Context& context) {
  for (const char* verb : {"create", "configure"}) {
    auto q = std::make_shared<QueueOptions>();
    CLI::App* command = add(parent, verb,
                            verb == std::string("create")
                                ? "make a queue"
                                : "change a queue; what is not given goes back to its default",
                            q);
    add_settings(command, *q);
    finish(command, context, [&context, q, verb] {
      return run_command(context, *q, queue::create(verb, q->name, q->settings));
    });
  }
  const std::pair<const char*, const char*> verbs[] = {{"remove", "remove an empty queue"},
                                                       {"pause", "give out no more jobs"},
                                                       {"resume", "give out jobs again"}};
  for (const auto& [verb, text] : verbs) {
    auto q = std::make_shared<QueueOptions>();
    finish(add(parent, verb, text, q), context, [&context, q, verb = verb] {
      return run_command(context, *q, queue::about(verb, q->name));
    });
  }
  auto q = std::make_shared<QueueOptions>();
  CLI::App* command = add(parent, "purge", "forget the jobs that no worker has", q);
  command->add_flag("--dead", q->dead, "the dead letters instead");
  finish(command, context, [&context, q] {
    return run_command(context, *q, queue::about(q->dead ? "purge_dead" : "purge", q->name),
                       "purged");
  });
}

void add_jobs(CLI::App& parent, Context& context) {
  auto put = std::make_shared<QueueOptions>();
  CLI::App* command = add(parent, "put", "put a job into a queue; prints its number", put);
  CLI::Option* payload = command->add_option("PAYLOAD", put->payload, "without it: standard input");
  add_number(command, "--priority", put->priority, "0 to 9, higher ones first");
  add_number(command, "--delay", put->delay_ms, "do not give it out before")->type_name("MS");
  finish(command, context, [&context, put, payload] {
    if (payload->count() == 0) put->payload = read_in();
    return run_command(context, *put,
                       queue::put(put->name, put->payload, put->priority, put->delay_ms), "job");
  });
  auto done = std::make_shared<QueueOptions>();
  command = add(parent, "done", "end a job as done, whoever has it", done, false);
  add_number(command, "JOB", done->job)->required();
  finish(command, context, [&context, done] {
    return run_command(context, *done, queue::done(done->job, std::nullopt));
  });
  auto fail = std::make_shared<QueueOptions>();
  command = add(parent, "fail", "take a job from its worker, as failed", fail, false);
  add_number(command, "JOB", fail->job)->required();
  command->add_option("--reason", fail->reason, "kept with the job");
  add_number(command, "--retry", fail->delay_ms, "give it out again not before")->type_name("MS");
  finish(command, context, [&context, fail] {
    return run_command(context, *fail,
                       queue::fail(fail->job, std::nullopt, fail->reason, fail->delay_ms));
  });
  auto again = std::make_shared<QueueOptions>();
  command = add(parent, "requeue", "put dead letters back, all or one", again);
  CLI::Option* one = add_number(command, "JOB", again->job);
  finish(command, context, [&context, again, one] {
    std::optional<int64_t> job;
    if (one->count() > 0) job = again->job;
    return run_command(context, *again, queue::requeue(again->name, job), "requeued");
  });
}

void add_reads(CLI::App& parent, Context& context) {
  auto list = std::make_shared<QueueOptions>();
  finish(add(parent, "list", "queues and how many jobs they have", list, false), context,
         [&context, list] { return run_list(context, *list); });
  auto stats = std::make_shared<QueueOptions>();
  finish(add(parent, "stats", "settings and counters of a queue", stats), context,
         [&context, stats] { return run_stats(context, *stats); });
  auto workers = std::make_shared<QueueOptions>();
  finish(add(parent, "workers", "sessions that take jobs", workers, false), context,
         [&context, workers] { return run_workers(context, *workers); });
  auto jobs = std::make_shared<QueueOptions>();
  CLI::App* command = add(parent, "jobs", "jobs of a queue, by number", jobs);
  command->add_option("--state", jobs->state, "waiting, delayed, assigned or dead")
      ->check(CLI::IsMember({"waiting", "delayed", "assigned", "dead"}));
  add_number(command, "--limit", jobs->limit)->check(CLI::Range(1, 1'000'000));
  finish(command, context, [&context, jobs] { return run_jobs(context, *jobs, jobs->state); });
  auto dead = std::make_shared<QueueOptions>();
  command = add(parent, "dead", "dead letters of a queue", dead);
  add_number(command, "--limit", dead->limit)->check(CLI::Range(1, 1'000'000));
  finish(command, context, [&context, dead] { return run_jobs(context, *dead, "dead"); });
}

}  // namespace

void add_queue_commands(CLI::App& app, Context& context) {
  CLI::App* queue = app.add_subcommand("queue", "the reference queue service");
  queue->require_subcommand(1);
  add_queues(*queue, context);
  add_jobs(*queue, context);
  add_reads(*queue, context);
  add_queue_work_command(*queue, context);
}

}  // namespace tools
