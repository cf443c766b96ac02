/* Clients and queues without any server: every operation ends once, in every order of ends. */
#define _POSIX_C_SOURCE 200809L
#include <dirent.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "support.h"

static int readable(int fd) {
    struct pollfd p = {.fd = fd, .events = POLLIN};
    return poll(&p, 1, 0) == 1 && (p.revents & POLLIN);
}

static void submit_times_out(void **state) {
    (void)state;
    raftcs_queue_t *queue = new_queue();
    raftcs_client_t *client = client_on(queue, NULL, NULL);
    raftcs_call_options_t o = {.struct_size = sizeof o, .timeout_ms = 150};
    raftcs_event_info_t info = {.struct_size = sizeof info};
    uint64_t op = 0;
    OK(raftcs_client_open(client));
    OK(raftcs_client_open(client));
    OK(raftcs_client_submit(client, "kv", 5, "abc", 3, &o, &op));
    raftcs_event_t *event = next_of(queue, RAFTCS_EVENT_REPLY);
    OK(raftcs_event_info(event, &info));
    assert_int_equal(info.status, RAFTCS_ERR_TIMED_OUT);
    assert_int_equal(info.outcome, RAFTCS_OUTCOME_NOT_APPLIED);
    assert_int_equal(info.tag, 5);
    assert_int_equal(info.op_id, op);
    assert_true(strlen(info.text) > 0);
    raftcs_event_destroy(event);
    OK(raftcs_client_submit_wait(client, "kv", NULL, 0, &o, &event));
    assert_int_equal(raftcs_event_status(event), RAFTCS_ERR_TIMED_OUT);
    assert_int_equal(raftcs_event_outcome(event), RAFTCS_OUTCOME_NOT_APPLIED);
    raftcs_event_destroy(event);
    assert_int_equal(raftcs_client_wait_connected(client, 20), RAFTCS_ERR_UNREACHABLE);
    raftcs_client_destroy(client);
    raftcs_queue_destroy(queue);
}

static void why_it_is_not_connected(void **state) {
    (void)state;
    raftcs_queue_t *queue = new_queue();
    raftcs_client_t *client = client_on(queue, "client.connect_timeout_ms", "50");
    raftcs_call_options_t o = {.struct_size = sizeof o, .timeout_ms = 500};
    raftcs_client_info_t info = {.struct_size = sizeof info};
    raftcs_event_t *event = NULL;
    OK(raftcs_client_open(client));
    OK(raftcs_client_submit(client, "kv", 5, "abc", 3, &o, NULL));
    assert_int_equal(raftcs_client_wait_connected(client, 400), RAFTCS_ERR_UNREACHABLE);
    event = next_of(queue, RAFTCS_EVENT_REPLY);
    assert_int_equal(raftcs_event_status(event), RAFTCS_ERR_TIMED_OUT);
    assert_non_null(strstr(raftcs_event_text(event), "does not answer"));
    assert_int_equal(raftcs_event_is_retriable(event), 1); /* it never left */
    raftcs_event_destroy(event);
    do { /* the one of attempt 2 or a later one says why */
        event = next_of(queue, RAFTCS_EVENT_CLIENT_STATE);
        assert_int_equal(raftcs_event_app_code(event), RAFTCS_CLIENT_CONNECTING_NEW);
        assert_int_equal(raftcs_event_is_retriable(event), 0);
        if (raftcs_event_status(event) != RAFTCS_OK) break;
        raftcs_event_destroy(event);
    } while (1);
    assert_int_equal(raftcs_event_status(event), RAFTCS_ERR_UNREACHABLE);
    raftcs_event_destroy(event);
    OK(raftcs_client_info(client, &info));
    assert_int_equal(info.struct_size, sizeof info);
    assert_int_equal(info.trouble, RAFTCS_ERR_UNREACHABLE);
    assert_true(info.attempts >= 2);
    assert_int_equal(info.session_timeout_ms, 0);
    assert_int_equal(info.rtt_smoothed_us, -1);
    info.struct_size = 88; /* of a program that was built before the struct grew */
    info.attempts = 12345;
    OK(raftcs_client_info(client, &info));
    assert_int_equal(info.struct_size, 88);
    assert_int_equal(info.attempts, 12345);
    OK(raftcs_client_submit(client, "kv", 6, "abc", 3, NULL, NULL));
    OK(raftcs_client_close(client, 0));
    event = next_of(queue, RAFTCS_EVENT_REPLY);
    assert_int_equal(raftcs_event_status(event), RAFTCS_ERR_CLOSED);
    assert_int_equal(raftcs_event_outcome(event), RAFTCS_OUTCOME_NOT_APPLIED);
    assert_int_equal(raftcs_event_is_retriable(event), 0); /* not on this client */
    raftcs_event_destroy(event);
    assert_int_equal(raftcs_event_is_retriable(NULL), 0);
    raftcs_client_destroy(client);
    raftcs_queue_destroy(queue);
}

