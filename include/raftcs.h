/* raftcs.h: replicated state machines as a service, for programs in any language.
 *
 * The client half (raftcs_client_*) is a durable session with a cluster: commands with
 * exactly-once effect, linearizable queries, and requests that the server starts and the
 * client acknowledges; it survives leader changes, lost connections and server restarts.
 * The server half (raftcs_server_*) embeds a node of a cluster in any process. Everything
 * asynchronous ends as an event in a queue with a pollable descriptor.
 *
 * Conventions
 *  1 Handles are opaque. *_create makes one, *_destroy ends it and accepts NULL. Handles may
 *    be destroyed in any order; parents live on inside until their children are gone.
 *  2 Strings are UTF-8 and end with NUL. Bytes are (pointer, length); the pointer may be NULL
 *    only if the length is 0. Everything passed in is copied before the call returns.
 *  3 What an object gives out belongs to it and lives as long as it does, unless the comment
 *    says otherwise. Nothing given out is ever freed by the caller with free().
 *  4 Functions that can fail return raftcs_status_t; 0 is success. Outputs come last and are
 *    written only on success, except out_error, which is set only on failure and may be NULL.
 *  5 Threads: every function may be called from any thread at any time, unless marked
 *    [serial]: not two at once for one object. [waits]: blocks; refused with WRONG_THREAD on
 *    library threads (wakeup callbacks).
 *  6 Structs begin with struct_size, set by the caller to sizeof the struct. Zero in a field is
 *    its default. A newer caller's fields that this library does not know must be zero.
 *  7 Booleans are int32_t 0 or 1. Durations are in the unit of their name; -1 is for ever.
 *  8 The library installs no signal handler, blocks all signals in its threads, prints nothing
 *    and never ends the process. After fork the child may only destroy inherited handles: other
 *    calls give FORKED.
 *
 * Outcomes. Every accepted operation ends with exactly one event. The event's outcome says
 * what happened to a command: APPLIED (once), NOT_APPLIED (and never will be) or UNKNOWN (it
 * may have happened or may yet happen, once). Retrying is the library's business: while a
 * session lives, a command is sent again under its own number until an answer arrives or its
 * deadline passes. After the event raftcs_event_is_retriable says whether the caller may
 * make the same call again; after UNKNOWN only the application can find out what happened.
 */
#ifndef RAFTCS_H
#define RAFTCS_H

#include <stddef.h>
#include <stdint.h>

#include "raftcs_status.h"

