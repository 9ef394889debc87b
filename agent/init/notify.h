/* The notify socket (sd_notify(3)): datagrams of the program, whose sender the kernel names. */
#ifndef BATON_NOTIFY_H
#define BATON_NOTIFY_H

#include "base.h"

/* One page, as systemd bounds it (NOTIFY_BUFFER_MAX). */
enum { NOTIFY_MAX = 4096 };

struct notification {
    pid_t sender; /* from SCM_CREDENTIALS, never from the payload */
    char payload[NOTIFY_MAX + 1];
};

/* Opens it at an abstract address (CLOEXEC, nonblocking): no file, so a read-only root needs nothing. The address, in
 * the form that NOTIFY_SOCKET has ("@…"), is written to `address`. -1 with errno. */
int notify_open(char *address, size_t size);

/* Receives one; false when none waits. The sender is 0 where there is nothing to take from it: what is not as
 * sd_notify(3) has it, or comes from another PID namespace. */
bool notify_receive(int fd, struct notification *notification);

/* Whether one of its lines is READY=1. Pure. */
bool notify_says_ready(const char *payload);

/* Whether a payload is lines of KEY=VALUE as sd_notify(3) has them; ends it with NUL and cuts line breaks at its end.
 * `payload` has room for size + 1 bytes. Pure. */
bool notify_check(char *payload, size_t size);

#endif
