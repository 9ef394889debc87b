/* The verb `spawn`, the one that is answered later than it is asked: once exec is heard of (docs/wire.md). */
#ifndef BATON_SPAWN_VERB_H
#define BATON_SPAWN_VERB_H

#include "processes.h"
#include "wire.h"

/* The NOTIFY_SOCKET of what is started, or NULL; set before the first request. */
extern const char *spawn_notify_address;

void spawn_verb(struct fields *request);

/* Hears how the exec of a process went, and answers its `spawn`, once that is known. A process whose exec failed is
 * freed. */
void spawn_verb_progress(struct process *process);

/* The agent is gone: nobody waits for the answers that are still owed to it. */
void spawn_verb_unanswered(void);

#endif