static int open_descriptors(void) {
    int count = 0;
    DIR *folder = opendir("/proc/self/fd");
    if (!folder) return -1;
    while (readdir(folder)) ++count;
    closedir(folder);
    return count;
}

/* A long outage is many attempts: each leaves nothing behind. */
static void attempts_leave_no_descriptors(void **state) {
    (void)state;
    raftcs_queue_t *queue = new_queue();
    raftcs_config_t *config = config_with("client.backoff.min_ms", "1");
    raftcs_client_t *client = NULL;
    raftcs_client_info_t info = {.struct_size = sizeof info};
    int before = 0;
    OK(raftcs_config_set(config, "client.backoff.max_ms", "1", NULL));
    OK(raftcs_client_create(config, queue, 77, &client, NULL));
    raftcs_config_destroy(config);
    OK(raftcs_client_open(client));
    for (int i = 0; i < 3000 && info.attempts < 600; ++i) {
        assert_int_not_equal(raftcs_client_wait_connected(client, 10), RAFTCS_OK);
        OK(raftcs_client_info(client, &info));
        if (info.attempts < 10) before = open_descriptors();
    }
    assert_true(info.attempts >= 600);
    assert_true(before > 0);
    assert_true(open_descriptors() < before + 400); /* those that linger; without closing 1800 */
    raftcs_client_destroy(client);
    raftcs_queue_destroy(queue);
}

static void close_before_open_ends_everything_once(void **state) {
    (void)state;
    raftcs_queue_t *queue = new_queue();
    raftcs_client_t *client = client_on(queue, NULL, NULL);
    int seen[32] = {0}, closed = 0;
    assert_int_equal(raftcs_client_wait_connected(client, 0), RAFTCS_ERR_BAD_STATE);
    for (uint64_t tag = 0; tag < 10; ++tag) {
        OK(raftcs_client_submit(client, "kv", tag, "x", 1, NULL, NULL));
        OK(raftcs_client_query(client, "kv", 10 + tag, "x", 1, NULL, NULL));
        OK(raftcs_client_admin(client, NULL, 20 + tag, "status", NULL, NULL, NULL));
    }
    OK(raftcs_client_close(client, 0));
    OK(raftcs_client_close(client, 0));
    assert_int_equal(raftcs_client_submit(client, "kv", 1, "x", 1, NULL, NULL), RAFTCS_ERR_CLOSED);
    assert_int_equal(raftcs_client_open(client), RAFTCS_ERR_CLOSED);
    while (!closed) {
        raftcs_event_t *events[7];
        size_t n = 0;
        OK(raftcs_queue_next_batch(queue, 10000, events, 7, &n));
        assert_true(n > 0);
        for (size_t i = 0; i < n; ++i) {
            int32_t kind = raftcs_event_kind(events[i]);
            assert_false(closed); /* nothing after CLOSED */
            if (kind == RAFTCS_EVENT_CLOSED) {
                closed = 1;
                assert_int_equal(raftcs_event_tag(events[i]), 77);
            } else if (kind <= RAFTCS_EVENT_ADMIN_REPLY) {
                assert_int_equal(raftcs_event_status(events[i]), RAFTCS_ERR_CLOSED);
                assert_int_equal(raftcs_event_outcome(events[i]), RAFTCS_OUTCOME_NOT_APPLIED);
                ++seen[raftcs_event_tag(events[i])];
            }
        }
        raftcs_event_destroy_batch(events, n);
    }
    for (int i = 0; i < 30; ++i) assert_int_equal(seen[i], 1);
    raftcs_client_info_t info = {.struct_size = sizeof info};
    OK(raftcs_client_info(client, &info));
    assert_int_equal(info.outstanding, 0);
    raftcs_client_destroy(client);
    assert_int_equal(raftcs_queue_length(queue), 0);
    raftcs_queue_destroy(queue);
}

