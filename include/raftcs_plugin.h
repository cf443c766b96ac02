/* raftcs_plugin.h: the interface between raftcs and a replicated state machine.
 *
 * A plugin is a shared object in a node's plugins directory that exports exactly one
 * function, raftcs_plugin_entry_v1. It offers state machine types; the cluster runs
 * named instances of them ("services"). Every committed command is applied once on every
 * replica, in the same order. The same raftcs_sm_type_t registers an in-process state
 * machine with raftcs_server_register_sm. Only C crosses this line: no C++ type, no
 * exception, no allocation owned by the other side.
 *
 * Rules for a state machine
 *   Determinism: apply, timers and the session hooks depend on the state and their arguments only.
 *     No clock (use cluster_time_ns), no random source, no file, no address order.
 *   Memory: arguments are valid during the call only; results go into the host's sink,
 *     which copies them.
 *   Errors: an application's refusal is a reply with an app_code and leaves the state as it
 *     was. A status other than RAFTCS_OK from apply means "cannot go on deterministically":
 *     the node stops applying and says why; the entry is never skipped.
 *
 * Versions: every struct begins with struct_size. Fields are only ever added at the end;
 * a reader never looks beyond the size it was given. A wrong major version has another
 * entry function's name and is not found at all. Fields marked "minor 1" came with that minor
 * version: a plugin that may meet older hosts looks at struct_size before it uses them, or
 * refuses such hosts with abi_minor_required.
 *
 * Threads, as concurrency guards ([sm], [query], [snapshot], [loader], [any]):
 *   [sm]        never two at once for one instance; the operating system's thread may change
 *   [query]     with RAFTCS_SM_CONCURRENT_QUERY also beside [sm]; else serialised with it
 *   [snapshot]  with RAFTCS_SM_CONCURRENT_SNAPSHOT beside [sm]; else serialised with it
 *   [loader]    serial in the process
 *   [any]       any thread at any time
 */
#ifndef RAFTCS_PLUGIN_H
#define RAFTCS_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

#include "raftcs_status.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RAFTCS_PLUGIN_EXPORT __attribute__((visibility("default")))

enum raftcs_plugin_constants {
    RAFTCS_PLUGIN_MAGIC = 0x50534352, /* "RCSP" */
    RAFTCS_PLUGIN_ABI_MINOR = 1,      /* minor of this header */
    /* raftcs_plugin_entry_t.target: bytes per pointer, plus 256 on a big-endian machine */
    RAFTCS_PLUGIN_TARGET_64LE = 8
};

/* raftcs_sm_type_t.flags */
enum raftcs_sm_flags {
    RAFTCS_SM_CONCURRENT_QUERY = 1,    /* query may run beside [sm] functions */
    RAFTCS_SM_CONCURRENT_SNAPSHOT = 2, /* snapshot_write may run beside [sm] functions */
    RAFTCS_SM_ON_DISK = 4,             /* keeps its own durable state; reserved, refused in 1.0 */
    RAFTCS_SM_HAS_DIGEST = 8           /* digest is set */
};

/* Optional, an extension of a type (raftcs_sm_type_t.extension) by this name: a pointer to a
 * raftcs_status_t of the instance, which says how its last call of digest or next_timer_ns ended.
 * These give a value and no status, and a value made up instead would pass for the truth. The host
 * asks after each; next_timer_ns that failed stops the node as a failure of apply does, and a
 * digest that failed is left out. */
#define RAFTCS_SM_STATUS_EXTENSION "raftcs.status/1"

/* Why a session ended (session_ended). */
enum raftcs_session_end {
    RAFTCS_SESSION_END_CLOSED = 1,  /* the client closed it */
    RAFTCS_SESSION_END_EXPIRED = 2  /* not heard of for the session timeout of cluster time */
};

typedef struct raftcs_host raftcs_host_t;
typedef struct raftcs_sink raftcs_sink_t;
typedef struct raftcs_writer raftcs_writer_t;
typedef struct raftcs_reader raftcs_reader_t;

/* Log levels for raftcs_host.log. */
enum raftcs_log_level {
    RAFTCS_LOG_DEBUG = 1,
    RAFTCS_LOG_INFO = 2,
    RAFTCS_LOG_WARNING = 3,
    RAFTCS_LOG_ERROR = 4
};

/* What the host offers. Valid from init/create until after deinit/destroy. [any] */
struct raftcs_host {
    uint32_t struct_size;
    uint32_t abi_minor;
    void *ctx;
    void (*log)(const raftcs_host_t *host, int32_t level, const char *utf8, size_t len);
    /* Extensions by name and revision ("vendor.name/1"); NULL where unknown. */
    const void *(*extension)(const raftcs_host_t *host, const char *id);
};

/* A session as it is at the entry being applied. minor 1 */
typedef struct raftcs_live_session {
    uint32_t struct_size;      /* set by the caller */
    int32_t connected;         /* 1 or 0; see session_presence */
    uint64_t session;
    uint32_t capability_count;
    uint32_t reserved;
    const char *const *capability_names; /* sorted, each once */
    const char *const *capability_values;
} raftcs_live_session_t;

