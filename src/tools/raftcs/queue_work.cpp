// queue_work.cpp: `raftcs queue work`: a worker: takes jobs, one after the other, until told to
// stop.
//
// Each job is printed as a JSON line. Without --exec it is printed and then ended as done. With
// --exec the command gets the payload on its standard input; exit code 0 is done, any other
// gives the job back. While the command runs, the time of it and of the jobs that wait behind it is
// extended. On the way out the session is closed, so that what is left goes to other workers at
// once.
//
// What must hold: no job is begun before the cluster said that it is still ours. A push may have
// waited here for longer than its time, and its job be another's, or a dead letter, by then.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <deque>

#include "common/queue.hpp"
#include "common/text.hpp"
#include "raftcs/context.hpp"

namespace tools {

namespace {

constexpr int kPollMs = 20;

volatile sig_atomic_t g_stop = 0;
void on_signal(int) { g_stop = 1; }

struct WorkOptions {
  std::string service = "queue";
  std::vector<std::string> queues;
  std::string exec;
  uint32_t capacity = 1;
  uint64_t count = 0;
  double seconds = 0;
  double idle = 0;
  int64_t retry_ms = 1000;
  int64_t session_timeout_ms = 0;
};

// A running command; killed with its group when it is given up.
class Child {
 public:
  Child(const std::string& command, const queue::Job& job) : left_(job.payload) {
    int in[2];
    if (pipe2(in, O_CLOEXEC) != 0) throw Failure(kFailed, std::string("pipe: ") + strerror(errno));
    pid_ = fork();
    if (pid_ < 0) throw Failure(kFailed, std::string("fork: ") + strerror(errno));
    if (pid_ == 0) {
      setpgid(0, 0);
      signal(SIGPIPE, SIG_DFL);  // ignored here, and it would stay so over exec
      dup2(in[0], STDIN_FILENO);
      dup2(STDERR_FILENO, STDOUT_FILENO);  // standard output carries the JSON lines
      setenv("RAFTCS_QUEUE", job.queue.c_str(), 1);
      setenv("RAFTCS_JOB", std::to_string(job.id).c_str(), 1);
      setenv("RAFTCS_ATTEMPT", std::to_string(job.attempt).c_str(), 1);
      execl("/bin/sh", "sh", "-c", command.c_str(), static_cast<char*>(nullptr));
      _exit(127);
    }
    close(in[0]);
    fd_ = in[1];
    fcntl(fd_, F_SETFL, O_NONBLOCK);
    feed();
  }
  ~Child() {
    if (fd_ >= 0) close(fd_);
    if (running()) {
      kill(-pid_, SIGKILL);
      waitpid(pid_, nullptr, 0);
    }
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  bool running() {
    if (ended_) return false;
    feed();
    const pid_t got = waitpid(pid_, &status_, WNOHANG);
    unseen_ = got < 0 && errno != EINTR;
    ended_ = got == pid_ || unseen_;
    return !ended_;
  }
  int exit_code() const {
    if (unseen_) return 255;  // how it ended is not known, so it is not done
    return WIFEXITED(status_) ? WEXITSTATUS(status_) : 128 + WTERMSIG(status_);
  }

 private:
  void feed() {
    while (fd_ >= 0 && !left_.empty()) {
      ssize_t n = write(fd_, left_.data(), left_.size());
      if (n < 0 && errno == EAGAIN) return;
      if (n <= 0)
        left_.clear();  // it does not want more
      else
        left_.erase(0, static_cast<size_t>(n));
    }
    if (fd_ >= 0) close(fd_);
    fd_ = -1;
  }

  std::string left_;
  pid_t pid_ = -1;
  int fd_ = -1;
  int status_ = 0;
  bool ended_ = false;
  bool unseen_ = false;
};

class Worker {
 public:
  Worker(const Context& context, const WorkOptions& work)
      : work_(work), session_(context.endpoint_list(), context.timeout_ms, settings(work)) {}

  int run() {
    session_.open();
    std::fprintf(stderr, "working\n");
    int64_t end =
        work_.seconds > 0 ? mono_ms() + static_cast<int64_t>(work_.seconds * 1000) : INT64_MAX;
    int64_t idle_since = mono_ms();
    uint64_t ended = 0;
    while (g_stop == 0 && (work_.count == 0 || ended < work_.count) && mono_ms() < end) {
      if (work_.idle > 0 && mono_ms() - idle_since > static_cast<int64_t>(work_.idle * 1000)) break;
      take(200);
      if (waiting_.empty()) continue;
      const queue::Job job = std::move(waiting_.front().job);
      waiting_.pop_front();
      if (handle(job)) ++ended;
      idle_since = mono_ms();
    }
    return kDone;
  }

 private:
  static std::vector<std::string> settings(const WorkOptions& work) {
    std::vector<std::string> all = {"client.capabilities=queue.worker=" + join(work.queues, "+") +
                                    ",queue.capacity=" + std::to_string(work.capacity)};
    if (work.session_timeout_ms > 0)
      all.push_back("client.session_timeout_ms=" + std::to_string(work.session_timeout_ms));
    return all;
  }

  struct Taken {
    queue::Job job;
    int64_t extend_at;
  };

  static int64_t next_extension(const queue::Job& job) { return mono_ms() + job.visibility_ms / 3; }

