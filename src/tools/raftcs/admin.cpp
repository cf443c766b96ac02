// admin.cpp: leader, snapshots, sessions, services and plugins: one admin verb each.
#include <cstdio>

#include "raftcs/context.hpp"

namespace tools {

namespace {

Json ask(const Context& context, const std::string& endpoint, const std::string& verb,
         const Json& args = Json()) {
  Session session(context.endpoint_list(), context.timeout_ms);
  std::string text = args.is_null() ? std::string() : args.dump();
  return parse_reply(session.admin(endpoint, verb, text), verb);
}

// The list in an answer: the answer itself, or its member `name`.
Json list_in(const Json& answer, const std::string& name) {
  if (answer.is_array()) return answer;
  if (answer.is_object() && answer.contains(name) && answer[name].is_array()) return answer[name];
  throw Failure(kFailed, "the server's answer has no list \"" + name + "\"");
}

int print_list(const Context& context, const std::string& verb, const std::string& name,
               const std::vector<std::string>& columns, const std::string& endpoint = {}) {
  Json answer = ask(context, endpoint, verb);
  if (context.json()) {
    print_json(answer);
  } else {
    write_out(table_of(list_in(answer, name), columns));
  }
  return kDone;
}

int print_answer(const Context& context, const Json& answer, const std::string& sentence) {
  if (context.json()) {
    print_json(answer, After::kDoing);
  } else {
    std::fprintf(stderr, "%s\n", sentence.c_str());
  }
  return kDone;
}

int show_leader(const Context& context) {
  Json status = ask(context, {}, "status");
  uint64_t id = status.value("leader", uint64_t{0});
  if (id == 0) throw Failure(kUnavailable, "the cluster has no leader at the moment");
  if (context.json()) {
    print_json({{"leader", id}, {"leader_address", status.value("leader_address", "")}});
  } else {
    write_out(std::to_string(id) + "\t" + status.value("leader_address", "") + "\n");
  }
  return kDone;
}

void add_leader_commands(CLI::App& app, Context& context) {
  CLI::App* leader = app.add_subcommand("leader", "who leads");
  leader->require_subcommand(1);
  leader->add_subcommand("show", "id and client address of the leader")->callback([&context] {
    context.action = [&context] { return show_leader(context); };
  });
  CLI::App* transfer = leader->add_subcommand("transfer", "make another member lead");
  auto id = std::make_shared<uint64_t>(0);
  add_number(transfer, "ID", *id, "the member that shall lead; without it the best one");
  transfer->callback([&context, id] {
    context.action = [&context, id] {
      // The server answers before this client gives up, so that the answer is the outcome.
      Json args{{"timeout_ms", std::max<int64_t>(context.timeout_ms * 9 / 10, 1)}};
      if (*id != 0) args["to"] = *id;
      Json answer = ask(context, {}, "transfer", args);
      return print_answer(context, answer, "node " + cell_of(answer["leader"]) + " leads");
    };
  });
}

void add_service_commands(CLI::App& app, Context& context) {
  CLI::App* service = app.add_subcommand("service", "instances of state machines");
  service->require_subcommand(1);
  service->add_subcommand("list", "all services")->callback([&context] {
    context.action = [&context] {
      return print_list(context, "services", "services", {"number", "name", "type"});
    };
  });
  CLI::App* create = service->add_subcommand("create", "make a service on all nodes");
  auto name = std::make_shared<std::string>();
  auto type = std::make_shared<std::string>();
  create->add_option("NAME", *name, "the service's name")->required();
  create->add_option("TYPE", *type, "id of the state machine type (raftcs plugin list)")
      ->required();
  create->callback([&context, name, type] {
    context.action = [&context, name, type] {
      Json answer = ask(context, {}, "service_create", {{"name", *name}, {"type", *type}});
      return print_answer(context, answer, "service " + *name + " is there");
    };
  });
}

void add_list(CLI::App& app, Context& context, const char* group, const char* text,
              const std::string& verb, const std::vector<std::string>& columns) {
  CLI::App* parent = app.add_subcommand(group, text);
  parent->require_subcommand(1);
  parent->add_subcommand("list", text)->callback([&context, verb, columns] {
    context.action = [&context, verb, columns] {
      return print_list(context, verb, verb, columns);
    };
  });
}

}  // namespace

void add_admin_commands(CLI::App& app, Context& context) {
  add_leader_commands(app, context);
  CLI::App* snapshot =
      app.add_subcommand("snapshot", "write a snapshot now, at the first endpoint given");
  snapshot->callback([&context] {
    context.action = [&context] {
      Json answer = ask(context, context.endpoint_list().front(), "snapshot");
      return print_answer(context, answer, "snapshot: " + answer.dump());
    };
  });
  CLI::App* drain = app.add_subcommand(
      "drain", "the first endpoint's node hands leadership over and keeps away from it");
  auto off = std::make_shared<bool>(false);
  drain->add_flag("--off", *off, "it may lead again");
  drain->callback([&context, off] {
    context.action = [&context, off] {
      Json answer = ask(context, context.endpoint_list().front(), "drain", {{"on", !*off}});
      return print_answer(context, answer,
                          *off ? "the node may lead again"
                               : "the node does not lead; stop it, or: raftcs drain --off");
    };
  });
  add_list(app, context, "session", "open sessions", "sessions",
           {"number", "id", "connected_here", "timeout_ms"});
  add_service_commands(app, context);
  add_list(app, context, "plugin", "state machine types loaded by the leader", "plugins",
           {"name", "version", "types", "file"});
}

}  // namespace tools