/* Where a state machine puts results. Valid during the call it was passed to. [sm]/[query] */
struct raftcs_sink {
    uint32_t struct_size;
    uint32_t reserved;
    void *ctx;
    /* The reply to command number `entry` of the batch (0 for a query). app_code 0 is success,
     * anything from 1 to 2^31-1 an application's own refusal. At most one per command; a command
     * without one is answered with app_code 0 and no bytes. The bytes are copied.
     * RAFTCS_ERR_TOO_LARGE: over 16 MiB, which not every client can read; nothing was kept, a
     * shorter reply may follow. A query's result may be larger where limits.payload_bytes is. */
    raftcs_status_t (*reply)(const raftcs_sink_t *sink, uint32_t entry, int32_t app_code,
                             const void *data, size_t len);
    /* Sends a server-started request to a session: numbered per session, delivered in order, again
     * and again until acknowledged, however often the leader changes. A request for a session
     * that does not exist is dropped and counted. RAFTCS_ERR_BUSY: the session's window is full
     * (deterministic); the state machine decides what to do. RAFTCS_ERR_TOO_LARGE: over 16 MiB.
     * Not in query. */
    raftcs_status_t (*push)(const raftcs_sink_t *sink, uint64_t session, const void *data,
                            size_t len);
    /* minor 1. Walks the live sessions in the order of their numbers: gives the first one after
     * number `after` (0: from the beginning) that has the capability `name`, and with `value` not
     * NULL has it with that value; `name` NULL: any session. NOT_FOUND: there is no further one.
     * The caller sets out->struct_size. The arrays of `out` are valid until the next call of this
     * function, the texts until the call into the state machine returns. Not in query, where it
     * gives BAD_STATE. */
    raftcs_status_t (*next_session)(const raftcs_sink_t *sink, uint64_t after, const char *name,
                                    const char *value, raftcs_live_session_t *out);
};

/* One command. Walk batches by entry_stride, not by sizeof. */
typedef struct raftcs_command {
    uint64_t index;   /* of the log entry; several commands may share one */
    uint64_t session; /* who asks: the session's number, unique for the life of the cluster */
    const void *data;
    size_t len;
} raftcs_command_t;

typedef struct raftcs_apply_batch {
    uint32_t struct_size;
    uint32_t entry_stride;    /* bytes from one command to the next */
    uint32_t count;
    uint32_t apply_version;   /* the replicated behaviour version in force */
    int64_t cluster_time_ns;  /* monotone over the log; the only clock allowed */
    const raftcs_command_t *commands;
} raftcs_apply_batch_t;

typedef struct raftcs_query {
    uint32_t struct_size;
    uint32_t apply_version;
    uint64_t session;         /* 0: asked outside a session */
    int64_t cluster_time_ns;  /* of the last applied entry */
    const void *data;
    size_t len;
} raftcs_query_t;

/* A session's beginning, change of presence, and end, as every replica sees them. */
typedef struct raftcs_session_event {
    uint32_t struct_size;
    int32_t end_reason;        /* raftcs_session_end; 0 at the beginning */
    uint64_t session;
    int64_t cluster_time_ns;
    uint32_t capability_count;
    uint32_t undelivered_count; /* at the end: pushes of this service never acknowledged ... */
    const char *const *capability_names;
    const char *const *capability_values;
    const void *const *undelivered; /* ... their payloads, oldest first (dead letters) */
    const size_t *undelivered_len;
    /* minor 1 */
    uint32_t apply_version; /* the replicated behaviour version in force */
    int32_t connected;      /* 1 or 0: is the session bound to a connection? */
} raftcs_session_event_t;

/* A call because of time. minor 1 */
typedef struct raftcs_timer {
    uint32_t struct_size;
    uint32_t apply_version;
    int64_t cluster_time_ns; /* at least what next_timer_ns gave */
} raftcs_timer_t;

/* A stream to write a snapshot to. write takes all bytes or fails; on any failure (CANCELLED
 * when the host gives up) return promptly with that status. */
struct raftcs_writer {
    uint32_t struct_size;
    uint32_t reserved;
    void *ctx;
    raftcs_status_t (*write)(const raftcs_writer_t *writer, const void *data, size_t len);
};

/* A stream to read a snapshot from. Gives up to `cap` bytes; *out_n = 0 is the end. */
struct raftcs_reader {
    uint32_t struct_size;
    uint32_t reserved;
    void *ctx;
    raftcs_status_t (*read)(const raftcs_reader_t *reader, void *buf, size_t cap, size_t *out_n);
};

typedef struct raftcs_sm_args {
    uint32_t struct_size;
    uint32_t apply_version;
    const char *service; /* name of the instance, valid during create */
} raftcs_sm_args_t;