static void descriptors_follow_the_queue(void **state) {
    (void)state;
    for (int32_t kind = RAFTCS_FD_DEFAULT; kind <= RAFTCS_FD_PIPE; ++kind) {
        raftcs_queue_t *queue = new_queue();
        raftcs_client_t *client = client_on(queue, NULL, NULL);
        raftcs_event_t *event = NULL;
        int fd = -1, late = -1;
        OK(raftcs_queue_open_fd(queue, kind, &fd));
        assert_false(readable(fd));
        OK(raftcs_client_submit(client, "kv", 1, "x", 1, NULL, NULL));
        OK(raftcs_client_close(client, 1));
        struct pollfd p = {.fd = fd, .events = POLLIN};
        assert_int_equal(poll(&p, 1, 10000), 1);
        OK(raftcs_queue_open_fd(queue, kind, &late));
        assert_true(readable(late));
        raftcs_client_destroy(client);
        size_t n = raftcs_queue_length(queue);
        assert_true(n >= 2);
        for (; n > 0; --n) {
            assert_true(readable(fd));
            OK(raftcs_queue_next(queue, 0, &event));
            assert_non_null(event);
            raftcs_event_destroy(event);
        }
        assert_false(readable(fd));
        assert_false(readable(late));
        OK(raftcs_queue_interrupt(queue));
        assert_false(readable(fd));
        close(late);
        raftcs_queue_destroy(queue);
        close(fd); /* ours, also after the queue */
    }
    raftcs_queue_t *queue = new_queue();
    int fd = -1;
    assert_int_equal(raftcs_queue_open_fd(queue, 9, &fd), RAFTCS_ERR_INVALID_ARGUMENT);
    raftcs_queue_destroy(queue);
}

static void *interrupt_later(void *queue) {
    struct timespec t = {0, 50 * 1000 * 1000};
    nanosleep(&t, NULL);
    raftcs_queue_interrupt(queue);
    return NULL;
}

static void interrupts(void **state) {
    (void)state;
    raftcs_queue_t *queue = new_queue();
    raftcs_event_t *event = (raftcs_event_t *)&queue;
    pthread_t thread;
    OK(raftcs_queue_next(queue, 0, &event));
    assert_null(event);
    OK(raftcs_queue_next(queue, 20, &event));
    assert_null(event);
    pthread_create(&thread, NULL, interrupt_later, queue);
    OK(raftcs_queue_next(queue, -1, &event));
    assert_null(event);
    pthread_join(thread, NULL);
    OK(raftcs_queue_interrupt(queue)); /* before the waiter: it is not lost */
    OK(raftcs_queue_next(queue, -1, &event));
    assert_null(event);
    assert_int_equal(raftcs_queue_next(queue, -2, &event), RAFTCS_ERR_INVALID_ARGUMENT);
    raftcs_queue_destroy(queue);
}

static void any_order_of_destruction(void **state) {
    (void)state;
    for (int order = 0; order < 3; ++order) {
        raftcs_queue_t *queue = new_queue();
        raftcs_client_t *a = client_on(queue, NULL, NULL);
        raftcs_client_t *b = client_on(queue, NULL, NULL);
        raftcs_event_t *event = NULL;
        OK(raftcs_client_open(a));
        OK(raftcs_client_submit(b, "kv", 1, "x", 1, NULL, NULL));
        if (order == 0) raftcs_queue_destroy(queue);
        raftcs_client_destroy(a);
        if (order == 1) raftcs_queue_destroy(queue);
        raftcs_client_destroy(b);
        if (order != 2) continue;
        event = next_of(queue, RAFTCS_EVENT_REPLY);
        raftcs_queue_destroy(queue);
        assert_int_equal(raftcs_event_status(event), RAFTCS_ERR_CLOSED);
        raftcs_event_destroy(event);
    }
}

