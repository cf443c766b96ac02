/* A cluster of one inside this process, with a state machine written here: a sum. */
#define _POSIX_C_SOURCE 200809L
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "raftcs_plugin.h"
#include "support.h"

/* ---- the state machine: commands add their length; "push" also sends the sum back ------ */

static raftcs_status_t sum_create(const raftcs_host_t *host, const raftcs_sm_args_t *args,
                                  void **out_sm) {
    (void)host, (void)args;
    *out_sm = calloc(1, sizeof(uint64_t));
    return *out_sm ? RAFTCS_OK : RAFTCS_ERR_NO_MEMORY;
}
static void sum_destroy(void *sm) { free(sm); }

static raftcs_status_t sum_apply(void *sm, const raftcs_apply_batch_t *batch,
                                 const raftcs_sink_t *sink) {
    uint64_t *sum = sm;
    for (uint32_t i = 0; i < batch->count; ++i) {
        const raftcs_command_t *command =
            (const raftcs_command_t *)((const char *)batch->commands +
                                       (size_t)i * batch->entry_stride);
        if (command->len == 0) {
            raftcs_status_t bad = sink->reply(sink, i, 3, "empty", 5);
            if (bad) return bad;
            continue;
        }
        *sum += command->len;
        raftcs_status_t bad = sink->reply(sink, i, 0, sum, sizeof *sum);
        if (bad) return bad;
        if (command->len == 4 && memcmp(command->data, "push", 4) == 0) {
            bad = sink->push(sink, command->session, sum, sizeof *sum);
            if (bad && bad != RAFTCS_ERR_BUSY) return bad;
        }
    }
    return RAFTCS_OK;
}
static raftcs_status_t sum_query(void *sm, const raftcs_query_t *query, const raftcs_sink_t *sink) {
    (void)query;
    return sink->reply(sink, 0, 0, sm, sizeof(uint64_t));
}
static raftcs_status_t sum_snapshot_begin(void *sm, void **out_snapshot) {
    uint64_t *copy = malloc(sizeof *copy);
    if (!copy) return RAFTCS_ERR_NO_MEMORY;
    memcpy(copy, sm, sizeof *copy);
    *out_snapshot = copy;
    return RAFTCS_OK;
}
static raftcs_status_t sum_snapshot_write(void *sm, void *snapshot, const raftcs_writer_t *writer) {
    (void)sm;
    return writer->write(writer, snapshot, sizeof(uint64_t));
}
static void sum_snapshot_end(void *sm, void *snapshot) {
    (void)sm;
    free(snapshot);
}
static raftcs_status_t sum_restore(void *sm, const raftcs_snapshot_info_t *info,
                                   const raftcs_reader_t *reader) {
    (void)info;
    size_t n = 0;
    raftcs_status_t bad = reader->read(reader, sm, sizeof(uint64_t), &n);
    if (bad) return bad;
    return n == sizeof(uint64_t) ? RAFTCS_OK : RAFTCS_ERR_CORRUPT;
}

