// capi_fuzz.cpp: the C API: any calls in any order with odd arguments, in one process.
//
// Handles live in a few slots, and each call takes one of them, or NULL, at random. Nothing
// connects: endpoints are of a closed port, servers are made but start only in a directory that
// cannot be. What must hold: no call crashes, leaks or ends the process; a failing one sets its
// error, if at all, with its own status; each operation accepted has its event when all is closed.
#include <map>
#include <set>

#include "raftcs.h"
#include "raftcs_plugin.h"
#include "tests/fuzz/fuzz.hpp"

namespace raftcs::fuzz {
namespace {

constexpr size_t kSlots = 3;
constexpr unsigned kCallsMax = 48;

const char* const kNames[] = {
    "client.endpoints", "server.id",       "server.data", "server.cluster",
    "client.expiry",    "no.such.setting", "",            "client.push.ack",
    "client.request.outstanding_max",
};
const char* const kVerbs[] = {"status", "members", "", "x", nullptr};
const char* const kValues[] = {"tcp://127.0.0.1:9", "1",      "/proc/none/x", "renew", "",
                               "tcp://127.0.0.1:x", "manual", "-1",           "2"};

// One run: everything made in it is ended with it.
class Calls {
 public:
  explicit Calls(Input& in) : in_(in) {}
  ~Calls() { end(); }

  void run() {
    for (unsigned n = 0; n < kCallsMax && !in_.empty(); ++n) {
      const uint8_t what = in_.u8();
      if (what % 4 == 0) config_call();
      if (what % 4 == 1) queue_call();
      if (what % 4 == 2) client_call();
      if (what % 4 == 3) other_call();
    }
  }

 private:
  template <class T>
  T* pick(T* (&slots)[kSlots]) {
    const uint64_t i = in_.below(kSlots + 1);
    return i == kSlots ? nullptr : slots[i];
  }
  template <class T>
  T*& place(T* (&slots)[kSlots]) {
    return slots[in_.below(kSlots)];
  }
  // A struct of the caller's own idea of its size, in memory that is there.
  template <class T>
  T* sized() {
    static_assert(sizeof(T) <= sizeof struct_);
    std::memset(struct_, 0, sizeof struct_);
    const uint32_t size = in_.flag() ? sizeof(T) : in_.u8();
    std::memcpy(struct_, &size, sizeof size);
    return reinterpret_cast<T*>(struct_);
  }
  const char* text() {
    switch (in_.below(4)) {
      case 0: return nullptr;
      case 1: return kValues[in_.below(std::size(kValues))];
      default: text_ = in_.bytes(in_.below(24)); return text_.c_str();
    }
  }
  void ended(raftcs_status_t status, raftcs_error_t* error) {
    // Of NULL and bad handles the status says enough.
    require(error == nullptr || status != RAFTCS_OK, "an error without failure");
    if (error) {
      require(raftcs_error_status(error) == status, "the error has another status");
      require(*raftcs_error_text(error) != '\0', "an error says nothing");
    }
    raftcs_error_destroy(error);
    if (status == RAFTCS_OK) ++accepted;
  }

  void config_call() {
    raftcs_error_t* error = nullptr;
    raftcs_config_t* config = pick(configs_);
    switch (in_.below(6)) {
      case 0: {
        auto& slot = place(configs_);
        raftcs_config_destroy(slot);
        slot = nullptr;
        (void)raftcs_config_create(in_.below(8) == 7 ? nullptr : &slot);
        break;
      }
      case 1:
      case 2: {
        const char* name = kNames[in_.below(std::size(kNames))];
        if (in_.below(8) == 7) name = nullptr;
        const char* value = text();
        ended(raftcs_config_set(config, name, value, &error), error);
        break;
      }
      case 3: {
        const char* value = nullptr;
        const auto status =
            raftcs_config_get(config, kNames[in_.below(std::size(kNames))], &value);
        require((value != nullptr) == (status == RAFTCS_OK), "a value without success, or none");
        break;
      }
      case 4: {
        const std::string path = std::string("/proc/none/") + (in_.flag() ? "a" : "");
        ended(raftcs_config_load_file(config, path.c_str(), &error), error);
        break;
      }
      default: {
        auto* setting = sized<raftcs_setting_t>();
        (void)raftcs_setting_at(in_.u8(), setting);
      }
    }
  }

