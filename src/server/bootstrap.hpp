// bootstrap.hpp: a node's first start.
//
// Happens once, on a virgin directory (RC-07): an identity is written and the log begins
// with one configuration entry (index 1, term 1). Every member of a cluster that is started
// with the same list writes the same entry and derives the same cluster id from it, so no
// coordination is needed and a directory never joins another cluster by accident (MB-10).
//
// A node that joins (Options::join) writes the identity of the cluster it was told of and a term
// of 1 without an entry: it has no configuration, so it can neither campaign nor commit, and
// waits to be added. So does a node that begins anew because its data was damaged (damage.hpp);
// its directory says so (storage/healing.hpp). What a directory with an empty log was made for
// can be told from its identity, so that a start that was interrupted never makes a joining node
// found a cluster.
#pragma once

#include "server/server.hpp"
#include "storage/data_dir.hpp"

namespace raftcs::server {

// The id of the cluster that these settings found; `incarnation` matters where one node founds it.
Result<Uuid> founded_cluster(const Options& options, const Uuid& incarnation);

// Makes or opens the directory. `notes` gets sentences about recovery for the log. Damage that is
// no torn tail: see damage.hpp.
Result<std::unique_ptr<storage::DataDir>> open_data_dir(sys::FileSystem& fs, const Options& options,
                                                        sys::RandomSource& random,
                                                        std::vector<std::string>* notes);

// What the node starts from. An empty log (first start, or a start that died before its first
// write) gets its configuration entry here.
Result<raft::BootImage> boot_image(storage::DataDir& dir, const Options& options);

}  // namespace raftcs::server
