// api.cpp: see api.hpp.
#include "common/api.hpp"

#include <ctime>

namespace tools {

Reply read_event(const raftcs_event_t* event) {
  raftcs_event_info_t info{};
  info.struct_size = sizeof info;
  raftcs_status_t status = raftcs_event_info(event, &info);
  if (status != RAFTCS_OK) throw Failure(kFailed, "reading an event: " + describe(status));
  Reply reply;
  reply.kind = info.kind;
  reply.status = info.status;
  reply.outcome = info.outcome;
  reply.app_code = info.app_code;
  reply.tag = info.tag;
  reply.op_id = info.op_id;
  reply.index = info.index;
  if (info.data_len > 0) reply.data.assign(static_cast<const char*>(info.data), info.data_len);
  if (info.text != nullptr) reply.text = info.text;
  return reply;
}

std::string describe(raftcs_status_t status, const std::string& text) {
  std::string sentence = text.empty() ? raftcs_status_text(status) : text;
  return std::string(raftcs_status_name(status)) + ": " + sentence;
}

std::string take_error(raftcs_error_t* error, raftcs_status_t status) {
  if (error == nullptr) return describe(status);
  std::string text = raftcs_error_text(error);
  raftcs_error_destroy(error);
  return text.empty() ? describe(status) : text;
}

namespace {
bool about_reaching(raftcs_status_t status) { return status <= -200 && status > -300; }
}  // namespace

int exit_code_of_refusal(raftcs_status_t status) {
  if (about_reaching(status)) return kUnavailable;
  return status == RAFTCS_ERR_INVALID_ARGUMENT || status == RAFTCS_ERR_UNKNOWN_OPTION ? kUsage
                                                                                      : kFailed;
}

int exit_code_of(const Reply& reply) {
  if (reply.status == RAFTCS_OK) return kDone;
  if (reply.outcome == RAFTCS_OUTCOME_UNKNOWN) return kUnknown;
  return about_reaching(reply.status) || reply.status == RAFTCS_ERR_NOT_LEADER ? kUnavailable
                                                                               : kFailed;
}

void expect_ok(const Reply& reply, const std::string& what) {
  if (reply.status == RAFTCS_OK) return;
  std::string text = what + ": " + describe(reply.status, reply.text);
  if (reply.outcome == RAFTCS_OUTCOME_UNKNOWN) text += " (it may have happened, at most once)";
  throw Failure(exit_code_of(reply), text);
}

ConfigPtr make_config() {
  raftcs_config_t* config = nullptr;
  raftcs_status_t status = raftcs_config_create(&config);
  if (status != RAFTCS_OK) throw Failure(kFailed, "making settings: " + describe(status));
  return ConfigPtr(config);
}

void set(raftcs_config_t* config, const std::string& name, const std::string& value) {
  raftcs_error_t* error = nullptr;
  raftcs_status_t status = raftcs_config_set(config, name.c_str(), value.c_str(), &error);
  if (status != RAFTCS_OK) {
    throw Failure(kUsage, "setting " + name + ": " + take_error(error, status));
  }
}

void load_file(raftcs_config_t* config, const std::string& path) {
  raftcs_error_t* error = nullptr;
  raftcs_status_t status = raftcs_config_load_file(config, path.c_str(), &error);
  if (status != RAFTCS_OK) {
    std::string text = take_error(error, status);
    if (text.find(path) == std::string::npos) text = path + ": " + text;
    throw Failure(kUsage, "reading the settings file: " + text);
  }
}

void set_pair(raftcs_config_t* config, const std::string& pair) {
  size_t equal = pair.find('=');
  if (equal == std::string::npos || equal == 0) {
    throw Failure(kUsage, "--set wants key=value, got \"" + pair +
                              "\"; raftcs-server --print-settings lists the keys");
  }
  set(config, pair.substr(0, equal), pair.substr(equal + 1));
}

QueuePtr make_queue() {
  raftcs_queue_t* queue = nullptr;
  raftcs_status_t status = raftcs_queue_create(nullptr, &queue);
  if (status != RAFTCS_OK) throw Failure(kFailed, "making a queue: " + describe(status));
  return QueuePtr(queue);
}

std::vector<std::string> parse_endpoints(const std::string& text) {
  std::vector<std::string> endpoints;
  std::string one;
  for (size_t i = 0; i <= text.size(); ++i) {
    if (i < text.size() && text[i] != ',' && text[i] != ' ') {
      one += text[i];
      continue;
    }
    if (!one.empty()) {
      endpoints.push_back(one.find("://") == std::string::npos ? "tcp://" + one : one);
    }
    one.clear();
  }
  if (endpoints.empty()) {
    throw Failure(kUsage,
                  "no endpoint given: use -e HOST:PORT[,HOST:PORT...] or set "
                  "RAFTCS_ENDPOINTS");
  }
  return endpoints;
}

std::string join(const std::vector<std::string>& parts, std::string_view separator) {
  std::string out;
  for (const std::string& part : parts) {
    if (!out.empty()) out += separator;
    out += part;
  }
  return out;
}

uint64_t mono_ns() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000u + static_cast<uint64_t>(now.tv_nsec);
}
int64_t mono_ms() { return static_cast<int64_t>(mono_ns() / 1'000'000); }

