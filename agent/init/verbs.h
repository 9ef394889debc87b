/* What the agent can ask of PID 1 (docs/wire.md): a table of verbs. */
#ifndef BATON_VERBS_H
#define BATON_VERBS_H

#include "processes.h"
#include "wire.h"

/* Performs one request and puts its answer into agent_out. A malformed one is answered with `error`. */
void verb_perform(struct fields *request);

/* Answers a frame that could not be read at all. */
void verb_refuse_frame(void);

/* Where a routed signal goes: how many pids were written to `pids` (PROCESSES_MAX); 0 when the signal is not routed. */
size_t route_of(int signal, pid_t *pids);

/* Set once the agent said `exit`. */
extern bool exit_asked;
extern int exit_code_asked;

/* What the verbs need of the supervisor, set before the first request. */
struct verb_context {
    int pages_fd;
    unsigned long reaped; /* processes since the start */
};
extern struct verb_context verb_context;

#endif
