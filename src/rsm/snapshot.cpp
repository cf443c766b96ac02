// snapshot.cpp: writing and restoring, with the services' own streams inside.
//
// The writer may run beside apply: it reads only its own copies, the services' snapshot
// handles (the plugin promised that this is allowed) and fields of Service that never
// change. Restore builds a new state and gives it away only when all of it was read.
#include "rsm/snapshot.hpp"

#include "rsm/snapshot_format.hpp"

namespace raftcs::rsm {
namespace {

class StateSnapshot final : public Snapshot {
 public:
  explicit StateSnapshot(const State& state) {
    head_.limits = state.limits;
    head_.applied = state.applied;
    head_.term = state.term;
    head_.time = state.time;
    head_.ops_hash = state.ops_hash;
    head_.pushes_hash = state.pushes_hash;
    head_.pushes_dropped = state.pushes_dropped;
    head_.next_session = state.sessions.next_num();
    head_.sessions = state.sessions.size();
    head_.services = state.services.size();
    sessions_.reserve(state.sessions.size());
    for (const Session* s : state.sessions.sorted()) sessions_.push_back(*s);
  }
  ~StateSnapshot() override {
    std::string what;  // nothing can be done about a failure here
    for (Part& p : parts_) {
      (void)guarded(&what, [&] {
        p.service->type->snapshot_end(p.service->sm, p.handle);
        return RAFTCS_OK;
      });
    }
  }

  Status begin(const std::shared_ptr<Service>& service) {
    void* handle = nullptr;
    std::string what;
    const raftcs_status_t status =
        guarded(&what, [&] { return service->type->snapshot_begin(service->sm, &handle); });
    if (status != RAFTCS_OK)
      return service->failure("snapshot_begin", head_.applied, status, what);
    concurrent_ = concurrent_ && service->concurrent_snapshot();
    parts_.push_back({service, handle, service->apply_version});
    return Status::ok();
  }

  Index index() const override { return head_.applied; }
  bool concurrent() const override { return concurrent_; }

  Status write(const WriteFn& write) override {
    if (written_) return Status(RAFTCS_ERR_BAD_STATE, "a snapshot is written once");
    written_ = true;
    ChunkWriter out(write);
    ByteWriter piece;
    encode(head_, &piece);
    out.add(piece);
    for (const Session& s : sessions_) {
      piece.clear();
      encode(s, &piece);
      if (!out.add(piece)) break;
    }
    out.end_section();
    for (const Part& p : parts_) {
      if (!out.ok()) break;
      RCS_TRY(write_service(p, &out));
    }
    piece.clear();
    piece.u32(kSnapshotMagic);
    piece.varint(out.sections());
    out.add(piece);
    if (!out.end_section()) return cancelled();
    return Status::ok();
  }

 private:
  struct Part {
    std::shared_ptr<Service> service;
    void* handle;
    uint32_t apply_version;  // the service's own may be raised meanwhile
  };

  static Status cancelled() {
    return Status(RAFTCS_ERR_CANCELLED, "the snapshot was given up while it was written");
  }

  static raftcs_status_t write_fn(const raftcs_writer_t* writer, const void* data, size_t len) {
    if (data == nullptr && len != 0) return RAFTCS_ERR_INVALID_ARGUMENT;
    auto* out = static_cast<ChunkWriter*>(writer->ctx);
    return out->raw(data, len) ? RAFTCS_OK : RAFTCS_ERR_CANCELLED;
  }

  Status write_service(const Part& p, ChunkWriter* out) {
    SnapshotService about;
    about.num = p.service->num.value;
    about.name = p.service->name;
    about.type = p.service->type_id;
    about.apply_version = p.apply_version;
    about.snapshot_version = p.service->type->snapshot_version_write;
    ByteWriter piece;
    encode(about, &piece);
    out->add(piece);
    if (!out->end_section()) return cancelled();
    raftcs_writer_t writer{};
    writer.struct_size = sizeof writer;
    writer.ctx = out;
    writer.write = &write_fn;
    std::string what;
    const raftcs_status_t status = guarded(&what, [&] {
      return p.service->type->snapshot_write(p.service->sm, p.handle, &writer);
    });
    if (!out->ok()) return cancelled();
    if (status != RAFTCS_OK)
      return p.service->failure("snapshot_write", head_.applied, status, what);
    return out->end_section() ? Status::ok() : cancelled();
  }

