// api.hpp: what the command-line programs share on top of raftcs.h: owners for handles, replies
// as values, failures as exceptions that carry an exit code.
//
// Nothing here knows more than the public header. Programs catch Failure once, in main, print
// its sentence on stderr and end with its code.
#pragma once

#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "raftcs.h"

namespace tools {

// Exit codes of every program; scripts rely on them (docs/operations.md).
enum ExitCode : int {
  kDone = 0,
  kFailed = 1,       // definitely failed: nothing happened, or the answer is "no"
  kUsage = 2,        // command line or settings
  kUnknown = 3,      // the command may have happened, at most once
  kUnavailable = 4,  // no server took it; nothing happened
};

class Failure : public std::runtime_error {
 public:
  Failure(int exit_code, const std::string& text)
      : std::runtime_error(text), exit_code_(exit_code) {}
  int exit_code() const { return exit_code_; }

 private:
  int exit_code_;
};

template <auto kDestroy>
struct HandleDeleter {
  template <class T>
  void operator()(T* handle) const {
    kDestroy(handle);
  }
};
using ConfigPtr = std::unique_ptr<raftcs_config_t, HandleDeleter<raftcs_config_destroy>>;
using QueuePtr = std::unique_ptr<raftcs_queue_t, HandleDeleter<raftcs_queue_destroy>>;
using EventPtr = std::unique_ptr<raftcs_event_t, HandleDeleter<raftcs_event_destroy>>;
using ClientPtr = std::unique_ptr<raftcs_client_t, HandleDeleter<raftcs_client_destroy>>;
using ServerPtr = std::unique_ptr<raftcs_server_t, HandleDeleter<raftcs_server_destroy>>;

// An event, copied out.
struct Reply {
  int32_t kind = 0;
  raftcs_status_t status = RAFTCS_OK;
  int32_t outcome = RAFTCS_OUTCOME_NONE;
  int32_t app_code = 0;
  uint64_t tag = 0;
  uint64_t op_id = 0;
  uint64_t index = 0;
  std::string data;
  std::string text;
};
Reply read_event(const raftcs_event_t* event);

// "NOT_LEADER: the sentence"
std::string describe(raftcs_status_t status, const std::string& text = {});
// Takes the error (may be NULL) and gives its sentence, or the status' own.
std::string take_error(raftcs_error_t* error, raftcs_status_t status);

// The exit code that an ended operation stands for, without looking at its app_code.
int exit_code_of(const Reply& reply);
// The exit code of a call that was refused before anything was sent.
int exit_code_of_refusal(raftcs_status_t status);
// Throws Failure with the right code unless the reply's status is OK.
void expect_ok(const Reply& reply, const std::string& what);

ConfigPtr make_config();
void set(raftcs_config_t* config, const std::string& name, const std::string& value);
void load_file(raftcs_config_t* config, const std::string& path);
// "key=value", as given to --set.
void set_pair(raftcs_config_t* config, const std::string& pair);
QueuePtr make_queue();

// "h:1, tcp://k:2" -> {"tcp://h:1", "tcp://k:2"}; throws Failure(kUsage) when none is left.
std::vector<std::string> parse_endpoints(const std::string& text);
std::string join(const std::vector<std::string>& parts, std::string_view separator);

// A client and its queue, for programs that do one thing after another.
class Session {
 public:
  // Settings other than the endpoints and the timeout come as key=value pairs.
  Session(const std::vector<std::string>& endpoints, int64_t timeout_ms,
          const std::vector<std::string>& settings = {});
  // Closes the session at the cluster and waits a little for the answer.
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  void open();   // and waits until connected; Failure(kUnavailable) after the timeout
  void begin();  // opens only: stale queries need no leader, so they wait for no session
  Reply submit(const std::string& service, std::string_view command);
  Reply query(const std::string& service, std::string_view query, bool stale = false);
  Reply admin(const std::string& endpoint, const std::string& verb, const std::string& args = {});

  raftcs_client_t* client() { return client_.get(); }
  raftcs_queue_t* queue() { return queue_.get(); }
  int64_t timeout_ms() const { return timeout_ms_; }

 private:
  raftcs_call_options_t call_options(bool stale) const;
  int64_t timeout_ms_;
  bool opened_ = false;
  QueuePtr queue_;
  ClientPtr client_;
};

int64_t mono_ms();
uint64_t mono_ns();

}  // namespace tools
