// core_step_fuzz.cpp: the consensus core under whatever the input says happens.
//
// Byte 0 even: a cluster of real nodes, disks and messages (the explorer's model): each three bytes
// are one thing that happens. All its invariants hold after each (tests/explore/model.hpp), with
// the core's own guard on. Odd: one node hears messages that no honest peer sends. It must survive
// them; checks of the core may fail then, as they do when a peer lies, and the node stops.
#include <string>
#include <vector>

#include "base/check.hpp"
#include "raft/membership.hpp"
#include "raft/node.hpp"
#include "tests/explore/model.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace raftcs::fuzz {
namespace {

using namespace raft;  // NOLINT: messages of every kind are made here

constexpr unsigned kStepsMax = 60;
constexpr unsigned kNewTermsMax = 8;  // the model counts terms up to explore::kTermsMax

void run_cluster(Input& in) {
  static const std::string plans = explore::plan_names();
  explore::Model model(explore::plan_of(plans[in.below(plans.size())]));
  explore::State state = model.first();
  require(model.error().empty(), "the beginning breaks", model.error());
  unsigned new_terms = 0;
  std::vector<explore::Action> done;
  for (unsigned step = 0; step < kStepsMax && !in.empty(); ++step) {
    const uint8_t what = in.u8();
    explore::Action action;
    action.kind = static_cast<explore::Kind>(what % explore::kKinds);
    action.elect = what >= 0xE0;
    action.node = in.u8();
    action.arg = in.u8();
    const bool new_term = action.elect || action.kind == explore::Kind::expire ||
                          action.kind == explore::Kind::transfer;
    if (new_term && ++new_terms > kNewTermsMax) continue;
    const explore::State before = state;
    const bool moved = model.act(action, &state);
    if (moved) done.push_back(action);
    if (!model.error().empty()) {
      for (const explore::Action& a : done)
        std::fprintf(stderr, "%s%s node %u arg %u\n", explore::name_of(a.kind).c_str(),
                     a.elect ? " (elect)" : "", a.node, a.arg);
      std::fprintf(stderr, "before the last:\n%s", model.describe_state(before).c_str());
      require(false, "an invariant is broken", model.error());
    }
  }
  accepted += model.marks().commits > 0 ? 1 : 0;
}

Entry entry_of(Input& in, Index index) {
  Entry e;
  e.index = in.below(8) == 7 ? Index(in.number()) : index;
  e.term = Term(in.number());
  e.type = static_cast<EntryType>(1 + in.below(3));
  e.time = LogTime{static_cast<int64_t>(in.number())};
  if (e.type == EntryType::config) {
    Membership m;
    m.joint = in.flag();
    for (uint64_t i = 1 + in.below(3); i <= 3; ++i) {
      Member member;
      member.id = NodeId(i);
      member.role = static_cast<MemberRole>(1 + in.below(2));
      member.outgoing_voter = in.flag();
      m.members.push_back(member);
    }
    e.payload = in.below(8) == 7 ? Bytes::copy(in.bytes(9)) : encode_membership(m);
  } else {
    e.payload = Bytes::copy(in.bytes(in.below(4)));
  }
  return e;
}

MessageBody body_of(Input& in) {
  switch (in.below(7)) {
    case 0: return VoteRequest{in.flag(), in.flag(), Index(in.number()), Term(in.number())};
    case 1: return VoteResponse{in.flag(), in.flag(), Term(in.number())};
    case 2: {
      AppendRequest m;
      m.prev_index = Index(in.number());
      m.prev_term = Term(in.number());
      m.commit = Index(in.number());
      m.round = in.number();
      for (uint64_t n = in.below(4), i = 1; i <= n; ++i)
        m.entries.push_back(entry_of(in, m.prev_index + i));
      return m;
    }
    case 3:
      return AppendResponse{in.flag(),          Index(in.number()), Index(in.number()),
                            Index(in.number()), Term(in.number()),  in.number()};
    case 4: {
      SnapshotChunk m;
      m.meta.index = Index(in.number());
      m.meta.term = Term(in.number());
      m.meta.size = in.number();
      m.offset = in.number();
      m.data = Bytes::copy(in.bytes(in.below(9)));
      m.last = in.flag();
      return m;
    }
    case 5: return SnapshotChunkResponse{Index(in.number()), in.flag(), in.number()};
    default: return TimeoutNow{};
  }
}

void carry_out(Node& node, const Effects& effects, Input& in, Mono now, uint64_t* written) {
  if (effects.write_seq) *written = effects.write_seq;
  if (*written && in.below(4) != 0) node.persisted(*written, now);
  if (!effects.apply.empty()) node.applied(effects.apply.back().index);
  for (const auto& w : effects.write_chunks) {
    const uint64_t next = w.chunk.offset + w.chunk.data.size();
    if (in.below(4) == 0)
      node.snapshot_chunk_lost(w.chunk.meta, now);
    else
      node.snapshot_chunk_written(w.from, w.chunk.meta, next, w.chunk.last, now);
  }
  for (const auto& r : effects.read_chunks) {
    if (in.flag())
      node.snapshot_chunk_failed(r.peer, r.index, now);
    else
      node.snapshot_chunk_read(r.peer, r.index, r.offset, Bytes::copy("chunk"), in.flag(), now);
  }
}

void run_hostile(Input& in) {
  Options options;
  options.id = NodeId(1);
  options.heartbeat_ns = 10;
  options.election_timeout_ns = 100;
  options.append_bytes_max = 64;
  options.inflight_appends_max = 2;
  options.uncommitted_bytes_max = 1000;
  options.trailing_entries = 1;
  BootImage image;
  image.hard_state.term = Term(1);
  Entry config;
  config.index = Index(1);
  config.term = Term(1);
  config.type = EntryType::config;
  Membership three;
  for (uint64_t i = 1; i <= 3; ++i) {
    Member member;
    member.id = NodeId(i);
    three.members.push_back(member);
  }
  config.payload = encode_membership(three);
  image.entries = {config};
  Mono now{1};
  Node node(options, std::move(image), now);
  const unsigned long failures = check_failures();
  uint64_t written = 0;
  for (unsigned step = 0; step < kStepsMax && !in.empty(); ++step) {
    if (check_failures() != failures) return;  // a driver calls no more
    now = now + static_cast<DurationNs>(in.below(128));
    switch (in.below(8)) {
      case 0: node.tick(now); break;
      case 1: (void)node.propose(Bytes::copy(in.bytes(in.below(9))), now, nullptr, nullptr); break;
      case 2: node.read_index(in.u8(), now); break;
      case 3: (void)node.transfer_leadership(NodeId(in.below(5)), now); break;
      case 4: {
        const Index at = node.status().first;
        if (const Entry* e = node.entry(at); e && at <= node.commit_index()) {
          SnapshotMeta meta{at, e->term, e->time, three, 5, 0};
          node.snapshot_taken(meta, now);
        }
        break;
      }
      default: {
        Message m;
        m.from = NodeId(1 + in.below(5));
        m.to = NodeId(1);
        m.term = in.below(4) == 0 ? Term(in.number()) : node.term() + in.below(2);
        m.body = body_of(in);
        node.receive(std::move(m), now);
      }
    }
    carry_out(node, node.take_effects(now), in, now, &written);
  }
  (void)node.next_deadline();
  (void)node.hash64();
  ++accepted;
}

}  // namespace

