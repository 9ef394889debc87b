/* The end: the stop that PID 1 makes when there is no agent to make it, and the last act of every stop. */
#ifndef BATON_STOP_H
#define BATON_STOP_H

#include "base.h"

/* Tells every process to stop, with the signal, the scope and the time that its spawn request gave. Once only. */
void stop_begin(int64_t now);
bool stop_begun(void);

/* Kills those whose time is over; when the next one is due (ms, CLOCK_MONOTONIC; 0: none). */
int64_t stop_tick(int64_t now);

/* True when no process is left to wait for. */
bool stop_complete(void);

/* Kills and reaps whatever is left, descendants that hid in sessions of their own included. */
void stop_reap_all(void);

#endif
