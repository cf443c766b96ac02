/* sum.c: a plugin outside the source tree, in C99: adds the first byte of every command. */
#include <raftcs_plugin.h>
#include <stdlib.h>

static raftcs_status_t sum_create(const raftcs_host_t *host, const raftcs_sm_args_t *args,
                                  void **out_sm) {
    (void)host;
    (void)args;
    *out_sm = calloc(1, 1);
    return *out_sm != NULL ? RAFTCS_OK : RAFTCS_ERR_NO_MEMORY;
}

static void sum_destroy(void *sm) { free(sm); }

static raftcs_status_t sum_apply(void *sm, const raftcs_apply_batch_t *batch,
                                 const raftcs_sink_t *sink) {
    unsigned char *total = sm;
    const char *at = (const char *)batch->commands;
    for (uint32_t i = 0; i < batch->count; ++i, at += batch->entry_stride) {
        const raftcs_command_t *command = (const raftcs_command_t *)(const void *)at;
        if (command->len > 0) *total += *(const unsigned char *)command->data;
        raftcs_status_t status = sink->reply(sink, i, 0, total, 1);
        if (status != RAFTCS_OK) return status;
    }
    return RAFTCS_OK;
}

static raftcs_status_t sum_query(void *sm, const raftcs_query_t *query, const raftcs_sink_t *sink) {
    (void)query;
    return sink->reply(sink, 0, 0, sm, 1);
}

static raftcs_status_t sum_snapshot_begin(void *sm, void **out_snapshot) {
    unsigned char *copy = malloc(1);
    if (copy == NULL) return RAFTCS_ERR_NO_MEMORY;
    *copy = *(unsigned char *)sm;
    *out_snapshot = copy;
    return RAFTCS_OK;
}

static raftcs_status_t sum_snapshot_write(void *sm, void *snapshot, const raftcs_writer_t *writer) {
    (void)sm;
    return writer->write(writer, snapshot, 1);
}

static void sum_snapshot_end(void *sm, void *snapshot) {
    (void)sm;
    free(snapshot);
}

static raftcs_status_t sum_restore(void *sm, const raftcs_snapshot_info_t *info,
                                   const raftcs_reader_t *reader) {
    size_t got = 0;
    raftcs_status_t status = reader->read(reader, sm, 1, &got);
    (void)info;
    if (status != RAFTCS_OK) return status;
    return got == 1 ? RAFTCS_OK : RAFTCS_ERR_CORRUPT;
}

static const raftcs_sm_type_t *sum_type_at(uint32_t i) {
    static const raftcs_sm_type_t type = {
        .struct_size = sizeof(raftcs_sm_type_t),
        .id = "org.example.sum",
        .snapshot_version_write = 1,
        .snapshot_version_read_min = 1,
        .apply_version_min = 1,
        .apply_version_max = 1,
        .create = sum_create,
        .destroy = sum_destroy,
        .apply = sum_apply,
        .query = sum_query,
        .snapshot_begin = sum_snapshot_begin,
        .snapshot_write = sum_snapshot_write,
        .snapshot_end = sum_snapshot_end,
        .restore = sum_restore,
    };
    return i == 0 ? &type : NULL;
}

const raftcs_plugin_entry_t *raftcs_plugin_entry_v1(void) {
    static const raftcs_plugin_entry_t entry = {
        .struct_size = sizeof(raftcs_plugin_entry_t),
        .magic = RAFTCS_PLUGIN_MAGIC,
        .abi_minor_built = RAFTCS_PLUGIN_ABI_MINOR,
        .target = RAFTCS_PLUGIN_TARGET_64LE,
        .type_count = 1,
        .name = "sum",
        .version = "1.0.0",
        .vendor = "example.org",
        .license = "MIT",
        .type_at = sum_type_at,
    };
    return &entry;
}
