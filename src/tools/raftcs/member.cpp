// member.cpp: `raftcs member`: who is in the cluster, and changing it.
//
// Every change is one call of the verb member_change: a list of changes that take effect
// together. --dry-run asks for the plan instead and shows what it would mean for the quorum.
#include <algorithm>
#include <cstdio>
#include <initializer_list>

#include "common/text.hpp"
#include "raftcs/context.hpp"

namespace tools {

namespace {

constexpr int64_t kJoinerPatienceMs = 2'000;

Json ask(const Context& context, const std::string& verb, const Json& args = Json()) {
  Session session(context.endpoint_list(), context.timeout_ms);
  return parse_reply(session.admin({}, verb, args.is_null() ? std::string() : args.dump()),
                     "member");
}

// The options that all changes share.
struct Flags {
  bool dry_run = false;
  bool force = false;
  bool wait = false;

  void add_to(CLI::App* command) {
    command->add_flag("--dry-run", dry_run, "show what it would mean, change nothing");
    command->add_flag("--force", force, "also when too few voters would be up");
    command->add_flag("--wait", wait, "give members that vote time to catch up (see --timeout)");
  }
};

void print_electorates(const Json& plan, const char* then) {
  Table table({"", "VOTERS", "MAJORITY", "UP", "MAY FAIL"});
  for (const char* when : {"before", then}) {
    const Json& e = plan[when];
    table.row({when, cell_of(e["voters"]), cell_of(e["needed"]), cell_of(e["up"]),
               cell_of(e["tolerates"])});
  }
  write_out(table.text());
}

void print_notes(const Json& plan) {
  for (const Json& note : plan["notes"]) write_out("note: " + cell_of(note) + "\n");
}

void print_plan(const Json& plan) {
  print_electorates(plan, "after");
  for (const Json& member : plan["members"])
    write_out("  " + cell_of(member["id"]) + "  " + cell_of(member["role"]) + "  " +
              cell_of(member["peer_address"]) + "  " + cell_of(member["client_address"]) + "\n");
  if (plan.value("joint", false)) write_out("in one step, by a joint configuration\n");
  for (const Json& id : plan["catch_up"])
    write_out("only when member " + cell_of(id) + " is caught up\n");
  print_notes(plan);
}

int show_plan(const Context& context, const Json& args) {
  const Json answer = ask(context, "member_change", args);
  bool loses = false;
  for (const Json& step : answer["steps"]) loses = loses || step.value("loses_quorum", false);
  if (context.json()) {
    print_json(answer);
  } else {
    size_t at = 0;
    for (const Json& step : answer["steps"]) {
      if (answer["steps"].size() > 1) write_out("step " + std::to_string(++at) + "\n");
      print_plan(step);
    }
  }
  return loses ? kFailed : kDone;
}

int change(const Context& context, const Flags& flags, const Json& changes) {
  // The server answers before this client gives up, so that the answer is the outcome.
  const int64_t server_ms = std::max<int64_t>(context.timeout_ms * 9 / 10, 1);
  Json args{{"changes", changes},
            {"dry_run", flags.dry_run},
            {"force", flags.force},
            {"wait", flags.wait},
            {"timeout_ms", server_ms}};
  if (flags.dry_run) return show_plan(context, args);
  const Json answer = ask(context, "member_change", args);
  if (context.json()) {
    print_json(answer, After::kDoing);
  } else {
    std::fprintf(stderr, "done: %s\n", answer.value("text", "").c_str());
  }
  return kDone;
}

std::string with_scheme(const std::string& address) {
  return address.empty() || address.find("://") != std::string::npos ? address : "tcp://" + address;
}

Json with_addresses(Json change, const std::string& peer, const std::string& client) {
  if (!peer.empty()) change["peer_address"] = with_scheme(peer);
  if (!client.empty()) change["client_address"] = with_scheme(client);
  return change;
}

// A node that runs already is asked who it is: its disk is then bound from the start, and a
// wrong address is found before it is in the configuration.
void meet(const Context& context, Json& change, uint64_t id, const std::string& client) {
  if (client.empty()) return;
  Json status;
  try {
    Session session({with_scheme(client)}, std::min(context.timeout_ms, kJoinerPatienceMs));
    status = parse_reply(session.admin(with_scheme(client), "status"), "status");
  } catch (const Failure&) {
    std::fprintf(stderr,
                 "raftcs: node %llu does not answer at %s yet; start it with raftcs-server --id "
                 "%llu --join ...\n",
                 static_cast<unsigned long long>(id), client.c_str(),
                 static_cast<unsigned long long>(id));
    return;
  }
  if (status.value("id", uint64_t{0}) != id)
    throw Failure(kUsage, "the server at " + client + " is node " + cell_of(status["id"]) +
                              ", not node " + std::to_string(id));
  const Json ours = ask(context, "status");
  if (ours.value("cluster", "") != status.value("cluster", ""))
    throw Failure(kFailed, "the server at " + client +
                               " belongs to another cluster: start it with an empty data "
                               "directory and --join");
  change["incarnation"] = status.value("incarnation", "");
}

struct AddOptions {
  uint64_t id = 0;
  uint64_t with = 0;
  std::string peer, client;
  uint64_t priority = 100;
  Flags flags;
};

void add_add(CLI::App* member, Context& context) {
  CLI::App* command = member->add_subcommand("add", "a new member, as a learner");
  auto o = std::make_shared<AddOptions>();
  add_number(command, "ID", o->id, "its id")->required();
  command->add_option("PEER", o->peer, "its peer address, HOST:PORT")->required();
  command->add_option("CLIENT", o->client, "its client address, HOST:PORT")->required();
  add_number(command, "--priority", o->priority, "who should lead: higher is better")
      ->check(CLI::Range(0, 255));
  o->flags.add_to(command);
  command->callback([&context, o] {
    context.action = [&context, o] {
      Json one = with_addresses({{"do", "add"}, {"id", o->id}, {"priority", o->priority}}, o->peer,
                                o->client);
      if (!o->flags.dry_run) meet(context, one, o->id, o->client);
      return change(context, o->flags, Json::array({one}));
    };
  });
}

void add_replace(CLI::App* member, Context& context) {
  CLI::App* command = member->add_subcommand(
      "replace", "NEW votes in the place of OLD; OLD again: the same member with a new disk");
  auto o = std::make_shared<AddOptions>();
  add_number(command, "OLD", o->id, "a voter")->required();
  add_number(command, "NEW", o->with, "a learner, or a new member with its addresses")->required();
  auto* peer = command->add_option("PEER", o->peer, "peer address of a new member");
  command->add_option("CLIENT", o->client, "client address of a new member")->needs(peer);
  o->flags.add_to(command);
  command->callback([&context, o] {
    context.action = [&context, o] {
      Json one =
          with_addresses({{"do", "replace"}, {"id", o->id}, {"with", o->with}}, o->peer, o->client);
      if (!o->flags.dry_run) meet(context, one, o->with, o->client);
      return change(context, o->flags, Json::array({one}));
    };
  });
}

// promote, demote and remove: one or several ids at once.
void add_simple(CLI::App* member, Context& context, const char* verb, const char* text) {
  CLI::App* command = member->add_subcommand(verb, text);
  auto ids = std::make_shared<std::vector<uint64_t>>();
  auto flags = std::make_shared<Flags>();
  command->add_option("ID", *ids, "one or several members, together")
      ->required()
      ->check(decimal<uint64_t>());
  flags->add_to(command);
  command->callback([&context, ids, flags, verb] {
    context.action = [&context, ids, flags, verb] {
      Json changes = Json::array();
      for (uint64_t id : *ids) changes.push_back({{"do", verb}, {"id", id}});
      return change(context, *flags, changes);
    };
  });
}

void add_priority(CLI::App* member, Context& context) {
  CLI::App* command = member->add_subcommand("priority", "who should lead: higher is better");
  auto o = std::make_shared<AddOptions>();
  add_number(command, "ID", o->id, "a member")->required();
  add_number(command, "PRIORITY", o->priority, "0 to 255; 100 unless given")
      ->required()
      ->check(CLI::Range(0, 255));
  o->flags.add_to(command);
  command->callback([&context, o] {
    context.action = [&context, o] {
      return change(context, o->flags,
                    Json::array({{{"do", "priority"}, {"id", o->id}, {"priority", o->priority}}}));
    };
  });
}

std::string address_of(const Context& context, uint64_t id) {
  for (const Json& m : ask(context, "members"))
    if (m.value("id", uint64_t{0}) == id) return m.value("client_address", "");
  throw Failure(kFailed, "there is no member " + std::to_string(id));
}

// The leader says whether the others can bear it; the member itself is then told.
int reseed(const Context& context, uint64_t id, bool dry_run, bool off) {
  Json order{{"id", id}, {"off", off}};
  std::string address;
  if (off) {
    address = address_of(context, id);
  } else {
    const Json plan = ask(context, "reseed_plan", {{"id", id}, {"dry_run", dry_run}});
    if (dry_run) {
      if (context.json()) {
        print_json(plan);
      } else {
        print_electorates(plan, "meanwhile");
        print_notes(plan);
      }
      return plan.value("loses_quorum", false) ? kFailed : kDone;
    }
    order["permit"] = plan["permit"];
    address = plan.value("client_address", "");
  }
  Session session({address}, context.timeout_ms);
  const Json answer = parse_reply(session.admin(address, "reseed", order.dump()), "member");
  // Only now: the leader counts it as failed as long as it may begin anew.
  if (off) ask(context, "reseed_plan", {{"id", id}, {"off", true}, {"dry_run", true}});
  if (context.json()) {
    print_json(answer, After::kDoing);
  } else {
    const std::string text = off ? "keeps its data" : "begins anew at its next start: restart it";
    std::fprintf(stderr, "node %llu %s\n", static_cast<unsigned long long>(id), text.c_str());
  }
  return kDone;
}

struct ReseedOptions {
  uint64_t id = 0;
  bool dry_run = false, off = false;
};

void add_reseed(CLI::App* member, Context& context) {
  CLI::App* command = member->add_subcommand(
      "reseed", "a member gives up its data at its next start and gets that of the others");
  auto o = std::make_shared<ReseedOptions>();
  add_number(command, "ID", o->id, "a member; it must be up")->required();
  auto* dry = command->add_flag("--dry-run", o->dry_run, "show what it would mean, change nothing");
  command->add_flag("--off", o->off, "it keeps its data after all")->excludes(dry);
  command->callback([&context, o] {
    context.action = [&context, o] { return reseed(context, o->id, o->dry_run, o->off); };
  });
}

// "promote 4", "remove 2", "replace 2 4 [PEER CLIENT]", "priority 3 50", "add 5 PEER CLIENT"; what
// is not understood to the last word is refused, as another change than was meant would be made.
Json parse_change(const std::string& text) {
  std::vector<std::string> words;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find(' ', at), text.size());
    if (end > at) words.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  auto refuse = [&](const char* why) -> Failure {
    return Failure(kUsage, "\"" + text + "\" is not a change: " + why);
  };
  auto number = [&](size_t i) {
    std::string& word = words[i];
    if (!decimal<uint64_t>()(word).empty()) throw refuse("an id or priority is not a number");
    const uint64_t value = std::stoull(word);
    if (i == 1 && value == 0) throw refuse("ids begin at 1");
    return value;
  };
  auto expect_words = [&](std::initializer_list<size_t> counts, const char* form) {
    if (std::find(counts.begin(), counts.end(), words.size()) == counts.end()) throw refuse(form);
  };
  const std::string verb = words.empty() ? std::string() : words[0];
  if (verb == "promote" || verb == "demote" || verb == "remove") {
    expect_words({2}, "VERB ID is wanted, and each further member in quotes of its own");
    return {{"do", verb}, {"id", number(1)}};
  }
  if (verb == "priority") {
    expect_words({3}, "priority ID PRIORITY is wanted");
    return {{"do", verb}, {"id", number(1)}, {"priority", number(2)}};
  }
  if (verb == "add") {
    expect_words({4}, "add ID PEER CLIENT is wanted");
    return with_addresses({{"do", verb}, {"id", number(1)}}, words[2], words[3]);
  }
  if (verb == "replace") {
    expect_words({3, 5}, "replace OLD NEW [PEER CLIENT] is wanted");
    words.resize(5);
    return with_addresses({{"do", verb}, {"id", number(1)}, {"with", number(2)}}, words[3],
                          words[4]);
  }
  throw refuse("the verbs are add, promote, demote, remove, replace and priority");
}

void add_change(CLI::App* member, Context& context) {
  CLI::App* command = member->add_subcommand(
      "change", "several changes at once, each in quotes: 'promote 4' 'remove 2'");
  auto texts = std::make_shared<std::vector<std::string>>();
  auto flags = std::make_shared<Flags>();
  command->add_option("CHANGE", *texts, "VERB ID ...")->required();
  flags->add_to(command);
  command->callback([&context, texts, flags] {
    context.action = [&context, texts, flags] {
      Json changes = Json::array();
      for (const std::string& text : *texts) changes.push_back(parse_change(text));
      return change(context, *flags, changes);
    };
  });
}

void print_change(const Json& op) {
  if (!op.is_object() || !op.contains("number")) return;
  std::fprintf(stderr, "change %s: %s, step %s of %s: %s\n", cell_of(op["number"]).c_str(),
               cell_of(op["state"]).c_str(), cell_of(op["step"]).c_str(),
               cell_of(op["steps"]).c_str(), cell_of(op["text"]).c_str());
}

int list_members(const Context& context) {
  Json list = ask(context, "members");
  if (context.json()) {
    print_json(list);
    return kDone;
  }
  for (Json& member : list)
    if (member.value("returning", false)) member["role"] = "learner, gets its vote back";
  write_out(table_of(
      list, {"id", "role", "up", "leads", "behind", "priority", "peer_address", "client_address"}));
  print_change(ask(context, "member_status"));
  return kDone;
}

int show_change(const Context& context) {
  const Json op = ask(context, "member_status");
  if (context.json()) {
    print_json(op);
  } else if (op.contains("number")) {
    print_change(op);
  } else {
    std::fprintf(stderr, "the node that answered has changed nothing since it was started\n");
  }
  return kDone;
}

}  // namespace

void add_member_commands(CLI::App& app, Context& context) {
  CLI::App* member = app.add_subcommand("member", "the cluster's members");
  member->require_subcommand(1);
  member->add_subcommand("list", "all members, as the leader sees them")->callback([&context] {
    context.action = [&context] { return list_members(context); };
  });
  member->add_subcommand("status", "the change under way, or the last one")->callback([&context] {
    context.action = [&context] { return show_change(context); };
  });
  add_add(member, context);
  add_simple(member, context, "promote", "learners become voters, when they are caught up");
  add_simple(member, context, "demote", "voters become learners");
  add_simple(member, context, "remove", "members leave the cluster");
  add_replace(member, context);
  add_reseed(member, context);
  add_priority(member, context);
  add_change(member, context);
}

}  // namespace tools
