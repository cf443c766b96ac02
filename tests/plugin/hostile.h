/* hostile.h: the parts of a correct plugin, of which each hostile one spoils a single thing. */
#ifndef RAFTCS_TESTS_HOSTILE_H
#define RAFTCS_TESTS_HOSTILE_H

#include <string.h>

#include "raftcs_plugin.h"

static raftcs_status_t h_create(const raftcs_host_t *host, const raftcs_sm_args_t *args, void **out)
{
    static int object;
    (void)host;
    (void)args;
    *out = &object;
    return RAFTCS_OK;
}
static void h_destroy(void *sm) { (void)sm; }
static raftcs_status_t h_apply(void *sm, const raftcs_apply_batch_t *b, const raftcs_sink_t *s)
{
    (void)sm;
    (void)b;
    (void)s;
    return RAFTCS_OK;
}
static raftcs_status_t h_query(void *sm, const raftcs_query_t *q, const raftcs_sink_t *s)
{
    (void)sm;
    (void)q;
    (void)s;
    return RAFTCS_OK;
}
static raftcs_status_t h_begin(void *sm, void **out)
{
    *out = sm;
    return RAFTCS_OK;
}
static raftcs_status_t h_write(void *sm, void *snapshot, const raftcs_writer_t *w)
{
    (void)sm;
    (void)snapshot;
    (void)w;
    return RAFTCS_OK;
}
static void h_end(void *sm, void *snapshot)
{
    (void)sm;
    (void)snapshot;
}
static raftcs_status_t h_restore(void* sm, const raftcs_snapshot_info_t* i,
                                 const raftcs_reader_t* r) {
  (void)sm;
  (void)i;
  (void)r;
  return RAFTCS_OK;
}

static inline raftcs_sm_type_t h_type(const char *id)
{
    raftcs_sm_type_t t;
    memset(&t, 0, sizeof t);
    t.struct_size = sizeof t;
    t.id = id;
    t.snapshot_version_write = 1;
    t.snapshot_version_read_min = 1;
    t.apply_version_min = 1;
    t.apply_version_max = 1;
    t.create = h_create;
    t.destroy = h_destroy;
    t.apply = h_apply;
    t.query = h_query;
    t.snapshot_begin = h_begin;
    t.snapshot_write = h_write;
    t.snapshot_end = h_end;
    t.restore = h_restore;
    return t;
}

static inline raftcs_plugin_entry_t h_entry(const raftcs_sm_type_t *(*type_at)(uint32_t))
{
    raftcs_plugin_entry_t e;
    memset(&e, 0, sizeof e);
    e.struct_size = sizeof e;
    e.magic = RAFTCS_PLUGIN_MAGIC;
    e.abi_minor_built = RAFTCS_PLUGIN_ABI_MINOR;
    e.target = RAFTCS_PLUGIN_TARGET_64LE;
    e.type_count = 1;
    e.name = "hostile";
    e.version = "1.0";
    e.vendor = "tests";
    e.license = "none";
    e.type_at = type_at;
    return e;
}

#endif
