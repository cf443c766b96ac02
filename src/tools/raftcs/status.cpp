// status.cpp: `raftcs status` asks every endpoint given and then every member these know, all at
// once, and shows them side by side.
//
// The JSON form has the fields of the first node that answered at the top and all nodes, also
// those that did not answer, in "nodes". --converged waits until every member answers with the
// same state hash at the same index: the proof that replicas agree.
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <map>

#include "common/text.hpp"
#include "raftcs/context.hpp"

namespace tools {

namespace {

struct Node {
  std::string endpoint;
  bool reachable = false;
  std::string error;
  Json status = Json::object();
};

// Asks all endpoints at the same time.
std::vector<Node> ask(Session& session, const std::vector<std::string>& endpoints,
                      int64_t timeout_ms) {
  raftcs_call_options_t options{};
  options.struct_size = sizeof options;
  options.timeout_ms = timeout_ms;
  std::vector<Node> nodes;
  size_t waiting = 0;
  for (const std::string& endpoint : endpoints) {
    Node node;
    node.endpoint = endpoint;
    uint64_t op_id = 0;
    raftcs_status_t status =
        raftcs_client_admin(session.client(), endpoint.c_str(), nodes.size() + 1, "status",
                            nullptr, &options, &op_id);
    if (status == RAFTCS_OK) {
      ++waiting;
    } else {
      node.error = describe(status);
    }
    nodes.push_back(std::move(node));
  }
  int64_t deadline = mono_ms() + timeout_ms + 1'000;
  while (waiting > 0 && mono_ms() < deadline) {
    raftcs_event_t* event = nullptr;
    if (raftcs_queue_next(session.queue(), 200, &event) != RAFTCS_OK) break;
    if (event == nullptr) continue;
    EventPtr owner(event);
    Reply reply = read_event(event);
    if (reply.kind != RAFTCS_EVENT_ADMIN_REPLY || reply.tag == 0 || reply.tag > nodes.size()) {
      continue;
    }
    --waiting;
    Node& node = nodes[reply.tag - 1];
    node.status = Json::parse(reply.data, nullptr, false);
    node.reachable = reply.status == RAFTCS_OK && node.status.is_object();
    if (node.reachable) continue;
    node.status = Json::object();
    node.error = describe(reply.status, reply.text);
  }
  return nodes;
}

std::vector<Json> members_of(const std::vector<Node>& nodes) {
  std::map<uint64_t, Json> members;
  for (const Node& node : nodes) {
    if (!node.reachable || !node.status.contains("members")) continue;
    for (const Json& member : node.status["members"]) {
      if (member.contains("id")) members[member["id"].get<uint64_t>()] = member;
    }
  }
  std::vector<Json> out;
  for (auto& [id, member] : members) out.push_back(std::move(member));
  return out;
}

std::vector<Node> ask_all(Session& session, const std::vector<std::string>& endpoints,
                          int64_t timeout_ms) {
  std::vector<Node> nodes = ask(session, endpoints, timeout_ms);
  std::vector<std::string> more;
  for (const Json& member : members_of(nodes)) {
    std::string address = member.value("client_address", "");
    uint64_t id = member.value("id", uint64_t{0});
    bool asked = std::any_of(nodes.begin(), nodes.end(), [&](const Node& node) {
      return node.endpoint == address ||
             (node.reachable && node.status.value("id", uint64_t{0}) == id);
    });
    if (!asked && !address.empty()) more.push_back(address);
  }
  for (Node& node : ask(session, more, timeout_ms)) nodes.push_back(std::move(node));
  std::stable_sort(nodes.begin(), nodes.end(), [](const Node& a, const Node& b) {
    return a.status.value("id", UINT64_MAX) < b.status.value("id", UINT64_MAX);
  });
  return nodes;
}

// Every member answers, none is unwell, and all have the same hash at the same index.
bool converged(const std::vector<Node>& nodes) {
  Json hash;
  size_t answered = 0;
  for (const Node& node : nodes) {
    if (!node.reachable || !node.status.contains("state_hash")) return false;
    if (answered++ == 0) hash = node.status["state_hash"];
    if (node.status["state_hash"] != hash) return false;
    if (node.status.value("applied", uint64_t{0}) != node.status.value("commit", uint64_t{1})) {
      return false;
    }
  }
  return answered > 0 && answered == members_of(nodes).size();
}

std::string hash_cell(const Json& status) {
  if (!status.contains("state_hash") || !status["state_hash"].is_object()) return "-";
  const Json& hash = status["state_hash"];
  return cell_of(hash.value("hash", Json())) + "@" + cell_of(hash.value("index", Json()));
}

std::string field(const Json& status, const char* name) {
  return status.contains(name) ? cell_of(status[name]) : "-";
}

std::string sessions_cell(const Json& status) {
  if (!status.contains("sessions")) return "-";
  const Json& sessions = status["sessions"];
  return sessions.is_array() ? std::to_string(sessions.size()) : cell_of(sessions);
}

void print_table(const std::vector<Node>& nodes) {
  Table table({"ID", "ENDPOINT", "ROLE", "TERM", "LEADER", "COMMIT", "APPLIED", "LOG", "SNAPSHOT",
               "SESSIONS", "HEALTH", "STATE HASH"});
  for (const Node& node : nodes) {
    const Json& s = node.status;
    if (!node.reachable) {
      table.row({"-", node.endpoint, "no answer"});
      std::fprintf(stderr, "raftcs: %s: %s\n", node.endpoint.c_str(), node.error.c_str());
      continue;
    }
    table.row({field(s, "id"), node.endpoint, field(s, "role"), field(s, "term"),
               field(s, "leader"), field(s, "commit"), field(s, "applied"),
               field(s, "first_index") + ".." + field(s, "last_index"),
               field(s, "snapshot_index"), sessions_cell(s), field(s, "health"), hash_cell(s)});
  }
  write_out(table.text());
}

void print_as_json(const std::vector<Node>& nodes) {
  Json document = Json::object();
  for (const Node& node : nodes) {
    if (node.reachable && document.empty()) document = node.status;
  }
  document["converged"] = converged(nodes);
  Json list = Json::array();
  for (const Node& node : nodes) {
    Json one = node.reachable ? node.status : Json::object();
    one["endpoint"] = node.endpoint;
    one["reachable"] = node.reachable;
    if (!node.reachable) one["error"] = node.error;
    list.push_back(std::move(one));
  }
  document["nodes"] = std::move(list);
  print_json(document);
}

int run_status(const Context& context, bool wait_converged) {
  std::vector<std::string> endpoints = context.endpoint_list();
  Session session(endpoints, context.timeout_ms);
  int64_t each_ms = std::min<int64_t>(context.timeout_ms, 2'000);
  int64_t deadline = mono_ms() + context.timeout_ms;
  std::vector<Node> nodes = ask_all(session, endpoints, each_ms);
  while (wait_converged && !converged(nodes) && mono_ms() < deadline) {
    timespec pause{0, 100'000'000};
    nanosleep(&pause, nullptr);
    nodes = ask_all(session, endpoints, each_ms);
  }
  if (context.json()) {
    print_as_json(nodes);
  } else {
    print_table(nodes);
  }
  bool any = std::any_of(nodes.begin(), nodes.end(), [](const Node& n) { return n.reachable; });
  if (!any) {
    throw Failure(kUnavailable, "no server answers at " + join(endpoints, ", ") +
                                    "; start one, or give other addresses with -e");
  }
  if (wait_converged && !converged(nodes)) {
    throw Failure(kFailed, "the members did not reach one state in time");
  }
  return kDone;
}

}  // namespace

void add_status_command(CLI::App& app, Context& context) {
  CLI::App* command = app.add_subcommand("status", "all nodes side by side");
  auto wait = std::make_shared<bool>(false);
  command->add_flag("--converged", *wait,
                    "wait (up to --timeout) until all members have one state hash at one index");
  command->callback([&context, wait] {
    context.action = [&context, wait] { return run_status(context, *wait); };
  });
}

}  // namespace tools
