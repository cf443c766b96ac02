// call.cpp: `raftcs call`: any bytes to any service, for services this program knows nothing of.
#include <unistd.h>

#include "common/text.hpp"
#include "raftcs/context.hpp"

namespace tools {

namespace {

struct CallOptions {
  std::string service;
  std::string payload;
  std::string hex;
  bool payload_given = false;
  bool query = false;
  bool stale = false;
};

std::string payload_of(const CallOptions& call) {
  if (call.payload_given && !call.hex.empty()) {
    throw Failure(kUsage, "give the payload as an argument or with --hex, not both");
  }
  if (call.payload_given) return call.payload;
  if (!call.hex.empty()) {
    auto bytes = from_hex(call.hex);
    if (!bytes) throw Failure(kUsage, "--hex wants an even number of digits 0-9 a-f");
    return *bytes;
  }
  return read_in();
}

int run_call(const Context& context, const CallOptions& call) {
  std::string payload = payload_of(call);
  Session session(context.endpoint_list(), context.timeout_ms);
  if (call.query && call.stale)
    session.begin();
  else
    session.open();
  Reply reply = call.query ? session.query(call.service, payload, call.stale)
                           : session.submit(call.service, payload);
  expect_ok(reply, "call " + call.service);
  const After after = call.query ? After::kAsking : After::kDoing;
  if (context.json()) {
    Json document = {{"app_code", reply.app_code}, {"index", reply.index}};
    put_bytes(document, "data", reply.data);
    print_json(document, after);
  } else if (isatty(STDOUT_FILENO) == 1 && !is_text(reply.data)) {
    write_out(to_hex(reply.data) + "\n", after);
  } else {
    write_out(reply.data, after);
  }
  if (reply.app_code != 0) {
    throw Failure(kFailed, "the service refused with code " + std::to_string(reply.app_code));
  }
  return kDone;
}

}  // namespace

void add_call_command(CLI::App& app, Context& context) {
  CLI::App* command = app.add_subcommand(
      "call", "one command to a service; the payload is an argument, --hex or standard input");
  auto call = std::make_shared<CallOptions>();
  command->add_option("SERVICE", call->service, "name of the service")->required();
  CLI::Option* payload = command->add_option("PAYLOAD", call->payload, "payload as text");
  command->add_option("--hex", call->hex, "payload as hexadecimal digits");
  command->add_flag("--query", call->query, "a linearizable query instead of a command");
  command->add_flag("--stale", call->stale, "with --query: whatever the asked server has");
  command->callback([&context, call, payload] {
    call->payload_given = payload->count() > 0;
    context.action = [&context, call] { return run_call(context, *call); };
  });
}

}  // namespace tools
