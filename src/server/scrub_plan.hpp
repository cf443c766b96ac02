// scrub_plan.hpp: what is read again next and when, and what a finding means. Pure.
//
// ScrubPlan paces: a pass over all files begins once in a period; within it slices of bounded size
// follow one another no faster than the rate.
//
// MendPlan is about the findings. All that is on the disk of a running node is in its memory too:
// the state, and the log since the last compaction. So damage is made good by writing it again
// somewhere else, whoever else there is:
//
//   snapshot: another one is made                      of the same index, if nothing came since
//   segment:  suspected --- is it part of the log still? no: it was recycled while it was read
//                 | yes: nothing more is written to it; all it holds is at or below `behind`
//             known ------- a snapshot covers `behind`? else one is made
//                 | the log up to the snapshot is cut, whole segments as always
//             gone
//
// What must hold
//  - Nothing is cut that a published snapshot does not cover (DataDir::compact sees to it too).
//  - A suspicion is no finding: it is neither told nor acted upon.
//  - What fails (a full disk, a state machine that stands) is tried again, and told until then.
//
// Threads: none.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/time.hpp"
#include "storage/data_dir.hpp"

namespace raftcs::server {

class ScrubPlan {
 public:
  // 0 bytes per second: never.
  ScrubPlan(uint64_t bytes_per_second, DurationNs period_ns, Mono now);

  Mono next() const { return at_; }
  struct Ask {
    std::optional<storage::ScrubTarget> read;  // none: the log lane is asked for its segments
    uint64_t bytes = 0;
  };
  // Requires: now >= next(). Nothing more until listed() or slice_read().
  Ask turn(Mono now);
  void listed(const std::vector<storage::ScrubTarget>& segments, Mono now);
  void slice_read(const storage::ScrubSlice& slice, Mono now);
  // Older segments are gone: they are not read any more.
  void log_begins_at(uint64_t segment) { first_segment_ = segment; }

  uint64_t passes() const { return passes_; }
  uint64_t bytes() const { return bytes_; }

 private:
  void next_target(Mono now);

  const uint64_t rate_;
  const DurationNs period_;
  Mono at_, pass_begun_;
  uint64_t first_segment_ = 0;
  std::vector<storage::ScrubTarget> todo_;  // of this pass, the next one last
  uint64_t passes_ = 0, bytes_ = 0;
};

class MendPlan {
 public:
  struct Damage {
    storage::ScrubFinding found;
    bool known = false;  // else suspected
    Index behind;        // segment, known: it holds no entry above
    bool asked = false;  // the log lane, about the segment
    bool left = false;   // nothing is written to it any more
    bool cut = false;    // the log lane was told to
    Mono again = Mono::never();
  };
  // What can be done now.
  struct Steps {
    std::vector<uint64_t> ask;  // the log lane about these segments, and to leave them
    bool snapshot = false;      // one is needed, of all that was applied
    bool cut = false;           // the log, up to the snapshot
  };
  struct View {
    Index applied, last, snapshot;  // last: of the log
  };

  // False: it was found before, or too many are.
  bool found(const storage::ScrubFinding& finding);
  Steps steps(const View& view, Mono now);
  // Is a snapshot wanted? As in Steps; changes nothing.
  bool wants_snapshot(const View& view) const;
  // The log lane has answered about a segment: the log has those from `first`, and `open` is
  // written to. Null: a suspicion was wrong, or the answer is not new.
  const Damage* answered(uint64_t segment, uint64_t first, uint64_t open);
  // What is not needed any more; what was only suspected is dropped in silence.
  std::vector<Damage> log_begins_at(uint64_t segment);
  // Snapshots before this entry are gone; `written`: the file at it is new.
  std::vector<Damage> snapshot_published(Index index, bool written);

  bool empty() const { return damages_.empty(); }
  const std::vector<Damage>& damages() const { return damages_; }  // the oldest first
  const Damage* first_known() const;
  Mono next() const;

 private:
  static Index needed(const Damage& damage, const View& view);
  std::vector<Damage> damages_;
};

}  // namespace raftcs::server