// ---- Session ---------------------------------------------------------------------------

Session::Session(const std::vector<std::string>& endpoints, int64_t timeout_ms,
                 const std::vector<std::string>& settings)
    : timeout_ms_(timeout_ms), queue_(make_queue()) {
  ConfigPtr config = make_config();
  set(config.get(), "client.endpoints", join(endpoints, ","));
  set(config.get(), "client.request.timeout_ms", std::to_string(timeout_ms));
  for (const std::string& pair : settings) set_pair(config.get(), pair);
  raftcs_client_t* client = nullptr;
  raftcs_error_t* error = nullptr;
  raftcs_status_t status = raftcs_client_create(config.get(), queue_.get(), 0, &client, &error);
  if (status != RAFTCS_OK) throw Failure(kUsage, take_error(error, status));
  client_.reset(client);
}

Session::~Session() {
  if (!opened_) return;
  if (raftcs_client_close(client_.get(), 0) != RAFTCS_OK) return;
  int64_t deadline = mono_ms() + 1'000;
  for (int64_t left = 1'000; left > 0; left = deadline - mono_ms()) {
    raftcs_event_t* event = nullptr;
    if (raftcs_queue_next(queue_.get(), left, &event) != RAFTCS_OK || event == nullptr) return;
    bool closed = raftcs_event_kind(event) == RAFTCS_EVENT_CLOSED;
    raftcs_event_destroy(event);
    if (closed) return;
  }
}

void Session::begin() {
  const raftcs_status_t status = raftcs_client_open(client_.get());
  if (status != RAFTCS_OK) throw Failure(exit_code_of_refusal(status), describe(status));
  opened_ = true;
}

void Session::open() {
  begin();
  const raftcs_status_t status = raftcs_client_wait_connected(client_.get(), timeout_ms_);
  if (status != RAFTCS_OK) {
    std::string text = "no session with the cluster within " + std::to_string(timeout_ms_) +
                       " ms: " + describe(status) +
                       " Check that a majority of its servers runs: raftcs status";
    // Nothing was sent, and the library would go on trying: only a refusal for good has failed.
    bool later = status == RAFTCS_ERR_TIMED_OUT || raftcs_status_is_retriable(status);
    throw Failure(later ? kUnavailable : exit_code_of_refusal(status), text);
  }
}

raftcs_call_options_t Session::call_options(bool stale) const {
  raftcs_call_options_t options{};
  options.struct_size = sizeof options;
  options.timeout_ms = timeout_ms_;
  options.consistency = stale ? RAFTCS_STALE : RAFTCS_LINEARIZABLE;
  return options;
}

namespace {
Reply finish(raftcs_status_t status, raftcs_event_t* event, const char* what) {
  if (status != RAFTCS_OK) {
    throw Failure(exit_code_of_refusal(status), std::string(what) + ": " + describe(status));
  }
  EventPtr owner(event);
  return read_event(event);
}
}  // namespace

Reply Session::submit(const std::string& service, std::string_view command) {
  raftcs_call_options_t options = call_options(false);
  raftcs_event_t* event = nullptr;
  raftcs_status_t status = raftcs_client_submit_wait(client_.get(), service.c_str(), command.data(),
                                                     command.size(), &options, &event);
  return finish(status, event, "submitting a command");
}

Reply Session::query(const std::string& service, std::string_view query, bool stale) {
  raftcs_call_options_t options = call_options(stale);
  raftcs_event_t* event = nullptr;
  raftcs_status_t status = raftcs_client_query_wait(client_.get(), service.c_str(), query.data(),
                                                    query.size(), &options, &event);
  return finish(status, event, "asking a query");
}

Reply Session::admin(const std::string& endpoint, const std::string& verb,
                     const std::string& args) {
  raftcs_call_options_t options = call_options(false);
  raftcs_event_t* event = nullptr;
  raftcs_status_t status = raftcs_client_admin_wait(
      client_.get(), endpoint.empty() ? nullptr : endpoint.c_str(), verb.c_str(),
      args.empty() ? nullptr : args.c_str(), &options, &event);
  return finish(status, event, verb.c_str());
}

}  // namespace tools
