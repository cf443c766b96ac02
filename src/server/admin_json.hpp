// admin_json.hpp: reading arguments and writing answers of administration (private).
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "raft/types.hpp"

namespace raftcs::server {

// dump() that cannot throw: bytes that are no UTF-8 are replaced.
inline std::string text_of(const nlohmann::json& j) {
  return j.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

inline std::string text_arg(const nlohmann::json& args, const char* name) {
  auto it = args.find(name);
  return it != args.end() && it->is_string() ? it->get<std::string>() : std::string();
}

// 0 when it is not there or is no number that fits.
inline uint64_t number_arg(const nlohmann::json& args, const char* name) {
  auto it = args.find(name);
  return it != args.end() && it->is_number_unsigned() ? it->get<uint64_t>() : 0;
}

inline bool flag_arg(const nlohmann::json& args, const char* name) {
  auto it = args.find(name);
  return it != args.end() && it->is_boolean() && it->get<bool>();
}

inline const char* role_text(raft::MemberRole role) {
  switch (role) {
    case raft::MemberRole::voter:
      return "voter";
    case raft::MemberRole::learner:
      return "learner";
    case raft::MemberRole::leaving:
      return "leaving";
  }
  return "unknown";
}

inline nlohmann::json member_json(const raft::Member& m) {
  return {{"id", m.id.value},
          {"peer_address", m.peer_address},
          {"client_address", m.client_address},
          {"role", role_text(m.role)},
          {"returning", m.returning},
          {"priority", m.priority},
          {"incarnation", m.incarnation.is_zero() ? std::string() : m.incarnation.hex()}};
}

}  // namespace raftcs::server
