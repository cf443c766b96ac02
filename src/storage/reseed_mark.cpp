// reseed_mark.cpp: see reseed_mark.hpp.
#include "storage/reseed_mark.hpp"

#include "storage/healing.hpp"
#include "storage/identity_file.hpp"
#include "storage/record.hpp"

namespace raftcs::storage {
namespace {

constexpr char kText[] = "This directory begins anew at its next start.\n";

}  // namespace

Result<bool> is_marked_for_reseed(sys::FileSystem& fs, const std::string& directory) {
  return fs.exists(join_path(directory, kReseedName));
}

Status mark_for_reseed(sys::FileSystem& fs, const std::string& directory) {
  RCS_TRY(refuse_second_copy(fs, directory));
  RCS_ASSIGN(marked, is_marked_for_reseed(fs, directory));
  const std::string path = join_path(directory, kReseedName);
  Status status;
  if (!marked) status = write_new_file(fs, path, Bytes::copy(kText));
  if (status.is_ok()) status = fs.sync_directory(directory);
  // Whoever is told that it failed must not find it done.
  if (!status.is_ok() && !marked) (void)fs.remove(path).is_ok();
  return status;
}

Status unmark_for_reseed(sys::FileSystem& fs, const std::string& directory) {
  RCS_ASSIGN(marked, is_marked_for_reseed(fs, directory));
  if (marked) RCS_TRY(fs.remove(join_path(directory, kReseedName)));
  return fs.sync_directory(directory);
}

}  // namespace raftcs::storage
