// process.hpp: child processes by pid, and the CPU time of any process.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

namespace tools {

// User and system seconds so far, from /proc; -1 when the process is gone.
double cpu_seconds(pid_t pid);
double cpu_seconds_self();
std::string self_path();

// A child with pipes to its input and from its output. Its end is awaited in the destructor,
// after SIGTERM and, 5 s later, SIGKILL. It ends with its parent.
class Child {
 public:
  // `log`: file that takes stdout and stderr instead of the pipe; empty: stderr is inherited.
  Child(const std::vector<std::string>& arguments, const std::string& log = {});
  ~Child();
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  pid_t pid() const { return pid_; }
  bool running();
  void write_line(const std::string& line);
  std::string read_line(int64_t timeout_ms);  // Failure(kFailed) at the end or after the timeout
  void wait_end(int64_t timeout_ms);  // gives it time to end by itself
  void stop();
  const std::string& log() const { return log_; }

 private:
  pid_t pid_ = -1;
  int in_ = -1, out_ = -1;
  std::string log_, buffer_;
};

// TCP ports of 127.0.0.1 that were free a moment ago, all different.
std::vector<uint16_t> free_ports(size_t count);

}  // namespace tools
