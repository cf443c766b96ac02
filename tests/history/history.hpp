// history.hpp: what clients of a cluster asked for and were told, as text and as operations.
//
// One event a line, fields separated by one space; empty lines and those that begin with # are
// nothing. All times are nanoseconds of one monotonic clock:
//
//   TIME PROCESS call OBJECT KIND ARGUMENT...   a process asks for something
//   TIME PROCESS ok RESULT...                   it was done, with this result
//   TIME PROCESS fail                           it was not done and never will be
//   TIME PROCESS unknown                        it may have been done, or still be
//   TIME PROCESS watching OBJECT VERSION        told of all that changes after this version
//   TIME PROCESS told OBJECT KEY VERSION put|del VALUE
//   TIME PROCESS drained OBJECT                 told of all that was done before this moment
//
// A process does one thing at a time; a call without an end is unknown. The word before the colon
// of OBJECT says how it behaves, and each object is judged by itself (models.hpp):
//
//   register:NAME   write V | read -> V or - | cas OLD NEW -> true or false (- is "nothing there")
//   counter:NAME    add N -> the sum | read -> the sum
//   append:NAME     append V | read -> V,V,... or -
//   set:NAME        add V | read -> V,V,... or - (in any order)
//   bank:NAME       open A=N,B=N,... | move A B N -> true or false | read -> A=N,B=N,...
//   watch:NAME      put KEY V -> version | del KEY -> version, 0 if nothing was there
//
// What must hold: lines of one process are in its order; several files may be read one after the
// other, as a process writes to one file only.
#pragma once

#include <cstdint>
#include <istream>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "base/result.hpp"

namespace raftcs::history {

constexpr int64_t kNever = std::numeric_limits<int64_t>::max();
using Words = std::vector<std::string>;

enum class Outcome { kOk, kFailed, kUnknown };

struct Operation {
  std::string process;
  std::string object;
  std::string kind;
  Words arguments;
  Words result;  // empty unless kOk
  int64_t called_ns = 0;
  int64_t returned_ns = kNever;  // kNever if unknown
  Outcome outcome = Outcome::kUnknown;
};

struct Notice {  // a line of a watcher
  enum class Kind { kWatching, kTold, kDrained };
  Kind kind;
  std::string process;
  std::string object;
  int64_t at_ns = 0;
  uint64_t version = 0;
  std::string key;
  std::string value;  // of a put
  bool deleted = false;
};

struct History {
  std::vector<Operation> operations;  // in the order of their calls, for each process
  std::vector<Notice> notices;        // in order, for each process
};

// Reads one file after the other into one history.
class Parser {
 public:
  Status read(std::istream& in, const std::string& name);
  History take() { return std::move(history_); }

 private:
  Status line(const std::string& text);
  Status call(int64_t at_ns, const std::string& process, const Words& words);
  Status end(int64_t at_ns, const std::string& process, const Words& words);
  Status notice(int64_t at_ns, const std::string& process, const Words& words);

  History history_;
  std::map<std::string, size_t> open_;      // process -> its operation under way
  std::map<std::string, int64_t> last_ns_;  // process -> time of its last line
};

Result<History> parse(const std::string& text);  // for tests

// The lines of an operation, as they are read.
std::string text_of(const Operation& op);
std::string text_of(const Notice& notice);
std::string summary_of(const Operation& op);  // for people: "p3 cas 1 2 -> true"

std::string model_of(const std::string& object);  // the word before the colon
Words split(const std::string& text, char separator);
bool read_number(const std::string& text, int64_t* out);

}  // namespace raftcs::history
