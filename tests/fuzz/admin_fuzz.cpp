// admin_fuzz.cpp: administration: any verb with any text as its arguments, at a node that leads.
//
// The input is lines "VERB ARGUMENTS"; a line beginning with a tab lets time pass. Each call is
// answered; an answer that is OK is JSON, another has a sentence; and the node takes part on.
#include <nlohmann/json.hpp>

#include "base/check.hpp"
#include "support/node_harness.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace raftcs::fuzz {
namespace {

constexpr unsigned kCallsMax = 12;

void call(test::NodeHarness& cluster, const std::string& line) {
  const size_t blank = std::min(line.find(' '), line.size());
  const std::string verb = line.substr(0, blank);
  const std::string args = blank < line.size() ? line.substr(blank + 1) : std::string();
  const server::AdminResult answer = cluster.admin(1, verb, args);
  if (answer.status.is_ok()) {
    ++accepted;
    require(nlohmann::json::accept(answer.json), "an answer that is no JSON", answer.json);
  } else {
    require(!answer.status.text().empty() || answer.status.code() == RAFTCS_ERR_NOT_LEADER,
            "a refusal says nothing", line);
  }
}

}  // namespace

void make_seeds(const SeedSink& sink) {
  sink("looking", "status\nmembers {}\nmember_status\nplugins\nsessions\nservices\nsnapshot\n");
  sink("services",
       "service_create {\"name\":\"a\",\"type\":\"sim.ledger\"}\n"
       "service_create {\"name\":\"a\",\"type\":\"sim.ledger\"}\n"
       "service_create {\"name\":\"A B\",\"type\":1}\nservices\n");
  sink("leading", "transfer {\"to\":2}\ntransfer {}\ndrain {\"on\":true}\ndrain {\"on\":false}\n");
  sink("members",
       "member_change {\"changes\":[{\"do\":\"add\",\"id\":2,\"peer_address\":\"tcp://10.0.0.2:1\","
       "\"client_address\":\"tcp://10.0.0.2:2\"}],\"timeout_ms\":100}\nmembers\n\t\n"
       "member_change {\"changes\":[{\"do\":\"promote\",\"id\":2}],\"dry_run\":true}\n"
       "member_change {\"changes\":[{\"do\":\"remove\",\"id\":2},{\"do\":\"priority\",\"id\":1,"
       "\"priority\":3}],\"force\":true}\nmember_status\n");
  sink("replace",
       "member_change {\"changes\":[{\"do\":\"replace\",\"id\":1,\"with\":3,\"peer_address\":"
       "\"tcp://a:1\",\"incarnation\":\"00112233445566778899aabbccddeeff\"}],\"dry_run\":true}\n");
  sink("odd", "status [\nstatus {\"a\":1e999}\nmembers \"\\ud800\"\nno_verb {}\n {}\n");
}

}  // namespace raftcs::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace raftcs;
  using namespace raftcs::fuzz;
  if (size > 4096) return 0;
  Input in(data, size);
  const std::string text = in.rest();
  test::NodeHarness cluster(1);
  require(cluster.wait_for_leader() == 1, "the node does not lead");
  const unsigned long failures = check_failures();
  unsigned calls = 0;
  for (size_t at = 0; at < text.size() && calls < kCallsMax; ++calls) {
    const size_t end = std::min(text.find('\n', at), text.size());
    const std::string line = text.substr(at, end - at);
    if (!line.empty() && line[0] == '\t')
      cluster.run(200 * kNsPerMs);
    else
      call(cluster, line);
    at = end + 1;
  }
  cluster.run(kNsPerSecond);
  require(check_failures() == failures, "a check of raftcs has failed", first_check_failure());
  require(nlohmann::json::accept(cluster.admin(1, "status").json), "no status any more");
  return 0;
}
