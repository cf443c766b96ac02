// samples.cpp: the values. Ids, times and secrets are made up and fixed.
#include "tests/unit/wire/samples.hpp"

#include "raft/membership.hpp"
#include "tests/unit/wire/hex.hpp"

namespace raftcs::wire {
namespace {

Uuid uuid(uint8_t first) {
  Uuid u;
  for (size_t i = 0; i < u.bytes.size(); ++i) u.bytes[i] = static_cast<uint8_t>(first + i);
  return u;
}
const Uuid kCluster = uuid(0x10), kSession = uuid(0x20), kProof = uuid(0x30),
           kIncarnation = uuid(0x40);
const HolderId kHolder{uint64_t{2} << 32 | 0xabcdef01};
const LeaderHint kLeader{NodeId(2), "tcp://10.0.0.2:7000"};
const std::vector<MemberInfo> kMembers = {{NodeId(1), "tcp://10.0.0.1:7000", true},
                                          {NodeId(2), "tcp://10.0.0.2:7000", true},
                                          {NodeId(3), "tcp://10.0.0.3:7000", false}};

Bytes bytes(std::string_view text) { return Bytes::copy(text); }

class Table {
 public:
  void client(std::string name, std::vector<ClientMessage> messages) {
    Sample s;
    s.name = std::move(name);
    s.bytes = encode(messages);
    s.client = std::move(messages);
    out.push_back(std::move(s));
  }
  void server(std::string name, std::vector<ServerMessage> messages) {
    Sample s;
    s.name = std::move(name);
    s.speaker = Speaker::server;
    s.bytes = encode(messages);
    s.server = std::move(messages);
    out.push_back(std::move(s));
  }
  void peer(std::string name, Term term, std::vector<raft::MessageBody> bodies) {
    Sample s;
    s.name = "peer_" + std::move(name);
    s.speaker = Speaker::peer;
    s.envelope = PeerEnvelope{kCluster, NodeId(1), NodeId(3), kIncarnation};
    for (auto& body : bodies)
      s.peer.push_back({s.envelope.from, s.envelope.to, term, std::move(body)});
    s.bytes = encode_peer_frame(s.envelope, s.peer);
    out.push_back(std::move(s));
  }
  void accepted(std::string name, std::vector<ClientMessage> messages, std::string_view hex) {
    Sample s;
    s.name = "accepted_" + std::move(name);
    s.client = std::move(messages);
    s.canonical = false;
    s.bytes = from_hex(hex);
    out.push_back(std::move(s));
  }
  void refused(std::string name, DecodeError::Kind kind, std::string_view hex,
               Speaker speaker = Speaker::client) {
    Sample s;
    s.name = "refused_" + std::move(name);
    s.speaker = speaker;
    s.canonical = false;
    s.refused = true;
    s.refusal = kind;
    s.bytes = from_hex(hex);
    out.push_back(std::move(s));
  }
  std::vector<Sample> out;
};

void add_client_messages(Table& t) {
  t.client("hello", {Hello{1, 1, kCluster, "example 1.0"}});
  t.client("hello_any_cluster", {Hello{1, 3, Uuid{}, ""}});
  t.client("create_session",
           {CreateSession{1, 77, kProof, 30'000, {{"kind", "worker"}, {"zone", "b"}}}});
  t.client("create_session_bare", {CreateSession{UINT32_MAX, UINT64_MAX, kProof, 0, {}}});
  t.client("continue_session", {ContinueSession{2, 78, kSession, kProof, PushId(41), kHolder}});
  t.client("continue_session_batch",
           {ContinueSession{1, 80, kSession, kProof, PushId(), HolderId()},
            ContinueSession{2, 81, uuid(0x21), uuid(0x31), PushId(1), HolderId()}});
  t.client("keep_alive", {KeepAlive{1, 1'700'000'000'000'000'000}});
  t.client("request", {Request{1, RequestId(5), RequestId(3), "kv", bytes("set a 1")}});
  t.client("request_batch", {Request{1, RequestId(1), RequestId(1), "kv", bytes("get a")},
                             Request{2, RequestId(300), RequestId(299), "queue", Bytes{}},
                             Request{1, RequestId(2), RequestId(1), "kv", bytes("del a")}});
  t.client("request_largest", {Request{UINT32_MAX, RequestId(UINT64_MAX), RequestId(UINT64_MAX),
                                       std::string(40, 's'), bytes(std::string(300, 'p'))}});
  t.client("query", {Query{1, 9, "kv", bytes("get a"), Consistency::linearizable}});
  t.client("query_stale", {Query{0, UINT64_MAX, "kv", bytes("get a"), Consistency::stale}});
  t.client("push_ack", {PushAck{1, PushId(42)}});
  t.client("close_session", {CloseSession{1}});
  t.client("admin", {Admin{11, "transfer", "{\"to\":3}"}});
  t.client("admin_no_args", {Admin{12, "status", ""}});
  t.client("topology_request", {TopologyRequest{}});
}

void add_server_messages(Table& t) {
  t.server("welcome", {Welcome{1, 1, 1, kCluster, NodeId(1), kLeader, kMembers, 16 << 20, 1024,
                               1000, 3'600'000}});
  t.server("welcome_no_leader", {Welcome{1, 1, 1, kCluster, NodeId(1), {}, {}, 1, 1, 1, 1}});
  t.server("welcome_nothing_in_common", {Welcome{0, 1, 1, Uuid{}, NodeId(1), {}, {}, 0, 0, 0, 0}});
  t.server("session_created", {SessionCreated{1, 77, kSession, 30'000}});
  t.server("session_continued", {SessionContinued{2, 78, 30'000, RequestId(5)}});
  const char* rejections[] = {"not_leader",  "session_expired", "invalid",
                              "wrong_proof", "overloaded",      "limit",
                              "draining",    "wrong_cluster",   "taken_over"};
  for (uint8_t i = 1; i <= 9; ++i) {
    SessionRejected m{1, 77, static_cast<RejectReason>(i), {}, 0, "", HolderId()};
    if (m.reason == RejectReason::not_leader) m.leader = kLeader;
    if (m.reason == RejectReason::overloaded) m.retry_after_ms = 250;
    if (m.reason == RejectReason::taken_over) m.holder = kHolder;
    if (m.reason == RejectReason::invalid) m.text = "capability `kind` is not known";
    t.server(std::string("session_rejected_") + rejections[i - 1], {m});
  }
  const char* closings[] = {"shutdown",   "not_leader", "session_error",
                            "taken_over", "expired",    "closed"};
  for (uint8_t i = 1; i <= 6; ++i) {
    SessionClosed m{1, static_cast<CloseReason>(i), {}};
    if (i <= 2) m.leader = kLeader;
    t.server(std::string("session_closed_") + closings[i - 1], {m});
  }
  t.server("keep_alive_reply", {KeepAliveReply{1, 1'700'000'000'000'000'000}});
  t.server("response", {Response{1, RequestId(5), 0, bytes("ok"), Index(1234)}});
  t.server("response_batch", {Response{1, RequestId(1), -7, Bytes{}, Index(70'000)},
                              Response{2, RequestId(300), INT32_MIN, bytes("x"), Index(70'000)},
                              Response{1, RequestId(2), INT32_MAX, bytes("y"), Index(1)}});
  t.server("query_response", {QueryResponse{1, 9, RAFTCS_OK, 0, bytes("1"), Index(1234), {}, 0}});
  t.server("query_response_not_leader",
           {QueryResponse{0, 10, RAFTCS_ERR_NOT_LEADER, 0, Bytes{}, Index(), kLeader, 0}});
  t.server("query_response_busy",
           {QueryResponse{1, 11, RAFTCS_ERR_BUSY, 0, Bytes{}, Index(), {}, 50}});
  t.server("request_error", {RequestError{1, RequestId(6), RAFTCS_ERR_BUSY, 100, "try later"}});
  t.server("request_error_evicted", {RequestError{1, RequestId(2), RAFTCS_ERR_EVICTED, 0, ""}});
  t.server("push", {Push{1, PushId(42), bytes("job 9"), 1'700'000'000'000'000'000}});
  t.server("push_batch", {Push{1, PushId(1), Bytes{}, 0}, Push{1, PushId(2), bytes("b"), 5}});
  t.server("topology", {Topology{kLeader, kMembers}});
  t.server("topology_no_leader", {Topology{{}, kMembers}});
  t.server("admin_reply", {AdminReply{12, RAFTCS_OK, "", "{\"id\":1}", {}}});
  t.server("admin_reply_not_leader",
           {AdminReply{11, RAFTCS_ERR_NOT_LEADER, "this member does not lead", "", kLeader}});
  t.server("unsupported", {Unsupported{1, 33}});
  t.server("push_reset", {PushReset{1, PushId(7), PushId(41)}});
}

void add_peer_messages(Table& t) {
  using namespace raft;
  t.peer("vote_request", Term(7), {VoteRequest{false, false, Index(99), Term(6)}});
  t.peer("vote_request_pre", Term(8), {VoteRequest{true, true, Index(0), Term(0)}});
  t.peer("vote_response", Term(7), {VoteResponse{false, true, Term(7)}});
  t.peer("vote_response_pre", Term(9), {VoteResponse{true, false, Term(8)}});
  t.peer("heartbeat", Term(7), {AppendRequest{Index(99), Term(6), Index(98), 12, {}}});
  Membership joint{true,
                   {{NodeId(1), "tcp://10.0.0.1:7001", "tcp://10.0.0.1:7000", kIncarnation,
                     MemberRole::voter, true},
                    {NodeId(3), "tcp://10.0.0.3:7001", "tcp://10.0.0.3:7000", Uuid{},
                     MemberRole::learner, false}}};
  t.peer("append_request", Term(7),
         {AppendRequest{
             Index(99),
             Term(6),
             Index(98),
             UINT64_MAX,
             {{Index(100), Term(7), EntryType::noop, LogTime{-1}, Bytes{}},
              {Index(101), Term(7), EntryType::config, LogTime{5}, encode_membership(joint)},
              {Index(102), Term(7), EntryType::ops, LogTime{6'000'000'000},
               bytes("three small operations")}}}});
  t.peer("append_response", Term(7), {AppendResponse{true, Index(102), {}, {}, {}, 12}});
  t.peer("append_response_refused", Term(7),
         {AppendResponse{false, {}, Index(99), Index(42), Term(5), 12}});
  SnapshotMeta meta{Index(500), Term(7), LogTime{7'000'000'000}, joint, 4096, 0xdeadbeef};
  t.peer("snapshot_chunk", Term(7), {SnapshotChunk{meta, 1024, bytes("part of it"), false}});
  t.peer("snapshot_chunk_last", Term(7), {SnapshotChunk{meta, 4096, Bytes{}, true}});
  t.peer("snapshot_chunk_response", Term(7), {SnapshotChunkResponse{Index(500), false, 2048}});
  t.peer("timeout_now", Term(7), {TimeoutNow{}});
  t.peer("batch", Term(7),
         {AppendResponse{true, Index(102), {}, {}, {}, 12},
          VoteRequest{true, false, Index(102), Term(7)},
          SnapshotChunkResponse{Index(500), true, 4096}, TimeoutNow{}});
}

void add_accepted(Table& t) {
  t.accepted("later_fields", {CloseSession{1}},  // [1, nil, {"a": [1.5, ext]}]
             "94 ce52435331 01 08 91 93 01 c0 81 a161 92 cb3ff8000000000000 c7020561 62");
  t.accepted("later_frame_element", {KeepAlive{1, 2}},
             "95 ce52435331 01 04 91 92 01 02 a46d6f7265");
  t.accepted("wide_numbers", {KeepAlive{1, 2}},
             "dc0004 cf0000000052435331 cd0001 d200000004 dd00000001 dc0002 ce00000001"
             "d30000000000000002");
  t.accepted("wide_lengths", {Request{1, RequestId(2), RequestId(1), "kv", Bytes::copy("p")}},
             "94 ce52435331 01 05 91 95 01 02 01 db000000026b76 c60000000170");
}

void add_refused(Table& t) {
  using Kind = DecodeError::Kind;
  t.refused("empty", Kind::foreign, "");
  t.refused("http", Kind::foreign, "474554202f20485454502f312e310d0a");
  t.refused("other_magic", Kind::foreign, "94 ce52435350 01 04 91 92 01 02");
  t.refused("later_version", Kind::version, "94 ce52435331 02 04 91 92 01 02");
  t.refused("version_zero", Kind::version, "94 ce52435331 00 04 91 92 01 02");
  t.refused("unknown_type", Kind::unknown_type, "94 ce52435331 01 21 91 90");
  t.refused("wrong_direction", Kind::unknown_type, "94 ce52435331 01 45 91 92 01 02");
  t.refused("no_items", Kind::malformed, "93 ce52435331 01 04");
  t.refused("empty_items", Kind::malformed, "94 ce52435331 01 04 90");
  t.refused("missing_field", Kind::malformed, "94 ce52435331 01 04 91 91 01");
  t.refused("cut_off", Kind::malformed, "94 ce52435331 01 04 91 92 01");
  t.refused("other_bytes_after", Kind::malformed, "94 ce52435331 01 04 91 92 01 02 00");
  t.refused("channel_zero", Kind::malformed, "94 ce52435331 01 04 91 92 00 02");
  t.refused("channel_too_large", Kind::malformed,
            "94 ce52435331 01 04 91 92 cf0000000100000000 02");
  t.refused("negative", Kind::malformed, "94 ce52435331 01 04 91 92 01 ff");
  t.refused("float", Kind::malformed, "94 ce52435331 01 04 91 92 01 cb4000000000000000");
  t.refused("text_for_bytes", Kind::malformed, "94 ce52435331 01 05 91 95 01 02 01 a26b76 a170");
  t.refused("request_id_zero", Kind::malformed, "94 ce52435331 01 05 91 95 01 00 00 a26b76 c400");
  t.refused("lowest_pending_above_id", Kind::malformed,
            "94 ce52435331 01 05 91 95 01 02 03 a26b76 c400");
  t.refused("nonce_zero", Kind::malformed,
            "94 ce52435331 01 02 91 95 01 00 c410303132333435363738393a3b3c3d3e3f 00 80");
  t.refused("proof_zero", Kind::malformed,
            "94 ce52435331 01 02 91 95 01 05 c41000000000000000000000000000000000 00 80");
  t.refused("consistency_unknown", Kind::malformed,
            "94 ce52435331 01 06 91 95 01 09 a26b76 c400 02");
  t.refused("huge_items", Kind::malformed, "94 ce52435331 01 04 ddffffffff 92 01 02");
  t.refused("huge_payload", Kind::malformed,
            "94 ce52435331 01 05 91 95 01 02 01 a26b76 c6ffffffff 70");
  t.refused("huge_map", Kind::malformed,
            "94 ce52435331 01 02 91 95 01 05 c410303132333435363738393a3b3c3d3e3f 00 dfffffffff");
  t.refused(
      "deep_later_field", Kind::malformed, "94 ce52435331 01 08 91 92 01" + [] {
        std::string nest;
        for (int i = 0; i < 40; ++i) nest += " 91";
        return nest + " c0";
      }());
  t.refused("peer_other_magic", Kind::foreign, "94 ce52435331 01 04 91 92 01 02", Speaker::peer);
  t.refused("peer_later_version", Kind::version, "94 ce52435350 02 01 c0", Speaker::peer);
  t.refused("peer_unknown_type", Kind::unknown_type, "94 ce52435350 01 02 c0", Speaker::peer);
  const PeerEnvelope envelope{kCluster, NodeId(1), NodeId(3), kIncarnation};
  const Bytes good =
      encode_peer_frame(envelope, {{NodeId(1), NodeId(3), Term(7), raft::TimeoutNow{}}});
  std::string hex = to_hex(good);
  hex.back() = '8';  // another term than the one the crc is about
  t.refused("peer_crc", Kind::malformed, hex, Speaker::peer);
}

}  // namespace

Bytes encode(const std::vector<ClientMessage>& messages) {
  FrameBuilder builder(SIZE_MAX / 4);
  for (const auto& m : messages) builder.add(m);
  auto frames = builder.take();
  return frames.size() == 1 ? frames[0] : Bytes{};
}

Bytes encode(const std::vector<ServerMessage>& messages) {
  FrameBuilder builder(SIZE_MAX / 4);
  for (const auto& m : messages) builder.add(m);
  auto frames = builder.take();
  return frames.size() == 1 ? frames[0] : Bytes{};
}

Decoded decode(Speaker speaker, const Bytes& frame, const Limits& limits) {
  Decoded d;
  if (speaker == Speaker::client) d.ok = decode_client_frame(frame, limits, &d.client, &d.error);
  if (speaker == Speaker::server) d.ok = decode_server_frame(frame, limits, &d.server, &d.error);
  if (speaker == Speaker::peer)
    d.ok = decode_peer_frame(frame, limits, &d.envelope, &d.peer, &d.error);
  return d;
}

bool same_messages(const Sample& sample, const Decoded& decoded) {
  return decoded.ok && sample.client == decoded.client && sample.server == decoded.server &&
         sample.envelope == decoded.envelope && sample.peer == decoded.peer;
}

const std::vector<Sample>& samples() {
  static const std::vector<Sample> all = [] {
    Table t;
    add_client_messages(t);
    add_server_messages(t);
    add_peer_messages(t);
    add_accepted(t);
    add_refused(t);
    return std::move(t.out);
  }();
  return all;
}

}  // namespace raftcs::wire
