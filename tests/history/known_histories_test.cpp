// known_histories_test.cpp: histories of which people know whether they may be.
#include <gtest/gtest.h>

#include "history/judge.hpp"

namespace raftcs::history {
namespace {

// A short form: "P: KIND ARGUMENTS -> RESULT @CALL-RETURN" would need a parser of its own, so these
// are in the form of the files, with times that can be read.
Verdict verdict_of(const std::string& text) {
  Result<History> history = parse(text);
  EXPECT_TRUE(history.is_ok()) << history.status().text();
  if (!history.is_ok()) return Verdict::kUndecided;
  std::vector<Part> parts = parts_of(*history);
  EXPECT_EQ(parts.size(), 1u);
  judge(&parts[0], Budget{});
  return parts[0].verdict;
}

#define EXPECT_GOOD(text) EXPECT_EQ(verdict_of(text), Verdict::kLinearizable)
#define EXPECT_BAD(text) EXPECT_EQ(verdict_of(text), Verdict::kViolation)

TEST(KnownHistories, OneAfterTheOther) {
  EXPECT_GOOD(
      "1 a call register:x write 1\n2 a ok\n"
      "3 b call register:x read\n4 b ok 1\n"
      "5 a call register:x cas 1 2\n6 a ok true\n"
      "7 a call register:x cas 1 3\n8 a ok false\n"
      "9 b call register:x read\n10 b ok 2\n");
}

TEST(KnownHistories, StaleRead) {
  EXPECT_BAD(
      "1 a call register:x write 1\n2 a ok\n"
      "3 a call register:x write 2\n4 a ok\n"
      "5 b call register:x read\n6 b ok 1\n");
}

TEST(KnownHistories, AReadBesideAWriteMayGiveEither) {
  const std::string write = "1 a call register:x write 1\n5 a ok\n";
  EXPECT_GOOD(write + "2 b call register:x read\n3 b ok 1\n");
  EXPECT_GOOD(write + "2 b call register:x read\n3 b ok -\n");
  EXPECT_GOOD(write + "2 b call register:x read\n3 b ok -\n4 b call register:x read\n5 b ok 1\n");
}

TEST(KnownHistories, ReadsDoNotGoBack) {
  EXPECT_BAD(
      "1 a call register:x write 1\n9 a ok\n"
      "2 b call register:x read\n3 b ok 1\n"
      "4 c call register:x read\n5 c ok -\n");
}

TEST(KnownHistories, FutureRead) {
  EXPECT_BAD(
      "1 b call register:x read\n2 b ok 1\n"
      "3 a call register:x write 1\n4 a ok\n");
}

TEST(KnownHistories, AtEqualTimesBothOrdersAreFine) {
  EXPECT_GOOD(
      "1 a call register:x write 1\n2 a ok\n"
      "2 b call register:x read\n2 b ok -\n");
}

TEST(KnownHistories, LostUpdate) {
  EXPECT_BAD(
      "1 a call register:x write 1\n2 a ok\n"
      "3 a call register:x cas 1 2\n5 a ok true\n"
      "3 b call register:x cas 1 3\n5 b ok true\n");
  EXPECT_BAD(
      "1 a call counter:x add 1\n4 a ok 1\n"
      "2 b call counter:x add 1\n3 b ok 1\n");
}

TEST(KnownHistories, SplitBrain) {  // two sides that each see their own writes only
  EXPECT_BAD(
      "1 a call register:x write 1\n3 a ok\n"
      "1 b call register:x write 2\n3 b ok\n"
      "4 a call register:x read\n5 a ok 1\n"
      "4 b call register:x read\n5 b ok 2\n"
      "6 a call register:x read\n7 a ok 1\n"
      "6 b call register:x read\n7 b ok 2\n");
}

TEST(KnownHistories, AnUnknownWriteMayHappenLateOrNever) {
  const std::string lost = "1 a call register:x write 1\n2 a ok\n3 a call register:x write 2\n";
  EXPECT_GOOD(lost + "90 b call register:x read\n91 b ok 1\n");
  EXPECT_GOOD(lost + "90 b call register:x read\n91 b ok 2\n");
  EXPECT_GOOD(lost + "4 b call register:x read\n5 b ok 1\n90 b call register:x read\n91 b ok 2\n");
  EXPECT_BAD(lost + "4 b call register:x read\n5 b ok 2\n90 b call register:x read\n91 b ok 1\n");
}

TEST(KnownHistories, AnUnknownOperationIsNotBeforeItsCall) {
  EXPECT_BAD(
      "1 b call register:x read\n2 b ok 2\n"
      "3 a call register:x write 2\n4 a unknown\n");
}

TEST(KnownHistories, WhatWasNotDoneIsNeverSeen) {
  EXPECT_BAD(
      "1 a call register:x write 2\n2 a fail\n"
      "3 b call register:x read\n4 b ok 2\n");
  EXPECT_GOOD(
      "1 a call register:x write 2\n2 a fail\n"
      "3 b call register:x read\n4 b ok -\n");
}

TEST(KnownHistories, ACommandThatRanTwice) {
  EXPECT_BAD(
      "1 a call counter:x add 1\n2 a ok 1\n"
      "3 a call counter:x add 1\n4 a unknown\n"
      "5 b call counter:x read\n6 b ok 3\n");
  EXPECT_BAD(
      "1 a call append:x append 1\n2 a ok\n"
      "3 b call append:x read\n4 b ok 1,1\n");
}

TEST(KnownHistories, Counter) {
  EXPECT_GOOD(
      "1 a call counter:x add 2\n2 a ok 2\n3 a call counter:x add 1\n4 a unknown\n"
      "5 b call counter:x read\n6 b ok 2\n7 b call counter:x add 4\n8 b ok 7\n");
}

TEST(KnownHistories, Append) {
  const std::string three =
      "1 a call append:x append 1\n4 a ok\n"
      "2 b call append:x append 2\n3 b ok\n"
      "5 a call append:x append 3\n6 a ok\n";
  EXPECT_GOOD(three + "7 c call append:x read\n8 c ok 2,1,3\n");
  EXPECT_GOOD(three + "7 c call append:x read\n8 c ok 1,2,3\n");
  EXPECT_BAD(three + "7 c call append:x read\n8 c ok 1,3,2\n");
  EXPECT_BAD(three + "7 c call append:x read\n8 c ok 1,3\n");
  EXPECT_BAD(three + "7 c call append:x read\n8 c ok 1,2\n");
  EXPECT_BAD(three +
             "7 c call append:x read\n9 c ok 1,2,3\n"
             "8 d call append:x read\n9 d ok 2,1,3\n");
}

TEST(KnownHistories, Set) {
  const std::string two = "1 a call set:x add 1\n2 a ok\n3 a call set:x add 2\n4 a unknown\n";
  EXPECT_GOOD(two + "5 b call set:x read\n6 b ok 1\n7 b call set:x read\n8 b ok 2,1\n");
  EXPECT_BAD(two + "5 b call set:x read\n6 b ok 2\n");
  EXPECT_BAD(two + "5 b call set:x read\n6 b ok 1,2\n7 b call set:x read\n8 b ok 1\n");
}

TEST(KnownHistories, Bank) {
  const std::string bank =
      "1 a call bank:x open p=5,q=5\n2 a ok\n"
      "3 a call bank:x move p q 3\n6 a ok true\n";
  EXPECT_GOOD(bank + "4 b call bank:x read\n5 b ok p=2,q=8\n");
  EXPECT_GOOD(bank + "4 b call bank:x read\n5 b ok q=5,p=5\n");
  EXPECT_BAD(bank + "4 b call bank:x read\n5 b ok p=2,q=5\n");
  EXPECT_BAD(bank + "7 b call bank:x read\n8 b ok p=5,q=5\n");
  EXPECT_BAD(bank + "7 b call bank:x move p q 3\n8 b ok true\n");
  EXPECT_GOOD(bank + "7 b call bank:x move p q 3\n8 b ok false\n");
}

TEST(KnownHistories, AViolationIsExplained) {
  Result<History> history = parse(
      "1 a call register:x write 1\n2 a ok\n"
      "3 a call register:x write 2\n4 a ok\n"
      "5 b call register:x read\n6 b ok 1\n");
  std::vector<Part> parts = parts_of(*history);
  judge(&parts[0], Budget{});
  EXPECT_NE(parts[0].report.find("a write 2 -> done   then: 2"), std::string::npos)
      << parts[0].report;
  EXPECT_NE(parts[0].report.find("past:\n  [5, 6] b read -> 1"), std::string::npos)
      << parts[0].report;
  EXPECT_EQ(verdict_of(text_of(parts[0])), Verdict::kViolation);
}

TEST(KnownHistories, BadLinesAreRefusedWithTheirNumber) {
  const auto refused = [](const std::string& text, const std::string& why) {
    Result<History> got = parse(text);
    ASSERT_FALSE(got.is_ok()) << text;
    EXPECT_NE(got.status().text().find(why), std::string::npos) << got.status().text();
  };
  refused("1 a call register:x write 1\nx a ok\n", "text:2");
  refused("1 a ok\n", "nothing under way");
  refused("1 a call register:x write 1\n2 a call register:x read\n", "another operation");
  refused("2 a call register:x write 1\n1 a ok\n", "goes back in time");
  refused("1 a call register:x write\n", "arguments");
  refused("1 a call register:x read\n2 a ok\n", "arguments or result");
  refused("1 a call register:x read\n2 a fail 3\n", "fail has no result");
  refused("1 a call table:x read\n", "no operation");
  refused("1 a call bank:x open p=1,p=2\n", "arguments");
  refused("1 a told watch:x k 1\n", "neither");
  refused("1 a call  register:x read\n", "empty field");
}

}  // namespace
}  // namespace raftcs::history
