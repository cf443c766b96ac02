// healing.hpp: a damaged directory begins anew, and keeps what there was.
//
// A node whose data is damaged must not go on with a part of it (PS-06): it may have forgotten
// votes and entries that it had promised. It becomes what a node with a lost disk is: the same
// id and cluster, a fresh incarnation, an empty log; the others have the data. What is on the
// disk is not deleted: all files are renamed into the subdirectory `damaged`.
//
// What must hold
//  - First the decision is durable (`healing.begun`), then files move, then the new identity is
//    made, then the decision gets its final name (`healing`). Each start finishes what a crash
//    has interrupted; at no time does the new identity stand beside the old log.
//  - A copy that is there already is never written to: healing is refused then.
//  - `healing` stays: it says for good that this incarnation began without what its id had
//    promised before. What follows from it is decided by the node (server/healing.cpp).
//
// Threads: none; before the directory is opened.
#pragma once

#include <optional>
#include <string>

#include "storage/data_dir.hpp"

namespace raftcs::storage {

constexpr char kDamagedName[] = "damaged";        // the subdirectory
constexpr char kHealingName[] = "healing";        // done
constexpr char kHealingBegun[] = "healing.begun";  // decided

struct Healing {
  Identity fresh;      // what the node is from now on
  std::string damage;  // what was found: file, offset, index
};

// Of a directory that was healed, now or long ago.
Result<std::optional<Healing>> read_healing(sys::FileSystem& fs, const std::string& directory);

// BAD_STATE: damaged data of an earlier time is there, which no other may join.
Status refuse_second_copy(sys::FileSystem& fs, const std::string& directory);

// Decides and carries out. BAD_STATE: damaged data of an earlier time is still there.
Status heal_directory(sys::FileSystem& fs, const std::string& directory, const Healing& healing);

// Carries out what was decided before a crash, if anything; a sentence about it goes to `notes`.
Status finish_healing(sys::FileSystem& fs, const std::string& directory,
                      std::vector<std::string>* notes);

}  // namespace raftcs::storage
