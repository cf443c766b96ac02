// status.cpp: the table of statuses, and the version.
//
// Name, sentence and the three predicates of each code stand in one row. A code that is not
// in the table (a newer library's, passed on) is never retriable, and its outcome is unknown:
// the careful answers.
#include <cstdint>

#include "raftcs.h"

namespace {

enum : uint8_t { kNo = 0, kRetriable = 1, kFatal = 2 };

struct Row {
  raftcs_status_t status;
  const char* name;
  uint8_t flags;
  int32_t outcome;
  const char* text;
};

constexpr int32_t kApplied = RAFTCS_OUTCOME_APPLIED;
constexpr int32_t kNotApplied = RAFTCS_OUTCOME_NOT_APPLIED;
constexpr int32_t kUnknown = RAFTCS_OUTCOME_UNKNOWN;

constexpr Row kRows[] = {
    {RAFTCS_OK, "OK", kNo, kApplied, "Success."},
    {RAFTCS_ERR_INVALID_ARGUMENT, "INVALID_ARGUMENT", kNo, kNotApplied,
     "A parameter is outside of what the function allows."},
    {RAFTCS_ERR_BAD_HANDLE, "BAD_HANDLE", kFatal, kNotApplied,
     "The handle is NULL, of another type or destroyed."},
    {RAFTCS_ERR_UNKNOWN_OPTION, "UNKNOWN_OPTION", kNo, kNotApplied, "No setting has this name."},
    {RAFTCS_ERR_BAD_STATE, "BAD_STATE", kNo, kNotApplied,
     "The call does not fit the state of the object."},
    {RAFTCS_ERR_WRONG_THREAD, "WRONG_THREAD", kNo, kNotApplied,
     "A waiting call was made on a thread of the library."},
    {RAFTCS_ERR_UNSUPPORTED, "UNSUPPORTED", kNo, kNotApplied,
     "This library or this server cannot do it."},
    {RAFTCS_ERR_TOO_LARGE, "TOO_LARGE", kNo, kNotApplied, "The data is over the limit."},
    {RAFTCS_ERR_FORKED, "FORKED", kFatal, kNotApplied,
     "The handle belongs to the process before fork."},
    {RAFTCS_ERR_NOT_FOUND, "NOT_FOUND", kNo, kNotApplied, "No such thing."},
    {RAFTCS_ERR_ALREADY_EXISTS, "ALREADY_EXISTS", kNo, kNotApplied, "The name is taken."},

    {RAFTCS_ERR_NO_MEMORY, "NO_MEMORY", kRetriable, kNotApplied, "Memory ran out."},
    {RAFTCS_ERR_IO, "IO", kNo, kUnknown, "A system call on a file or socket failed."},
    {RAFTCS_ERR_NO_SPACE, "NO_SPACE", kRetriable, kNotApplied,
     "The disk is full; writing goes on when there is space."},
    {RAFTCS_ERR_RESOURCE_LIMIT, "RESOURCE_LIMIT", kRetriable, kNotApplied,
     "A configured limit is reached."},
    {RAFTCS_ERR_INTERNAL, "INTERNAL", kNo, kUnknown, "A fault of raftcs itself; please report it."},

    {RAFTCS_ERR_BUSY, "BUSY", kRetriable, kNotApplied, "Too much is outstanding; try again later."},
    {RAFTCS_ERR_NO_LEADER, "NO_LEADER", kRetriable, kNotApplied,
     "The cluster has no leader at the moment."},
    {RAFTCS_ERR_UNREACHABLE, "UNREACHABLE", kRetriable, kNotApplied,
     "No server of the cluster answers."},
    {RAFTCS_ERR_TIMED_OUT, "TIMED_OUT", kRetriable, kUnknown,
     "The deadline passed before an answer came."},
    {RAFTCS_ERR_CANCELLED, "CANCELLED", kNo, kUnknown, "The caller cancelled it."},
    {RAFTCS_ERR_CLOSED, "CLOSED", kFatal, kUnknown, "The object was closed first."},

    {RAFTCS_ERR_NOT_LEADER, "NOT_LEADER", kRetriable, kNotApplied,
     "The member asked does not lead."},
    {RAFTCS_ERR_DROPPED, "DROPPED", kRetriable, kUnknown,
     "The leader changed after it had accepted the command."},
    {RAFTCS_ERR_SESSION_EXPIRED, "SESSION_EXPIRED", kFatal, kUnknown,
     "The session is gone: expired, closed or never there."},
    {RAFTCS_ERR_CONFIG_IN_PROGRESS, "CONFIG_IN_PROGRESS", kRetriable, kNotApplied,
     "Another change of the members is under way."},
    {RAFTCS_ERR_NOT_MEMBER, "NOT_MEMBER", kNo, kNotApplied, "No member has this id."},
    {RAFTCS_ERR_COMPACTED, "COMPACTED", kNo, kNotApplied, "The log no longer holds this index."},
    {RAFTCS_ERR_STALE_READ_REFUSED, "STALE_READ_REFUSED", kRetriable, kNotApplied,
     "The wished consistency cannot be given here."},
    {RAFTCS_ERR_EVICTED, "EVICTED", kNo, kUnknown,
     "The reply was given up as collected; the command never runs again."},
    {RAFTCS_ERR_MISUSE, "MISUSE", kNo, kNotApplied,
     "The same request number came with another payload."},
    {RAFTCS_ERR_SESSION_TAKEN, "SESSION_TAKEN", kFatal, kUnknown,
     "Another client continued this session."},
    {RAFTCS_ERR_SESSION_REJECTED, "SESSION_REJECTED", kFatal, kNotApplied,
     "The cluster refused to open the session."},
    {RAFTCS_ERR_WRONG_CLUSTER, "WRONG_CLUSTER", kNo, kNotApplied,
     "The server belongs to another cluster."},

    {RAFTCS_ERR_CORRUPT, "CORRUPT", kNo, kNotApplied, "Stored data is damaged."},
    {RAFTCS_ERR_CHECKSUM, "CHECKSUM", kNo, kNotApplied, "A checksum does not fit its data."},
    {RAFTCS_ERR_VERSION_MISMATCH, "VERSION_MISMATCH", kNo, kNotApplied,
     "The data is of a version that is not understood."},
    {RAFTCS_ERR_MALFORMED, "MALFORMED", kNo, kNotApplied,
     "The bytes are no message, file or setting."},

    {RAFTCS_ERR_PLUGIN_LOAD, "PLUGIN_LOAD", kNo, kNotApplied, "The plugin file cannot be loaded."},
    {RAFTCS_ERR_PLUGIN_ABI, "PLUGIN_ABI", kNo, kNotApplied, "The plugin is of another ABI."},
    {RAFTCS_ERR_PLUGIN_FAILED, "PLUGIN_FAILED", kNo, kUnknown,
     "The state machine cannot go on."},
    {RAFTCS_ERR_APPLY_REJECTED, "APPLY_REJECTED", kNo, kApplied,
     "The state machine refused the command, the same on every replica."},
};

constexpr uint32_t kRowCount = sizeof kRows / sizeof kRows[0];

const Row* find_row(raftcs_status_t status) {
  for (const Row& row : kRows) {
    if (row.status == status) return &row;
  }
  return nullptr;
}

bool same(const char* a, const char* b) {
  while (*a && *a == *b) ++a, ++b;
  return *a == *b;
}

#define RCS_TEXT_OF(x) #x
#define RCS_NUMBER_TEXT(x) RCS_TEXT_OF(x)

}  // namespace

