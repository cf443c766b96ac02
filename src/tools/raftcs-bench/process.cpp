// process.cpp: see process.hpp.
#include "raftcs-bench/process.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>

#include "common/api.hpp"

namespace tools {

double cpu_seconds(pid_t pid) {
  std::ifstream in("/proc/" + std::to_string(pid) + "/stat");
  std::string line;
  if (!std::getline(in, line)) return -1;
  // The second field is a name in parentheses and may hold anything; count from its end.
  size_t at = line.rfind(')');
  uint64_t user = 0, system = 0;
  if (at == std::string::npos ||
      std::sscanf(line.c_str() + at + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu",
                  &user, &system) != 2) {
    return -1;
  }
  return static_cast<double>(user + system) / static_cast<double>(sysconf(_SC_CLK_TCK));
}

double cpu_seconds_self() { return cpu_seconds(getpid()); }

std::string self_path() {
  char path[4096];
  ssize_t size = readlink("/proc/self/exe", path, sizeof path);
  if (size <= 0) throw Failure(kFailed, "cannot find this program's own file");
  return {path, static_cast<size_t>(size)};
}

namespace {

[[noreturn]] void become(const std::vector<std::string>& arguments, int in, int out, int log) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  dup2(in, STDIN_FILENO);
  dup2(log >= 0 ? log : out, STDOUT_FILENO);
  if (log >= 0) dup2(log, STDERR_FILENO);
  std::vector<char*> argv;
  for (const std::string& argument : arguments) {
    argv.push_back(const_cast<char*>(argument.c_str()));
  }
  argv.push_back(nullptr);
  execv(argv[0], argv.data());
  _exit(127);
}

}  // namespace

Child::Child(const std::vector<std::string>& arguments, const std::string& log) : log_(log) {
  int to_child[2], from_child[2], log_fd = -1;
  if (pipe2(to_child, O_CLOEXEC) != 0 || pipe2(from_child, O_CLOEXEC) != 0) {
    throw Failure(kFailed, std::string("making pipes: ") + std::strerror(errno));
  }
  if (!log.empty()) {
    log_fd = open(log.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (log_fd < 0) throw Failure(kFailed, log + ": " + std::strerror(errno));
  }
  pid_ = fork();
  if (pid_ < 0) throw Failure(kFailed, std::string("starting a process: ") + std::strerror(errno));
  if (pid_ == 0) become(arguments, to_child[0], from_child[1], log_fd);
  close(to_child[0]);
  close(from_child[1]);
  if (log_fd >= 0) close(log_fd);
  in_ = to_child[1];
  out_ = from_child[0];
}

Child::~Child() { stop(); }

bool Child::running() {
  if (pid_ < 0) return false;
  if (waitpid(pid_, nullptr, WNOHANG) == 0) return true;
  pid_ = -1;
  return false;
}

void Child::wait_end(int64_t timeout_ms) {
  for (int64_t end = mono_ms() + timeout_ms; running() && mono_ms() < end;) usleep(5'000);
}

void Child::stop() {
  if (in_ >= 0) close(in_);
  if (running()) kill(pid_, SIGTERM);
  for (int i = 0; i < 500 && running(); ++i) usleep(10'000);
  if (running()) {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }
  if (out_ >= 0) close(out_);
  in_ = out_ = -1;
}

void Child::write_line(const std::string& line) {
  std::string text = line + "\n";
  if (write(in_, text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
    throw Failure(kFailed, "a generator process is gone");
  }
}

std::string Child::read_line(int64_t timeout_ms) {
  int64_t deadline = mono_ms() + timeout_ms;
  for (;;) {
    size_t end = buffer_.find('\n');
    if (end != std::string::npos) {
      std::string line = buffer_.substr(0, end);
      buffer_.erase(0, end + 1);
      return line;
    }
    int64_t left = deadline - mono_ms();
    pollfd fd{out_, POLLIN, 0};
    if (left <= 0 || poll(&fd, 1, static_cast<int>(left)) == 0) {
      throw Failure(kFailed, "a generator process does not answer");
    }
    char bytes[65'536];
    ssize_t size = read(out_, bytes, sizeof bytes);
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) throw Failure(kFailed, "a generator process ended early");
    buffer_.append(bytes, static_cast<size_t>(size));
  }
}

std::vector<uint16_t> free_ports(size_t count) {
  std::vector<int> sockets;
  std::vector<uint16_t> ports;
  for (size_t i = 0; i < count; ++i) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    if (fd < 0 || bind(fd, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
        getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
      throw Failure(kFailed, "finding a free port on 127.0.0.1");
    }
    sockets.push_back(fd);
    ports.push_back(ntohs(address.sin_port));
  }
  for (int fd : sockets) close(fd);
  return ports;
}

}  // namespace tools
