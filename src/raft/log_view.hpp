// log_view.hpp: the log as consensus sees it: a base and the entries after it.
//
// The base is the last compacted position (index 0, term 0 in a virgin log). Everything
// after it is in memory; payloads are shared, so an entry costs a few dozen bytes here.
//
// A term lookup has three answers (LR-06): a term, compacted, or unavailable (beyond the
// end). There is no "0 means something". Terms never decrease along the log, so searches
// by term are binary.
//
// What must hold: entries_[k].index == base.index + 1 + k; terms and times never decrease;
// bytes_ is the sum of the payload sizes. Threads: none.
#pragma once

#include <deque>
#include <optional>
#include <vector>

#include "base/mutant.hpp"
#include "raft/types.hpp"

namespace raftcs::raft {

struct LogPosition {
  Index index;
  Term term;
  LogTime time;
  bool operator==(const LogPosition&) const = default;
};

struct TermAt {
  enum class Kind : uint8_t { known, compacted, unavailable };
  Kind kind = Kind::unavailable;
  Term term;  // only if known

  bool is(Term t) const { return kind == Kind::known && term == t; }
  bool operator==(const TermAt&) const = default;
};

class LogView {
 public:
  const LogPosition& base() const { return base_; }
  Index first() const { return base_.index.next(); }
  Index last() const { return base_.index + entries_.size(); }
  // The same helper for asking for votes and for granting them (EL-11).
  Term last_term() const {
    if (entries_.empty()) return RCS_MUTANT("EL-11") ? Term() : base_.term;
    return entries_.back().term;
  }
  LogTime last_time() const { return entries_.empty() ? base_.time : entries_.back().time; }
  uint64_t bytes() const { return bytes_; }

  TermAt term(Index index) const;
  bool holds(Index index) const { return index > base_.index && index <= last(); }
  // Requires: holds(index).
  const Entry& at(Index index) const {
    return entries_[static_cast<size_t>(index - base_.index - 1)];
  }

  // The largest index <= `index` whose term is <= `term`, with its term. Never below the base.
  LogPosition last_at_or_below(Index index, Term term) const;

  // Requires: entry.index == last() + 1.
  void append(Entry entry);
  // Requires: from > base().index. Removes the entries at and above `from`.
  void truncate_from(Index from);
  // Requires: base().index <= to <= last(). Forgets the entries at and below `to`.
  void compact_to(Index to);
  void reset(const LogPosition& base);

  // Entries [from, to], at most `bytes_max` of payload but at least one.
  std::vector<Entry> slice(Index from, Index to, uint64_t bytes_max) const;

 private:
  LogPosition base_;
  std::deque<Entry> entries_;
  uint64_t bytes_ = 0;
};

}  // namespace raftcs::raft
