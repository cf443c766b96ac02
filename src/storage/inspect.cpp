// inspect.cpp: see inspect.hpp. Uses the same scanner and replay as opening does.
#include "storage/inspect.hpp"

#include "storage/healing.hpp"
#include "storage/identity_file.hpp"
#include "storage/log_replay.hpp"
#include "storage/reseed_mark.hpp"
#include "storage/snapshot_format.hpp"

namespace raftcs::storage {
namespace {

std::string number(const char* name, uint64_t value) {
  return std::string("\"") + name + "\":" + std::to_string(value);
}

const char* kind_name(RecordKind kind) {
  switch (kind) {
    case RecordKind::write:
      return "write";
    case RecordKind::segment:
      return "segment";
    case RecordKind::hard_state:
      return "hard_state";
    case RecordKind::reset:
      return "reset";
    case RecordKind::truncate:
      return "truncate";
    case RecordKind::entry:
      return "entry";
  }
  return "unknown";
}

const char* entry_type_name(uint8_t type) {
  static constexpr const char* kNames[] = {"unknown", "noop", "config", "ops"};
  return kNames[type <= 3 ? type : 0];
}

std::string record_line(uint64_t segment, const ScannedRecord& r) {
  const RecordHeader& h = r.header;
  std::string out = std::string("{\"record\":\"") + kind_name(h.kind) + "\"," +
                    number("segment", segment) + "," + number("offset", r.offset) + "," +
                    number("session", h.session);
  switch (h.kind) {
    case RecordKind::entry:
      out += "," + number("index", h.a) + "," + number("term", h.b) + ",\"type\":\"" +
             entry_type_name(h.detail) +
             "\",\"time\":" + std::to_string(static_cast<int64_t>(h.c)) + "," +
             number("size", h.length);
      break;
    case RecordKind::hard_state:
      out += "," + number("term", h.b) + "," + number("vote", h.c);
      break;
    case RecordKind::reset:
      out += "," + number("index", h.a) + "," + number("term", h.b);
      break;
    case RecordKind::truncate:
      out += "," + number("index", h.a);
      break;
    case RecordKind::write:
    case RecordKind::segment:
      out += "," + number("size", h.c);
      break;
  }
  return out + "}";
}

Result<SegmentScan> scan_file(sys::FileSystem& fs, const std::string& path, uint64_t number_of,
                              const Uuid& incarnation, uint32_t session) {
  RCS_ASSIGN(file, fs.open(path, sys::OpenMode::read));
  return scan_segment(*file, number_of, incarnation, session);
}

}  // namespace

Status dump_directory(sys::FileSystem& fs, const std::string& path,
                      const std::function<void(const std::string&)>& line) {
  RCS_ASSIGN(identity, read_identity(fs, path));
  line("{\"file\":\"identity\",\"cluster\":\"" + identity.cluster.hex() + "\"," +
       number("node", identity.node.value) + ",\"incarnation\":\"" + identity.incarnation.hex() +
       "\"}");
  RCS_ASSIGN(names, fs.list(path));
  uint32_t session = 0;
  for (const std::string& name : names) {
    Index index;
    uint64_t segment = 0;
    if (parse_snapshot_name(name, &index)) {
      RCS_ASSIGN(snapshot, open_snapshot_file(fs, join_path(path, name), index));
      line("{\"file\":\"" + name + "\"," + number("index", index.value) + "," +
           number("term", snapshot.meta.term.value) + "," + number("size", snapshot.meta.size) +
           "," + number("checksum", snapshot.meta.checksum) + "}");
    } else if (parse_segment_name(name, &segment)) {
      RCS_ASSIGN(scan,
                 scan_file(fs, join_path(path, name), segment, identity.incarnation, session));
      session = scan.session;
      line("{\"file\":\"" + name + "\"," + number("size", scan.file_bytes) +
           ",\"begun\":" + (scan.begun ? "true" : "false") + "," + number("end", scan.end) +
           ",\"damaged\":" + (scan.damaged ? "true" : "false") + "}");
      for (const ScannedRecord& r : scan.records) line(record_line(segment, r));
    }
  }
  return Status::ok();
}

Result<std::vector<Finding>> verify_directory(sys::FileSystem& fs, const std::string& path) {
  std::vector<Finding> findings;
  const auto damage = [&](const std::string& file, uint64_t offset, const std::string& text) {
    findings.push_back({true, file, offset, text});
  };
  RCS_ASSIGN(names, fs.list(path));
  auto identity = read_identity(fs, path);
  if (!identity) {
    damage(kIdentityName, 0, identity.status().text());
    return findings;  // without the incarnation no segment can be read
  }
  std::optional<raft::SnapshotMeta> latest;
  LogReplay replay(path);
  bool log_whole = true;
  for (const std::string& name : names) {
    const std::string file = join_path(path, name);
    Index index;
    uint64_t segment = 0;
    if (parse_snapshot_name(name, &index)) {
      auto snapshot = open_snapshot_file(fs, file, index);
      const Status status = snapshot ? verify_snapshot_body(*snapshot) : snapshot.status();
      if (!status.is_ok()) damage(name, snapshot ? snapshot->body_offset : 0, status.text());
      if (snapshot && (!latest || latest->index < index)) latest = snapshot->meta;
    } else if (parse_segment_name(name, &segment)) {
      auto scan = scan_file(fs, file, segment, identity->incarnation, replay.session());
      const Status status = scan ? replay.add(*scan) : scan.status();
      if (!status.is_ok()) {
        damage(name, scan ? scan->end : 0, status.text());
        log_whole = false;
      } else if (scan->torn) {
        findings.push_back(
            {false, name, scan->end, "the last write was not finished; opening cuts it"});
      }
    } else if (name == kHealingName) {
      auto healing = read_healing(fs, path);
      if (!healing) damage(name, 0, healing.status().text());
    } else if (name == kReseedName) {
      findings.push_back({false, name, 0, "the node begins anew at its next start"});
    } else if (name == kDamagedName) {
      findings.push_back({false, name, 0, "damaged data that was set aside"});
    } else if (name != kIdentityName) {
      findings.push_back({false, name, 0, "not a file of a finished state"});
    }
  }
  if (!log_whole) return findings;
  bool needs_reset = false;
  auto state = replay.finish(latest, &needs_reset);
  if (!state) damage(path, 0, state.status().text());
  return findings;
}

}  // namespace raftcs::storage
