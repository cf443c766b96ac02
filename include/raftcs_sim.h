/* raftcs_sim.h: what a plugin may offer to raftcs-sim, the simulator of whole clusters.
 *
 * Optional, and used by raftcs-sim only: no server asks for it. A plugin gives it as an extension
 * of its entry (raftcs_plugin_entry_t.extension) under the name RAFTCS_SIM_EXTENSION. With it the
 * simulated clients ask what the author finds worth asking, and an invariant of the author is
 * looked at on every replica. Without it raftcs-sim takes commands from a file (--commands).
 *
 * Rules: as in raftcs_plugin.h. All functions are called on one thread. Every answer is a function
 * of the arguments alone (and of the state, for check): a seed must replay.
 */
#ifndef RAFTCS_SIM_H
#define RAFTCS_SIM_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define RAFTCS_SIM_EXTENSION "raftcs.sim/1"

/* Who asks. A client's session goes on over reconnections; it may end and be replaced. */
typedef struct raftcs_sim_ask {
    uint32_t struct_size;
    uint32_t client; /* 1, 2, ...: the same number asks from the same place in the workload */
    uint64_t number; /* of this question of this client: 0, 1, ... with gaps */
    uint64_t random; /* all the randomness there is; equal numbers must give equal bytes */
} raftcs_sim_ask_t;

typedef struct raftcs_sim_workload {
    uint32_t struct_size; /* fields are only ever added at the end */
    uint32_t reserved;
    const char *type_id; /* which of the plugin's types it is for; static */
    /* Writes one command to buf and gives its length; more than cap: it does not fit, and a
     * larger buffer comes (up to 1 MiB). */
    size_t (*command)(const raftcs_sim_ask_t *ask, void *buf, size_t cap);
    /* Optional: the same for queries. Without it no queries are asked. */
    size_t (*query)(const raftcs_sim_ask_t *ask, void *buf, size_t cap);
    /* Optional: what must always hold of a state. NULL, or what is broken, as a sentence. It must
     * not change the state. Called now and then on every replica, between two [sm] functions. */
    const char *(*check)(void *sm);
} raftcs_sim_workload_t;

#ifdef __cplusplus
}
#endif
#endif
