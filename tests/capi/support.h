/* support.h: what the C tests share: cmocka's includes and small makers. */
#ifndef RAFTCS_TESTS_CAPI_SUPPORT_H
#define RAFTCS_TESTS_CAPI_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "raftcs.h"

#define OK(call) assert_int_equal((call), RAFTCS_OK)

/* Nobody listens on the discard port of the loopback. */
#define NOBODY "tcp://127.0.0.1:9"

static inline raftcs_config_t *config_with(const char *name, const char *value) {
    raftcs_config_t *config = NULL;
    OK(raftcs_config_create(&config));
    OK(raftcs_config_set(config, "client.endpoints", NOBODY, NULL));
    if (name) OK(raftcs_config_set(config, name, value, NULL));
    return config;
}

static inline raftcs_queue_t *new_queue(void) {
    raftcs_queue_t *queue = NULL;
    OK(raftcs_queue_create(NULL, &queue));
    return queue;
}

static inline raftcs_client_t *client_on(raftcs_queue_t *queue, const char *name,
                                         const char *value) {
    raftcs_config_t *config = config_with(name, value);
    raftcs_client_t *client = NULL;
    OK(raftcs_client_create(config, queue, 77, &client, NULL));
    raftcs_config_destroy(config);
    return client;
}

/* The next event of this kind within ten seconds; others are let go. */
static inline raftcs_event_t *next_of(raftcs_queue_t *queue, int32_t kind) {
    for (int i = 0; i < 1000; ++i) {
        raftcs_event_t *event = NULL;
        OK(raftcs_queue_next(queue, 10000, &event));
        if (!event) break;
        if (raftcs_event_kind(event) == kind) return event;
        raftcs_event_destroy(event);
    }
    fail_msg("no event of kind %d came", (int)kind);
    return NULL;
}

#endif
