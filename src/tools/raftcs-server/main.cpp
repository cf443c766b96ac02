// raftcs-server: one node of a cluster as a daemon.
//
// The node itself is raftcs_server_* of libraftcs; this program turns its command line into
// settings, its signals into a graceful stop and its events into log lines on stderr. The only
// line on stdout is "ready id=.. client=.. peer=..", once the node serves; scripts wait for it.
//
// Exit codes: 0 stopped cleanly, 1 could not start, or a second signal ended it, 2 command line or
// settings.
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "common/api.hpp"
#include "raftcs-server/log.hpp"
#include "raftcs-server/options.hpp"
#include "raftcs_plugin.h"

namespace {

using tools::Failure;

// Two signals within this time are one: wrappers pass on what their group was sent as well.
constexpr int64_t kOneSignalMs = 200;

// SIGINT and SIGTERM as a descriptor. Made before the library starts its threads.
int open_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  if (sigprocmask(SIG_BLOCK, &signals, nullptr) != 0) return -1;
  return signalfd(-1, &signals, SFD_CLOEXEC);
}

// For the end, when the descriptor is read no more.
void leave_at_next_signal() {
  signal(SIGINT, [](int) { _exit(tools::kFailed); });
  signal(SIGTERM, [](int) { _exit(tools::kFailed); });
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  sigprocmask(SIG_UNBLOCK, &signals, nullptr);
}

// A node needs a descriptor for every connection, and one that has none left cannot go on. The soft
// limit is low for the sake of programs that use select(); the hard one is what the system grants.
void take_all_descriptors() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

class Daemon {
 public:
  Daemon(raftcs_server_t* server, raftcs_queue_t* queue) : server_(server), queue_(queue) {}

  // Serves until a signal and the end of the graceful stop.
  void run(int signals) {
    int events = -1;
    raftcs_status_t status = raftcs_queue_open_fd(queue_, RAFTCS_FD_DEFAULT, &events);
    if (status != RAFTCS_OK) throw Failure(tools::kFailed, tools::describe(status));
    check_health();
    while (!closed_) {
      drain();
      if (closed_) break;
      pollfd fds[2] = {{signals, POLLIN, 0}, {events, POLLIN, 0}};
      if (poll(fds, 2, -1) < 0 && errno != EINTR) break;
      if ((fds[0].revents & POLLIN) != 0) on_signal(signals);
    }
    close(events);
    leave_at_next_signal();
    tools::log_line(RAFTCS_LOG_INFO, "stopped");
  }

 private:
  void on_signal(int signals) {
    signalfd_siginfo info{};
    if (read(signals, &info, sizeof info) != static_cast<ssize_t>(sizeof info)) return;
    if (stopping_at_ms_ != 0) {
      if (tools::mono_ms() - stopping_at_ms_ < kOneSignalMs) return;
      tools::log_line(RAFTCS_LOG_WARNING, "second signal: leaving without a graceful stop");
      std::fflush(nullptr);
      // Not by returning: to destroy the server waits for its threads, and one may be in a plugin
      // or a disk call that never ends. What was acknowledged is on the disk, as after SIGKILL.
      _exit(tools::kFailed);
    }
    stopping_at_ms_ = tools::mono_ms();
    tools::log_line(RAFTCS_LOG_INFO, "stopping (once more to leave at once)");
    if (raftcs_server_stop(server_) != RAFTCS_OK) closed_ = true;
  }

  void drain() {
    for (;;) {
      raftcs_event_t* event = nullptr;
      if (raftcs_queue_next(queue_, 0, &event) != RAFTCS_OK || event == nullptr) return;
      tools::EventPtr owner(event);
      on_event(tools::read_event(event));
    }
  }

  void on_event(const tools::Reply& event) {
    switch (event.kind) {
      case RAFTCS_EVENT_LOG:
        tools::log_line(event.app_code, event.data.empty() ? event.text : event.data);
        break;
      case RAFTCS_EVENT_SERVER_STATE:
        tools::log_line(RAFTCS_LOG_INFO, "state " + event.data);
        check_health();
        break;
      case RAFTCS_EVENT_CLOSED:
        closed_ = true;
        break;
      default:
        break;
    }
  }

  // A node whose health is bad stays up: it answers "status" and heals or waits for a restart.
  void check_health() {
    raftcs_server_info_t info{};
    info.struct_size = sizeof info;
    if (raftcs_server_info(server_, &info) != RAFTCS_OK || info.health == health_) return;
    health_ = info.health;
    if (health_ == RAFTCS_OK) {
      tools::log_line(RAFTCS_LOG_INFO, "health is good again");
    } else {
      tools::log_line(RAFTCS_LOG_ERROR, "this node takes no part: " + tools::describe(health_));
    }
  }

  raftcs_server_t* server_;
  raftcs_queue_t* queue_;
  raftcs_status_t health_ = RAFTCS_OK;
  int64_t stopping_at_ms_ = 0;  // 0: not
  bool closed_ = false;
};

void print_ready(raftcs_server_t* server) {
  raftcs_server_info_t info{};
  info.struct_size = sizeof info;
  raftcs_status_t status = raftcs_server_info(server, &info);
  if (status != RAFTCS_OK) throw Failure(tools::kFailed, tools::describe(status));
  std::printf("ready id=%llu client=%s peer=%s\n", static_cast<unsigned long long>(info.id),
              info.client_address, info.peer_address);
  std::fflush(stdout);
}

int serve(const tools::ServerOptions& options) {
  signal(SIGPIPE, SIG_IGN);  // a node does not die with whoever reads its log
  take_all_descriptors();
  int signals = open_signals();
  if (signals < 0) throw Failure(tools::kFailed, "cannot receive signals through a descriptor");
  tools::ConfigPtr config = tools::settings_of(options);
  tools::QueuePtr queue = tools::make_queue();
  raftcs_server_t* made = nullptr;
  raftcs_error_t* error = nullptr;
  raftcs_status_t status = raftcs_server_create(config.get(), queue.get(), 1, &made, &error);
  if (status != RAFTCS_OK) throw Failure(tools::kUsage, tools::take_error(error, status));
  tools::ServerPtr server(made);
  error = nullptr;
  status = raftcs_server_start(server.get(), &error);
  if (status != RAFTCS_OK) {
    throw Failure(tools::kFailed, "could not start: " + tools::take_error(error, status));
  }
  print_ready(server.get());
  Daemon(server.get(), queue.get()).run(signals);
  return tools::kDone;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    tools::ServerOptions options;
    int exit_code = tools::kDone;
    if (!tools::parse_command_line(argc, argv, options, exit_code)) return exit_code;
    if (options.print_settings) {
      std::fputs(tools::settings_markdown().c_str(), stdout);
      return tools::kDone;
    }
    return serve(options);
  } catch (const Failure& failure) {
    std::fprintf(stderr, "raftcs-server: %s\n", failure.what());
    return failure.exit_code();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "raftcs-server: %s\n", error.what());
    return tools::kFailed;
  }
}
