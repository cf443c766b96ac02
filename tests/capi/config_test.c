/* Settings through the C API, and the rules of versioned structs. */
#include "support.h"

static void errors_have_sentences(void **state) {
    (void)state;
    raftcs_config_t *config = NULL;
    raftcs_error_t *error = NULL;
    const char *value = NULL;
    OK(raftcs_config_create(&config));
    assert_int_equal(raftcs_config_set(config, "client.nam", "x", &error),
                     RAFTCS_ERR_UNKNOWN_OPTION);
    assert_int_equal(raftcs_error_status(error), RAFTCS_ERR_UNKNOWN_OPTION);
    assert_non_null(strstr(raftcs_error_text(error), "client.name"));
    raftcs_error_destroy(error);
    assert_int_equal(raftcs_config_set(config, "raft.heartbeat_ms", "fast", NULL),
                     RAFTCS_ERR_INVALID_ARGUMENT);
    OK(raftcs_config_get(config, "raft.heartbeat_ms", &value));
    assert_string_equal(value, "50");
    OK(raftcs_config_set(config, "raft.heartbeat_ms", "20", &error));
    OK(raftcs_config_get(config, "raft.heartbeat_ms", &value));
    assert_string_equal(value, "20");
    assert_int_equal(raftcs_config_load_file(config, "/nonexistent.toml", NULL), RAFTCS_ERR_IO);
    raftcs_config_destroy(config);
}

static void needed_settings(void **state) {
    (void)state;
    raftcs_config_t *config = NULL;
    raftcs_client_t *client = NULL;
    raftcs_server_t *server = NULL;
    raftcs_error_t *error = NULL;
    OK(raftcs_config_create(&config));
    assert_int_equal(raftcs_client_create(config, NULL, 0, &client, &error),
                     RAFTCS_ERR_INVALID_ARGUMENT);
    assert_non_null(strstr(raftcs_error_text(error), "client.endpoints"));
    raftcs_error_destroy(error);
    assert_int_equal(raftcs_server_create(config, NULL, 0, &server, &error),
                     RAFTCS_ERR_INVALID_ARGUMENT);
    assert_non_null(strstr(raftcs_error_text(error), "server.id"));
    raftcs_error_destroy(error);
    OK(raftcs_config_set(config, "client.endpoints", NOBODY, NULL));
    OK(raftcs_config_set(config, "client.backoff.min_ms", "5000", NULL));
    assert_int_equal(raftcs_client_create(config, NULL, 0, &client, NULL),
                     RAFTCS_ERR_INVALID_ARGUMENT);
    assert_null(client);
    raftcs_config_destroy(config);
}

static void the_table(void **state) {
    (void)state;
    raftcs_setting_t s;
    uint32_t n = 0;
    memset(&s, 0, sizeof s);
    for (;; ++n) {
        s.struct_size = sizeof s;
        if (raftcs_setting_at(n, &s) != RAFTCS_OK) break;
        assert_true(*s.name && *s.type && *s.text && s.default_value && s.range && s.unit);
    }
    assert_true(n >= 40);
    assert_int_equal(raftcs_setting_at(n, &s), RAFTCS_ERR_NOT_FOUND);
}

struct bigger_options {
    raftcs_queue_options_t known;
    uint64_t future;
};

static void sizes_of_input_structs(void **state) {
    (void)state;
    raftcs_queue_t *queue = NULL;
    struct bigger_options o;
    memset(&o, 0, sizeof o);
    o.known.struct_size = sizeof o.known;
    OK(raftcs_queue_create(&o.known, &queue));
    raftcs_queue_destroy(queue);
    o.known.struct_size = sizeof o.known - 1;
    assert_int_equal(raftcs_queue_create(&o.known, &queue), RAFTCS_ERR_INVALID_ARGUMENT);
    o.known.struct_size = sizeof o;
    OK(raftcs_queue_create(&o.known, &queue));
    raftcs_queue_destroy(queue);
    o.future = 1;
    assert_int_equal(raftcs_queue_create(&o.known, &queue), RAFTCS_ERR_UNSUPPORTED);
    o.known.struct_size = 0;
    assert_int_equal(raftcs_queue_create(&o.known, &queue), RAFTCS_ERR_INVALID_ARGUMENT);
}

struct bigger_setting {
    raftcs_setting_t known;
    uint64_t future;
};

static void sizes_of_output_structs(void **state) {
    (void)state;
    struct bigger_setting s;
    memset(&s, 0xee, sizeof s);
    s.known.struct_size = sizeof s.known - 8;
    assert_int_equal(raftcs_setting_at(0, &s.known), RAFTCS_ERR_INVALID_ARGUMENT);
    s.known.struct_size = sizeof s;
    OK(raftcs_setting_at(0, &s.known));
    assert_int_equal(s.known.struct_size, sizeof s.known);
    assert_int_equal(s.future, 0);
    assert_string_equal(s.known.name, "server.id");
    s.future = 5;
    s.known.struct_size = sizeof s.known;
    OK(raftcs_setting_at(1, &s.known));
    assert_int_equal(s.future, 5);
    assert_int_equal(raftcs_setting_at(0, NULL), RAFTCS_ERR_INVALID_ARGUMENT);
}

static void bad_handles(void **state) {
    (void)state;
    uint64_t junk[64];
    const char *value = NULL;
    raftcs_event_t *event = NULL;
    raftcs_event_info_t info = {.struct_size = sizeof info};
    size_t count = 0;
    memset(junk, 0x5a, sizeof junk);
    assert_int_equal(raftcs_config_get(NULL, "client.name", &value), RAFTCS_ERR_BAD_HANDLE);
    assert_int_equal(raftcs_config_get((raftcs_config_t *)junk, "client.name", &value),
                     RAFTCS_ERR_BAD_HANDLE);
    assert_int_equal(raftcs_queue_next((raftcs_queue_t *)junk, 0, &event), RAFTCS_ERR_BAD_HANDLE);
    assert_int_equal(raftcs_queue_next_batch(NULL, 0, &event, 1, &count), RAFTCS_ERR_BAD_HANDLE);
    assert_int_equal(raftcs_client_open(NULL), RAFTCS_ERR_BAD_HANDLE);
    assert_int_equal(raftcs_client_close((raftcs_client_t *)junk, 0), RAFTCS_ERR_BAD_HANDLE);
    assert_int_equal(raftcs_server_start(NULL, NULL), RAFTCS_ERR_BAD_HANDLE);
    assert_int_equal(raftcs_server_stop((raftcs_server_t *)junk), RAFTCS_ERR_BAD_HANDLE);
    assert_int_equal(raftcs_event_info(NULL, &info), RAFTCS_ERR_BAD_HANDLE);
    assert_string_equal(raftcs_error_text(NULL), "");
    assert_int_equal(raftcs_queue_length(NULL), 0);
    raftcs_config_destroy(NULL);
    raftcs_queue_destroy(NULL);
    raftcs_client_destroy(NULL);
    raftcs_server_destroy(NULL);
    raftcs_event_destroy(NULL);
    raftcs_event_destroy_batch(NULL, 3);
    raftcs_error_destroy(NULL);
    raftcs_plugin_close(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_have_sentences), cmocka_unit_test(needed_settings),
        cmocka_unit_test(the_table),             cmocka_unit_test(sizes_of_input_structs),
        cmocka_unit_test(sizes_of_output_structs), cmocka_unit_test(bad_handles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
