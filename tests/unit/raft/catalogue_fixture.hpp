// catalogue_fixture.hpp: one node against scripted messages, for the rules of the catalogue of
// known Raft bugs. Each test is named after the rule's id.
#pragma once

#include <gtest/gtest.h>

#include "base/check.hpp"
#include "raft/membership.hpp"
#include "raft/node.hpp"

namespace raftcs::raft {

constexpr DurationNs kSecond = kNsPerSecond;

inline Membership three() {
  Membership m;
  for (uint64_t id = 1; id <= 3; ++id) {
    Member member;
    member.id = NodeId(id);
    m.members.push_back(member);
  }
  return m;
}

// Node 1 of {1, 2, 3}, with a driver that persists when told.
class Catalogue : public testing::Test {
 protected:
  Catalogue() { boot({1}); }
  ~Catalogue() override { EXPECT_EQ(check_failures(), checks_before_); }

  // The log: entry k has terms[k - 1]; entry 1 is the configuration.
  void boot(const std::vector<uint64_t>& terms, HardState hard = {}) {
    BootImage image;
    image.hard_state = hard;
    for (size_t i = 0; i < terms.size(); ++i) image.entries.push_back(entry(i + 1, terms[i]));
    if (!terms.empty()) {
      image.entries[0].type = EntryType::config;
      image.entries[0].payload = encode_membership(three());
      image.hard_state.term = std::max(hard.term, Term(terms.back()));
    }
    options_.id = NodeId(1);
    options_.snapshot_chunk_bytes = 4;
    node_.emplace(options_, std::move(image), now_);
    node_->set_invariant_checks(true);
    flush();
  }

  static Entry entry(uint64_t index, uint64_t term, const std::string& text = "") {
    Entry e;
    e.index = Index(index);
    e.term = Term(term);
    e.type = EntryType::ops;
    e.payload = Bytes::copy(text);
    return e;
  }

  static Entry config_entry(uint64_t index, uint64_t term, const Membership& membership) {
    Entry e = entry(index, term);
    e.type = EntryType::config;
    e.payload = encode_membership(membership);
    return e;
  }
  static SnapshotMeta snapshot_meta(uint64_t index, uint64_t term) {
    SnapshotMeta meta;
    meta.index = Index(index);
    meta.term = Term(term);
    meta.membership = three();
    return meta;
  }

  // Node 2 follows; node 3 has nothing of what the snapshot covers. The first part is asked for.
  Effects lead_beside_one_that_needs(const SnapshotMeta& snapshot) {
    options_.trailing_entries = 0;
    boot({1});
    lead();
    get(2, 2, ack(2));
    node_->applied(snapshot.index);
    node_->snapshot_taken(snapshot, now_);
    AppendResponse behind;
    behind.rejected = Index(1);
    return get(3, 2, behind);
  }

  Effects flush() {
    effects_ = node_->take_effects(now_);
    if (effects_.write_seq) seq_ = effects_.write_seq;
    return effects_;
  }
  void persist() { node_->persisted(seq_, now_); }
  Effects get(uint64_t from, uint64_t term, MessageBody body) {
    node_->receive({NodeId(from), NodeId(1), Term(term), std::move(body)}, now_);
    return flush();
  }
  Effects tick_election() {
    now_ = node_->next_deadline();
    node_->tick(now_);
    return flush();
  }
  template <class T>
  const T* only(const Effects& e) {
    const T* found = nullptr;
    for (const Outgoing& o : e.messages) {
      if (auto* m = std::get_if<T>(&o.message.body)) {
        EXPECT_EQ(found, nullptr);
        found = m;
      }
    }
    return found;
  }
  static AppendRequest append(uint64_t prev, uint64_t prev_term, uint64_t commit,
                              std::vector<Entry> entries = {}) {
    AppendRequest a;
    a.prev_index = Index(prev);
    a.prev_term = Term(prev_term);
    a.commit = Index(commit);
    a.entries = std::move(entries);
    return a;
  }
  void lead() {
    const uint64_t next = node_->term().value + 1;
    tick_election();
    get(2, next, VoteResponse{true, true, Term(next)});
    persist();
    get(2, next, VoteResponse{false, true, Term(next)});
    ASSERT_EQ(node_->role(), Role::leader);
    persist();
    flush();
  }
  AppendResponse ack(uint64_t match, uint64_t round = 0) {
    AppendResponse r;
    r.success = true;
    r.match = Index(match);
    r.round = round;
    return r;
  }
  NodeStatus status() { return node_->status(); }

  Options options_;
  Mono now_{kSecond};
  std::optional<Node> node_;
  Effects effects_;
  uint64_t seq_ = 0;
  unsigned long checks_before_ = check_failures();
};

}  // namespace raftcs::raft