void make_seeds(const SeedSink& sink) {
  for (char plan = 0; plan < 7; ++plan) {
    std::string bytes{'\0', plan};
    // An election, proposals, everything delivered; a crash; another leader.
    for (int round = 0; round < 2; ++round) {
      bytes += std::string{'\xE0', static_cast<char>(round), '\6', '\6', static_cast<char>(round)};
      bytes += '\0';
      for (char i = 0; i < 8; ++i) bytes += std::string{'\0', '\0', i, '\4', i, '\0'};
      bytes += raw("\5\1\0\7\0\0\11\0\0\10\0\1");
    }
    sink(std::string("plan_") + static_cast<char>('A' + plan), bytes);
  }
  std::string odd = "\1";
  for (int i = 0; i < 200; ++i) odd += static_cast<char>(i * 41 % 53);
  sink("hostile", odd);
  sink("hostile_append", raw("\1\1\5\1\1\2\1\1\1\0\2\0\1\1\1\1a\0\2\1\1\1b\1"));
}

}  // namespace raftcs::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace raftcs::fuzz;
  if (size > 1024) return 0;
  Input in(data, size);
  if (in.flag()) {
    raftcs::set_check_handler(nullptr);
    run_hostile(in);
  } else {
    raftcs::explore::watch_checks();
    run_cluster(in);
  }
  return 0;
}
