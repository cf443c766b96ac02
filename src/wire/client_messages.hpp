// client_messages.hpp: the messages between a client and a server, as plain structs.
//
// A frame is one ZeroMQ message part: the msgpack array [magic, version, type, items].
// `items` is an array of messages of that type, each an array of fields in the order
// below: every frame is a batch, most of them of one. Unknown trailing fields are
// ignored; an unknown type is answered `unsupported`. docs/protocol.md is the reference
// a stranger writes a client from; the fixtures in tests/fixtures are its examples.
//
// One connection carries many sessions. The client names each by a `channel`, a number
// it chooses for the life of the connection and binds by create_session or
// continue_session. Bytes fields of decoded messages share the frame's memory.
#pragma once

#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/bytes.hpp"
#include "base/holder.hpp"
#include "base/strong_id.hpp"
#include "base/uuid.hpp"
#include "raftcs_status.h"

namespace raftcs::wire {

constexpr uint32_t kMagic = 0x52435331;  // "RCS1"
constexpr uint32_t kVersionMin = 1;
constexpr uint32_t kVersionMax = 1;

using Channel = uint32_t;  // 1..2^32-1, chosen by the client per connection

// Never renumbered. Client to server below 64, server to client from 64.
enum class MessageType : uint8_t {
  hello = 1,
  create_session = 2,
  continue_session = 3,
  keep_alive = 4,
  request = 5,
  query = 6,
  push_ack = 7,
  close_session = 8,
  admin = 9,
  topology_request = 10,

