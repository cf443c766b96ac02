// recovery.hpp: a new cluster from one survivor of an old one (docs/operations.md).
//
// For when a majority is lost for good. The stopped survivor's directory becomes the only member
// of a cluster with a new id; its log is kept to the last entry and gets two more: the end of
// every session there was, and a configuration of itself alone. The new id is the new
// epoch: members of the old cluster, and clients that know the old id, refuse the new one and are
// refused by it, so that what the others may still hold never mixes in.
//
// What must hold: the identity changes before the log. A crash in between leaves a node that
// nobody votes for and that cannot lead; running it again finishes the work. The other order
// could leave a one-node majority under the old cluster's id. A mark to begin anew
// (storage/reseed_mark.hpp) goes before both: nobody is left to get the data from. While
// `healing.begun` is there (storage/healing.hpp) nothing is done.
//
// Threads: none; the server of the directory must be stopped (its lock is taken).
#pragma once

#include <string>
#include <vector>

#include "base/result.hpp"
#include "storage/data_dir.hpp"

namespace raftcs::server {

struct Recovery {
  storage::Identity identity;  // as it was
  Uuid new_cluster;            // nil: nothing was changed
  Term term;                   // of the last entry
  Index last;
  Index snapshot;
  Index new_last;
  bool marked = false;               // it was to begin anew at its next start
  raft::Membership membership;       // as it was: the last in the log, committed or not
  std::vector<SessionNum> sessions;  // that may be open, and are ended
};

// Without `confirmed` it only looks. Opening repairs a torn tail as a start of the server does.
Result<Recovery> force_new_cluster(sys::FileSystem& fs, const std::string& path,
                                   sys::RandomSource& random, bool confirmed);

// What was found and done, as one JSON object.
std::string recovery_json(const Recovery& recovery);

}  // namespace raftcs::server
