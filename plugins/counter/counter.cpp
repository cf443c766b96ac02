// counter.cpp: the smallest useful state machine: a total, and what each session added.
//
// Shows the whole life of a plugin: commands, queries, sessions that end, snapshots. The
// codec is in README.md. A session's own count goes when the session ends; the total
// stays.
#include <map>

#include "../common/msgpack_lite.hpp"
#include "raftcs_plugin.hpp"

namespace {

enum AppCode : int32_t { kOk = 0, kOverflow = 3, kMalformed = 4 };

using Counts = std::map<uint64_t, int64_t>;  // ordered: snapshots must not depend on history

class Counter : public raftcs_sm::StateMachine {
 public:
  static constexpr raftcs_sm::Type kType{
      .id = "org.raftcs.counter",
      .flags = RAFTCS_SM_CONCURRENT_SNAPSHOT | RAFTCS_SM_HAS_DIGEST};

  // ["add", n] -> [total, own]
  void apply(const raftcs_sm::Command& command, raftcs_sm::Answer& answer) override {
    msgpack_lite::Reader in(command.data);
    const uint32_t size = in.array();
    const bool is_add = in.bytes() == "add" && size == 2;
    const int64_t n = in.integer();
    if (!is_add || !in.done()) return answer.reply(kMalformed);
    const auto it = counts_.find(command.session);
    int64_t own = it == counts_.end() ? 0 : it->second;
    int64_t total = total_;
    // Everything is checked before anything is changed: a refusal leaves no trace.
    if (__builtin_add_overflow(total, n, &total) || __builtin_add_overflow(own, n, &own))
      return answer.reply(kOverflow);
    total_ = total;
    counts_[command.session] = own;
    reply_counts(own, answer);
  }

  // ["get"] -> [total, own]
  void query(const raftcs_sm::Query& query, raftcs_sm::Answer& answer) override {
    msgpack_lite::Reader in(query.data);
    if (in.array() != 1 || in.bytes() != "get" || !in.done()) return answer.reply(kMalformed);
    const auto it = counts_.find(query.session);
    reply_counts(it == counts_.end() ? 0 : it->second, answer);
  }

  void session_ended(const raftcs_sm::SessionEvent& event, raftcs_sm::Answer&) override {
    counts_.erase(event.session);
  }

  class Copy : public raftcs_sm::Snapshot {
   public:
    Copy(int64_t total, Counts counts) : total_(total), counts_(std::move(counts)) {}
    void write(raftcs_sm::Writer& out) override {
      out.u64(static_cast<uint64_t>(total_));
      out.u64(counts_.size());
      for (const auto& [session, n] : counts_) {
        out.u64(session);
        out.u64(static_cast<uint64_t>(n));
      }
    }

   private:
    int64_t total_;
    Counts counts_;
  };
  std::unique_ptr<raftcs_sm::Snapshot> snapshot() override {
    return std::make_unique<Copy>(total_, counts_);
  }

  void restore(uint32_t, raftcs_sm::Reader& in) override {
    total_ = static_cast<int64_t>(in.u64());
    for (uint64_t n = in.u64(); n > 0; --n) {
      const uint64_t session = in.u64();
      const auto count = static_cast<int64_t>(in.u64());
      if (!counts_.empty() && counts_.rbegin()->first >= session)
        throw raftcs_sm::Error(RAFTCS_ERR_CORRUPT, "sessions are not in order");
      counts_.emplace_hint(counts_.end(), session, count);
    }
    in.end();
  }

  uint64_t digest() override {
    uint64_t h = static_cast<uint64_t>(total_);
    for (const auto& [session, n] : counts_)
      h = (h ^ session) * 0x100000001b3ull + static_cast<uint64_t>(n);
    return h;
  }

 private:
  void reply_counts(int64_t own, raftcs_sm::Answer& answer) const {
    answer.reply(kOk, msgpack_lite::Writer().array(2).integer(total_).integer(own).str());
  }

  int64_t total_ = 0;
  Counts counts_;
};

}  // namespace

RAFTCS_PLUGIN("counter", "1.0.0", "raftcs", "same as raftcs", Counter)
