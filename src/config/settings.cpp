// settings.cpp: the table, the look-up of names and the reference page.
#include "config/settings.hpp"

#include <algorithm>
#include <numeric>

#include "base/uuid.hpp"

namespace raftcs::config {
namespace {

Status check_listen(std::string_view v) { return check_endpoint(v, true); }
Status check_advertise(std::string_view v) {
  return v.empty() ? Status::ok() : check_endpoint(v, false);
}
Status check_endpoints(std::string_view v) {
  for (const std::string& e : split_list(v)) RCS_TRY(check_endpoint(e, false));
  return {};
}
Status check_cluster(std::string_view v) { return parse_cluster(v).status(); }

Status check_capabilities(std::string_view v) {
  RCS_ASSIGN(pairs, parse_pairs(v));
  if (pairs.empty()) return {RAFTCS_ERR_INVALID_ARGUMENT, "at least one name=value is needed"};
  if (pairs.size() > kCapabilitiesMax)
    return {RAFTCS_ERR_INVALID_ARGUMENT,
            "at most " + std::to_string(kCapabilitiesMax) + " name=value are allowed"};
  for (const auto& [name, value] : pairs) {
    const bool good_name = std::all_of(name.begin(), name.end(), [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
             c == '_' || c == '-' || c == '.';
    });
    if (!good_name || name.size() > kCapabilityBytesMax)
      return {RAFTCS_ERR_INVALID_ARGUMENT,
              "'" + name.substr(0, 80) + "': a name is 1 to 255 of letters, digits, '_', '-', '.'"};
    if (value.empty() || value.size() > kCapabilityBytesMax)
      return {RAFTCS_ERR_INVALID_ARGUMENT, "the value of '" + name + "' is not 1 to 255 bytes"};
  }
  return {};
}
Status check_client_name(std::string_view v) {
  if (v.size() <= kClientNameBytesMax) return {};
  return {RAFTCS_ERR_INVALID_ARGUMENT,
          "a name has at most " + std::to_string(kClientNameBytesMax) + " bytes"};
}
Status check_cluster_id(std::string_view v) {
  Uuid id;
  if (v.empty() || Uuid::parse(v, &id)) return {};
  return {RAFTCS_ERR_INVALID_ARGUMENT, "32 hexadecimal digits are expected"};
}

constexpr Setting kSettings[] = {
    {"server.id", Type::integer, "0", "0..18446744073709551615", "",
     "Number of this member, unique in the cluster for ever; 0 is none and must be replaced.",
     nullptr},
    {"server.data", Type::text, "", "", "",
     "Directory with the member's log and snapshots; made when absent. Needed by a server.",
     nullptr},
    {"server.client_listen", Type::text, "tcp://127.0.0.1:7001", "", "",
     "Where clients connect; port 0 or * takes a free one.", check_listen},
    {"server.peer_listen", Type::text, "tcp://127.0.0.1:7101", "", "",
     "Where the other members connect; port 0 or * takes a free one.", check_listen},
    {"server.client_advertise", Type::text, "", "", "",
     "The address clients are told; empty: the one in server.cluster, else the one listened on.",
     check_advertise},
    {"server.peer_advertise", Type::text, "", "", "",
     "The address the other members are told; empty: the one in server.cluster, else the one "
     "listened on.",
     check_advertise},
    {"server.plugins", Type::text, "", "", "",
     "Directory whose state machine plugins are loaded; empty: no plugin is loaded.", nullptr},
    {"server.cluster", Type::text, "", "", "",
     "First members of a new cluster, ID=PEER_ADDRESS/CLIENT_ADDRESS with commas between, equal on "
     "all of them. Empty on an empty data directory: a cluster of this server alone.",
     check_cluster},
    {"server.join", Type::text, "", "", "",
     "Client addresses (tcp://host:port, commas between) of a running cluster. A server with an "
     "empty data directory takes the cluster's identity from there and waits to be added.",
     check_endpoints},
    {"server.auto_services", Type::boolean, "true", "", "",
     "A new cluster gets one service for each state machine type found.", nullptr},
    {"cluster.name", Type::text, "raftcs", "", "",
     "Part of a new cluster's identity; servers of unlike names do not talk.", nullptr},

    {"raft.heartbeat_ms", Type::duration_ms, "50", "1..60000", "ms",
     "How often a leader with nothing to send is heard.", nullptr},
    {"raft.election_timeout_ms", Type::duration_ms, "500", "10..600000", "ms",
     "Silence after which a follower seeks election; the real value is drawn between it and its "
     "double.",
     nullptr},
    {"raft.append_bytes", Type::bytes, "1048576", "4096..67108864", "bytes",
     "Most log bytes in one message to a follower.", nullptr},
    {"batch.bytes", Type::bytes, "1048576", "4096..67108864", "bytes",
     "Most command bytes gathered into one log entry.", nullptr},
    {"batch.commands", Type::integer, "4096", "1..1000000", "",
     "Most commands gathered into one log entry.", nullptr},
    {"log.segment_bytes", Type::bytes, "67108864", "65536..4294967296", "bytes",
     "Size of one file of the log.", nullptr},
    {"log.disk_reserve_bytes", Type::bytes, "33554432", "0..1099511627776", "bytes",
     "Below this much free disk space writes are refused until there is more.", nullptr},
    {"storage.on_damage", Type::text, "heal", "heal|refuse", "",
     "When log or snapshot are found damaged at the start: set them aside, begin with an empty log "
     "and get the data from the other members (heal), or do not start (refuse).",
     nullptr},
    {"storage.reseed", Type::boolean, "false", "", "",
     "Give it for one start: all data of this server is set aside as if it were damaged, and comes "
     "from the other members. For a server whose state differs from theirs.",
     nullptr},
    {"storage.scrub_mib_per_s", Type::integer, "1", "0..1024", "MiB/s",
     "Log and snapshots are read again while the server runs, to find damage before it is needed, "
     "no faster than this; 0: never.",
     nullptr},
    {"storage.scrub_period_ms", Type::duration_ms, "3600000", "10..2592000000", "ms",
     "All files are read again once in this time, or as often as storage.scrub_mib_per_s allows.",
     nullptr},
    {"snapshot.entries", Type::integer, "100000", "1..1000000000000", "",
     "A snapshot is made after this many log entries...", nullptr},
    {"snapshot.log_bytes", Type::bytes, "268435456", "65536..1099511627776", "bytes",
     "...or after this many log bytes, whichever comes first.", nullptr},
    {"snapshot.trailing_entries", Type::integer, "1024", "0..1000000000", "",
     "Log entries kept behind a snapshot for followers that are a little late.", nullptr},

    {"limits.payload_bytes", Type::bytes, "1048576", "1..67108864", "bytes",
     "Largest command and query; results of queries may be as large, or 16 MiB. Replies and "
     "server-started requests: 16 MiB.",
     nullptr},
    {"limits.frame_bytes", Type::bytes, "67108864", "65536..1073741824", "bytes",
     "Largest message on the network.", nullptr},
    {"limits.sessions", Type::integer, "100000", "1..10000000", "",
     "Most client sessions of a cluster.", nullptr},
    {"limits.requests_per_session", Type::integer, "1024", "1..1000000", "",
     "Most unanswered requests of one session.", nullptr},
    {"limits.inflight_bytes", Type::bytes, "67108864", "65536..68719476736", "bytes",
     "Most bytes of requests accepted and not yet answered; more are told to wait. Commands and "
     "queries count apart, each with 256 bytes more than it has.",
     nullptr},
    {"limits.queue_delay_ms", Type::duration_ms, "250", "0..60000", "ms",
     "Accepted requests wait about this long at most: what the cluster does not get done in it is "
     "told to wait at once. 0: only limits.inflight_bytes counts.",
     nullptr},
    {"limits.commands_per_second", Type::integer, "0", "0..10000000", "",
     "Most commands of one session in a second; 0: any number.", nullptr},
    {"limits.queries_per_second", Type::integer, "0", "0..10000000", "",
     "Most queries of one session in a second; 0: any number.", nullptr},
    {"limits.sessions_per_second", Type::integer, "0", "0..10000000", "",
     "Most sessions opened at one server in a second; 0: any number.", nullptr},
    {"limits.uncommitted_bytes", Type::bytes, "67108864", "65536..68719476736", "bytes",
     "Most log bytes a leader holds before a majority has them.", nullptr},
    {"session.timeout_min_ms", Type::duration_ms, "1000", "10..3600000", "ms",
     "Shortest session timeout a client may have.", nullptr},
    {"session.timeout_max_ms", Type::duration_ms, "600000", "10..86400000", "ms",
     "Longest session timeout a client may have.", nullptr},

    {"client.endpoints", Type::text, "", "", "",
     "Client addresses (tcp://host:port, commas between) of some or all servers. Needed by a "
     "client.",
     check_endpoints},
    {"client.name", Type::text, "", "", "", "A name for people, shown in lists of sessions.",
     check_client_name},
    {"client.capabilities", Type::text, "client=raftcs", "", "",
     "name=value with commas between; state machines see them when the session begins.",
     check_capabilities},
    {"client.session_timeout_ms", Type::duration_ms, "10000", "10..86400000", "ms",
     "The session ends when the cluster has not heard of the client for this long.", nullptr},
    {"client.connect_timeout_ms", Type::duration_ms, "2000", "10..600000", "ms",
     "Time for one server to answer before the next one is tried; to continue a session at most a "
     "quarter of its timeout, times the number of the attempt.",
     nullptr},
    {"client.request.timeout_ms", Type::duration_ms, "30000", "-1..86400000", "ms",
     "Time for an operation to end when the call does not say; -1 or 0: no limit.", nullptr},
    {"client.request.outstanding_max", Type::integer, "10000", "1..10000000", "",
     "Most operations whose event has not been taken; more are refused with BUSY.", nullptr},
    {"client.request.window", Type::integer, "1024", "1..1000000", "",
     "Most requests sent and unanswered; the others wait in the client.", nullptr},
    {"client.backoff.min_ms", Type::duration_ms, "20", "1..600000", "ms",
     "First pause between attempts to reach the cluster.", nullptr},
    {"client.backoff.max_ms", Type::duration_ms, "1000", "1..600000", "ms",
     "Longest pause between attempts to reach the cluster.", nullptr},
    {"client.push.ack", Type::text, "auto", "auto|manual", "",
     "Server-started requests are acknowledged when taken from the queue (auto) or by "
     "raftcs_client_ack (manual).",
     nullptr},
    {"client.expiry", Type::text, "report", "report|renew", "",
     "When the session has ended: stay lost and say so (report), or say so and open a new one "
     "(renew).",
     nullptr},
    {"client.cluster_id", Type::text, "", "", "",
     "Identity of the cluster, 32 hexadecimal digits; servers of another are refused. Empty: the "
     "first one met.",
     check_cluster_id},
};

size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
    }
  }
  return row[b.size()];
}

}  // namespace

