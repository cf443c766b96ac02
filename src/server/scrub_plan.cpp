// scrub_plan.cpp: see scrub_plan.hpp.
#include "server/scrub_plan.hpp"

#include <algorithm>
#include <iterator>

namespace raftcs::server {
namespace {

constexpr uint64_t kSliceBytesMax = 256 << 10;
constexpr uint64_t kSlicesPerSecondMin = 4;
constexpr size_t kDamagesMax = 16;  // more are found again when these are mended
constexpr DurationNs kMendAgainNs = 10 * kNsPerSecond;

}  // namespace

// --- pace ---------------------------------------------------------------------------------

// The start has just read everything.
ScrubPlan::ScrubPlan(uint64_t bytes_per_second, DurationNs period_ns, Mono now)
    : rate_(bytes_per_second),
      period_(period_ns),
      at_(bytes_per_second == 0 ? Mono::never() : now + period_ns),
      pass_begun_(now) {}

ScrubPlan::Ask ScrubPlan::turn(Mono now) {
  at_ = Mono::never();
  Ask ask;
  if (todo_.empty()) {
    pass_begun_ = now;
    return ask;
  }
  ask.read = todo_.back();
  ask.bytes = std::max<uint64_t>(std::min(kSliceBytesMax, rate_ / kSlicesPerSecondMin), 1);
  return ask;
}

// The snapshot comes last: it may be large, and one that is made meanwhile is read instead.
void ScrubPlan::listed(const std::vector<storage::ScrubTarget>& segments, Mono now) {
  todo_.assign(1, storage::ScrubTarget());
  todo_.insert(todo_.end(), segments.rbegin(), segments.rend());
  at_ = now;
}

void ScrubPlan::slice_read(const storage::ScrubSlice& slice, Mono now) {
  bytes_ += slice.bytes;
  at_ = now + static_cast<DurationNs>(slice.bytes * kNsPerSecond / std::max<uint64_t>(rate_, 1));
  if (slice.done) next_target(now);
}

void ScrubPlan::next_target(Mono now) {
  if (!todo_.empty()) todo_.pop_back();
  while (!todo_.empty() && todo_.back().segment != 0 && todo_.back().segment < first_segment_)
    todo_.pop_back();
  if (!todo_.empty()) return;
  ++passes_;
  at_ = std::max(at_, std::max(now, pass_begun_ + period_));
}

// --- findings -----------------------------------------------------------------------------

bool MendPlan::found(const storage::ScrubFinding& finding) {
  for (const Damage& d : damages_)
    if (d.found.segment == finding.segment &&
        (finding.segment != 0 || d.found.snapshot == finding.snapshot))
      return false;
  if (damages_.size() >= kDamagesMax) return false;
  Damage damage;
  damage.found = finding;
  damage.known = finding.segment == 0;
  damages_.push_back(std::move(damage));
  return true;
}

// All that the segment holds, or what a new leader has left of it.
Index MendPlan::needed(const Damage& damage, const View& view) {
  return std::min(damage.behind, view.last);
}

bool MendPlan::wants_snapshot(const View& view) const {
  return std::any_of(damages_.begin(), damages_.end(), [&](const Damage& d) {
    if (!d.known) return false;
    if (d.found.segment == 0) return true;
    if (!d.left) return false;
    const Index need = needed(d, view);
    return view.applied >= need && view.snapshot < need;
  });
}

MendPlan::Steps MendPlan::steps(const View& view, Mono now) {
  Steps steps;
  for (Damage& d : damages_) {
    if (now >= d.again) d.asked = d.cut = false;  // again: something failed, or takes long
    d.again = now >= d.again || d.again == Mono::never() ? now + kMendAgainNs : d.again;
    if (d.found.segment == 0) continue;
    if (!d.asked) {
      d.asked = true;
      if (!d.left) d.behind = view.last;
      steps.ask.push_back(d.found.segment);
    } else if (d.known && d.left && !d.cut && view.snapshot >= needed(d, view)) {
      d.cut = steps.cut = true;
    }
  }
  steps.snapshot = wants_snapshot(view);
  return steps;
}

const MendPlan::Damage* MendPlan::answered(uint64_t segment, uint64_t first, uint64_t open) {
  for (Damage& d : damages_) {
    if (d.found.segment != segment || segment < first) continue;
    d.left = segment < open;
    if (d.known) return nullptr;
    d.known = true;
    return &d;
  }
  return nullptr;
}

std::vector<MendPlan::Damage> MendPlan::log_begins_at(uint64_t segment) {
  std::vector<Damage> gone;
  std::erase_if(damages_, [&](const Damage& d) {
    const bool over = d.found.segment != 0 && d.found.segment < segment;
    if (over && d.known) gone.push_back(d);
    return over;
  });
  return gone;
}

std::vector<MendPlan::Damage> MendPlan::snapshot_published(Index index, bool written) {
  std::vector<Damage> gone;
  std::erase_if(damages_, [&](const Damage& d) {
    const bool over = d.found.segment == 0 && d.found.snapshot <= index &&
                      (written || d.found.snapshot != index);
    if (over) gone.push_back(d);
    return over;
  });
  return gone;
}

const MendPlan::Damage* MendPlan::first_known() const {
  for (const Damage& d : damages_)
    if (d.known) return &d;
  return nullptr;
}

Mono MendPlan::next() const {
  Mono at = Mono::never();
  for (const Damage& d : damages_) at = std::min(at, d.again);
  return at;
}

}  // namespace raftcs::server
