// scenario_test.cpp: text scenarios: commands, "----", expected output.
//
// A file in cases/ is a list of blocks separated by blank lines. A block is one or more
// command lines, a line "----" and the output expected from them. RAFTCS_REWRITE=1 writes
// the output that came into the files instead of comparing. Commands:
//
//   cluster V [L]      V voters, then L learners          tick MS      time passes for all
//   campaign N         N's election timeout passes        propose N X  an entry at N
//   persist N [one]    N's writes become durable          io N         one chunk read/write
//   deliver A B        what is on the link A to B now     drop A B     the same, lost
//   net                what is on the network             stabilize    until nothing moves
//   cut A B | heal     the link A to B only               crash N | restart N
//   snapshot N         take one at what N has applied     read N       ask for a read index
//   transfer A B       leadership from A to B             stepdown N
//   config N V... [l L...] [joint]  propose a configuration
//   log N | disk N     the entries in memory, on disk     status       all nodes
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>

#include "raft/membership.hpp"
#include "tests/scenario/cluster.hpp"

namespace raftcs::raft::test {
namespace {

std::string describe(const Entry& e) {
  std::string s = to_string(e.term) + "/" + to_string(e.index) + ":";
  if (e.type == EntryType::noop) return s + "noop";
  if (e.type == EntryType::ops) return s + e.payload.str();
  const auto m = decode_membership(e.payload);
  s += m->joint ? "joint(" : "config(";
  for (const Member& member : m->members) {
    if (s.back() != '(') s += " ";
    s += to_string(member.id) + (member.role == MemberRole::voter ? "" : "l");
    if (member.outgoing_voter) s += "o";
  }
  return s + ")";
}

std::string position(Index index, Term term) { return to_string(term) + "/" + to_string(index); }

std::string describe(const Message& m) {
  std::string s = to_string(m.from) + ">" + to_string(m.to) + " t" + to_string(m.term) + " ";
  if (auto* v = std::get_if<VoteRequest>(&m.body))
    return s + (v->pre_vote ? "PreVote " : v->transfer ? "TransferVote " : "Vote ") + "last " +
           position(v->last_index, v->last_term);
  if (auto* v = std::get_if<VoteResponse>(&m.body))
    return s + (v->pre_vote ? "PreVoteAnswer " : "VoteAnswer ") + (v->granted ? "yes" : "no");
  if (auto* a = std::get_if<AppendRequest>(&m.body)) {
    s += "Append prev " + position(a->prev_index, a->prev_term) + " commit " +
         to_string(a->commit);
    if (a->round) s += " round " + std::to_string(a->round);
    for (const Entry& e : a->entries) s += " " + describe(e);
    return s;
  }
  if (auto* a = std::get_if<AppendResponse>(&m.body)) {
    if (a->success) return s + "AppendAnswer match " + to_string(a->match);
    return s + "AppendAnswer refused " + to_string(a->rejected) + " hint " +
           position(a->hint_index, a->hint_term);
  }
  if (auto* c = std::get_if<SnapshotChunk>(&m.body))
    return s + "Chunk of " + position(c->meta.index, c->meta.term) + " at " +
           std::to_string(c->offset) + (c->last ? " last" : "");
  if (auto* c = std::get_if<SnapshotChunkResponse>(&m.body))
    return s + "ChunkAnswer " + to_string(c->index) +
           (c->installed ? " installed" : " next " + std::to_string(c->next_offset));
  return s + "TimeoutNow";
}

const char* name(Role r) {
  static constexpr const char* kNames[] = {"follower", "pre-candidate", "candidate", "leader"};
  return kNames[static_cast<int>(r)];
}

const char* name(Refusal r) {
  static constexpr const char* kNames[] = {
      "ok", "not leader", "transferring", "too much uncommitted", "membership pending", "invalid"};
  return kNames[static_cast<int>(r)];
}

class Runner {
 public:
  std::string run(const std::string& line) {
    std::istringstream in(line);
    std::string command;
    in >> command;
    if (command == "cluster") {
      uint64_t voters = 0, learners = 0;
      in >> voters >> learners;
      Options o = test_options();
      o.trailing_entries = 0;
      cluster_ = std::make_unique<Cluster>(voters, learners, o, 1);
      return "";
    }
    if (!cluster_) return "no cluster\n";
    const std::string out = act(command, in);
    std::string errors;
    for (const std::string& e : cluster_->errors()) errors += "VIOLATED " + e + "\n";
    return out + reads() + errors;
  }

 private:
  std::string reads() {
    std::string s;
    for (; reads_shown_ < cluster_->reads_done().size(); ++reads_shown_) {
      const ReadReady& r = cluster_->reads_done()[reads_shown_];
      s += "read " + std::to_string(r.token) + " ready at " + to_string(r.index) + "\n";
    }
    const uint64_t failed = cluster_->counters().reads_failed;
    if (failed > failed_shown_) s += std::to_string(failed - failed_shown_) + " reads failed\n";
    failed_shown_ = failed;
    return s;
  }

