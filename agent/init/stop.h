/* The end: the stop that PID 1 makes when there is no agent to make it, and the last act of every stop. */
#ifndef BATON_STOP_H
#define BATON_STOP_H

#include "base.h"

/* A container's stop without an end of its own: beyond any that can be given. */
#define STOP_GRACE_NONE (INT64_MAX / 2)

/* Tells every process to stop, with the signal, the scope and the time that its spawn request gave. Once only. Each
 * stop_grace counts from when the container was told to stop, `stop_asked` (ms, CLOCK_MONOTONIC). */
void stop_begin(int64_t stop_asked, int64_t now);
bool stop_begun(void);

/* The shortest one of all that run, ms; STOP_GRACE_NONE where nobody has any. */
int64_t stop_grace(void);

/* Kills those whose time is over; when the next one is due (ms, CLOCK_MONOTONIC; 0: none). */
int64_t stop_tick(int64_t now);

/* True when no process is left to wait for. */
bool stop_complete(void);

/* Kills and reaps whatever is left, descendants that hid in sessions of their own included. */
void stop_reap_all(void);

#endif
