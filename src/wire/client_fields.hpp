// client_fields.hpp: the fields of each message that a client sends, in wire order.
//
// walk() is run by FieldReader and FieldWriter (field_io.hpp) and by whatever else goes
// over fields by name. New fields go to the end and raise kCount only together with the
// protocol version (docs/protocol.md, versions): a receiver refuses what lacks fields.
#pragma once

#include "wire/client_messages.hpp"

namespace raftcs::wire {

template <class M>
struct Fields;

template <>
struct Fields<Hello> {
  static constexpr MessageType kType = MessageType::hello;
  static constexpr const char* kName = "hello";
  static constexpr uint32_t kCount = 4;
  template <class Io, class M>
  static void walk(Io& io, M& m) {
    io.u32("version_min", m.version_min);
    io.u32("version_max", m.version_max);
    io.uuid_or_nil("cluster", m.cluster);
    io.sentence("client_name", m.client_name);
  }
};

template <>
struct Fields<CreateSession> {
  static constexpr MessageType kType = MessageType::create_session;
  static constexpr const char* kName = "create_session";
  static constexpr uint32_t kCount = 5;
  template <class Io, class M>
  static void walk(Io& io, M& m) {
    io.channel("channel", m.channel);
    io.nonce("nonce", m.nonce);
    io.uuid("proof", m.proof);
    io.u64("timeout_ms", m.timeout_ms);
    io.capabilities("capabilities", m.capabilities);
  }
};

template <>
struct Fields<ContinueSession> {
  static constexpr MessageType kType = MessageType::continue_session;
  static constexpr const char* kName = "continue_session";
  static constexpr uint32_t kCount = 6;
  template <class Io, class M>
  static void walk(Io& io, M& m) {
    io.channel("channel", m.channel);
    io.nonce("nonce", m.nonce);
    io.uuid("session", m.session);
    io.uuid("proof", m.proof);
    io.id_or_zero("received_push", m.received_push);
    io.id_or_zero("holder", m.holder);
  }
};

template <>
struct Fields<KeepAlive> {
  static constexpr MessageType kType = MessageType::keep_alive;
  static constexpr const char* kName = "keep_alive";
  static constexpr uint32_t kCount = 2;
  template <class Io, class M>
  static void walk(Io& io, M& m) {
    io.channel("channel", m.channel);
    io.u64("timestamp", m.timestamp);
  }
};

template <>
struct Fields<Request> {
  static constexpr MessageType kType = MessageType::request;
  static constexpr const char* kName = "request";
  static constexpr uint32_t kCount = 5;
  template <class Io, class M>
  static void walk(Io& io, M& m) {
    io.channel("channel", m.channel);
    io.id("id", m.id);
    io.id("lowest_pending", m.lowest_pending);
    io.not_above("lowest_pending", m.lowest_pending, m.id);
    io.text("service", m.service);
    io.payload("payload", m.payload);
  }
};

template <>
struct Fields<Query> {
  static constexpr MessageType kType = MessageType::query;
  static constexpr const char* kName = "query";
  static constexpr uint32_t kCount = 5;
  template <class Io, class M>
  static void walk(Io& io, M& m) {
    io.u32("channel", m.channel);
    io.u64("correlation", m.correlation);
    io.text("service", m.service);
    io.payload("payload", m.payload);
    io.choice("consistency", m.consistency, Consistency::linearizable, Consistency::stale);
  }
};

template <>
struct Fields<PushAck> {
  static constexpr MessageType kType = MessageType::push_ack;
  static constexpr const char* kName = "push_ack";
  static constexpr uint32_t kCount = 2;
  template <class Io, class M>
  static void walk(Io& io, M& m) {
    io.channel("channel", m.channel);
    io.id_or_zero("up_to", m.up_to);
  }
};

template <>
struct Fields<CloseSession> {
  static constexpr MessageType kType = MessageType::close_session;
  static constexpr const char* kName = "close_session";
  static constexpr uint32_t kCount = 1;
  template <class Io, class M>
  static void walk(Io& io, M& m) {
    io.channel("channel", m.channel);
  }
};

template <>
struct Fields<Admin> {
  static constexpr MessageType kType = MessageType::admin;
  static constexpr const char* kName = "admin";
  static constexpr uint32_t kCount = 3;
  template <class Io, class M>
  static void walk(Io& io, M& m) {
    io.u64("correlation", m.correlation);
    io.text("verb", m.verb);
    io.json("args", m.args);
  }
};

template <>
struct Fields<TopologyRequest> {
  static constexpr MessageType kType = MessageType::topology_request;
  static constexpr const char* kName = "topology_request";
  static constexpr uint32_t kCount = 0;
  template <class Io, class M>
  static void walk(Io&, M&) {}
};

}  // namespace raftcs::wire
