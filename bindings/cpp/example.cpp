// A program that counts: exactly-once increments with futures, then the value.
//
// Usage: example ENDPOINTS. It needs a cluster whose plugin kv is served as "kv". The exit code
// says what an operator must know: 0 done, 1 refused, 3 may have happened.
#include <cstdio>
#include <vector>

#include "raftcs.hpp"

namespace {

// msgpack of ["incr", bin "visits", 1] and ["get", bin "visits"]; see plugins/kv/README.md.
const std::string kIncrement = "\x93\xa4incr\xc4\x06visits\x01";
const std::string kGet = "\x92\xa3get\xc4\x06visits";

int run(const char* endpoints) {
  raftcs::PumpThread pump;
  raftcs::Client client(raftcs::Config{{"client.endpoints", endpoints}}, pump);
  client.open();

  std::vector<std::future<raftcs::Event>> increments;
  for (int i = 0; i < 100; ++i) increments.push_back(client.submit("kv", kIncrement));
  for (auto& increment : increments) increment.get();

  raftcs::Event reply = client.query_wait("kv", kGet);
  std::printf("100 increments done; the value takes %zu bytes\n", reply.data().size());
  client.close();
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: example ENDPOINTS\n");
    return 2;
  }
  try {
    return run(argv[1]);
  } catch (const raftcs::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return error.may_have_happened() ? 3 : 1;
  }
}
