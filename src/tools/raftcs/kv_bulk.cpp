// kv_bulk.cpp: `raftcs kv load`, `dump`, `verify` and `count`: many operations in one session.
//
// The format is TSV (common/text.hpp). When a key comes twice, the last line wins, in the load as
// in the comparison: one session's commands are applied in the order they were submitted.
#include <cstdio>
#include <fstream>
#include <sstream>
#include <unordered_map>

#include "common/kv.hpp"
#include "common/text.hpp"
#include "raftcs/context.hpp"
#include "raftcs/pipeline.hpp"

namespace tools {

namespace {

struct BulkOptions {
  std::string service = "kv";
  uint32_t window = 512;
  uint32_t rate = 0;
  std::string mark;
  bool no_verify = false;
  std::string key;
  uint64_t times = 1'000;
};

using Pairs = std::vector<std::pair<std::string, std::string>>;

Pairs read_pairs() {
  std::istringstream in(read_in());
  Pairs pairs;
  std::string line;
  for (size_t number = 1; std::getline(in, line); ++number) {
    if (line.empty()) continue;
    auto pair = tsv_pair(line);
    if (!pair) {
      throw Failure(kUsage, "line " + std::to_string(number) +
                                " of the input has no tab; wanted is KEY<TAB>VALUE");
    }
    pairs.push_back(std::move(*pair));
  }
  return pairs;
}

// How a number of operations ended.
struct Tally {
  uint64_t done = 0, failed = 0, unknown = 0, unavailable = 0;
  std::string first_error;

