// check_history_main.cpp: raftcs-check-history, which judges what clients were told.
//
//   raftcs-check-history [--seconds S] [--mib M] [--least N] [--out DIR] FILE...
//
//   --seconds, --mib   the budget of each object; 10 and 1024 by default
//   --least            fewer operations than this that were done are a failure; 1 by default
//   --out              where the history of each object that fails is written
//
// Exit codes: 0 all is well; 1 a violation; 2 bad arguments or files; 3 undecided; 4 too little.
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "history/judge.hpp"

namespace {

using namespace raftcs::history;

struct Arguments {
  Budget budget;
  int64_t least = 1;
  std::string out;
  std::vector<std::string> files;
};

bool read_arguments(int argc, char** argv, Arguments* out) {
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    if (name.rfind("--", 0) != 0) {
      out->files.push_back(name);
      continue;
    }
    if (++i == argc) return false;
    int64_t number = 0;
    const bool is_number = read_number(argv[i], &number) && number > 0;
    if (name == "--out") {
      out->out = argv[i];
    } else if (name == "--seconds" && is_number) {
      out->budget.time_ms = number * 1000;
    } else if (name == "--mib" && is_number) {
      out->budget.bytes = static_cast<size_t>(number) << 20;
    } else if (name == "--least" && is_number) {
      out->least = number;
    } else {
      return false;
    }
  }
  return !out->files.empty();
}

void write_part(const Part& part, const std::string& folder) {
  std::string name = part.object;
  for (char& c : name)
    if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '-';
  std::filesystem::create_directories(folder);
  const std::string path = folder + "/" + name + ".history";
  std::ofstream file(path);
  file << text_of(part);
  file.close();
  std::printf("%s %s\n", file ? "its history is in" : "cannot write", path.c_str());
}

struct Tally {
  int64_t done = 0, unknown = 0, failed = 0, told = 0, violations = 0, undecided = 0;
  uint64_t steps = 0;
};

void add(const Part& part, Tally* tally) {
  for (const Operation& op : part.operations)
    ++(op.outcome == Outcome::kOk       ? tally->done
       : op.outcome == Outcome::kFailed ? tally->failed
                                        : tally->unknown);
  tally->told += static_cast<int64_t>(part.notices.size());
  tally->steps += part.steps;
  tally->violations += part.verdict == Verdict::kViolation;
  tally->undecided += part.verdict == Verdict::kUndecided;
}

}  // namespace

int main(int argc, char** argv) {
  Arguments arguments;
  if (!read_arguments(argc, argv, &arguments)) {
    std::fprintf(stderr,
                 "usage: raftcs-check-history [--seconds S] [--mib M] [--least N] "
                 "[--out DIR] FILE...\n");
    return 2;
  }
  Parser parser;
  for (const std::string& name : arguments.files) {
    std::ifstream in(name);
    const raftcs::Status status =
        in ? parser.read(in, name)
           : raftcs::Status(RAFTCS_ERR_IO, name + " cannot be opened: is the name right?");
    if (!status) {
      std::fprintf(stderr, "raftcs-check-history: %s\n", status.text().c_str());
      return 2;
    }
  }
  Tally tally;
  std::vector<Part> parts = parts_of(parser.take());
  for (Part& part : parts) {
    judge(&part, arguments.budget);
    add(part, &tally);
    if (part.verdict == Verdict::kLinearizable) continue;
    std::printf("%s: %s", part.object.c_str(), part.report.c_str());
    if (!arguments.out.empty()) write_part(part, arguments.out);
  }
  std::printf(
      "%zu objects, %lld operations done, %lld unknown, %lld not done, %lld notices, "
      "%llu steps: %lld violations, %lld undecided\n",
      parts.size(), static_cast<long long>(tally.done), static_cast<long long>(tally.unknown),
      static_cast<long long>(tally.failed), static_cast<long long>(tally.told),
      static_cast<unsigned long long>(tally.steps), static_cast<long long>(tally.violations),
      static_cast<long long>(tally.undecided));
  if (tally.violations > 0) return 1;
  if (tally.undecided > 0) return 3;
  if (tally.done < arguments.least) {
    std::printf("too little: %lld operations done, at least %lld are wanted\n",
                static_cast<long long>(tally.done), static_cast<long long>(arguments.least));
    return 4;
  }
  return 0;
}
