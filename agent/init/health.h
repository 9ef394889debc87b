/* Keeps the health responder (responder.c) running on its listener. */
#ifndef BATON_HEALTH_H
#define BATON_HEALTH_H

#include "base.h"

/* Serves at `address` from here on, in place of where it was; "off" ends it. The same address again changes nothing.
 * The normalised address goes to `bound` (ADDRESS_TEXT_SIZE). False with errno; *why says more; the old one stays. */
bool health_open(const char *address, int pages_fd, char *bound, size_t size, const char **why);

/* True when the reaped process was the responder: it is started again at once, or after a pause when it dies young. */
bool health_reaped(pid_t pid, int64_t now);

/* Starts it again when its pause is over; when that will be (ms, CLOCK_MONOTONIC; 0: nothing to do). */
int64_t health_tick(int64_t now);

#endif