  // Puts what came behind what waits; for the first of all it waits so long.
  void take(int64_t timeout_ms) {
    for (;;) {
      raftcs_event_t* event = nullptr;
      raftcs_status_t status =
          raftcs_queue_next(session_.queue(), waiting_.empty() ? timeout_ms : 0, &event);
      if (status != RAFTCS_OK) throw Failure(kFailed, "reading events: " + describe(status));
      if (event == nullptr) return;
      EventPtr owner(event);
      if (auto job = job_of(event)) {
        const int64_t extend_at = next_extension(*job);
        waiting_.push_back({std::move(*job), extend_at});
      } else if (waiting_.empty()) {
        return;  // so that the caller looks at its own end
      }
    }
  }

  std::optional<queue::Job> job_of(const raftcs_event_t* event) {
    Reply reply = read_event(event);
    if (reply.kind == RAFTCS_EVENT_SESSION_LOST)
      throw Failure(kFailed, "the session is lost; its jobs went to others: " +
                                 describe(reply.status, reply.text));
    if (reply.kind != RAFTCS_EVENT_SERVER_REQUEST) return std::nullopt;
    auto job = queue::read_job(reply.data);
    if (!job) throw Failure(kFailed, "queue work: a request of an unknown form");
    return job;
  }

  void print(const queue::Job& job, const char* result, int exit_code) const {
    Json document = {{"job", job.id}, {"queue", job.queue}, {"attempt", job.attempt}};
    put_bytes(document, "payload", job.payload);
    document["result"] = result;
    if (!work_.exec.empty()) document["exit_code"] = exit_code;
    print_json(document);
  }

  // False: the job is another's by now.
  bool answer(const queue::Job& job, const std::string& command) {
    Reply reply = session_.submit(work_.service, command);
    expect_ok(reply, "queue work");
    if (reply.app_code == queue::kOk) return true;
    std::fprintf(stderr, "raftcs: job %lld: %s\n", static_cast<long long>(job.id),
                 queue::app_code_text(reply.app_code));
    return false;
  }

  bool extend(const queue::Job& job) {
    return answer(job, queue::extend(job.id, job.attempt, job.visibility_ms));
  }

  // Keeps what waits behind a running command; what is another's by now leaves.
  void keep_waiting() {
    take(0);
    for (auto it = waiting_.begin(); it != waiting_.end();) {
      if (mono_ms() < it->extend_at) {
        ++it;
        continue;
      }
      it->extend_at = next_extension(it->job);
      it = extend(it->job) ? it + 1 : waiting_.erase(it);
    }
  }

  bool handle(const queue::Job& job) {
    if (!extend(job)) return false;
    if (work_.exec.empty()) {
      print(job, "done", 0);
      return answer(job, queue::done(job.id, job.attempt));
    }
    Child child(work_.exec, job);
    int64_t extend_at = next_extension(job);
    while (child.running()) {
      poll(nullptr, 0, kPollMs);
      keep_waiting();
      if (mono_ms() < extend_at) continue;
      extend_at = next_extension(job);
      if (!extend(job)) {
        print(job, "lost", 0);
        return false;  // the command is ended: another worker runs it now
      }
    }
    const int code = child.exit_code();
    const bool held =
        code == 0 ? answer(job, queue::done(job.id, job.attempt))
                  : answer(job, queue::fail(job.id, job.attempt,
                                            "exit code " + std::to_string(code), work_.retry_ms));
    print(job, !held ? "lost" : code == 0 ? "done" : "failed", code);
    return held;
  }

  const WorkOptions& work_;
  Session session_;
  std::deque<Taken> waiting_;  // in the order they came
};

int run_work(const Context& context, const WorkOptions& work) {
  struct sigaction action {};
  action.sa_handler = on_signal;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  signal(SIGCHLD, SIG_DFL);  // a parent may have it ignored: then no command's end could be seen
  return Worker(context, work).run();
}

}  // namespace

void add_queue_work_command(CLI::App& queue, Context& context) {
  CLI::App* command = queue.add_subcommand("work", "be a worker: take jobs until interrupted");
  auto work = std::make_shared<WorkOptions>();
  command->add_option("--service", work->service, "name of the queue service");
  command->add_option("QUEUES", work->queues, "names of queues, or '*'")->required();
  command->add_option("--exec", work->exec, "run this for each job; the payload is its input")
      ->type_name("COMMAND");
  add_number(command, "--retry", work->retry_ms, "a failed job is given out again not before")
      ->type_name("MS");
  add_number(command, "--capacity", work->capacity, "jobs held at once, done one by one")
      ->check(CLI::Range(1, 10'000));
  add_number(command, "--count", work->count, "end after so many jobs");
  command->add_option("--for", work->seconds, "end after so many seconds")
      ->type_name("SECONDS")
      ->check(CLI::Range(0.0, 1e9));
  command->add_option("--idle", work->idle, "end when no job came for so long")
      ->type_name("SECONDS")
      ->check(CLI::Range(0.0, 1e9));
  add_number(command, "--session-timeout", work->session_timeout_ms,
             "after so long without contact other workers get the jobs")
      ->type_name("MS");
  command->callback(
      [&context, work] { context.action = [&context, work] { return run_work(context, *work); }; });
}

}  // namespace tools