  void take(raftcs_event_t* event) {
    if (!event) return;
    raftcs_event_info_t info{};
    info.struct_size = sizeof info;
    require(raftcs_event_info(event, &info) == RAFTCS_OK, "an event without info");
    require(info.text != nullptr && info.kind == raftcs_event_kind(event), "an odd event");
    (void)raftcs_event_is_retriable(event);
    if (info.kind == RAFTCS_EVENT_REPLY || info.kind == RAFTCS_EVENT_QUERY_REPLY ||
        info.kind == RAFTCS_EVENT_ADMIN_REPLY)
      require(open_.erase({info.tag, info.op_id}) == 1, "an event twice, or of no operation",
              std::to_string(info.kind) + " tag " + std::to_string(info.tag) + " operation " +
                  std::to_string(info.op_id) + " " + info.text);
    raftcs_event_destroy(event);
  }

  void queue_call() {
    raftcs_queue_t* queue = pick(queues_);
    switch (in_.below(6)) {
      case 0: {
        auto& slot = place(queues_);
        if (slot) break;  // destroyed at the end, after its events were counted
        auto* options = sized<raftcs_queue_options_t>();
        options->flags = in_.below(8) == 7 ? 1 : 0;
        (void)raftcs_queue_create(in_.flag() ? nullptr : options, &slot);
        break;
      }
      case 1: {
        raftcs_event_t* event = nullptr;
        (void)raftcs_queue_next(queue, 0, &event);
        take(event);
        break;
      }
      case 2: {
        raftcs_event_t* events[4] = {};
        size_t count = 99;
        const auto status = raftcs_queue_next_batch(queue, 0, events, in_.below(5), &count);
        for (size_t i = 0; status == RAFTCS_OK && i < count; ++i) take(events[i]);
        break;
      }
      case 3: (void)raftcs_queue_interrupt(queue); break;
      case 4:
        (void)raftcs_queue_set_wakeup(queue, in_.flag() ? +[](uint64_t) {} : nullptr, 7);
        break;
      default: (void)raftcs_queue_length(queue);
    }
  }

  raftcs_call_options_t* options() {
    if (in_.flag()) return nullptr;
    auto* options = sized<raftcs_call_options_t>();
    options->flags = in_.below(8) == 7 ? 1 : 0;
    options->timeout_ms = in_.flag() ? 1 : static_cast<int64_t>(in_.number());
    options->consistency = static_cast<int32_t>(in_.below(3));
    return options;
  }
  // A pointer: the number is there only after the call, which is an argument too.
  void accepted_op(raftcs_status_t status, uint64_t tag, const uint64_t* op_id) {
    if (status != RAFTCS_OK) return;
    ++accepted;
    require(open_.insert({tag, *op_id}).second, "one number for two operations");
  }

  void client_call() {
    raftcs_client_t* client = pick(clients_);
    const uint64_t tag = ++tags_;
    uint64_t op_id = 0;
    switch (in_.below(9)) {
      case 0: {
        auto& slot = place(clients_);
        if (slot) break;
        raftcs_error_t* error = nullptr;
        const raftcs_config_t* config = pick(configs_);
        ended(raftcs_client_create(config, pick(queues_), tag, &slot, &error), error);
        break;
      }
      case 1: (void)raftcs_client_open(client); break;
      case 2: {
        const std::string command = in_.bytes(in_.below(9));
        const void* data = in_.below(8) == 7 ? nullptr : command.data();
        const char* service = text();
        const auto* with = options();
        accepted_op(
            raftcs_client_submit(client, service, tag, data, command.size(), with, &op_id), tag,
            &op_id);
        break;
      }
      case 3: {
        const char* service = text();
        const auto* with = options();
        accepted_op(raftcs_client_query(client, service, tag, "q", 1, with, &op_id), tag, &op_id);
        break;
      }
      case 4: {
        const char* endpoint = in_.flag() ? "tcp://127.0.0.1:9" : nullptr;
        const char* verb = kVerbs[in_.below(std::size(kVerbs))];
        const char* args = text();
        const auto* with = options();
        accepted_op(raftcs_client_admin(client, endpoint, tag, verb, args, with, &op_id), tag,
                    &op_id);
        break;
      }
      case 5: (void)raftcs_client_cancel(client, in_.number()); break;
      case 6: (void)raftcs_client_close(client, static_cast<int32_t>(in_.below(3))); break;
      case 7: {
        (void)raftcs_client_info(client, sized<raftcs_client_info_t>());
        uint8_t token[16];
        size_t len = 0;
        const size_t cap = in_.below(sizeof token + 1);
        (void)raftcs_client_export_session(client, in_.flag() ? token : nullptr, cap, &len);
        break;
      }
      default: {
        const std::string token = in_.bytes(in_.u8());
        (void)raftcs_client_resume(client, token.data(), token.size());
        (void)raftcs_client_ack(client, in_.number());
      }
    }
  }

