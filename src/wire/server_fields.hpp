// server_fields.hpp: the fields of each message that a server sends, in wire order.
//
// See client_fields.hpp for the rules.
#pragma once

#include "wire/client_fields.hpp"
#include "wire/client_messages.hpp"

namespace raftcs::wire {

template <>
struct Fields<Welcome> {
  static constexpr MessageType kType = MessageType::welcome;
  static constexpr const char* kName = "welcome";
  static constexpr uint32_t kCount = 11;
  template <class Io, class M>
  static void walk(Io& io, M& m) {
    io.u32("version", m.version);
    io.u32("version_min", m.version_min);
    io.u32("version_max", m.version_max);
    io.uuid_or_nil("cluster", m.cluster);
    io.id_or_zero("node", m.node);
    io.leader("leader", m.leader);
    io.members("members", m.members);
    io.u64("payload_bytes_max", m.payload_bytes_max);
    io.u64("requests_max", m.requests_max);
    io.u64("session_timeout_ms_min", m.session_timeout_ms_min);
    io.u64("session_timeout_ms_max", m.session_timeout_ms_max);
  }
};

template <>
struct Fields<SessionCreated> {
  static constexpr MessageType kType = MessageType::session_created;
  static constexpr const char* kName = "session_created";
  static constexpr uint32_t kCount = 4;
  template <class Io, class M>
  static void walk(Io& io, M& m) {
    io.channel("channel", m.channel);
    io.nonce("nonce", m.nonce);
    io.uuid("session", m.session);
    io.u64("timeout_ms", m.timeout_ms);
  }
};

template <>
struct Fields<SessionContinued> {
  static constexpr MessageType kType = MessageType::session_continued;
  static constexpr const char* kName = "session_continued";
  static constexpr uint32_t kCount = 4;
  template <class Io, class M>
  static void walk(Io& io, M& m) {
    io.channel("channel", m.channel);
    io.nonce("nonce", m.nonce);
    io.u64("timeout_ms", m.timeout_ms);
    io.id_or_zero("highest_request", m.highest_request);
  }
};

template <>
struct Fields<SessionRejected> {
  static constexpr MessageType kType = MessageType::session_rejected;
  static constexpr const char* kName = "session_rejected";
  static constexpr uint32_t kCount = 7;
  template <class Io, class M>
  static void walk(Io& io, M& m) {
    io.channel("channel", m.channel);
    io.nonce("nonce", m.nonce);
    io.choice("reason", m.reason, RejectReason::not_leader, RejectReason::taken_over);
    io.leader("leader", m.leader);
    io.u64("retry_after_ms", m.retry_after_ms);
    io.sentence("text", m.text);
    io.id_or_zero("holder", m.holder);
  }
};

template <>
struct Fields<SessionClosed> {
  static constexpr MessageType kType = MessageType::session_closed;
  static constexpr const char* kName = "session_closed";
  static constexpr uint32_t kCount = 3;
  template <class Io, class M>
  static void walk(Io& io, M& m) {
    io.channel("channel", m.channel);
    io.choice("reason", m.reason, CloseReason::shutdown, CloseReason::closed);
    io.leader("leader", m.leader);
  }
};

template <>
struct Fields<KeepAliveReply> {
  static constexpr MessageType kType = MessageType::keep_alive_reply;
  static constexpr const char* kName = "keep_alive_reply";
  static constexpr uint32_t kCount = 2;
  template <class Io, class M>
  static void walk(Io& io, M& m) {
    io.channel("channel", m.channel);
    io.u64("timestamp", m.timestamp);
  }
};

template <>
struct Fields<Response> {
  static constexpr MessageType kType = MessageType::response;
  static constexpr const char* kName = "response";
  static constexpr uint32_t kCount = 5;
  template <class Io, class M>
  static void walk(Io& io, M& m) {
    io.channel("channel", m.channel);
    io.id("id", m.id);
    io.i32("app_code", m.app_code);
    io.payload("result", m.result);
    io.id_or_zero("index", m.index);
  }
};

template <>
struct Fields<QueryResponse> {
  static constexpr MessageType kType = MessageType::query_response;
  static constexpr const char* kName = "query_response";
  static constexpr uint32_t kCount = 8;
  template <class Io, class M>
  static void walk(Io& io, M& m) {
    io.u32("channel", m.channel);
    io.u64("correlation", m.correlation);
    io.i32("status", m.status);
    io.i32("app_code", m.app_code);
    io.payload("result", m.result);
    io.id_or_zero("index", m.index);
    io.leader("leader", m.leader);
    io.u64("retry_after_ms", m.retry_after_ms);
  }
};

template <>
struct Fields<RequestError> {
  static constexpr MessageType kType = MessageType::request_error;
  static constexpr const char* kName = "request_error";
  static constexpr uint32_t kCount = 5;
  template <class Io, class M>
  static void walk(Io& io, M& m) {
    io.channel("channel", m.channel);
    io.id("id", m.id);
    io.i32("status", m.status);
    io.u64("retry_after_ms", m.retry_after_ms);
    io.sentence("text", m.text);
  }
};

template <>
struct Fields<Push> {
  static constexpr MessageType kType = MessageType::push;
  static constexpr const char* kName = "push";
  static constexpr uint32_t kCount = 4;
  template <class Io, class M>
  static void walk(Io& io, M& m) {
    io.channel("channel", m.channel);
    io.id("id", m.id);
    io.payload("payload", m.payload);
    io.u64("created_ns", m.created_ns);
  }
};

template <>
struct Fields<PushReset> {
  static constexpr MessageType kType = MessageType::push_reset;
  static constexpr const char* kName = "push_reset";
  static constexpr uint32_t kCount = 3;
  template <class Io, class M>
  static void walk(Io& io, M& m) {
    io.channel("channel", m.channel);
    io.id("first", m.first);
    io.id("last", m.last);
  }
};

template <>
struct Fields<Topology> {
  static constexpr MessageType kType = MessageType::topology;
  static constexpr const char* kName = "topology";
  static constexpr uint32_t kCount = 2;
  template <class Io, class M>
  static void walk(Io& io, M& m) {
    io.leader("leader", m.leader);
    io.members("members", m.members);
  }
};

template <>
struct Fields<AdminReply> {
  static constexpr MessageType kType = MessageType::admin_reply;
  static constexpr const char* kName = "admin_reply";
  static constexpr uint32_t kCount = 5;
  template <class Io, class M>
  static void walk(Io& io, M& m) {
    io.u64("correlation", m.correlation);
    io.i32("status", m.status);
    io.sentence("text", m.text);
    io.json("json", m.json);
    io.leader("leader", m.leader);
  }
};

template <>
struct Fields<Unsupported> {
  static constexpr MessageType kType = MessageType::unsupported;
  static constexpr const char* kName = "unsupported";
  static constexpr uint32_t kCount = 2;
  template <class Io, class M>
  static void walk(Io& io, M& m) {
    io.u32("version", m.version);
    io.u32("type", m.type);
  }
};

}  // namespace raftcs::wire
