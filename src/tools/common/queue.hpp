// queue.hpp: the payloads of the queue service, as docs/queue.md defines them.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace tools::queue {

using Json = nlohmann::ordered_json;

enum AppCode : int32_t {
  kOk = 0,
  kNotFound = 1,
  kExists = 2,
  kNotHeld = 3,
  kMalformed = 4,
  kTooLarge = 5,
  kFull = 6,
  kNotEmpty = 7,
};
const char* app_code_text(int32_t code);

struct Settings {  // what is not given takes the service's default
  std::optional<std::string> policy;
  std::optional<int64_t> visibility_ms, grace_ms, attempts_max, jobs_max;
};

// Commands. Without an attempt: whoever holds the job (for operators).
std::string create(std::string_view verb, std::string_view name, const Settings& settings);
std::string about(std::string_view verb, std::string_view name);  // pause, resume, purge, ...
std::string put(std::string_view name, std::string_view payload, int64_t priority,
                int64_t delay_ms);
std::string done(int64_t job, std::optional<int64_t> attempt);
std::string fail(int64_t job, std::optional<int64_t> attempt, std::string_view reason,
                 int64_t retry_ms);
std::string extend(int64_t job, int64_t attempt, int64_t ms);
std::string requeue(std::string_view name, std::optional<int64_t> job);

// Queries.
std::string queues(const std::optional<std::string>& name);
std::string workers(int64_t after);
std::string jobs(std::string_view name, std::string_view state, int64_t after, int64_t limit,
                 bool payloads);
std::string job(int64_t id);

struct Job {  // what a worker is sent
  std::string queue;
  int64_t id = 0;
  int64_t attempt = 0;
  std::string payload;
  int64_t visibility_ms = 0;
};
struct Rows {
  bool more = false;
  Json rows = Json::array();  // of objects
};

// Answers. Nothing when the bytes are not of the form the service promises.
std::optional<Job> read_job(std::string_view bytes);
std::optional<int64_t> read_number(std::string_view bytes);
std::optional<Json> read_queues(std::string_view bytes);
std::optional<Rows> read_workers(std::string_view bytes);
std::optional<Rows> read_jobs(std::string_view bytes);

}  // namespace tools::queue
