/* hostile.c: one source, a plugin for each way to be wrong: SPOIL is the wrong thing, in C.
 * It may change `entry` and `type`; TYPE_ID names the type. Built by CMakeLists.txt. */
#include "hostile.h"

#ifndef TYPE_ID
#define TYPE_ID "org.test.hostile"
#endif
#ifndef SPOIL
#define SPOIL
#endif
#ifndef ENTRY
#define ENTRY raftcs_plugin_entry_v1
#endif
#ifdef NEEDS
extern void NEEDS(void);
#endif

static raftcs_sm_type_t type;
static raftcs_plugin_entry_t entry;

static const raftcs_sm_type_t *type_at(uint32_t i)
{
    (void)i;
    return &type;
}

static raftcs_status_t init_fails(const raftcs_host_t *host, const char *path)
{
    (void)host;
    (void)path;
    return RAFTCS_ERR_NO_MEMORY;
}

#ifdef RAFTCS_TEST_TIMERS
static int64_t half_a_timer(void *sm)
{
    (void)sm;
    return 0;
}
#endif

RAFTCS_PLUGIN_EXPORT const raftcs_plugin_entry_t *ENTRY(void);
RAFTCS_PLUGIN_EXPORT const raftcs_plugin_entry_t *ENTRY(void)
{
    type = h_type(TYPE_ID);
    entry = h_entry(type_at);
    (void)init_fails;
    SPOIL;
#ifdef NEEDS
    NEEDS();
#endif
    return &entry;
}
