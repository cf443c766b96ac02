// config.cpp: settings through the C API, and from settings to options.
#include "capi/config.hpp"

#include "capi/error.hpp"
#include "capi/guard.hpp"
#include "wire/codec.hpp"

namespace raftcs::capi {
namespace {

static_assert(config::kClientNameBytesMax == wire::Limits{}.text_bytes_max);
static_assert(config::kCapabilitiesMax == wire::Limits{}.capabilities_max);
static_assert(config::kCapabilityBytesMax == wire::kCapabilityBytesMax);

Status invalid(std::string text) { return {RAFTCS_ERR_INVALID_ARGUMENT, std::move(text)}; }

uint64_t u64(const config::Config& values, const char* name) {
  return static_cast<uint64_t>(values.integer(name));
}
uint32_t u32(const config::Config& values, const char* name) {
  return static_cast<uint32_t>(values.integer(name));
}
DurationNs ms(const config::Config& values, const char* name) {
  return values.integer(name) * kNsPerMs;
}

// `low` may not be over `high`; both are numbers.
Status check_order(const config::Config& values, const char* low, const char* high) {
  if (values.integer(low) <= values.integer(high)) return {};
  return invalid(std::string(low) + " (" + values.text(low) + ") is over " + high + " (" +
                 values.text(high) + ")");
}

void read_limits(const config::Config& v, server::Options* o) {
  o->append_bytes_max = u64(v, "raft.append_bytes");
  o->batch_bytes_max = u64(v, "batch.bytes");
  o->batch_commands_max = u32(v, "batch.commands");
  o->uncommitted_bytes_max = u64(v, "limits.uncommitted_bytes");
  o->segment_bytes = u64(v, "log.segment_bytes");
  o->disk_reserve_bytes = u64(v, "log.disk_reserve_bytes");
  o->heal_damage = v.text("storage.on_damage") == "heal";
  o->scrub_bytes_per_second = u64(v, "storage.scrub_mib_per_s") << 20;
  o->scrub_period_ns = ms(v, "storage.scrub_period_ms");
  o->reseed = v.boolean("storage.reseed");
  o->snapshot_entries = u64(v, "snapshot.entries");
  o->snapshot_log_bytes = u64(v, "snapshot.log_bytes");
  o->trailing_entries = u64(v, "snapshot.trailing_entries");
  o->payload_bytes_max = u64(v, "limits.payload_bytes");
  o->frame_bytes_max = u64(v, "limits.frame_bytes");
  o->sessions_max = u32(v, "limits.sessions");
  o->requests_per_session_max = u32(v, "limits.requests_per_session");
  o->inflight_bytes_max = u64(v, "limits.inflight_bytes");
  o->queue_delay_ns = ms(v, "limits.queue_delay_ms");
  o->commands_per_second_max = u32(v, "limits.commands_per_second");
  o->queries_per_second_max = u32(v, "limits.queries_per_second");
  o->sessions_per_second_max = u32(v, "limits.sessions_per_second");
  o->session_timeout_ms_min = u64(v, "session.timeout_min_ms");
  o->session_timeout_ms_max = u64(v, "session.timeout_max_ms");
}

}  // namespace

Result<client::SessionOptions> session_options(const config::Config& v) {
  client::SessionOptions o;
  o.endpoints = config::split_list(v.text("client.endpoints"));
  if (o.endpoints.empty()) return invalid("client.endpoints is needed and not set");
  Uuid::parse(v.text("client.cluster_id"), &o.cluster);
  o.name = v.text("client.name");
  RCS_ASSIGN(capabilities, config::parse_pairs(v.text("client.capabilities")));
  o.capabilities = std::move(capabilities);
  o.session_timeout_ms = u64(v, "client.session_timeout_ms");
  o.connect_timeout_ns = ms(v, "client.connect_timeout_ms");
  RCS_TRY(check_order(v, "client.backoff.min_ms", "client.backoff.max_ms"));
  o.backoff_min_ns = ms(v, "client.backoff.min_ms");
  o.backoff_max_ns = ms(v, "client.backoff.max_ms");
  o.outstanding_max = u32(v, "client.request.outstanding_max");
  o.window_max = u32(v, "client.request.window");
  // Automatic means: when the caller takes the event (client.cpp), so the engine is told.
  o.manual_ack = true;
  o.renew_on_expiry = v.text("client.expiry") == "renew";
  return o;
}

Result<server::Options> server_options(const config::Config& v) {
  server::Options o;
  o.id = NodeId(u64(v, "server.id"));
  if (!o.id) return invalid("server.id is needed and not set");
  o.data_dir = v.text("server.data");
  if (o.data_dir.empty()) return invalid("server.data is needed and not set");
  o.client_listen = v.text("server.client_listen");
  o.peer_listen = v.text("server.peer_listen");
  o.client_advertise = v.text("server.client_advertise");
  o.peer_advertise = v.text("server.peer_advertise");
  o.plugins_dir = v.text("server.plugins");
  o.cluster_name = v.text("cluster.name");
  RCS_ASSIGN(members, config::parse_cluster(v.text("server.cluster")));
  bool is_member = members.empty();
  for (config::Member& m : members) {
    is_member = is_member || m.id == o.id.value;
    o.cluster.push_back({NodeId(m.id), std::move(m.peer_address), std::move(m.client_address)});
  }
  if (!is_member) return invalid("server.cluster does not name server.id " + to_string(o.id));
  o.join = config::split_list(v.text("server.join"));
  if (!o.join.empty() && !o.cluster.empty())
    return invalid("server.cluster founds a cluster and server.join joins one: give one of them");
  o.heartbeat_ns = ms(v, "raft.heartbeat_ms");
  o.election_timeout_ns = ms(v, "raft.election_timeout_ms");
  if (o.heartbeat_ns * 2 > o.election_timeout_ns) {
    return invalid("raft.election_timeout_ms must be at least twice raft.heartbeat_ms");
  }
  RCS_TRY(check_order(v, "session.timeout_min_ms", "session.timeout_max_ms"));
  read_limits(v, &o);
  RCS_TRY(check_order(v, "limits.payload_bytes", "limits.frame_bytes"));
  o.auto_services = v.boolean("server.auto_services");
  return o;
}

}  // namespace raftcs::capi