const char* type_name(Type type) {
  switch (type) {
    case Type::integer:
      return "int";
    case Type::boolean:
      return "bool";
    case Type::text:
      return "string";
    case Type::duration_ms:
      return "duration_ms";
    case Type::bytes:
      return "bytes";
  }
  return "";
}

std::span<const Setting> settings() { return kSettings; }

const Setting* find(std::string_view name) {
  for (const Setting& s : kSettings) {
    if (name == s.name) return &s;
  }
  return nullptr;
}

std::string_view nearest_name(std::string_view name) {
  if (name.size() > 100) return "";
  std::string_view best;
  size_t best_distance = std::max<size_t>(3, name.size() / 3) + 1;
  for (const Setting& s : kSettings) {
    size_t d = edit_distance(name, s.name);
    // A name without its group ("endpoints") is as near as a slip of one letter.
    std::string_view full = s.name;
    if (!name.empty() && full.size() > name.size() + 1 && full.ends_with(name) &&
        full[full.size() - name.size() - 1] == '.') {
      d = std::min<size_t>(d, 1);
    }
    if (d < best_distance) {
      best_distance = d;
      best = s.name;
    }
  }
  return best;
}

std::string settings_page() {
  std::string page =
      "# Settings\n\n"
      "Printed from the table in `src/config/settings.cpp`; a test compares the two.\n\n"
      "A setting is given by `raftcs_config_set`, by `--set NAME=VALUE` of the programs, or in a "
      "TOML file, where a\ntable `[client.request]` with the key `timeout_ms` is the setting "
      "`client.request.timeout_ms`. Sizes may end in\n`KiB`, `MiB` or `GiB`.\n\n"
      "| name | type | default | range | unit | meaning |\n"
      "|---|---|---|---|---|---|\n";
  for (const Setting& s : kSettings) {
    std::string range = s.range;
    for (size_t at = range.find('|'); at != std::string::npos; at = range.find('|', at + 2)) {
      range.insert(at, "\\");
    }
    std::string value = *s.default_value ? "`" + std::string(s.default_value) + "`" : "";
    page += "| `" + std::string(s.name) + "` | " + type_name(s.type) + " | " + value + " | " +
            range + " | " + s.unit + " | " + s.text + " |\n";
  }
  return page;
}

}  // namespace raftcs::config
