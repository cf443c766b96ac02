// admin.cpp: administration verbs: JSON in, JSON out (docs/operations.md).
#include "raft/membership.hpp"
#include "server/admin_json.hpp"
#include "server/node_impl.hpp"

namespace raftcs::server {
namespace {

using nlohmann::json;

constexpr size_t kListsWaitingMax = 256;  // they wait for the apply lane
constexpr size_t kSnapshotsWaitingMax = 256;

// A 64-bit number as 16 digits: many readers of JSON keep only 53 bits of a number.
std::string hex_digits(uint64_t n) {
  std::string digits(16, '0');
  for (size_t i = 16; i-- > 0; n >>= 4) digits[i] = "0123456789abcdef"[n & 0xf];
  return digits;
}

const char* role_name(raft::Role role) {
  switch (role) {
    case raft::Role::follower:
      return "follower";
    case raft::Role::pre_candidate:
      return "pre_candidate";
    case raft::Role::candidate:
      return "candidate";
    case raft::Role::leader:
      return "leader";
  }
  return "unknown";
}

// Refusals by class and reason.
json refusals_json(const Admission& admission, const Counters& counters) {
  auto of = [](const Admission::Counts& counts) {
    json j = json::object();
    for (size_t v = 1; v < kVerdicts; ++v) j[verdict_name(static_cast<Verdict>(v))] = counts[v];
    return j;
  };
  return {{"commands", of(admission.command_counts())},
          {"queries", of(admission.query_counts())},
          {"sessions", of(admission.session_counts())},
          {"sessions_limit", counters.sessions_limit},
          {"too_large", counters.too_large},
          {"admin", counters.admin_busy},
          {"connections", counters.connections_refused}};
}

}  // namespace

void Node::Impl::admin_reply(const AdminOrigin& origin, Status status, std::string reply) {
  if (origin.local) {
    out_.local_replies.push_back({origin.id, {std::move(status), std::move(reply)}});
    return;
  }
  auto conn = connections_.find(origin.conn);
  if (conn == connections_.end()) return;
  if (status.is_ok() && reply.size() > wire_limits_.payload_bytes_max)
    status = too_large("the answer", reply.size());
  wire::AdminReply m;
  m.correlation = origin.id;
  m.status = status.code();
  m.text = status.text();
  if (status.is_ok()) m.json = std::move(reply);
  if (m.status == RAFTCS_ERR_NOT_LEADER) {
    m.leader = leader_hint();
    if (!m.leader.id) m.status = RAFTCS_ERR_NO_LEADER;
  }
  send(conn->second, m);
}

void Node::Impl::admin(const AdminOrigin& origin, const std::string& verb,
                       const std::string& args_json, Mono now) {
  json args = json::object();
  if (!args_json.empty()) {
    args = json::parse(args_json, nullptr, false);
    if (args.is_discarded() || !args.is_object())
      return admin_reply(origin,
                         {RAFTCS_ERR_INVALID_ARGUMENT, "the arguments must be a JSON object"}, {});
  }
  if (verb == "status") return admin_reply(origin, Status::ok(), status_json());
  if (verb == "members") return admin_reply(origin, Status::ok(), members_json());
  if (verb == "member_status") return admin_reply(origin, Status::ok(), text_of(member_op_json()));
  if (verb == "plugins") {
    if (!stalled_.is_ok()) return admin_reply(origin, Status::ok(), plugins_json());  // as known
    if (admin_plugins_.size() >= kListsWaitingMax)
      return admin_reply(origin, {RAFTCS_ERR_BUSY, "too many lists are being asked for"}, {});
    admin_plugins_[++admin_token_] = origin;
    return out_.apply.push_back(ApplyTryServices{admin_token_, {}});  // looks for new files
  }
  if (verb == "sessions" || verb == "services") {
    if (const Status& stands = standstill(); !stands.is_ok())
      return admin_reply(origin, stands, {});
    if (admin_lists_.size() >= kListsWaitingMax)
      return admin_reply(origin, {RAFTCS_ERR_BUSY, "too many lists are being asked for"}, {});
    admin_lists_[++admin_token_] = origin;
    auto what = verb == "sessions" ? ApplyList::What::sessions : ApplyList::What::services;
    out_.apply.push_back(ApplyList{what, admin_token_});
    return;
  }
  if (verb == "snapshot") {
    if (!can_take_part()) return admin_reply(origin, failed_, {});
    if (const Status& stands = standstill(); !stands.is_ok())
      return admin_reply(origin, stands, {});
    if (applied_ <= snapshot_index_) {
      json reply{{"index", snapshot_index_.value},
                 {"note", "nothing was applied since the last snapshot"}};
      return admin_reply(origin, Status::ok(), text_of(reply));
    }
    if (admin_snapshots_.size() >= kSnapshotsWaitingMax)
      return admin_reply(origin, {RAFTCS_ERR_BUSY, "too many snapshots are being asked for"}, {});
    admin_snapshots_.push_back(origin);
    snapshot_retry_at_ = now;
    return maybe_snapshot(now);
  }
  if (verb == "drain") {
    auto it = args.find("on");
    return admin_drain(origin, it == args.end() || !it->is_boolean() || it->get<bool>(), now);
  }
  if (verb == "reseed") return admin_reseed(origin, args);
  bool leader_verb = verb == "transfer" || verb == "member_change" || verb == "service_create" ||
                     verb == "reseed_plan";
  if (!leader_verb)
    return admin_reply(
        origin, {RAFTCS_ERR_UNSUPPORTED, "this server does not know the verb '" + verb + "'"}, {});
  if (!serving())
    return admin_reply(origin, {RAFTCS_ERR_NOT_LEADER, "this server does not lead"}, {});
  if (verb == "transfer") return admin_transfer(origin, args, now);
  if (verb == "reseed_plan") return admin_reseed_plan(origin, args);
  if (verb == "member_change") return admin_member_change(origin, args, now);
  admin_service_create(origin, text_arg(args, "name"), text_arg(args, "type"));
}

void Node::Impl::admin_listed(const Listed& listed) {
  auto it = admin_lists_.find(listed.token);
  if (it == admin_lists_.end()) return;
  AdminOrigin origin = it->second;
  admin_lists_.erase(it);
  json reply = json::array();
  for (const rsm::SessionInfo& s : listed.sessions) {
    json capabilities = json::object();
    for (const auto& [name, value] : s.capabilities) capabilities[name] = value;
    auto mirrored = sessions_.find(s.num);
    reply.push_back({{"number", s.num.value},
                     {"id", s.id.hex()},
                     {"timeout_ms", s.timeout_ms},
                     {"connected", s.connected},
                     {"connected_here", mirrored != sessions_.end() && mirrored->second.bound},
                     {"created_ns", s.created.ns},
                     {"last_active_ns", s.last_active.ns},
                     {"highest_request", s.highest_request.value},
                     {"replies_cached", s.replies_cached},
                     {"last_push", s.last_push.value},
                     {"acked_push", s.acked_push.value},
                     {"capabilities", capabilities}});
  }
  for (const rsm::ServiceInfo& s : listed.services)
    reply.push_back({{"number", s.num.value}, {"name", s.name}, {"type", s.type}});
  admin_reply(origin, Status::ok(), text_of(reply));
}

std::string Node::Impl::plugins_json() const {
  json reply = json::array();
  if (environment_.list_plugins)
    for (const PluginFile& f : environment_.list_plugins())
      reply.push_back({{"file", f.file},
                       {"name", f.name},
                       {"version", f.version},
                       {"types", f.types},
                       {"error", f.error}});
  return text_of(reply);
}

std::string Node::Impl::state_json() const {
  json j{{"id", identity_.node.value}, {"role", role_name(role_)},
         {"term", term_.value},        {"leader", leader_.value},
         {"serving", serving()},       {"health", health_.is_ok() ? "ok" : health_.text()}};
  return text_of(j);
}

std::string Node::Impl::status_json() const {
  raft::NodeStatus s = raft_.status();
  json members = json::array(), peers = json::array(), services = json::array();
  for (const raft::Member& m : raft_.membership().members) members.push_back(member_json(m));
  for (const raft::PeerProgress& p : s.peers)
    peers.push_back({{"id", p.id.value},
                     {"match", p.match.value},
                     {"next", p.next.value},
                     {"active", p.recently_active},
                     {"snapshotting", p.snapshotting},
                     {"inflight", p.inflight}});
  for (const auto& [name, service] : services_)
    services.push_back({{"name", name}, {"type", service.type}});
  json j{{"id", identity_.node.value},
         {"cluster", identity_.cluster.hex()},
         {"incarnation", identity_.incarnation.hex()},
         {"role", role_name(role_)},
         {"term", s.term.value},
         {"leader", leader_.value},
         {"standing", standing_},
         {"member_change", member_op_json()},
         {"leader_address", leader_hint().client_address},
         {"client_address", options_.client_advertise},
         {"peer_address", options_.peer_advertise},
         {"serving", serving()},
         {"quorum",
          role_ == raft::Role::leader ? raft_.has_quorum_contact(now_) : leader_ != NodeId()},
         {"draining", draining_ || stopping_},
         {"commit", s.commit.value},
         {"applied", applied_.value},
         {"first_index", s.first.value},
         {"last_index", s.last.value},
         {"durable_index", s.durable.value},
         {"snapshot_index", s.snapshot.value},
         {"log_bytes", raft_.log_bytes()},
         {"log_file_bytes", log_file_bytes_},
         {"members", members},
         {"peers", peers},
         {"services", services},
         {"sessions", sessions_.size()},
         {"connections", connections_.size()},
         {"state_hash", {{"index", applied_.value}, {"hash", hex_digits(state_hash_)}}},
         {"divergence", divergence_json()},
         {"scrub", scrub_json()},
         {"reseed", reseed_marked_},
         {"health", health_.is_ok() ? "ok" : health_.text()},
         {"load",
          {{"commands_inflight", admission_.commands().used()},
           {"commands_budget", admission_.commands().budget()},
           {"queries_inflight", admission_.queries().used()},
           {"queries_budget", admission_.queries().budget()}}},
         {"counters",
          {{"requests", counters_.requests},
           {"queries", counters_.queries},
           {"replies", counters_.replies},
           {"pushes", counters_.pushes},
           {"pushes_dropped", counters_.pushes_dropped},
           {"push_resets", counters_.push_resets},
           {"ticks", counters_.ticks},
           {"entries_applied", counters_.entries_applied},
           {"refused", refusals_json(admission_, counters_)},
           {"sessions_expired", counters_.sessions_expired},
           {"malformed_client_frames", counters_.malformed_client},
           {"malformed_peer_frames", counters_.malformed_peer},
           {"foreign_peer_frames", counters_.foreign_peer},
           {"dropped_frames", counters_.dropped_frames}}}};
  return text_of(j);
}

}  // namespace raftcs::server