using raftcs::capi::check_handle;
using raftcs::capi::fail;
using raftcs::capi::guard;

raftcs_status_t raftcs_config_create(raftcs_config_t** out_config) {
  return guard([&]() -> raftcs_status_t {
    if (!out_config) return RAFTCS_ERR_INVALID_ARGUMENT;
    *out_config = new raftcs_config;
    return RAFTCS_OK;
  });
}

void raftcs_config_destroy(raftcs_config_t* config) {
  if (raftcs::capi::is_handle(config)) delete config;
}

raftcs_status_t raftcs_config_set(raftcs_config_t* config, const char* name, const char* value,
                                  raftcs_error_t** out_error) {
  return guard([&]() -> raftcs_status_t {
    if (auto bad = check_handle(config)) return bad;
    if (!name || !value) return RAFTCS_ERR_INVALID_ARGUMENT;
    return fail(config->values.set(name, value), out_error);
  });
}

raftcs_status_t raftcs_config_get(raftcs_config_t* config, const char* name,
                                  const char** out_value) {
  return guard([&]() -> raftcs_status_t {
    if (auto bad = check_handle(config)) return bad;
    if (!name || !out_value) return RAFTCS_ERR_INVALID_ARGUMENT;
    auto value = config->values.get(name);
    if (!value) return value.status().code();
    config->last_text = std::move(value).value();
    *out_value = config->last_text.c_str();
    return RAFTCS_OK;
  });
}

raftcs_status_t raftcs_config_load_file(raftcs_config_t* config, const char* path,
                                        raftcs_error_t** out_error) {
  return guard([&]() -> raftcs_status_t {
    if (auto bad = check_handle(config)) return bad;
    if (!path) return RAFTCS_ERR_INVALID_ARGUMENT;
    return fail(config->values.load_file(path), out_error);
  });
}

raftcs_status_t raftcs_setting_at(uint32_t i, raftcs_setting_t* out_setting) {
  auto table = raftcs::config::settings();
  if (!out_setting) return RAFTCS_ERR_INVALID_ARGUMENT;
  if (i >= table.size()) return RAFTCS_ERR_NOT_FOUND;
  const raftcs::config::Setting& s = table[i];
  raftcs_setting_t row{};
  row.name = s.name;
  row.type = raftcs::config::type_name(s.type);
  row.default_value = s.default_value;
  row.range = s.range;
  row.unit = s.unit;
  row.text = s.text;
  return raftcs::capi::write_struct(row, raftcs::capi::kSettingFirst, out_setting);
}