static void limits_and_arguments(void **state) {
    (void)state;
    raftcs_queue_t *queue = new_queue();
    raftcs_client_t *client = client_on(queue, "client.request.outstanding_max", "2");
    raftcs_call_options_t o = {.struct_size = sizeof o};
    uint64_t op = 0;
    OK(raftcs_client_submit(client, "kv", 1, "x", 1, NULL, &op));
    OK(raftcs_client_submit(client, "kv", 2, "x", 1, NULL, NULL));
    assert_int_equal(raftcs_client_submit(client, "kv", 3, "x", 1, NULL, NULL), RAFTCS_ERR_BUSY);
    OK(raftcs_client_cancel(client, op));
    assert_int_equal(raftcs_client_cancel(client, op), RAFTCS_ERR_NOT_FOUND);
    raftcs_event_t *event = next_of(queue, RAFTCS_EVENT_REPLY); /* taken: room for one more */
    assert_int_equal(raftcs_event_status(event), RAFTCS_ERR_CANCELLED);
    assert_int_equal(raftcs_event_outcome(event), RAFTCS_OUTCOME_NOT_APPLIED);
    raftcs_event_destroy(event);
    OK(raftcs_client_submit(client, "kv", 3, "x", 1, NULL, NULL));

    assert_int_equal(raftcs_client_submit(client, NULL, 1, "x", 1, NULL, NULL),
                     RAFTCS_ERR_INVALID_ARGUMENT);
    assert_int_equal(raftcs_client_submit(client, "", 1, "x", 1, NULL, NULL),
                     RAFTCS_ERR_INVALID_ARGUMENT);
    assert_int_equal(raftcs_client_submit(client, "kv", 1, NULL, 1, NULL, NULL),
                     RAFTCS_ERR_INVALID_ARGUMENT);
    assert_int_equal(raftcs_client_submit(client, "kv", 1, "x", (size_t)1 << 40, NULL, NULL),
                     RAFTCS_ERR_TOO_LARGE);
    o.flags = 1;
    assert_int_equal(raftcs_client_submit(client, "kv", 1, "x", 1, &o, NULL),
                     RAFTCS_ERR_UNSUPPORTED);
    o.flags = 0;
    o.consistency = RAFTCS_STALE;
    assert_int_equal(raftcs_client_submit(client, "kv", 1, "x", 1, &o, NULL),
                     RAFTCS_ERR_INVALID_ARGUMENT);
    assert_int_equal(raftcs_client_admin(client, "nowhere", 1, "status", NULL, NULL, NULL),
                     RAFTCS_ERR_INVALID_ARGUMENT);
    raftcs_client_destroy(client);
    raftcs_queue_destroy(queue);
}

static void tokens(void **state) {
    (void)state;
    raftcs_queue_t *queue = new_queue();
    raftcs_client_t *client = client_on(queue, NULL, NULL);
    assert_int_equal(raftcs_client_resume(client, NULL, 0), RAFTCS_ERR_INVALID_ARGUMENT);
    assert_int_equal(raftcs_client_resume(client, "junk", 4), RAFTCS_ERR_MALFORMED);
    OK(raftcs_client_open(client));
    assert_int_equal(raftcs_client_resume(client, "junk", 4), RAFTCS_ERR_BAD_STATE);
    raftcs_client_destroy(client);
    raftcs_queue_destroy(queue);
}

static raftcs_client_t *callback_client;
static raftcs_queue_t *callback_queue;
static int callback_calls;
static raftcs_status_t callback_status[3];

static void wakeup(uint64_t user_data) {
    raftcs_event_t *event = NULL;
    if (user_data != 9 || callback_calls++) return;
    callback_status[0] = raftcs_queue_next(callback_queue, -1, &event);
    callback_status[1] = raftcs_client_wait_connected(callback_client, -1);
    callback_status[2] = raftcs_client_submit_wait(callback_client, "kv", "x", 1, NULL, &event);
}

static void waiting_calls_are_refused_in_callbacks(void **state) {
    (void)state;
    callback_queue = new_queue();
    callback_client = client_on(callback_queue, NULL, NULL);
    OK(raftcs_queue_set_wakeup(callback_queue, wakeup, 9));
    OK(raftcs_client_submit(callback_client, "kv", 1, "x", 1, NULL, NULL));
    OK(raftcs_client_close(callback_client, 0));
    raftcs_client_destroy(callback_client);
    assert_int_equal(callback_calls, 1); /* coalesced: nobody emptied the queue */
    for (int i = 0; i < 3; ++i) assert_int_equal(callback_status[i], RAFTCS_ERR_WRONG_THREAD);
    raftcs_queue_destroy(callback_queue);
}

