// admin_services.cpp: services are made: on demand, and the first ones of a new cluster.
//
// What must hold: nothing is proposed that this replica could not apply. An operation that fails
// stops every replica for good, so the apply lane tries it first (ApplyTryServices).
#include "server/admin_json.hpp"
#include "server/node_impl.hpp"

namespace raftcs::server {
namespace {

using nlohmann::json;

constexpr size_t kServicesWaitingMax = 256;  // each: to be tried, to be applied
constexpr uint64_t kAutoServices = 0;        // in the place of a caller's token

bool good_service_name(const std::string& name) {
  if (name.empty() || name.size() > 64) return false;
  for (char c : name)
    if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.'))
      return false;
  return true;
}

}  // namespace

// A new cluster: one service per type found here.
void Node::Impl::try_auto_services() {
  if (!options_.auto_services || !services_.empty() || !environment_.list_plugins) return;
  std::map<std::string, std::string> wanted;
  for (const PluginFile& file : environment_.list_plugins())
    for (const std::string& type : file.types)
      wanted.emplace(type.substr(type.rfind('.') + 1), type);
  ApplyTryServices job{kAutoServices, {}};
  for (const auto& [name, type] : wanted) job.wanted.push_back({name, type});
  if (!job.wanted.empty()) out_.apply.push_back(std::move(job));
}

void Node::Impl::admin_service_create(const AdminOrigin& origin, const std::string& name,
                                      const std::string& type) {
  if (!good_service_name(name))
    return admin_reply(
        origin,
        {RAFTCS_ERR_INVALID_ARGUMENT, "a service name is 1 to 64 of a-z, 0-9, '_', '-', '.'"}, {});
  if (services_.contains(name))
    return admin_reply(
        origin, {RAFTCS_ERR_ALREADY_EXISTS, "there is a service '" + name + "' already"}, {});
  if (admin_tries_.size() >= kServicesWaitingMax || admin_services_.size() >= kServicesWaitingMax)
    return admin_reply(origin, {RAFTCS_ERR_BUSY, "too many services are being created"}, {});
  admin_tries_[++admin_token_] = origin;
  out_.apply.push_back(ApplyTryServices{admin_token_, {{name, type}}});
}

void Node::Impl::services_tried(ServicesTried&& done) {
  if (done.token == kAutoServices) {
    if (!serving() || !services_.empty()) return;
    for (const auto& [op, status] : done.tried) {
      if (status.is_ok())
        batch_.add(op);
      else
        log_line(RAFTCS_LOG_WARNING, "no service is made: " + status.text());
    }
    return;
  }
  if (auto list = admin_plugins_.extract(done.token); !list.empty())
    return admin_reply(list.mapped(), Status::ok(), plugins_json());
  auto waits = admin_tries_.extract(done.token);
  if (waits.empty() || done.tried.empty()) return;
  auto& [op, status] = done.tried.front();
  if (status.is_ok() && !serving())  // not any more
    status = {RAFTCS_ERR_NOT_LEADER, "this server does not lead"};
  if (status.is_ok() && admin_services_.contains(op.name))  // whose outcome would be told to both
    status = {RAFTCS_ERR_BUSY, "the service '" + op.name + "' is being created already"};
  if (!status.is_ok()) return admin_reply(waits.mapped(), status, {});
  admin_services_[op.name] = {waits.mapped(), op.type};
  batch_.add(op);
}

void Node::Impl::service_created(const rsm::ServiceCreated& created) {
  if (created.num) services_[created.name] = {created.num, created.name, created.type};
  const auto waits = admin_services_.extract(created.name);
  if (waits.empty()) return;
  json reply{{"name", created.name}, {"type", created.type}, {"number", created.num.value}};
  Status status;
  if (!created.num)
    status = {RAFTCS_ERR_ALREADY_EXISTS, created.refused};
  else if (created.type != waits.mapped().type)  // made by somebody else a moment before
    status = {RAFTCS_ERR_ALREADY_EXISTS,
              "there is a service '" + created.name + "' already, of type '" + created.type + "'"};
  admin_reply(waits.mapped().origin, status, text_of(reply));
}

void Node::Impl::fail_admin_waiters(const Status& status) {
  for (const auto& [token, origin] : std::exchange(admin_tries_, {}))
    admin_reply(origin, status, {});
  for (const auto& [name, service] : std::exchange(admin_services_, {}))
    admin_reply(service.origin, status, {});
}

}  // namespace raftcs::server
