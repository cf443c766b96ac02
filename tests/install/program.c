/* program.c: an application outside the source tree: a node of its own and a client of it, in C99.
 *
 *   program DATA_DIRECTORY PLUGINS_DIRECTORY
 *
 * Adds 5 and 37 with the out-of-tree plugin "sum" and prints the total, 42. */
#include <raftcs.h>
#include <stdio.h>
#include <stdlib.h>

static void check(raftcs_status_t status, raftcs_error_t *error, const char *what) {
    if (status == RAFTCS_OK) return;
    fprintf(stderr, "%s: %s: %s\n", what, raftcs_status_name(status),
            error != NULL ? raftcs_error_text(error) : raftcs_status_text(status));
    exit(1);
}

static long long call(raftcs_client_t *client, const char *bytes, size_t len) {
    raftcs_event_t *event = NULL;
    raftcs_event_info_t info = {0};
    long long total = 0;
    check(raftcs_client_submit_wait(client, "sum", bytes, len, NULL, &event), NULL, "submit");
    info.struct_size = sizeof info;
    check(raftcs_event_info(event, &info), NULL, "event");
    check(info.status, NULL, info.text);
    if (info.outcome != RAFTCS_OUTCOME_APPLIED || info.data_len != 1) exit(1);
    total = *(const unsigned char *)info.data;
    raftcs_event_destroy(event);
    return total;
}

int main(int argc, char **argv) {
    raftcs_config_t *config = NULL;
    raftcs_server_t *server = NULL;
    raftcs_queue_t *queue = NULL;
    raftcs_client_t *client = NULL;
    raftcs_error_t *error = NULL;
    raftcs_server_info_t info = {0};
    if (argc != 3) return 2;
    check(raftcs_config_create(&config), NULL, "settings");
    check(raftcs_config_set(config, "server.id", "1", &error), error, "id");
    check(raftcs_config_set(config, "server.data", argv[1], &error), error, "data");
    check(raftcs_config_set(config, "server.plugins", argv[2], &error), error, "plugins");
    check(raftcs_config_set(config, "server.client_listen", "tcp://127.0.0.1:0", &error), error,
          "listen");
    check(raftcs_config_set(config, "server.peer_listen", "tcp://127.0.0.1:0", &error), error,
          "listen");
    check(raftcs_server_create(config, NULL, 0, &server, &error), error, "server");
    check(raftcs_server_start(server, &error), error, "start");
    info.struct_size = sizeof info;
    check(raftcs_server_info(server, &info), NULL, "info");
    check(raftcs_config_set(config, "client.endpoints", info.client_address, &error), error,
          "endpoints");
    check(raftcs_queue_create(NULL, &queue), NULL, "queue");
    check(raftcs_client_create(config, queue, 0, &client, &error), error, "client");
    check(raftcs_client_open(client), NULL, "open");
    check(raftcs_client_wait_connected(client, 20000), NULL, "connect");
    call(client, "\x05", 1);
    printf("total %lld\n", call(client, "\x25", 1));
    raftcs_client_destroy(client);
    raftcs_server_destroy(server);
    raftcs_queue_destroy(queue);
    raftcs_config_destroy(config);
    return 0;
}
