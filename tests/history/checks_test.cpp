// checks_test.cpp: the rules that need no search, each on a history that breaks just it.
#include "history/checks.hpp"

#include <gtest/gtest.h>

#include "history/judge.hpp"

namespace raftcs::history {
namespace {

Sentences sentences(const std::string& text) {
  Result<History> history = parse(text);
  EXPECT_TRUE(history.is_ok()) << history.status().text();
  if (!history.is_ok()) return {"unreadable"};
  std::vector<Part> parts = parts_of(*history);
  EXPECT_EQ(parts.size(), 1u);
  return check_object(parts[0].object, parts[0].operations, parts[0].notices);
}

void expect_found(const std::string& text, const std::string& part) {
  std::string all;
  for (const std::string& sentence : sentences(text)) all += sentence + '\n';
  EXPECT_NE(all.find(part), std::string::npos) << "found: " << all;
}

const std::string kAppends =
    "1 a call append:x append 1\n2 a ok\n3 a call append:x append 2\n4 a ok\n"
    "5 a call append:x append 3\n6 a unknown\n7 a call append:x append 4\n8 a fail\n";

TEST(CheckAppend, Good) {
  EXPECT_EQ(sentences(kAppends + "3 b call append:x read\n4 b ok 1\n9 b call append:x read\n"
                                 "10 b ok 1,2\n11 b call append:x read\n12 b ok 1,2,3\n"),
            Sentences{});
}

TEST(CheckAppend, Bad) {
  const auto read = [](const std::string& result) {
    return kAppends + "20 b call append:x read\n21 b ok " + result + "\n";
  };
  expect_found(read("1,2,4"), "was told that it is not");
  expect_found(read("1,2,5"), "never asked for");
  expect_found(read("1,2,2"), "2 is there twice");
  expect_found(read("1"), "2 was appended before");
  expect_found(read("1,2,3") + "20 c call append:x read\n21 c ok 2,1\n", "not the beginning");
  expect_found(read("1,2,3") + "22 c call append:x read\n23 c ok 1,2\n", "shorter than a read");
  expect_found("1 b call append:x read\n2 b ok 1\n3 a call append:x append 1\n4 a ok\n",
               "before it was asked for");
}

TEST(CheckCounter, Bounds) {
  const std::string adds =
      "1 a call counter:x add 2\n2 a ok 2\n3 a call counter:x add 1\n4 a unknown\n"
      "5 a call counter:x add 9\n6 a fail\n";
  for (const char* fine : {"2", "3"})
    EXPECT_EQ(sentences(adds + "7 b call counter:x read\n8 b ok " + fine + "\n"), Sentences{});
  for (const char* wrong : {"1", "4", "12"})
    expect_found(adds + "7 b call counter:x read\n8 b ok " + wrong + "\n", "between 2 and 3");
}

TEST(CheckBank, Sums) {
  const std::string bank = "1 a call bank:x open p=5,q=5\n2 a ok\n3 b call bank:x read\n4 b ok ";
  EXPECT_EQ(sentences(bank + "p=1,q=9\n"), Sentences{});
  expect_found(bank + "p=5,q=6\n", "the sum is 11, not 10");
  expect_found(bank + "p=-1,q=11\n", "overdrawn");
}

TEST(CheckSet, LostAndUnexpected) {
  const std::string set = "1 a call set:x add 1\n2 a ok\n3 b call set:x read\n4 b ok ";
  EXPECT_EQ(sentences(set + "1\n"), Sentences{});
  expect_found(set + "-\n", "1 was added before");
  expect_found(set + "1,2\n", "2 was never asked for");
}

// Versions 11 and 13 by known, 15 by an unknown write; watched from version 10 on.
const std::string kWrites =
    "1 a call watch:x put k 1\n2 a ok 8\n"
    "20 a call watch:x put k 2\n21 a ok 11\n22 a call watch:x del k\n23 a ok 13\n"
    "24 a call watch:x put k 3\n25 a unknown\n26 c call watch:x del j\n27 c ok 0\n";
const std::string kStart = "10 w watching watch:x 10\n11 w told watch:x k 8 put 1\n";
const std::string kEnd = "40 w drained watch:x\n";

TEST(CheckWatch, Good) {
  const std::string told = "30 w told watch:x k 11 put 2\n31 w told watch:x k 13 del\n";
  EXPECT_EQ(sentences(kWrites + kStart + told + kEnd), Sentences{});
  EXPECT_EQ(sentences(kWrites + kStart + told + "32 w told watch:x k 15 put 3\n" + kEnd),
            Sentences{});
}

TEST(CheckWatch, Bad) {
  const auto told = [](const std::string& lines) { return kWrites + kStart + lines + kEnd; };
  const std::string put = "30 w told watch:x k 11 put 2\n";
  const std::string del = "31 w told watch:x k 13 del\n";
  expect_found(told(del), "never told: k put 2 at version 11");
  expect_found(told(put), "never told: k del at version 13");
  expect_found(told("30 w told watch:x k 13 del\n31 w told watch:x k 11 put 2\n"), "in the order");
  expect_found(told(put + put + del), "told twice");
  expect_found(told(put + del + "32 w told watch:x k 8 put 1\n"), "old news");
  expect_found(told("30 w told watch:x k 11 put 1\n" + del), "but it has version 8");
  expect_found(told(put + del + "32 w told watch:x k 14 put 7\n"), "nobody asked");
  expect_found(told("15 w told watch:x k 11 put 2\n" + del), "before anybody asked");
  expect_found(kWrites +
                   "10 v watching watch:x 10\n30 v told watch:x k 11 put 2\n"
                   "31 v told watch:x k 13 del\n32 v told watch:x k 15 put 3\n" +
                   kStart + put + del + "32 w told watch:x k 16 del\n",
               "v and w are told different changes at version 15");
}

// Changes of one batch share a version: their order is still one.
TEST(CheckWatch, ManyChangesOfOneVersion) {
  const std::string writes =
      "1 a call watch:x put k 1\n4 a ok 7\n1 b call watch:x put k 2\n4 b ok 7\n"
      "5 a call watch:x put k 3\n6 a ok 9\n"
      "0 w watching watch:x 3\n0 v watching watch:x 3\n";
  const std::string one = "3 w told watch:x k 7 put 1\n3 w told watch:x k 7 put 2\n";
  const std::string end = "7 w told watch:x k 9 put 3\n8 w drained watch:x\n";
  const std::string part = "3 v told watch:x k 7 put 1\n";
  const std::string rest = "3 v told watch:x k 7 put 2\n";
  EXPECT_EQ(sentences(writes + one + end + part + rest), Sentences{});
  EXPECT_EQ(sentences(writes + one + end + part), Sentences{});  // the rest is under way
  expect_found(writes + one + end + rest + part, "v and w are told different changes at version 7");
  expect_found(writes + one + end + part + "7 v told watch:x k 9 put 3\n",
               "v was never told: k put 2");
}

TEST(CheckWatch, VersionsFollowRealTime) {
  const std::string first = "1 a call watch:x put k 1\n2 a ok 9\n3 b call watch:x put k 2\n4 b ok ";
  EXPECT_EQ(sentences(first + "10\n"), Sentences{});
  expect_found(first + "9\n", "no later version");
  expect_found(first + "8\n", "no later version");
}

}  // namespace
}  // namespace raftcs::history
