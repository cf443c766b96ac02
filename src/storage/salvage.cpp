// salvage.cpp: see salvage.hpp.
#include "storage/salvage.hpp"

#include <tuple>

#include "raft/membership.hpp"
#include "storage/identity_file.hpp"
#include "storage/segment_scan.hpp"
#include "storage/snapshot_format.hpp"

namespace raftcs::storage {
namespace {

// The configuration of the highest term, then index, is the latest.
class Latest {
 public:
  void offer(Term term, Index index, raft::Membership membership) {
    if (!found_.members.empty() && std::tie(term, index) < std::tie(term_, index_)) return;
    found_ = std::move(membership);
    term_ = term;
    index_ = index;
  }
  raft::Membership take() { return std::move(found_); }

 private:
  raft::Membership found_;
  Term term_;
  Index index_;
};

void look_into(const ScannedRecord& r, Salvage* out, Latest* latest) {
  if (r.header.kind != RecordKind::entry) return;
  out->last = std::max(out->last, Index(r.header.a));
  if (r.header.detail != static_cast<uint8_t>(raft::EntryType::config)) return;
  if (auto membership = raft::decode_membership(r.payload))
    latest->offer(Term(r.header.b), Index(r.header.a), std::move(*membership));
}

}  // namespace

Result<Salvage> salvage_directory(sys::FileSystem& fs, const std::string& path) {
  Salvage out;
  Latest latest;
  if (auto identity = read_identity(fs, path)) out.identity = *identity;
  RCS_ASSIGN(names, fs.list(path));
  for (const std::string& name : names) {
    const std::string file_path = join_path(path, name);
    Index index;
    uint64_t number = 0;
    if (parse_snapshot_name(name, &index)) {
      out.last = std::max(out.last, index);
      if (auto snapshot = open_snapshot_file(fs, file_path, index))
        latest.offer(snapshot->meta.term, index, snapshot->meta.membership);
    } else if (parse_segment_name(name, &number)) {
      auto file = fs.open(file_path, sys::OpenMode::read);
      if (!file) continue;  // what cannot be read tells nothing
      const Uuid* incarnation = out.identity ? &out.identity->incarnation : nullptr;
      const Status status = salvage_segment(
          **file, number, incarnation,
          [&](const ScannedRecord& r) { look_into(r, &out, &latest); });
      (void)status.is_ok();  // what cannot be read tells nothing
    }
  }
  out.membership = latest.take();
  return out;
}

}  // namespace raftcs::storage