  welcome = 64,
  session_created = 65,
  session_continued = 66,
  session_rejected = 67,
  session_closed = 68,
  keep_alive_reply = 69,
  response = 70,
  query_response = 71,
  request_error = 72,
  push = 73,
  topology = 74,
  admin_reply = 75,
  unsupported = 76,
  push_reset = 77,
};

enum class RejectReason : uint8_t {
  not_leader = 1,           // leader may be known
  session_expired = 2,      // or never existed
  invalid = 3,              // capabilities, nonce or proof malformed
  wrong_proof = 4,
  overloaded = 5,           // retry_after_ms
  limit = 6,                // too many sessions
  draining = 7,             // the server is stopping
  wrong_cluster = 8,
  taken_over = 9,           // by a newer holder; `holder` says which
};
enum class CloseReason : uint8_t {
  shutdown = 1,             // the server stops; go elsewhere
  not_leader = 2,           // go to the leader, if known
  session_error = 3,        // the channel is not bound here: continue again
  taken_over = 4,           // another connection holds the session now
  expired = 5,
  closed = 6,               // answers close_session
};
enum class Consistency : uint8_t {
  linearizable = 0,
  stale = 1,  // what the asked member has applied
};

// Where the leader is; id 0: not known, ask again after retry_after_ms.
struct LeaderHint {
  NodeId id;
  std::string client_address;
  bool operator==(const LeaderHint&) const = default;
};
struct MemberInfo {
  NodeId id;
  std::string client_address;
  bool voter = true;
  bool operator==(const MemberInfo&) const = default;
};

// --- client to server ---------------------------------------------------------------
struct Hello {
  uint32_t version_min = kVersionMin;
  uint32_t version_max = kVersionMax;
  Uuid cluster;  // zero: any
  std::string client_name;
  bool operator==(const Hello&) const = default;
};
constexpr size_t kCapabilityBytesMax = 255;  // of a name, and of a value

struct CreateSession {
  Channel channel = 0;
  uint64_t nonce = 0;  // non-zero, higher than of any attempt before, echoed
  Uuid proof;          // the session's secret; the same proof asks for the same session
  uint64_t timeout_ms = 0;  // wished; the welcome's limits apply
  std::vector<std::pair<std::string, std::string>> capabilities;
  bool operator==(const CreateSession&) const = default;
};
struct ContinueSession {
  Channel channel = 0;
  uint64_t nonce = 0;
  Uuid session;
  Uuid proof;
  PushId received_push;  // highest server-started request the client has; go on after it
  HolderId holder{};     // 0: the process that created the session
  bool operator==(const ContinueSession&) const = default;
};
struct KeepAlive {
  Channel channel = 0;
  uint64_t timestamp = 0;  // opaque, echoed
  bool operator==(const KeepAlive&) const = default;
};
struct Request {
  Channel channel = 0;
  RequestId id;
  RequestId lowest_pending;
  std::string service;
  Bytes payload;
  bool operator==(const Request&) const = default;
};
struct Query {
  Channel channel = 0;  // 0: outside a session
  uint64_t correlation = 0;
  std::string service;
  Bytes payload;
  Consistency consistency = Consistency::linearizable;
  bool operator==(const Query&) const = default;
};
struct PushAck {
  Channel channel = 0;
  PushId up_to;
  bool operator==(const PushAck&) const = default;
};
struct CloseSession {
  Channel channel = 0;
  bool operator==(const CloseSession&) const = default;
};
struct Admin {
  uint64_t correlation = 0;
  std::string verb;  // "status", "transfer", ...
  std::string args;  // a JSON object, or empty
  bool operator==(const Admin&) const = default;
};
struct TopologyRequest {
  bool operator==(const TopologyRequest&) const = default;
};

// --- server to client ---------------------------------------------------------------
struct Welcome {
  uint32_t version = 0;  // chosen; 0: none in common
  uint32_t version_min = 0;
  uint32_t version_max = 0;
  Uuid cluster;
  NodeId node;
  LeaderHint leader;
  std::vector<MemberInfo> members;
  uint64_t payload_bytes_max = 0;
  uint64_t requests_max = 0;         // outstanding per session
  uint64_t session_timeout_ms_min = 0;
  uint64_t session_timeout_ms_max = 0;
  bool operator==(const Welcome&) const = default;
};
struct SessionCreated {
  Channel channel = 0;
  uint64_t nonce = 0;
  Uuid session;
  uint64_t timeout_ms = 0;  // in force
  bool operator==(const SessionCreated&) const = default;
};
struct SessionContinued {
  Channel channel = 0;
  uint64_t nonce = 0;
  uint64_t timeout_ms = 0;
  RequestId highest_request;  // highest request id the cluster has applied
  bool operator==(const SessionContinued&) const = default;
};
struct SessionRejected {
  Channel channel = 0;
  uint64_t nonce = 0;
  RejectReason reason = RejectReason::not_leader;
  LeaderHint leader;
  uint64_t retry_after_ms = 0;
  std::string text;
  HolderId holder{};  // with taken_over: who holds the session
  bool operator==(const SessionRejected&) const = default;
};
struct SessionClosed {
  Channel channel = 0;
  CloseReason reason = CloseReason::session_error;
  LeaderHint leader;
  bool operator==(const SessionClosed&) const = default;
};
struct KeepAliveReply {
  Channel channel = 0;
  uint64_t timestamp = 0;
  bool operator==(const KeepAliveReply&) const = default;
};
struct Response {
  Channel channel = 0;
  RequestId id;
  int32_t app_code = 0;
  Bytes result;
  Index index;
  bool operator==(const Response&) const = default;
};
struct QueryResponse {
  Channel channel = 0;
  uint64_t correlation = 0;
  raftcs_status_t status = 0;  // not OK: not answered (NOT_LEADER, NO_LEADER, BUSY, NOT_FOUND ...)
  int32_t app_code = 0;
  Bytes result;
  Index index;  // served after applying up to here
  LeaderHint leader;           // with NOT_LEADER
  uint64_t retry_after_ms = 0; // with BUSY, NO_LEADER
  bool operator==(const QueryResponse&) const = default;
};
// A request that was not applied and why; evicted is the exception (applied once, long ago).
struct RequestError {
  Channel channel = 0;
  RequestId id;
  raftcs_status_t status = 0;
  uint64_t retry_after_ms = 0;
  std::string text;
  bool operator==(const RequestError&) const = default;
};
struct Push {
  Channel channel = 0;
  PushId id;
  Bytes payload;
  uint64_t created_ns = 0;  // cluster time
  bool operator==(const Push&) const = default;
};
// Requests first..last were acknowledged by an earlier holder of the session; they are gone and
// the next one is last + 1.
struct PushReset {
  Channel channel = 0;
  PushId first;
  PushId last;
  bool operator==(const PushReset&) const = default;
};
struct Topology {
  LeaderHint leader;
  std::vector<MemberInfo> members;
  bool operator==(const Topology&) const = default;
};
struct AdminReply {
  uint64_t correlation = 0;
  raftcs_status_t status = 0;
  std::string text;  // error sentence
  std::string json;  // result
  LeaderHint leader; // with NOT_LEADER
  bool operator==(const AdminReply&) const = default;
};
struct Unsupported {
  uint32_t version = 0;
  uint32_t type = 0;
  bool operator==(const Unsupported&) const = default;
};

using ClientMessage = std::variant<Hello, CreateSession, ContinueSession, KeepAlive, Request, Query,
                                   PushAck, CloseSession, Admin, TopologyRequest>;
using ServerMessage = std::variant<Welcome, SessionCreated, SessionContinued, SessionRejected,
                                   SessionClosed, KeepAliveReply, Response, QueryResponse,
                                   RequestError, Push, Topology, AdminReply, Unsupported,
                                   PushReset>;

}  // namespace raftcs::wire
