/* What a process that talks to the network gives up before it does. */
#ifndef BATON_CONFINE_H
#define BATON_CONFINE_H

#include "base.h"

/* Irrevocably: no privileges (user and group 65534 where it was root, no capabilities, no core dumps, no new
 * processes), at most `descriptors` open files, death with its parent, and no system calls but those that serving open
 * sockets takes: poll, accept, receive, send, shut down, close, write, discard memory, exit. False, and said why, when
 * it could not; then the process must exit. What the container or the kernel does not offer (a mapped user 65534,
 * CAP_SETUID, seccomp) is gone without. */
bool confine(unsigned descriptors);

#endif
