/* bank.c: a small state machine with a workload for raftcs-sim, and ways to spoil it.
 *
 * Eight accounts; a command moves an amount between two of them and is answered with the new
 * balance. As it is, it is right, and an example of raftcs_sim.h. Each macro below makes one
 * mistake that authors make; raftcs-sim must find each (tests/plugin/CMakeLists.txt).
 */
#include <stdlib.h>
#include <string.h>

#include "raftcs_plugin.h"
#include "raftcs_sim.h"

#define ACCOUNTS 8

typedef struct bank {
    int64_t balance[ACCOUNTS];
    uint64_t moves;
    uint64_t seen; /* by queries: WRONG_QUERY only */
} bank_t;

static raftcs_status_t bank_create(const raftcs_host_t *host, const raftcs_sm_args_t *args,
                                   void **out)
{
    bank_t *b = calloc(1, sizeof *b);
    int i;
    (void)host;
    (void)args;
    if (!b) return RAFTCS_ERR_NO_MEMORY;
    for (i = 0; i < ACCOUNTS; ++i) b->balance[i] = 100;
    *out = b;
    return RAFTCS_OK;
}

static void bank_destroy(void *sm) { free(sm); }

static void move(bank_t *b, uint32_t entry, const raftcs_command_t *c, const raftcs_sink_t *sink)
{
    const unsigned char *bytes = c->data;
    int64_t answer[2];
    if (c->len != 3 || bytes[0] >= ACCOUNTS || bytes[1] >= ACCOUNTS ||
        b->balance[bytes[0]] < bytes[2]) {
        sink->reply(sink, entry, 1, NULL, 0);
        return;
    }
    b->balance[bytes[0]] -= bytes[2];
#ifndef WRONG_CHECK
    b->balance[bytes[1]] += bytes[2];
#endif
    ++b->moves;
    answer[0] = b->balance[bytes[1]];
    answer[1] = (int64_t)b->moves;
#ifdef WRONG_STATIC /* shared by all instances of the process */
    {
        static int64_t calls;
        answer[1] = ++calls;
    }
#endif
#ifdef WRONG_ADDRESS
    answer[1] = (int64_t)(uintptr_t)b;
#endif
#ifdef WRONG_CRASH
    if (b->moves == 40) *(volatile int *)0 = 1;
#endif
#ifdef WRONG_LOOP
    while (b->moves == 40) (void)*(volatile uint64_t *)&b->moves;
#endif
    sink->reply(sink, entry, 0, answer, sizeof answer);
}

static raftcs_status_t bank_apply(void *sm, const raftcs_apply_batch_t *batch,
                                  const raftcs_sink_t *sink)
{
    const char *at = (const char *)batch->commands;
    uint32_t i;
    for (i = 0; i < batch->count; ++i, at += batch->entry_stride) {
        const raftcs_command_t *c = (const raftcs_command_t *)at;
#ifdef WRONG_STATUS /* a bad command is no reason to stop */
        if (c->len != 3) return RAFTCS_ERR_INVALID_ARGUMENT;
#endif
        move(sm, i, c, sink);
    }
    return RAFTCS_OK;
}

static raftcs_status_t bank_query(void *sm, const raftcs_query_t *q, const raftcs_sink_t *sink)
{
    bank_t *b = sm;
    (void)q;
#ifdef WRONG_QUERY
    ++b->seen;
#endif
    return sink->reply(sink, 0, 0, b->balance, sizeof b->balance);
}

static raftcs_status_t bank_begin(void *sm, void **out)
{
    bank_t *copy = malloc(sizeof *copy);
    if (!copy) return RAFTCS_ERR_NO_MEMORY;
    *copy = *(bank_t *)sm;
#ifdef WRONG_SNAPSHOT /* says how much there was, and not how often it moved */
    copy->moves = 0;
#endif
    *out = copy;
    return RAFTCS_OK;
}
static raftcs_status_t bank_write(void *sm, void *snapshot, const raftcs_writer_t *w)
{
    (void)sm;
    return w->write(w, snapshot, sizeof(bank_t));
}
static void bank_end(void *sm, void *snapshot)
{
    (void)sm;
    free(snapshot);
}

static raftcs_status_t bank_restore(void *sm, const raftcs_snapshot_info_t *info,
                                    const raftcs_reader_t *r)
{
    size_t have = 0, n = 0;
    (void)info;
    while (have < sizeof(bank_t)) {
        raftcs_status_t s = r->read(r, (char *)sm + have, sizeof(bank_t) - have, &n);
        if (s != RAFTCS_OK) return s;
        if (n == 0) return RAFTCS_ERR_CORRUPT;
        have += n;
    }
#ifdef WRONG_RESTORE
    if (((bank_t *)sm)->moves > 20) return RAFTCS_ERR_CORRUPT;
#endif
    return RAFTCS_OK;
}

static const raftcs_sm_type_t *bank_type(uint32_t i)
{
    static raftcs_sm_type_t t;
    (void)i;
    memset(&t, 0, sizeof t);
    t.struct_size = sizeof t;
    t.flags = RAFTCS_SM_CONCURRENT_SNAPSHOT;
    t.id = "org.test.bank";
    t.snapshot_version_write = t.snapshot_version_read_min = 1;
    t.apply_version_min = t.apply_version_max = 1;
    t.create = bank_create;
    t.destroy = bank_destroy;
    t.apply = bank_apply;
    t.query = bank_query;
    t.snapshot_begin = bank_begin;
    t.snapshot_write = bank_write;
    t.snapshot_end = bank_end;
    t.restore = bank_restore;
    return &t;
}

/* --- for raftcs-sim ------------------------------------------------------------------------- */

static size_t ask_command(const raftcs_sim_ask_t *ask, void *buf, size_t cap)
{
    unsigned char bytes[4];
    const size_t n = ask->random % 50 == 0 ? 4 : 3; /* one that is refused, now and then */
    if (n > cap) return n;
    bytes[0] = (unsigned char)(ask->random >> 8 & 7);
    bytes[1] = (unsigned char)(ask->random >> 16 & 7);
    bytes[2] = (unsigned char)(ask->random >> 24 & 31);
    bytes[3] = 0;
    memcpy(buf, bytes, n);
    return n;
}
static size_t ask_query(const raftcs_sim_ask_t *ask, void *buf, size_t cap)
{
    (void)ask;
    (void)buf;
    (void)cap;
    return 0;
}
static const char *check(void *sm)
{
    const bank_t *b = sm;
    int64_t sum = 0;
    int i;
    for (i = 0; i < ACCOUNTS; ++i) sum += b->balance[i];
    return sum == ACCOUNTS * 100 ? NULL : "money was made or lost";
}
static const void *bank_extension(const char *id)
{
    static const raftcs_sim_workload_t workload = {
        sizeof workload, 0, "org.test.bank", ask_command, ask_query, check};
    return strcmp(id, RAFTCS_SIM_EXTENSION) == 0 ? &workload : NULL;
}

RAFTCS_PLUGIN_EXPORT const raftcs_plugin_entry_t *raftcs_plugin_entry_v1(void)
{
    static raftcs_plugin_entry_t e;
    e.struct_size = sizeof e;
    e.magic = RAFTCS_PLUGIN_MAGIC;
    e.abi_minor_built = RAFTCS_PLUGIN_ABI_MINOR;
    e.target = RAFTCS_PLUGIN_TARGET_64LE;
    e.type_count = 1;
    e.name = "bank";
    e.version = "1.0";
    e.vendor = "tests";
    e.license = "none";
    e.type_at = bank_type;
    e.extension = bank_extension;
    return &e;
}
