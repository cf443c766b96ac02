// plans.cpp: the explorations A to F of the test plan, G and H. Each begins where it gets
// interesting: how a leader comes to be is explored by A and G only.
#include <algorithm>

#include "tests/explore/model.hpp"

namespace raftcs::explore {
namespace {

Membership voters(std::initializer_list<uint64_t> ids) {
  Membership m;
  for (uint64_t id : ids) {
    Member member;
    member.id = NodeId(id);
    m.members.push_back(member);
  }
  return m;
}

Membership with_learner(Membership m, uint64_t id) {
  Member member;
  member.id = NodeId(id);
  member.role = MemberRole::learner;
  m.members.push_back(member);
  return m;
}

// From `before` to `after` by joint consensus.
Membership joint(const Membership& before, std::initializer_list<uint64_t> after) {
  Membership m = voters(after);
  m.joint = true;
  for (Member& member : m.members) {
    member.outgoing_voter = std::any_of(before.members.begin(), before.members.end(),
                                        [&](const Member& b) { return b.id == member.id; });
  }
  for (const Member& b : before.members) {
    const auto same = [&](const Member& member) { return member.id == b.id; };
    if (std::any_of(m.members.begin(), m.members.end(), same)) continue;
    Member leaving = b;
    leaving.role = MemberRole::learner;
    leaving.outgoing_voter = true;
    m.members.push_back(leaving);
  }
  std::sort(m.members.begin(), m.members.end(),
            [](const Member& a, const Member& b) { return a.id < b.id; });
  return m;
}

void allow(Plan* p, Kind kind, unsigned times) {
  p->bounds.times[static_cast<size_t>(kind)] = static_cast<uint8_t>(times);
}

Plan elections() {
  Plan p;
  p.name = 'A';
  p.what = "elections, disks that lag, crashes";
  p.setup.first = voters({1, 2, 3});
  p.setup.async = true;
  allow(&p, Kind::vote_first, 1);
  allow(&p, Kind::expire, 3);
  allow(&p, Kind::quiet, 1);
  allow(&p, Kind::crash, 1);
  return p;
}

Plan replication() {
  Plan p;
  p.name = 'B';
  p.what = "replication, leader changes, crashes";
  p.setup.first = voters({1, 2, 3});
  p.prefix = {"elect 1 by 2,3", "settle"};
  allow(&p, Kind::propose, 2);
  allow(&p, Kind::crash, 1);
  allow(&p, Kind::heartbeat, 1);
  p.bounds.elections = 3;
  return p;
}

Plan snapshots() {
  Plan p = replication();
  p.name = 'C';
  p.what = "snapshots to peers that are behind, and after crashes";
  p.prefix = {"elect 1 by 2,3", "settle", "propose 1 a", "settle 1,2", "snapshot 1", "settle 1,2"};
  allow(&p, Kind::snapshot, 2);
  allow(&p, Kind::heartbeat, 1);
  p.bounds.elections = 2;
  return p;
}

Plan membership() {
  Plan p;
  p.name = 'D';
  p.what = "changes of the configuration, an even number of voters, a learner, a snapshot";
  p.nodes = 4;
  p.setup.first = voters({1, 2, 3, 4});
  p.setup.memberships = {voters({1, 2, 3}), voters({2, 3, 4}), voters({1, 2, 4}),
                         joint(p.setup.first, {1, 2}), with_learner(voters({1, 2, 3}), 4)};
  p.prefix = {"elect 1 by 2,3", "settle"};
  p.quorum_stays = false;
  allow(&p, Kind::change, 2);
  allow(&p, Kind::crash, 1);
  allow(&p, Kind::snapshot, 1);
  p.bounds.elections = 2;
  return p;
}

Plan reads() {
  Plan p;
  p.name = 'E';
  p.what = "linearizable reads across leader changes";
  p.setup.first = voters({1, 2, 3});
  p.prefix = {"elect 1 by 2,3", "settle"};
  allow(&p, Kind::propose, 1);
  allow(&p, Kind::read, 2);
  allow(&p, Kind::heartbeat, 1);
  p.bounds.elections = 2;
  return p;
}

Plan slow_disks() {
  Plan p = replication();
  p.name = 'F';
  p.what = "replication with disks that lag: writes that are overtaken";
  p.setup.async = true;
  allow(&p, Kind::vote_first, 1);
  p.bounds.elections = 2;
  return p;
}

// Who may lead when tails are not durable and promises to a leader run out.
Plan lagging_tails() {
  Plan p;
  p.name = 'G';
  p.what = "elections beside a leader, over tails that are not durable";
  p.setup.first = voters({1, 2, 3});
  p.setup.async = true;
  p.prefix = {"elect 1 by 2,3", "settle", "propose 1 a"};
  allow(&p, Kind::expire, 1);
  allow(&p, Kind::quiet, 2);
  allow(&p, Kind::vote_first, 1);
  return p;
}

// TimeoutNow makes its receiver campaign beside a leader that lives, past all promises to it.
Plan transfers() {
  Plan p;
  p.name = 'H';
  p.what = "leadership is handed over, with disks that lag";
  p.setup.first = voters({1, 2, 3});
  p.setup.async = true;
  p.prefix = {"elect 1 by 2,3", "settle"};
  allow(&p, Kind::transfer, 1);
  allow(&p, Kind::propose, 1);
  allow(&p, Kind::crash, 1);
  p.bounds.elections = 1;
  return p;
}

}  // namespace

Plan plan_of(char name) {
  switch (name) {
    case 'A':
      return elections();
    case 'B':
      return replication();
    case 'C':
      return snapshots();
    case 'D':
      return membership();
    case 'E':
      return reads();
    case 'F':
      return slow_disks();
    case 'G':
      return lagging_tails();
    default:
      return transfers();
  }
}

std::string plan_names() { return "ABCDEFGH"; }

}  // namespace raftcs::explore
