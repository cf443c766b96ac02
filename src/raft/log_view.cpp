// log_view.cpp: see log_view.hpp. The preconditions are checked even in release builds:
// breaking one of them would write a wrong log (style guide 6.8).
#include "raft/log_view.hpp"

#include <algorithm>

#include "base/check.hpp"
#include "base/mutant.hpp"

namespace raftcs::raft {

TermAt LogView::term(Index index) const {
  if (RCS_MUTANT("LR-06") && index != base_.index && !holds(index))
    return {TermAt::Kind::known, Term()};
  if (index < base_.index) return {TermAt::Kind::compacted, Term()};
  if (index == base_.index) return {TermAt::Kind::known, base_.term};
  if (index > last()) return {TermAt::Kind::unavailable, Term()};
  return {TermAt::Kind::known, at(index).term};
}

LogPosition LogView::last_at_or_below(Index index, Term term) const {
  const Index top = std::min(index, last());
  if (top <= base_.index) return base_;
  const auto end = entries_.begin() + static_cast<std::ptrdiff_t>(top - base_.index);
  const auto above = std::partition_point(entries_.begin(), end,
                                          [&](const Entry& e) { return e.term <= term; });
  if (above == entries_.begin()) return base_;
  const Entry& e = *(above - 1);
  return {e.index, e.term, e.time};
}

void LogView::append(Entry entry) {
  RCS_CHECK(entry.index == last().next());
  RCS_CHECK(entry.term >= last_term());
  bytes_ += entry.payload.size();
  entries_.push_back(std::move(entry));
}

void LogView::truncate_from(Index from) {
  RCS_CHECK(from > base_.index);
  while (!entries_.empty() && last() >= from) {
    bytes_ -= entries_.back().payload.size();
    entries_.pop_back();
  }
}

void LogView::compact_to(Index to) {
  RCS_CHECK(to >= base_.index && to <= last());
  while (!entries_.empty() && base_.index < to) {
    const Entry& e = entries_.front();
    bytes_ -= e.payload.size();
    base_ = {e.index, e.term, e.time};
    entries_.pop_front();
  }
}

void LogView::reset(const LogPosition& base) {
  entries_.clear();
  bytes_ = 0;
  base_ = base;
}

namespace {
constexpr size_t kSliceEntriesMax = 16'384;  // of tiny entries; a frame has a bound (TR-08)
}

std::vector<Entry> LogView::slice(Index from, Index to, uint64_t bytes_max) const {
  std::vector<Entry> out;
  to = std::min(to, last());
  if (from <= base_.index || from > to) return out;
  size_t n = 0;
  uint64_t bytes = 0;
  for (Index i = from; i <= to; ++i, ++n) {
    bytes += at(i).payload.size();
    if (n > 0 && (bytes > bytes_max || n >= kSliceEntriesMax)) break;
  }
  out.reserve(n);
  const auto begin = entries_.begin() + static_cast<std::ptrdiff_t>(from - base_.index - 1);
  out.insert(out.end(), begin, begin + static_cast<std::ptrdiff_t>(n));
  return out;
}

}  // namespace raftcs::raft