#ifdef __cplusplus
extern "C" {
#endif

#if defined(RAFTCS_BUILDING)
#define RAFTCS_API __attribute__((visibility("default")))
#else
#define RAFTCS_API
#endif

#define RAFTCS_VERSION_MAJOR 0
#define RAFTCS_VERSION_MINOR 1
#define RAFTCS_VERSION_PATCH 0

typedef struct raftcs_config raftcs_config_t;
typedef struct raftcs_queue raftcs_queue_t;
typedef struct raftcs_event raftcs_event_t;
typedef struct raftcs_error raftcs_error_t;
typedef struct raftcs_client raftcs_client_t;
typedef struct raftcs_server raftcs_server_t;
typedef struct raftcs_plugin raftcs_plugin_t;
struct raftcs_sm_type; /* raftcs_plugin.h */

/* ---- version ------------------------------------------------------------------- */

/* (major << 24 | minor << 16 | patch << 8) of the library at run time. */
RAFTCS_API uint32_t raftcs_version(void);
RAFTCS_API const char *raftcs_version_string(void);
/* Does this build have a feature? Names: "client", "server", "plugins". Unknown: 0. */
RAFTCS_API int32_t raftcs_has(const char *feature);

/* ---- statuses ------------------------------------------------------------------ */

enum raftcs_outcome {
    RAFTCS_OUTCOME_NONE = 0,        /* not about an operation */
    RAFTCS_OUTCOME_APPLIED = 1,     /* happened, exactly once */
    RAFTCS_OUTCOME_NOT_APPLIED = 2, /* did not happen and never will */
    RAFTCS_OUTCOME_UNKNOWN = 3      /* may have happened, at most once */
};

/* "NOT_LEADER"; "UNKNOWN" for a number that is not in the table. Static. */
RAFTCS_API const char *raftcs_status_name(raftcs_status_t status);
/* One sentence for people. Static. */
RAFTCS_API const char *raftcs_status_text(raftcs_status_t status);
/* The table, for bindings: entry `i`, from 0; NOT_FOUND past the end. */
RAFTCS_API raftcs_status_t raftcs_status_at(uint32_t i, raftcs_status_t *out_status);
/* May the same call succeed later without any change by the caller? Says nothing about whether the
 * first one had an effect: for that ask raftcs_event_is_retriable. */
RAFTCS_API int32_t raftcs_status_is_retriable(raftcs_status_t status);
/* Will this handle never work again? (A client whose session is lost: not until it is opened
 * again.) */
RAFTCS_API int32_t raftcs_status_is_fatal(raftcs_status_t status);
/* The outcome that the status alone implies; an event's own outcome is more exact. */
RAFTCS_API int32_t raftcs_status_outcome(raftcs_status_t status);

/* ---- errors: a status with a sentence ---------------------------------------- */

RAFTCS_API raftcs_status_t raftcs_error_status(const raftcs_error_t *error);
RAFTCS_API const char *raftcs_error_text(const raftcs_error_t *error);
RAFTCS_API void raftcs_error_destroy(raftcs_error_t *error);

/* ---- settings ------------------------------------------------------------------
 * Name and value pairs, checked when set. One object can make many clients and servers; it
 * is copied by *_create and always destroyed by the caller. The names, types, defaults and
 * meanings are in docs/settings.md, printed from the same table that raftcs_setting_at walks. */

RAFTCS_API raftcs_status_t raftcs_config_create(raftcs_config_t **out_config);
RAFTCS_API void raftcs_config_destroy(raftcs_config_t *config);
/* [serial] UNKNOWN_OPTION: no such name (the error proposes the nearest). INVALID_ARGUMENT: the
 * value is not of the setting's type or range. */
RAFTCS_API raftcs_status_t raftcs_config_set(raftcs_config_t *config, const char *name,
                                             const char *value, raftcs_error_t **out_error);
/* [serial] The text of a value; lives until the next call on this object. */
RAFTCS_API raftcs_status_t raftcs_config_get(raftcs_config_t *config, const char *name,
                                             const char **out_value);
/* [serial] Reads a TOML file; a table [client.request] with key timeout_ms is the setting
 * client.request.timeout_ms. Errors name file, line and setting. */
RAFTCS_API raftcs_status_t raftcs_config_load_file(raftcs_config_t *config, const char *path,
                                                   raftcs_error_t **out_error);

typedef struct raftcs_setting {
    uint32_t struct_size;
    uint32_t flags;             /* 0 */
    const char *name;           /* static, as all of these */
    const char *type;           /* "int", "bool", "string", "duration_ms", "bytes" */
    const char *default_value;
    const char *range;          /* "1..60000", or "" */
    const char *unit;           /* "ms", "bytes", or "" */
    const char *text;
} raftcs_setting_t;

/* The table of settings: entry `i`, from 0; NOT_FOUND past the end. */
RAFTCS_API raftcs_status_t raftcs_setting_at(uint32_t i, raftcs_setting_t *out_setting);

/* ---- queues and events ----------------------------------------------------------
 * A queue gathers the events of any number of clients and servers. The library never blocks
 * on it and never drops the event of an operation; what bounds it is that an operation counts as
 * outstanding until its event is taken. Of untaken LOG events at most 1000 are kept. */

enum raftcs_event_kind {
    RAFTCS_EVENT_REPLY = 1,           /* a submit ended */
    RAFTCS_EVENT_QUERY_REPLY = 2,     /* a query ended */
    RAFTCS_EVENT_ADMIN_REPLY = 3,     /* an admin call ended; data is JSON */
    RAFTCS_EVENT_SERVER_REQUEST = 4,  /* the server asks something; op_id is its number */
    RAFTCS_EVENT_CLIENT_STATE = 5,    /* app_code is the raftcs_client_state; see there */
    RAFTCS_EVENT_SESSION_LOST = 6,    /* expired, taken over or refused: status says which. With
                                         client.expiry = renew a CONNECTED with the new session
                                         follows an expired one; else all ends until open */
    RAFTCS_EVENT_TOPOLOGY = 7,        /* leader or members changed; data is JSON */
    RAFTCS_EVENT_SERVER_STATE = 8,    /* a server's role, leader or health changed; data is JSON */
    RAFTCS_EVENT_LOG = 9,             /* a line for people; app_code is a raftcs_log_level */
    RAFTCS_EVENT_CLOSED = 10,         /* last event of its client or server */
    /* Server requests op_id to index were acknowledged by another holder of the session (this one
     * resumed with an older token): they are gone, the next one is index + 1. data is JSON:
     * {"first":N,"last":M}. */
    RAFTCS_EVENT_REQUESTS_GONE = 11
};

typedef struct raftcs_queue_options {
    uint32_t struct_size;
    uint32_t flags; /* 0 */
} raftcs_queue_options_t;

/* `options` may be NULL. */
RAFTCS_API raftcs_status_t raftcs_queue_create(const raftcs_queue_options_t *options,
                                               raftcs_queue_t **out_queue);
RAFTCS_API void raftcs_queue_destroy(raftcs_queue_t *queue);
/* [waits] The next event, or NULL after timeout_ms (0: poll, -1: for ever) or an interrupt.
 * The caller destroys the event. */
RAFTCS_API raftcs_status_t raftcs_queue_next(raftcs_queue_t *queue, int64_t timeout_ms,
                                             raftcs_event_t **out_event);
/* [waits] Up to `cap` events at once; *out_count is 0 after timeout or interrupt. */
RAFTCS_API raftcs_status_t raftcs_queue_next_batch(raftcs_queue_t *queue, int64_t timeout_ms,
                                                   raftcs_event_t **out_events, size_t cap,
                                                   size_t *out_count);
/* Wakes one waiter, which sees no event. */
RAFTCS_API raftcs_status_t raftcs_queue_interrupt(raftcs_queue_t *queue);

enum raftcs_fd_kind {
    RAFTCS_FD_DEFAULT = 0, /* an eventfd */
    RAFTCS_FD_PIPE = 1     /* a pipe, for runtimes that refuse an eventfd (Node) */
};
/* A descriptor that is readable while events wait. The caller owns it and closes it; it is
 * only polled, never read or written. On readiness call raftcs_queue_next(queue, 0) until it
 * gives NULL. */
RAFTCS_API raftcs_status_t raftcs_queue_open_fd(raftcs_queue_t *queue, int32_t kind, int *out_fd);

/* Called on a library thread, or on a thread of yours inside a *_wait call, when the queue stops
 * being empty; coalesced. May call only raftcs_queue_interrupt, and must not block. NULL removes
 * it; that does not wait for a call under way. */
typedef void (*raftcs_wakeup_fn)(uint64_t user_data);
RAFTCS_API raftcs_status_t raftcs_queue_set_wakeup(raftcs_queue_t *queue, raftcs_wakeup_fn wakeup,
                                                   uint64_t user_data);
RAFTCS_API size_t raftcs_queue_length(raftcs_queue_t *queue);

/* Everything about an event in one call. Pointers live as long as the event. */
typedef struct raftcs_event_info_s {
    uint32_t struct_size;
    int32_t kind;          /* raftcs_event_kind; skip what you do not know */
    raftcs_status_t status;
    int32_t outcome;       /* raftcs_outcome */
    int32_t app_code;      /* replies: the state machine's code, 0 is success */
    int32_t retry_after_ms; /* with BUSY: a hint; else 0 */
    uint64_t tag;          /* of the operation; for others the tag of its client or server */
    uint64_t op_id;        /* the operation's number; for a server request its number */
    uint64_t index;        /* log index that applied the command or served the query; else 0 */
    const void *data;
    size_t data_len;
    const char *text;      /* a sentence when status is not OK, else "" */
} raftcs_event_info_t;

RAFTCS_API raftcs_status_t raftcs_event_info(const raftcs_event_t *event,
                                             raftcs_event_info_t *out_info);
RAFTCS_API int32_t raftcs_event_kind(const raftcs_event_t *event);
RAFTCS_API raftcs_status_t raftcs_event_status(const raftcs_event_t *event);
RAFTCS_API int32_t raftcs_event_outcome(const raftcs_event_t *event);
RAFTCS_API int32_t raftcs_event_app_code(const raftcs_event_t *event);
RAFTCS_API uint64_t raftcs_event_tag(const raftcs_event_t *event);
RAFTCS_API uint64_t raftcs_event_op_id(const raftcs_event_t *event);
RAFTCS_API uint64_t raftcs_event_index(const raftcs_event_t *event);
RAFTCS_API raftcs_status_t raftcs_event_data(const raftcs_event_t *event, const void **out_data,
                                             size_t *out_len);
RAFTCS_API const char *raftcs_event_text(const raftcs_event_t *event);
/* 1: the operation had no effect and never will, so making the same call again cannot double it,
 * and it may succeed without any change. 0: it was done, may have been done, or would fail
 * again. */
RAFTCS_API int32_t raftcs_event_is_retriable(const raftcs_event_t *event);
RAFTCS_API void raftcs_event_destroy(raftcs_event_t *event);
RAFTCS_API void raftcs_event_destroy_batch(raftcs_event_t *const *events, size_t count);

/* ---- client --------------------------------------------------------------------- */

/* Told by CLIENT_STATE events: at each change, at attempts 2, 4, 8, ... to find a server, and once
 * when 85 % of the session's timeout has passed without a sign of the cluster. While connecting the
 * event's status says why it takes so long: OK (nothing known yet), NO_LEADER (servers answer, none
 * leads), UNREACHABLE (none answers), BUSY or RESOURCE_LIMIT; text is the sentence. Data is JSON:
 * {"state": "connected", "endpoint": "tcp://...", "attempt": 0, "session": "32 hex digits" or "",
 *  "session_timeout_ms": 10000 (connected only), "at_risk": false}. */
enum raftcs_client_state {
    RAFTCS_CLIENT_DISCONNECTED = 1,        /* not opened, closed, or its session lost */
    RAFTCS_CLIENT_CONNECTING_NEW = 2,      /* opening a session */
    RAFTCS_CLIENT_CONNECTING_EXISTING = 3, /* finding the cluster again for its session */
    RAFTCS_CLIENT_CONNECTED = 4
};

enum raftcs_consistency {
    RAFTCS_LINEARIZABLE = 0, /* sees every command that ended before the query began */
    RAFTCS_STALE = 1         /* what the server that answers has applied */
};

typedef struct raftcs_call_options {
    uint32_t struct_size;
    uint32_t flags;        /* 0 */
    int64_t timeout_ms;    /* 0: the setting client.request.timeout_ms; -1: none */
    int32_t consistency;   /* queries: raftcs_consistency */
    int32_t reserved;      /* 0 */
} raftcs_call_options_t;

/* Checks the settings (client.endpoints is needed) and makes the object; connects nothing. `tag`
 * marks the events that belong to no operation. Without a queue (NULL) only the *_wait functions
 * can be used. Clients of one process share connections and threads. */
RAFTCS_API raftcs_status_t raftcs_client_create(const raftcs_config_t *config,
                                                raftcs_queue_t *queue, uint64_t tag,
                                                raftcs_client_t **out_client,
                                                raftcs_error_t **out_error);
/* Starts to connect and to open the session. Twice is harmless. Submits made before wait. After
 * SESSION_LOST it opens a new session. */
RAFTCS_API raftcs_status_t raftcs_client_open(raftcs_client_t *client);
/* Opens with the session of an exported token instead of a new one (see export). BAD_STATE after
 * open and when commands have been submitted already; MALFORMED when the bytes are no token. */
RAFTCS_API raftcs_status_t raftcs_client_resume(raftcs_client_t *client, const void *token,
                                                size_t token_len);
/* [waits] Until CONNECTED; or the status that ended the attempt; or, when the time is over, why
 * there is no session yet: NO_LEADER (servers answer, none leads), UNREACHABLE (none answers),
 * BUSY or RESOURCE_LIMIT (told to wait), TIMED_OUT (not known). The attempt goes on. */
RAFTCS_API raftcs_status_t raftcs_client_wait_connected(raftcs_client_t *client,
                                                        int64_t timeout_ms);

/* Submits a command to the named service: exactly one REPLY event with this tag follows.
 * BUSY: too many outstanding (client.request.outstanding_max). `options` may be NULL. */
RAFTCS_API raftcs_status_t raftcs_client_submit(raftcs_client_t *client, const char *service,
                                                uint64_t tag, const void *command, size_t len,
                                                const raftcs_call_options_t *options,
                                                uint64_t *out_op_id);
/* Asks without changing anything: exactly one QUERY_REPLY follows. */
RAFTCS_API raftcs_status_t raftcs_client_query(raftcs_client_t *client, const char *service,
                                               uint64_t tag, const void *query, size_t len,
                                               const raftcs_call_options_t *options,
                                               uint64_t *out_op_id);
/* Ends an operation with CANCELLED unless its answer came first; NOT_FOUND when it has ended. The
 * event's outcome is NOT_APPLIED if it never left, else UNKNOWN. */
RAFTCS_API raftcs_status_t raftcs_client_cancel(raftcs_client_t *client, uint64_t op_id);
/* [waits] Submit and wait for the event, which does not pass through the queue. OK means the event
 * is there; its own status says how the operation ended. */
RAFTCS_API raftcs_status_t raftcs_client_submit_wait(raftcs_client_t *client, const char *service,
                                                     const void *command, size_t len,
                                                     const raftcs_call_options_t *options,
                                                     raftcs_event_t **out_event);
RAFTCS_API raftcs_status_t raftcs_client_query_wait(raftcs_client_t *client, const char *service,
                                                    const void *query, size_t len,
                                                    const raftcs_call_options_t *options,
                                                    raftcs_event_t **out_event);
/* Acknowledges server-started requests up to `id` after processing; needed only with the setting
 * client.push.ack = "manual": with "auto" taking the event from the queue acknowledges it. No more
 * is acknowledged than was taken from the queue. Numbers begin at 1 in each session, and `id` is
 * one of the session whose request was taken last; if that session is lost by now, nothing happens.
 * So with client.expiry = "renew", or after opening a lost client again, take no request of the new
 * session before those of the old one are acknowledged or dropped: SESSION_LOST comes between. */
RAFTCS_API raftcs_status_t raftcs_client_ack(raftcs_client_t *client, uint64_t id);

/* Administration: `verb` with `args_json` (a JSON object, NULL for none) at `endpoint`
 * (tcp://host:port of one server), or NULL for the leader. Needs no session and no open.
 * One ADMIN_REPLY follows, its data a JSON document. Verbs: docs/operations.md. */
RAFTCS_API raftcs_status_t raftcs_client_admin(raftcs_client_t *client, const char *endpoint,
                                               uint64_t tag, const char *verb,
                                               const char *args_json,
                                               const raftcs_call_options_t *options,
                                               uint64_t *out_op_id);
/* [waits] */
RAFTCS_API raftcs_status_t raftcs_client_admin_wait(raftcs_client_t *client, const char *endpoint,
                                                    const char *verb, const char *args_json,
                                                    const raftcs_call_options_t *options,
                                                    raftcs_event_t **out_event);

typedef struct raftcs_client_info_s {
    uint32_t struct_size;
    int32_t state;               /* raftcs_client_state */
    uint8_t session_id[16];      /* zero before the session is open */
    uint64_t leader;             /* node id; 0: not known */
    uint64_t outstanding;        /* operations without an event */
    uint64_t submitted;          /* counters since create */
    uint64_t completed;
    uint64_t resent;
    uint64_t reconnects;
    uint64_t server_requests;
    int64_t rtt_us;              /* of the last keep-alive; -1: none */
    int64_t rtt_smoothed_us;     /* over about the last eight; -1: none */
    int64_t latency_us;          /* of commands, sent to answered, smoothed; -1: none */
    uint64_t session_timeout_ms; /* in force, what the servers made of the wish; 0: no session */
    uint64_t attempts;           /* to open or to continue the session */
    uint64_t late_replies;       /* answers that came after their operation had ended */
    uint64_t busy;               /* refusals after which an operation waited and was sent again */
    uint64_t sessions_lost;
    uint64_t malformed_frames;   /* of all clients of this process */
    int32_t trouble;             /* a raftcs_status_t: why it is not connected; OK: it is, or not
                                    known yet */
    int32_t reserved;            /* 0 */
} raftcs_client_info_t;

RAFTCS_API raftcs_status_t raftcs_client_info(raftcs_client_t *client,
                                              raftcs_client_info_t *out_info);
/* The session as bytes to keep: id, secret, next request id, unanswered ids with the digests of
 * their payloads, delivery position. A process that resumes with it and submits the same commands
 * again in the same order collects the original replies. It may begin with them when it likes;
 * those that it leaves out are given up, and would be run again, when after its first command none
 * of them was submitted or still unanswered for a session timeout, or the servers keep too many
 * replies for them. Whoever resumes takes the session over:
 * another client that has it gets SESSION_LOST with SESSION_TAKEN and does not come back. A token
 * can be used again; the last to resume has the session. Secret: who holds it holds the session.
 * It tells of the commands submitted before, whether they have left yet or not; those submitted
 * later are not in it and would be run again. BUSY: commands wait for a resumed session that is
 * not connected yet; RESOURCE_LIMIT: more is unanswered than a token can tell. Both pass with time.
 * Gives the length needed in *out_len; `out` may be NULL to ask for it; TOO_LARGE when cap is
 * less. */
RAFTCS_API raftcs_status_t raftcs_client_export_session(raftcs_client_t *client, void *out,
                                                        size_t cap, size_t *out_len);

/* Starts to close: the session is closed at the cluster (unless keep_session), what is outstanding
 * ends with CLOSED, and the CLOSED event comes last. Does not wait. Twice is harmless. */
RAFTCS_API raftcs_status_t raftcs_client_close(raftcs_client_t *client, int32_t keep_session);
/* Closes (keeping the session) if close was not called, and waits for library threads to let go. In
 * a wakeup callback it does not wait: the rest is done behind it, and CLOSED is the sign. */
RAFTCS_API void raftcs_client_destroy(raftcs_client_t *client);

/* ---- server --------------------------------------------------------------------- */

/* Checks the settings (server.id, server.data, ...); opens nothing. `queue` gets SERVER_STATE, LOG
 * and CLOSED events with this tag; NULL for none. */
RAFTCS_API raftcs_status_t raftcs_server_create(const raftcs_config_t *config,
                                                raftcs_queue_t *queue, uint64_t tag,
                                                raftcs_server_t **out_server,
                                                raftcs_error_t **out_error);
/* Adds an in-process state machine type; before start. The type outlives the server. A cluster that
 * this start makes gets a service of each type, named after the last part of its id: "counter" for
 * "org.raftcs.counter". */
RAFTCS_API raftcs_status_t raftcs_server_register_sm(raftcs_server_t *server,
                                                     const struct raftcs_sm_type *type,
                                                     raftcs_error_t **out_error);
/* [waits] Opens the data directory (making it when absent), loads plugins, binds, starts. On
 * failure the server can be started again after the cause is gone. */
RAFTCS_API raftcs_status_t raftcs_server_start(raftcs_server_t *server, raftcs_error_t **out_error);
/* Starts to stop: hands leadership over if it can, tells clients, syncs. Ends with CLOSED. */
RAFTCS_API raftcs_status_t raftcs_server_stop(raftcs_server_t *server);
/* The same verbs as raftcs_client_admin, at this node. One ADMIN_REPLY follows. */
RAFTCS_API raftcs_status_t raftcs_server_admin(raftcs_server_t *server, uint64_t tag,
                                               const char *verb, const char *args_json);

typedef struct raftcs_server_info_s {
    uint32_t struct_size;
    int32_t running;             /* 1 between start and stop */
    uint64_t id;
    uint64_t leader;             /* 0: none known */
    uint64_t term;
    uint64_t commit_index;
    uint64_t applied_index;
    int32_t leads;               /* 1: leads and serves */
    raftcs_status_t health;      /* OK, or why it takes no part (IO, NO_SPACE, PLUGIN_FAILED) */
    const char *client_address;  /* bound, with the real port; lives as long as the server */
    const char *peer_address;
} raftcs_server_info_t;

RAFTCS_API raftcs_status_t raftcs_server_info(raftcs_server_t *server,
                                              raftcs_server_info_t *out_info);
/* Stops if stop was not called, and waits for the threads; also for a start that another thread
 * is in (up to 20 s with server.join), which then gives CLOSED if it does not fail. In a wakeup
 * callback it does not wait: a thread of the library does the rest; CLOSED comes, and soon after
 * it the directory is free. */
RAFTCS_API void raftcs_server_destroy(raftcs_server_t *server);

/* ---- plugins, for tools ----------------------------------------------------------- */

/* Loads and checks one plugin file as a server would. It stays loaded until the process ends. */
RAFTCS_API raftcs_status_t raftcs_plugin_open(const char *path, raftcs_plugin_t **out_plugin,
                                              raftcs_error_t **out_error);
RAFTCS_API const char *raftcs_plugin_name(const raftcs_plugin_t *plugin);
RAFTCS_API const char *raftcs_plugin_version(const raftcs_plugin_t *plugin);
RAFTCS_API uint32_t raftcs_plugin_type_count(const raftcs_plugin_t *plugin);
RAFTCS_API const struct raftcs_sm_type *raftcs_plugin_type(const raftcs_plugin_t *plugin,
                                                            uint32_t i);
RAFTCS_API void raftcs_plugin_close(raftcs_plugin_t *plugin);

/* ---- logs of a stopped node, for tools ---------------------------------------------- */

/* Called for each line (dump) or finding (verify); not NUL-terminated. */
typedef void (*raftcs_line_fn)(uint64_t user_data, const char *line, size_t len);
/* [waits] Prints the log of a data directory whose server is stopped, one JSON object per line. */
RAFTCS_API raftcs_status_t raftcs_log_dump(const char *data_dir, raftcs_line_fn line,
                                           uint64_t user_data, raftcs_error_t **out_error);
/* [waits] Checks every file of it; CORRUPT when something is damaged, with file and offset. */
RAFTCS_API raftcs_status_t raftcs_log_verify(const char *data_dir, raftcs_line_fn line,
                                             uint64_t user_data, raftcs_error_t **out_error);

/* ---- disaster recovery, for tools ---------------------------------------------------- */

/* [waits] Makes the data directory of a stopped server the only member of a new cluster, when the
 * majority of the old one is lost for good. `line` gets one JSON object that says what is there,
 * and, when confirm is not 0, what was done. With confirm 0 nothing is changed. Entries that
 * only lost members held are gone, acknowledged ones too; all sessions end. */
RAFTCS_API raftcs_status_t raftcs_force_new_cluster(const char *data_dir, int32_t confirm,
                                                    raftcs_line_fn line, uint64_t user_data,
                                                    raftcs_error_t **out_error);

#ifdef __cplusplus
}
#endif
#endif
