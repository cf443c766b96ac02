// raftcs-bench: how fast a cluster is, seen by its clients.
//
// The parent starts (or is given) the servers and the generator processes, tells all generators
// when to begin and to end, reads the CPU time of every process at these two moments and puts
// the results together. Everything it starts ends with it; nothing else is touched.
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <iostream>
#include <nlohmann/json.hpp>

#include "common/api.hpp"
#include "common/text.hpp"
#include "raftcs-bench/cluster.hpp"
#include "raftcs-bench/histogram.hpp"
#include "raftcs-bench/worker.hpp"

namespace tools {
namespace {

using Json = nlohmann::ordered_json;

struct Options {
  std::string endpoints;
  uint32_t start = 0;
  ClusterOptions cluster;
  std::vector<std::string> workloads;
  std::vector<std::string> client_settings;
  std::vector<pid_t> server_pids;
  uint32_t processes = 1;
  double seconds = 5;
  double warmup = 1;
  uint32_t repeat = 3;
  std::string output = "table";
  double factor = 10;
  // Of a generator process (--worker).
  bool worker = false;
  bool preload = false;
  uint32_t number = 0;
  double rate = 0;
};

struct Run {
  double per_second = 0, p50_ms = 0, p99_ms = 0, p999_ms = 0, max_ms = 0;
  double server_cpu = -1, client_cpu = -1;  // seconds per 100,000 operations; -1: not known
  uint64_t done = 0, errors = 0;
  uint64_t offered = 0, shed = 0, lost = 0;
  std::string error;
};

std::vector<std::string> worker_arguments(const std::vector<std::string>& endpoints,
                                          const Options& options, const Workload& workload,
                                          uint32_t number, bool preload, double rate = 0) {
  std::vector<std::string> arguments = {
      self_path(), "--worker", "--number", std::to_string(number), "-e", join(endpoints, ","),
      workload.kind + ":" + std::to_string(workload.sessions) + ":" +
          std::to_string(workload.window)};
  if (preload) arguments.push_back("--preload");
  if (rate > 0) arguments.insert(arguments.end(), {"--rate", std::to_string(rate)});
  for (const std::string& pair : options.client_settings) {
    arguments.insert(arguments.end(), {"--client-set", pair});
  }
  return arguments;
}

void preload(const std::vector<std::string>& endpoints, const Options& options) {
  Workload one{"put", 1, 1, 1};
  Child child(worker_arguments(endpoints, options, one, 0, true));
  child.read_line(40'000);
  child.read_line(120'000);
  child.wait_end(3'000);
}

void sleep_until(uint64_t ns) {
  timespec at{static_cast<time_t>(ns / 1'000'000'000), static_cast<long>(ns % 1'000'000'000)};
  while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, nullptr) == EINTR) continue;
}

double cpu_of(const std::vector<pid_t>& pids) {
  double sum = pids.empty() ? -1 : 0;
  for (pid_t pid : pids) {
    double one = cpu_seconds(pid);
    if (one < 0) return -1;
    sum += one;
  }
  return sum;
}

// Puts one generator's line into the run.
void merge(const std::string& line, Histogram& histogram, Run& run) {
  Json result = Json::parse(line, nullptr, false);
  if (!result.is_object()) throw Failure(kFailed, "a generator process printed nonsense");
  for (const Json& bucket : result["buckets"]) {
    histogram.merge_bucket(bucket[0].get<size_t>(), bucket[1].get<uint64_t>());
  }
  histogram.merge_max(result["max_ns"].get<uint64_t>());
  run.errors += result["errors"].get<uint64_t>();
  run.offered += result["offered"].get<uint64_t>();
  run.shed += result["shed"].get<uint64_t>();
  run.lost += result["lost"].get<uint64_t>();
  run.client_cpu += result["cpu"].get<double>();
  if (run.error.empty()) run.error = result["error"].get<std::string>();
}

Run measure(const std::vector<std::string>& endpoints, const std::vector<pid_t>& servers,
            const Options& options, const Workload& workload, double rate = 0) {
  std::vector<std::unique_ptr<Child>> children;
  for (uint32_t i = 0; i < workload.processes; ++i) {
    Workload part = workload;
    part.sessions = workload.sessions / workload.processes +
                    (i < workload.sessions % workload.processes ? 1 : 0);
    children.push_back(
        std::make_unique<Child>(worker_arguments(endpoints, options, part, i, false,
                                                 rate / workload.processes)));
  }
  for (auto& child : children) child->read_line(60'000);
  uint64_t begin = mono_ns() + static_cast<uint64_t>(options.warmup * 1e9);
  uint64_t end = begin + static_cast<uint64_t>(options.seconds * 1e9);
  for (auto& child : children) {
    child->write_line(std::to_string(begin) + " " + std::to_string(end));
  }
  sleep_until(begin);
  double cpu_begin = cpu_of(servers);
  sleep_until(end);
  double cpu_end = cpu_of(servers);
  Run run;
  run.client_cpu = 0;
  Histogram histogram;
  for (auto& child : children) merge(child->read_line(60'000), histogram, run);
  for (auto& child : children) child->wait_end(3'000);
  run.done = histogram.total();
  run.per_second = static_cast<double>(run.done) / options.seconds;
  double units = std::max(1.0, static_cast<double>(run.done)) / 100'000;
  run.client_cpu /= units;
  if (cpu_begin >= 0 && cpu_end >= 0) run.server_cpu = (cpu_end - cpu_begin) / units;
  auto ms = [](uint64_t ns) { return static_cast<double>(ns) / 1e6; };
  run.p50_ms = ms(histogram.quantile(0.5));
  run.p99_ms = ms(histogram.quantile(0.99));
  run.p999_ms = ms(histogram.quantile(0.999));
  run.max_ms = ms(histogram.max());
  return run;
}

// Closed loop for the peak, then `factor` times that in an open loop, by the same sessions.
Json measure_overload(const std::vector<std::string>& endpoints, const std::vector<pid_t>& servers,
                      const Options& options, const Workload& workload) {
  Workload peak_load = workload;
  peak_load.kind = "put";
  const Run peak = measure(endpoints, servers, options, peak_load);
  const double rate = std::max(1.0, peak.per_second * options.factor);
  const Run over = measure(endpoints, servers, options, peak_load, rate);
  return {{"workload", workload.name()},
          {"peak_per_second", peak.per_second},
          {"offered_per_second", static_cast<double>(over.offered) / options.seconds},
          {"goodput_per_second", over.per_second},
          {"goodput_of_peak", over.per_second / std::max(1.0, peak.per_second)},
          {"sessions_lost", peak.lost + over.lost},
          {"errors", over.errors},
          {"shed_by_generators", over.shed},
          {"p50_ms", over.p50_ms},
          {"p99_ms", over.p99_ms},
          {"max_ms", over.max_ms},
          {"server_cpu_s_per_100k", over.server_cpu},
          {"first_error", over.error}};
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  size_t n = values.size();
  return n % 2 == 1 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

double median_of(const std::vector<Run>& runs, double Run::*field) {
  std::vector<double> values;
  for (const Run& run : runs) values.push_back(run.*field);
  return median(values);
}

Json to_json(const Workload& workload, const std::vector<Run>& runs) {
  Json out = {{"workload", workload.name()}};
  const std::pair<const char*, double Run::*> kFields[] = {
      {"per_second", &Run::per_second},          {"p50_ms", &Run::p50_ms},
      {"p99_ms", &Run::p99_ms},                  {"p999_ms", &Run::p999_ms},
      {"max_ms", &Run::max_ms},                  {"server_cpu_s_per_100k", &Run::server_cpu},
      {"client_cpu_s_per_100k", &Run::client_cpu}};
  for (const auto& [name, field] : kFields) {
    double value = median_of(runs, field);
    out[name] = value < 0 ? Json() : Json(value);
  }
  uint64_t errors = 0;
  std::string error;
  Json each = Json::array();
  for (const Run& run : runs) {
    each.push_back(run.per_second);
    errors += run.errors;
    if (error.empty()) error = run.error;
  }
  out["runs_per_second"] = each;
  out["errors"] = errors;
  if (!error.empty()) out["first_error"] = error;
  return out;
}

std::string number(const Json& value, const char* format) {
  if (value.is_null()) return "-";
  char text[64];
  std::snprintf(text, sizeof text, format, value.get<double>());
  return text;
}

void print_table(const Json& results) {
  Table table({"WORKLOAD", "OPS/S", "MIN", "MAX", "P50 MS", "P99 MS", "P99.9 MS", "MAX MS",
               "SERVER CPU", "CLIENT CPU", "ERRORS"});
  for (const Json& r : results) {
    auto runs = r["runs_per_second"].get<std::vector<double>>();
    table.row({r["workload"].get<std::string>(), number(r["per_second"], "%.0f"),
               number(*std::min_element(runs.begin(), runs.end()), "%.0f"),
               number(*std::max_element(runs.begin(), runs.end()), "%.0f"),
               number(r["p50_ms"], "%.3f"), number(r["p99_ms"], "%.3f"),
               number(r["p999_ms"], "%.3f"), number(r["max_ms"], "%.1f"),
               number(r["server_cpu_s_per_100k"], "%.2f"),
               number(r["client_cpu_s_per_100k"], "%.2f"),
               std::to_string(r["errors"].get<uint64_t>())});
  }
  std::fputs(table.text().c_str(), stdout);
  std::puts("medians; CPU in seconds per 100,000 operations, of all servers and all generators");
}

int run_bench(const Options& options) {
  std::vector<Workload> workloads = parse_workloads(
      options.workloads.empty() ? std::vector<std::string>{"standard"} : options.workloads,
      options.processes);
  std::unique_ptr<Cluster> cluster;
  std::vector<std::string> endpoints;
  std::vector<pid_t> servers = options.server_pids;
  if (options.start > 0) {
    ClusterOptions wanted = options.cluster;
    wanted.nodes = options.start;
    if (wanted.directory.empty()) throw Failure(kUsage, "--start needs --dir DIR for the data");
    if (wanted.server.empty()) {
      std::string self = self_path();
      wanted.server = self.substr(0, self.rfind('/')) + "/raftcs-server";
    }
    cluster = std::make_unique<Cluster>(wanted);
    endpoints = cluster->endpoints();
    servers = cluster->pids();
  } else {
    endpoints = parse_endpoints(options.endpoints);
  }
  preload(endpoints, options);
  Json results = Json::array();
  Json overloads = Json::array();
  for (const Workload& workload : workloads) {
    if (workload.kind == "overload") {
      std::fprintf(stderr, "%s\n", workload.name().c_str());
      overloads.push_back(measure_overload(endpoints, servers, options, workload));
      continue;
    }
    std::vector<Run> runs;
    for (uint32_t i = 0; i < options.repeat; ++i) {
      std::fprintf(stderr, "%s, run %u of %u\n", workload.name().c_str(), i + 1, options.repeat);
      runs.push_back(measure(endpoints, servers, options, workload));
    }
    results.push_back(to_json(workload, runs));
  }
  if (options.output == "json") {
    Json document = {{"version", raftcs_version_string()},
                     {"seconds", options.seconds},
                     {"repeat", options.repeat},
                     {"nodes", options.start},
                     {"results", results},
                     {"overload", overloads}};
    std::puts(document.dump(2).c_str());
  } else {
    if (!results.empty()) print_table(results);
    for (const Json& one : overloads) std::puts(one.dump(2).c_str());
  }
  return kDone;
}

int run(const Options& options) {
  if (!options.worker) return run_bench(options);
  WorkerOptions worker;
  worker.endpoints = parse_endpoints(options.endpoints);
  worker.workload = parse_workload(options.workloads.at(0));
  worker.number = options.number;
  worker.preload = options.preload;
  worker.rate = options.rate;
  worker.settings = options.client_settings;
  return run_worker(worker);
}

void add_options(CLI::App& app, Options& options) {
  app.add_option("WORKLOAD", options.workloads,
                 "put:SESSIONS:IN_FLIGHT, get:SESSIONS:IN_FLIGHT, overload:SESSIONS:IN_FLIGHT, "
                 "overload or standard (the default)");
  app.add_option("-e,--endpoints", options.endpoints, "a running cluster")
      ->envname("RAFTCS_ENDPOINTS");
  app.add_option("--start", options.start, "start so many servers for the run")
      ->check(CLI::Range(1, 9));
  app.add_option("--dir", options.cluster.directory, "where their data goes; on a real disk");
  app.add_option("--server", options.cluster.server, "path of raftcs-server");
  app.add_option("--plugins", options.cluster.plugins, "directory with kv.so");
  app.add_option("--server-set", options.cluster.settings, "a setting for the servers, KEY=VALUE")
      ->take_all()->expected(1);
  app.add_option("--client-set", options.client_settings, "a setting for the clients, KEY=VALUE")
      ->take_all()->expected(1);
  app.add_option("--server-pid", options.server_pids,
                 "with -e: processes whose CPU time counts as the servers'")
      ->take_all()->expected(1);
  app.add_option("--procs", options.processes, "generator processes")->check(CLI::Range(1, 64));
  app.add_option("--seconds", options.seconds)->check(CLI::Range(0.1, 3600.0));
  app.add_option("--warmup", options.warmup)->check(CLI::Range(0.0, 600.0));
  app.add_option("--repeat", options.repeat)->check(CLI::Range(1, 100));
  app.add_option("-o,--output", options.output)->check(CLI::IsMember({"table", "json"}));
  app.add_option("--factor", options.factor, "overload: so many times the peak is offered")
      ->check(CLI::Range(1.0, 1000.0));
  app.add_flag("--worker", options.worker)->group("");
  app.add_option("--rate", options.rate)->group("");
  app.add_flag("--preload", options.preload)->group("");
  app.add_option("--number", options.number)->group("");
}

}  // namespace
}  // namespace tools

int main(int argc, char** argv) {
  signal(SIGPIPE, SIG_IGN);
  tools::Options options;
  CLI::App app("raftcs-bench: throughput and latency of a raftcs cluster");
  tools::add_options(app, options);
  app.set_version_flag("--version", std::string("raftcs-bench ") + raftcs_version_string());
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);
    std::cerr << "raftcs-bench: " << error.what() << "\nraftcs-bench --help explains.\n";
    return tools::kUsage;
  }
  try {
    return tools::run(options);
  } catch (const tools::Failure& failure) {
    std::fprintf(stderr, "raftcs-bench: %s\n", failure.what());
    return failure.exit_code();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "raftcs-bench: %s\n", error.what());
    return tools::kFailed;
  }
}