static const raftcs_sm_type_t sum_type = {
    .struct_size = sizeof sum_type,
    .id = "test.sum",
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

/* ---- the cluster of one ---------------------------------------------------------------- */

static char data_dir[256];

static raftcs_server_t *new_server(raftcs_queue_t *queue, const char *plugins) {
    raftcs_config_t *config = NULL;
    raftcs_server_t *server = NULL;
    raftcs_error_t *error = NULL;
    OK(raftcs_config_create(&config));
    OK(raftcs_config_set(config, "server.id", "1", NULL));
    OK(raftcs_config_set(config, "server.data", data_dir, NULL));
    OK(raftcs_config_set(config, "server.client_listen", "tcp://127.0.0.1:0", NULL));
    OK(raftcs_config_set(config, "server.peer_listen", "tcp://127.0.0.1:0", NULL));
    OK(raftcs_config_set(config, "log.segment_bytes", "1MiB", NULL));
    OK(raftcs_config_set(config, "log.disk_reserve_bytes", "0", NULL));
    if (plugins) OK(raftcs_config_set(config, "server.plugins", plugins, NULL));
    OK(raftcs_server_create(config, queue, 50, &server, &error));
    raftcs_config_destroy(config);
    OK(raftcs_server_register_sm(server, &sum_type, &error));
    return server;
}

static raftcs_server_t *start_server(raftcs_queue_t *queue) {
    raftcs_server_t *server = new_server(queue, NULL);
    raftcs_error_t *error = NULL;
    assert_int_equal(raftcs_server_register_sm(server, &sum_type, NULL), RAFTCS_ERR_ALREADY_EXISTS);
    raftcs_status_t status = raftcs_server_start(server, &error);
    if (status != RAFTCS_OK) fail_msg("start: %s", raftcs_error_text(error));
    assert_int_equal(raftcs_server_start(server, NULL), RAFTCS_ERR_BAD_STATE);
    return server;
}

static raftcs_client_t *connect_to(raftcs_server_t *server, raftcs_queue_t *queue) {
    raftcs_server_info_t info = {.struct_size = sizeof info};
    raftcs_client_t *client = NULL;
    OK(raftcs_server_info(server, &info));
    assert_int_equal(info.running, 1);
    assert_memory_equal(info.client_address, "tcp://127.0.0.1:", 16);
    assert_memory_equal(info.peer_address, "tcp://127.0.0.1:", 16);
    raftcs_config_t *config = config_with("client.endpoints", info.client_address);
    OK(raftcs_client_create(config, queue, 60, &client, NULL));
    raftcs_config_destroy(config);
    OK(raftcs_client_open(client));
    OK(raftcs_client_wait_connected(client, 20000));
    return client;
}

static uint64_t number_of(const raftcs_event_t *event) {
    raftcs_event_info_t info = {.struct_size = sizeof info};
    uint64_t n = 0;
    OK(raftcs_event_info(event, &info));
    if (info.status != RAFTCS_OK) fail_msg("%s", info.text);
    assert_int_equal(info.data_len, sizeof n);
    memcpy(&n, info.data, sizeof n);
    return n;
}

static uint64_t ask(raftcs_client_t *client) {
    raftcs_event_t *event = NULL;
    OK(raftcs_client_query_wait(client, "sum", "", 0, NULL, &event));
    uint64_t n = number_of(event);
    raftcs_event_destroy(event);
    return n;
}

/* 64 bits do not fit into the numbers of many JSON readers. */
static void state_hash_is_text(const raftcs_event_t *event) {
    const void *data = NULL;
    size_t len = 0;
    char json[16384];
    OK(raftcs_event_data(event, &data, &len));
    assert_true(len < sizeof json);
    memcpy(json, data, len);
    json[len] = '\0';
    const char *hash = strstr(json, "\"hash\":\"");
    assert_non_null(hash);
    hash += strlen("\"hash\":\"");
    assert_int_equal(strspn(hash, "0123456789abcdef"), 16);
    assert_int_equal(hash[16], '"');
}

static void commands_queries_and_pushes(void **state) {
    (void)state;
    raftcs_queue_t *queue = new_queue();
    raftcs_server_t *server = start_server(queue);
    raftcs_client_t *client = connect_to(server, queue);
    raftcs_event_t *event = NULL;
    for (uint64_t i = 1; i <= 200; ++i) {
        OK(raftcs_client_submit(client, "sum", i, "abc", 3, NULL, NULL));
    }
    for (uint64_t i = 1; i <= 200; ++i) { /* in order, each once */
        event = next_of(queue, RAFTCS_EVENT_REPLY);
        assert_int_equal(raftcs_event_tag(event), i);
        assert_int_equal(raftcs_event_outcome(event), RAFTCS_OUTCOME_APPLIED);
        assert_int_equal(number_of(event), 3 * i);
        assert_true(raftcs_event_index(event) > 0);
        raftcs_event_destroy(event);
    }
    assert_int_equal(ask(client), 600);
    OK(raftcs_client_submit_wait(client, "sum", NULL, 0, NULL, &event));
    assert_int_equal(raftcs_event_status(event), RAFTCS_OK);
    assert_int_equal(raftcs_event_app_code(event), 3);
    raftcs_event_destroy(event);
    OK(raftcs_client_submit_wait(client, "none", "x", 1, NULL, &event));
    assert_int_equal(raftcs_event_status(event), RAFTCS_ERR_NOT_FOUND);
    raftcs_event_destroy(event);

    for (uint64_t i = 1; i <= 3; ++i) {
        OK(raftcs_client_submit(client, "sum", i, "push", 4, NULL, NULL));
    }
    for (uint64_t i = 1; i <= 3; ++i) {
        event = next_of(queue, RAFTCS_EVENT_SERVER_REQUEST);
        assert_int_equal(raftcs_event_op_id(event), i);
        assert_int_equal(number_of(event), 600 + 4 * i);
        raftcs_event_destroy(event);
    }
    OK(raftcs_client_admin_wait(client, NULL, "status", NULL, NULL, &event));
    assert_int_equal(raftcs_event_status(event), RAFTCS_OK);
    raftcs_event_destroy(event);
    OK(raftcs_server_admin(server, 5, "status", NULL));
    event = next_of(queue, RAFTCS_EVENT_ADMIN_REPLY);
    assert_int_equal(raftcs_event_tag(event), 5);
    state_hash_is_text(event);
    raftcs_event_destroy(event);
    raftcs_client_destroy(client);
    raftcs_server_destroy(server);
    raftcs_queue_destroy(queue);
}

/* Everything until a session is lost; the event's status. */
static raftcs_status_t lost_status(raftcs_queue_t *queue) {
    raftcs_event_t *event = next_of(queue, RAFTCS_EVENT_SESSION_LOST);
    raftcs_status_t status = raftcs_event_status(event);
    raftcs_event_destroy(event);
    return status;
}

static raftcs_client_t *resume_at(const char *endpoint, raftcs_queue_t *queue, const void *token,
                                  size_t len) {
    raftcs_config_t *config = config_with("client.endpoints", endpoint);
    raftcs_client_t *client = NULL;
    OK(raftcs_client_create(config, queue, 61, &client, NULL));
    raftcs_config_destroy(config);
    OK(raftcs_client_resume(client, token, len));
    assert_int_equal(raftcs_client_resume(client, token, len), RAFTCS_ERR_BAD_STATE);
    OK(raftcs_client_wait_connected(client, 20000));
    return client;
}

static void a_session_changes_hands(void **state) {
    (void)state;
    raftcs_queue_t *queue = new_queue(), *first_queue = new_queue(), *next_queue = new_queue();
    raftcs_server_t *server = start_server(queue);
    raftcs_client_t *first = connect_to(server, first_queue);
    raftcs_server_info_t where = {.struct_size = sizeof where};
    raftcs_client_info_t info = {.struct_size = sizeof info}, fresh = {.struct_size = sizeof fresh};
    char token[1024];
    size_t len = 0;
    OK(raftcs_server_info(server, &where));
    OK(raftcs_client_export_session(first, token, sizeof token, &len));
    raftcs_client_t *next = resume_at(where.client_address, next_queue, token, len);
    assert_int_equal(lost_status(first_queue), RAFTCS_ERR_SESSION_TAKEN);
    assert_int_equal(raftcs_client_wait_connected(first, 20000), RAFTCS_ERR_SESSION_TAKEN);
    OK(raftcs_client_info(first, &info));
    assert_int_equal(info.state, RAFTCS_CLIENT_DISCONNECTED);
    assert_int_equal(info.sessions_lost, 1);

    raftcs_client_t *last = resume_at(where.client_address, first_queue, token, len); /* again */
    assert_int_equal(lost_status(next_queue), RAFTCS_ERR_SESSION_TAKEN);
    raftcs_event_t *event = NULL;
    OK(raftcs_client_submit_wait(last, "sum", "abc", 3, NULL, &event));
    assert_int_equal(raftcs_event_outcome(event), RAFTCS_OUTCOME_APPLIED);
    assert_int_equal(raftcs_event_is_retriable(event), 0);
    raftcs_event_destroy(event);

    OK(raftcs_client_open(first)); /* a lost client opens a new session */
    OK(raftcs_client_wait_connected(first, 20000));
    OK(raftcs_client_info(first, &fresh));
    assert_memory_not_equal(fresh.session_id, info.session_id, 16);
    assert_int_equal(fresh.session_timeout_ms, 10000);
    assert_int_equal(fresh.trouble, RAFTCS_OK);
    token[len / 2] ^= 1;
    raftcs_client_t *none = client_on(queue, NULL, NULL);
    assert_int_equal(raftcs_client_resume(none, token, len), RAFTCS_ERR_MALFORMED);
    assert_int_equal(raftcs_client_resume(none, token, len - 1), RAFTCS_ERR_MALFORMED);
    raftcs_client_destroy(none);
    raftcs_client_destroy(first);
    raftcs_client_destroy(next);
    raftcs_client_destroy(last);
    raftcs_server_destroy(server);
    raftcs_queue_destroy(first_queue);
    raftcs_queue_destroy(next_queue);
    raftcs_queue_destroy(queue);
}

static void the_state_outlives_a_restart(void **state) {
    (void)state;
    raftcs_queue_t *queue = new_queue();
    raftcs_server_t *server = start_server(queue);
    raftcs_client_t *client = connect_to(server, queue);
    assert_int_equal(ask(client), 612);
    OK(raftcs_client_close(client, 0));
    raftcs_client_destroy(client);
    OK(raftcs_server_stop(server));
    OK(raftcs_server_stop(server));
    raftcs_event_t *event = NULL;
    do { /* the client's CLOSED comes first */
        raftcs_event_destroy(event);
        event = next_of(queue, RAFTCS_EVENT_CLOSED);
    } while (raftcs_event_tag(event) != 50);
    raftcs_event_destroy(event);
    raftcs_server_destroy(server);
    assert_int_equal(raftcs_log_verify(data_dir, NULL, 0, NULL), RAFTCS_ERR_INVALID_ARGUMENT);
    raftcs_queue_destroy(queue);
}

/* Threads that wait turn the client's wheel themselves when it stands still, one at a time. Beside
 * them: calls with events, and requests of the server that come while nobody waits. */
enum { WAITERS = 4, WAITS = 200, PUSHES = 20 };

static void *wait_often(void *client) {
    for (int i = 0; i < WAITS; ++i) {
        raftcs_event_t *event = NULL;
        raftcs_status_t status;
        if (i % 4 == 3)
            status = raftcs_client_query_wait(client, "sum", "", 0, NULL, &event);
        else
            status = raftcs_client_submit_wait(client, "sum", "x", 1, NULL, &event);
        if (status == RAFTCS_OK) status = raftcs_event_status(event);
        raftcs_event_destroy(event);
        if (status != RAFTCS_OK) return (void *)"a call that waited failed";
    }
    return NULL;
}

static void threads_that_wait(void **state) {
    (void)state;
    raftcs_queue_t *queue = new_queue();
    raftcs_server_t *server = start_server(queue);
    raftcs_client_t *client = connect_to(server, queue);
    const uint64_t before = ask(client);
    pthread_t threads[WAITERS];
    raftcs_event_t *event = NULL;
    for (int i = 0; i < WAITERS; ++i)
        assert_int_equal(pthread_create(&threads[i], NULL, wait_often, client), 0);
    for (int i = 0; i < WAITS; ++i) {
        OK(raftcs_client_submit(client, "sum", 1, "yy", 2, NULL, NULL));
        event = next_of(queue, RAFTCS_EVENT_REPLY);
        OK(raftcs_event_status(event));
        raftcs_event_destroy(event);
    }
    for (int i = 0; i < WAITERS; ++i) {
        void *failure = NULL;
        assert_int_equal(pthread_join(threads[i], &failure), 0);
        if (failure) fail_msg("%s", (const char *)failure);
    }
    assert_int_equal(ask(client), before + WAITERS * (WAITS - WAITS / 4) + 2 * WAITS);
    for (int i = 0; i < PUSHES; ++i) { /* comes after the wait has ended, or in it */
        OK(raftcs_client_submit_wait(client, "sum", "push", 4, NULL, &event));
        raftcs_event_destroy(event);
        event = next_of(queue, RAFTCS_EVENT_SERVER_REQUEST);
        raftcs_event_destroy(event);
    }
    raftcs_client_destroy(client);
    raftcs_server_destroy(server);
    raftcs_queue_destroy(queue);
}

static void count_line(uint64_t user_data, const char *line, size_t len) {
    uint64_t *count = (uint64_t *)(uintptr_t)user_data;
    assert_non_null(line);
    if (len > 0) ++*count;
}

static void logs_of_the_stopped_node(void **state) {
    (void)state;
    uint64_t lines = 0;
    raftcs_error_t *error = NULL;
    OK(raftcs_log_dump(data_dir, count_line, (uint64_t)(uintptr_t)&lines, &error));
    assert_true(lines > 3);
    OK(raftcs_log_verify(data_dir, count_line, (uint64_t)(uintptr_t)&lines, &error));
    assert_int_not_equal(
        raftcs_log_dump("/dev/null/raftcs", count_line, (uint64_t)(uintptr_t)&lines, NULL),
        RAFTCS_OK);
}

/* Destroys the server when the answer of an admin call comes: on the node's own thread, which an
 * ordinary destroy would wait for. */
typedef struct destroyer {
    raftcs_queue_t *queue;
    raftcs_server_t *server;
    int call_returned;
    int done;
} destroyer_t;

static void destroy_in_wakeup(uint64_t user_data) {
    destroyer_t *d = (destroyer_t *)(uintptr_t)user_data;
    raftcs_event_t *event = NULL;
    if (__atomic_load_n(&d->done, __ATOMIC_ACQUIRE)) return;
    while (raftcs_queue_next(d->queue, 0, &event) == RAFTCS_OK && event) {
        int32_t kind = raftcs_event_kind(event);
        raftcs_event_destroy(event);
        if (kind != RAFTCS_EVENT_ADMIN_REPLY) continue;
        while (!__atomic_load_n(&d->call_returned, __ATOMIC_ACQUIRE)) poll(NULL, 0, 1);
        raftcs_server_destroy(d->server);
        __atomic_store_n(&d->done, 1, __ATOMIC_RELEASE);
        return;
    }
}

static void destroyed_in_a_callback(void **state) {
    (void)state;
    static destroyer_t d; /* a callback may still be looking at it when this function ends */
    raftcs_event_t *event = NULL;
    d.queue = new_queue();
    d.server = start_server(d.queue);
    while (raftcs_queue_next(d.queue, 0, &event) == RAFTCS_OK && event) raftcs_event_destroy(event);
    OK(raftcs_queue_set_wakeup(d.queue, destroy_in_wakeup, (uint64_t)(uintptr_t)&d));
    while (raftcs_queue_next(d.queue, 0, &event) == RAFTCS_OK && event) raftcs_event_destroy(event);
    OK(raftcs_server_admin(d.server, 6, "status", NULL));
    __atomic_store_n(&d.call_returned, 1, __ATOMIC_RELEASE);
    for (int i = 0; i < 20000 && !__atomic_load_n(&d.done, __ATOMIC_ACQUIRE); ++i) poll(NULL, 0, 1);
    assert_int_equal(__atomic_load_n(&d.done, __ATOMIC_ACQUIRE), 1);
    event = next_of(d.queue, RAFTCS_EVENT_CLOSED);
    assert_int_equal(raftcs_event_tag(event), 50);
    raftcs_event_destroy(event);
    raftcs_queue_destroy(d.queue);
}

static void stop_before_start(void **state) {
    (void)state;
    raftcs_queue_t *queue = new_queue();
    raftcs_config_t *config = config_with("server.id", "1");
    raftcs_server_t *server = NULL;
    OK(raftcs_config_set(config, "server.data", "/dev/null/raftcs", NULL));
    OK(raftcs_server_create(config, queue, 8, &server, NULL));
    raftcs_error_t *error = NULL;
    assert_int_not_equal(raftcs_server_start(server, &error), RAFTCS_OK);
    assert_true(strlen(raftcs_error_text(error)) > 0);
    raftcs_error_destroy(error);
    OK(raftcs_server_stop(server));
    raftcs_event_t *event = next_of(queue, RAFTCS_EVENT_CLOSED);
    assert_int_equal(raftcs_event_tag(event), 8);
    raftcs_event_destroy(event);
    raftcs_server_destroy(server);
    raftcs_config_destroy(config);
    raftcs_queue_destroy(queue);
}

/* A plugin file that is refused is told of in the middle of start, on its thread: there it waits
 * until it is let go on. */
typedef struct held_start {
    raftcs_server_t *server;
    raftcs_status_t started;
    int in_start;
    int go_on;
    int destroyed;
} held_start_t;

static void hold_start(uint64_t user_data) {
    held_start_t *h = (held_start_t *)(uintptr_t)user_data;
    if (__atomic_exchange_n(&h->in_start, 1, __ATOMIC_ACQ_REL)) return;
    while (!__atomic_load_n(&h->go_on, __ATOMIC_ACQUIRE)) poll(NULL, 0, 1);
}

static void *start_held(void *arg) {
    held_start_t *h = arg;
    h->started = raftcs_server_start(h->server, NULL);
    return NULL;
}

static void *destroy_held(void *arg) {
    held_start_t *h = arg;
    raftcs_server_destroy(h->server);
    __atomic_store_n(&h->destroyed, 1, __ATOMIC_RELEASE);
    return NULL;
}

static void destroyed_while_it_starts(void **state) {
    (void)state;
    char plugins[300], file[320];
    snprintf(plugins, sizeof plugins, "%s-plugins", data_dir);
    snprintf(file, sizeof file, "%s/none.so", plugins);
    assert_int_equal(mkdir(plugins, 0700), 0);
    FILE *f = fopen(file, "w");
    assert_non_null(f);
    assert_int_equal(fputs("no plugin", f) < 0, 0);
    assert_int_equal(fclose(f), 0);

    raftcs_queue_t *queue = new_queue();
    held_start_t h = {.server = new_server(queue, plugins), .started = RAFTCS_ERR_INTERNAL};
    OK(raftcs_queue_set_wakeup(queue, hold_start, (uint64_t)(uintptr_t)&h));
    pthread_t starter, destroyer;
    assert_int_equal(pthread_create(&starter, NULL, start_held, &h), 0);
    for (int i = 0; i < 20000 && !__atomic_load_n(&h.in_start, __ATOMIC_ACQUIRE); ++i)
        poll(NULL, 0, 1);
    assert_int_equal(__atomic_load_n(&h.in_start, __ATOMIC_ACQUIRE), 1);
    assert_int_equal(raftcs_server_stop(h.server), RAFTCS_ERR_BAD_STATE);
    assert_int_equal(pthread_create(&destroyer, NULL, destroy_held, &h), 0);
    poll(NULL, 0, 200);
    assert_int_equal(__atomic_load_n(&h.destroyed, __ATOMIC_ACQUIRE), 0); /* it waits */
    __atomic_store_n(&h.go_on, 1, __ATOMIC_RELEASE);
    assert_int_equal(pthread_join(starter, NULL), 0);
    assert_int_equal(pthread_join(destroyer, NULL), 0);
    assert_int_equal(h.started, RAFTCS_ERR_CLOSED);
    int closed = 0;
    raftcs_event_t *event = NULL;
    while (raftcs_queue_next(queue, 0, &event) == RAFTCS_OK && event) {
        closed += raftcs_event_kind(event) == RAFTCS_EVENT_CLOSED;
        raftcs_event_destroy(event);
    }
    assert_int_equal(closed, 1);
    OK(raftcs_queue_set_wakeup(queue, NULL, 0));
    raftcs_server_destroy(start_server(queue)); /* the directory is free */
    raftcs_queue_destroy(queue);
}

static int make_dir(void **state) {
    (void)state;
    const char *base = getenv("TMPDIR");
    char root[200];
    snprintf(root, sizeof root, "%s/raftcs_capi_XXXXXX",
             base && strlen(base) < 150 ? base : "/tmp");
    if (!mkdtemp(root)) return -1;
    snprintf(data_dir, sizeof data_dir, "%s/node", root);
    return 0;
}

static int remove_dir(void **state) {
    (void)state;
    char command[300];
    data_dir[strlen(data_dir) - strlen("/node")] = '\0';
    snprintf(command, sizeof command, "rm -r '%s'", data_dir);
    return system(command);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commands_queries_and_pushes),
        cmocka_unit_test(the_state_outlives_a_restart),
        cmocka_unit_test(threads_that_wait),
        cmocka_unit_test(logs_of_the_stopped_node),
        cmocka_unit_test(a_session_changes_hands),
        cmocka_unit_test(stop_before_start),
        cmocka_unit_test(destroyed_in_a_callback),
        cmocka_unit_test(destroyed_while_it_starts),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
