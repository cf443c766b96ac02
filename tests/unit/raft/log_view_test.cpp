// LogView against a plain vector of everything that was ever appended.
#include "raft/log_view.hpp"

#include <gtest/gtest.h>

#include "base/prng.hpp"

namespace raftcs::raft {
namespace {

Entry entry(uint64_t index, uint64_t term, size_t bytes = 0) {
  Entry e;
  e.index = Index(index);
  e.term = Term(term);
  e.payload = Bytes::copy(std::string(bytes, 'x'));
  return e;
}

TEST(LogView, LR_06_TermHasThreeAnswers) {
  LogView log;
  EXPECT_TRUE(log.term(Index(0)).is(Term(0)));
  EXPECT_EQ(log.term(Index(1)).kind, TermAt::Kind::unavailable);
  for (uint64_t i = 1; i <= 5; ++i) log.append(entry(i, i));
  log.compact_to(Index(3));
  EXPECT_EQ(log.term(Index(2)).kind, TermAt::Kind::compacted);
  EXPECT_TRUE(log.term(Index(3)).is(Term(3)));
  EXPECT_EQ(log.term(Index(6)).kind, TermAt::Kind::unavailable);
}

TEST(LogView, EL_11_LastTermSurvivesFullCompaction) {
  LogView log;
  for (uint64_t i = 1; i <= 4; ++i) log.append(entry(i, 7));
  log.compact_to(Index(4));
  EXPECT_EQ(log.last(), Index(4));
  EXPECT_EQ(log.last_term(), Term(7));
  EXPECT_EQ(log.first(), Index(5));
}

TEST(LogView, SliceIsCappedButNeverEmpty) {
  LogView log;
  for (uint64_t i = 1; i <= 4; ++i) log.append(entry(i, 1, 100));
  EXPECT_EQ(log.slice(Index(1), Index(4), 1).size(), 1u);
  EXPECT_EQ(log.slice(Index(1), Index(4), 200).size(), 2u);
  EXPECT_EQ(log.slice(Index(3), Index(9), 10000).size(), 2u);
  EXPECT_TRUE(log.slice(Index(5), Index(9), 10000).empty());
}

TEST(LogView, AgreesWithAVector) {
  Prng prng(3);
  for (int run = 0; run < 200; ++run) {
    LogView log;
    std::vector<Entry> model;  // model[k]: entry k + 1
    uint64_t base = 0, term = 1;
    for (int step = 0; step < 60; ++step) {
      const uint64_t last = model.size();
      switch (prng.below(4)) {
        case 0:
        case 1:
          if (prng.chance(0.3)) ++term;
          model.push_back(entry(last + 1, term, prng.below(9)));
          log.append(model.back());
          break;
        case 2:
          if (last > base) {
            const uint64_t from = prng.between(base + 1, last);
            log.truncate_from(Index(from));
            model.resize(from - 1);
          }
          break;
        default:
          base = prng.between(base, last);
          if (prng.chance(0.3)) {
            log.compact_to(Index(base));
          } else {
            base = log.base().index.value;
          }
      }
      ASSERT_EQ(log.last().value, model.size());
      uint64_t bytes = 0;
      for (uint64_t i = base; i < model.size(); ++i) bytes += model[i].payload.size();
      ASSERT_EQ(log.bytes(), bytes);
      for (uint64_t i = base + 1; i <= model.size(); ++i) {
        ASSERT_EQ(log.at(Index(i)), model[i - 1]);
        ASSERT_TRUE(log.term(Index(i)).is(model[i - 1].term));
      }
      const uint64_t at = prng.below(model.size() + 3), want = prng.below(term + 2);
      uint64_t found = std::min<uint64_t>(at, model.size());
      while (found > base && model[found - 1].term.value > want) --found;
      ASSERT_EQ(log.last_at_or_below(Index(at), Term(want)).index.value, std::max(found, base));
    }
  }
}

}  // namespace
}  // namespace raftcs::raft