  void add(const Reply& reply) {
    if (reply.status == RAFTCS_OK && reply.app_code == kv::kOk) {
      ++done;
      return;
    }
    int code = reply.status == RAFTCS_OK ? static_cast<int>(kFailed) : exit_code_of(reply);
    ++(code == kUnknown ? unknown : code == kUnavailable ? unavailable : failed);
    if (first_error.empty()) {
      first_error = reply.status == RAFTCS_OK ? kv::app_code_text(reply.app_code)
                                              : describe(reply.status, reply.text);
    }
  }
  uint64_t all() const { return done + failed + unknown + unavailable; }
  int exit_code() const {
    if (unknown > 0) return kUnknown;
    if (failed > 0) return kFailed;
    return unavailable > 0 ? kUnavailable : kDone;
  }
};

struct Comparison {
  uint64_t checked = 0, missing = 0, different = 0;
  Tally unread;
  std::vector<std::string> examples;
  bool good() const { return missing == 0 && different == 0 && unread.all() == 0; }
};

std::string make_mark(const std::string& path) {
  std::ofstream out(path);
  return out ? std::string() : "cannot make " + path;
}

Comparison compare(Session& session, const BulkOptions& bulk, const Pairs& pairs) {
  std::unordered_map<std::string_view, std::string_view> last;
  for (const auto& [key, value] : pairs) last[key] = value;
  std::vector<std::pair<std::string_view, std::string_view>> wanted(last.begin(), last.end());
  Comparison result;
  Progress progress("comparing", wanted.size());
  Pipeline pipeline(session, bulk.service, bulk.window, 0, [&](const Reply& reply) {
    const auto& [key, value] = wanted[reply.tag];
    auto entry = kv::read_get(reply.data);
    if (reply.status != RAFTCS_OK || (reply.app_code != kv::kOk &&
                                      reply.app_code != kv::kNotFound)) {
      result.unread.add(reply);
    } else if (reply.app_code == kv::kNotFound || !entry) {
      ++result.missing;
    } else if (entry->value != value) {
      ++result.different;
    }
    bool match = reply.status == RAFTCS_OK && entry && entry->value == value;
    if (!match && result.examples.size() < 5) result.examples.push_back(tsv_escape(key));
    progress.update(++result.checked);
  });
  for (size_t i = 0; i < wanted.size(); ++i) pipeline.query(i, kv::get(wanted[i].first));
  pipeline.finish();
  return result;
}

int report(const Context& context, const Comparison& result, After after) {
  uint64_t unread = result.unread.all();
  if (context.json()) {
    print_json({{"checked", result.checked},
                {"missing", result.missing},
                {"different", result.different},
                {"unread", unread}},
               after);
  } else {
    write_out("compared " + std::to_string(result.checked) + " keys: " +
                  std::to_string(result.missing) + " missing, " + std::to_string(result.different) +
                  " different, " + std::to_string(unread) + " unread\n",
              after);
  }
  if (result.good()) return kDone;
  std::string text = "the cluster does not hold the input, for example: " +
                     join(result.examples, ", ");
  if (!result.unread.first_error.empty()) text += " (" + result.unread.first_error + ")";
  throw Failure(kFailed, text);
}

int run_load(const Context& context, const BulkOptions& bulk) {
  Pairs pairs = read_pairs();
  Session session(context.endpoint_list(), context.timeout_ms);
  session.open();
  Tally tally;
  Progress progress("loading", pairs.size());
  std::string mark_error;
  Pipeline pipeline(session, bulk.service, bulk.window, bulk.rate, [&](const Reply& reply) {
    tally.add(reply);
    progress.update(tally.all());
    if (!bulk.mark.empty() && tally.all() == (pairs.size() + 1) / 2) {
      mark_error = make_mark(bulk.mark);
    }
  });
  int64_t begin = mono_ms();
  for (size_t i = 0; i < pairs.size(); ++i) {
    pipeline.submit(i, kv::put(pairs[i].first, pairs[i].second));
  }
  pipeline.finish();
  progress.finish();
  double seconds = static_cast<double>(mono_ms() - begin) / 1000.0;
  if (context.json()) {
    print_json({{"count", pairs.size()},
                {"done", tally.done},
                {"failed", tally.failed},
                {"unknown", tally.unknown},
                {"unavailable", tally.unavailable},
                {"seconds", seconds},
                {"longest_stall_ms", pipeline.longest_stall_ms()}},
               After::kDoing);
  } else {
    char time[32];
    std::snprintf(time, sizeof time, "%.2f", seconds);
    write_out("loaded " + std::to_string(tally.done) + " of " + std::to_string(pairs.size()) +
                  " in " + time + " s, longest stall " +
                  std::to_string(pipeline.longest_stall_ms()) + " ms\n",
              After::kDoing);
  }
  if (tally.exit_code() != kDone) {
    throw Failure(tally.exit_code(), "kv load: " + std::to_string(tally.failed) + " failed, " +
                                         std::to_string(tally.unknown) + " unknown, " +
                                         std::to_string(tally.unavailable) +
                                         " not sent; the first: " + tally.first_error);
  }
  if (!mark_error.empty()) throw Failure(kFailed, mark_error);
  return bulk.no_verify ? kDone : report(context, compare(session, bulk, pairs), After::kDoing);
}

int run_verify(const Context& context, const BulkOptions& bulk) {
  Pairs pairs = read_pairs();
  Session session(context.endpoint_list(), context.timeout_ms);
  session.open();
  return report(context, compare(session, bulk, pairs), After::kAsking);
}

int run_dump(const Context& context, const BulkOptions& bulk) {
  Session session(context.endpoint_list(), context.timeout_ms);
  session.open();
  std::string from;
  uint64_t count = 0;
  for (bool more = true; more;) {
    Reply reply = session.query(bulk.service, kv::range(from, std::nullopt, 1'000));
    expect_ok(reply, "kv dump");
    auto answer = kv::read_range(reply.data);
    if (!answer) throw Failure(kFailed, "kv dump: the service's answer has an unknown form");
    std::string out;
    for (const kv::Entry& entry : answer->entries) {
      out += tsv_escape(entry.key) + "\t" + tsv_escape(entry.value) + "\n";
    }
    write_out(out);
    count += answer->entries.size();
    more = answer->more && !answer->entries.empty();
    if (more) from = answer->entries.back().key + '\0';
  }
  std::fprintf(stderr, "raftcs: %llu keys; pages are read one after another, so writes made "
                       "meanwhile may or may not be seen\n",
               static_cast<unsigned long long>(count));
  return kDone;
}

// Adds 1 many times and says how many of them are known to have happened: with the number at the
// end the proof that nothing happened twice and nothing was lost.
int run_count(const Context& context, const BulkOptions& bulk) {
  Session session(context.endpoint_list(), context.timeout_ms);
  session.open();
  Tally tally;
  Progress progress("counting", bulk.times);
  Pipeline pipeline(session, bulk.service, bulk.window, bulk.rate, [&](const Reply& reply) {
    tally.add(reply);
    progress.update(tally.all());
  });
  for (uint64_t i = 0; i < bulk.times; ++i) pipeline.submit(i, kv::incr(bulk.key, 1));
  pipeline.finish();
  progress.finish();
  if (context.json()) {
    print_json({{"done", tally.done},
                {"failed", tally.failed},
                {"unknown", tally.unknown},
                {"unavailable", tally.unavailable},
                {"longest_stall_ms", pipeline.longest_stall_ms()}},
               After::kDoing);
  } else {
    write_out("added " + std::to_string(tally.done) + " times, " + std::to_string(tally.unknown) +
                  " unknown, longest stall " + std::to_string(pipeline.longest_stall_ms()) +
                  " ms\n",
              After::kDoing);
  }
  if (tally.exit_code() == kDone) return kDone;
  throw Failure(tally.exit_code(), "kv count: the first that did not end well: " +
                                       tally.first_error);
}

using Run = int (*)(const Context&, const BulkOptions&);

CLI::App* add(CLI::App& kv, Context& context, const char* name, const char* text, Run run,
              const std::shared_ptr<BulkOptions>& bulk) {
  CLI::App* command = kv.add_subcommand(name, text);
  command->add_option("--service", bulk->service, "name of the kv service");
  add_number(command, "--window", bulk->window, "operations in flight")
      ->check(CLI::Range(1, 10'000));
  command->callback([&context, run, bulk] {
    context.action = [&context, run, bulk] { return run(context, *bulk); };
  });
  return command;
}

}  // namespace

void add_kv_bulk_commands(CLI::App& kv, Context& context) {
  auto bulk = std::make_shared<BulkOptions>();
  CLI::App* load = add(kv, context, "load",
                       "put every line KEY<TAB>VALUE of standard input, then compare", run_load,
                       bulk);
  add_number(load, "--rate", bulk->rate, "at most so many a second; 0: no limit");
  load->add_option("--mark", bulk->mark, "file to make when half of the answers are there")
      ->type_name("FILE");
  load->add_flag("--verify-none", bulk->no_verify, "do not read back and compare");
  add(kv, context, "verify", "compare every line KEY<TAB>VALUE of standard input", run_verify,
      std::make_shared<BulkOptions>());
  auto counting = std::make_shared<BulkOptions>();
  CLI::App* count = add(kv, context, "count", "add 1 to a number many times in one session",
                        run_count, counting);
  count->add_option("KEY", counting->key)->required();
  add_number(count, "--times", counting->times)->check(CLI::Range(1, 100'000'000));
  add_number(count, "--rate", counting->rate, "at most so many a second; 0: no limit");
  add(kv, context, "dump", "all keys as TSV", run_dump, std::make_shared<BulkOptions>());
}

}  // namespace tools