  void other_call() {
    raftcs_error_t* error = nullptr;
    raftcs_server_t* server = pick(servers_);
    switch (in_.below(7)) {
      case 0: {
        auto& slot = place(servers_);
        if (slot) break;
        const raftcs_config_t* config = pick(configs_);
        ended(raftcs_server_create(config, pick(queues_), ++tags_, &slot, &error), error);
        break;
      }
      case 1: {
        static const raftcs_sm_type_t kEmpty{};
        ended(raftcs_server_register_sm(server, in_.flag() ? &kEmpty : nullptr, &error), error);
        break;
      }
      case 2: {
        (void)raftcs_server_info(server, sized<raftcs_server_info_t>());
        break;
      }
      case 3: {
        const uint64_t tag = ++tags_;
        const char* verb = kVerbs[in_.below(std::size(kVerbs))];
        const auto status = raftcs_server_admin(server, tag, verb, text());
        require(status != RAFTCS_OK, "a server that was not started answers");
        break;
      }
      case 4: (void)raftcs_server_stop(server); break;
      case 5: {
        raftcs_plugin_t* plugin = nullptr;
        const char* path = in_.flag() ? "/proc/none/p.so" : text();
        ended(raftcs_plugin_open(path, &plugin, &error), error);
        raftcs_plugin_close(plugin);
        break;
      }
      default: {
        const auto status = static_cast<raftcs_status_t>(in_.number());
        require(raftcs_status_name(status) && raftcs_status_text(status), "a status without text");
        (void)raftcs_status_is_retriable(status);
        (void)raftcs_status_outcome(status);
        (void)raftcs_status_at(in_.u8(), nullptr);
        (void)raftcs_has(text());
        const auto ignore = +[](uint64_t, const char*, size_t) {};
        ended(raftcs_log_verify("/proc/none/d", in_.flag() ? ignore : nullptr, 0, &error), error);
      }
    }
  }

  void end() {
    for (auto* client : clients_) raftcs_client_destroy(client);
    for (auto* server : servers_) raftcs_server_destroy(server);
    for (auto* queue : queues_) {
      raftcs_event_t* event = nullptr;
      while (queue && raftcs_queue_next(queue, 0, &event) == RAFTCS_OK && event) {
        take(event);
        event = nullptr;
      }
      raftcs_queue_destroy(queue);
    }
    for (auto* config : configs_) raftcs_config_destroy(config);
    require(open_.empty(), "an operation has no event");
  }

  Input& in_;
  raftcs_config_t* configs_[kSlots] = {};
  raftcs_queue_t* queues_[kSlots] = {};
  raftcs_client_t* clients_[kSlots] = {};
  raftcs_server_t* servers_[kSlots] = {};
  std::set<std::pair<uint64_t, uint64_t>> open_;  // operations without an event
  uint64_t tags_ = 0;
  std::string text_;
  alignas(8) uint8_t struct_[512] = {};
};

}  // namespace

void make_seeds(const SeedSink& sink) {
  // Each call: which family; a handle; which call of it; then what it takes. 3 is no handle.
  const std::string config(raw("\0\3\0\0\0" "\0\0\1\0\0\1\0"));
  const std::string queue(raw("\1\3\0\0\1\0\0")), client(raw("\2\3\0\0\0\0"));
  const std::string submit(raw("\2\0\2\4abcd\0\3\2sv\1"));
  const std::string query(raw("\2\0\3\3\2sv\0\0\1\0\0")), admin(raw("\2\0\4\1\0\0\1"));
  const std::string open(raw("\2\0\1")), close(raw("\2\0\6\1")), next(raw("\1\0\1"));
  sink("client", config + queue + client + submit + query + admin + next + next + close + next);
  sink("open", config + queue + client + open + submit + admin + close + next);
  sink("info", config + client + raw("\2\0\7\1\5\0\2\0\7\0\10\1\5"));
  sink("server", raw("\0\3\0\0\0" "\0\0\1\1\0\1\1" "\0\0\1\2\0\1\2") + queue +
                     raw("\3\3\0\0\0\0\3\0\2\1\3\0\1\1\3\0\3\0\0\3\0\4"));
  sink("others", raw("\3\3\5\1\3\3\6\5\1\0\1\3\3\6\2\3\0\0\0\3\5\1\7\0\3\4\1"));
  std::string many;
  for (int i = 0; i < 160; ++i) many += static_cast<char>(i * 29 % 47);
  sink("many", many);
}

}  // namespace raftcs::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size > 512) return 0;
  raftcs::fuzz::Input in(data, size);
  raftcs::fuzz::Calls(in).run();
  return 0;
}
