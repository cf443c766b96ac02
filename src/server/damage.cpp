// damage.cpp: is there anybody to heal from, and as whom.
#include "server/damage.hpp"

#include <algorithm>

#include "raft/membership.hpp"
#include "server/bootstrap.hpp"
#include "storage/healing.hpp"
#include "storage/salvage.hpp"

namespace raftcs::server {
namespace {

constexpr char kLook[] = "'raftcs log verify --data DIR' lists all that is damaged";

Status refuse(const Status& damage, const std::string& why) {
  return {damage.code(), damage.text() + ". " + why};
}

bool has_other_voter(const raft::Membership& m, NodeId self) {
  for (const raft::Member& each : m.members)
    if (each.id != self && each.role == raft::MemberRole::voter) return true;
  return false;
}

// The configuration found, or, where none can be read, what the settings say.
bool others_are_there(const Options& o, const storage::Salvage& s) {
  if (!s.membership.members.empty()) return has_other_voter(s.membership, o.id);
  return o.cluster.size() > 1 || !o.join.empty();
}

// The cluster's id, when the file that had it is damaged too.
Result<Uuid> cluster_by_settings(const Options& options) {
  if (!options.join_cluster.is_zero()) return options.join_cluster;
  if (options.cluster.size() > 1) return founded_cluster(options, Uuid());
  return {RAFTCS_ERR_CORRUPT,
          "The identity of the node cannot be read, so its cluster is not known: give server.join "
          "with addresses of other members, and it gets its data from them"};
}

}  // namespace

Status heal_or_refuse(sys::FileSystem& fs, const Options& options, sys::RandomSource& random,
                      const Status& damage, std::vector<std::string>* notes) {
  RCS_ASSIGN(salvage, storage::salvage_directory(fs, options.data_dir));
  if (salvage.identity && salvage.identity->node != options.id) return damage;
  if (!options.heal_damage && !options.reseed)
    return refuse(damage,
                  "Nothing was changed (storage.on_damage is refuse). Start it with "
                  "storage.on_damage=heal to set the data aside and get it from the other "
                  "members; " +
                      std::string(kLook));
  if (!others_are_there(options, salvage))
    return refuse(damage,
                  "No other voting member is known to get the data from, so nothing was changed: "
                  "restore the directory from a backup; " +
                      std::string(kLook));
  storage::Healing healing;
  healing.fresh.node = options.id;
  healing.fresh.joined = true;
  healing.fresh.incarnation = random.uuid();
  if (salvage.identity) {
    healing.fresh.cluster = salvage.identity->cluster;
  } else {
    auto cluster = cluster_by_settings(options);
    if (!cluster) return refuse(damage, cluster.status().text());
    healing.fresh.cluster = *cluster;
  }
  healing.damage = damage.text() + "; the highest entry that was found is " +
                   to_string(salvage.last);
  if (Status done = storage::heal_directory(fs, options.data_dir, healing); !done.is_ok())
    return refuse(damage, "It was not set aside: " + done.text());
  notes->push_back("damage: " + healing.damage);
  notes->push_back("what there was is kept in " + options.data_dir + "/" + storage::kDamagedName +
                   "; this node begins anew with an empty log, counts for nothing until the "
                   "leader has taken it in again, and gets its data from the others");
  return Status::ok();
}

}  // namespace raftcs::server
