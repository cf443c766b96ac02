// pipeline.hpp: many operations of one session in flight at once, with a bound.
#pragma once

#include <functional>
#include <string>

#include "common/api.hpp"

namespace tools {

class Pipeline {
 public:
  // Called once for each operation, in the order of the answers.
  using OnReply = std::function<void(const Reply&)>;
  // `rate`: at most so many operations a second; 0: no limit.
  Pipeline(Session& session, std::string service, uint32_t window, uint32_t rate, OnReply on_reply);

  void submit(uint64_t tag, const std::string& command) { start(tag, command, false); }
  void query(uint64_t tag, const std::string& query) { start(tag, query, true); }
  void finish();  // waits until everything is answered

  int64_t longest_stall_ms() const { return longest_stall_ms_; }

 private:
  void start(uint64_t tag, const std::string& bytes, bool is_query);
  void pace();
  void drain(int64_t timeout_ms);

  Session& session_;
  std::string service_;
  uint32_t window_;
  uint32_t rate_;
  OnReply on_reply_;
  uint64_t started_ = 0;
  uint32_t in_flight_ = 0;
  int64_t begin_ms_ = 0;
  int64_t last_reply_ms_ = 0;
  int64_t longest_stall_ms_ = 0;
};

}  // namespace tools
