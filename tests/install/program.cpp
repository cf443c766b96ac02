// program.cpp: raftcs.hpp as it is installed. Makes a client, closes it without a server.
#include <cstdio>
#include <raftcs.hpp>

int main() {
  raftcs::PumpThread pump;
  raftcs::Client client(raftcs::Config{{"client.endpoints", "tcp://127.0.0.1:1"}}, pump);
  client.close();
  std::puts("closed");
  return 0;
}