const char* raftcs_status_name(raftcs_status_t status) {
  const Row* row = find_row(status);
  return row ? row->name : "UNKNOWN";
}

const char* raftcs_status_text(raftcs_status_t status) {
  const Row* row = find_row(status);
  return row ? row->text : "A status that this library does not know.";
}

raftcs_status_t raftcs_status_at(uint32_t i, raftcs_status_t* out_status) {
  if (!out_status) return RAFTCS_ERR_INVALID_ARGUMENT;
  if (i >= kRowCount) return RAFTCS_ERR_NOT_FOUND;
  *out_status = kRows[i].status;
  return RAFTCS_OK;
}

int32_t raftcs_status_is_retriable(raftcs_status_t status) {
  const Row* row = find_row(status);
  return row && (row->flags & kRetriable) ? 1 : 0;
}

int32_t raftcs_status_is_fatal(raftcs_status_t status) {
  const Row* row = find_row(status);
  return row && (row->flags & kFatal) ? 1 : 0;
}

int32_t raftcs_status_outcome(raftcs_status_t status) {
  const Row* row = find_row(status);
  return row ? row->outcome : kUnknown;
}

uint32_t raftcs_version(void) {
  return RAFTCS_VERSION_MAJOR << 24 | RAFTCS_VERSION_MINOR << 16 | RAFTCS_VERSION_PATCH << 8;
}

const char* raftcs_version_string(void) {
  return RCS_NUMBER_TEXT(RAFTCS_VERSION_MAJOR) "." RCS_NUMBER_TEXT(
      RAFTCS_VERSION_MINOR) "." RCS_NUMBER_TEXT(RAFTCS_VERSION_PATCH);
}

int32_t raftcs_has(const char* feature) {
  if (!feature) return 0;
  return same(feature, "client") || same(feature, "server") || same(feature, "plugins") ? 1 : 0;
}
