/* answer.c: a state machine that answers every command with eight bytes. Built three times: as it
 * should be; with an answer that is of this process only, which no replica may give (ANSWER_ODD);
 * and so that it never comes back from a command (ANSWER_NEVER). */
#include <unistd.h>

#include "hostile.h"

#ifndef ANSWER_TYPE
#define ANSWER_TYPE "org.test.answer"
#endif

static raftcs_sm_type_t type;
static raftcs_plugin_entry_t entry;

static raftcs_status_t apply(void *sm, const raftcs_apply_batch_t *b, const raftcs_sink_t *s)
{
    uint64_t answer = 42;
    (void)sm;
#ifdef ANSWER_NEVER
    for (;;) pause();
#endif
#ifdef ANSWER_ODD
    answer = (uint64_t)getpid() << 8;
#endif
    for (uint32_t i = 0; i < b->count; ++i) {
        raftcs_status_t status = s->reply(s, i, 0, &answer, sizeof answer);
        if (status != RAFTCS_OK) return status;
    }
    return RAFTCS_OK;
}

static const raftcs_sm_type_t *type_at(uint32_t i)
{
    (void)i;
    return &type;
}

RAFTCS_PLUGIN_EXPORT const raftcs_plugin_entry_t *raftcs_plugin_entry_v1(void);
RAFTCS_PLUGIN_EXPORT const raftcs_plugin_entry_t *raftcs_plugin_entry_v1(void)
{
  type = h_type(ANSWER_TYPE);
  type.apply = apply;
  entry = h_entry(type_at);
  return &entry;
}
