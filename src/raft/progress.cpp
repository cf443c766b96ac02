// progress.cpp: the transitions drawn in progress.hpp.
#include "raft/progress.hpp"

#include <algorithm>

#include "base/mutant.hpp"

namespace raftcs::raft {

void Progress::to_probe(Index next_index) {
  mode = Mode::probe;
  next = std::max(next_index, match.next());
  inflights.clear();
  probe_sent = false;
  notice_sent = false;
  commit_sent = Index();
}

void Progress::to_replicate() {
  mode = Mode::replicate;
  next = std::max(next, match.next());
  inflights.clear();
  probe_sent = false;
  notice_sent = false;
}

void Progress::to_snapshot(const SnapshotMeta& meta, Mono now) {
  mode = Mode::snapshot;
  inflights.clear();
  probe_sent = false;
  notice_sent = false;
  commit_sent = Index();
  snapshot = SnapshotSend{meta, 0, false, now};
  next = std::max(meta.index.next(), match.next());
}

bool Progress::on_success(Index acked) {
  const bool moved = acked > match;
  match = RCS_MUTANT("LR-04") ? acked : std::max(match, acked);
  next = std::max(next, match.next());
  inflights.free_to(match);
  return moved;
}

bool Progress::on_refusal(Index rejected, Index retry_next) {
  if (mode == Mode::snapshot || rejected <= match) return false;
  // A probe is answered for the prev it asked, or it is an old answer. In a pipeline any
  // unanswered prev may be refused.
  if (mode == Mode::probe ? rejected.next() != next : rejected >= next) return false;
  to_probe(RCS_MUTANT("LR-08")
               ? retry_next
               : std::min(rejected, retry_next));  // strictly lower each round (LR-08)
  return true;
}

}  // namespace raftcs::raft