  SnapshotHead head_;
  std::vector<Session> sessions_;
  std::vector<Part> parts_;
  bool concurrent_ = true;
  bool written_ = false;
};

raftcs_status_t read_fn(const raftcs_reader_t* reader, void* buf, size_t cap, size_t* out_n) {
  auto* in = static_cast<ChunkReader*>(reader->ctx);
  *out_n = in->read(buf, cap);
  return in->ok() ? RAFTCS_OK : in->status().code();
}

Status restore_service(TypeSource& types, ChunkReader* in, uint64_t num, State* state) {
  const SnapshotService about = decode_service(in);
  if (in->ok() && about.num != num) in->fail("services are not in order");
  in->end_section();
  RCS_TRY(in->status());
  RCS_ASSIGN(service, open_service(types, about.name, about.type, about.apply_version));
  service->num = ServiceNum(num);
  const raftcs_sm_type_t& type = *service->type;
  if (about.snapshot_version < type.snapshot_version_read_min ||
      about.snapshot_version > type.snapshot_version_write) {
    return Status(RAFTCS_ERR_VERSION_MISMATCH,
                  "service '" + about.name + "' was saved in format " +
                      std::to_string(about.snapshot_version) + " of '" + about.type +
                      "', but the plugin on this node reads " +
                      std::to_string(type.snapshot_version_read_min) + " to " +
                      std::to_string(type.snapshot_version_write));
  }
  raftcs_snapshot_info_t info{};
  info.struct_size = sizeof info;
  info.snapshot_version = about.snapshot_version;
  info.index = state->applied.value;
  raftcs_reader_t reader{};
  reader.struct_size = sizeof reader;
  reader.ctx = in;
  reader.read = &read_fn;
  std::string what;
  const raftcs_status_t status =
      guarded(&what, [&] { return type.restore(service->sm, &info, &reader); });
  RCS_TRY(in->status());  // the cause, if the stream was damaged
  if (status != RAFTCS_OK) return service->failure("restore", state->applied, status, what);
  in->end_section();
  RCS_TRY(in->status().with_context("the stream of service '" + about.name + "'"));
  state->services.push_back(std::move(service));
  return Status::ok();
}

}  // namespace

Result<std::unique_ptr<Snapshot>> take_snapshot(const State& state) {
  auto snapshot = std::make_unique<StateSnapshot>(state);
  for (const auto& service : state.services) RCS_TRY(snapshot->begin(service));
  return std::unique_ptr<Snapshot>(std::move(snapshot));
}

Result<SnapshotSessions> sessions_in_snapshot(const ReadFn& read) {
  ChunkReader in(read);
  const SnapshotHead head = decode_head(&in);
  SnapshotSessions held;
  held.next_session = head.next_session;
  for (uint64_t i = 0; i < head.sessions && in.ok(); ++i)
    if (auto session = decode_session(&in, head)) held.sessions.push_back(session->num);
  in.end_section();
  RCS_TRY(in.status());
  return held;
}

Result<std::unique_ptr<State>> read_snapshot(TypeSource& types, const ReadFn& read) {
  ChunkReader in(read);
  const SnapshotHead head = decode_head(&in);
  auto state = std::make_unique<State>();
  state->limits = head.limits;
  state->applied = head.applied;
  state->term = head.term;
  state->time = head.time;
  state->ops_hash = head.ops_hash;
  state->pushes_hash = head.pushes_hash;
  state->pushes_dropped = head.pushes_dropped;
  SessionNum before;
  for (uint64_t i = 0; i < head.sessions && in.ok(); ++i) {
    std::unique_ptr<Session> session = decode_session(&in, head);
    if (session == nullptr) break;
    const SessionNum num = session->num;
    if (num <= before || !state->sessions.insert(std::move(session)))
      in.fail("its sessions are not in order");
    before = num;
  }
  state->sessions.set_next_num(head.next_session);
  in.end_section();
  RCS_TRY(in.status());
  for (uint64_t num = 1; num <= head.services; ++num)
    RCS_TRY(restore_service(types, &in, num, state.get()));
  const uint64_t sections = in.sections();
  uint32_t mark = 0;
  for (unsigned shift = 0; shift < 32; shift += 8)
    mark |= static_cast<uint32_t>(in.u8()) << shift;
  if (in.varint() != sections || mark != kSnapshotMagic) in.fail("its last section is wrong");
  in.end_section();
  in.expect_end_of_source();
  RCS_TRY(in.status());
  return state;
}

}  // namespace raftcs::rsm
