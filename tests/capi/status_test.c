/* The table of statuses and its predicates, versions and features. */
#include "support.h"

static void every_status_has_a_row(void **state) {
    (void)state;
    raftcs_status_t status;
    uint32_t n = 0;
    for (; raftcs_status_at(n, &status) == RAFTCS_OK; ++n) {
        assert_true(status <= 0 && status > -600);
        assert_string_not_equal(raftcs_status_name(status), "UNKNOWN");
        assert_true(strlen(raftcs_status_text(status)) > 5);
        int32_t outcome = raftcs_status_outcome(status);
        assert_true(outcome >= RAFTCS_OUTCOME_APPLIED && outcome <= RAFTCS_OUTCOME_UNKNOWN);
        assert_false(raftcs_status_is_fatal(status) && raftcs_status_is_retriable(status));
    }
    assert_int_equal(n, 42);
    assert_int_equal(raftcs_status_at(n, &status), RAFTCS_ERR_NOT_FOUND);
    assert_int_equal(raftcs_status_at(0, NULL), RAFTCS_ERR_INVALID_ARGUMENT);
}

static void predicates(void **state) {
    (void)state;
    assert_int_equal(raftcs_status_outcome(RAFTCS_OK), RAFTCS_OUTCOME_APPLIED);
    assert_int_equal(raftcs_status_outcome(RAFTCS_ERR_BUSY), RAFTCS_OUTCOME_NOT_APPLIED);
    assert_int_equal(raftcs_status_outcome(RAFTCS_ERR_NOT_LEADER), RAFTCS_OUTCOME_NOT_APPLIED);
    assert_int_equal(raftcs_status_outcome(RAFTCS_ERR_TIMED_OUT), RAFTCS_OUTCOME_UNKNOWN);
    assert_int_equal(raftcs_status_outcome(RAFTCS_ERR_DROPPED), RAFTCS_OUTCOME_UNKNOWN);
    assert_int_equal(raftcs_status_outcome(-12345), RAFTCS_OUTCOME_UNKNOWN);
    assert_int_equal(raftcs_status_is_retriable(RAFTCS_ERR_BUSY), 1);
    assert_int_equal(raftcs_status_is_retriable(RAFTCS_ERR_CORRUPT), 0);
    assert_int_equal(raftcs_status_is_retriable(-12345), 0);
    assert_int_equal(raftcs_status_is_fatal(RAFTCS_ERR_SESSION_TAKEN), 1);
    assert_int_equal(raftcs_status_is_fatal(RAFTCS_ERR_BUSY), 0);
    assert_string_equal(raftcs_status_name(RAFTCS_ERR_NOT_LEADER), "NOT_LEADER");
    assert_string_equal(raftcs_status_name(-12345), "UNKNOWN");
}

static void version_and_features(void **state) {
    (void)state;
    assert_int_equal(raftcs_version(), 0u << 24 | 1u << 16 | 0u << 8);
    assert_string_equal(raftcs_version_string(), "0.1.0");
    assert_int_equal(raftcs_has("client"), 1);
    assert_int_equal(raftcs_has("server"), 1);
    assert_int_equal(raftcs_has("teleport"), 0);
    assert_int_equal(raftcs_has(NULL), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_status_has_a_row),
        cmocka_unit_test(predicates),
        cmocka_unit_test(version_and_features),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
