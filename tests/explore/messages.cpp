// messages.cpp: the hash of a message and its one-line description.
//
// Descriptions are exact: two messages of one description are equal in all that the explorer
// knows, so a replay finds the message it means by its text.
#include <algorithm>

#include "raft/membership.hpp"
#include "tests/explore/process.hpp"

namespace raftcs::explore {
namespace {

struct Hash {
  uint64_t h = 11;
  Hash& operator<<(uint64_t v) {
    h = mix(h, v);
    return *this;
  }
  template <class Tag>
  Hash& operator<<(StrongId<Tag> id) {
    return *this << id.value;
  }
  void bytes(const Bytes& b) {
    *this << b.size();
    for (uint8_t c : b) *this << c;
  }
};

void add(Hash* h, const VoteRequest& m) {
  *h << m.pre_vote << m.transfer << m.last_index << m.last_term;
}
void add(Hash* h, const VoteResponse& m) { *h << m.pre_vote << m.granted << m.asked_term; }
void add(Hash* h, const AppendRequest& m) {
  *h << m.prev_index << m.prev_term << m.commit << m.round << m.entries.size();
  for (const Entry& e : m.entries) {
    *h << e.index << e.term << static_cast<uint64_t>(e.type) << static_cast<uint64_t>(e.time.ns);
    h->bytes(e.payload);
  }
}
void add(Hash* h, const AppendResponse& m) {
  *h << m.success << m.match << m.rejected << m.hint_index << m.hint_term << m.round;
}
void add(Hash* h, const SnapshotChunk& m) {
  *h << m.meta.index << m.meta.term << m.meta.checksum << hash_of(m.meta.membership) << m.offset
     << m.last;
  h->bytes(m.data);
}
void add(Hash* h, const SnapshotChunkResponse& m) { *h << m.index << m.installed << m.next_offset; }
void add(Hash*, const TimeoutNow&) {}

template <class Tag>
std::string n(StrongId<Tag> id) {
  return std::to_string(id.value);
}

std::string text(const VoteRequest& m) {
  return std::string(m.pre_vote   ? "pre-vote?"
                     : m.transfer ? "vote-transfer?"
                                  : "vote?") +
         " last " + n(m.last_index) + "/" + n(m.last_term);
}
std::string text(const VoteResponse& m) {
  return std::string(m.pre_vote ? "pre-vote " : "vote ") + (m.granted ? "granted" : "refused") +
         " asked " + n(m.asked_term);
}
std::string text(const AppendRequest& m) {
  std::string out = "append prev " + n(m.prev_index) + "/" + n(m.prev_term) + " commit " +
                    n(m.commit) + " round " + std::to_string(m.round);
  for (const Entry& e : m.entries) {
    out += " " + n(e.index) + "/" + n(e.term);
    if (e.type == EntryType::noop) out += " noop";
    if (e.type == EntryType::ops) out += " " + e.payload.str();
    if (e.type != EntryType::config) continue;
    const auto membership = decode_membership(e.payload);
    out += " config " + (membership.is_ok() ? std::to_string(hash_of(*membership)) : "?");
  }
  return out;
}
std::string text(const AppendResponse& m) {
  if (m.success) return "append ok " + n(m.match) + " round " + std::to_string(m.round);
  return "append refused " + n(m.rejected) + " hint " + n(m.hint_index) + "/" + n(m.hint_term) +
         " round " + std::to_string(m.round);
}
std::string text(const SnapshotChunk& m) {
  return "snapshot " + n(m.meta.index) + "/" + n(m.meta.term) + " at " + std::to_string(m.offset) +
         " sum " + std::to_string(m.meta.checksum);
}
std::string text(const SnapshotChunkResponse& m) {
  return std::string("snapshot ") + (m.installed ? "installed " : "next ") + n(m.index) + " at " +
         std::to_string(m.next_offset);
}
std::string text(const TimeoutNow&) { return "timeout-now"; }

}  // namespace

uint64_t hash_of(const Message& message) {
  Hash h;
  h << message.from << message.to << message.term << message.body.index();
  std::visit([&](const auto& m) { add(&h, m); }, message.body);
  return h.h;
}

std::string describe(const Message& message) {
  return n(message.from) + "->" + n(message.to) + " term " + n(message.term) + " " +
         std::visit([](const auto& m) { return text(m); }, message.body);
}

}  // namespace raftcs::explore
