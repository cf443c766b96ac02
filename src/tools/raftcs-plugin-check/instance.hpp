// instance.hpp: one instance of a type under test, and what it answered.
//
// Plays the host as strictly as the contract allows: sinks refuse what they must refuse,
// arguments die right after each call, streams give short reads.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "raftcs_plugin.h"

namespace plugin_check {

struct Command {
  uint64_t session;
  std::string data;
};

class Instance {
 public:
  using Capabilities = std::vector<std::pair<std::string, std::string>>;
  Instance(const raftcs_sm_type_t* type, const Capabilities& capabilities);
  ~Instance();
  Instance(const Instance&) = delete;
  Instance& operator=(const Instance&) = delete;

  // All give the status of the plugin; an exception counts as PLUGIN_FAILED and is noted.
  raftcs_status_t create();
  raftcs_status_t apply(uint64_t first_index, const Command* commands, uint32_t count);
  raftcs_status_t query(const std::string& data, uint64_t session);
  raftcs_status_t session_event(uint64_t session, int32_t end_reason);
  // The functions of minor 1, where the type has them.
  raftcs_status_t presence(uint64_t session, bool connected);
  void pass(int64_t ns) { time_ns_ += ns; }
  raftcs_status_t next_timer(int64_t* at);  // INT64_MAX without timers
  // Until none is due; BAD_STATE when that takes too many calls. `failed_in`: the function.
  raftcs_status_t timers(const char** failed_in);
  // Stops the writer after `writes_max` calls. `meanwhile` runs between snapshot_begin and
  // snapshot_write, as the host's commands do with RAFTCS_SM_CONCURRENT_SNAPSHOT.
  raftcs_status_t snapshot(std::string* out, uint64_t writes_max = UINT64_MAX,
                           const std::function<void()>& meanwhile = nullptr);
  // `fail_at`: the reader fails once so many bytes were read.
  raftcs_status_t restore(const std::string& bytes, size_t piece, uint64_t fail_at = UINT64_MAX);
  raftcs_status_t digest(uint64_t* value);  // 0 without RAFTCS_SM_HAS_DIGEST

  // Everything it replied, and pushed, as text that can be compared.
  const std::string& replies() const { return replies_; }
  const std::string& pushes() const { return pushes_; }
  void forget_transcript() { replies_.clear(), pushes_.clear(); }
  // Sessions, their windows and time belong to the host: a restored instance goes on with them.
  void take_windows(const Instance& other) {
    windows_ = other.windows_;
    live_ = other.live_;
    time_ns_ = other.time_ns_;
  }
  uint64_t refused() const { return refused_; }
  uint64_t answered() const { return answered_; }
  bool threw() const { return threw_; }

 private:
  struct Call;
  static raftcs_status_t sink_reply(const raftcs_sink_t*, uint32_t, int32_t, const void*, size_t);
  static raftcs_status_t sink_push(const raftcs_sink_t*, uint64_t, const void*, size_t);
  static raftcs_status_t sink_next_session(const raftcs_sink_t*, uint64_t, const char*,
                                           const char*, raftcs_live_session_t*);
  raftcs_session_event_t event_of(uint64_t session, int32_t end_reason) const;
  raftcs_status_t value_status() const;
  template <class F>
  raftcs_status_t guarded(F&& call);

  const raftcs_sm_type_t* type_;
  raftcs_host_t host_{};
  void* sm_ = nullptr;
  int64_t time_ns_ = 1'000'000'000;
  std::string replies_;
  std::string pushes_;
  std::map<uint64_t, uint64_t> windows_;
  std::map<uint64_t, bool> live_;  // sessions and whether they are connected
  std::vector<const char*> names_, values_;
  uint64_t refused_ = 0;
  uint64_t answered_ = 0;
  bool threw_ = false;
};

}  // namespace plugin_check
