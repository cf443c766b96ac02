// pipeline.cpp: see pipeline.hpp. What the library refuses as BUSY is kept here and offered again
// after the next answers; every other refusal ends the run.
#include "raftcs/pipeline.hpp"

#include <algorithm>

namespace tools {

Pipeline::Pipeline(Session& session, std::string service, uint32_t window, uint32_t rate,
                   OnReply on_reply)
    : session_(session),
      service_(std::move(service)),
      window_(window),
      rate_(rate),
      on_reply_(std::move(on_reply)),
      begin_ms_(mono_ms()),
      last_reply_ms_(begin_ms_) {}

void Pipeline::pace() {
  if (rate_ == 0) return;
  int64_t due = begin_ms_ + static_cast<int64_t>(started_ * 1'000 / rate_);
  for (int64_t left = due - mono_ms(); left > 0; left = due - mono_ms()) drain(left);
}

void Pipeline::start(uint64_t tag, const std::string& bytes, bool is_query) {
  pace();
  while (in_flight_ >= window_) drain(1'000);
  if (in_flight_ == 0) last_reply_ms_ = std::max(last_reply_ms_, mono_ms());
  raftcs_call_options_t options{};
  options.struct_size = sizeof options;
  options.timeout_ms = session_.timeout_ms();
  for (;;) {
    auto call = is_query ? raftcs_client_query : raftcs_client_submit;
    uint64_t op_id = 0;
    raftcs_status_t status = call(session_.client(), service_.c_str(), tag, bytes.data(),
                                  bytes.size(), &options, &op_id);
    if (status == RAFTCS_OK) break;
    if (status != RAFTCS_ERR_BUSY) {
      throw Failure(exit_code_of_refusal(status), "refused by the library: " + describe(status));
    }
    drain(20);
  }
  ++started_;
  ++in_flight_;
  drain(0);
}

void Pipeline::drain(int64_t timeout_ms) {
  constexpr size_t kBatch = 256;
  raftcs_event_t* events[kBatch];
  size_t count = 0;
  raftcs_status_t status =
      raftcs_queue_next_batch(session_.queue(), timeout_ms, events, kBatch, &count);
  if (status != RAFTCS_OK) throw Failure(kFailed, "reading events: " + describe(status));
  std::vector<Reply> replies;
  for (size_t i = 0; i < count; ++i) replies.push_back(read_event(events[i]));
  raftcs_event_destroy_batch(events, count);
  int64_t now = mono_ms();
  for (const Reply& reply : replies) {
    if (reply.kind != RAFTCS_EVENT_REPLY && reply.kind != RAFTCS_EVENT_QUERY_REPLY) continue;
    longest_stall_ms_ = std::max(longest_stall_ms_, now - last_reply_ms_);
    last_reply_ms_ = now;
    --in_flight_;
    on_reply_(reply);
  }
}

void Pipeline::finish() {
  while (in_flight_ > 0) drain(1'000);
}

}  // namespace tools
