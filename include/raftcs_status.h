/* raftcs_status.h: the statuses of the C API and of the plugin ABI.
 *
 * One table, included by raftcs.h (programs) and raftcs_plugin.h (state machines).
 * 0 is success, errors are negative, and numbers are never reused or renumbered.
 * New codes may appear in any minor release: a caller that meets one it does not
 * know uses its family (the range of a hundred) or the predicates of raftcs.h.
 *
 *   -1   .. -99    the caller did something wrong; nothing happened
 *   -100 .. -199   this process lacks something (memory, disk, files)
 *   -200 .. -299   reaching the cluster
 *   -300 .. -399   sessions and consensus
 *   -400 .. -499   data that does not hold what it should
 *   -500 .. -599   state machines and plugins
 */
#ifndef RAFTCS_STATUS_H
#define RAFTCS_STATUS_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef int32_t raftcs_status_t;

enum raftcs_status_code {
    RAFTCS_OK = 0,

    RAFTCS_ERR_INVALID_ARGUMENT = -1, /* a parameter is outside what the comment allows */
    RAFTCS_ERR_BAD_HANDLE = -2,       /* the handle is NULL, of another type or destroyed */
    RAFTCS_ERR_UNKNOWN_OPTION = -3,   /* no setting has this name */
    RAFTCS_ERR_BAD_STATE = -4,        /* the call does not fit the object's state */
    RAFTCS_ERR_WRONG_THREAD = -5,     /* a waiting call was made on a library thread */
    RAFTCS_ERR_UNSUPPORTED = -6,      /* this build or this server cannot do it */
    RAFTCS_ERR_TOO_LARGE = -7,        /* the payload is over the limit */
    RAFTCS_ERR_FORKED = -8,           /* the handle was inherited through fork */
    RAFTCS_ERR_NOT_FOUND = -9,        /* no such service, member or object */
    RAFTCS_ERR_ALREADY_EXISTS = -10,  /* the name is taken */

    RAFTCS_ERR_NO_MEMORY = -100,
    RAFTCS_ERR_IO = -101,             /* a system call on a file or socket failed */
    RAFTCS_ERR_NO_SPACE = -102,       /* the disk is full; writing goes on when there is space */
    RAFTCS_ERR_RESOURCE_LIMIT = -103, /* a configured limit (files, sessions) is reached */
    RAFTCS_ERR_INTERNAL = -104,       /* a fault of raftcs itself; please report it */

    RAFTCS_ERR_BUSY = -200,           /* too much is outstanding; try again after the hint */
    RAFTCS_ERR_NO_LEADER = -201,      /* the cluster has no leader at the moment */
    RAFTCS_ERR_UNREACHABLE = -202,    /* no server of the cluster answers */
    RAFTCS_ERR_TIMED_OUT = -203,      /* the deadline passed; see the outcome of the event */
    RAFTCS_ERR_CANCELLED = -204,      /* cancelled by the caller; see the outcome */
    RAFTCS_ERR_CLOSED = -205,         /* the object was closed first; see the outcome */

    RAFTCS_ERR_NOT_LEADER = -300,     /* asked of a member that does not lead */
    RAFTCS_ERR_DROPPED = -301,        /* the leader changed after it had accepted */
    RAFTCS_ERR_SESSION_EXPIRED = -302,   /* the session is gone: expired, closed or never there */
    RAFTCS_ERR_CONFIG_IN_PROGRESS = -303, /* another membership change is under way */
    RAFTCS_ERR_NOT_MEMBER = -304,     /* no member has this id */
    RAFTCS_ERR_COMPACTED = -305,      /* the log no longer holds this index */
    RAFTCS_ERR_STALE_READ_REFUSED = -306, /* the wished consistency cannot be given here */
    RAFTCS_ERR_EVICTED = -307,        /* the reply was given up as collected; never run again */
    RAFTCS_ERR_MISUSE = -308,         /* the same request id came with another payload */
    RAFTCS_ERR_SESSION_TAKEN = -309,  /* another client continued this session */
    RAFTCS_ERR_SESSION_REJECTED = -310, /* the cluster refused to open the session */
    RAFTCS_ERR_WRONG_CLUSTER = -311,  /* the server belongs to another cluster */

    RAFTCS_ERR_CORRUPT = -400,        /* stored data is damaged */
    RAFTCS_ERR_CHECKSUM = -401,
    RAFTCS_ERR_VERSION_MISMATCH = -402,
    RAFTCS_ERR_MALFORMED = -403,      /* bytes that are no message, file or setting */

    RAFTCS_ERR_PLUGIN_LOAD = -500,    /* the file cannot be loaded */
    RAFTCS_ERR_PLUGIN_ABI = -501,     /* loaded, but of another ABI */
    RAFTCS_ERR_PLUGIN_FAILED = -502,  /* the state machine cannot go on */
    RAFTCS_ERR_APPLY_REJECTED = -503  /* the state machine refused; same on every replica */
};

#ifdef __cplusplus
}
#endif
#endif
