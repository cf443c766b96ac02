// bootstrap.cpp: identity and the first configuration.
#include "server/bootstrap.hpp"

#include <algorithm>

#include "raft/membership.hpp"
#include "server/damage.hpp"
#include "storage/healing.hpp"
#include "storage/record.hpp"
#include "storage/reseed_mark.hpp"

namespace raftcs::server {
namespace {

// 128 bits that depend on every byte: FNV-1a twice, from different bases. An identity, not a
// secret: members and their operator know the list anyway.
Uuid hash_of(const ByteWriter& text) {
  uint64_t h[2] = {0xcbf29ce484222325ull, 0x84222325cbf29ce4ull};
  for (uint64_t& hash : h)
    for (size_t i = 0; i < text.size(); ++i) hash = (hash ^ text.data()[i]) * 0x100000001b3ull;
  Uuid id;
  std::memcpy(id.bytes.data(), h, sizeof h);
  return id;
}

Uuid identity_of(const std::string& name, const raft::Membership& membership) {
  ByteWriter text;
  text.text(name);
  raft::encode_membership(membership, &text);
  return hash_of(text);
}

// Of a cluster that one node founds alone: as random as its incarnation, and recognised by it.
Uuid lone_identity(const Uuid& incarnation) {
  ByteWriter text;
  text.text("a cluster of one");
  text.raw(incarnation.bytes.data(), incarnation.bytes.size());
  return hash_of(text);
}

Result<raft::Membership> first_membership(const Options& options) {
  raft::Membership membership;
  for (const ClusterMember& m : options.cluster) {
    raft::Member member;
    member.id = m.id;
    member.peer_address = m.peer_address;
    member.client_address = m.client_address;
    membership.members.push_back(std::move(member));
  }
  if (membership.members.empty()) {
    raft::Member self;
    self.id = options.id;
    self.peer_address = options.peer_advertise;
    self.client_address = options.client_advertise;
    membership.members.push_back(std::move(self));
  }
  auto by_id = [](const raft::Member& a, const raft::Member& b) { return a.id < b.id; };
  std::sort(membership.members.begin(), membership.members.end(), by_id);
  for (size_t i = 1; i < membership.members.size(); ++i)
    if (membership.members[i].id == membership.members[i - 1].id)
      return {RAFTCS_ERR_INVALID_ARGUMENT,
              "server.cluster names the id " + to_string(membership.members[i].id) + " twice"};
  if (raft::find_member(membership, options.id) == nullptr)
    return {RAFTCS_ERR_INVALID_ARGUMENT, "server.cluster does not contain this node's id " +
                                             to_string(options.id) +
                                             "; add it or correct server.id"};
  return membership;
}

Status make(sys::FileSystem& fs, const Options& options, sys::RandomSource& random) {
  storage::Identity identity;
  identity.node = options.id;
  identity.incarnation = random.uuid();
  if (!options.join.empty()) {
    identity.cluster = options.join_cluster;
    identity.joined = true;
  } else {
    RCS_ASSIGN(founded, founded_cluster(options, identity.incarnation));
    identity.cluster = founded;
  }
  return storage::DataDir::create(fs, options.data_dir, identity);
}

Result<raft::BootImage> first_image(const Options& options) {
  RCS_ASSIGN(membership, first_membership(options));
  raft::Entry entry;
  entry.index = Index(1);
  entry.term = Term(1);
  entry.type = raft::EntryType::config;
  entry.payload = raft::encode_membership(membership);
  raft::BootImage image;
  image.hard_state = {Term(1), NodeId()};
  image.entries.push_back(std::move(entry));
  return image;
}

// The term says that the first start is over; without an entry there is no configuration.
Result<raft::BootImage> join_image(storage::DataDir& dir) {
  raft::BootImage image;
  image.hard_state = {Term(1), NodeId()};
  storage::WriteBatch batch;
  batch.hard_state = image.hard_state;
  RCS_TRY(dir.write(batch).with_context("writing the first term"));
  return image;
}

// The operator says that the data is wrong, though it may read well: by the setting, or before by
// a mark in the directory, which goes with the data.
Status reseed(sys::FileSystem& fs, const Options& options, sys::RandomSource& random,
              std::vector<std::string>* notes) {
  RCS_ASSIGN(there, fs.exists(options.data_dir));
  if (!there) return Status::ok();
  RCS_ASSIGN(marked, storage::is_marked_for_reseed(fs, options.data_dir));
  if (!marked && !options.reseed) return Status::ok();
  RCS_ASSIGN(made, storage::DataDir::is_initialised(fs, options.data_dir));
  if (!made) return Status::ok();
  Options asked = options;
  asked.reseed = true;
  const std::string who =
      marked ? "an operator asked (raftcs member reseed)" : "storage.reseed asks";
  const Status done = heal_or_refuse(
      fs, asked, random,
      {RAFTCS_ERR_CORRUPT, who + " to begin anew without the data of " + options.data_dir +
                               (marked ? "" : " (take the setting away after one start)")},
      notes);
  if (done.is_ok() || !marked) return done;
  return {done.code(), done.text() + ". To go on with the data that is there, remove the file " +
                           storage::join_path(options.data_dir, storage::kReseedName)};
}

// Made before it is opened, unless it is there.
Result<std::unique_ptr<storage::DataDir>> make_and_open(sys::FileSystem& fs,
                                                        const Options& options,
                                                        sys::RandomSource& random,
                                                        std::vector<std::string>* notes) {
  RCS_ASSIGN(made, storage::DataDir::is_initialised(fs, options.data_dir));
  if (!made) RCS_TRY(make(fs, options, random).with_context("making the data directory"));
  storage::Options storage_options;
  storage_options.segment_bytes = options.segment_bytes;
  storage_options.reserve_bytes = options.disk_reserve_bytes;
  return storage::DataDir::open(fs, options.data_dir, storage_options, notes);
}

}  // namespace

Result<Uuid> founded_cluster(const Options& options, const Uuid& incarnation) {
  if (options.cluster.empty()) return lone_identity(incarnation);
  RCS_ASSIGN(membership, first_membership(options));
  return identity_of(options.cluster_name, membership);
}

Result<std::unique_ptr<storage::DataDir>> open_data_dir(sys::FileSystem& fs, const Options& options,
                                                        sys::RandomSource& random,
                                                        std::vector<std::string>* notes) {
  std::vector<std::string> unwanted;
  if (notes == nullptr) notes = &unwanted;
  RCS_TRY(storage::finish_healing(fs, options.data_dir, notes));
  RCS_TRY(reseed(fs, options, random, notes));
  auto dir = make_and_open(fs, options, random, notes);
  if (dir.status().code() == RAFTCS_ERR_CORRUPT) {
    RCS_TRY(heal_or_refuse(fs, options, random, dir.status(), notes));
    dir = make_and_open(fs, options, random, notes);
  }
  if (!dir) return dir.status();
  if ((*dir)->identity().node != options.id)
    return {RAFTCS_ERR_INVALID_ARGUMENT,
            "the data directory '" + options.data_dir + "' belongs to node " +
                to_string((*dir)->identity().node) + ", not to node " + to_string(options.id) +
                "; correct server.id or server.data"};
  return dir;
}

Result<raft::BootImage> boot_image(storage::DataDir& dir, const Options& options) {
  raft::BootImage image = dir.take_boot_image();
  if (image.snapshot || !image.entries.empty() || image.hard_state.term) return image;
  if (!options.join.empty() || dir.healing() != nullptr) return join_image(dir);
  RCS_ASSIGN(founded, founded_cluster(options, dir.identity().incarnation));
  if (founded != dir.identity().cluster)
    return {RAFTCS_ERR_BAD_STATE,
            "the data directory '" + options.data_dir + "' is empty and was made for cluster " +
                dir.identity().cluster.hex() +
                ", which these settings do not found; give server.join, or the server.cluster "
                "it was made with, or another directory"};
  RCS_ASSIGN(first, first_image(options));
  storage::WriteBatch batch;
  batch.hard_state = first.hard_state;
  batch.append = first.entries;
  RCS_TRY(dir.write(batch).with_context("writing the first configuration"));
  return first;
}

}  // namespace raftcs::server
