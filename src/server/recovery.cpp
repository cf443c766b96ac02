// recovery.cpp: looking at the survivor, and the two writes.
#include "server/recovery.hpp"

#include <algorithm>
#include <set>

#include "raft/membership.hpp"
#include "rsm/ops.hpp"
#include "rsm/snapshot.hpp"
#include "server/admin_json.hpp"
#include "storage/healing.hpp"
#include "storage/identity_file.hpp"
#include "storage/record.hpp"
#include "storage/reseed_mark.hpp"

namespace raftcs::server {
namespace {

// Sessions of the snapshot, and all numbers that creations behind it can have been given.
Result<std::vector<SessionNum>> sessions_of(storage::DataDir& dir, const raft::BootImage& image) {
  std::set<SessionNum> open;
  SessionNum next(1);
  if (image.snapshot) {
    RCS_ASSIGN(reader, dir.open_snapshot(image.snapshot->index));
    RCS_ASSIGN(held, rsm::sessions_in_snapshot(
                         [&](void* out, size_t size) { return reader->read(out, size); }));
    open.insert(held.sessions.begin(), held.sessions.end());
    next = held.next_session;
  }
  for (const raft::Entry& e : image.entries) {
    if (e.type != raft::EntryType::ops) continue;
    rsm::OpsReader ops(e.payload);
    for (rsm::Op op; ops.next(&op);) {
      if (std::holds_alternative<rsm::CreateSession>(op)) {
        open.insert(next);
        ++next;
      }
      if (const auto* close = std::get_if<rsm::CloseSession>(&op)) open.erase(close->session);
    }
  }
  return std::vector<SessionNum>(open.begin(), open.end());
}

raft::Membership last_membership(const raft::BootImage& image) {
  raft::Membership membership;
  if (image.snapshot) membership = image.snapshot->membership;
  for (const raft::Entry& e : image.entries) {
    if (e.type != raft::EntryType::config) continue;
    if (auto decoded = raft::decode_membership(e.payload)) membership = std::move(*decoded);
  }
  return membership;
}

// The two entries behind everything that is there, in a term that nobody was elected in. The
// configuration is the last: a torn write keeps what is before it, and without it another run
// finds that there is something to do.
storage::WriteBatch closing_entries(const Recovery& r, const raft::Member& self, Term term,
                                    LogTime time) {
  raft::Membership alone;
  alone.members.push_back(self);
  alone.members.front().role = raft::MemberRole::voter;
  alone.members.front().returning = false;
  alone.members.front().outgoing_voter = false;
  alone.members.front().incarnation = r.identity.incarnation;
  storage::WriteBatch batch;
  batch.hard_state = {term, NodeId()};
  rsm::OpsWriter ops;
  for (SessionNum num : r.sessions) ops.add(rsm::CloseSession{num});
  Index at = r.last.next();
  if (!ops.empty()) {
    batch.append.push_back({at, term, raft::EntryType::ops, time, ops.take()});
    at = at.next();
  }
  batch.append.push_back({at, term, raft::EntryType::config, time, raft::encode_membership(alone)});
  return batch;
}

bool is_alone(const raft::Membership& m, NodeId id) {
  return m.members.size() == 1 && m.members.front().id == id && !m.joint;
}

// What is there may be a part only, and the next start would set the new cluster aside with it.
Status refuse_unfinished_healing(sys::FileSystem& fs, const std::string& path) {
  const std::string begun = storage::join_path(path, storage::kHealingBegun);
  RCS_ASSIGN(there, fs.exists(begun));
  if (!there) return Status::ok();
  const std::string aside = storage::join_path(path, storage::kDamagedName);
  return {RAFTCS_ERR_BAD_STATE,
          begun +
              " says that a crash has interrupted setting the data of this node aside. Take "
              "another survivor; or start this server once, which finishes it, stop it, move " +
              aside +
              " to a place of its own, and give this command for that directory ('raftcs "
              "log verify' tells whether its data is damaged)"};
}

}  // namespace

Result<Recovery> force_new_cluster(sys::FileSystem& fs, const std::string& path,
                                   sys::RandomSource& random, bool confirmed) {
  RCS_TRY(refuse_unfinished_healing(fs, path));
  RCS_ASSIGN(dir, storage::DataDir::open(fs, path, {}, nullptr));
  const raft::BootImage image = dir->take_boot_image();
  Recovery r;
  r.identity = dir->identity();
  if (image.snapshot) r.snapshot = image.snapshot->index;
  r.last = image.entries.empty() ? r.snapshot : image.entries.back().index;
  r.membership = last_membership(image);
  const raft::Member* self = raft::find_member(r.membership, r.identity.node);
  if (self == nullptr)
    return {RAFTCS_ERR_NOT_MEMBER,
            "the last configuration in '" + path + "' does not name node " +
                to_string(r.identity.node) +
                ": it was removed, or never was a member; choose another survivor"};
  if (is_alone(r.membership, r.identity.node))
    return {RAFTCS_ERR_BAD_STATE, "node " + to_string(r.identity.node) +
                                      " is the only member of its cluster already; start it"};
  LogTime time;
  if (image.snapshot) r.term = image.snapshot->term, time = image.snapshot->time;
  if (!image.entries.empty()) r.term = image.entries.back().term, time = image.entries.back().time;
  RCS_ASSIGN(sessions, sessions_of(*dir, image));
  r.sessions = std::move(sessions);
  RCS_ASSIGN(marked, storage::is_marked_for_reseed(fs, path));
  r.marked = marked;
  if (!confirmed) return r;

  RCS_TRY(dir->mark_reseed(false));
  storage::Identity fresh = r.identity;
  fresh.cluster = r.new_cluster = random.uuid();
  RCS_TRY(storage::rewrite_identity(fs, path, fresh));
  const Term term = std::max(image.hard_state.term, r.term).next();
  const storage::WriteBatch batch = closing_entries(r, *self, term, time);
  RCS_TRY(dir->write(batch).with_context(
      "the identity is renewed, the log is not; run it again before starting the server"));
  r.new_last = batch.append.back().index;
  return r;
}

std::string recovery_json(const Recovery& r) {
  nlohmann::json members = nlohmann::json::array();
  for (const raft::Member& m : r.membership.members) members.push_back(member_json(m));
  nlohmann::json j{{"node", r.identity.node.value},
                   {"cluster", r.identity.cluster.hex()},
                   {"changed", !r.new_cluster.is_zero()},
                   {"last_index", r.last.value},
                   {"last_term", r.term.value},
                   {"snapshot_index", r.snapshot.value},
                   {"sessions_ended", r.sessions.size()},
                   {"members", members},
                   {"reseed", r.marked}};
  if (!r.new_cluster.is_zero()) {
    j["new_cluster"] = r.new_cluster.hex();
    j["new_last_index"] = r.new_last.value;
  }
  return text_of(j);
}

}  // namespace raftcs::server
