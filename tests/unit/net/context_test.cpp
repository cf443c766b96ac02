// context_test.cpp: what the context leaves behind, and what it says when it cannot be made.
#include "net/context.hpp"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <thread>

#include "net/client_links.hpp"
#include "tests/support/descriptors.hpp"

namespace raftcs::net {
namespace {

// Threads and descriptors of this process.
std::pair<int, int> held() {
  auto entries = [](const char* directory) {
    return static_cast<int>(std::distance(std::filesystem::directory_iterator(directory), {}));
  };
  return {entries("/proc/self/task"), entries("/proc/self/fd")};
}

// Accepts connections and never says a word.
class Mute {
 public:
  Mute() : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof at;
    EXPECT_EQ(::bind(fd_, reinterpret_cast<sockaddr*>(&at), size), 0);
    EXPECT_EQ(::listen(fd_, 64), 0);
    EXPECT_EQ(::getsockname(fd_, reinterpret_cast<sockaddr*>(&at), &size), 0);
    address_ = "tcp://127.0.0.1:" + std::to_string(ntohs(at.sin_port));
  }
  ~Mute() { ::close(fd_); }
  const std::string& address() const { return address_; }

 private:
  int fd_;
  std::string address_;
};

// Interrupts system calls of this thread every few milliseconds.
class Signals {
 public:
  Signals() {
    struct sigaction action {};
    action.sa_handler = [](int) {};
    ::sigaction(SIGALRM, &action, &before_);
    const itimerval often{{0, 10'000}, {0, 10'000}};
    ::setitimer(ITIMER_REAL, &often, nullptr);
  }
  ~Signals() {
    const itimerval never{};
    ::setitimer(ITIMER_REAL, &never, nullptr);
    ::sigaction(SIGALRM, &before_, nullptr);
  }

 private:
  struct sigaction before_ {};
};

// What a process of its own says that has `free` descriptors left: its exit code, or minus the
// signal that ended it.
int outcome_with(size_t free) {
  const pid_t child = ::fork();
  if (child == 0) {
    const test::Descriptors few(free);
    auto links = ClientLinks::create(1 << 20);
    const Status done = links ? (*links)->open(1, "tcp://127.0.0.1:9") : links.status();
    ::_exit(done.is_ok() ? 0 : done.code() == RAFTCS_ERR_RESOURCE_LIMIT ? 1 : 2);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

// libzmq ends the process when it has no descriptors for its threads.
TEST(Context, FewDescriptorsAreAnErrorAndNoAbort) {
  EXPECT_EQ(outcome_with(0), 1);
  for (size_t free = 1; free <= 24; ++free) {
    const int outcome = outcome_with(free);
    EXPECT_TRUE(outcome == 0 || outcome == 1) << free << ": " << outcome;
  }
  EXPECT_EQ(outcome_with(40), 0);
}

TEST(ClientLinks, WithoutADescriptorForTheWakerThereAreNone) {
  auto first = ClientLinks::create(1 << 20);  // the context is there
  ASSERT_TRUE(first);
  const test::Descriptors none(0);
  const auto second = ClientLinks::create(1 << 20);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.status().code(), RAFTCS_ERR_RESOURCE_LIMIT);
  EXPECT_NE(second.status().text().find("open files"), std::string::npos) << second.status().text();
}

TEST(Context, EndsAlsoWhileSignalsCome) {
  Mute server;
  std::thread([] {}).join();  // with a program's first one a sanitizer begins its own
  const auto before = held();
  {
    Signals signals;
    for (int n = 0; n < 3; ++n) {
      auto links = ClientLinks::create(1 << 20);
      ASSERT_TRUE(links) << links.status().text();
      ASSERT_TRUE((*links)->open(1, server.address()).is_ok());
      ASSERT_TRUE((*links)->send(1, Bytes::copy("goodbye")));  // lingers for a while
    }
  }
  // A thread that has ended is listed for a moment.
  for (int n = 0; n < 100 && held() != before; ++n)
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_EQ(held(), before);
}

}  // namespace
}  // namespace raftcs::net