  std::string act(const std::string& command, std::istringstream& in) {
    Cluster& c = *cluster_;
    if (command == "stabilize") return c.stabilize(), "";
    if (command == "heal") return c.heal(), "";
    if (command == "status") return status();
    if (command == "net") return net();
    uint64_t n = 0;
    in >> n;
    if (command == "tick") return c.advance(static_cast<DurationNs>(n) * kNsPerMs), "";
    const NodeId a(n);
    if (command == "campaign") return c.campaign(a), "";
    if (command == "stepdown") return c.step_down(a), "";
    if (command == "crash") return c.crash(a), "";
    if (command == "restart") return c.restart(a), "";
    if (command == "snapshot") return c.take_snapshot(a), "";
    if (command == "io") return c.run_io(a) ? "" : "nothing to do\n";
    if (command == "read") return "read " + std::to_string(c.read(a)) + "\n" ;
    if (command == "log" || command == "disk") return log(a, command == "disk");
    if (command == "config") return config(a, in);
    std::string word;
    in >> word;
    if (command == "persist") return word == "one" ? (c.persist_one(a), "") : (c.persist(a), "");
    if (command == "propose") return std::string(name(c.propose(a, word))) + "\n";
    const NodeId b(std::strtoull(word.c_str(), nullptr, 10));
    if (command == "cut") return c.cut(a, b), "";
    if (command == "transfer") return std::string(name(c.transfer(a, b))) + "\n";
    if (command == "deliver") return std::to_string(c.deliver(a, b)) + " delivered\n";
    if (command == "drop") return drop(a, b);
    return "unknown command\n";
  }

  std::string drop(NodeId a, NodeId b) {
    const size_t n = std::erase_if(cluster_->network(),
                                   [&](const Message& m) { return m.from == a && m.to == b; });
    return std::to_string(n) + " dropped\n";
  }

  std::string net() {
    std::string s;
    for (const Message& m : cluster_->network()) s += describe(m) + "\n";
    return s.empty() ? "nothing\n" : s;
  }

  std::string log(NodeId id, bool disk) {
    Member_& m = cluster_->member(id);
    std::string s;
    const auto add = [&](const Entry& e) { s += (s.empty() ? "" : " ") + describe(e); };
    if (disk) {
      for (const Entry& e : m.disk.log) add(e);
    } else if (m.node) {
      for (Index i = m.node->status().first; i <= m.node->last_index(); ++i) add(*m.node->entry(i));
    }
    return s + "\n";
  }

  std::string config(NodeId id, std::istringstream& in) {
    std::vector<uint64_t> voters, learners;
    bool joint = false, learner = false;
    for (std::string word; in >> word;) {
      if (word == "joint") {
        joint = true;
      } else if (word == "l") {
        learner = true;
      } else {
        (learner ? learners : voters).push_back(std::strtoull(word.c_str(), nullptr, 10));
      }
    }
    Membership m = make_membership(voters, learners);
    m.joint = joint;
    for (Member& member : m.members) {
      const Member* was = find_member(cluster_->node(id).membership(), member.id);
      member.outgoing_voter = joint && was && was->role == MemberRole::voter;
    }
    return std::string(name(cluster_->propose_membership(id, m))) + "\n";
  }

  std::string status() {
    std::string s;
    for (Member_& m : cluster_->members()) {
      s += to_string(m.id) + " ";
      if (!m.node) {
        s += "down\n";
        continue;
      }
      const NodeStatus n = m.node->status();
      s += std::string(name(n.role)) + " term " + to_string(n.term) + " vote " +
           to_string(n.vote) + " leader " + to_string(n.leader) + " log " + to_string(n.first) +
           ".." + to_string(n.last) + " durable " + to_string(n.durable) + " commit " +
           to_string(n.commit) + "\n";
    }
    return s;
  }

  std::unique_ptr<Cluster> cluster_;
  size_t reads_shown_ = 0;
  uint64_t failed_shown_ = 0;
};

std::string play(const std::string& text) {
  std::istringstream in(text);
  std::string out, line, got;
  Runner runner;
  bool expecting = false;
  while (std::getline(in, line)) {
    if (line.empty()) {
      expecting = false;
      out += "\n";
    } else if (line == "----") {
      out += line + "\n" + (got.empty() ? "ok\n" : got);
      got.clear();
      expecting = true;
    } else if (line[0] == '#') {
      out += line + "\n";
    } else if (!expecting) {
      out += line + "\n";
      got += runner.run(line);
    }
  }
  return out;
}

class Scenario : public testing::TestWithParam<std::string> {};

TEST_P(Scenario, Plays) {
  std::ifstream in(GetParam());
  std::stringstream text;
  text << in.rdbuf();
  const std::string got = play(text.str());
  EXPECT_EQ(got.find("VIOLATED"), std::string::npos) << got;
  EXPECT_EQ(got.find("unknown command"), std::string::npos) << got;
  if (std::getenv("RAFTCS_REWRITE")) {
    std::ofstream(GetParam()) << got;
  } else {
    EXPECT_EQ(got, text.str());
  }
}

std::vector<std::string> cases() {
  std::vector<std::string> files;
  for (const auto& f : std::filesystem::directory_iterator(RAFTCS_SOURCE_DIR
                                                           "/tests/scenario/cases"))
    files.push_back(f.path().string());
  std::sort(files.begin(), files.end());
  return files;
}

INSTANTIATE_TEST_SUITE_P(Files, Scenario, testing::ValuesIn(cases()), [](const auto& param) {
  return std::filesystem::path(param.param).stem().string();
});

}  // namespace
}  // namespace raftcs::raft::test