static raftcs_client_t *doomed;

static void destroying_wakeup(uint64_t user_data) { /* also called for CLOSED, at times */
    (void)user_data;
    raftcs_client_t *client = __atomic_exchange_n(&doomed, NULL, __ATOMIC_ACQ_REL);
    if (client) raftcs_client_destroy(client);
}

/* Each is destroyed when an event of another client wakes. */
static size_t bytes_after_destroying(int count, raftcs_queue_t *queue, raftcs_client_t *other) {
    for (int i = 0; i < count; ++i) {
        uint64_t op = 0;
        int replies = 0, closed = 0;
        __atomic_store_n(&doomed, client_on(queue, NULL, NULL), __ATOMIC_RELEASE);
        OK(raftcs_client_submit(other, "kv", 1, "x", 1, NULL, &op));
        OK(raftcs_client_cancel(other, op));
        while (replies + closed < 2) {
            raftcs_event_t *event = NULL;
            OK(raftcs_queue_next(queue, 10000, &event));
            assert_non_null(event);
            replies += raftcs_event_kind(event) == RAFTCS_EVENT_REPLY;
            closed += raftcs_event_kind(event) == RAFTCS_EVENT_CLOSED;
            raftcs_event_destroy(event);
        }
    }
    return mallinfo2().uordblks; /* of the main thread, which makes the clients */
}

static void what_is_destroyed_in_a_wakeup_leaves_nothing(void **state) {
    (void)state;
    raftcs_queue_t *queue = new_queue();
    raftcs_client_t *other = client_on(queue, NULL, NULL); /* the runtime outlives the others */
    OK(raftcs_queue_set_wakeup(queue, destroying_wakeup, 0));
    size_t before = bytes_after_destroying(100, queue, other);
    assert_true(bytes_after_destroying(1000, queue, other) < before + 1000 * 300);
    raftcs_client_destroy(other);
    raftcs_queue_destroy(queue);
}

/* Not under the thread sanitizer: it cannot follow threads made after a fork. */
#if !defined(__SANITIZE_THREAD__)
static int child_after_fork(raftcs_queue_t *queue, raftcs_client_t *client) {
    raftcs_event_t *event = NULL;
    if (raftcs_queue_next(queue, 0, &event) != RAFTCS_ERR_FORKED) return 1;
    if (raftcs_client_submit(client, "kv", 1, "x", 1, NULL, NULL) != RAFTCS_ERR_FORKED) return 2;
    if (raftcs_client_close(client, 0) != RAFTCS_ERR_FORKED) return 3;
    raftcs_client_destroy(client);
    raftcs_queue_destroy(queue);
    /* The child may have clients of its own. */
    queue = new_queue();
    client = client_on(queue, NULL, NULL);
    if (raftcs_client_submit(client, "kv", 1, "x", 1, NULL, NULL) != RAFTCS_OK) return 4;
    raftcs_client_destroy(client);
    if (raftcs_queue_length(queue) < 2) return 5;
    raftcs_queue_destroy(queue);
    return 0;
}

static void forked_children(void **state) {
    (void)state;
    raftcs_queue_t *queue = new_queue();
    raftcs_client_t *client = client_on(queue, NULL, NULL);
    OK(raftcs_client_open(client));
    pid_t pid = fork();
    if (pid == 0) _exit(child_after_fork(queue, client));
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    raftcs_client_destroy(client);
    raftcs_queue_destroy(queue);
}
#endif

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(submit_times_out),
        cmocka_unit_test(why_it_is_not_connected),
        cmocka_unit_test(attempts_leave_no_descriptors),
        cmocka_unit_test(close_before_open_ends_everything_once),
        cmocka_unit_test(descriptors_follow_the_queue),
        cmocka_unit_test(interrupts),
        cmocka_unit_test(any_order_of_destruction),
        cmocka_unit_test(limits_and_arguments),
        cmocka_unit_test(tokens),
        cmocka_unit_test(waiting_calls_are_refused_in_callbacks),
        cmocka_unit_test(what_is_destroyed_in_a_wakeup_leaves_nothing),
#if !defined(__SANITIZE_THREAD__)
        cmocka_unit_test(forked_children),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