typedef struct raftcs_snapshot_info {
    uint32_t struct_size;
    uint32_t snapshot_version; /* format written by the snapshot's maker */
    uint64_t index;            /* of the last entry it covers */
} raftcs_snapshot_info_t;

/* A state machine type: a static descriptor. Function pointers marked "optional" may be NULL. */
typedef struct raftcs_sm_type {
    uint32_t struct_size;
    uint32_t flags;                     /* raftcs_sm_flags */
    const char *id;                     /* reverse DNS, e.g. "org.raftcs.kv"; a-z 0-9 . - _ */
    uint32_t snapshot_version_write;    /* format it writes */
    uint32_t snapshot_version_read_min; /* oldest format it reads */
    uint32_t apply_version_min;         /* behaviours it can imitate: raised by a log entry only */
    uint32_t apply_version_max;
    raftcs_status_t (*create)(const raftcs_host_t *host, const raftcs_sm_args_t *args,
                              void **out_sm);                                        /* [sm] */
    void (*destroy)(void *sm);                                                       /* [sm] */
    raftcs_status_t (*apply)(void *sm, const raftcs_apply_batch_t *batch,
                             const raftcs_sink_t *sink);                             /* [sm] */
    raftcs_status_t (*query)(void *sm, const raftcs_query_t *query,
                             const raftcs_sink_t *sink);                             /* [query] */
    /* Optional hooks: every session of the cluster, whether it ever used this service or not.
     * Their sink takes pushes only. */
    raftcs_status_t (*session_started)(void *sm, const raftcs_session_event_t *event,
                                       const raftcs_sink_t *sink);                   /* [sm] */
    raftcs_status_t (*session_ended)(void *sm, const raftcs_session_event_t *event,
                                     const raftcs_sink_t *sink);                     /* [sm] */
    /* begin fixes a point in time cheaply; write streams that state; end frees it. The bytes must
     * be a function of the state alone (replicas compare them). */
    raftcs_status_t (*snapshot_begin)(void *sm, void **out_snapshot);                /* [sm] */
    raftcs_status_t (*snapshot_write)(void *sm, void *snapshot,
                                      const raftcs_writer_t *writer);               /* [snapshot] */
    void (*snapshot_end)(void *sm, void *snapshot);                                 /* [snapshot] */
    /* Called on a fresh instance. */
    raftcs_status_t (*restore)(void *sm, const raftcs_snapshot_info_t *info,
                               const raftcs_reader_t *reader);                       /* [sm] */
    /* Optional: a 64-bit hash of the state, equal on replicas at equal index. */
    uint64_t (*digest)(void *sm);                                                    /* [sm] */
    const void *(*extension)(void *sm, const char *id); /* optional */               /* [any] */
    /* minor 1. Optional, both or none: timers in log time. next_timer_ns gives the cluster time
     * from which on the state machine wants to be called (INT64_MAX: not at all), a function of
     * its state. The leader sees to an entry soon after that time (about 10 ms apart at most
     * often); every replica then calls timer at that entry if the time has come by it. What
     * is still due after it is called again. The sink takes pushes only. */
    int64_t (*next_timer_ns)(void *sm);                                              /* [sm] */
    raftcs_status_t (*timer)(void *sm, const raftcs_timer_t *timer,
                             const raftcs_sink_t *sink);                             /* [sm] */
    /* minor 1. Optional: a session's client was lost sight of (connected 0) or is there again
     * (connected 1), as every replica sees it; the session lives on. Short losses and changes
     * of leader do not show. A session begins connected. The sink takes pushes only. */
    raftcs_status_t (*session_presence)(void *sm, const raftcs_session_event_t *event,
                                        const raftcs_sink_t *sink);                  /* [sm] */
} raftcs_sm_type_t;

typedef struct raftcs_plugin_entry {
    uint32_t struct_size;
    uint32_t magic;              /* RAFTCS_PLUGIN_MAGIC */
    uint32_t abi_minor_built;    /* RAFTCS_PLUGIN_ABI_MINOR of the header it was built with */
    uint32_t abi_minor_required; /* oldest host minor it can live with */
    uint32_t target;             /* RAFTCS_PLUGIN_TARGET_64LE */
    uint32_t type_count;
    const char *name;            /* UTF-8, static, as the next three */
    const char *version;
    const char *vendor;
    const char *license;
    const raftcs_sm_type_t *(*type_at)(uint32_t i);                                  /* [loader] */
    /* Optional. Counted: init and deinit come in pairs, perhaps more than one. */
    raftcs_status_t (*init)(const raftcs_host_t *host, const char *plugin_path);     /* [loader] */
    void (*deinit)(void);                                                            /* [loader] */
    const void *(*extension)(const char *id); /* optional */                         /* [any] */
} raftcs_plugin_entry_t;

/* The one exported symbol. Gives a pointer to a static object, allocates nothing, may be
 * called before anything else and any number of times. [loader] */
RAFTCS_PLUGIN_EXPORT const raftcs_plugin_entry_t *raftcs_plugin_entry_v1(void);

#ifdef __cplusplus
}
#endif
#endif
