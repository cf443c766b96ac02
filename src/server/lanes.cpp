// lanes.cpp: running jobs against storage and the state machine.
#include "server/lanes.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

namespace raftcs::server {
namespace {

constexpr size_t kMergedBytesMax = 8 << 20;
constexpr size_t kPushFetchCountMax = 1024;
constexpr size_t kPushFetchBytesMax = 4 << 20;
constexpr size_t kSilentMax = 4096;

size_t payload_bytes(const storage::WriteBatch& batch) {
  size_t n = 0;
  for (const auto& e : batch.append) n += e.payload.size();
  return n;
}

// A later batch may join an earlier one when it only appends (and perhaps renews the hard
// state): the joint write is still one atomic step in the same order.
bool can_join(const LogJob& next) {
  return next.write_seq != 0 && !next.batch.truncate_from && !next.batch.reset_log &&
         !next.compact_to;  // what is asked of the lane besides has no write
}

void join(storage::WriteBatch* into, storage::WriteBatch&& next) {
  if (next.hard_state) into->hard_state = next.hard_state;
  into->append.insert(into->append.end(), std::make_move_iterator(next.append.begin()),
                      std::make_move_iterator(next.append.end()));
}

template <class T>
void erase_front(std::vector<T>* v, size_t n) {
  v->erase(v->begin(), v->begin() + static_cast<ptrdiff_t>(n));
}

// Was a job that ran only begun? Those of many parts give up what is done.
bool has_rest(const ApplyJob& job) {
  if (const auto* entries = std::get_if<ApplyEntries>(&job)) return !entries->entries.empty();
  if (const auto* queries = std::get_if<ApplyQueries>(&job)) return !queries->items.empty();
  return false;
}

uint64_t bytes_from(const rsm::ApplyOutput& output, size_t replies, size_t pushes) {
  uint64_t bytes = 0;
  for (size_t i = replies; i < output.replies.size(); ++i) bytes += output.replies[i].data.size();
  for (size_t i = pushes; i < output.pushes.size(); ++i) bytes += output.pushes[i].payload.size();
  return bytes;
}

}  // namespace

std::vector<LogDone> LogLane::run(std::vector<LogJob>* jobs) {
  std::vector<LogDone> done;
  size_t at = 0;
  while (at < jobs->size()) {
    LogJob job = (*jobs)[at];  // entries share their payloads: a retry needs the originals
    size_t next = at + 1;
    size_t bytes = payload_bytes(job.batch);
    while (job.write_seq != 0 && !job.compact_to && next < jobs->size() &&
           can_join((*jobs)[next]) && bytes < kMergedBytesMax) {
      LogJob more = (*jobs)[next++];
      bytes += payload_bytes(more.batch);
      join(&job.batch, std::move(more.batch));
      job.write_seq = more.write_seq;
    }
    LogDone result;
    result.write_seq = job.write_seq;
    if (job.write_seq != 0) result.status = dir_.write(job.batch);
    if (result.status.code() == RAFTCS_ERR_NO_SPACE && compact_ahead(jobs, at, &result.status))
      result.status = dir_.write(job.batch);
    if (result.status.is_ok() && job.leave) result.status = leave_segment(*job.ask_about);
    if (result.status.is_ok() && job.compact_to) result.status = dir_.compact(*job.compact_to);
    if (result.status.is_ok() && job.list_segments) result.listed = dir_.segments();
    if (job.ask_about) {
      result.asked_about = job.ask_about;
      result.open_segment = dir_.segments().back().segment;
    }
    result.first_segment = dir_.first_segment();
    if (result.status.code() == RAFTCS_ERR_NO_SPACE) {
      Status ahead = write_hard_state(jobs, at);
      if (ahead.is_ok())
        for (const LogJob& covered : *jobs)
          result.hard_seq = std::max(result.hard_seq, covered.write_seq);
      if (!ahead.is_ok() && ahead.code() != RAFTCS_ERR_NO_SPACE) result.status = ahead;
    }
    result.log_file_bytes = dir_.log_file_bytes();
    bool failed = !result.status.is_ok();
    done.push_back(std::move(result));
    if (failed) break;
    at = next;
  }
  jobs->erase(jobs->begin(), jobs->begin() + static_cast<ptrdiff_t>(at));
  return done;
}

// With the disk full it is tried again by who asked; writes must not wait behind it.
Status LogLane::leave_segment(uint64_t segment) {
  Status status = dir_.leave_segment(segment);
  return status.code() == RAFTCS_ERR_NO_SPACE ? Status::ok() : status;
}

// What the newest snapshot has replaced may be what fills the disk: it does not wait behind the
// entries that do not fit. It cuts nothing that a published snapshot does not cover.
bool LogLane::compact_ahead(std::vector<LogJob>* jobs, size_t from, Status* status) {
  Index up_to;
  for (size_t i = from; i < jobs->size(); ++i)
    if (auto asked = std::exchange((*jobs)[i].compact_to, std::nullopt))
      up_to = std::max(up_to, *asked);
  if (!up_to) return false;
  if (Status compacted = dir_.compact(up_to); !compacted.is_ok()) *status = compacted;
  return status->code() == RAFTCS_ERR_NO_SPACE;
}

// Term and vote do not wait behind entries that do not fit: storage keeps room for them. The
// newest of the jobs' hard states is written alone, and the jobs need not write it again.
Status LogLane::write_hard_state(std::vector<LogJob>* jobs, size_t from) {
  storage::WriteBatch only;
  for (size_t i = from; i < jobs->size(); ++i)
    if ((*jobs)[i].batch.hard_state) only.hard_state = (*jobs)[i].batch.hard_state;
  if (!only.hard_state) return Status::ok();
  RCS_TRY(dir_.write(only));
  for (size_t i = from; i < jobs->size(); ++i) (*jobs)[i].batch.hard_state.reset();
  return Status::ok();
}

// A snapshot replaces the entries before it, also one that cannot be applied here (RC-05). What
// waited for those entries comes after it: it asked for a state at least so new. Only a snapshot
// that was to be begun there is none: its members were those of another index.
void ApplyLane::drop_replaced(std::vector<ApplyJob>* jobs, ApplyDone* out) {
  size_t last = jobs->size();
  for (size_t i = 0; i < jobs->size(); ++i)
    if (std::holds_alternative<ApplyRestore>((*jobs)[i])) last = i;
  if (last == jobs->size()) return;
  size_t i = 0;
  std::erase_if(*jobs, [&](const ApplyJob& job) {
    const bool begins = std::holds_alternative<ApplyBeginSnapshot>(job);
    const bool drop = i++ < last && (begins || std::holds_alternative<ApplyEntries>(job) ||
                                     std::holds_alternative<ApplyRestore>(job));
    if (drop && begins)
      out->snapshot_failed = {RAFTCS_ERR_CANCELLED, "a snapshot of the leader came first"};
    return drop;
  });
  const auto restore_at = std::find_if(jobs->begin(), jobs->end(), [](const ApplyJob& job) {
    return std::holds_alternative<ApplyRestore>(job);
  });
  std::rotate(jobs->begin(), restore_at, restore_at + 1);
}

bool ApplyLane::wants_plugins(const std::vector<ApplyJob>& jobs) {
  return std::any_of(jobs.begin(), jobs.end(), [](const ApplyJob& job) {
    return std::holds_alternative<ApplyTryServices>(job);
  });
}

// They depend on no entry, and are asked for where an entry waits for a plugin.
void ApplyLane::try_services(std::vector<ApplyJob>* jobs, ApplyDone* out) {
  std::erase_if(*jobs, [&](ApplyJob& job) {
    auto* wanted = std::get_if<ApplyTryServices>(&job);
    if (wanted == nullptr) return false;
    ServicesTried done;
    done.token = wanted->token;
    for (rsm::CreateService& op : wanted->wanted) {
      Status status = machine_.try_service(&op);
      done.tried.push_back({std::move(op), std::move(status)});
    }
    out->services_tried.push_back(std::move(done));
    return true;
  });
}

void ApplyLane::run(std::vector<ApplyJob>* jobs, ApplyDone* out) {
  try_services(jobs, out);
  drop_replaced(jobs, out);
  size_t at = 0;
  for (; at < jobs->size() && !is_full(*out); ++at) {
    out->halted = run_one((*jobs)[at], out);
    if (!out->halted.is_ok() || has_rest((*jobs)[at])) break;
  }
  erase_front(jobs, at);
  out->applied = machine_.applied();
  out->state_hash = whole_hash_;
  out->next_timer = machine_.next_timer();
  out->wants_presence = machine_.wants_presence();
  out->pushes_dropped = machine_.pushes_dropped();
}

Status ApplyLane::run_one(ApplyJob& job, ApplyDone* out) {
  if (auto* entries = std::get_if<ApplyEntries>(&job)) return apply_entries(*entries, out);
  if (auto* restore_job = std::get_if<ApplyRestore>(&job)) return restore(*restore_job, out);
  if (auto* begin = std::get_if<ApplyBeginSnapshot>(&job)) {
    out->snapshot_failed = begin_snapshot(*begin, out);  // no reason to stop applying
    return Status::ok();
  }
  if (auto* queries = std::get_if<ApplyQueries>(&job)) {
    run_queries(*queries, out);
  } else if (auto* fetch = std::get_if<ApplyFetchPushes>(&job)) {
    fetch_pushes(*fetch, out);
  } else if (auto* silent = std::get_if<ApplyFindSilent>(&job)) {
    out->silent = machine_.silent_sessions(silent->now, kSilentMax);
    out->silent_found = true;
  } else if (auto* asked = std::get_if<ApplyList>(&job)) {
    list(*asked, out);
  } else if (auto* hash = std::get_if<ApplyHash>(&job)) {
    if (auto found = hash_at(hash->index)) out->hashes.push_back({hash->asker, *found});
  }
  return Status::ok();
}

void ApplyLane::run_queries(ApplyQueries& job, ApplyDone* out) {
  size_t n = 0;
  for (; n < job.items.size() && !is_full(*out); ++n) {
    QueryItem& item = job.items[n];
    rsm::QueryResult result = machine_.query(item.service, item.session, item.payload);
    out->result_bytes += result.data.size();
    out->queries.push_back({std::move(item), std::move(result), machine_.applied()});
  }
  erase_front(&job.items, n);
}

void ApplyLane::fetch_pushes(const ApplyFetchPushes& job, ApplyDone* out) {
  const auto session = machine_.session(job.session);
  out->pushes_fetched.push_back(
      {job.session, job.epoch, session ? session->acked_push : PushId(),
       machine_.pushes_after(job.session, job.after, kPushFetchCountMax, kPushFetchBytesMax)});
  for (const rsm::Push& push : out->pushes_fetched.back().pushes)
    out->result_bytes += push.payload.size();
}

void ApplyLane::list(const ApplyList& job, ApplyDone* out) {
  Listed listed;
  listed.token = job.token;
  if (job.what == ApplyList::What::sessions) listed.sessions = machine_.sessions();
  if (job.what == ApplyList::What::services) listed.services = machine_.services();
  out->result_bytes += listed.sessions.size() * sizeof(rsm::SessionInfo);
  out->listed.push_back(std::move(listed));
}

// Digests are taken at indices that all replicas have in common.
void ApplyLane::note_hash() {
  const Index at = machine_.applied();
  whole_hash_ = machine_.state_hash();
  past_[at.value % kPastHashes] = {at, whole_hash_};
  if (at.value % kDigestEvery != 0) return;
  if (auto digest = machine_.digest())
    digests_[at.value / kDigestEvery % digests_.size()] = {at, *digest};
}

std::optional<wire::ReplicaHash> ApplyLane::hash_at(Index index) const {
  const Past& past = past_[index.value % kPastHashes];
  if (past.index != index || !index) return std::nullopt;
  wire::ReplicaHash found;
  found.index = index;
  found.hash = past.hash;
  const Index multiple(index.value / kDigestEvery * kDigestEvery);
  const Past& digest = digests_[multiple.value / kDigestEvery % digests_.size()];
  if (multiple && digest.index == multiple) {
    found.digest_index = multiple;
    found.digest = digest.hash;
  }
  return found;
}

Status ApplyLane::apply_entries(ApplyEntries& job, ApplyDone* out) {
  Status status;
  size_t n = 0;
  for (; n < job.entries.size() && !is_full(*out); ++n) {
    if (job.entries[n].index <= machine_.applied()) continue;  // in a snapshot that came first
    const size_t replies = out->output.replies.size(), pushes = out->output.pushes.size();
    status = machine_.apply(job.entries[n], &out->output);
    out->result_bytes += bytes_from(out->output, replies, pushes);
    if (!status.is_ok()) break;
    note_hash();
  }
  erase_front(&job.entries, n);
  return status;
}

Status ApplyLane::restore(const ApplyRestore& job, ApplyDone* out) {
  // A later one may have been published since the job was made: it replaces the file.
  raft::SnapshotMeta meta = job.meta;
  if (auto latest = dir_.latest_snapshot(); latest && latest->index > meta.index) meta = *latest;
  if (meta.index <= machine_.applied()) return Status::ok();
  RCS_ASSIGN(reader, dir_.open_snapshot(meta.index));
  RCS_TRY(machine_.restore([&](void* buffer, size_t size) -> Result<size_t> {
    if (ended_ && ended_()) return Status(RAFTCS_ERR_CANCELLED, "the server ends");
    return reader->read(buffer, size);
  }));
  if (machine_.applied() != meta.index)
    return {RAFTCS_ERR_CORRUPT, "the snapshot at index " + to_string(meta.index) +
                                    " holds a state of index " + to_string(machine_.applied())};
  past_.assign(kPastHashes, {});
  digests_ = {};
  note_hash();
  out->output.clear();  // what was applied before is part of what is restored
  out->pushes_fetched.clear();
  Restored restored;
  restored.meta = meta;
  restored.sessions = machine_.sessions();
  restored.services = machine_.services();
  out->restored = std::move(restored);
  return Status::ok();
}

Status ApplyLane::begin_snapshot(const ApplyBeginSnapshot& job, ApplyDone* out) {
  RCS_ASSIGN(snapshot, machine_.begin_snapshot());
  out->snapshot_meta = {};
  out->snapshot_meta.index = machine_.applied();
  out->snapshot_meta.term = machine_.applied_term();
  out->snapshot_meta.time = machine_.time();
  out->snapshot_meta.membership = job.membership;
  if (!snapshot
           ->concurrent()) {  // a state machine that cannot be read beside apply: buffer it here
    auto bytes = std::make_shared<std::vector<uint8_t>>();
    RCS_TRY(snapshot->write([&](const void* data, size_t size) {
      const auto* p = static_cast<const uint8_t*>(data);
      bytes->insert(bytes->end(), p, p + size);
      return true;
    }));
    struct Buffered final : rsm::Snapshot {
      Index at;
      std::shared_ptr<std::vector<uint8_t>> bytes;
      Index index() const override { return at; }
      Status write(const rsm::WriteFn& write_fn) override {
        return write_fn(bytes->data(), bytes->size())
                   ? Status::ok()
                   : Status(RAFTCS_ERR_CANCELLED, "writing the snapshot was stopped");
      }
      bool concurrent() const override { return true; }
    };
    auto buffered = std::make_shared<Buffered>();
    buffered->at = snapshot->index();
    buffered->bytes = std::move(bytes);
    out->snapshot = std::move(buffered);
    return Status::ok();
  }
  out->snapshot = std::move(snapshot);
  return Status::ok();
}

SnapshotDone SnapshotLane::run(SnapshotJob& job, const std::function<bool()>& cancelled) {
  if (auto* write_job = std::get_if<SnapshotWrite>(&job)) {
    SnapshotWritten done = write(*write_job, cancelled);
    done.storage = dir_.stopped();
    return done;
  }
  if (auto* read = std::get_if<SnapshotReadChunk>(&job)) {
    SnapshotChunkRead done;
    done.read = read->read;
    auto chunk = dir_.read_snapshot_chunk(read->read.index, read->read.offset, read->read.size_max);
    done.status = chunk.status();
    if (chunk) done.chunk = std::move(*chunk);
    return done;
  }
  if (auto* scrub = std::get_if<ScrubRead>(&job))
    return Scrubbed{dir_.scrub(scrub->target, scrub->bytes)};
  if (auto* mark = std::get_if<MarkReseed>(&job))
    return ReseedMarked{dir_.mark_reseed(mark->on), *mark};
  auto& chunk_job = std::get<SnapshotWriteChunk>(job);
  const raft::SnapshotChunk& chunk = chunk_job.write.chunk;
  SnapshotChunkWritten done;
  done.from = chunk_job.write.from;
  done.meta = chunk.meta;
  auto written = dir_.write_snapshot_chunk(chunk.meta, chunk.offset, chunk.data, chunk.last);
  done.status = written.status();
  if (written) done.written = *written;
  done.storage = dir_.stopped();
  return done;
}

SnapshotWritten SnapshotLane::write(SnapshotWrite& job, const std::function<bool()>& cancelled) {
  SnapshotWritten done;
  done.meta = job.meta;
  auto writer = dir_.begin_snapshot(job.meta);
  if (!writer) {
    done.status = writer.status();
    return done;
  }
  Status write_status;
  done.status = job.snapshot->write([&](const void* data, size_t size) {
    if (cancelled()) return false;
    write_status = (*writer)->write(data, size);
    return write_status.is_ok();
  });
  if (!write_status.is_ok()) done.status = write_status;
  if (!done.status.is_ok()) return done;
  auto published = (*writer)->publish();
  done.status = published.status();
  if (published) done.meta = std::move(*published);
  return done;
}

}  // namespace raftcs::server
